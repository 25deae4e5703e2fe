//! Requests to the APIs beside S3. Of those that are signed for other services the whole body is read first, for their
//! signatures cover it.

use std::sync::Arc;

use http::header::USER_AGENT;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};

use super::{Api, Service, Trail};
use crate::audit::Call;
use crate::auth::{Authenticated, PayloadAuth, Sent};
use crate::authorize::Asking;
use crate::control::{self, ControlRequest};
use crate::error::S3Error;
use crate::identity::Identity;
use crate::incoming::IncomingBody;
use crate::kms::{self, KmsCall};
use crate::query_api::{Form, QueryCall};
use crate::request::{Query, RequestName};
use crate::response::Response;
use crate::{iam, sts};

/// The largest body: policies and tokens of identity providers are smaller.
const BODY_BYTES_MAX: usize = 64 << 10;

impl Service {
    /// Answers a request to IAM, STS or KMS.
    pub(super) async fn call(
        &self,
        (parts, query): (Parts, Query),
        body: IncomingBody,
        name: &Arc<RequestName>,
        trail: &mut Trail,
    ) -> Result<Response, S3Error> {
        let (api, origin) = (trail.api, trail.origin);
        if parts.uri.path() != "/" {
            let message = "This API has one path only: /";
            return Err(S3Error::new(StatusCode::NOT_FOUND, "UnknownOperationException", message));
        }
        let now = self.clock.now();
        let body = self.body(body, &parts.headers, PayloadAuth::Unsigned)?;
        let mut body = body.with_room(&self.context.strangers_documents);
        let body = body.collect(BODY_BYTES_MAX).await?;
        let caller = match is_signed(&parts, &query) {
            true => {
                let authenticated = self.authenticate(&parts, &query, Sent::Whole(&body), origin)?;
                let Authenticated { identity, .. } = authenticated;
                identity
            }
            false => Arc::new(Identity::anonymous()),
        };
        if api == Api::Kms {
            let target = parts.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
            trail.change = self.change(Call::of_kms(target, &body), &caller, (name, origin));
            let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let call = KmsCall {
                caller,
                origin,
                user_agent,
                directory: self.context.directory.snapshot(),
                target: target.to_owned(),
                body,
                now,
            };
            return Ok(kms::answer(self.context.keyring.service(), &call).await);
        }
        let form = match parts.method {
            Method::GET => Form::parse(parts.uri.query().unwrap_or_default().as_bytes())?,
            Method::POST => Form::parse(&body)?,
            _ => return Err(S3Error::method_not_allowed(&parts.method, "SERVICE", "GET, POST")),
        };
        trail.change = self.change(Call::of_form(api.name(), &form), &caller, (name, origin));
        if caller.account_id().is_none() && !sts::is_unsigned(form.action()) {
            let message = "Request is missing Authentication Token";
            return Err(S3Error::new(StatusCode::FORBIDDEN, "MissingAuthenticationToken", message));
        }
        let user_agent = parts.headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        let call = QueryCall {
            caller,
            origin,
            user_agent: user_agent.map(|text| String::from_utf8_lossy(text).into_owned()),
            form,
            name: Arc::clone(name),
            now,
            region: self.context.config.region.clone(),
        };
        Ok(match api {
            Api::Iam => iam::answer(&self.context.directory, call).await,
            _ => sts::answer(&self.sts, call).await,
        })
    }
}

impl Service {
    /// Answers a request to S3 Control, which is signed as those to S3.
    pub(super) async fn control(
        &self,
        (parts, query): (Parts, Query),
        body: IncomingBody,
        name: &RequestName,
        trail: &mut Trail,
    ) -> Result<Response, S3Error> {
        let (now, origin) = (self.clock.now(), trail.origin);
        let authenticated = self.authenticate(&parts, &query, Sent::Announced, origin)?;
        let account = parts.headers.get("x-amz-account-id").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let call = Call::of_control(&parts.method, parts.uri.path(), account);
        trail.change = self.change(call, &authenticated.identity, (name, origin));
        if authenticated.identity.account_id().is_none() {
            return Err(S3Error::access_denied("Access Denied"));
        }
        let body = self.body(body, &parts.headers, authenticated.payload)?;
        let mut body = body.with_room(&self.context.documents);
        let body = body.collect(self.context.config.limits.xml_bytes).await?;
        let asking = Asking {
            caller: authenticated.identity,
            origin,
            operation: None,
            bucket: None,
            headers: Arc::new(parts.headers),
            query: Arc::new(query),
            signing: authenticated.signing,
            now,
            said: None,
            through: None,
        };
        let path = parts.uri.path().to_owned();
        let request = ControlRequest { asking, method: parts.method, path, body };
        control::answer(&self.context, request).await
    }
}

/// Whether a request claims to be signed at all.
fn is_signed(parts: &Parts, query: &Query) -> bool {
    parts.headers.contains_key(http::header::AUTHORIZATION) || query.contains("X-Amz-Credential")
}

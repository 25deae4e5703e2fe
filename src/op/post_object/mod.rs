//! PostObject: a browser's form becomes the newest version of a key.
//!
//! The fields come first and are read whole, within narrow bounds. They say who sends the form, by the signature of its
//! policy, and what is to be written, as headers of PutObject would. Then PutObject runs, with the file as its body: it
//! is never held in memory, and what the policy says of its length is enforced while it passes.

mod answer;
mod fields;
mod file;
mod policy;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, REFERER, USER_AGENT};
use strata_storage::EventKind;

use crate::address;
use crate::auth::{FormSignature, Signing};
use crate::authorize;
use crate::body::Body;
use crate::error::S3Error;
use crate::identity::Identity;
use crate::op::put_object;
use crate::request::{Context, Request};
use crate::response::Response;
use crate::route::Operation;

use answer::Success;
use fields::Fields;
use file::Form;
use policy::{LengthRange, Policy};

/// Answers `POST /bucket` with a form.
pub async fn run(ctx: &Context, mut request: Request) -> Result<Response, S3Error> {
    let content_type = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let idle = Duration::from_secs(ctx.config.limits.idle_seconds);
    let body = std::mem::replace(&mut request.body, Body::empty());
    let mut form = Form::new(content_type, body)?;
    let (mut fields, file) = form.fields().await?;
    fields.expand(file.file_name().unwrap_or_default());

    let bucket = request.bucket()?.clone();
    // A form without a key is no form yet: that comes before who sent it.
    let key = address::object_key(fields.require("key")?)?.ok_or_else(|| fields::missing("key"))?;
    let (caller, signing, lengths) = sender(ctx, &fields, &request, bucket.as_str())?;
    let success = Success::of(&fields, &request, &key);
    let mut headers = fields.headers()?;
    for name in [REFERER, USER_AGENT] {
        headers.extend(request.headers.get(&name).cloned().map(|value| (name, value)));
    }
    let body = Body::streamed(form.into_file(file, lengths), idle);
    let (operation, key, headers) = (Operation::PutObject, Some(key), Arc::new(headers));
    let mut put = Request { caller, signing, operation, key, headers, body, ..request };
    authorize::authorize(ctx, &mut put).await?;
    let _turn = ctx.uploads.take().await?;
    let stored = put_object::write(ctx, put, EventKind::CreatedPost).await?;
    Ok(success.answer(stored))
}

/// Who sends a form, and how long its file may be.
fn sender(
    ctx: &Context,
    fields: &Fields,
    request: &Request,
    bucket: &str,
) -> Result<(Arc<Identity>, Option<Signing>, LengthRange), S3Error> {
    if !fields.is_signed() {
        return Ok((Arc::new(Identity::anonymous()), None, LengthRange::default()));
    }
    if fields.get("x-amz-algorithm").is_none() && fields.get("awsaccesskeyid").is_some() {
        return Err(S3Error::invalid_request(
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        ));
    }
    let signature = FormSignature {
        signature: fields.require("X-Amz-Signature")?,
        algorithm: fields.require("X-Amz-Algorithm")?,
        credential: fields.require("X-Amz-Credential")?,
        date: fields.require("X-Amz-Date")?,
        policy: fields.require("Policy")?,
        token: fields.get("x-amz-security-token"),
    };
    let now = request.now;
    let access_key = signature.credential.split('/').next().filter(|key| !key.is_empty());
    let attempt = ctx.failures.attempt(request.origin.source, access_key, now)?;
    let (caller, signing) = attempt.judge(ctx.authenticator.authenticate_form(&signature, now))?;
    let policy = Policy::parse(signature.policy)?;
    policy.check(fields, bucket, now)?;
    Ok((caller, Some(signing), policy.lengths))
}

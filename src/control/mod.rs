//! S3 Control: access points, and Block Public Access of accounts, under `/v20180820/`.

mod access_point;
mod access_points;
mod account;
mod document;
mod policies;
mod registry;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use strata_storage::{AccountId, Timestamp};

use crate::error::S3Error;
use crate::identity::Identity;
use crate::request::{Context, Origin, Query};
use crate::response::Response;

pub use access_point::{AccessPoint, AccessPointName, NetworkOrigin};
pub use registry::AccessPoints;

/// What paths of this API begin with.
pub const PATH: &str = "/v20180820/";
const ACCOUNT: &str = "x-amz-account-id";

/// One authenticated request.
pub struct ControlRequest {
    /// The method.
    pub method: Method,
    /// The decoded path behind [`PATH`].
    pub path: String,
    /// The decoded query.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The account that the host's first label names, if it is one.
    pub host_account: Option<AccountId>,
    /// The body.
    pub body: Bytes,
    /// Who sent it.
    pub caller: Arc<Identity>,
    /// Where it came from.
    pub origin: Origin,
    /// When it arrived.
    pub now: Timestamp,
}

/// Answers a request.
pub async fn answer(ctx: &Context, request: ControlRequest) -> Result<Response, S3Error> {
    let account = account(&request)?;
    let path: Vec<&str> = request.path.split('/').collect();
    let call = Call { ctx, request: &request, account };
    match (request.method.as_str(), &path[..]) {
        ("PUT", ["configuration", "publicAccessBlock"]) => account::put_block(&call).await,
        ("GET", ["configuration", "publicAccessBlock"]) => account::get_block(&call).await,
        ("DELETE", ["configuration", "publicAccessBlock"]) => account::delete_block(&call).await,
        ("GET", ["accesspoint"]) => access_points::list(&call).await,
        ("PUT", ["accesspoint", name]) => access_points::create(&call, name).await,
        ("GET", ["accesspoint", name]) => access_points::get(&call, name).await,
        ("DELETE", ["accesspoint", name]) => access_points::delete(&call, name).await,
        ("PUT", ["accesspoint", name, "policy"]) => policies::put(&call, name).await,
        ("GET", ["accesspoint", name, "policy"]) => policies::get(&call, name).await,
        ("DELETE", ["accesspoint", name, "policy"]) => policies::delete(&call, name).await,
        ("GET", ["accesspoint", name, "policyStatus"]) => policies::status(&call, name).await,
        _ => Err(S3Error::not_implemented("This server has access points and Block Public Access of S3 Control only.")),
    }
}

/// One request with the account that it is about.
struct Call<'a> {
    ctx: &'a Context,
    request: &'a ControlRequest,
    account: AccountId,
}

impl Call<'_> {
    /// Refuses unless the caller may do `action` with the resource of that ARN, which the account owns.
    async fn require(&self, action: &'static str, arn: &str) -> Result<(), S3Error> {
        let ControlRequest { caller, origin, headers, now, .. } = self.request;
        let asking = crate::authorize::Plain { caller, origin: *origin, headers, now: *now };
        crate::authorize::require_plain(self.ctx, &asking, action, arn, self.account).await
    }

    fn region(&self) -> &str {
        &self.ctx.config.region
    }
}

/// The account that the request is about, which the header and the host have to agree on.
fn account(request: &ControlRequest) -> Result<AccountId, S3Error> {
    let sent = request.headers.get(ACCOUNT).map(|value| value.to_str().ok().and_then(AccountId::parse));
    match (sent, request.host_account) {
        (Some(None), _) => Err(S3Error::invalid_request("The account id is not valid.")),
        (None, None) => Err(S3Error::invalid_request("Missing required header for this request: x-amz-account-id")),
        (Some(Some(sent)), Some(host)) if sent != host => {
            Err(S3Error::invalid_request("The account id of the header is not that of the host."))
        }
        (Some(Some(account)), _) | (None, Some(account)) => Ok(account),
    }
}

fn no_content() -> Response {
    Response::empty(StatusCode::NO_CONTENT)
}

//! S3 Control: access points, and Block Public Access of accounts, under `/v20180820/`.

mod access_point;
mod access_points;
mod account;
mod document;
mod policies;
mod registry;
mod through;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use strata_storage::AccountId;

use crate::authorize::{Asking, Resource, require_of};
use crate::error::S3Error;
use crate::request::{Context, RequestName};
use crate::response::Response;
use crate::xml;

pub use access_point::ALIAS_END;
pub use registry::{AccessPoints, RegistryError};
pub use through::{check_offered, point, split_object_arn, through, unveil};

/// What every path of this API begins with: the date of its version.
const PREFIX: &str = "/v20180820/";

/// The header that names the account, by which a request is told from one for a bucket of the prefix's name.
const ACCOUNT: &str = "x-amz-account-id";

/// Whether a request is for this API.
pub fn is_addressed(parts: &Parts) -> bool {
    parts.uri.path().starts_with(PREFIX) && parts.headers.contains_key(ACCOUNT)
}

/// One authenticated request.
pub struct ControlRequest {
    /// Who asks, and what policies may want to know. Its query and headers are those of the request.
    pub asking: Asking,
    /// The method.
    pub method: Method,
    /// The path as sent, still percent-encoded.
    pub path: String,
    /// The body.
    pub body: Bytes,
}

/// Answers a request.
pub async fn answer(ctx: &Context, request: ControlRequest) -> Result<Response, S3Error> {
    let account = account(&request)?;
    // No name in these paths has a character that is encoded.
    let path: Vec<&str> = request.path.strip_prefix(PREFIX).unwrap_or_default().split('/').collect();
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
    /// Refuses unless the caller may do `action` with what that ARN names, which must be its own account's.
    async fn require(&self, action: &'static str, arn: &str) -> Result<(), S3Error> {
        if self.request.asking.caller.account_id() != Some(self.account) {
            return Err(S3Error::access_denied("Access Denied"));
        }
        let resource = if arn == "*" { Resource::Account } else { Resource::Arn(arn) };
        require_of(self.ctx, &self.request.asking, action, resource).await
    }

    fn region(&self) -> &str {
        &self.ctx.config.region
    }
}

/// The account that the request is about.
fn account(request: &ControlRequest) -> Result<AccountId, S3Error> {
    let sent = request.asking.headers.get(ACCOUNT).and_then(|value| value.to_str().ok()).and_then(AccountId::parse);
    sent.ok_or_else(|| S3Error::invalid_request("The account id is not valid."))
}

fn no_content() -> Response {
    Response::empty(StatusCode::NO_CONTENT)
}

/// The answer to a request that fails.
pub fn refusal(error: &S3Error, name: &RequestName) -> Response {
    let mut document = xml::Writer::plain("ErrorResponse");
    document.open("Error").element("Code", error.code).element("Message", &error.message);
    for (name, value) in &error.fields {
        document.element(name, value);
    }
    document.close();
    document.element("RequestId", &name.request_id).element("HostId", &name.host_id);
    let mut response = Response::xml(document.finish());
    response.status = error.status;
    response.headers.extend(error.headers.iter().cloned());
    response
}

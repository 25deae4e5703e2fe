//! S3 Control: access points, and settings of accounts.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use http::request::Parts;

use crate::authorize::Asking;
use crate::error::S3Error;
use crate::request::{Context, RequestName};
use crate::response::Response;
use crate::xml;

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
    /// What errors call it.
    pub name: Arc<RequestName>,
}

/// Answers a request. What it needs permission for is asked with `authorize::require_of`.
pub async fn answer(_ctx: &Context, request: ControlRequest) -> Result<Response, S3Error> {
    let ControlRequest { method, path, .. } = request;
    tracing::debug!(%method, path, "S3 Control is not there");
    Err(S3Error::not_implemented("S3 Control is not implemented by this server."))
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

//! Answers: status, headers, and a body that is empty, in memory, or streamed from the engine.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;

/// The body type of every answer.
pub type ResponseBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer before the request ids and common headers are added.
pub struct Response {
    /// The HTTP status.
    pub status: StatusCode,
    /// Headers of the operation.
    pub headers: HeaderMap,
    /// The body.
    pub body: Payload,
}

/// What an answer carries.
pub enum Payload {
    /// Nothing; `Content-Length: 0` except where the status or a HEAD answer forbids or sets it.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A stream of known or unknown length.
    Stream(ResponseBody),
}

impl Response {
    /// An empty answer.
    pub fn empty(status: StatusCode) -> Response {
        Response { status, headers: HeaderMap::new(), body: Payload::Empty }
    }

    /// A 200 with an XML document.
    pub fn xml(document: String) -> Response {
        let mut response = Response::empty(StatusCode::OK);
        response.headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response.body = Payload::Bytes(document.into());
        response
    }

    /// Sets a header; a value that HTTP cannot carry is left out.
    pub fn set(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.insert(name, value);
        }
    }
}

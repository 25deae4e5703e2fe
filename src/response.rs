//! Answers: status, headers, and a body that is empty, in memory, or streamed from the engine.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use crate::access_log::Pending;
use crate::error::S3Error;
use crate::log::RequestLine;
use crate::op::DeletedKey;
use crate::request::RequestName;
use crate::xml::Writer;

/// A body streamed from the engine.
pub type ResponseBody = UnsyncBoxBody<Bytes, std::io::Error>;

/// An answer before the request ids and common headers are added.
pub struct Response {
    /// The HTTP status.
    pub status: StatusCode,
    /// Headers of the operation.
    pub headers: HeaderMap,
    /// The body.
    pub body: Payload,
    /// What became of each key of a request about several.
    pub deleted: Vec<DeletedKey>,
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
        Response { status, headers: HeaderMap::new(), body: Payload::Empty, deleted: Vec::new() }
    }

    /// A 200 with an XML document.
    pub fn xml(document: String) -> Response {
        let mut response = Response::empty(StatusCode::OK);
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        response.body = Payload::Bytes(document.into());
        response
    }

    /// An error with its document.
    pub fn error(error: &S3Error, name: &RequestName) -> Response {
        let mut response = Response::xml(error_document(error, name));
        response.status = error.status;
        if error.status == StatusCode::NOT_MODIFIED {
            response = Response::empty(error.status);
        }
        response.headers.extend(error.headers.iter().cloned());
        response
    }

    /// Sets a header; a value that HTTP cannot carry is left out.
    pub fn set(&mut self, name: HeaderName, value: impl AsRef<[u8]>) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.insert(name, value);
        }
    }
}

/// The document of an error.
pub fn error_document(error: &S3Error, name: &RequestName) -> String {
    let RequestName { resource, request_id, host_id } = name;
    let mut document = Writer::plain("Error");
    document.element("Code", error.code).element("Message", &error.message);
    for (name, value) in &error.fields {
        document.element(name, value);
    }
    document.element("Resource", resource).element("RequestId", request_id).element("HostId", host_id);
    document.finish()
}

/// An answer's body on its way to the connection; it completes the request's log line, and its access log.
pub struct Outgoing {
    payload: Payload,
    pending: Option<Box<Pending>>,
    line: Option<Box<RequestLine>>,
}

impl Outgoing {
    /// Sends `payload`; `line` and `pending` are written once it was sent or given up.
    pub fn new(payload: Payload, mut line: Option<Box<RequestLine>>, pending: Option<Box<Pending>>) -> Outgoing {
        if let (Payload::Empty, Some(line)) = (&payload, &mut line) {
            line.complete = true;
        }
        // What is complete is written before the client can know of it.
        let pending = pending.filter(|_| !matches!(payload, Payload::Empty));
        Outgoing { payload, pending, line }
    }

    fn sent(&mut self, bytes: usize, complete: bool) {
        if let Some(line) = &mut self.line {
            line.bytes_out += bytes as u64;
            line.complete |= complete;
        }
        if let Some(pending) = &mut self.pending {
            pending.sent(bytes);
        }
        if complete {
            self.pending = None;
        }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match &mut self.payload {
            Payload::Empty => Poll::Ready(None),
            Payload::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.payload = Payload::Empty;
                self.sent(bytes.len(), true);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Payload::Stream(stream) => {
                let frame = ready!(Pin::new(&mut *stream).poll_frame(cx));
                let at_end = frame.is_none() || stream.is_end_stream();
                match &frame {
                    Some(Ok(frame)) => self.sent(frame.data_ref().map_or(0, Bytes::len), at_end),
                    Some(Err(error)) => tracing::error!(%error, "an answer broke off"),
                    None => self.sent(0, true),
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.payload {
            Payload::Empty => true,
            Payload::Bytes(bytes) => bytes.is_empty(),
            Payload::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.payload {
            Payload::Empty => SizeHint::with_exact(0),
            Payload::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Payload::Stream(stream) => stream.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Payload, Response};
    use crate::error::S3Error;
    use crate::request::RequestName;

    fn name(resource: &str) -> RequestName {
        RequestName { resource: resource.to_owned(), request_id: "ID".to_owned(), host_id: "HOST".to_owned() }
    }

    #[test]
    fn error_documents() {
        fn check(error: &S3Error, resource: &str, expected: &str) {
            let response = Response::error(error, &name(resource));
            let Payload::Bytes(bytes) = response.body else { panic!("no document") };
            assert_eq!(
                std::str::from_utf8(&bytes).unwrap(),
                format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{expected}</Error>")
            );
            assert_eq!(response.headers["content-type"], "application/xml");
        }
        check(
            &S3Error::no_such_key("a<b>&\u{1}"),
            "/bucket/a<b>&\u{1}",
            "<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>\
             <Key>a&lt;b&gt;&amp;&#x1;</Key><Resource>/bucket/a&lt;b&gt;&amp;&#x1;</Resource>\
             <RequestId>ID</RequestId><HostId>HOST</HostId>",
        );
    }

    #[test]
    fn internal_reasons_are_not_told() {
        let response = Response::error(&S3Error::internal("segment 7 is gone"), &name("/"));
        let Payload::Bytes(bytes) = response.body else { panic!("no document") };
        assert!(!std::str::from_utf8(&bytes).unwrap().contains("segment"));
    }
}

//! S3's error answers: one type, one table of codes, one conversion from the engine's errors.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};

/// An error as S3 answers it.
#[derive(Debug, Clone)]
pub struct S3Error {
    /// The HTTP status.
    pub status: StatusCode,
    /// S3's code.
    pub code: &'static str,
    /// The message.
    pub message: Cow<'static, str>,
    /// Elements between `Message` and `RequestId`, in order.
    pub fields: Vec<(&'static str, String)>,
    /// Headers that go with the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the connection can't be used any more, as when the body was left unread.
    pub close: bool,
}

impl S3Error {
    /// Any error.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error { status, code, message: message.into(), fields: Vec::new(), headers: Vec::new(), close: false }
    }

    /// The same with one more element.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> S3Error {
        self.fields.push((name, value.into()));
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> S3Error {
        self.headers.push((name, value));
        self
    }

    /// 400 `InvalidArgument`, with `ArgumentName` and `ArgumentValue`.
    pub fn invalid_argument(
        message: impl Into<Cow<'static, str>>,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> S3Error {
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message)
            .with("ArgumentName", name)
            .with("ArgumentValue", value)
    }

    /// 400 `InvalidRequest`.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidRequest", message)
    }

    /// 400 `MalformedXML`.
    pub fn malformed_xml() -> S3Error {
        S3Error::new(
            StatusCode::BAD_REQUEST,
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    }

    /// 403 `AccessDenied`.
    pub fn access_denied(message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error::new(StatusCode::FORBIDDEN, "AccessDenied", message)
    }

    /// 501 `NotImplemented`, for what S3 defines and this server does not offer.
    pub fn not_implemented(message: impl Into<Cow<'static, str>>) -> S3Error {
        S3Error::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
    }

    /// 500 `InternalError`. `reason` goes to the log, never to the client.
    pub fn internal(reason: impl std::fmt::Display) -> S3Error {
        tracing::error!(%reason, "internal error");
        S3Error::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "We encountered an internal error. Please try again.",
        )
    }
}

/// The engine's errors with S3's codes. Operations add what only they know (key, version, resource type).
impl From<strata_storage::Error> for S3Error {
    fn from(error: strata_storage::Error) -> S3Error {
        S3Error::internal(error)
    }
}

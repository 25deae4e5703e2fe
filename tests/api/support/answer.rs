//! An answer, and what tests say of it.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// What was asked, for messages.
    pub request: String,
}

impl Answer {
    /// Checks the status.
    #[track_caller]
    pub fn is(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}: {}", self.request, self.text());
        self
    }

    /// Checks status, code and message of an error.
    #[track_caller]
    pub fn fails_saying(self, status: u16, code: &str, message: &str) -> Answer {
        let answer = self.fails(status, code);
        assert_eq!(answer.element("Message").as_deref(), Some(message), "{}: {}", answer.request, answer.text());
        answer
    }

    /// Checks status and code of an error, and that its document names the request as the headers do.
    #[track_caller]
    pub fn fails(self, status: u16, code: &str) -> Answer {
        let found = (self.status.as_u16(), self.element("Code"));
        assert_eq!(found, (status, Some(code.to_owned())), "{}: {}", self.request, self.text());
        assert_eq!(self.header("content-type"), Some("application/xml"), "{}", self.request);
        assert_eq!(self.element("RequestId").as_deref(), self.header("x-amz-request-id"), "{}", self.request);
        assert_eq!(self.element("HostId").as_deref(), self.header("x-amz-id-2"), "{}", self.request);
        assert!(self.header("x-amz-request-id").is_some(), "{}", self.request);
        self
    }

    /// Checks 400 `InvalidArgument` and the argument that it names.
    #[track_caller]
    pub fn refuses_argument(self, name: &str, message: &str) -> Answer {
        self.fails_saying(400, "InvalidArgument", message).has("ArgumentName", name)
    }

    /// Checks an element of the document.
    #[track_caller]
    pub fn has(self, element: &str, expected: &str) -> Answer {
        assert_eq!(self.element(element).as_deref(), Some(expected), "{}: {}", self.request, self.text());
        self
    }

    /// Checks that an element is not there.
    #[track_caller]
    pub fn lacks(self, element: &str) -> Answer {
        assert_eq!(self.element(element), None, "{}: {}", self.request, self.text());
        self
    }

    /// Checks a header; `None` for one that must not be there.
    #[track_caller]
    pub fn has_header(self, name: &str, expected: Option<&str>) -> Answer {
        assert_eq!(self.header(name), expected, "{}: {name}", self.request);
        self
    }

    /// Checks several headers.
    #[track_caller]
    pub fn has_headers(mut self, expected: &[(&str, &str)]) -> Answer {
        for (name, value) in expected {
            self = self.has_header(name, Some(value));
        }
        self
    }

    /// Checks the body.
    #[track_caller]
    pub fn has_body(self, expected: impl AsRef<[u8]>) -> Answer {
        let expected = expected.as_ref();
        assert!(self.body == expected, "{}: {} instead of {} bytes", self.request, self.body.len(), expected.len());
        self
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a header of ASCII"))
    }

    /// The ETag, without quotes.
    pub fn etag(&self) -> String {
        self.header("etag").expect("an ETag").trim_matches('"').to_owned()
    }

    /// The version id.
    pub fn version(&self) -> String {
        self.header("x-amz-version-id").expect("a version id").to_owned()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The text of the first element of that name.
    pub fn element(&self, name: &str) -> Option<String> {
        self.elements(name).into_iter().next()
    }

    /// The content of every element of that name, in order, markup included.
    pub fn elements(&self, name: &str) -> Vec<String> {
        elements(&self.text(), name)
    }
}

/// The content of every element of that name in a document, in order, markup included.
pub fn elements(document: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let pieces = document.split(&open).skip(1);
    let content = pieces.map(|piece| piece.split_once(&close).expect("an element that ends").0);
    content.map(unescape).collect()
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

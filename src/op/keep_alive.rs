//! Answers that take long to find: a 200 begins early, and white space keeps the connection alive until the document
//! is ready.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};

use crate::error::S3Error;
use crate::request::RequestName;
use crate::response::{Payload, Response, ResponseBody, error_document};

/// How long the work may take before the answer begins, and between two signs of life. Clients give up after a
/// minute without a byte, some after half of that.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nothing may come before it in a document, so it is the first sign of life.
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// What the work comes to: the document, and headers for the case that the answer has not begun yet.
pub struct Finished {
    /// The document.
    pub xml: String,
    /// Headers that are only known now.
    pub headers: HeaderMap,
}

impl Finished {
    /// A document without headers of its own.
    pub fn new(xml: String) -> Finished {
        Finished { xml, headers: HeaderMap::new() }
    }

    /// The same with one more header; a value that HTTP cannot carry is left out.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &str) -> Finished {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl From<String> for Finished {
    fn from(xml: String) -> Finished {
        Finished::new(xml)
    }
}

/// Answers the request of that name with the document that `work` makes.
///
/// Work that ends soon has its real status and headers. After that the status is 200, further headers can't be sent,
/// and a failure is an `Error` document, as S3 does it. Dropping the answer, as when the client leaves, drops the
/// work.
pub async fn keep_alive<F, T>(name: &Arc<RequestName>, work: F) -> Result<Response, S3Error>
where
    F: Future<Output = Result<T, S3Error>> + Send + 'static,
    T: Into<Finished>,
{
    answer(name, work, PATIENCE).await
}

async fn answer<F, T>(name: &Arc<RequestName>, work: F, patience: Duration) -> Result<Response, S3Error>
where
    F: Future<Output = Result<T, S3Error>> + Send + 'static,
    T: Into<Finished>,
{
    let mut work: Work = Box::pin(async move { work.await.map(Into::into) });
    let finished = match tokio::time::timeout(patience, &mut work).await {
        Ok(finished) => finished?,
        Err(_) => {
            let mut response = Response::empty(StatusCode::OK);
            response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            response.body = Payload::Stream(signs_of_life(Arc::clone(name), work, patience));
            return Ok(response);
        }
    };
    let mut response = Response::xml(finished.xml);
    response.headers.extend(finished.headers);
    Ok(response)
}

type Work = Pin<Box<dyn Future<Output = Result<Finished, S3Error>> + Send>>;

/// Where the stream is.
enum Phase {
    Begin(Work),
    Wait(Work),
    End,
}

fn signs_of_life(name: Arc<RequestName>, work: Work, patience: Duration) -> ResponseBody {
    let frames = stream::unfold((Phase::Begin(work), name), move |(phase, name)| async move {
        let (text, phase) = match phase {
            Phase::Begin(work) => (DECLARATION.to_owned(), Phase::Wait(work)),
            Phase::Wait(mut work) => match tokio::time::timeout(patience, &mut work).await {
                Err(_) => (" ".to_owned(), Phase::Wait(work)),
                Ok(Ok(finished)) => (without_declaration(finished.xml), Phase::End),
                Ok(Err(error)) => {
                    if let Some(detail) = &error.detail {
                        tracing::error!(code = error.code, detail, "a request failed after its answer had begun");
                    }
                    (without_declaration(error_document(&error, &name)), Phase::End)
                }
            },
            Phase::End => return None,
        };
        Some((Ok(Frame::data(Bytes::from(text))), (phase, name)))
    });
    StreamBody::new(frames).boxed_unsync()
}

fn without_declaration(xml: String) -> String {
    match xml.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) {
        Some((_, rest)) => rest.trim_start().to_owned(),
        None => xml,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http::header;
    use http_body_util::BodyExt as _;
    use tokio::sync::oneshot;

    use super::{DECLARATION, Finished, answer};
    use crate::error::S3Error;
    use crate::request::RequestName;
    use crate::response::{Payload, Response};

    const LONG: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(1);

    fn name() -> Arc<RequestName> {
        let [resource, request_id, host_id] = ["/b/k", "ID", "HOST"].map(str::to_owned);
        Arc::new(RequestName { resource, request_id, host_id })
    }

    async fn text(response: Response) -> String {
        match response.body {
            Payload::Empty => String::new(),
            Payload::Bytes(bytes) => String::from_utf8(bytes.to_vec()).expect("UTF-8"),
            Payload::Stream(body) => {
                let bytes = body.collect().await.expect("a body without failures").to_bytes();
                String::from_utf8(bytes.to_vec()).expect("UTF-8")
            }
        }
    }

    #[tokio::test]
    async fn quick_work_has_its_headers_and_status() {
        let done = async { Ok(Finished::new("<a/>".to_owned()).with_header(header::AGE, "1")) };
        let response = answer(&name(), done, LONG).await.expect("an answer");
        assert_eq!(response.headers[header::AGE], "1");
        assert_eq!(text(response).await, "<a/>");
        let failed = async { Err::<String, _>(S3Error::malformed_xml()) };
        assert_eq!(answer(&name(), failed, LONG).await.err().expect("a failure").code, "MalformedXML");
    }

    /// Ends the work only once white space was seen.
    async fn slow(outcome: Result<String, S3Error>) -> String {
        let (end, ended) = oneshot::channel();
        let work = async move { ended.await.expect("the other end is alive") };
        let response = answer(&name(), work, SHORT).await.expect("an answer");
        let Payload::Stream(mut body) = response.body else { panic!("the work has not ended") };
        let mut all = String::new();
        let mut end = Some(end);
        while let Some(frame) = body.frame().await {
            let data = frame.expect("a body without failures").into_data().expect("data");
            all.push_str(std::str::from_utf8(&data).expect("UTF-8"));
            if all.ends_with(' ')
                && let Some(end) = end.take()
            {
                assert!(end.send(outcome.clone()).is_ok(), "the work waits");
            }
        }
        all
    }

    #[tokio::test]
    async fn slow_work_sends_white_space_first() {
        let found = slow(Ok(format!("{DECLARATION}<a/>"))).await;
        let rest = found.strip_prefix(DECLARATION).expect("the declaration comes first");
        assert!(rest.starts_with(' '));
        assert_eq!(rest.trim_start(), "<a/>");
    }

    #[tokio::test]
    async fn slow_work_that_fails_says_so_in_the_document() {
        let found = slow(Err(S3Error::invalid_argument("m", "n", "v"))).await;
        assert!(found.starts_with(DECLARATION));
        assert!(found.ends_with(
            "<Error><Code>InvalidArgument</Code><Message>m</Message><ArgumentName>n</ArgumentName>\
             <ArgumentValue>v</ArgumentValue><Resource>/b/k</Resource><RequestId>ID</RequestId>\
             <HostId>HOST</HostId></Error>"
        ));
    }
}

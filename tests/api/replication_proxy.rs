//! What stands between two stores: passes requests on, answers some of them in the place of the destination, and keeps what it
//! saw of them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::Raw;

const PATIENCE: Duration = Duration::from_secs(180);
/// What is looked at again though no request came.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What becomes of a request.
pub enum Verdict {
    /// It goes on, and so does its answer.
    Pass,
    /// It is answered with that status and code.
    Answer(u16, &'static str),
    /// It is never answered.
    Hold,
}

type Judge = Box<dyn Fn(&str) -> Verdict + Send + Sync>;
type Body = BoxBody<Bytes, hyper::Error>;

struct Shared {
    client: Client<HttpConnector, Incoming>,
    authority: String,
    judge: Mutex<Judge>,
    /// Whether the destination says that it is a Strata.
    shows_strata: bool,
    seen: watch::Sender<Vec<String>>,
}

/// A way to a store.
pub struct Proxy {
    /// That store, by this way.
    pub raw: Raw,
    shared: Arc<Shared>,
}

impl Proxy {
    /// To that store, as it is.
    pub async fn to(raw: &Raw) -> Proxy {
        Proxy::start(raw, true).await
    }

    /// To that store, which does not say that it is a Strata.
    pub async fn to_a_stranger(raw: &Raw) -> Proxy {
        Proxy::start(raw, false).await
    }

    async fn start(raw: &Raw, shows_strata: bool) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let authority = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            client: Client::builder(TokioExecutor::new()).build_http(),
            authority: raw.authority.clone(),
            judge: Mutex::new(Box::new(|_| Verdict::Pass)),
            shows_strata,
            seen: watch::Sender::new(Vec::new()),
        });
        let kept = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let answer = service_fn(move |request| {
                    let shared = Arc::clone(&shared);
                    async move { Ok::<_, Infallible>(shared.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), answer));
            }
        });
        Proxy { raw: Raw { authority, ..raw.clone() }, shared: kept }
    }

    /// Judges requests from now on, by `METHOD /path?query`.
    pub fn judge(&self, judge: impl Fn(&str) -> Verdict + Send + Sync + 'static) {
        *self.shared.judge.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(judge);
    }

    /// What was asked for, as `METHOD /path?query`, that begins and contains so.
    pub fn seen(&self, begins: &str, contains: &str) -> Vec<String> {
        let seen = self.shared.seen.borrow();
        seen.iter().filter(|line| line.starts_with(begins) && line.contains(contains)).cloned().collect()
    }

    /// Waits until that is so; looks after each request, and now and then.
    pub async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        let mut seen = self.shared.seen.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !so().await {
                let _ = tokio::time::timeout(LOOK_AGAIN, seen.changed()).await;
            }
        });
        assert!(waited.await.is_ok(), "waited in vain for {what}; seen: {:#?}", self.shared.seen.borrow());
    }
}

impl Shared {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path_and_query().map(|path| path.as_str().to_owned()).unwrap_or_default();
        let line = format!("{} {path}", request.method());
        let verdict = (self.judge.lock().unwrap_or_else(PoisonError::into_inner))(&line);
        self.seen.send_modify(|seen| seen.push(line));
        match verdict {
            Verdict::Hold => std::future::pending().await,
            Verdict::Answer(status, code) => {
                // A body that broke off is no matter.
                let _ = request.into_body().collect().await;
                let document = format!("<Error><Code>{code}</Code><Message>m</Message></Error>");
                answer(status, document)
            }
            Verdict::Pass => {
                *request.uri_mut() = format!("http://{}{path}", self.authority).parse().expect("a URI");
                let Ok(mut response) = self.client.request(request).await else {
                    return answer(502, String::new());
                };
                if !self.shows_strata {
                    response.headers_mut().remove("x-amz-strata-replica");
                }
                response.map(|body| body.boxed())
            }
        }
    }
}

fn answer(status: u16, document: String) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(document)).map_err(|never| match never {}).boxed());
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

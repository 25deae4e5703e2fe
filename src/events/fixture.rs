//! What tests of targets need: messages, and a server that remembers what it was sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sha2::{Digest as _, Sha256};
use strata_storage::{ManualClock, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::target::{Deliveries, DeliveryError, Message};

/// 2013-05-24T00:00:00Z
pub const NOW: u64 = 1_369_353_600;

/// A clock that stands still.
pub fn clock() -> Arc<dyn strata_storage::Clock> {
    Arc::new(ManualClock::new(Timestamp::from_secs(NOW)))
}

/// A message about a key.
pub fn message(bucket: &str, key: &str, body: &str) -> Message {
    Message {
        id: format!("id-{key}"),
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        event_name: "ObjectCreated:Put".to_owned(),
        time: Timestamp::from_secs(NOW),
        body: Bytes::from(body.to_owned()),
    }
}

/// One letter for each outcome: taken, rejected, unavailable.
pub fn letters(deliveries: &Deliveries) -> String {
    let letter = |outcome: &Result<(), DeliveryError>| match outcome {
        Ok(()) => '.',
        Err(DeliveryError::Rejected(_)) => 'r',
        Err(DeliveryError::Unavailable(_)) => 'u',
    };
    deliveries.iter().map(letter).collect()
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// `POST /path?query`
    pub line: String,
    /// The headers, by their names.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

impl Received {
    /// Whether its signature is that of this secret, computed by the rules of Signature V4 from what arrived.
    pub fn is_signed(&self, scope: &str, secret: &str) -> bool {
        let Some(authorization) = self.headers.get("authorization") else { return false };
        let part = |name: &str| authorization.split([' ', ',']).find_map(|part| part.strip_prefix(name)).unwrap();
        let (method, target) = self.line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let signed = part("SignedHeaders=");
        let headers: String = signed.split(';').map(|name| format!("{name}:{}\n", self.headers[name])).collect();
        let hash = hex::encode(Sha256::digest(&self.body));
        let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{hash}");
        let (date, [_, region, service, _]) =
            (&self.headers["x-amz-date"], [0, 1, 2, 3].map(|at| scope.split('/').nth(at).unwrap()));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let day = UNIX_EPOCH + std::time::Duration::from_secs(NOW);
        let key = generate_signing_key(secret, day, region, service);
        let is_whole = self.headers.keys().filter(|name| name.starts_with("x-amz-")).all(|name| signed.contains(name));
        is_whole
            && signed.contains("host")
            && part("Credential=") == format!("AK/{scope}")
            && part("Signature=") == calculate_signature(key, text.as_bytes())
    }
}

/// What is answered: status, headers, body.
pub type Said = (u16, &'static [(&'static str, &'static str)], String);

/// A server on a free port. It answers what it is told to, or never.
pub struct Receiver {
    /// `http://127.0.0.1:port`
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<Mutex<usize>>,
    task: JoinHandle<()>,
}

impl Receiver {
    /// Starts one; `None` never answers.
    pub async fn start(answer: impl Fn(&Received) -> Option<Said> + Send + Sync + 'static) -> Receiver {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (received, connections) = (Arc::<Mutex<Vec<Received>>>::default(), Arc::<Mutex<usize>>::default());
        let (answer, noted, counted) = (Arc::new(answer), Arc::clone(&received), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                *counted.lock().unwrap() += 1;
                let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                let service = service_fn(move |request| {
                    let (answer, noted) = (Arc::clone(&answer), Arc::clone(&noted));
                    async move {
                        let request = read(request).await;
                        noted.lock().unwrap().push(request.clone());
                        match answer(&request) {
                            Some(said) => Ok::<_, Infallible>(respond(said)),
                            None => std::future::pending().await,
                        }
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Receiver { url, received, connections, task }
    }

    /// One that always answers the same.
    pub async fn saying(status: u16, headers: &'static [(&'static str, &'static str)], body: &str) -> Receiver {
        let body = body.to_owned();
        Receiver::start(move |_| Some((status, headers, body.clone()))).await
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(request: Request<Incoming>) -> Received {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers = parts.headers.iter();
    Received {
        line: format!("{} {}", parts.method, parts.uri),
        headers: headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn respond((status, headers, body): Said) -> Response<Full<Bytes>> {
    let response = headers
        .iter()
        .fold(Response::builder().status(status), |response, (name, value)| response.header(*name, *value));
    response.body(Full::new(Bytes::from(body))).unwrap()
}

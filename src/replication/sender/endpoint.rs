//! Where a destination takes requests: another store, over HTTP, or this one, in the same process and as the role of the
//! replication configuration.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use strata_storage::{AccountId, BucketName, ObjectKey, ObjectReader};

use super::Sender;
use super::fault::Fault;
use super::limiter::Limiter;
use super::source::Source;
use crate::authorize;
use crate::body::{Body, Transport};
use crate::op;
use crate::outbound::Answer;
use crate::replication::replica::{KNOWN, REPLICA};
use crate::replication::{EXPECTED_OWNER, Found, Region, RegionBody, RegionRequest};
use crate::request::Request;
use crate::response::Payload;
use crate::route::Operation;

type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body broke off that was read here.
type Broke = Arc<OnceLock<Fault>>;

/// A destination that was found.
#[derive(Clone)]
pub struct Endpoint {
    pub bucket: BucketName,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// In this store, in a bucket of that account.
    Here(AccountId),
    /// In another one, which is a Strata or not.
    There { region: Arc<Region>, strata: bool },
}

/// A request of S3.
pub struct Call<'a> {
    pub operation: Operation,
    pub method: Method,
    pub query: &'a [(&'a str, &'a str)],
    pub headers: HeaderMap,
    pub body: CallBody,
}

/// What a request carries.
pub enum CallBody {
    Bytes(Bytes),
    /// So many bytes of the source.
    Object(Box<ObjectReader>, u64),
}

/// Whether the store of a region that has that bucket is a Strata.
pub async fn is_strata(region: &Region, bucket: &BucketName) -> Result<bool, Fault> {
    let headers = HeaderMap::from_iter([(REPLICA, HeaderValue::from_static(KNOWN))]);
    let ask = RegionRequest { headers, ..RegionRequest::new(Method::HEAD, bucket.as_str(), None) };
    let answer = region.client.send(ask).await?;
    match answer.status.is_success() {
        true => Ok(answer.headers.get(REPLICA).is_some_and(|value| value == KNOWN)),
        false => Err(Fault::Passing(format!("the destination answers {}", answer.status.as_u16()))),
    }
}

impl Endpoint {
    /// What was found; another store is asked whether it is a Strata.
    pub async fn of(found: Found) -> Result<Endpoint, Fault> {
        let (region, bucket) = match found {
            Found::Local(bucket) => {
                let owner = bucket.owner;
                let bucket = BucketName::parse(&bucket.name).map_err(|error| Fault::Lasting(error.to_string()))?;
                return Ok(Endpoint { bucket, place: Place::Here(owner) });
            }
            Found::Remote(region, bucket) => (region, bucket),
        };
        let strata = is_strata(&region, &bucket).await?;
        Ok(Endpoint { bucket, place: Place::There { region, strata } })
    }

    /// Whether it takes what only a Strata takes: the source's version ids, and all that goes with them.
    pub fn is_strata(&self) -> bool {
        !matches!(self.place, Place::There { strata: false, .. })
    }

    /// Whether content may be known there, and has to be sent otherwise.
    pub fn may_know_content(&self) -> bool {
        matches!(self.place, Place::There { strata: true, .. })
    }

    /// Sends a request about `key`, and reads its whole answer, whatever its status. Whoever else than the rule says owns the
    /// bucket by now gets nothing.
    pub async fn call(
        &self,
        sender: &Sender,
        source: &Source,
        key: &ObjectKey,
        mut call: Call<'_>,
    ) -> Result<Answer, Fault> {
        let owner = match self.place {
            Place::Here(owner) => Some(source.rule().destination.account.unwrap_or(owner)),
            Place::There { .. } => source.rule().destination.account,
        };
        let owner = owner.and_then(|owner| HeaderValue::from_str(&owner.to_string()).ok());
        call.headers.extend(owner.map(|owner| (EXPECTED_OWNER, owner)));
        let broke = Broke::default();
        let answer = match &self.place {
            Place::Here(_) => self.call_here(sender, source, key, (call, &broke)).await,
            Place::There { region, .. } => {
                let Call { method, query, headers, body, .. } = call;
                let body = match body {
                    CallBody::Bytes(bytes) if bytes.is_empty() => RegionBody::Empty,
                    CallBody::Bytes(bytes) => RegionBody::Bytes(bytes),
                    CallBody::Object(reader, bytes) => {
                        let body = UnsyncBoxBody::new(streamed(*reader, &sender.limiter, &broke));
                        RegionBody::Stream { body, bytes, sha256: None }
                    }
                };
                let (bucket, key) = (self.bucket.as_str(), Some(key.as_str()));
                let request = RegionRequest { method, bucket, key, query, headers, body };
                region.client.send(request).await.map_err(Fault::from)
            }
        };
        // Whatever the destination made of a body that broke off, it is not its fault.
        match broke.get() {
            Some(fault) => Err(fault.clone()),
            None => answer,
        }
    }

    /// Runs an operation of this store as its service would.
    async fn call_here(
        &self,
        sender: &Sender,
        source: &Source,
        key: &ObjectKey,
        (call, broke): (Call<'_>, &Broke),
    ) -> Result<Answer, Fault> {
        let Call { operation, query, headers, body, .. } = call;
        let ctx = &sender.context;
        let transport = match body {
            CallBody::Bytes(bytes) => Transport::from(bytes),
            CallBody::Object(reader, _) => Transport::from(streamed(*reader, &sender.limiter, broke).boxed()),
        };
        let idle = std::time::Duration::from_secs(ctx.config.limits.idle_seconds);
        let about = (operation, Some(self.bucket.clone()), Some(key.clone()));
        let mut request = Request { body: Body::streamed(transport, idle), ..source.request(about, headers, query) };
        let ran = match authorize::authorize(ctx, &mut request).await {
            Ok(_) => op::run(operation, ctx, request).await,
            Err(error) => Err(error),
        };
        let response = match ran {
            Ok(response) => response,
            Err(error) => {
                let body = format!("<Error><Code>{}</Code><Message>{}</Message></Error>", error.code, error.message);
                return Ok(Answer { status: error.status, headers: HeaderMap::new(), body: Bytes::from(body) });
            }
        };
        let body = match response.body {
            Payload::Empty => Bytes::new(),
            Payload::Bytes(bytes) => bytes,
            Payload::Stream(body) => {
                let collected = body.collect().await.map_err(|error| Fault::Passing(error.to_string()))?;
                collected.to_bytes()
            }
        };
        Ok(Answer { status: response.status, headers: response.headers, body })
    }
}

/// The bytes of a reader as a body, as fast as the limit lets them go. If they cannot be read, `broke` says why.
fn streamed(
    reader: ObjectReader,
    limiter: &Arc<Limiter>,
    broke: &Broke,
) -> impl http_body::Body<Data = Bytes, Error = BodyError> + Send + Sync + use<> {
    let sent = Sent { reader, rest: Bytes::new(), limiter: Arc::clone(limiter), broke: Arc::clone(broke) };
    StreamBody::new(stream::try_unfold(sent, |mut sent| async move {
        let piece = sent.next().await?;
        Ok(piece.map(|bytes| (Frame::data(bytes), sent)))
    }))
}

/// A body under way.
struct Sent {
    reader: ObjectReader,
    /// What was read and has to wait for its turn.
    rest: Bytes,
    limiter: Arc<Limiter>,
    broke: Broke,
}

impl Sent {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        if self.rest.is_empty() {
            let read = self.reader.next().await.inspect_err(|error| {
                self.broke.get_or_init(|| Fault::from(error));
            })?;
            let Some(read) = read else { return Ok(None) };
            self.rest = read;
        }
        let piece = self.rest.split_to(self.rest.len().min(self.limiter.piece_bytes()));
        self.limiter.take(piece.len()).await;
        Ok(Some(piece))
    }
}

/// A header of an answer as text.
pub fn header(answer: &Answer, name: &HeaderName) -> Option<String> {
    answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http_body_util::BodyExt as _;
    use strata_storage::{BucketName, NewBucket, ObjectKey, OpenOptions, PutObject, Store, VersionSelector};
    use tokio::time::Instant;

    use super::{Broke, Limiter, streamed};

    /// Whoever wants to send a little does not wait for all of a large body.
    #[tokio::test(start_paused = true)]
    async fn bodies_leave_piece_by_piece_at_the_limit() {
        let data = tempfile::tempdir().expect("a directory");
        let store = Store::open(OpenOptions::new(data.path())).await.expect("a store");
        let (bucket, key) = (BucketName::parse("photos").expect("a name"), ObjectKey::parse("a").expect("a key"));
        store.create_bucket(&bucket, NewBucket::default()).await.expect("a new bucket");
        let content: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
        let staged = store.stage_bytes(content.clone()).await.expect("staged");
        store.put(PutObject::new(bucket.clone(), key.clone(), staged)).await.expect("written");
        let object = store.object(&bucket, &key, VersionSelector::Current).await.expect("the object");

        let limiter = Arc::new(Limiter::new(Some(500_000)));
        let mut body = Box::pin(streamed(object.read(0..object.info().size), &limiter, &Broke::default()));
        let (begun, mut sent) = (Instant::now(), Vec::new());
        while let Some(frame) = body.frame().await {
            let piece = frame.expect("it is read").into_data().expect("no trailers");
            assert!(piece.len() <= limiter.piece_bytes(), "{} bytes at once", piece.len());
            sent.extend_from_slice(&piece);
            if sent.len() == 2 * limiter.piece_bytes() {
                let asked = Instant::now();
                limiter.take(1).await;
                assert!(asked.elapsed() < Duration::from_millis(200), "{:?}", asked.elapsed());
            }
        }
        assert!(sent == content);
        let took = begun.elapsed();
        assert!((Duration::from_millis(1900)..Duration::from_millis(2200)).contains(&took), "{took:?}");
    }
}

//! A repository in a bucket of another store: every file is an object under a prefix.
//!
//! The signature of a request covers the SHA-256 of its body, which the other side checks before it stores it. What fails
//! for a reason that may pass is tried again a few times, with pauses.
//!
//! What was stored although its answer was lost, a conditional request that is tried again finds there: it is told from what
//! somebody else stored by its bytes. A listing that does not say whether it ends is none, because pruning removes what no
//! listed backup names.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use strata_storage::{BucketName, Error, Pending, Repository, RepositoryFile, Result};

use crate::replication::{Region, RegionBody, RegionError, RegionRequest};

/// The largest file that is read, in bytes: far more than any of a backup has.
const FILE_BYTES_MAX: usize = 256 << 20;
/// The pieces in which a body is sent, so that it is seen to move, in bytes.
const PIECE_BYTES: usize = 256 << 10;
/// The pauses before what failed is tried again.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10), Duration::from_secs(30)];
/// How long nothing of an answer's body may come.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Objects under a prefix, which is empty or ends with `/`.
pub struct BucketRepository {
    region: Arc<Region>,
    bucket: BucketName,
    prefix: String,
    pauses: &'static [Duration],
}

/// A call to the other store.
struct Call<'a> {
    method: Method,
    /// The key; `None` for the bucket.
    key: Option<&'a str>,
    query: &'a [(&'a str, &'a str)],
    headers: HeaderMap,
    body: Bytes,
}

/// What came of it.
struct Reply {
    status: StatusCode,
    body: Bytes,
    /// Whether an earlier attempt may have done its work: there was no answer, or one of trouble.
    is_repeated: bool,
}

/// A page of ListObjectsV2.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    contents: Vec<Listed>,
    is_truncated: bool,
    next_continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    key: String,
    size: u64,
}

/// An error document.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Refusal {
    code: String,
    #[serde(default)]
    message: String,
}

impl BucketRepository {
    /// The objects of that bucket under that prefix.
    pub fn new(region: Arc<Region>, bucket: BucketName, prefix: String) -> BucketRepository {
        BucketRepository { region, bucket, prefix, pauses: &PAUSES }
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::Backup(format!("{} (at {}): {reason}", self.place(), self.region.name))
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Calls until there is an answer that trying again would not change.
    async fn call(&self, call: Call<'_>) -> Result<Reply> {
        let mut pauses = self.pauses.iter();
        let mut is_repeated = false;
        loop {
            let outcome = self.call_once(&call).await.map(|(status, body)| Reply { status, body, is_repeated });
            let may_pass = match &outcome {
                Ok(reply) => reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS,
                Err(error) => !matches!(error, RegionError::Invalid(_)),
            };
            match pauses.next().filter(|_| may_pass) {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return outcome.map_err(|error| self.failed(&error)),
            }
            is_repeated = true;
        }
    }

    async fn call_once(&self, call: &Call<'_>) -> std::result::Result<(StatusCode, Bytes), RegionError> {
        let body = match call.body.is_empty() {
            true => RegionBody::Empty,
            false => streamed(call.body.clone()),
        };
        let request = RegionRequest {
            method: call.method.clone(),
            bucket: self.bucket.as_str(),
            key: call.key,
            query: call.query,
            headers: call.headers.clone(),
            body,
        };
        let (head, body) = self.region.client.request(request).await?.into_parts();
        let unreadable = |error: &dyn std::fmt::Display| RegionError::Unreadable(error.to_string());
        let mut body = Limited::new(body, FILE_BYTES_MAX);
        let mut read = Vec::new();
        while let Some(frame) =
            tokio::time::timeout(SILENCE_MAX, body.frame()).await.map_err(|_| RegionError::Silent(SILENCE_MAX))?
        {
            let frame = frame.map_err(|error| unreadable(&error))?;
            read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        }
        Ok((head.status, read.into()))
    }

    /// The error for an answer that is none of those expected.
    fn refused(&self, reply: &Reply) -> Error {
        let text = std::str::from_utf8(&reply.body).unwrap_or_default();
        let said = quick_xml::de::from_str(text)
            .map_or_else(|_| String::new(), |Refusal { code, message }: Refusal| format!(": {code}: {message}"));
        self.failed(&format!("the store answers {}{said}", reply.status.as_u16()))
    }

    async fn put_if(&self, name: &str, bytes: Bytes, headers: HeaderMap) -> Result<Reply> {
        let key = self.key(name);
        self.call(Call { method: Method::PUT, key: Some(&key), query: &[], headers, body: bytes }).await
    }

    async fn page(&self, prefix: &str, token: Option<&str>) -> Result<Listing> {
        let mut query = vec![("list-type", "2"), ("prefix", prefix)];
        query.extend(token.map(|token| ("continuation-token", token)));
        let call =
            Call { method: Method::GET, key: None, query: &query, headers: HeaderMap::new(), body: Bytes::new() };
        let reply = self.call(call).await?;
        if reply.status != StatusCode::OK {
            return Err(self.refused(&reply));
        }
        let text = std::str::from_utf8(&reply.body).map_err(|error| self.failed(&error))?;
        quick_xml::de::from_str(text).map_err(|error| self.failed(&error))
    }
}

impl Repository for BucketRepository {
    fn place(&self) -> String {
        format!("s3://{}/{}", self.bucket.as_str(), self.prefix.trim_end_matches('/'))
    }

    fn put<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, ()> {
        Box::pin(async move {
            let reply = self.put_if(name, bytes, HeaderMap::new()).await?;
            if reply.status.is_success() { Ok(()) } else { Err(self.refused(&reply)) }
        })
    }

    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, bool> {
        Box::pin(async move {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("*"))]);
            let reply = self.put_if(name, bytes.clone(), headers).await?;
            match reply.status {
                StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT if reply.is_repeated => {
                    Ok(self.get(name).await?.is_some_and(|there| there == bytes))
                }
                StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(false),
                status if status.is_success() => Ok(true),
                _ => Err(self.refused(&reply)),
            }
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> Pending<'a, Option<Bytes>> {
        Box::pin(async move {
            let key = self.key(name);
            let (key, headers) = (Some(key.as_str()), HeaderMap::new());
            let reply = self.call(Call { method: Method::GET, key, query: &[], headers, body: Bytes::new() }).await?;
            match reply.status {
                StatusCode::OK => Ok(Some(reply.body)),
                StatusCode::NOT_FOUND if is_no_such_key(&reply.body) => Ok(None),
                _ => Err(self.refused(&reply)),
            }
        })
    }

    fn list<'a>(&'a self, folder: &'a str) -> Pending<'a, Vec<RepositoryFile>> {
        Box::pin(async move {
            let prefix = self.key(folder);
            let (mut files, mut token, mut tokens) = (Vec::new(), None::<String>, HashSet::new());
            loop {
                let page = self.page(&prefix, token.as_deref()).await?;
                let file = |listed: Listed| {
                    let name = listed.key.strip_prefix(&self.prefix)?.to_owned();
                    Some(RepositoryFile { name, bytes: listed.size })
                };
                files.extend(page.contents.into_iter().filter_map(file));
                token = match (page.is_truncated, page.next_continuation_token) {
                    (false, _) => return Ok(files),
                    (true, Some(next)) if tokens.insert(next.clone()) => Some(next),
                    (true, _) => return Err(self.failed(&"the store's listing does not say how it goes on")),
                };
            }
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        Box::pin(async move {
            let key = self.key(name);
            let (key, headers) = (Some(key.as_str()), HeaderMap::new());
            let call = Call { method: Method::DELETE, key, query: &[], headers, body: Bytes::new() };
            let reply = self.call(call).await?;
            let is_gone = reply.status.is_success() || reply.status == StatusCode::NOT_FOUND;
            if is_gone { Ok(()) } else { Err(self.refused(&reply)) }
        })
    }
}

/// That a bucket is missing is no missing file.
fn is_no_such_key(body: &[u8]) -> bool {
    let document = std::str::from_utf8(body).ok().and_then(|text| quick_xml::de::from_str(text).ok());
    document.is_some_and(|Refusal { code, .. }: Refusal| code == "NoSuchKey")
}

/// A body in pieces, with the hash that the signature is to cover.
fn streamed(bytes: Bytes) -> RegionBody {
    let (length, sha256) = (bytes.len() as u64, Some(hex::encode(Sha256::digest(&bytes))));
    let pieces = (0..bytes.len()).step_by(PIECE_BYTES).map(move |at| {
        let end = bytes.len().min(at + PIECE_BYTES);
        Ok(Frame::data(bytes.slice(at..end)))
    });
    let body = UnsyncBoxBody::new(StreamBody::new(stream::iter(pieces.collect::<Vec<_>>())));
    RegionBody::Stream { body, bytes: length, sha256 }
}

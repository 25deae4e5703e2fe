//! One connection at work: which request comes next, and whether its answer is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Expect, Response, Sink, count_elements, element};
use crate::content::{Content, Random, Verifier, mix};
use crate::failure::Failure;
use crate::options::Work;
use crate::sign::{Endpoint, Signer};

/// GETs among the requests of mixed work.
const MIXED_GET_PERCENT: u64 = 70;

/// What all connections of a run have in common.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the connections do.
    pub work: Work,
    /// Bucket.
    pub bucket: String,
    /// Prefix of the keys.
    pub prefix: String,
    /// Object size.
    pub size: u64,
    /// Part size of multipart uploads.
    pub part_size: u64,
    /// Keys in the space.
    pub objects: u64,
    /// Keys per LIST.
    pub max_keys: u64,
    /// Whether GETs compare every byte.
    pub verify: bool,
}

/// One finished request, or the several of a multipart upload.
#[derive(Debug)]
pub struct Done {
    /// Its name in the results.
    pub operation: &'static str,
    /// Object bytes moved.
    pub bytes: u64,
    /// From the first byte sent to the last one received.
    pub latency: Duration,
}

/// What a worker's step came to.
#[derive(Debug)]
pub enum Step {
    /// A request was answered as it should be.
    Done(Done),
    /// The key space is used up.
    Exhausted,
}

/// A connection and the state of its client.
pub struct Worker {
    plan: Arc<Plan>,
    endpoint: Endpoint,
    connection: Option<Connection>,
    signer: Signer,
    random: Random,
    /// Keys used up, shared by all workers of the run.
    serial: Arc<AtomicU64>,
    out: Vec<u8>,
    kept: Vec<u8>,
}

/// A request and what is sent and expected with it.
struct Request<'a> {
    operation: &'static str,
    method: &'static str,
    path: &'a str,
    query: &'a str,
    body: Option<(Content, u64)>,
    expect: Expect,
    status: u16,
}

impl Worker {
    /// A worker; `seed` must differ between all workers of all runs, since it makes what they write unique.
    pub fn new(plan: Arc<Plan>, endpoint: &Endpoint, serial: Arc<AtomicU64>, seed: u64) -> Worker {
        Worker {
            plan,
            endpoint: endpoint.clone(),
            connection: None,
            signer: Signer::new(endpoint),
            random: Random::new(seed),
            serial,
            out: Vec::with_capacity(64 << 10),
            kept: Vec::new(),
        }
    }

    /// Does the next piece of work. After an `Err` the worker can go on: the next step opens a new connection.
    pub async fn step(&mut self) -> Result<Step, Failure> {
        let objects = self.plan.objects;
        match self.plan.work {
            Work::Put => match self.take_index(objects) {
                Some(index) => self.put(index).await.map(Step::Done),
                None => Ok(Step::Exhausted),
            },
            Work::Delete => match self.take_index(objects) {
                Some(index) => self.delete(index).await.map(Step::Done),
                None => Ok(Step::Exhausted),
            },
            Work::Get => {
                let index = self.random.below(objects);
                self.get(index).await.map(Step::Done)
            }
            Work::Head => {
                let index = self.random.below(objects);
                self.head(index).await.map(Step::Done)
            }
            Work::Mixed => {
                let index = self.random.below(objects);
                match self.random.below(100) < MIXED_GET_PERCENT {
                    true => self.get(index).await.map(Step::Done),
                    false => self.put(index).await.map(Step::Done),
                }
            }
            Work::List => self.list().await.map(Step::Done),
            Work::Multipart => self.multipart().await.map(Step::Done),
        }
    }

    /// Creates the bucket; one that is already there is fine.
    pub async fn create_bucket(&mut self) -> Result<(), Failure> {
        let path = format!("/{}", self.plan.bucket);
        let request = Request {
            operation: "create bucket",
            method: "PUT",
            path: &path,
            query: "",
            body: Some((Content { index: 0, version: 0 }, 0)),
            expect: Expect::Body,
            status: 200,
        };
        match self.exchange(&request, Sink::Count).await {
            Err(Failure::Refused { code, .. }) if code == "BucketAlreadyOwnedByYou" => Ok(()),
            other => other.map(|_| ()),
        }
    }

    fn take_index(&self, bound: u64) -> Option<u64> {
        let index = self.serial.fetch_add(1, Ordering::Relaxed);
        (index < bound).then_some(index)
    }

    /// Keys are scattered, so that neither writes nor reads run along the index.
    fn path(&self, index: u64) -> String {
        format!("/{}/{}{:016x}", self.plan.bucket, self.plan.prefix, mix(index))
    }

    fn new_content(&mut self, index: u64) -> Content {
        Content { index, version: self.random.next() }
    }

    async fn put(&mut self, index: u64) -> Result<Done, Failure> {
        let path = self.path(index);
        let body = Some((self.new_content(index), self.plan.size));
        let request = Request {
            operation: "PUT",
            method: "PUT",
            path: &path,
            query: "",
            body,
            expect: Expect::Body,
            status: 200,
        };
        let (_, latency) = self.exchange(&request, Sink::Count).await?;
        Ok(Done { operation: "PUT", bytes: self.plan.size, latency })
    }

    async fn get(&mut self, index: u64) -> Result<Done, Failure> {
        let path = self.path(index);
        let mut verifier = Verifier::new(index);
        let sink = if self.plan.verify { Sink::Verify(&mut verifier) } else { Sink::Count };
        let request = read("GET", &path, "", Expect::Body);
        let (response, latency) = self.exchange(&request, sink).await?;
        self.check_size("GET", &response)?;
        if !verifier.is_good() {
            return Err(Failure::Wrong { operation: "GET", what: format!("body of {path}") });
        }
        Ok(Done { operation: "GET", bytes: response.body_bytes, latency })
    }

    async fn head(&mut self, index: u64) -> Result<Done, Failure> {
        let path = self.path(index);
        let request = read("HEAD", &path, "", Expect::HeadOnly);
        let (response, latency) = self.exchange(&request, Sink::Count).await?;
        self.check_size("HEAD", &response)?;
        Ok(Done { operation: "HEAD", bytes: 0, latency })
    }

    fn check_size(&self, operation: &'static str, response: &Response) -> Result<(), Failure> {
        if response.body_bytes == self.plan.size {
            return Ok(());
        }
        let what = format!("{} bytes instead of {}", response.body_bytes, self.plan.size);
        Err(Failure::Wrong { operation, what })
    }

    async fn delete(&mut self, index: u64) -> Result<Done, Failure> {
        let path = self.path(index);
        let request = Request { method: "DELETE", status: 204, ..read("DELETE", &path, "", Expect::Body) };
        let (_, latency) = self.exchange(&request, Sink::Count).await?;
        Ok(Done { operation: "DELETE", bytes: 0, latency })
    }

    /// One page from a random place, far enough from the end to be full.
    async fn list(&mut self) -> Result<Done, Failure> {
        let Plan { objects, max_keys, .. } = *self.plan;
        let expected = max_keys.min(objects);
        // Scattered keys are nearly even: leaving out the last page and a half, the page is full.
        let share = 1.0 - (max_keys as f64 * 1.5 / objects as f64).min(1.0);
        let bound = (share * u64::MAX as f64) as u64;
        let start = self.random.below(bound.max(1));
        // Percent-encoded as SigV4 wants it; the prefix has no other character to encode.
        let prefix = self.plan.prefix.replace('/', "%2F");
        let query = format!("list-type=2&max-keys={max_keys}&prefix={prefix}&start-after={prefix}{start:016x}");
        let path = format!("/{}", self.plan.bucket);
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        let result = self.exchange(&read("LIST", &path, &query, Expect::Body), Sink::Keep(&mut kept)).await;
        // Searching the whole page would cost the shared cores more than it tells.
        let found = match element(&kept[..kept.len().min(1024)], "KeyCount") {
            Some(count) => count.parse().unwrap_or(0),
            None => count_elements(&kept, "Key"),
        };
        self.kept = kept;
        let (_, latency) = result?;
        if found < expected {
            let what = format!("{found} keys instead of {expected} after {start:016x}");
            return Err(Failure::Wrong { operation: "LIST", what });
        }
        Ok(Done { operation: "LIST", bytes: 0, latency })
    }

    /// A whole upload: create, parts one after another, complete.
    async fn multipart(&mut self) -> Result<Done, Failure> {
        let begun = Instant::now();
        let index = self.serial.fetch_add(1, Ordering::Relaxed);
        let path = self.path(index);
        let mut kept = Vec::new();
        let create = Request { method: "POST", ..read("create upload", &path, "uploads=", Expect::Body) };
        self.exchange(&create, Sink::Keep(&mut kept)).await?;
        let upload = element(&kept, "UploadId")
            .ok_or_else(|| Failure::Wrong { operation: "create upload", what: "no UploadId".to_owned() })?;
        let upload = encode(&upload);
        let mut list = String::from("<CompleteMultipartUpload>");
        let (mut left, mut number) = (self.plan.size, 0);
        while left > 0 {
            number += 1;
            let bytes = left.min(self.plan.part_size);
            left -= bytes;
            let query = format!("partNumber={number}&uploadId={upload}");
            let body = Some((self.new_content(index), bytes));
            let part = Request { method: "PUT", body, ..read("upload part", &path, &query, Expect::Body) };
            let (response, _) = self.exchange(&part, Sink::Count).await?;
            let etag =
                response.etag.ok_or_else(|| Failure::Wrong { operation: "upload part", what: "no ETag".to_owned() })?;
            list.push_str(&format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"));
        }
        list.push_str("</CompleteMultipartUpload>");
        self.complete(&path, &format!("uploadId={upload}"), &list).await?;
        Ok(Done { operation: "multipart", bytes: self.plan.size, latency: begun.elapsed() })
    }

    async fn complete(&mut self, path: &str, query: &str, list: &str) -> Result<(), Failure> {
        self.out.clear();
        self.signer.write_head(&mut self.out, "POST", path, query, Some(list.len() as u64));
        self.out.extend_from_slice(list.as_bytes());
        let mut kept = Vec::new();
        let request = Request { method: "POST", ..read("complete upload", path, query, Expect::Body) };
        self.transfer(&request, Sink::Keep(&mut kept)).await?;
        // S3 may begin with status 200 and fail afterwards: the body decides.
        match element(&kept, "ETag") {
            Some(_) => Ok(()),
            None => {
                let code = element(&kept, "Code").unwrap_or_default();
                Err(Failure::Refused { operation: "complete upload", status: 200, code })
            }
        }
    }

    async fn exchange(&mut self, request: &Request<'_>, sink: Sink<'_>) -> Result<(Response, Duration), Failure> {
        self.out.clear();
        let body_bytes = match request.method {
            "PUT" | "POST" => Some(request.body.map_or(0, |(_, bytes)| bytes)),
            _ => None,
        };
        self.signer.write_head(&mut self.out, request.method, request.path, request.query, body_bytes);
        self.transfer(request, sink).await
    }

    /// Sends what is in `out` and the body, and receives the answer.
    async fn transfer(&mut self, request: &Request<'_>, mut sink: Sink<'_>) -> Result<(Response, Duration), Failure> {
        // Taken out while in use: dropped on the way out of a failure, it is never used again.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.endpoint.authority).await?,
        };
        let begun = Instant::now();
        connection.send(&mut self.out, request.body).await?;
        let response = connection.receive(request.expect, &mut sink).await?;
        let latency = begun.elapsed();
        if !response.closes {
            self.connection = Some(connection);
        }
        if response.status != request.status {
            let Response { status, error_code, .. } = response;
            return Err(Failure::Refused { operation: request.operation, status, code: error_code });
        }
        Ok((response, latency))
    }
}

fn read<'a>(operation: &'static str, path: &'a str, query: &'a str, expect: Expect) -> Request<'a> {
    let method = if expect == Expect::HeadOnly { "HEAD" } else { "GET" };
    Request { operation, method, path, query, body: None, expect, status: 200 }
}

/// Percent-encodes an upload id, which endpoints choose freely.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

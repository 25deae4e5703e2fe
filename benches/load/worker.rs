//! One connection at work: which request comes next, and whether its answer is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Expect, Response, Sink, count_elements, element};
use crate::content::{Content, Random, Verifier};
use crate::failure::Failure;
use crate::keys::KeySpace;
use crate::options::Work;
use crate::sign::{Endpoint, Signer};

/// GETs among the requests of mixed work.
const MIXED_GET_PERCENT: u64 = 70;

/// What all connections of a run have in common.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the connections do.
    pub work: Work,
    /// The keys it is done with.
    pub keys: KeySpace,
    /// Whether the buckets keep versions.
    pub versioned: bool,
    /// Object size.
    pub size: u64,
    /// Part size of multipart uploads.
    pub part_size: u64,
    /// Entries per LIST.
    pub max_keys: u64,
    /// Whether GETs compare every byte.
    pub verify: bool,
}

impl Plan {
    /// How many requests there are to do until the work is used up.
    pub fn requests(&self) -> u64 {
        match self.work {
            Work::Put => self.keys.objects.saturating_mul(self.keys.versions),
            Work::Delete => self.keys.objects,
            _ => u64::MAX,
        }
    }
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
        let objects = self.plan.keys.objects;
        let done = match self.plan.work {
            Work::Put | Work::Delete | Work::Multipart => match self.take_index() {
                Some(index) => self.write(index).await,
                None => return Ok(Step::Exhausted),
            },
            Work::Overwrite => {
                let index = self.random.below(objects);
                self.put(index).await
            }
            Work::Get => {
                let index = self.random.below(objects);
                self.get(index).await
            }
            Work::Head => {
                let index = self.random.below(objects);
                self.head(index).await
            }
            Work::Mixed => {
                let index = self.random.below(objects);
                match self.random.below(100) < MIXED_GET_PERCENT {
                    true => self.get(index).await,
                    false => self.put(index).await,
                }
            }
            Work::List => self.list("LIST").await,
            Work::ListPrefixes => self.list("LIST prefixes").await,
            Work::ListVersions => self.list("LIST versions").await,
        };
        done.map(Step::Done)
    }

    /// Creates the buckets, those that are already there excepted, and has them keep versions if the plan says so.
    pub async fn create_buckets(&mut self) -> Result<(), Failure> {
        for number in 0..self.plan.keys.buckets {
            let path = format!("/{}", self.plan.keys.bucket(number));
            let create = Request { method: "PUT", ..read("create bucket", &path, "", Expect::Body) };
            match self.exchange(&create, Sink::Count).await {
                Err(Failure::Refused { code, .. }) if code == "BucketAlreadyOwnedByYou" => {}
                other => {
                    other?;
                }
            }
            if self.plan.versioned {
                let keep = Request { method: "PUT", ..read("keep versions", &path, "versioning=", Expect::Body) };
                let xml = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
                self.exchange_xml(&keep, xml, Sink::Count).await?;
            }
        }
        Ok(())
    }

    fn take_index(&self) -> Option<u64> {
        let number = self.serial.fetch_add(1, Ordering::Relaxed);
        (number < self.plan.requests()).then(|| self.plan.keys.index(number))
    }

    async fn write(&mut self, index: u64) -> Result<Done, Failure> {
        match self.plan.work {
            Work::Delete => self.delete(index).await,
            Work::Multipart => self.multipart(index).await,
            _ => self.put(index).await,
        }
    }

    fn new_content(&mut self, index: u64) -> Content {
        Content { index, version: self.random.next() }
    }

    async fn put(&mut self, index: u64) -> Result<Done, Failure> {
        let path = self.plan.keys.path(index);
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
        let path = self.plan.keys.path(index);
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
        let path = self.plan.keys.path(index);
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
        let path = self.plan.keys.path(index);
        let request = Request { method: "DELETE", status: 204, ..read("DELETE", &path, "", Expect::Body) };
        let (_, latency) = self.exchange(&request, Sink::Count).await?;
        Ok(Done { operation: "DELETE", bytes: 0, latency })
    }

    /// One page from a random place.
    async fn list(&mut self, operation: &'static str) -> Result<Done, Failure> {
        let page = self.plan.keys.page(self.plan.work, self.plan.max_keys, &mut self.random);
        let path = format!("/{}", page.bucket);
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        let result = self.exchange(&read(operation, &path, &page.query, Expect::Body), Sink::Keep(&mut kept)).await;
        // Searching the whole page costs the shared cores more than it tells; only some listings leave no other way.
        let found = match element(&kept[..kept.len().min(1024)], "KeyCount") {
            Some(count) => count.parse().unwrap_or(0),
            None => count_elements(&kept, page.element),
        };
        self.kept = kept;
        let (_, latency) = result?;
        if found < page.expected {
            let what = format!("{found} keys instead of {} with {}", page.expected, page.query);
            return Err(Failure::Wrong { operation, what });
        }
        Ok(Done { operation, bytes: 0, latency })
    }

    /// A whole upload: create, parts one after another, complete.
    async fn multipart(&mut self, index: u64) -> Result<Done, Failure> {
        let begun = Instant::now();
        let path = self.plan.keys.path(index);
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
        let mut kept = Vec::new();
        let request = Request { method: "POST", ..read("complete upload", path, query, Expect::Body) };
        self.exchange_xml(&request, list, Sink::Keep(&mut kept)).await?;
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

    async fn exchange_xml(&mut self, request: &Request<'_>, xml: &str, sink: Sink<'_>) -> Result<(), Failure> {
        self.out.clear();
        let bytes = Some(xml.len() as u64);
        self.signer.write_head(&mut self.out, request.method, request.path, request.query, bytes);
        self.out.extend_from_slice(xml.as_bytes());
        self.transfer(request, sink).await.map(|_| ())
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

//! A fake S3 endpoint in memory: it shows that the generator is right, and how fast the generator itself is.
//!
//! It keeps the clear stamp of a body instead of the body, and makes the rest up again on GET, so that memory does not
//! grow with what is written. When checking, it compares every body and every signature with its own idea of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::NaiveDateTime;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::content::{Content, Verifier};
use crate::failure::Failure;
use crate::local::Local;
use crate::sign::Endpoint;

/// How closely the fake looks at requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checking {
    /// Signatures and all bytes.
    Everything,
    /// Nothing: as little work as possible.
    Nothing,
}

/// Access key id of the fake.
pub const ACCESS_KEY: &str = "FAKEACCESSKEY";
/// Secret access key of the fake.
pub const SECRET_KEY: &str = "fake/secret+key";

/// What is stored under a key: the stamp and the length.
type Objects = BTreeMap<String, (Option<Content>, u64)>;

struct Fake {
    checking: Checking,
    region: String,
    objects: Mutex<Objects>,
}

/// Starts the fake.
pub fn start(region: &str, checking: Checking) -> Result<(Local, Endpoint), Failure> {
    let fake = Arc::new(Fake { checking, region: region.to_owned(), objects: Mutex::default() });
    let local = Local::start(move |request| fake.clone().answer(request))?;
    let endpoint = Endpoint {
        authority: local.authority.clone(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        region: region.to_owned(),
    };
    Ok((local, endpoint))
}

impl Fake {
    async fn answer(self: Arc<Fake>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        if self.checking == Checking::Everything && !self.signature_is_right(&parts) {
            return refusal(StatusCode::FORBIDDEN, "SignatureDoesNotMatch");
        }
        let stored = match self.receive(body).await {
            Some(stored) => stored,
            None => return refusal(StatusCode::BAD_REQUEST, "BadDigest"),
        };
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        let is_bucket = path.bytes().filter(|&byte| byte == b'/').count() == 1;
        let mut objects = self.objects.lock().expect("no holder panics");
        match parts.method {
            Method::GET if is_bucket => list(&objects, path, query),
            Method::PUT if is_bucket => Response::default(),
            Method::PUT => {
                if !query.contains("uploadId=") {
                    objects.insert(path.to_owned(), stored);
                }
                tagged(Bytes::new())
            }
            Method::POST if query.starts_with("uploads") => tagged("<UploadId>an+upload/id</UploadId>".into()),
            Method::POST => tagged("<ETag>&quot;0&quot;</ETag>".into()),
            Method::DELETE => {
                objects.remove(path);
                let mut response = Response::default();
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            _ => match objects.get(path).copied() {
                Some((content, bytes)) => {
                    drop(objects);
                    let mut body = Vec::with_capacity(bytes as usize);
                    content.unwrap_or(Content { index: 0, version: 0 }).append_to(&mut body, bytes);
                    tagged(body.into())
                }
                None => refusal(StatusCode::NOT_FOUND, "NoSuchKey"),
            },
        }
    }

    /// Takes a body in; `None` if it is not what its stamp announces, or broke off.
    async fn receive(&self, mut body: Incoming) -> Option<(Option<Content>, u64)> {
        let mut stamp = Vec::new();
        let mut bytes = 0;
        let mut verifier: Option<Verifier> = None;
        let mut is_xml = false;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.ok()?.into_data() else { continue };
            bytes += data.len() as u64;
            is_xml |= stamp.is_empty() && data.starts_with(b"<");
            let missing = 16_usize.saturating_sub(stamp.len());
            stamp.extend_from_slice(&data[..data.len().min(missing)]);
            if self.checking == Checking::Everything && !is_xml {
                // The stamp's index is the first number, whatever the key: the client compares it with the key on GET.
                let index = Content::from_stamp(&stamp).map_or(0, |content| content.index);
                verifier.get_or_insert_with(|| Verifier::new(index)).feed(&data);
            }
        }
        let good = verifier.is_none_or(|verifier| verifier.is_good());
        good.then(|| (Content::from_stamp(&stamp), bytes))
    }

    /// Computes the signature from the request as it arrived, header by header.
    fn signature_is_right(&self, parts: &http::request::Parts) -> bool {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let field = |name: &str| {
            let (_, rest) = header("authorization").split_once(name)?;
            rest.split(", ").next()
        };
        let (Some(credential), Some(signed), Some(signature)) =
            (field("Credential="), field("SignedHeaders="), field("Signature="))
        else {
            return false;
        };
        let date = header("x-amz-date");
        let Ok(moment) = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ") else { return false };
        let mut query: Vec<&str> = parts.uri.query().unwrap_or_default().split('&').collect();
        query.sort_unstable();
        let mut canonical = format!("{}\n{}\n{}\n", parts.method, parts.uri.path(), query.join("&"));
        for name in signed.split(';') {
            canonical.push_str(&format!("{name}:{}\n", header(name)));
        }
        canonical.push_str(&format!("\n{signed}\n{}", header("x-amz-content-sha256")));
        let scope = format!("{}/{}/s3/aws4_request", &date[..8], self.region);
        let hash = hex::encode(Sha256::digest(canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hash}");
        let time = moment.and_utc().into();
        let key = aws_sigv4::sign::v4::generate_signing_key(SECRET_KEY, time, &self.region, "s3");
        credential == format!("{ACCESS_KEY}/{scope}")
            && signature == aws_sigv4::sign::v4::calculate_signature(key, to_sign.as_bytes())
    }
}

fn list(objects: &Objects, bucket: &str, query: &str) -> Response<Full<Bytes>> {
    let value = |name: &str| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().replace("%2F", "/")
    };
    let max_keys = value("max-keys").parse().unwrap_or(1000);
    let prefix = format!("{bucket}/{}", value("prefix"));
    let from = format!("{bucket}/{}{}", value("start-after"), value("key-marker"));
    let (delimiter, of_versions) = (value("delimiter"), query.contains("versions="));
    let after = (std::ops::Bound::Excluded(from), std::ops::Bound::Unbounded);
    let mut entries: Vec<String> = Vec::new();
    for (path, (_, bytes)) in objects.range(after).take_while(|(path, _)| path.starts_with(&prefix)) {
        let (key, below) = (&path[bucket.len() + 1..], &path[prefix.len()..]);
        let entry = match below.split_once(&delimiter).filter(|_| !delimiter.is_empty()) {
            Some((group, _)) => format!("<CommonPrefixes><Prefix>{group}</Prefix></CommonPrefixes>"),
            None if of_versions => format!("<Version><Key>{key}</Key><Size>{bytes}</Size></Version>"),
            None => format!("<Contents><Key>{key}</Key><Size>{bytes}</Size></Contents>"),
        };
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
        if entries.len() == max_keys {
            break;
        }
    }
    let count = match of_versions {
        true => String::new(),
        false => format!("<KeyCount>{}</KeyCount>", entries.len()),
    };
    tagged(format!("<ListResult>{count}{}</ListResult>", entries.concat()).into())
}

fn tagged(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert("etag", http::HeaderValue::from_static("\"0\""));
    response
}

fn refusal(status: StatusCode, code: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(format!("<Error><Code>{code}</Code></Error>").into()));
    *response.status_mut() = status;
    response
}

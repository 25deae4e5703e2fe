//! GetObject and HeadObject: an object version, whole or in part, with the headers that describe it.

use std::ops::Range;

use futures_util::stream::{self, StreamExt as _};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use strata_storage::{Checksum, ChecksumKind, Error, ObjectInfo, OpenObject, StorageClass, Subject};

use crate::authorize::Resource;
use crate::encryption::{self, Side};
use crate::error::S3Error;
use crate::op::object_headers;
use crate::op::target::Target;
use crate::range::{self, Requested};
use crate::request::{Context, Request};
use crate::response::{Payload, Response};
use crate::{checksum_headers, conditions, lifecycle_headers, lock_headers};

const PARTS_COUNT: HeaderName = HeaderName::from_static("x-amz-mp-parts-count");
const PART_NUMBER_MAX: u16 = 10_000;

/// Runs GetObject.
pub async fn run(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let asked = Asked::of(ctx, &request).await?;
    let mut object = asked.open(ctx).await?;
    // HTTP has conditions and ranges count only where the answer without them would be a success (RFC 9110, 13.2.1), so
    // the state of what is archived comes before them. S3's order is unconfirmed.
    check_readable(object.info())?;
    encryption::unseal(ctx, &request, &asked.target.bucket, &mut object, Side::Read).await?;
    let answer = prepare(ctx, &request, asked, object).await?;
    let Some((object, bytes)) = answer.content else { return Ok(answer.response) };
    ctx.store.note_read(request.bucket()?, request.key()?, object.info(), bytes.end - bytes.start).await;
    let mut response = answer.response;
    response.body = body(&object, bytes).await?;
    Ok(response)
}

/// Runs HeadObject.
pub async fn head(ctx: &Context, request: Request) -> Result<Response, S3Error> {
    let asked = Asked::of(ctx, &request).await?;
    let object = asked.open(ctx).await?;
    encryption::check_head(ctx, &request, object.info())?;
    let mut answer = prepare(ctx, &request, asked, object).await?;
    if let Some((object, _)) = &answer.content {
        object_headers::set_archive(&mut answer.response, object.info());
    }
    Ok(answer.response)
}

/// `Err` for what must be restored before it can be read.
fn check_readable(info: &ObjectInfo) -> Result<(), Error> {
    let ObjectInfo { class, tier, readable, .. } = *info;
    if readable { Ok(()) } else { Err(Error::Archived { class, tier }) }
}

/// What the request asks for. What is wrong with it is found before the object is looked for.
struct Asked {
    target: Target,
    part_number: Option<u16>,
    checksums: bool,
    /// Headers of the answer that the query replaces.
    overrides: Vec<(HeaderName, HeaderValue)>,
}

impl Asked {
    async fn of(ctx: &Context, request: &Request) -> Result<Asked, S3Error> {
        let target = Target::of(ctx, request).await?;
        encryption::refuse_on_read(&request.headers)?;
        Ok(Asked {
            target,
            part_number: part_number(request)?,
            checksums: checksums_wanted(request)?,
            overrides: object_headers::overrides(&request.query)?,
        })
    }

    async fn open(&self, ctx: &Context) -> Result<OpenObject, Error> {
        ctx.store.object(&self.target.bucket, &self.target.key, self.target.selector()).await
    }
}

/// An answer whose body is still to be read.
struct Answer {
    response: Response,
    /// The object and the bytes of it to send; `None` for 304.
    content: Option<(OpenObject, Range<u64>)>,
}

/// The bytes that an answer carries, and what is said of just them.
struct Slice {
    bytes: Range<u64>,
    /// Whether the request named a range or part.
    partial: bool,
    /// The checksum of exactly these bytes, and the kind to report.
    checksum: Option<(Checksum, ChecksumKind)>,
    /// The object's parts, if a part was asked for.
    parts_count: u16,
}

async fn prepare(ctx: &Context, request: &Request, asked: Asked, object: OpenObject) -> Result<Answer, S3Error> {
    let info = object.info();
    match conditions::evaluate_read(&request.headers, info, request.now) {
        conditions::Outcome::Proceed => {}
        conditions::Outcome::NotModified => return Ok(Answer { response: not_modified(&object), content: None }),
        conditions::Outcome::Failed(name) => return Err(S3Error::precondition_failed(name)),
    }
    let slice = match asked.part_number {
        Some(number) => part_slice(&object, number).await?,
        None => range_slice(&object, request)?,
    };

    let mut response = Response::empty(StatusCode::OK);
    object_headers::set(&mut response, info);
    let Target { bucket, key, version } = &asked.target;
    let resource = Resource::Object(bucket, key, *version);
    lock_headers::set_visible(ctx, request, resource, info, &mut response).await?;
    encryption::set_headers(&mut response, &info.protection.encryption);
    if asked.target.version.is_none()
        && let Some(text) = expiration(ctx, &asked.target, &object).await?
    {
        response.set(lifecycle_headers::EXPIRATION, text);
    }
    response.set(header::CONTENT_LENGTH, (slice.bytes.end - slice.bytes.start).to_string());
    // A part without bytes has no positions that `Content-Range` could name.
    if slice.partial && !slice.bytes.is_empty() {
        response.status = StatusCode::PARTIAL_CONTENT;
        let Range { start, end } = slice.bytes;
        response.set(header::CONTENT_RANGE, format!("bytes {start}-{}/{}", end - 1, info.size));
    }
    if slice.parts_count > 0 {
        response.set(PARTS_COUNT, slice.parts_count.to_string());
    }
    if let Some((checksum, kind)) = slice.checksum.filter(|_| asked.checksums) {
        checksum_headers::set_headers(&mut response, &checksum, info.parts_count);
        response.set(HeaderName::from_static("x-amz-checksum-type"), checksum_headers::kind_name(kind));
    }
    // Inserted: to extend a map of headers is to add a second line.
    for (name, value) in asked.overrides {
        response.headers.insert(name, value);
    }
    Ok(Answer { response, content: Some((object, slice.bytes)) })
}

/// When the current version expires.
async fn expiration(ctx: &Context, target: &Target, object: &OpenObject) -> Result<Option<String>, S3Error> {
    let bucket = ctx.store.bucket(&target.bucket).await?;
    let info = object.info();
    let subject = Subject::current(target.key.as_str(), info.size, &info.tags, info.modified);
    Ok(lifecycle_headers::expiration(&bucket, &subject, &ctx.store.calendar()))
}

fn not_modified(object: &OpenObject) -> Response {
    let mut response = Response::empty(StatusCode::NOT_MODIFIED);
    object_headers::set(&mut response, object.info());
    // What describes the absent content stays away; validators and caching headers remain.
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_LANGUAGE, header::CONTENT_DISPOSITION]
    {
        response.headers.remove(name);
    }
    response
}

/// The part asked for, 1 to 10,000.
fn part_number(request: &Request) -> Result<Option<u16>, S3Error> {
    let Some(text) = request.query.get("partNumber") else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| digits && (1..=PART_NUMBER_MAX).contains(number));
    let number = number.ok_or_else(|| {
        let message = "Part number must be an integer between 1 and 10000, inclusive";
        S3Error::invalid_argument(message, "partNumber", text)
    })?;
    if request.headers.contains_key(header::RANGE) {
        return Err(S3Error::invalid_request("Cannot specify both Range header and partNumber query parameter"));
    }
    Ok(Some(number))
}

fn checksums_wanted(request: &Request) -> Result<bool, S3Error> {
    match request.header("x-amz-checksum-mode")? {
        None => Ok(false),
        Some(mode) if mode.eq_ignore_ascii_case("ENABLED") => Ok(true),
        Some(_) => Err(S3Error::invalid_request("Value for x-amz-checksum-mode header is invalid.")),
    }
}

async fn part_slice(object: &OpenObject, number: u16) -> Result<Slice, S3Error> {
    let info = object.info();
    let Some(part) = object.part(number).await? else {
        let message = "The requested partnumber is not satisfiable";
        return Err(S3Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidPartNumber", message)
            .with("ActualPartCount", info.parts_count.max(1).to_string())
            .with("PartNumberRequested", number.to_string()));
    };
    // Only parts of composite objects have checksums that S3 reports; an object written at once is its own part.
    let checksum = match &info.checksum {
        Some(whole) if info.parts_count == 0 => Some((whole.clone(), whole.kind)),
        Some(whole) if whole.kind == ChecksumKind::Composite => part.checksum.map(|own| (own, whole.kind)),
        _ => None,
    };
    let bytes = part.offset..part.offset + part.size;
    Ok(Slice { bytes, partial: true, checksum, parts_count: info.parts_count })
}

fn range_slice(object: &OpenObject, request: &Request) -> Result<Slice, S3Error> {
    let info = object.info();
    let whole = || {
        let checksum = info.checksum.as_ref().map(|checksum| (checksum.clone(), checksum.kind));
        Slice { bytes: 0..info.size, partial: false, checksum, parts_count: 0 }
    };
    let mut lines = request.headers.get_all(header::RANGE).iter();
    // Two lines are two ranges, which S3 ignores.
    let Some(line) = lines.next().filter(|_| lines.next().is_none()) else { return Ok(whole()) };
    let Some(text) = line.to_str().ok().filter(|_| conditions::if_range_holds(&request.headers, info)) else {
        return Ok(whole());
    };
    match range::resolve(text, info.size) {
        Requested::Whole => Ok(whole()),
        Requested::Bytes(bytes) => Ok(Slice { bytes, partial: true, checksum: None, parts_count: 0 }),
        Requested::Unsatisfiable => {
            let message = "The requested range is not satisfiable";
            let error = S3Error::new(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", message)
                .with("RangeRequested", text)
                .with("ActualObjectSize", info.size.to_string());
            let size = HeaderValue::from_str(&format!("bytes */{}", info.size)).expect("digits are visible ASCII");
            Err(error.with_header(header::CONTENT_RANGE, size))
        }
    }
}

/// The error in reading an object. One of REDUCED_REDUNDANCY whose bytes are damaged beyond repair counts as lost, which S3
/// answers with 405 (its message is unconfirmed); it is logged as any other.
fn lost(error: Error, class: StorageClass) -> S3Error {
    let is_lost = class == StorageClass::ReducedRedundancy && matches!(error, Error::Corrupt { .. });
    let error = S3Error::from(error);
    if !is_lost {
        return error;
    }
    S3Error { detail: error.detail, ..S3Error::method_not_allowed(&Method::GET, "OBJECT", "HEAD, PUT, DELETE") }
}

/// The bytes of an answer. The first are read, and verified, before the answer begins, so that damage there is a
/// clean 500; damage found later can only break the connection.
async fn body(object: &OpenObject, bytes: Range<u64>) -> Result<Payload, S3Error> {
    if bytes.is_empty() {
        return Ok(Payload::Empty);
    }
    let length = bytes.end - bytes.start;
    let mut reader = object.read(bytes);
    let first = reader
        .next()
        .await
        .map_err(|error| lost(error, object.info().class))?
        .ok_or_else(|| S3Error::internal("an object ended before its size"))?;
    if first.len() as u64 == length {
        return Ok(Payload::Bytes(first));
    }
    let rest = stream::try_unfold(reader, |mut reader| async move {
        match reader.next().await {
            Ok(next) => Ok(next.map(|bytes| (Frame::data(bytes), reader))),
            Err(error) => {
                tracing::error!(%error, "an object could not be read to its end");
                Err(std::io::Error::other(error))
            }
        }
    });
    let frames = stream::once(std::future::ready(Ok(Frame::data(first)))).chain(rest);
    Ok(Payload::Stream(StreamBody::new(frames).boxed_unsync()))
}

#[cfg(test)]
mod tests {
    use strata_storage::{Error, StorageClass};

    use super::lost;

    #[test]
    fn lost_objects() {
        fn check(error: Error, class: StorageClass, status: u16, code: &str) {
            let error = lost(error, class);
            assert_eq!((error.status.as_u16(), error.code), (status, code));
            assert!(error.detail.is_some(), "the log tells what is damaged");
        }
        let corrupt = || Error::Corrupt { what: "record content", place: "segment 1".to_owned() };
        check(corrupt(), StorageClass::ReducedRedundancy, 405, "MethodNotAllowed");
        check(corrupt(), StorageClass::Standard, 500, "InternalError");
        let io = Error::Io { action: "read", source: std::io::ErrorKind::Other.into() };
        check(io, StorageClass::ReducedRedundancy, 500, "InternalError");
    }
}

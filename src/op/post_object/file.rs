//! The form on its way: fields read whole within a bound, then the file as a stream, then the end.
//!
//! The parser takes whatever its source has ready, so the source gives one small piece at a time, and before the file not
//! more than a bound. So a form costs little memory however fast it comes and whatever it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::StatusCode;
use http_body::Frame;
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use multer::{Field, Multipart};

use super::fields::Fields;
use super::policy::LengthRange;
use crate::body::{Body, Transport};
use crate::error::S3Error;

/// The most bytes of names and values before the file: S3's limit.
const FIELD_BYTES_MAX: usize = 20 << 10;

/// The most bytes before the file, and after it, with the headers of all fields and one piece of the file.
const FRAME_BYTES_MAX: usize = 128 << 10;

/// The most bytes that the parser gets at once.
const PIECE_BYTES_MAX: usize = 16 << 10;

/// A form that is being read.
pub struct Form {
    parser: Multipart<'static>,
    allowance: Allowance,
}

/// The file of a form, which has not been read yet.
pub struct FilePart(Field<'static>);

impl FilePart {
    /// What its sender calls it.
    pub fn file_name(&self) -> Option<&str> {
        self.0.file_name()
    }
}

/// How many bytes may still come outside of the file; without a bound inside of it.
#[derive(Clone)]
struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    const UNBOUNDED: usize = usize::MAX;

    fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// False if that is more than may come.
    fn take(&self, bytes: usize) -> bool {
        match self.0.load(Ordering::Relaxed) {
            Allowance::UNBOUNDED => true,
            left => {
                self.set(left.saturating_sub(bytes));
                left >= bytes
            }
        }
    }
}

impl Form {
    /// Begins to read a form of that content type.
    pub fn new(content_type: &str, body: Body) -> Result<Form, S3Error> {
        let boundary = multer::parse_boundary(content_type).map_err(|_| malformed())?;
        let allowance = Allowance(Arc::new(AtomicUsize::new(FRAME_BYTES_MAX)));
        Ok(Form { parser: Multipart::new(pieces(body, allowance.clone()), boundary), allowance })
    }

    /// Reads the fields up to the file, which is the last of them that counts.
    pub async fn fields(&mut self) -> Result<(Fields, FilePart), S3Error> {
        let mut fields = Fields::default();
        let mut left = FIELD_BYTES_MAX;
        while let Some(mut part) = self.parser.next_field().await.map_err(fault)? {
            let name = part.name().ok_or_else(malformed)?.to_owned();
            if name.eq_ignore_ascii_case("file") {
                self.allowance.set(Allowance::UNBOUNDED);
                return Ok((fields, FilePart(part)));
            }
            left = left.checked_sub(name.len()).ok_or_else(too_long)?;
            let mut value = Vec::new();
            while let Some(bytes) = part.chunk().await.map_err(fault)? {
                left = left.checked_sub(bytes.len()).ok_or_else(too_long)?;
                value.extend_from_slice(&bytes);
            }
            fields.add(&name, String::from_utf8(value).map_err(|_| malformed())?)?;
        }
        Err(one_file())
    }

    /// The file's bytes. They end only if their number is within `lengths` and the form ended as it should, so that
    /// nothing is stored of a form that breaks off.
    pub fn into_file(self, file: FilePart, lengths: LengthRange) -> Transport {
        let reading = Reading { form: self, file: Some(file.0), bytes: 0, lengths };
        let frames = stream::unfold(Some(reading), |reading| async {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(bytes)) => Some((Ok(Frame::data(bytes)), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error.into()), None)),
            }
        });
        Transport::from(BoxBody::new(StreamBody::new(frames)))
    }
}

struct Reading {
    form: Form,
    file: Option<Field<'static>>,
    bytes: u64,
    lengths: LengthRange,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        let Some(file) = &mut self.file else { return Ok(None) };
        if let Some(bytes) = file.chunk().await.map_err(fault)? {
            self.bytes += bytes.len() as u64;
            if self.bytes > self.lengths.most {
                return Err(too_large(self.bytes, self.lengths.most));
            }
            return Ok(Some(bytes));
        }
        self.file = None;
        self.form.end().await?;
        if self.bytes < self.lengths.least {
            return Err(too_small(self.bytes, self.lengths.least));
        }
        Ok(None)
    }
}

impl Form {
    /// Reads what follows the file. Fields there are ignored, as S3 does, but for another file.
    async fn end(&mut self) -> Result<(), S3Error> {
        self.allowance.set(FRAME_BYTES_MAX);
        while let Some(mut part) = self.parser.next_field().await.map_err(fault)? {
            if part.name().is_some_and(|name| name.eq_ignore_ascii_case("file")) {
                return Err(one_file());
            }
            while part.chunk().await.map_err(fault)?.is_some() {}
        }
        Ok(())
    }
}

/// The body in small pieces, one each time that the parser asks.
fn pieces(body: Body, allowance: Allowance) -> impl Stream<Item = Result<Bytes, S3Error>> + Send + 'static {
    let state = (body, Bytes::new(), allowance);
    stream::unfold(Some(state), |state| async {
        let (mut body, mut ready, allowance) = state?;
        // The parser asks until it is told to wait.
        tokio::task::yield_now().await;
        if ready.is_empty() {
            match body.next().await {
                Ok(Some(bytes)) => ready = bytes,
                Ok(None) => return None,
                Err(error) => return Some((Err(error), None)),
            }
        }
        let piece = ready.split_to(ready.len().min(PIECE_BYTES_MAX));
        if !allowance.take(piece.len()) {
            return Some((Err(too_long()), None));
        }
        Some((Ok(piece), Some((body, ready, allowance))))
    })
    .boxed()
}

/// What the parser says of a form; what the body under it said passes unchanged.
fn fault(error: multer::Error) -> S3Error {
    match error {
        multer::Error::StreamReadFailed(error) => {
            error.downcast::<S3Error>().map_or_else(|_| malformed(), |told| *told)
        }
        _ => malformed(),
    }
}

fn malformed() -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "MalformedPOSTRequest",
        "The body of your POST request is not well-formed multipart/form-data.",
    )
}

fn too_long() -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "MaxPostPreDataLengthExceededError",
        "Your POST request fields preceding the upload file were too large.",
    )
    .with("MaxPostPreDataLengthBytes", FIELD_BYTES_MAX.to_string())
}

fn one_file() -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "IncorrectNumberOfFilesInPostRequest",
        "POST requires exactly one file upload per request.",
    )
}

/// The size is what came until then: the rest is not read.
fn too_large(bytes: u64, most: u64) -> S3Error {
    let message = "Your proposed upload exceeds the maximum allowed size";
    S3Error::new(StatusCode::BAD_REQUEST, "EntityTooLarge", message)
        .with("ProposedSize", bytes.to_string())
        .with("MaxSizeAllowed", most.to_string())
}

fn too_small(bytes: u64, least: u64) -> S3Error {
    let message = "Your proposed upload is smaller than the minimum allowed size";
    S3Error::new(StatusCode::BAD_REQUEST, "EntityTooSmall", message)
        .with("ProposedSize", bytes.to_string())
        .with("MinSizeAllowed", least.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FIELD_BYTES_MAX, FRAME_BYTES_MAX, Form, LengthRange};
    use crate::body::Body;

    const CONTENT_TYPE: &str = "multipart/form-data; boundary=X";

    fn part(name: &str, value: &str) -> String {
        format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    /// The fields and the file, or the code of the error.
    async fn read(text: &str, lengths: LengthRange) -> Result<(usize, Vec<u8>), &'static str> {
        let mut form = Form::new(CONTENT_TYPE, Body::from_bytes(text.to_owned())).map_err(|error| error.code)?;
        let (fields, file) = form.fields().await.map_err(|error| error.code)?;
        let mut body = Body::streamed(form.into_file(file, lengths), Duration::from_mins(1));
        let content = body.collect(usize::MAX).await.map_err(|error| error.code)?;
        Ok((fields.iter().count(), content.to_vec()))
    }

    #[tokio::test]
    async fn forms() {
        async fn check(text: &str, expected: Result<(usize, &str), &str>) {
            let expected = expected.map(|(fields, file)| (fields, file.as_bytes().to_vec()));
            assert_eq!(read(text, LengthRange::default()).await, expected, "{text:.200}");
        }
        let (key, file) = (part("key", "k"), part("file", "content"));
        check(&format!("{key}{file}--X--\r\n"), Ok((1, "content"))).await;
        check(&format!("{key}{}--X--", part("FILE", "")), Ok((1, ""))).await;
        check(&format!("{key}{file}{}--X--", part("submit", "Upload")), Ok((1, "content"))).await;
        let large = "line\r\n--Y\r\n".repeat(30_000);
        check(&format!("{key}{}--X--", part("file", &large)), Ok((1, &large))).await;
        let one = Err("IncorrectNumberOfFilesInPostRequest");
        check(&format!("{key}--X--"), one).await;
        check(&format!("{key}{file}{file}--X--"), one).await;
        let malformed = Err("MalformedPOSTRequest");
        for text in ["", "nonsense", &key, &format!("{key}{file}"), &format!("{key}{file}--X")] {
            check(text, malformed).await;
        }
        check(&format!("--X\r\n\r\nno name\r\n{file}--X--"), malformed).await;
        check(&format!("{key}{key}{file}--X--"), Err("InvalidArgument")).await;
    }

    #[tokio::test]
    async fn what_comes_before_the_file_is_bounded() {
        let too_long = Err("MaxPostPreDataLengthExceededError");
        let check = async |text: String, expected: Result<(usize, Vec<u8>), &'static str>| {
            assert_eq!(read(&text, LengthRange::default()).await, expected);
        };
        let file = part("file", "");
        let filled = |bytes| format!("{}{file}--X--", part("a", &"x".repeat(bytes)));
        check(filled(FIELD_BYTES_MAX - 1), Ok((1, Vec::new()))).await;
        check(filled(FIELD_BYTES_MAX), too_long.clone()).await;
        check(format!("--X\r\n{}", "x".repeat(FRAME_BYTES_MAX)), too_long).await;
        let malformed = Err("MalformedPOSTRequest");
        check(format!("{file}{}", part("a", &"x".repeat(FRAME_BYTES_MAX))), malformed).await;
    }

    #[tokio::test]
    async fn lengths_are_kept() {
        async fn check(least: u64, most: u64, expected: Option<&str>) {
            let text = format!("{}--X--", part("file", "content"));
            assert_eq!(read(&text, LengthRange { least, most }).await.err(), expected, "{least} {most}");
        }
        check(7, 7, None).await;
        check(0, 6, Some("EntityTooLarge")).await;
        check(8, 9, Some("EntityTooSmall")).await;
    }
}

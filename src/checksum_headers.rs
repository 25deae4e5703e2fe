//! Checksums in headers: what a client says of a body, how that is verified, and how answers name a checksum.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, StatusCode};
use strata_storage::{Checksum, ChecksumAlgorithm, ChecksumKind, DataKey, Digests, StageOptions, Staged};

use crate::body::Body;
use crate::error::S3Error;
use crate::replication::replica;
use crate::request::{Context, Request};
use crate::response::Response;

const HEADER_PREFIX: &str = "x-amz-checksum-";
const TYPE_HEADER: HeaderName = HeaderName::from_static("x-amz-checksum-type");
const CONTENT_MD5: &str = "content-md5";

/// Where the value of a client's checksum is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a header: the raw value.
    Header(Vec<u8>),
    /// In the trailer that comes after the body.
    Trailer,
}

/// The checksum that a client promises for its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Where its value is.
    pub source: Source,
}

/// Whether a document must come with a digest of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// `Content-MD5` or a checksum must be there.
    Required,
    /// Either is verified if it is there.
    Optional,
}

/// The checksum announced by one `x-amz-checksum-*` header or by `x-amz-trailer`.
pub fn expected(headers: &HeaderMap) -> Result<Option<Expected>, S3Error> {
    let mut found = Vec::new();
    for (name, value) in headers {
        let Some(suffix) = name.as_str().strip_prefix(HEADER_PREFIX) else { continue };
        // These three describe a checksum and carry none.
        if matches!(suffix, "algorithm" | "mode" | "type") {
            continue;
        }
        let algorithm = algorithm_from_name(suffix).ok_or_else(|| {
            S3Error::invalid_request("The algorithm type you specified in x-amz-checksum- header is invalid.")
        })?;
        let value = value.to_str().ok().and_then(|text| parse_text(algorithm, text)).ok_or_else(|| {
            S3Error::invalid_request(format!("Value for {} header is invalid.", header_name(algorithm)))
        })?;
        found.push(Expected { algorithm, source: Source::Header(value) });
    }
    for announced in headers.get_all("x-amz-trailer") {
        for name in String::from_utf8_lossy(announced.as_bytes()).split(',').map(str::trim) {
            let lower = name.to_ascii_lowercase();
            let algorithm = lower.strip_prefix(HEADER_PREFIX).and_then(algorithm_from_name).ok_or_else(|| {
                S3Error::invalid_request("The value specified in the x-amz-trailer header is not supported")
            })?;
            found.push(Expected { algorithm, source: Source::Trailer });
        }
    }
    if found.len() > 1 {
        return Err(S3Error::invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ));
    }
    let found = found.pop();
    check_sdk_algorithm(headers, found.as_ref())?;
    Ok(found)
}

/// `x-amz-sdk-checksum-algorithm` carries no value, but it must name what the request carries.
fn check_sdk_algorithm(headers: &HeaderMap, found: Option<&Expected>) -> Result<(), S3Error> {
    let Some(named) = headers.get("x-amz-sdk-checksum-algorithm") else { return Ok(()) };
    let named = named.to_str().ok().and_then(algorithm_from_name);
    match (named, found) {
        (None, _) => Err(S3Error::invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid.")),
        (Some(named), Some(found)) if named != found.algorithm => {
            Err(S3Error::invalid_request("Value for x-amz-sdk-checksum-algorithm header is invalid."))
        }
        (Some(_), Some(_)) => Ok(()),
        (Some(_), None) => Err(S3Error::invalid_request(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers \
             were found.",
        )),
    }
}

/// The digest in `Content-MD5`; `InvalidDigest` if it is not base64 of 16 bytes.
pub fn content_md5(headers: &HeaderMap) -> Result<Option<[u8; 16]>, S3Error> {
    let Some(value) = headers.get(CONTENT_MD5) else { return Ok(None) };
    let decoded = BASE64.decode(value.as_bytes()).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    decoded.map(Some).ok_or_else(|| {
        let sent = String::from_utf8_lossy(value.as_bytes());
        S3Error::new(StatusCode::BAD_REQUEST, "InvalidDigest", "The Content-MD5 you specified was invalid.")
            .with("Content-MD5", sent)
    })
}

/// The header that carries a value of that algorithm.
pub fn header_name(algorithm: ChecksumAlgorithm) -> HeaderName {
    HeaderName::from_static(match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
        ChecksumAlgorithm::Sha512 => "x-amz-checksum-sha512",
        ChecksumAlgorithm::Md5 => "x-amz-checksum-md5",
        ChecksumAlgorithm::Xxhash64 => "x-amz-checksum-xxhash64",
        ChecksumAlgorithm::Xxhash3 => "x-amz-checksum-xxhash3",
        ChecksumAlgorithm::Xxhash128 => "x-amz-checksum-xxhash128",
    })
}

/// The element that carries a value of that algorithm.
pub fn element_name(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "ChecksumCRC32",
        ChecksumAlgorithm::Crc32c => "ChecksumCRC32C",
        ChecksumAlgorithm::Crc64Nvme => "ChecksumCRC64NVME",
        ChecksumAlgorithm::Sha1 => "ChecksumSHA1",
        ChecksumAlgorithm::Sha256 => "ChecksumSHA256",
        ChecksumAlgorithm::Sha512 => "ChecksumSHA512",
        ChecksumAlgorithm::Md5 => "ChecksumMD5",
        ChecksumAlgorithm::Xxhash64 => "ChecksumXXHASH64",
        ChecksumAlgorithm::Xxhash3 => "ChecksumXXHASH3",
        ChecksumAlgorithm::Xxhash128 => "ChecksumXXHASH128",
    }
}

/// The algorithm of that name, in either case.
pub fn algorithm_from_name(name: &str) -> Option<ChecksumAlgorithm> {
    ChecksumAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
}

/// The algorithm named in `x-amz-checksum-algorithm`, which asks for a checksum without carrying one.
pub fn requested_algorithm(headers: &HeaderMap) -> Result<Option<ChecksumAlgorithm>, S3Error> {
    let Some(value) = headers.get("x-amz-checksum-algorithm") else { return Ok(None) };
    value.to_str().ok().and_then(algorithm_from_name).map(Some).ok_or_else(|| {
        let names: Vec<&str> = ChecksumAlgorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
        S3Error::invalid_request(format!(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{}]",
            names.join(", ")
        ))
    })
}

/// The text form: base64, and `-n` for a composite over `parts_count` parts.
pub fn text(checksum: &Checksum, parts_count: u16) -> String {
    let value = BASE64.encode(&checksum.value);
    match checksum.kind {
        ChecksumKind::FullObject => value,
        ChecksumKind::Composite => format!("{value}-{parts_count}"),
    }
}

/// Reads base64 of the algorithm's length; the `-n` of a composite is the caller's to remove.
pub fn parse_text(algorithm: ChecksumAlgorithm, text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok().filter(|value| value.len() == algorithm.value_bytes())
}

/// S3's name of what a checksum covers.
pub fn kind_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::FullObject => "FULL_OBJECT",
        ChecksumKind::Composite => "COMPOSITE",
    }
}

/// Sets the value's header and `x-amz-checksum-type`.
pub fn set_headers(response: &mut Response, checksum: &Checksum, parts_count: u16) {
    response.set(header_name(checksum.algorithm), text(checksum, parts_count));
    response.set(TYPE_HEADER, kind_name(checksum.kind));
}

/// Takes in the body of PutObject or UploadPart: staged, durable, and what the client said of it verified.
///
/// Everything that headers alone can break is refused before the body is first asked for, so a client that waits for
/// `100 Continue` sends nothing in vain. Returns the client's checksum if there was one; `more` are computed besides.
pub async fn stage_body(
    ctx: &Context,
    request: &mut Request,
    most_bytes: u64,
    more: Digests,
    seal: Option<DataKey>,
) -> Result<(Staged, Option<Checksum>), S3Error> {
    let md5 = content_md5(&request.headers)?;
    let expected = expected(&request.headers)?;
    let size = request.body.size()?;
    if let Some(size) = size.filter(|&size| size > most_bytes) {
        return Err(too_large(size, most_bytes));
    }
    let digests = expected.as_ref().map_or(more, |expected| more.with(expected.algorithm));
    let staged = match replica::stage_named(ctx, request, digests, seal.is_some()).await? {
        Some(staged) => staged,
        None => stage_content(ctx, request, most_bytes, StageOptions { size, digests, seal }).await?,
    };
    if let Some(md5) = md5 {
        check_md5(&md5, &staged.md5())?;
    }
    let Some(expected) = expected else { return Ok((staged, None)) };
    let computed = staged
        .checksum(expected.algorithm)
        .cloned()
        .ok_or_else(|| S3Error::internal("the stage lacks a checksum that was asked for"))?;
    check_value(&expected, &computed, &request.body)?;
    Ok((staged, Some(computed)))
}

async fn stage_content(
    ctx: &Context,
    request: &mut Request,
    most_bytes: u64,
    options: StageOptions,
) -> Result<Staged, S3Error> {
    let mut stage = ctx.store.stage(options);
    let mut received = 0;
    while let Some(bytes) = request.body.next().await? {
        received += bytes.len() as u64;
        if received > most_bytes {
            return Err(too_large(received, most_bytes));
        }
        stage.write(bytes).await?;
    }
    Ok(stage.finish().await?)
}

/// Verifies `Content-MD5` and the checksum of a document that was read to its end.
pub fn require_for_document(headers: &HeaderMap, body: &Body, bytes: &[u8], need: Need) -> Result<(), S3Error> {
    let md5 = content_md5(headers)?;
    let expected = expected(headers)?;
    if need == Need::Required && md5.is_none() && expected.is_none() {
        return Err(S3Error::invalid_request(
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        ));
    }
    if let Some(md5) = md5 {
        check_md5(&md5, &Checksum::of(ChecksumAlgorithm::Md5, bytes).value)?;
    }
    match expected {
        None => Ok(()),
        Some(expected) => check_value(&expected, &Checksum::of(expected.algorithm, bytes), body),
    }
}

fn too_large(size: u64, most_bytes: u64) -> S3Error {
    let message = "Your proposed upload exceeds the maximum allowed size";
    let mut error = S3Error::new(StatusCode::BAD_REQUEST, "EntityTooLarge", message)
        .with("ProposedSize", size.to_string())
        .with("MaxSizeAllowed", most_bytes.to_string());
    error.close = true;
    error
}

fn check_md5(expected: &[u8; 16], computed: &[u8]) -> Result<(), S3Error> {
    if expected[..] == *computed {
        return Ok(());
    }
    let message = "The Content-MD5 you specified did not match what we received.";
    // S3 writes the two in different alphabets.
    Err(S3Error::new(StatusCode::BAD_REQUEST, "BadDigest", message)
        .with("CalculatedDigest", BASE64.encode(computed))
        .with("ExpectedDigest", hex::encode(expected)))
}

fn check_value(expected: &Expected, computed: &Checksum, body: &Body) -> Result<(), S3Error> {
    let name = header_name(expected.algorithm);
    let value = match &expected.source {
        Source::Header(value) => value.clone(),
        Source::Trailer => {
            let text = body.trailer(name.as_str()).ok_or_else(|| {
                let message = "The request contained trailing data that was not well-formed or did not conform to \
                               our published schema.";
                S3Error::new(StatusCode::BAD_REQUEST, "MalformedTrailerError", message)
            })?;
            parse_text(expected.algorithm, text.trim())
                .ok_or_else(|| S3Error::invalid_request(format!("Value for {name} trailing header is invalid.")))?
        }
    };
    if value == computed.value {
        return Ok(());
    }
    let message = format!("The {} you specified did not match the calculated checksum.", expected.algorithm.name());
    Err(S3Error::new(StatusCode::BAD_REQUEST, "BadDigest", message))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use strata_storage::{Checksum, ChecksumAlgorithm, ChecksumKind};

    use super::{
        Expected, Source, algorithm_from_name, check_md5, content_md5, element_name, expected, header_name, parse_text,
        requested_algorithm, set_headers, text,
    };
    use crate::response::Response;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"))
        };
        let mut map = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn one_checksum_is_expected() {
        fn check(pairs: &[(&'static str, &str)], wanted: Option<(ChecksumAlgorithm, Source)>) {
            let found = expected(&headers(pairs)).expect("acceptable headers");
            assert_eq!(found, wanted.map(|(algorithm, source)| Expected { algorithm, source }), "{pairs:?}");
        }
        let value = Source::Header(vec![0xcb, 0xf4, 0x39, 0x26]);
        check(&[], None);
        check(&[("x-amz-checksum-mode", "ENABLED"), ("x-amz-checksum-type", "COMPOSITE")], None);
        check(&[("x-amz-checksum-crc32", "y/Q5Jg==")], Some((ChecksumAlgorithm::Crc32, value.clone())));
        check(
            &[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-sdk-checksum-algorithm", "CRC32")],
            Some((ChecksumAlgorithm::Crc32, value)),
        );
        check(&[("x-amz-trailer", "x-amz-checksum-sha256")], Some((ChecksumAlgorithm::Sha256, Source::Trailer)));
        check(&[("x-amz-trailer", "X-Amz-Checksum-CRC64NVME")], Some((ChecksumAlgorithm::Crc64Nvme, Source::Trailer)));
    }

    #[test]
    fn other_combinations_are_refused() {
        fn check(pairs: &[(&'static str, &str)], message: &str) {
            let error = expected(&headers(pairs)).expect_err("headers to refuse");
            assert_eq!((error.code, error.message.as_ref()), ("InvalidRequest", message), "{pairs:?}");
        }
        let several = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.";
        let crc32 = ("x-amz-checksum-crc32", "y/Q5Jg==");
        check(&[crc32, ("x-amz-checksum-crc32c", "y/Q5Jg==")], several);
        check(&[crc32, crc32], several);
        check(&[crc32, ("x-amz-trailer", "x-amz-checksum-crc32")], several);
        check(&[("x-amz-trailer", "x-amz-checksum-crc32, x-amz-checksum-sha1")], several);
        for value in ["", "y/Q5", "y/Q5Jg", "cbf43926", "y_Q5Jg==", "y/Q5Jg==-2"] {
            check(&[("x-amz-checksum-crc32", value)], "Value for x-amz-checksum-crc32 header is invalid.");
        }
        let unknown = "The algorithm type you specified in x-amz-checksum- header is invalid.";
        check(&[("x-amz-checksum-crc16", "y/Q=")], unknown);
        for name in ["", "expires", "x-amz-checksum-crc16"] {
            check(&[("x-amz-trailer", name)], "The value specified in the x-amz-trailer header is not supported");
        }
        let wrong = "Value for x-amz-sdk-checksum-algorithm header is invalid.";
        check(&[crc32, ("x-amz-sdk-checksum-algorithm", "SHA1")], wrong);
        check(&[crc32, ("x-amz-sdk-checksum-algorithm", "CRC16")], wrong);
        check(
            &[("x-amz-sdk-checksum-algorithm", "CRC32")],
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers \
             were found.",
        );
    }

    #[test]
    fn content_md5_is_base64_of_16_bytes() {
        fn check(value: &str, valid: bool) {
            let found = content_md5(&headers(&[("content-md5", value)]));
            assert_eq!(found.map_err(|error| error.code), if valid { Ok(Some([0; 16])) } else { Err("InvalidDigest") });
        }
        check("AAAAAAAAAAAAAAAAAAAAAA==", true);
        for value in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA", "00000000000000000000000000000000"] {
            check(value, false);
        }
        assert_eq!(content_md5(&HeaderMap::new()).expect("no header"), None);
    }

    #[test]
    fn a_wrong_md5_is_reported_as_s3_does() {
        let error = check_md5(&[0; 16], &[0xff; 16]).expect_err("digests that differ");
        let fields = [
            ("CalculatedDigest", "/////////////////////w==".to_owned()),
            ("ExpectedDigest", "00000000000000000000000000000000".to_owned()),
        ];
        assert_eq!((error.code, error.fields), ("BadDigest", fields.to_vec()));
    }

    #[test]
    fn names_agree() {
        for algorithm in ChecksumAlgorithm::ALL {
            assert_eq!(element_name(algorithm), format!("Checksum{}", algorithm.name()));
            let header = format!("x-amz-checksum-{}", algorithm.name().to_lowercase());
            assert_eq!(header_name(algorithm).as_str(), header);
            assert_eq!(algorithm_from_name(&algorithm.name().to_lowercase()), Some(algorithm));
        }
    }

    #[test]
    fn a_requested_algorithm_is_known() {
        let ask = |name| requested_algorithm(&headers(&[("x-amz-checksum-algorithm", name)]));
        assert_eq!(ask("SHA256").expect("a known name"), Some(ChecksumAlgorithm::Sha256));
        assert!(ask("CRC16").expect_err("an unknown name").message.contains("[CRC32, CRC32C, CRC64NVME, SHA1, "));
    }

    #[test]
    fn values_read_back() {
        let mut checksum = Checksum::of(ChecksumAlgorithm::Crc32, b"123456789");
        assert_eq!(text(&checksum, 0), "y/Q5Jg==");
        assert_eq!(parse_text(ChecksumAlgorithm::Crc32, "y/Q5Jg=="), Some(checksum.value.clone()));
        assert_eq!(parse_text(ChecksumAlgorithm::Sha1, "y/Q5Jg=="), None);
        checksum.kind = ChecksumKind::Composite;
        let mut response = Response::empty(http::StatusCode::OK);
        set_headers(&mut response, &checksum, 3);
        assert_eq!(response.headers["x-amz-checksum-crc32"], "y/Q5Jg==-3");
        assert_eq!(response.headers["x-amz-checksum-type"], "COMPOSITE");
    }
}

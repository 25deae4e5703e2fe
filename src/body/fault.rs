//! The answers to bodies that break their framing or their promises.

use http::StatusCode;

use crate::error::S3Error;

/// Fewer bytes than declared, or more.
pub(super) fn incomplete_body() -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "IncompleteBody",
        "You did not provide the number of bytes specified by the Content-Length HTTP header",
    )
}

/// No length where one is needed.
pub(super) fn missing_content_length() -> S3Error {
    S3Error::new(
        StatusCode::LENGTH_REQUIRED,
        "MissingContentLength",
        "You must provide the Content-Length HTTP header.",
    )
}

/// A coding that hides the length of the content.
pub(super) fn unknown_length() -> S3Error {
    S3Error::not_implemented("A header you provided implies functionality that is not implemented")
        .with("Header", "Transfer-Encoding")
}

/// A chunk header that is none, or bytes after the end.
pub(super) fn malformed_chunk() -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "IncompleteBody", "The request body terminated unexpectedly")
}

/// A trailer that is no header, was not announced, or did not come.
pub(super) fn malformed_trailer() -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "MalformedTrailerError",
        "The request contained trailing data that was not well-formed or did not conform to our published schema.",
    )
}

/// A chunk too small to be followed by another.
pub(super) fn invalid_chunk_size(chunk: u64, bad_size: u64) -> S3Error {
    S3Error::new(
        StatusCode::FORBIDDEN,
        "InvalidChunkSizeError",
        "Only the last chunk is allowed to have a size less than 8192 bytes",
    )
    .with("Chunk", chunk.to_string())
    .with("BadChunkSize", bad_size.to_string())
}

/// A body whose SHA-256 is not the signed one.
pub(super) fn hash_mismatch(client: [u8; 32], computed: [u8; 32]) -> S3Error {
    S3Error::new(
        StatusCode::BAD_REQUEST,
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    )
    .with("ClientComputedContentSHA256", hex::encode(client))
    .with("S3ComputedContentSHA256", hex::encode(computed))
}

/// A connection on which nothing moved.
pub(super) fn request_timeout() -> S3Error {
    let mut error = S3Error::new(
        StatusCode::BAD_REQUEST,
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout period. Idle \
         connections will be closed.",
    );
    error.close = true;
    error
}

//! Request bodies: framing removed, lengths enforced, payload hash and chunk signatures checked.

use bytes::Bytes;

use crate::error::S3Error;

mod chunked;

/// A request body as operations read it. Its end is only reported when everything signed or declared about the body
/// held: length, payload hash, chunk signatures, trailer signature.
pub struct Body {}

impl Body {
    /// The decoded length in bytes if it is known: `x-amz-decoded-content-length` or `Content-Length`.
    pub fn length(&self) -> Option<u64> {
        todo!()
    }

    /// The next bytes, or `None` at the verified end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, S3Error> {
        todo!()
    }

    /// The value of a trailer, once the end was reached. Names are lower case.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        todo!()
    }

    /// Reads a whole small body. More than `most` bytes: 400 `MaxMessageLengthExceeded` with
    /// `MaxMessageLengthBytes`.
    pub async fn collect(&mut self, most: usize) -> Result<Bytes, S3Error> {
        todo!()
    }
}

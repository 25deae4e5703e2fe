//! Bodies without framing: their length, and their SHA-256 if it was signed.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::fault;
use super::source::Source;
use crate::error::S3Error;

/// A plain body on its way.
pub(super) struct Plain {
    left: u64,
    check: Option<Check>,
}

/// A hash that has not been compared yet.
struct Check {
    hasher: Sha256,
    expected: [u8; 32],
}

impl Plain {
    /// Expects `length` bytes (none if unknown) with this hash.
    pub(super) fn new(length: Option<u64>, hash: Option<[u8; 32]>) -> Plain {
        let check = hash.map(|expected| Check { hasher: Sha256::new(), expected });
        Plain { left: length.unwrap_or(0), check }
    }

    /// The next bytes, or `None` at the end. The last ones are only given out when the hash is right.
    pub(super) async fn next(&mut self, source: &mut Source) -> Result<Option<Bytes>, S3Error> {
        let Some(data) = source.next().await? else {
            return if self.left == 0 { Ok(None) } else { Err(fault::incomplete_body()) };
        };
        self.left = self.left.checked_sub(data.len() as u64).ok_or_else(fault::incomplete_body)?;
        if let Some(check) = &mut self.check {
            check.hasher.update(&data);
        }
        self.verify_if_complete()?;
        Ok(Some(data))
    }

    /// Compares the hash once all bytes are there; a body without bytes is complete from the start.
    pub(super) fn verify_if_complete(&mut self) -> Result<(), S3Error> {
        let Some(check) = self.check.take_if(|_| self.left == 0) else { return Ok(()) };
        let computed: [u8; 32] = check.hasher.finalize().into();
        if bool::from(computed.ct_eq(&check.expected)) {
            Ok(())
        } else {
            Err(fault::hash_mismatch(check.expected, computed))
        }
    }
}

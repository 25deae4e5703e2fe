//! `x-amz-content-sha256`: how a body is signed.

use super::chunk_signer::ChunkSigner;
use crate::error::S3Error;

pub(super) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
const UNSIGNED_TRAILER: &str = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
const SIGNED: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER: &str = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const ASYMMETRIC: &str = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD";
const ASYMMETRIC_TRAILER: &str = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER";

/// How the body of an authenticated request is to be checked.
#[derive(Debug)]
pub enum PayloadAuth {
    /// A plain body with this SHA-256.
    Sha256([u8; 32]),
    /// A plain body that is not signed.
    Unsigned,
    /// An aws-chunked body, each chunk signed.
    StreamingSigned {
        /// Checks the chain of signatures that the request's own signature begins.
        signer: ChunkSigner,
        /// Whether a signed trailer follows the last chunk.
        trailer: bool,
    },
    /// An aws-chunked body with a trailer, neither signed.
    StreamingUnsignedTrailer,
}

/// The same before the signature was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sha256([u8; 32]),
    Unsigned,
    StreamingSigned { trailer: bool },
    StreamingUnsignedTrailer,
}

impl Kind {
    /// Reads a value of `x-amz-content-sha256`.
    pub(super) fn parse(text: &str) -> Result<Kind, S3Error> {
        match text {
            UNSIGNED_PAYLOAD => return Ok(Kind::Unsigned),
            UNSIGNED_TRAILER => return Ok(Kind::StreamingUnsignedTrailer),
            SIGNED => return Ok(Kind::StreamingSigned { trailer: false }),
            SIGNED_TRAILER => return Ok(Kind::StreamingSigned { trailer: true }),
            ASYMMETRIC | ASYMMETRIC_TRAILER => {
                return Err(super::asymmetric_not_implemented("x-amz-content-sha256"));
            }
            _ => {}
        }
        let mut hash = [0; 32];
        match hex::decode_to_slice(text, &mut hash) {
            Ok(()) => Ok(Kind::Sha256(hash)),
            Err(_) => Err(S3Error::invalid_argument(
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, \
                 STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a \
                 valid sha256 value.",
                "x-amz-content-sha256",
                text,
            )),
        }
    }

    /// The kind of a body that nobody signed. Signed chunks begin with a signature, which there is none of.
    pub(super) fn unsigned(self) -> Result<PayloadAuth, S3Error> {
        match self {
            Kind::Sha256(hash) => Ok(PayloadAuth::Sha256(hash)),
            Kind::Unsigned => Ok(PayloadAuth::Unsigned),
            Kind::StreamingUnsignedTrailer => Ok(PayloadAuth::StreamingUnsignedTrailer),
            Kind::StreamingSigned { .. } => Err(S3Error::access_denied("Access Denied")),
        }
    }

    /// The kind once the request's signature holds; only signed chunks need a signer.
    pub(super) fn payload(self, signer: impl FnOnce() -> ChunkSigner) -> PayloadAuth {
        match self {
            Kind::Sha256(hash) => PayloadAuth::Sha256(hash),
            Kind::Unsigned => PayloadAuth::Unsigned,
            Kind::StreamingSigned { trailer } => PayloadAuth::StreamingSigned { signer: signer(), trailer },
            Kind::StreamingUnsignedTrailer => PayloadAuth::StreamingUnsignedTrailer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn kinds() {
        fn check(text: &str, expected: Result<Kind, &str>) {
            assert_eq!(Kind::parse(text).map_err(|error| error.code), expected, "{text}");
        }
        check(&"5A".repeat(32), Ok(Kind::Sha256([0x5A; 32])));
        check("UNSIGNED-PAYLOAD", Ok(Kind::Unsigned));
        check("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Ok(Kind::StreamingUnsignedTrailer));
        check("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", Ok(Kind::StreamingSigned { trailer: false }));
        check("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", Ok(Kind::StreamingSigned { trailer: true }));
        check("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", Err("NotImplemented"));
        check("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER", Err("NotImplemented"));
        for text in ["", "unsigned-payload", "STREAMING-UNSIGNED-PAYLOAD", "abc", &"5".repeat(63), &"x".repeat(64)] {
            check(text, Err("InvalidArgument"));
        }
    }
}

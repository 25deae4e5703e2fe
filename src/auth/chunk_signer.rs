//! The chain of signatures in a signed aws-chunked body: each signs the one before it.

use sha2::{Digest as _, Sha256};
use strata_storage::Timestamp;

use super::credential::Credential;
use super::key::SigningKey;
use crate::error::S3Error;
use crate::time::amz_date;

/// SHA-256 of no bytes: chunks have no headers of their own to sign.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Checks the signatures of chunks and trailer in the order of their arrival.
#[derive(Debug)]
pub struct ChunkSigner {
    key: SigningKey,
    access_key: String,
    time: String,
    scope: String,
    previous: String,
}

impl ChunkSigner {
    /// Begins with `seed`, the signature of the request.
    pub(super) fn new(key: SigningKey, credential: &Credential<'_>, time: Timestamp, seed: &str) -> ChunkSigner {
        ChunkSigner {
            key,
            access_key: credential.access_key.to_owned(),
            time: amz_date(time),
            scope: credential.scope(),
            previous: seed.to_owned(),
        }
    }

    /// Checks the signature of the next chunk, whose data has this hash.
    pub fn verify_chunk(&mut self, data_sha256: [u8; 32], signature: &str) -> Result<(), S3Error> {
        let text = self.chunk_string_to_sign(data_sha256);
        self.verify(&text, signature)
    }

    /// Checks the signature of the trailer: `name:value\n` for each header in it.
    pub fn verify_trailer(&mut self, canonical: &str, signature: &str) -> Result<(), S3Error> {
        let text = self.trailer_string_to_sign(canonical);
        self.verify(&text, signature)
    }

    fn chunk_string_to_sign(&self, data_sha256: [u8; 32]) -> String {
        let hashes = format!("{EMPTY_SHA256}\n{}", hex::encode(data_sha256));
        self.string_to_sign("AWS4-HMAC-SHA256-PAYLOAD", &hashes)
    }

    fn trailer_string_to_sign(&self, canonical: &str) -> String {
        self.string_to_sign("AWS4-HMAC-SHA256-TRAILER", &hex::encode(Sha256::digest(canonical)))
    }

    fn string_to_sign(&self, algorithm: &str, hashes: &str) -> String {
        format!("{algorithm}\n{}\n{}\n{}\n{hashes}", self.time, self.scope, self.previous)
    }

    fn verify(&mut self, string_to_sign: &str, signature: &str) -> Result<(), S3Error> {
        if !self.key.verifies(string_to_sign, signature) {
            return Err(super::mismatch(&self.access_key, string_to_sign, signature));
        }
        signature.clone_into(&mut self.previous);
        Ok(())
    }
}

/// The client's side, for tests of what reads signed bodies.
#[cfg(any(test, fuzzing))]
impl ChunkSigner {
    /// A signer with the keys of the published examples.
    pub fn example() -> ChunkSigner {
        let text = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
        let credential = Credential::parse(text, super::credential::Form::Header, "us-east-1").expect("well formed");
        let secret = super::Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
        let key = super::key::SigningKeys::default().key(&secret, &credential);
        let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        ChunkSigner::new(key, &credential, credential.day, seed)
    }

    /// Signs the next chunk.
    pub fn sign_chunk(&mut self, data: &[u8]) -> String {
        self.previous = self.key.sign(&self.chunk_string_to_sign(Sha256::digest(data).into()));
        self.previous.clone()
    }

    /// Signs the trailer.
    pub fn sign_trailer(&self, canonical: &str) -> String {
        self.key.sign(&self.trailer_string_to_sign(canonical))
    }
}

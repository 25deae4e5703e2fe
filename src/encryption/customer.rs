//! Keys that customers send with each request: SSE-C's three headers, and what is wrong with them.
//!
//! The order of the checks is S3's: secure connection, presence, too short, MD5, algorithm, length of the key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use strata_storage::{Checksum, ChecksumAlgorithm};
use zeroize::Zeroizing;

use crate::error::S3Error;

/// The header that errors name, whichever is wrong.
const ARGUMENT: &str = "x-amz-server-side-encryption";
const PREFIX: &str = "Requests specifying Server Side Encryption with Customer provided keys must";
/// S3 calls shorter texts too short, before it decodes them.
const TEXT_BYTES_MIN: usize = 3;

/// Whose headers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Those of the object that is written.
    Write,
    /// Those of the object that is read.
    Read,
    /// Those of a copy's source.
    Source,
}

impl Side {
    fn names(self) -> [&'static str; 3] {
        match self {
            Side::Write | Side::Read => [
                "x-amz-server-side-encryption-customer-algorithm",
                "x-amz-server-side-encryption-customer-key",
                "x-amz-server-side-encryption-customer-key-md5",
            ],
            Side::Source => [
                "x-amz-copy-source-server-side-encryption-customer-algorithm",
                "x-amz-copy-source-server-side-encryption-customer-key",
                "x-amz-copy-source-server-side-encryption-customer-key-md5",
            ],
        }
    }
}

/// A customer's key. It is wiped when dropped and never printed.
pub struct CustomerKey {
    key: Zeroizing<Vec<u8>>,
    md5: [u8; 16],
}

impl CustomerKey {
    /// Reads the headers; `None` if none of them is there. `secure` says whether the connection keeps them secret.
    pub fn parse(headers: &HeaderMap, side: Side, secure: bool) -> Result<Option<CustomerKey>, S3Error> {
        let [algorithm, key, md5] = side.names().map(|name| headers.get(name).map(|value| value.as_bytes()));
        if algorithm.is_none() && key.is_none() && md5.is_none() {
            return Ok(None);
        }
        if !secure {
            return Err(fault(format!("{PREFIX} be made over a secure connection.")));
        }
        let algorithm = algorithm.ok_or_else(|| fault(format!("{PREFIX} provide a valid encryption algorithm.")))?;
        let key = key.ok_or_else(|| fault(format!("{PREFIX} provide an appropriate secret key.")))?;
        if md5.is_none() && side == Side::Write {
            return Err(fault(format!("{PREFIX} provide the client calculated MD5 of the secret key.")));
        }
        if key.len() < TEXT_BYTES_MIN {
            return Err(fault("The secret key was invalid - too short."));
        }
        let key = decode(key);
        let computed = Checksum::of(ChecksumAlgorithm::Md5, &key).value;
        let computed: [u8; 16] = computed.try_into().map_err(|_| S3Error::internal("an MD5 has 16 bytes"))?;
        if md5.is_some_and(|sent| sent != STANDARD.encode(computed).as_bytes()) {
            return Err(fault("The calculated MD5 hash of the key did not match the hash that was provided."));
        }
        if algorithm != b"AES256" {
            let message = "The Encryption request you specified is not valid. Supported value: AES256.";
            let sent = String::from_utf8_lossy(algorithm).into_owned();
            return Err(S3Error::new(StatusCode::BAD_REQUEST, "InvalidEncryptionAlgorithmError", message)
                .with("ArgumentName", ARGUMENT)
                .with("ArgumentValue", sent));
        }
        if key.len() != 32 && side == Side::Write {
            return Err(fault("The secret key was invalid for the specified algorithm."));
        }
        Ok(Some(CustomerKey { key, md5: computed }))
    }

    /// The key, if it has the length that all keys of stored objects have.
    pub fn bytes(&self) -> Option<&[u8; 32]> {
        self.key.as_slice().try_into().ok()
    }

    /// Its MD5.
    pub fn md5(&self) -> [u8; 16] {
        self.md5
    }
}

/// The words for a key that is not the object's, where an object is read.
pub fn wrong_key(side: Side) -> S3Error {
    match side {
        Side::Read => S3Error::access_denied(format!("{PREFIX} provide the correct secret key.")),
        Side::Write | Side::Source => {
            S3Error::invalid_request("The provided encryption parameters did not match the ones used originally.")
        }
    }
}

/// The words for an object with a customer's key that is asked for without one.
pub fn missing_key() -> S3Error {
    S3Error::invalid_request(
        "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to \
         retrieve the object.",
    )
}

/// The words for a part, or a completion, that brings a customer's key where its upload has none, or none where it has one.
pub fn unlike_upload() -> S3Error {
    S3Error::invalid_request(
        "The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate \
         encryption parameters.",
    )
}

/// The words for a key that came with a request for an object that has none.
pub fn needless_key() -> S3Error {
    S3Error::invalid_request("The encryption parameters are not applicable to this object.")
}

fn fault(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::new(StatusCode::BAD_REQUEST, "InvalidArgument", message).with("ArgumentName", ARGUMENT)
}

/// Decodes base64, skipping what does not belong to it, as S3 does. Nothing if what is left is none.
fn decode(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let kept: Zeroizing<Vec<u8>> = Zeroizing::new(text.iter().copied().filter(belongs).collect());
    Zeroizing::new(STANDARD.decode(&*kept).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use md5::{Digest as _, Md5};

    use super::{CustomerKey, Side};

    fn headers(algorithm: Option<&str>, key: Option<&str>, md5: Option<&str>) -> HeaderMap {
        let names = Side::Read.names();
        let mut headers = HeaderMap::new();
        for (name, value) in names.into_iter().zip([algorithm, key, md5]) {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header's text"));
            }
        }
        headers
    }

    #[test]
    fn faults_in_order() {
        fn check(algorithm: Option<&str>, key: Option<&str>, md5: Option<&str>, side: Side, expected: &str) {
            let found = CustomerKey::parse(&headers(algorithm, key, md5), side, true);
            let text = match found {
                Ok(found) => found.map_or("none", |_| "fine").to_owned(),
                Err(error) => format!("{} {}", error.code, error.message),
            };
            assert!(text.contains(expected), "{algorithm:?} {key:?} {md5:?} {side:?}: {text}");
        }
        let key = STANDARD.encode([7; 32]);
        let md5 = STANDARD.encode(Md5::digest([7; 32]));
        let (key, md5) = (Some(key.as_str()), Some(md5.as_str()));
        let aes = Some("AES256");
        check(None, None, None, Side::Write, "none");
        check(aes, key, md5, Side::Write, "fine");
        check(aes, key, None, Side::Read, "fine");
        check(aes, key, None, Side::Write, "client calculated MD5");
        check(aes, None, md5, Side::Write, "an appropriate secret key");
        check(aes, None, None, Side::Read, "an appropriate secret key");
        check(None, key, md5, Side::Read, "a valid encryption algorithm");
        check(None, None, md5, Side::Read, "a valid encryption algorithm");
        check(aes, Some(""), md5, Side::Write, "too short");
        check(aes, Some("ab"), md5, Side::Read, "too short");
        check(aes, key, Some("x"), Side::Write, "MD5 hash of the key did not match");
        check(aes, key, md5.map(|md5| md5.trim_end_matches('=')), Side::Write, "MD5 hash of the key did not match");
        check(Some("AES128"), key, md5, Side::Write, "InvalidEncryptionAlgorithmError");
        let short = STANDARD.encode([7; 16]);
        let short_md5 = STANDARD.encode(Md5::digest([7; 16]));
        check(aes, Some(&short), Some(&short_md5), Side::Write, "invalid for the specified algorithm");
        check(aes, Some(&short), Some(&short_md5), Side::Read, "fine");
        let odd = key.map(|key| format!("{}!{}", &key[..5], &key[5..]));
        check(aes, odd.as_deref(), md5, Side::Write, "fine");
    }

    #[test]
    fn keys_are_not_taken_in_the_open() {
        let key = STANDARD.encode([7; 32]);
        let error = CustomerKey::parse(&headers(None, Some(&key), None), Side::Read, false).err().expect("refused");
        assert!(error.message.ends_with("be made over a secure connection."));
    }
}

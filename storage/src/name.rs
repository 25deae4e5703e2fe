//! Names that are valid by construction: buckets and object keys.

use std::fmt;
use std::sync::Arc;

/// The longest object key, in bytes of UTF-8.
pub const KEY_BYTES_MAX: usize = 1024;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The bucket name breaks S3's naming rules.
    #[error("the bucket name is not valid")]
    InvalidBucket,
    /// The key has no bytes.
    #[error("the key is empty")]
    EmptyKey,
    /// The key is longer than 1,024 bytes.
    #[error("the key has {0} bytes, the most is {KEY_BYTES_MAX}")]
    KeyTooLong(usize),
}

/// A bucket name that obeys S3's naming rules for general purpose buckets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketName(Arc<str>);

impl BucketName {
    /// Checks the naming rules: 3 to 63 characters of `a-z 0-9 . -`, both ends alphanumeric, no `..`, not shaped
    /// like an IPv4 address, none of the reserved prefixes and suffixes.
    pub fn parse(name: &str) -> Result<BucketName, NameError> {
        let bytes = name.as_bytes();
        let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let allowed = bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'.' || byte == b'-');
        let ends = bytes.first().copied().is_some_and(alphanumeric) && bytes.last().copied().is_some_and(alphanumeric);
        let reserved = ["xn--", "sthree-", "amzn-s3-demo-"].iter().any(|prefix| name.starts_with(prefix))
            || ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"].iter().any(|suffix| name.ends_with(suffix));
        let address = name.split('.').count() == 4
            && name.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        if !(3..=63).contains(&bytes.len()) || !allowed || !ends || reserved || address || name.contains("..") {
            return Err(NameError::InvalidBucket);
        }
        Ok(BucketName(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object key: 1 to 1,024 bytes of UTF-8, any characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Checks the length.
    pub fn parse(key: &str) -> Result<ObjectKey, NameError> {
        match key.len() {
            0 => Err(NameError::EmptyKey),
            length if length > KEY_BYTES_MAX => Err(NameError::KeyTooLong(length)),
            _ => Ok(ObjectKey(key.into())),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{BucketName, ObjectKey};

    #[test]
    fn bucket_names() {
        fn check(name: &str, valid: bool) {
            assert_eq!(BucketName::parse(name).is_ok(), valid, "{name}");
        }
        for name in ["abc", "a.b-c", "1bucket", "a23", &"x".repeat(63), "1.2.3", "1.2.3.4a"] {
            check(name, true);
        }
        let long = "x".repeat(64);
        for name in [
            "",
            "ab",
            &long,
            "Abc",
            "a_b",
            "-abc",
            "abc-",
            ".abc",
            "abc.",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "sthree-abc",
            "amzn-s3-demo-x",
            "abc-s3alias",
            "abc--ol-s3",
            "abc.mrap",
            "abc--x-s3",
            "abc--table-s3",
        ] {
            check(name, false);
        }
    }

    #[test]
    fn key_lengths() {
        assert!(ObjectKey::parse("").is_err());
        assert!(ObjectKey::parse(&"k".repeat(1024)).is_ok());
        assert!(ObjectKey::parse(&"k".repeat(1025)).is_err());
        assert!(ObjectKey::parse(&"ü".repeat(512)).is_ok());
        assert!(ObjectKey::parse(&"ü".repeat(513)).is_err());
    }
}

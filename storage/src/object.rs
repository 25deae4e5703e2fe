//! What an object is made of, besides its bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind};
use crate::protection::Protection;
use crate::replication::ReplicationState;
use crate::residence::Restore;
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::tiering::Tier;

/// An entity tag: 16 bytes, usually an MD5, and the number of parts of a multipart object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ETag {
    /// The MD5 of the content, or of the parts' MD5s.
    pub digest: [u8; 16],
    /// The number of parts of a multipart object; 0 for an object written at once.
    pub parts: u16,
}

impl ETag {
    /// The tag of an object written at once.
    pub const fn single(md5: [u8; 16]) -> ETag {
        ETag { digest: md5, parts: 0 }
    }

    /// Reads the text form, quoted or not; `None` for what no ETag of ours can equal.
    pub fn parse(text: &str) -> Option<ETag> {
        let text = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        let (digest, parts) = match text.split_once('-') {
            None => (text, 0),
            Some((digest, parts)) => {
                let parts = parts.parse().ok().filter(|&parts: &u16| parts > 0 && !text.ends_with("-0"))?;
                (digest, parts)
            }
        };
        let mut bytes = [0; 16];
        hex::decode_to_slice(digest, &mut bytes).ok()?;
        Some(ETag { digest: bytes, parts })
    }
}

/// The text form without quotes: 32 hex digits, and `-n` for a multipart object.
impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.digest))?;
        if self.parts > 0 { write!(f, "-{}", self.parts) } else { Ok(()) }
    }
}

/// A storage class that a general purpose bucket accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum StorageClass {
    /// `STANDARD`
    #[default]
    Standard,
    /// `REDUCED_REDUNDANCY`
    ReducedRedundancy,
    /// `STANDARD_IA`
    StandardIa,
    /// `ONEZONE_IA`
    OnezoneIa,
    /// `INTELLIGENT_TIERING`
    IntelligentTiering,
    /// `GLACIER_IR`
    GlacierIr,
    /// `GLACIER`
    Glacier,
    /// `DEEP_ARCHIVE`
    DeepArchive,
}

impl StorageClass {
    /// Every class.
    pub const ALL: [StorageClass; 8] = [
        StorageClass::Standard,
        StorageClass::ReducedRedundancy,
        StorageClass::StandardIa,
        StorageClass::OnezoneIa,
        StorageClass::IntelligentTiering,
        StorageClass::GlacierIr,
        StorageClass::Glacier,
        StorageClass::DeepArchive,
    ];

    /// S3's name.
    pub const fn name(self) -> &'static str {
        match self {
            StorageClass::Standard => "STANDARD",
            StorageClass::ReducedRedundancy => "REDUCED_REDUNDANCY",
            StorageClass::StandardIa => "STANDARD_IA",
            StorageClass::OnezoneIa => "ONEZONE_IA",
            StorageClass::IntelligentTiering => "INTELLIGENT_TIERING",
            StorageClass::GlacierIr => "GLACIER_IR",
            StorageClass::Glacier => "GLACIER",
            StorageClass::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// The class of that name; case counts.
    pub fn parse(name: &str) -> Option<StorageClass> {
        StorageClass::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// What travels with an object: system metadata as headers carry it, and user metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Metadata {
    /// `Content-Type`; absent means `binary/octet-stream`.
    pub content_type: Option<String>,
    /// `Cache-Control`
    pub cache_control: Option<String>,
    /// `Content-Disposition`
    pub content_disposition: Option<String>,
    /// `Content-Encoding`, without `aws-chunked`.
    pub content_encoding: Option<String>,
    /// `Content-Language`
    pub content_language: Option<String>,
    /// `Expires`, as it was sent.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`
    pub website_redirect: Option<String>,
    /// `x-amz-meta-*`: lower-case names without the prefix, in the order sent.
    pub user: Vec<(String, String)>,
}

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// The tag's key.
    pub key: String,
    /// The tag's value.
    pub value: String,
}

/// Which version a request means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionSelector {
    /// The newest one.
    Current,
    /// The one of this id.
    Id(VersionId),
}

/// What must hold at the moment of commit for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WriteCondition {
    /// Nothing.
    #[default]
    None,
    /// `If-None-Match: *`: no visible object.
    IfAbsent,
    /// `If-Match`: the visible object has this ETag. `None` is a text that no ETag equals.
    IfMatch(Option<ETag>),
}

/// What must hold at the moment of commit for a delete to happen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DeleteCondition {
    /// Nothing.
    #[default]
    None,
    /// `If-Match: *`: there is a visible object.
    IfPresent,
    /// `If-Match`: the visible object has this ETag. `None` is a text that no ETag equals.
    IfMatch(Option<ETag>),
}

/// Everything known about one object version, its bytes apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The version's id; `Null` too in a bucket that never was versioned.
    pub version_id: VersionId,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag.
    pub etag: ETag,
    /// `Last-Modified`
    pub modified: Timestamp,
    /// Storage class.
    pub class: StorageClass,
    /// Tier, if the class is INTELLIGENT_TIERING.
    pub tier: Tier,
    /// The restore under way, or the restored copy that can be read now.
    pub restore: Option<Restore>,
    /// Whether the bytes can be read now; `false` for an archived object without a restored copy.
    pub readable: bool,
    /// The checksum that the client sent, or the one computed for it.
    pub checksum: Option<Checksum>,
    /// System and user metadata.
    pub metadata: Metadata,
    /// Tags, in the order set.
    pub tags: Vec<Tag>,
    /// How many parts a multipart object has; 0 for an object written at once.
    pub parts_count: u16,
    /// Whether the bucket was ever versioned, which decides if ids are reported.
    pub bucket_versioned: bool,
    /// Who owns it, what holds it, who has its key.
    pub protection: Protection,
    /// What is known of its replication.
    pub replication: ReplicationState,
    /// Its place among the versions of its key, also of a `null` version.
    pub stamp: Stamp,
}

/// One part of a completed multipart object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectPart {
    /// The part number given at upload.
    pub number: u16,
    /// Where the part begins in the object, in bytes.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
    /// The part's own checksum, of the upload's algorithm.
    pub checksum: Option<Checksum>,
}

/// What a listing says of an object's checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksumSummary {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// Whether it covers the object or its parts.
    pub kind: ChecksumKind,
}

#[cfg(test)]
mod tests {
    use super::{ETag, StorageClass};

    #[test]
    fn etags_read_back() {
        fn check(text: &str, expected: Option<&str>) {
            assert_eq!(ETag::parse(text).map(|etag| etag.to_string()).as_deref(), expected, "{text}");
        }
        let md5 = "d41d8cd98f00b204e9800998ecf8427e";
        check(md5, Some(md5));
        check(&format!("\"{md5}\""), Some(md5));
        check(&format!("{md5}-12"), Some(&format!("{md5}-12")));
        for text in ["", "*", "\"", "abc", &format!("{md5}-0"), &format!("{md5}-"), &format!("{md5}-70000")] {
            check(text, None);
        }
    }

    #[test]
    fn class_names_read_back() {
        for class in StorageClass::ALL {
            assert_eq!(StorageClass::parse(class.name()), Some(class));
        }
        assert_eq!(StorageClass::parse("standard"), None);
        assert_eq!(StorageClass::parse("OUTPOSTS"), None);
    }
}

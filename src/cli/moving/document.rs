//! The documents of an export: what a version is besides its bytes, what its bucket was set to, and how much there is.
//!
//! They are JSON for people and programs. An import reads exactly this form: a field that it does not know might be one that
//! protects the object, so it is refused.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::metadata_headers::SYSTEM_HEADERS;

/// The form of exports that this program writes and reads.
pub const FORM: u32 = 1;

/// The bucket, and how it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketDocument {
    /// [`FORM`]
    pub strata_export: u32,
    /// Its name.
    pub bucket: String,
    /// When the export began.
    pub exported: String,
    /// Whether it is a Strata's, whose version ids tell the order of versions.
    pub strata: bool,
    /// Only keys that begin so are in it.
    pub prefix: String,
    /// Whether it has the visible objects alone.
    pub current_only: bool,
    /// Its configurations, as S3 answers them.
    pub configuration: Vec<Configuration>,
}

/// One configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// S3's sub-resource: `lifecycle`, `policy` and so on.
    pub name: String,
    /// Which of several it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// The document, XML but for policies.
    pub document: String,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Properties {
    /// Its key.
    pub key: String,
    /// Its id; `null` for one without.
    pub version_id: String,
    /// Whether it is a delete marker, which has no content.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub delete_marker: bool,
    /// Whether it is the newest of its key.
    pub latest: bool,
    /// `Last-Modified` to the millisecond.
    pub modified: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its entity tag, without quotes.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub etag: String,
    /// The sizes of the parts that it was made of, in bytes; none if it was written at once.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parts: Vec<Part>,
    /// The headers that describe it: type, encoding, storage class, encryption and so on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub headers: BTreeMap<String, String>,
    /// User metadata, without `x-amz-meta-`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub metadata: BTreeMap<String, String>,
    /// Checksums by the names of their headers, their kind among them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub checksums: BTreeMap<String, String>,
    /// Tags.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub tags: BTreeMap<String, String>,
    /// The access control list as S3 answers it, unless it grants nobody but the owner.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub acl: Option<String>,
    /// The retention.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retention: Option<KeptUntil>,
    /// The legal hold, `ON` or `OFF`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub legal_hold: Option<String>,
    /// Why its content is not in the export. Then nothing but what listings tell is known of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left_out: Option<String>,
    /// What of its properties could not be exported.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub incomplete: Vec<String>,
}

/// The headers that describe a version in an export, besides those of its system metadata.
const HEADERS: [&str; 4] = [
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-storage-class",
];
/// Whether a header of that name describes a version in an export.
pub fn is_header(name: &str) -> bool {
    SYSTEM_HEADERS.contains(&name) || HEADERS.contains(&name)
}

/// How the names of checksums begin.
pub const CHECKSUM_PREFIX: &str = "x-amz-checksum-";

impl Properties {
    /// What no export says of a version, if this one does. Whoever made the file may have meant harm: what it calls
    /// headers is sent under the importer's signature.
    pub fn fault(&self) -> Option<String> {
        let mut checksums = self.checksums.keys().chain(self.parts.iter().flat_map(|part| part.checksums.keys()));
        if let Some(name) = self.headers.keys().find(|name| !is_header(name)) {
            return Some(format!("the header {name} is none of a version's"));
        }
        if let Some(name) = checksums.find(|name| !name.starts_with(CHECKSUM_PREFIX)) {
            return Some(format!("{name} is no checksum's name"));
        }
        if self.delete_marker && (self.size > 0 || !self.parts.is_empty()) {
            return Some("a delete marker has no content".to_owned());
        }
        let parts_bytes = self.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size));
        if !self.parts.is_empty() && parts_bytes != Some(self.size) {
            return Some("its parts are not as large as it is".to_owned());
        }
        None
    }
}

/// A part of an object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its size in bytes.
    pub size: u64,
    /// Its checksums by the names of their headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub checksums: BTreeMap<String, String>,
}

/// A retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptUntil {
    /// `GOVERNANCE` or `COMPLIANCE`
    pub mode: String,
    /// Until when.
    pub until: String,
}

/// How much there is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Versions with their content.
    pub objects: u64,
    /// Delete markers.
    pub delete_markers: u64,
    /// Versions whose content is not in it.
    pub left_out: u64,
    /// The bytes of the contents.
    pub bytes: u64,
    /// SHA-256 of all bytes of the file before this document.
    pub sha256: String,
}

/// A document's bytes.
pub fn write<T: Serialize>(document: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("texts and numbers are JSON");
    bytes.push(b'\n');
    bytes
}

/// Reads a document. `Err` says what is wrong with it.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// What stands behind a version: the hashes of its members, in the form of `sha256sum`, or why its content is no good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seal {
    /// The hashes of its properties and of its content, which delete markers do not have.
    Whole {
        /// In hex.
        properties: String,
        /// In hex.
        content: Option<String>,
    },
    /// The content could not be read to its end.
    Broken(String),
}

const BROKEN: &str = "broken: ";

impl Seal {
    /// The member's text. Names are as `sha256sum -c` looks for them, beside the seal itself.
    pub fn text(&self, content_name: &str) -> String {
        let name = content_name.rsplit('/').next().unwrap_or_default();
        match self {
            Seal::Broken(reason) => format!("{BROKEN}{}\n", reason.replace('\n', " ")),
            Seal::Whole { properties, content } => {
                let content = content.iter().map(|hash| format!("{hash}  {name}\n"));
                format!("{properties}  {name}.json\n") + &content.collect::<String>()
            }
        }
    }

    /// Reads a member's text; `None` if it is not one of `content_name`.
    pub fn parse(text: &str, content_name: &str) -> Option<Seal> {
        if let Some(reason) = text.strip_prefix(BROKEN) {
            return Some(Seal::Broken(reason.trim_end().to_owned()));
        }
        let mut hashes = text.lines().map(|line| line.split_once("  ").map_or(line, |(hash, _)| hash).to_owned());
        let seal = Seal::Whole { properties: hashes.next()?, content: hashes.next() };
        (seal.text(content_name) == text).then_some(seal)
    }
}

/// The hash of bytes, in hex.
pub fn hash(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::{BucketDocument, Manifest, Properties, Seal, hash, read, write};

    #[test]
    fn documents_read_back_and_unknown_fields_are_refused() {
        let properties = Properties {
            key: "a\u{0}\u{1F600}".to_owned(),
            version_id: "null".to_owned(),
            size: u64::MAX,
            ..Properties::default()
        };
        assert_eq!(read::<Properties>(&write(&properties)), Ok(properties));
        let manifest = Manifest { bytes: 7, ..Manifest::default() };
        assert_eq!(read::<Manifest>(&write(&manifest)), Ok(manifest));
        let unknown = br#"{"key":"a","version_id":"v","latest":true,"modified":"","size":0,"worm":true}"#;
        assert!(read::<Properties>(unknown).expect_err("it is not known").contains("worm"));
        assert!(read::<BucketDocument>(b"{}").is_err());
    }

    #[test]
    fn seals_read_back() {
        let (properties, content) = (hash(b"p"), Some(hash(b"c")));
        let whole = Seal::Whole { properties: properties.clone(), content };
        let name = "objects/d/a@v";
        assert_eq!(whole.text(name).lines().nth(1), Some(format!("{}  a@v", hash(b"c")).as_str()));
        for seal in [whole.clone(), Seal::Whole { properties, content: None }, Seal::Broken("why not".to_owned())] {
            assert_eq!(Seal::parse(&seal.text(name), name), Some(seal));
        }
        for text in ["", "x", &whole.text("objects/d/b@v"), &(whole.text(name) + "more\n")] {
            assert_eq!(Seal::parse(text, name), None, "{text}");
        }
    }
}

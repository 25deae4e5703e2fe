//! What protects a version: who owns it, what holds it back from deletion, and how it is encrypted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::account::AccountId;
use crate::stamp::Timestamp;

/// Who a version belongs to, and who else may use it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ObjectOwner {
    /// The account that owns it.
    pub account: AccountId,
    /// The access control list as a document that the engine never reads; `None` grants nothing to others.
    pub acl: Option<Vec<u8>>,
}

/// How strictly a version is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RetentionMode {
    /// `GOVERNANCE`: those who are allowed to bypass it may.
    Governance,
    /// `COMPLIANCE`: nobody may, before it is over.
    Compliance,
}

/// Until when a version is retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Retention {
    /// How strictly.
    pub mode: RetentionMode,
    /// Until when.
    pub until: Timestamp,
}

/// Whether a legal hold is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LegalHold {
    /// The version cannot be removed.
    On,
    /// It had a hold once, or was told to have none.
    Off,
}

/// What Object Lock says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Lock {
    /// Its retention, which may be over.
    pub retention: Option<Retention>,
    /// Its legal hold; `None` if nobody ever said.
    pub legal_hold: Option<LegalHold>,
}

/// How long new versions of a bucket are retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RetentionPeriod {
    /// So many days.
    Days(u32),
    /// So many years.
    Years(u32),
}

/// A bucket's Object Lock, which cannot be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ObjectLock {
    /// How new versions are retained that come without a retention of their own.
    pub default: Option<(RetentionMode, RetentionPeriod)>,
}

/// How much may be stored; `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes of all versions together.
    pub bytes: Option<u64>,
    /// The number of versions that are objects.
    pub objects: Option<u64>,
}

/// Who has the key of a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Encryption {
    /// The store: SSE-S3.
    #[default]
    Store,
    /// A key management service: SSE-KMS, and DSSE-KMS.
    Kms(KmsEncryption),
    /// The customer: SSE-C.
    Customer(CustomerEncryption),
}

impl Encryption {
    /// Whether the content is sealed with a key of its own, which readers must bring.
    pub fn is_sealed(&self) -> bool {
        !matches!(self, Encryption::Store)
    }
}

/// Encryption with a key that a key management service wraps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KmsEncryption {
    /// The ARN of the KMS key.
    pub key_arn: String,
    /// The encryption context, as canonical JSON.
    pub context: String,
    /// Whether a key of the bucket stands between the KMS key and the data key.
    pub bucket_key: bool,
    /// Whether two layers were asked for: DSSE-KMS.
    pub dual: bool,
    /// The data key as the service wrapped it.
    pub wrapped: Vec<u8>,
}

/// Encryption with a key that only the customer has.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerEncryption {
    /// The MD5 of the customer's key, which answers repeat.
    pub key_md5: [u8; 16],
    /// The data key wrapped with the customer's key, which also tells the right key from a wrong one.
    pub wrapped: Vec<u8>,
}

impl fmt::Debug for KmsEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsEncryption").field("key_arn", &self.key_arn).finish_non_exhaustive()
    }
}

impl fmt::Debug for CustomerEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerEncryption")
    }
}

/// What a new version is protected by.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Protection {
    /// Who it belongs to.
    pub owner: ObjectOwner,
    /// What holds it back from deletion.
    pub lock: Lock,
    /// Who has its key.
    pub encryption: Encryption,
}

//! What can go wrong in the engine, grouped by what the caller does next.

use crate::object::{ETag, StorageClass};
use crate::protection::Lock;
use crate::quota::QuotaExceeded;
use crate::stamp::{Timestamp, VersionId};
use crate::tiering::Tier;

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

/// The thing that a request named and that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entity {
    /// No bucket of that name.
    Bucket,
    /// The key has no visible object and no delete marker.
    Key,
    /// The key has no version of that id.
    Version,
    /// No open upload of that id for that key.
    Upload,
    /// The bucket has no configuration of that kind and id.
    Configuration,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The thing named in the request is not there. Do not retry.
    #[error("{0:?} does not exist")]
    NotFound(Entity),
    /// The version found is a delete marker, which has no content. Do not retry.
    #[error("the version is a delete marker")]
    DeleteMarker {
        /// The marker's version id.
        version_id: VersionId,
        /// When the marker was made.
        modified: Timestamp,
        /// Whether the request named the marker by its id.
        by_id: bool,
    },
    /// A bucket of that name exists already.
    #[error("the bucket exists already")]
    BucketExists,
    /// The bucket still holds a version, a delete marker or both.
    #[error("the bucket is not empty")]
    BucketNotEmpty,
    /// The bucket's present configuration forbids the change. Do not retry.
    #[error("the bucket's state forbids this: {0}")]
    BucketState(&'static str),
    /// The bucket has as many configurations of that kind as it can have. Delete one first.
    #[error("the bucket has {most} configurations of this kind already, which is the most")]
    TooManyConfigurations {
        /// The most that a bucket can have.
        most: usize,
    },
    /// A document, or its name, is larger than the engine keeps. Do not retry.
    #[error("the document or its name is too large")]
    DocumentTooLarge,
    /// Object Lock keeps the version as it is. Do not retry before its retention is over and its hold is taken off.
    #[error("the version is protected by Object Lock")]
    ObjectLocked {
        /// What protects it.
        lock: Lock,
    },
    /// The bucket has no Object Lock, so its versions cannot be locked. Do not retry.
    #[error("the bucket has no Object Lock")]
    NoObjectLock,
    /// A retention shall end at a time that is not in the future. Do not retry.
    #[error("the end of the retention is not in the future")]
    RetentionOver,
    /// The bucket, or its owner's account, may not hold as much. Delete something, or have the quota raised.
    #[error("{0}")]
    QuotaExceeded(QuotaExceeded),
    /// A condition set by the caller did not hold at commit time. Read again, then decide.
    #[error("a precondition did not hold")]
    Precondition,
    /// A conflicting change came between the start of the request and its commit. Begin anew.
    #[error("a conflicting operation came first")]
    Conflict,
    /// A part named in Complete is missing, or its ETag or checksum differs.
    #[error("part {number} does not match what was uploaded")]
    InvalidPart {
        /// The part's number as requested.
        number: u16,
        /// The ETag as requested.
        etag: String,
    },
    /// A part other than the last is below the minimum size.
    #[error("part {number} is too small")]
    PartTooSmall {
        /// The part's number.
        number: u16,
        /// Its size in bytes.
        size: u64,
        /// The least size in bytes.
        least: u64,
        /// Its ETag.
        etag: ETag,
    },
    /// Complete was told another size than the parts add up to.
    #[error("the parts add up to {actual} bytes, not {expected}")]
    SizeMismatch {
        /// What the caller expected, in bytes.
        expected: u64,
        /// What the parts add up to, in bytes.
        actual: u64,
    },
    /// The object would exceed the largest size that can be stored.
    #[error("{size} bytes exceed the maximum of {most}")]
    TooLarge {
        /// The size asked for, in bytes.
        size: u64,
        /// The most that is allowed, in bytes.
        most: u64,
    },
    /// A checksum given by the caller differs from the computed one. Nothing was stored.
    #[error("the checksum does not match the content")]
    ChecksumMismatch,
    /// A marker given to a list call cannot be used.
    #[error("the list marker is not valid")]
    BadMarker,
    /// The object is archived: it can be read once it was restored.
    #[error("the object is archived; restore it first")]
    Archived {
        /// Its storage class.
        class: StorageClass,
        /// Its tier, if the class is INTELLIGENT_TIERING.
        tier: Tier,
    },
    /// A restore is under way, and the request asks for nothing that would make it faster.
    #[error("the object is being restored already")]
    RestoreInProgress,
    /// The object is not archived, so there is nothing to restore. Do not retry.
    #[error("an object of class {} is not restored: it is not archived", class.name())]
    NotArchived {
        /// Its storage class.
        class: StorageClass,
    },
    /// Expedited restores are disabled, or as many as there is capacity for were begun lately. Try again later, or
    /// ask for another speed.
    #[error("there is no capacity for an expedited restore")]
    RestoreSpeedUnavailable,
    /// As many restores were asked for within a second as may be. Try again later.
    #[error("too many restores were asked for within a second")]
    RestoresThrottled,
    /// As much of this kind is being done as can be at once. Try again later.
    #[error("too many requests of this kind are under way")]
    Busy,
    /// Objects of the deep archive are not restored that fast. Ask for another speed.
    #[error("the deep archive offers no expedited restores")]
    RestoreSpeedNotOffered,
    /// The number of days asked for is not one that the object can be restored for. Do not retry.
    #[error("the days of a restore are not valid: {0}")]
    RestoreDays(&'static str),
    /// Stored bytes do not match their checksum. Do not retry; the blob needs repair.
    #[error("{what} is corrupt at {place}")]
    Corrupt {
        /// What kind of bytes.
        what: &'static str,
        /// Where they lie: a file and offset, or an index family and key.
        place: String,
    },
    /// The data directory holds a format that this build does not know. Use the build that wrote it.
    #[error("the data has format {found}; this build reads format {known}")]
    UnknownFormat {
        /// The format found.
        found: u32,
        /// The newest format known.
        known: u32,
    },
    /// The store has sealed data, and was opened without its master key. Open it with the key.
    #[error("the store is encrypted: opening it takes its master key")]
    MasterKeyMissing,
    /// The master key is not the one of this store. Open it with the right one.
    #[error("the master key is not the one that this store was encrypted with; give it the key that it had before")]
    MasterKeyWrong,
    /// The content is sealed with a data key of its own, which was not given.
    #[error("the content is sealed; its data key is needed to read it")]
    Sealed,
    /// A key is not the one that something was sealed with.
    #[error("the key is not the one that this was sealed with")]
    WrongKey,
    /// The bytes are sealed with a data key of their own while their protection says that they are not, or the reverse.
    /// Nothing was stored.
    #[error("the bytes are not sealed as their encryption says")]
    SealMismatch,
    /// A zone cannot be used as asked; the text says why, and what to do.
    #[error("{0}")]
    Zone(String),
    /// What is asked for is not whole without a zone that cannot be reached. Retry when that is back.
    #[error("a zone cannot be reached, and what it holds is needed; bring it back, or drain it to give it up")]
    ZoneAway,
    /// A backup, or the repository it is in, cannot be used as asked; the text says why, and what to do.
    #[error("{0}")]
    Backup(String),
    /// Another process holds the data directory.
    #[error("the data directory is locked by another process")]
    Locked,
    /// The disk is full. Writes may work again once space was freed.
    #[error("no space left while trying to {action}")]
    NoSpace {
        /// What was being done, in the present tense.
        action: &'static str,
    },
    /// The disk refused an operation. A later retry may work.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was being done, in the present tense.
        action: &'static str,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The index refused an operation.
    #[error("cannot {action}: {source}")]
    Index {
        /// What was being done, in the present tense.
        action: &'static str,
        /// RocksDB's reason.
        source: rocksdb::Error,
    },
    /// An earlier sync failed, so no write can be trusted until the store is reopened.
    #[error("the store refuses writes after a failed sync; reopen it")]
    Poisoned,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// Names an I/O error by what was being done, telling a full disk apart.
    pub(crate) fn io(action: &'static str, source: std::io::Error) -> Error {
        if is_full_disk(&source) { Error::NoSpace { action } } else { Error::Io { action, source } }
    }

    /// Whether the process, or the system, has too many files open. It says nothing about what is stored, and a later
    /// retry may work.
    pub fn is_out_of_files(&self) -> bool {
        match self {
            Error::Io { source, .. } => is_out_of_files(source),
            // RocksDB keeps nothing but the text.
            Error::Index { source, .. } => source.as_ref().contains("Too many open files"),
            _ => false,
        }
    }
}

/// Whether an I/O error tells that the process, or the system, has too many files open.
pub(crate) fn is_out_of_files(error: &std::io::Error) -> bool {
    let out = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| out.contains(&code))
}

/// Whether it is a full disk that an I/O error tells of.
pub(crate) fn is_full_disk(error: &std::io::Error) -> bool {
    let full = [rustix::io::Errno::NOSPC, rustix::io::Errno::DQUOT].map(rustix::io::Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| full.contains(&code))
}

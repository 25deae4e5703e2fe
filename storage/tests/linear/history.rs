//! What happened to one key: calls and answers, in the order in which they were seen.
//!
//! The order comes from one counter, not from a clock: a call that had ended before another began has the lesser number.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use md5::{Digest as _, Md5};
use strata_storage::{ETag, Stamp, VersionId, Versioning};

/// What an object holds: every write has bytes of its own, so an entity tag tells which.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Content(pub [u8; 16], pub u16);

impl Content {
    pub fn of(etag: ETag) -> Content {
        Content(etag.digest, etag.parts)
    }

    pub fn etag(self) -> ETag {
        ETag { digest: self.0, parts: self.1 }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0[0], self.0[1], self.0[2])?;
        if self.1 > 0 { write!(f, "-{}", self.1) } else { Ok(()) }
    }
}

/// The id of a version.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Id {
    Null,
    Of(Stamp),
}

impl Id {
    pub fn of(id: VersionId) -> Id {
        match id {
            VersionId::Null => Id::Null,
            VersionId::Stamp(stamp) => Id::Of(stamp),
        }
    }

    pub fn version_id(self) -> VersionId {
        match self {
            Id::Null => VersionId::Null,
            Id::Of(stamp) => VersionId::Stamp(stamp),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Null => f.write_str("null"),
            Id::Of(stamp) => write!(f, "v{}", stamp.time.as_nanos() % 1_000_000),
        }
    }
}

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Current,
    Named(Id),
}

/// What must hold for a write or a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    None,
    Absent,
    Present,
    Match(Content),
}

/// The parts of an upload, as a request lists them.
pub type Parts = Vec<(u16, Content)>;

/// What was asked for. Uploads have numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Concerns the whole bucket: it is in the history of each key.
    SetVersioning(Versioning),
    Put {
        content: Content,
        condition: Condition,
        tags: u8,
    },
    Delete {
        condition: Condition,
    },
    DeleteVersion(Id),
    SetTags {
        which: Which,
        tags: u8,
    },
    Get(Which),
    /// A page of the listing of objects, as far as it tells of this key.
    List,
    /// The same of versions.
    ListVersions,
    CreateUpload(usize),
    PutPart {
        upload: usize,
        number: u16,
        content: Content,
    },
    Complete {
        upload: usize,
        parts: Parts,
        condition: Condition,
    },
    Abort(usize),
}

impl Call {
    /// What it writes.
    pub fn written(&self) -> Option<Content> {
        match self {
            Call::Put { content, .. } => Some(*content),
            Call::Complete { parts, .. } => Some(joined(parts)),
            _ => None,
        }
    }
}

/// What an object of these parts is.
pub fn joined(parts: &[(u16, Content)]) -> Content {
    let digests: Vec<u8> = parts.iter().flat_map(|(_, part)| part.0).collect();
    Content(Md5::digest(&digests).into(), u16::try_from(parts.len()).expect("there are few parts"))
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// The version's id, where it has one, and what it holds.
    Written(Option<Id>, Content),
    Deleted {
        marker: bool,
        id: Option<Id>,
    },
    Tagged(Option<Id>),
    Object {
        id: Id,
        content: Content,
        tags: u8,
    },
    Listed(Option<Content>),
    /// Ids, newest first, with contents, but for those of markers; only the first of a key may be the latest.
    Versions(Vec<(Id, Option<Content>)>),
    Begun(Stamp),
    Refused(Refusal),
}

impl Answer {
    /// Whether it tells that such content is there.
    pub fn shows(&self, wanted: Content) -> bool {
        match self {
            Answer::Object { content, .. } => *content == wanted,
            Answer::Listed(content) => *content == Some(wanted),
            Answer::Versions(versions) => versions.iter().any(|(_, content)| *content == Some(wanted)),
            _ => false,
        }
    }
}

/// Why it was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Precondition,
    Conflict,
    NoKey,
    NoVersion,
    Marker(Id),
    NoUpload,
    InvalidPart,
}

/// A call with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Who called; for the eye only.
    pub client: usize,
    pub begun: u64,
    pub call: Call,
    /// When it was answered, and what. Without an answer it may have happened, at any time since it began, or not, or may
    /// yet happen.
    pub ended: Option<(u64, Answer)>,
}

impl Event {
    /// Whether it changes nothing, wherever it stands: a read, or what was refused.
    pub fn changes_nothing(&self) -> bool {
        matches!(self.call, Call::Get(_) | Call::List | Call::ListVersions)
            || matches!(self.ended, Some((_, Answer::Refused(_))))
    }
}

/// Tells what came first.
#[derive(Default)]
pub struct Order(AtomicU64);

impl Order {
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// A history for the eye, one line a call.
pub fn written(events: &[Event]) -> String {
    let line = |event: &Event| {
        let Event { client, begun, call, ended } = event;
        match ended {
            Some((ended, answer)) => format!("  {begun:>5}..{ended:<5} {client:>2}: {call:?} -> {answer:?}\n"),
            None => format!("  {begun:>5}..      {client:>2}: {call:?} -> nobody saw\n"),
        }
    };
    events.iter().map(line).collect()
}

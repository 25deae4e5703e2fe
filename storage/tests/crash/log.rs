//! What a store did to files, in the order in which it did it.

use std::ffi::OsString;

/// Names a file or directory for as long as the log, whatever its name is by then.
pub type NodeId = u64;

/// The watched directory itself, whose own name is never in question.
pub const ROOT: NodeId = 0;

/// Where a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The directory.
    pub within: NodeId,
    /// The name in it.
    pub name: OsString,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file with bytes.
    File,
    /// A directory.
    Directory,
}

/// One call that changed something, or made a change durable.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A new node got its first name.
    Create { at: Name, node: NodeId, kind: Kind },
    /// A file got a further name.
    Link { at: Name, node: NodeId },
    /// A name was removed.
    Unlink { at: Name, node: NodeId },
    /// A node's name was changed, in place of whatever had the new one.
    Rename { from: Name, to: Name, node: NodeId },
    /// Bytes were written.
    Write { node: NodeId, offset: u64, bytes: Vec<u8> },
    /// A file was cut short, or made longer by zeros.
    Resize { node: NodeId, bytes: u64 },
    /// A file's bytes, or a directory's names, were made durable.
    Sync { node: NodeId },
    /// A sync failed. What it should have made durable may be lost even if a later sync succeeds, as on Linux.
    SyncFailed { node: NodeId },
}

impl Entry {
    /// Whether it makes something durable: what comes before and after it are the states that matter most.
    pub fn is_sync(&self) -> bool {
        matches!(self, Entry::Sync { .. })
    }
}

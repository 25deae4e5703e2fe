//! What a check can find: a closed list, so that whoever reads findings knows all of them.

/// What is wrong, or noteworthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FindingKind {
    /// The index lacks its last acknowledged changes.
    ChangesMissing,
    /// A row that this build did not write, or that was altered.
    RowUnreadable,
    /// Rows of a bucket that does not exist.
    BucketGone,
    /// The rows that tell of one bucket disagree.
    BucketRows,
    /// Listings do not show the newest version of a key, or show another one.
    CurrentRow,
    /// The row that names the null version of a key is missing, superfluous or names another.
    NullRow,
    /// What a version or a part says of its content does not add up.
    ContentRecord,
    /// Bytes in the index, or a page of a manifest, are missing.
    ContentRow,
    /// A content lacks the reference to one of its chunks.
    ReferenceMissing,
    /// A content's chunk has no place.
    BlobMissing,
    /// A chunk cannot be read in any place: the object named is damaged.
    ContentLost,
    /// A row that belongs to no content or upload.
    Unowned,
    /// Two contents claim one row.
    SharedContent,
    /// A stored chunk that nothing refers to.
    BlobUnreferenced,
    /// A chunk has a place that its segment does not know of, or the other way round.
    PlacementRow,
    /// Chunks lie in a segment that is not there.
    SegmentMissing,
    /// A segment's counter of live bytes is wrong.
    SegmentCounter,
    /// A segment lacks a shard.
    ShardMissing,
    /// A shard cannot be opened, or is not what its name says.
    ShardUnusable,
    /// A record is damaged in some places, and sound in others.
    RecordDamaged,
    /// A record is damaged wherever it lies.
    RecordLost,
    /// A zone cannot be reached.
    ZoneMissing,
    /// A bucket's usage counters are wrong.
    UsageCounter,
    /// An upload says another size than its parts have.
    UploadCounter,
    /// A queue's counters are wrong.
    QueueCounter,
    /// Tasks of a queue that has no name.
    QueueUnnamed,
    /// A version has a timer that will not go off.
    TimerMissing,
    /// A segment in which nothing is live; the collector removes it.
    SegmentGarbage,
    /// A file of a shard that another one has taken the place of; the healer removes it.
    StrayFile,
}

impl FindingKind {
    /// Its name, in lower case with hyphens.
    pub const fn name(self) -> &'static str {
        match self {
            FindingKind::ChangesMissing => "changes-missing",
            FindingKind::RowUnreadable => "row-unreadable",
            FindingKind::BucketGone => "bucket-gone",
            FindingKind::BucketRows => "bucket-rows",
            FindingKind::CurrentRow => "current-row",
            FindingKind::NullRow => "null-row",
            FindingKind::ContentRecord => "content-record",
            FindingKind::ContentRow => "content-row",
            FindingKind::ReferenceMissing => "reference-missing",
            FindingKind::BlobMissing => "blob-missing",
            FindingKind::ContentLost => "content-lost",
            FindingKind::Unowned => "unowned",
            FindingKind::SharedContent => "shared-content",
            FindingKind::BlobUnreferenced => "blob-unreferenced",
            FindingKind::PlacementRow => "placement-row",
            FindingKind::SegmentMissing => "segment-missing",
            FindingKind::SegmentCounter => "segment-counter",
            FindingKind::ShardMissing => "shard-missing",
            FindingKind::ShardUnusable => "shard-unusable",
            FindingKind::RecordDamaged => "record-damaged",
            FindingKind::RecordLost => "record-lost",
            FindingKind::ZoneMissing => "zone-missing",
            FindingKind::UsageCounter => "usage-counter",
            FindingKind::UploadCounter => "upload-counter",
            FindingKind::QueueCounter => "queue-counter",
            FindingKind::QueueUnnamed => "queue-unnamed",
            FindingKind::TimerMissing => "timer-missing",
            FindingKind::SegmentGarbage => "segment-garbage",
            FindingKind::StrayFile => "stray-file",
        }
    }

    /// Whether it is a fault; the others are in order, and only told.
    pub const fn is_fault(self) -> bool {
        !matches!(self, FindingKind::SegmentGarbage | FindingKind::StrayFile)
    }

    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            FindingKind::ChangesMissing => {
                "the log of the index is damaged and the server will not start: go back to a copy of the store, or accept \
                 the loss by removing the file named here"
            }
            FindingKind::RowUnreadable
            | FindingKind::BucketGone
            | FindingKind::BucketRows
            | FindingKind::ContentRecord
            | FindingKind::SharedContent
            | FindingKind::PlacementRow
            | FindingKind::QueueUnnamed => {
                "the index is damaged: look at the disk of the data directory, and go back to a checkpoint or copy what \
                 can be read to another store"
            }
            FindingKind::CurrentRow | FindingKind::NullRow => {
                "write or delete the key once more, which sets its rows anew; then look why the index is damaged"
            }
            FindingKind::ContentRow
            | FindingKind::ReferenceMissing
            | FindingKind::BlobMissing
            | FindingKind::ContentLost
            | FindingKind::RecordLost => "write the object anew from another copy, or delete it",
            FindingKind::Unowned | FindingKind::BlobUnreferenced => {
                "nothing is lost; the space is not given back by itself: copy the objects to another store to have it"
            }
            FindingKind::SegmentMissing | FindingKind::ZoneMissing => {
                "bring back the disk that it was on; if it is lost, drain its zone and write the objects named here anew"
            }
            FindingKind::SegmentCounter => {
                "nothing is lost; the collector may come to the segment too early or too late"
            }
            FindingKind::ShardMissing | FindingKind::ShardUnusable => {
                "start the server, which rebuilds it, and check again"
            }
            FindingKind::RecordDamaged => "start the server and have it scrub: `strata scrub start`",
            FindingKind::UsageCounter | FindingKind::UploadCounter | FindingKind::QueueCounter => {
                "nothing is lost; reports and quotas count wrongly"
            }
            FindingKind::TimerMissing => "put the bucket's lifecycle rules once more, which sets all timers anew",
            FindingKind::SegmentGarbage | FindingKind::StrayFile => "nothing; it is removed while the server runs",
        }
    }
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// Where: a row, an object, a segment, a zone.
    pub place: String,
    /// What exactly.
    pub detail: String,
}

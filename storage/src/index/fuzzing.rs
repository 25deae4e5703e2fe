//! What fuzzers give to the readers of rows.

use std::fmt::Debug;

use crate::blob::Placement;
use crate::bucket::{Bucket, BucketRules};
use crate::index::key;
use crate::index::record::{
    ChunkRef, CompletedRecord, CurrentRecord, Garbage, PartEntry, PartRecord, Record, StoredBlob, UploadRecord,
    VersionRecord,
};
use crate::queue::{QueueName, TaskRecord};
use crate::stamp::{Stamp, Timestamp};

/// A value; the first byte says of which kind.
pub fn record(bytes: &[u8]) {
    let Some((kind, value)) = bytes.split_first() else { return };
    match kind % 14 {
        0 => read::<Bucket>(value),
        1 => read::<BucketRules>(value),
        2 => read::<VersionRecord>(value),
        3 => read::<CurrentRecord>(value),
        4 => read::<Stamp>(value),
        5 => read::<Timestamp>(value),
        6 => read::<UploadRecord>(value),
        7 => read::<PartRecord>(value),
        8 => read::<CompletedRecord>(value),
        9 => read::<Garbage>(value),
        10 => read::<Placement>(value),
        11 => read::<TaskRecord>(value),
        12 => read::<QueueName>(value),
        _ => {
            read::<StoredBlob>(value);
            read::<Vec<ChunkRef>>(value);
            read::<Vec<PartEntry>>(value);
        }
    }
}

/// What was read reads as the same when it is written again.
fn read<R: Record + PartialEq + Debug>(value: &[u8]) {
    let Ok(record) = R::decode(value) else { return };
    let again = R::decode(&record.encode()).expect("what was written can be read");
    assert_eq!(record, again);
}

/// A key of each family whose keys are taken apart.
pub fn row(bytes: &[u8]) {
    key::split_version(bytes);
    key::split_upload(bytes);
    key::split_account_bucket(bytes);
    key::split_due(bytes);
    key::split_usage(bytes);
    key::split_meter(bytes);
    key::Older::decode(bytes);
}

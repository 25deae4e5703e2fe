//! Keys of the index, encoded so that byte order is list order. The only reader and writer of their bytes.
//!
//! ```text
//! current, null   bucket id u64 | key
//! version         bucket id u64 | esc(key) | !time u64 | random u64        newest first
//! upload          bucket id u64 | esc(key) | time u64 | random u64         oldest first
//! part            upload stamp 16 | number u16
//! manifest        content id 16 | page u32
//! blob            blob id 32 | pool u8
//! reference       blob id 32 | pool u8 | content id 16
//! placement       segment u64 | offset u64
//! task            queue id u64 | state u8 | time u64 | random u64
//! due             kind u8 | time u64 | bucket id u64 | esc(key) | time u64 | random u64
//! usage           bucket id u64 | class u8 | tier u8
//! meter           bucket id u64 | month u32 | class u8 | counter u8
//! ```
//!
//! Integers are big-endian. `esc` maps 00 to 00 FF and ends with 00 00, so that a key sorts before its extensions.

use crate::account::AccountId;
use crate::blob::BlobId;
use crate::error::Error;
use crate::index::record::StoredBlob;
use crate::meter::{MeterKey, Metered, Month};
use crate::object::StorageClass;
use crate::pool::Pool;
use crate::queue::{QueueId, TaskState};
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::tiering::Tier;
use crate::usage::UsageKey;

/// The error for a key that this module did not write.
pub(crate) fn corrupt(what: &'static str, row: &[u8]) -> Error {
    Error::Corrupt { what, place: format!("key {}", hex::encode(row)) }
}

/// `bucket id | key`
pub(crate) fn object(bucket: u64, key: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.len());
    bytes.extend_from_slice(&bucket.to_be_bytes());
    bytes.extend_from_slice(key.as_bytes());
    bytes
}

/// The key text of a `current` or `null` row.
pub(crate) fn object_key(row: &[u8]) -> Option<&str> {
    std::str::from_utf8(row.get(8..)?).ok()
}

/// Every row of a bucket, in any family whose keys begin with the bucket id: from here to [`bucket_end`].
pub(crate) fn bucket_start(bucket: u64) -> Vec<u8> {
    bucket.to_be_bytes().to_vec()
}

/// The end of a bucket's rows, exclusive. Bucket ids count up from 1 and never reach the maximum.
pub(crate) fn bucket_end(bucket: u64) -> Vec<u8> {
    bucket.saturating_add(1).to_be_bytes().to_vec()
}

/// `bucket id | esc(key)`: what all versions, or all uploads, of one key begin with.
pub(crate) fn escaped(bucket: u64, key: &str) -> Vec<u8> {
    let mut bytes = escaped_prefix(bucket, key);
    bytes.extend_from_slice(&[0, 0]);
    bytes
}

/// `bucket id | esc(prefix)` without the terminator: what all rows of keys with that prefix begin with.
pub(crate) fn escaped_prefix(bucket: u64, prefix: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + prefix.len() + 2 + 16);
    bytes.extend_from_slice(&bucket.to_be_bytes());
    for &byte in prefix.as_bytes() {
        bytes.push(byte);
        if byte == 0 {
            bytes.push(0xFF);
        }
    }
    bytes
}

/// The first byte string after all that begin with `prefix`; empty if there is none.
pub(crate) fn after_prefix(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.pop() {
        if last < 0xFF {
            prefix.push(last + 1);
            break;
        }
    }
    prefix
}

/// The key of a version row.
pub(crate) fn version(bucket: u64, key: &str, stamp: Stamp) -> Vec<u8> {
    let mut bytes = escaped(bucket, key);
    bytes.extend_from_slice(&(!stamp.time.as_nanos()).to_be_bytes());
    bytes.extend_from_slice(&stamp.random.to_be_bytes());
    bytes
}

/// The key of an upload row.
pub(crate) fn upload(bucket: u64, key: &str, stamp: Stamp) -> Vec<u8> {
    let mut bytes = escaped(bucket, key);
    bytes.extend_from_slice(&stamp.to_bytes());
    bytes
}

/// Splits a version row's key into object key and stamp.
pub(crate) fn split_version(row: &[u8]) -> Option<(String, Stamp)> {
    let (key, stamp) = split_escaped(row)?;
    Some((key, Stamp { time: Timestamp::from_nanos(!stamp.time.as_nanos()), random: stamp.random }))
}

/// Splits an upload row's key into object key and stamp.
pub(crate) fn split_upload(row: &[u8]) -> Option<(String, Stamp)> {
    split_escaped(row)
}

fn split_escaped(row: &[u8]) -> Option<(String, Stamp)> {
    let mut key = Vec::with_capacity(row.len());
    let mut rest = row.get(8..)?;
    loop {
        match rest {
            [0, 0, stamp @ ..] => {
                let stamp = Stamp::from_bytes(stamp.try_into().ok()?);
                return Some((String::from_utf8(key).ok()?, stamp));
            }
            [0, 0xFF, tail @ ..] => {
                key.push(0);
                rest = tail;
            }
            [0, ..] | [] => return None,
            [byte, tail @ ..] => {
                key.push(*byte);
                rest = tail;
            }
        }
    }
}

/// The row that says which account owns a bucket, or where the rows of its buckets with such a prefix begin.
pub(crate) fn account_bucket(account: AccountId, bucket: &str) -> Vec<u8> {
    [&account.number().to_be_bytes()[..], bucket.as_bytes()].concat()
}

/// The bucket's name in such a row.
pub(crate) fn split_account_bucket(row: &[u8]) -> Option<&[u8]> {
    row.get(8..)
}

/// The key of a part row.
pub(crate) fn part(upload: Stamp, number: u16) -> Vec<u8> {
    let mut bytes = upload.to_bytes().to_vec();
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes
}

/// The part number in a part row's key.
pub(crate) fn part_number(row: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(row.get(16..)?.try_into().ok()?))
}

/// The key of a manifest page.
pub(crate) fn page(content: Stamp, page: u32) -> Vec<u8> {
    let mut bytes = content.to_bytes().to_vec();
    bytes.extend_from_slice(&page.to_be_bytes());
    bytes
}

/// The key of a blob row, and what all references to the blob in that pool begin with.
pub(crate) fn stored_blob(blob: &StoredBlob) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(33 + 16);
    bytes.extend_from_slice(&blob.id.0);
    bytes.push(blob.pool.number());
    bytes
}

/// The blob and pool in a blob row's key.
pub(crate) fn split_stored_blob(row: &[u8]) -> Option<StoredBlob> {
    let (id, pool) = row.split_first_chunk::<32>()?;
    let [pool] = pool else { return None };
    Some(StoredBlob { id: BlobId(*id), pool: Pool::from_number(*pool)? })
}

/// The key of a reference row.
pub(crate) fn reference(blob: &StoredBlob, content: Stamp) -> Vec<u8> {
    let mut bytes = stored_blob(blob);
    bytes.extend_from_slice(&content.to_bytes());
    bytes
}

/// The key of a placement row.
pub(crate) fn placement(segment: u64, offset: u64) -> Vec<u8> {
    let mut bytes = segment.to_be_bytes().to_vec();
    bytes.extend_from_slice(&offset.to_be_bytes());
    bytes
}

/// Segment and offset in such a row.
pub(crate) fn split_placement(row: &[u8]) -> Option<(u64, u64)> {
    let (segment, rest) = row.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*segment), u64::from_be_bytes(rest.try_into().ok()?)))
}

/// What a due row asks for. Each kind is a queue of its own, in order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DueKind {
    /// To evaluate a version, or a delete marker, by its bucket's rules: the version's timer.
    Version,
    /// To evaluate an open upload.
    Upload,
    /// To finish the restore of a version.
    Restore,
    /// To bring the chunks of a version to where they belong.
    Settle,
}

impl DueKind {
    const ALL: [DueKind; 4] = [DueKind::Version, DueKind::Upload, DueKind::Restore, DueKind::Settle];

    const fn number(self) -> u8 {
        match self {
            DueKind::Version => 0,
            DueKind::Upload => 1,
            DueKind::Restore => 2,
            DueKind::Settle => 3,
        }
    }
}

/// Which older versions of its key the change of a version concerns: those may wait, without a timer, for having enough
/// newer noncurrent ones. The value of a due row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Older {
    /// None: a timer, or something about the version alone.
    None,
    /// It became noncurrent: those that have just enough newer ones by that.
    Superseded,
    /// It was put in among older ones: those that may have enough by that.
    PutIn,
}

impl Older {
    /// The stored bytes.
    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Older::None => Vec::new(),
            Older::Superseded => vec![1],
            Older::PutIn => vec![2],
        }
    }

    /// The inverse of [`Older::encode`].
    pub(crate) fn decode(value: &[u8]) -> Option<Older> {
        [Older::None, Older::Superseded, Older::PutIn].into_iter().find(|older| older.encode() == value)
    }
}

/// A due row taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DueRow {
    pub(crate) kind: DueKind,
    pub(crate) at: Timestamp,
    pub(crate) bucket: u64,
    pub(crate) key: String,
    pub(crate) stamp: Stamp,
}

/// The key of a due row.
pub(crate) fn due(kind: DueKind, at: Timestamp, bucket: u64, key: &str, stamp: Stamp) -> Vec<u8> {
    let mut bytes = due_from(kind, at);
    bytes.extend_from_slice(&upload(bucket, key, stamp));
    bytes
}

/// What the rows of a kind from that time on are at or after; with the greatest time, what all of them are before.
pub(crate) fn due_from(kind: DueKind, at: Timestamp) -> Vec<u8> {
    let mut bytes = vec![kind.number()];
    bytes.extend_from_slice(&at.as_nanos().to_be_bytes());
    bytes
}

/// Takes a due row's key apart.
pub(crate) fn split_due(row: &[u8]) -> Option<DueRow> {
    let (number, rest) = row.split_first()?;
    let kind = DueKind::ALL.into_iter().find(|kind| kind.number() == *number)?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let bucket = u64::from_be_bytes(*rest.first_chunk()?);
    let (key, stamp) = split_escaped(rest)?;
    Some(DueRow { kind, at: Timestamp::from_nanos(u64::from_be_bytes(*at)), bucket, key, stamp })
}

/// The key of the row, in the family of fixed names, of what a storage-class analysis keeps.
pub(crate) fn analysis(bucket: u64, configuration: &str) -> Vec<u8> {
    let mut bytes = analyses(bucket);
    bytes.extend_from_slice(configuration.as_bytes());
    bytes
}

/// What the rows of all analyses of a bucket begin with.
pub(crate) fn analyses(bucket: u64) -> Vec<u8> {
    let mut bytes = b"analysis ".to_vec();
    bytes.extend_from_slice(&bucket.to_be_bytes());
    bytes
}

/// The key of a task.
pub(crate) fn task(queue: QueueId, state: TaskState, stamp: Stamp) -> Vec<u8> {
    let mut bytes = tasks(queue, state);
    bytes.extend_from_slice(&stamp.to_bytes());
    bytes
}

/// What the keys of all tasks of a queue in that state begin with.
pub(crate) fn tasks(queue: QueueId, state: TaskState) -> Vec<u8> {
    let mut bytes = queue.0.to_be_bytes().to_vec();
    bytes.push(state.number());
    bytes
}

/// What the keys of the rows begin with that name a version's tasks put aside in a queue. Each goes on with a task's stamp.
pub(crate) fn tasks_aside_of(queue: QueueId, key: &str, version: VersionId) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key("strata 2026-11-24 version of tasks put aside");
    hasher.update(version.to_string().as_bytes()).update(&[0]).update(key.as_bytes());
    let mut bytes = tasks(queue, TaskState::AsideOf);
    bytes.extend_from_slice(&hasher.finalize().as_bytes()[..16]);
    bytes
}

/// The key of a queue's counters: of all, or of one rule's tasks.
pub(crate) fn queue(queue: QueueId, rule: Option<&str>) -> Vec<u8> {
    let mut bytes = queue.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(rule.unwrap_or_default().as_bytes());
    bytes
}

/// The key under which a queue's name is kept, in the meta family.
pub(crate) fn queue_name(queue: QueueId) -> Vec<u8> {
    let mut bytes = queue_names();
    bytes.extend_from_slice(&queue.0.to_be_bytes());
    bytes
}

/// What the keys of all queues' names begin with.
pub(crate) fn queue_names() -> Vec<u8> {
    b"queue ".to_vec()
}

/// The key of a usage row.
pub(crate) fn usage(key: UsageKey) -> Vec<u8> {
    let mut bytes = key.bucket.to_be_bytes().to_vec();
    bytes.push(key.class as u8);
    bytes.push(key.tier as u8);
    bytes
}

/// Takes a usage row's key apart.
pub(crate) fn split_usage(row: &[u8]) -> Option<UsageKey> {
    let (bucket, rest) = row.split_first_chunk::<8>()?;
    let [class, tier] = rest else { return None };
    Some(UsageKey { bucket: u64::from_be_bytes(*bucket), class: class_of(*class)?, tier: tier_of(*tier)? })
}

/// The key of a meter row.
pub(crate) fn meter(key: MeterKey) -> Vec<u8> {
    let mut bytes = key.bucket.to_be_bytes().to_vec();
    bytes.extend_from_slice(&key.month.number().to_be_bytes());
    bytes.push(key.class as u8);
    bytes.push(key.metered.number());
    bytes
}

/// Takes a meter row's key apart.
pub(crate) fn split_meter(row: &[u8]) -> Option<MeterKey> {
    let (bucket, rest) = row.split_first_chunk::<8>()?;
    let (month, rest) = rest.split_first_chunk::<4>()?;
    let [class, metered] = rest else { return None };
    Some(MeterKey {
        bucket: u64::from_be_bytes(*bucket),
        month: Month::from_number(u32::from_be_bytes(*month)),
        class: class_of(*class)?,
        metered: Metered::from_number(*metered)?,
    })
}

fn class_of(number: u8) -> Option<StorageClass> {
    StorageClass::ALL.into_iter().find(|&class| class as u8 == number)
}

fn tier_of(number: u8) -> Option<Tier> {
    Tier::ALL.into_iter().find(|&tier| tier as u8 == number)
}

/// The value of a row of that many counters.
pub(crate) fn counters<const N: usize>(value: &[u8]) -> Option<[i64; N]> {
    let (numbers, []) = value.as_chunks::<8>() else { return None };
    let numbers: [[u8; 8]; N] = numbers.try_into().ok()?;
    Some(numbers.map(i64::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::{
        DueKind, DueRow, after_prefix, counters, due, escaped_prefix, meter, split_due, split_meter, split_upload,
        split_usage, split_version, task, tasks_aside_of, upload, usage, version,
    };
    use crate::meter::{MeterKey, Metered, Month};
    use crate::object::StorageClass;
    use crate::queue::{QueueId, TaskState};
    use crate::stamp::{Stamp, Timestamp, VersionId};
    use crate::tiering::Tier;
    use crate::usage::UsageKey;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    fn stamp(time: u64) -> Stamp {
        Stamp { time: Timestamp::from_nanos(time), random: 7 }
    }

    #[test]
    fn golden_bytes() {
        let row = version(1, "a\0b", stamp(2));
        assert_eq!(hex::encode(row), "00000000000000016100ff620000fffffffffffffffd0000000000000007");
        let row = upload(1, "a", stamp(2));
        assert_eq!(hex::encode(row), "000000000000000161000000000000000000020000000000000007");
    }

    #[test]
    fn golden_bytes_of_tasks() {
        let row = |state| hex::encode(task(QueueId(1), state, stamp(2)));
        let states = [TaskState::Waiting, TaskState::Aside, TaskState::Uploaded];
        for (state, number) in states.into_iter().zip(["00", "01", "02"]) {
            assert_eq!(row(state), format!("0000000000000001{number}00000000000000020000000000000007"));
        }
        let aside = |key, version| hex::encode(tasks_aside_of(QueueId(1), key, version));
        assert_eq!(aside("a", VersionId::Null), "000000000000000103e174885c912be72df9c8fadcd39866cd");
        assert_ne!(aside("a", VersionId::Null), aside("b", VersionId::Null));
        assert_ne!(aside("a", VersionId::Null), aside("a", VersionId::Stamp(stamp(2))));
    }

    #[test]
    fn rows_of_counters() {
        for class in StorageClass::ALL {
            for tier in Tier::ALL {
                let key = UsageKey { bucket: 7, class, tier };
                assert_eq!(split_usage(&usage(key)), Some(key));
            }
            let month = Month::of(Timestamp::from_secs(1_800_000_000));
            let key = MeterKey { bucket: 7, month, class, metered: Metered::RetrievedBytes };
            assert_eq!(split_meter(&meter(key)), Some(key));
        }
        assert_eq!((split_usage(&[0; 9]), split_usage(&[9; 10]), split_meter(&[9; 14])), (None, None, None));
        let bytes: Vec<u8> = [1_i64, -2].into_iter().flat_map(i64::to_le_bytes).collect();
        assert_eq!(counters(&bytes), Some([1, -2]));
        assert_eq!((counters::<3>(&bytes), counters::<1>(&bytes[..7])), (None, None));
    }

    #[test]
    fn ends_of_prefixes() {
        assert_eq!(after_prefix(vec![1, 2]), vec![1, 3]);
        assert_eq!(after_prefix(vec![1, 0xFF]), vec![2]);
        assert_eq!(after_prefix(vec![0xFF]), Vec::<u8>::new());
    }

    proptest! {
        #[test]
        fn keys_read_back(key in "\\PC{1,20}|[\\x00-\\x03]{1,6}", time in any::<u64>()) {
            prop_assert_eq!(split_version(&version(3, &key, stamp(time))), Some((key.clone(), stamp(time))));
            prop_assert_eq!(split_upload(&upload(3, &key, stamp(time))), Some((key.clone(), stamp(time))));
            let at = Timestamp::from_nanos(time);
            let row = due(DueKind::Settle, at, 3, &key, stamp(time));
            prop_assert_eq!(split_due(&row), Some(DueRow { kind: DueKind::Settle, at, bucket: 3, key, stamp: stamp(time) }));
        }

        #[test]
        fn rows_sort_by_key_then_newest(
            a in "[\\x00-\\x02]{1,4}", b in "[\\x00-\\x02]{1,4}", s in any::<u64>(), t in any::<u64>(),
        ) {
            let expected = a.as_bytes().cmp(b.as_bytes()).then(t.cmp(&s));
            prop_assert_eq!(version(1, &a, stamp(s)).cmp(&version(1, &b, stamp(t))), expected);
        }

        #[test]
        fn prefixes_cover_their_keys(prefix in "[\\x00-\\x02]{0,3}", tail in "[\\x00-\\x02]{1,3}") {
            let row = version(1, &format!("{prefix}{tail}"), stamp(1));
            prop_assert!(row.starts_with(&escaped_prefix(1, &prefix)));
        }
    }
}

//! Usage: how much each bucket holds per class and tier, counted in the batch that changes it.

use std::ops::AddAssign;

use crate::index::record::{ObjectRecord, VersionRecord};
use crate::object::StorageClass;
use crate::residence::Residence;
use crate::tiering::Tier;

/// Smaller objects are billed as if they had this size in the classes that have a least size, and are not monitored in
/// INTELLIGENT_TIERING.
pub(crate) const LEAST_BILLED_BYTES: u64 = 128 << 10;

/// Whether smaller objects of the class are billed as if they had 128 KiB. The same classes charge for what is read.
pub const fn has_least_size(class: StorageClass) -> bool {
    matches!(class, StorageClass::StandardIa | StorageClass::OnezoneIa | StorageClass::GlacierIr)
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UsageKey {
    /// The bucket's id.
    pub bucket: u64,
    /// The storage class; delete markers, and parts of open uploads, count as STANDARD.
    pub class: StorageClass,
    /// The tier, for INTELLIGENT_TIERING.
    pub tier: Tier,
}

/// What objects, delete markers and parts add up to. Negative numbers are differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Object versions.
    pub objects: i64,
    /// Their sizes, in bytes.
    pub bytes: i64,
    /// Their sizes, each at least 128 KiB, in bytes.
    pub billed_bytes: i64,
    /// Their sizes as stored: compressed, before copies and deduplication, in bytes.
    pub stored_bytes: i64,
    /// How many of them have less than 128 KiB.
    pub small_objects: i64,
    /// Delete markers.
    pub markers: i64,
    /// The lengths of the delete markers' keys, in bytes.
    pub marker_bytes: i64,
    /// Tags on objects.
    pub tags: i64,
    /// The sizes of the parts of uploads that are open, in bytes.
    pub part_bytes: i64,
    /// The sizes of those archived objects that a restored copy can be read of, in bytes.
    pub restored_bytes: i64,
}

impl Usage {
    /// How many numbers there are.
    pub(crate) const FIELDS: usize = 10;

    /// The numbers, in the order in which they are stored.
    pub(crate) fn to_array(self) -> [i64; Usage::FIELDS] {
        let Usage { objects, bytes, billed_bytes, stored_bytes, small_objects, markers, marker_bytes, .. } = self;
        let Usage { tags, part_bytes, restored_bytes, .. } = self;
        let storage = [objects, bytes, billed_bytes, stored_bytes, small_objects];
        let others = [markers, marker_bytes, tags, part_bytes, restored_bytes];
        let mut numbers = [0; Usage::FIELDS];
        numbers[..storage.len()].copy_from_slice(&storage);
        numbers[storage.len()..].copy_from_slice(&others);
        numbers
    }

    /// The inverse of [`Usage::to_array`].
    pub(crate) fn from_array(numbers: [i64; Usage::FIELDS]) -> Usage {
        let [objects, bytes, billed_bytes, stored_bytes, small_objects, others @ ..] = numbers;
        let [markers, marker_bytes, tags, part_bytes, restored_bytes] = others;
        let storage = Usage { objects, bytes, billed_bytes, stored_bytes, small_objects, ..Usage::default() };
        Usage { markers, marker_bytes, tags, part_bytes, restored_bytes, ..storage }
    }

    /// As [`Usage::from_array`], of numbers that [`Usage::to_array`] gave.
    pub(crate) fn from_slice(numbers: &[i64]) -> Usage {
        Usage::from_array(numbers.try_into().expect("rows of usage have one length"))
    }

    /// One object.
    pub(crate) fn object(size: u64, stored_bytes: u64, tags: usize) -> Usage {
        Usage {
            objects: 1,
            bytes: signed(size),
            billed_bytes: signed(size.max(LEAST_BILLED_BYTES)),
            stored_bytes: signed(stored_bytes),
            small_objects: i64::from(size < LEAST_BILLED_BYTES),
            tags: i64::try_from(tags).unwrap_or(i64::MAX),
            ..Usage::default()
        }
    }

    /// One delete marker of that key.
    pub(crate) fn marker(key: &str) -> Usage {
        Usage { markers: 1, marker_bytes: i64::try_from(key.len()).unwrap_or(i64::MAX), ..Usage::default() }
    }

    /// Parts of open uploads.
    pub(crate) fn parts(bytes: u64) -> Usage {
        Usage { part_bytes: signed(bytes), ..Usage::default() }
    }

    /// The difference that takes this away again.
    #[must_use]
    pub(crate) fn negated(self) -> Usage {
        Usage::from_array(self.to_array().map(|number| number.wrapping_neg()))
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        let mut sums = self.to_array();
        sums.iter_mut().zip(other.to_array()).for_each(|(sum, number)| *sum = sum.wrapping_add(number));
        *self = Usage::from_array(sums);
    }
}

/// Under what a bucket's delete markers are counted.
pub(crate) fn marker_key(bucket: u64) -> UsageKey {
    UsageKey { bucket, class: StorageClass::Standard, tier: Tier::Frequent }
}

/// Under what the parts of a bucket's open uploads are counted, whatever class the objects will have.
pub(crate) fn part_key(bucket: u64) -> UsageKey {
    UsageKey { bucket, class: StorageClass::Standard, tier: Tier::Frequent }
}

impl ObjectRecord {
    /// What the object adds to its bucket's usage, and under which key.
    pub(crate) fn usage(&self, bucket: u64) -> (UsageKey, Usage) {
        let Residence { class, tier, stored_bytes, .. } = self.residence;
        let mut usage = Usage::object(self.size, stored_bytes, self.tags.len());
        if self.residence.has_copy() {
            usage.restored_bytes = signed(self.size);
        }
        (UsageKey { bucket, class, tier }, usage)
    }
}

impl VersionRecord {
    /// What the version of that key adds to its bucket's usage, and under which key.
    pub(crate) fn usage(&self, bucket: u64, key: &str) -> (UsageKey, Usage) {
        match &self.object {
            Some(object) => object.usage(bucket),
            None => (marker_key(bucket), Usage::marker(key)),
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

//! Bills computed by hand, one for every rule of billing.

use strata_storage::{Activity, BucketActivity, BucketName, BucketUsage, Pool, PoolStatus, StorageClass, Tier, Usage};

use super::{Amounts, Bill, bill};
use crate::cost::Prices;

const GIB: i64 = 1 << 30;
const KIB: f64 = 1024.0;

fn name(text: &str) -> BucketName {
    BucketName::parse(text).expect("a valid name")
}

fn held(class: StorageClass, tier: Tier, usage: Usage) -> BucketUsage {
    BucketUsage { bucket: name("bucket"), class, tier, usage }
}

/// So many objects of that size.
fn objects(count: i64, size: i64) -> Usage {
    Usage {
        objects: count,
        bytes: count * size,
        billed_bytes: count * size.max(131_072),
        stored_bytes: count * size,
        small_objects: if size < 131_072 { count } else { 0 },
        ..Usage::default()
    }
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9 * expected.abs().max(1.0), "{found} instead of {expected}");
}

/// The costs of one line of usage.
fn cost_of(class: StorageClass, tier: Tier, usage: Usage) -> Amounts {
    bill(&[held(class, tier, usage)], &[], &[], &Prices::default()).lines[0].cost
}

fn cost_of_activity(class: StorageClass, activity: Activity) -> Amounts {
    let activity = BucketActivity { bucket: name("bucket"), class, activity };
    bill(&[], &[activity], &[], &Prices::default()).lines[0].cost
}

#[test]
fn storage_by_class() {
    fn check(class: StorageClass, expected: f64) {
        close(cost_of(class, Tier::Frequent, objects(10, GIB)).storage, 10.0 * expected);
    }
    check(StorageClass::Standard, 0.023);
    check(StorageClass::ReducedRedundancy, 0.024);
    check(StorageClass::StandardIa, 0.0125);
    check(StorageClass::OnezoneIa, 0.01);
    check(StorageClass::IntelligentTiering, 0.023);
    check(StorageClass::GlacierIr, 0.004);
    check(StorageClass::Glacier, 0.0036 * (1.0 + 32.0 * KIB / GIB as f64));
    check(StorageClass::DeepArchive, 0.00099 * (1.0 + 32.0 * KIB / GIB as f64));
}

#[test]
fn storage_by_tier() {
    fn check(tier: Tier, expected: f64) {
        close(cost_of(StorageClass::IntelligentTiering, tier, objects(10, GIB)).storage, 10.0 * expected);
    }
    check(Tier::Infrequent, 0.0125);
    check(Tier::ArchiveInstant, 0.004);
    check(Tier::Archive, 0.0036 * (1.0 + 32.0 * KIB / GIB as f64));
    check(Tier::DeepArchive, 0.00099 * (1.0 + 32.0 * KIB / GIB as f64));
}

#[test]
fn small_objects_have_a_least_size_in_some_classes() {
    fn check(class: StorageClass, expected: f64) {
        // 8,192 objects of 128 KiB are 1 GiB; these have 1 KiB each, 8 MiB together.
        close(cost_of(class, Tier::Frequent, objects(8192, 1024)).storage, expected);
    }
    check(StorageClass::StandardIa, 0.0125);
    check(StorageClass::OnezoneIa, 0.01);
    check(StorageClass::GlacierIr, 0.004);
    check(StorageClass::Standard, 0.023 / 128.0);
    check(StorageClass::IntelligentTiering, 0.023 / 128.0);
}

#[test]
fn archived_objects_have_an_overhead() {
    // 32,768 objects: their index entries are 1 GiB, their names a quarter of it.
    for (class, tier, rate) in [
        (StorageClass::Glacier, Tier::Frequent, 0.0036),
        (StorageClass::DeepArchive, Tier::Frequent, 0.00099),
        (StorageClass::IntelligentTiering, Tier::Archive, 0.0036),
        (StorageClass::IntelligentTiering, Tier::DeepArchive, 0.00099),
    ] {
        let cost = cost_of(class, tier, objects(32_768, 0));
        close(cost.storage, rate);
        close(cost.archive_names, 0.023 / 4.0);
    }
    assert_eq!(cost_of(StorageClass::GlacierIr, Tier::Frequent, objects(32_768, GIB)).archive_names, 0.0);
    assert_eq!(cost_of(StorageClass::IntelligentTiering, Tier::Frequent, objects(1, GIB)).archive_names, 0.0);
}

#[test]
fn objects_are_watched_in_intelligent_tiering_only() {
    close(cost_of(StorageClass::IntelligentTiering, Tier::Infrequent, objects(4000, 131_072)).monitoring, 0.01);
    assert_eq!(cost_of(StorageClass::IntelligentTiering, Tier::Frequent, objects(4000, 131_071)).monitoring, 0.0);
    assert_eq!(cost_of(StorageClass::Standard, Tier::Frequent, objects(4000, GIB)).monitoring, 0.0);
}

#[test]
fn markers_and_tags() {
    let usage = Usage { markers: 3, marker_bytes: GIB, tags: 20_000, ..Usage::default() };
    let cost = cost_of(StorageClass::Standard, Tier::Frequent, usage);
    close(cost.storage, 0.023);
    close(cost.tags, 0.013);
    close(cost.total, 0.036);
}

#[test]
fn restored_copies_and_parts_cost_as_standard() {
    let usage = Usage { restored_bytes: GIB, ..objects(1, GIB) };
    let cost = cost_of(StorageClass::DeepArchive, Tier::Frequent, usage);
    close(cost.temporary, 0.023);
    close(cost.total, 0.023 + cost.storage + cost.archive_names);
    let parts = Usage { part_bytes: 2 * GIB, ..Usage::default() };
    let bill = bill(&[held(StorageClass::Standard, Tier::Frequent, parts)], &[], &[], &Prices::default());
    close(bill.total.temporary, 0.046);
    close(bill.total.total, 0.046);
    assert_eq!((bill.lines[0].part_bytes, bill.lines[0].logical_bytes), (2 * GIB, 0));
    // They share the bands of STANDARD.
    let parts = Usage { part_bytes: 50 * 1024 * GIB, ..objects(50, 1024 * GIB) };
    close(cost_of(StorageClass::Standard, Tier::Frequent, parts).temporary, 51_200.0 * (0.023 + 0.022) / 2.0);
}

#[test]
fn bands_count_the_whole_store() {
    let half = |bucket: &str| BucketUsage {
        bucket: name(bucket),
        ..held(StorageClass::Standard, Tier::Frequent, objects(50, 1024 * GIB))
    };
    let whole = bill(&[half("one"), half("two")], &[], &[], &Prices::default());
    let expected = 51_200.0 * (0.023 + 0.022);
    close(whole.total.storage, expected);
    close(whole.lines[0].cost.storage, expected / 2.0);
    let one = whole.of_bucket("one");
    assert_eq!(one.lines.len(), 1);
    close(one.total.total, expected / 2.0);
}

#[test]
fn requests_and_transitions() {
    fn check(class: StorageClass, requests: f64, transitions: f64) {
        let activity = Activity { writes: 2000, reads: 10_000, transitions: 3000, ..Activity::default() };
        let cost = cost_of_activity(class, activity);
        close(cost.requests, requests);
        close(cost.transitions, transitions);
        close(cost.total, requests + transitions);
    }
    check(StorageClass::Standard, 0.01 + 0.004, 0.0);
    check(StorageClass::StandardIa, 0.02 + 0.01, 0.03);
    check(StorageClass::IntelligentTiering, 0.01 + 0.004, 0.03);
    check(StorageClass::GlacierIr, 0.04 + 0.1, 0.06);
    check(StorageClass::Glacier, 0.06 + 0.004, 0.09);
    check(StorageClass::DeepArchive, 0.1 + 0.004, 0.15);
}

#[test]
fn retrievals_and_restores() {
    fn check(class: StorageClass, activity: Activity, expected: f64) {
        close(cost_of_activity(class, activity).retrieval, expected);
    }
    let read = Activity { retrieved_bytes: 10 * GIB, ..Activity::default() };
    check(StorageClass::StandardIa, read, 0.1);
    check(StorageClass::OnezoneIa, read, 0.1);
    check(StorageClass::GlacierIr, read, 0.3);
    check(StorageClass::Standard, read, 0.0);
    let restored = |speed: usize| {
        let mut activity = Activity::default();
        activity.restores[speed] = 1000;
        activity.restored_bytes[speed] = 10 * GIB;
        activity
    };
    let (bulk, standard, expedited) = (restored(0), restored(1), restored(2));
    check(StorageClass::Glacier, bulk, 0.0);
    check(StorageClass::Glacier, standard, 0.05 + 0.1);
    check(StorageClass::Glacier, expedited, 10.0 + 0.3);
    check(StorageClass::DeepArchive, bulk, 0.025 + 0.025);
    check(StorageClass::DeepArchive, standard, 0.1 + 0.2);
    check(StorageClass::IntelligentTiering, bulk, 0.0);
    check(StorageClass::IntelligentTiering, standard, 0.0);
    check(StorageClass::IntelligentTiering, expedited, 10.0 + 0.3);
}

#[test]
fn leaving_early_costs_what_is_left_of_the_least_duration() {
    fn check(class: StorageClass, days: i64, expected: f64) {
        let activity = Activity { early_delete_byte_days: 10 * GIB * days, ..Activity::default() };
        close(cost_of_activity(class, activity).early_delete, expected);
    }
    check(StorageClass::StandardIa, 15, 10.0 * 0.0125 / 2.0);
    check(StorageClass::OnezoneIa, 30, 10.0 * 0.01);
    check(StorageClass::Glacier, 90, 10.0 * 0.0036 * 3.0);
    check(StorageClass::DeepArchive, 180, 10.0 * 0.00099 * 6.0);
}

/// The pool of the infrequent classes, in two copies; with so many bytes in segments, and so many in their shards.
fn copies(bytes: u64, physical_bytes: u64) -> PoolStatus {
    PoolStatus {
        pool: Pool::Cool,
        data: 1,
        parity: 1,
        segments: 1,
        degraded_segments: 0,
        lost_segments: 0,
        bytes,
        physical_bytes,
        object_bytes: 0,
        stored_bytes: 0,
    }
}

#[test]
fn a_line_tells_what_is_on_disks() {
    fn check(class: StorageClass, pool: PoolStatus, expected: i64) {
        let usage = Usage { stored_bytes: 5 * GIB, ..objects(10, GIB) };
        let found = bill(&[held(class, Tier::Frequent, usage)], &[], &[pool], &Prices::default());
        assert_eq!(found.lines[0].physical_bytes, expected, "{class:?} {pool:?}");
    }
    check(StorageClass::StandardIa, copies(0, 0), 10 * GIB);
    // Written while there was one zone, some of it.
    check(StorageClass::StandardIa, copies(100, 150), 15 * GIB / 2);
    check(StorageClass::Standard, copies(100, 150), 5 * GIB);
}

#[test]
fn a_line_tells_what_is_there() {
    let usage = Usage { stored_bytes: 5 * GIB, ..objects(10, GIB) };
    let activity = Activity { reads: 7, retrieved_bytes: 3, restored_bytes: [1, 1, 1], ..Activity::default() };
    let activity = BucketActivity { bucket: name("bucket"), class: StorageClass::StandardIa, activity };
    let found = bill(&[held(StorageClass::StandardIa, Tier::Frequent, usage)], &[activity], &[], &Prices::default());
    let [line] = found.lines.as_slice() else { panic!("{found:?}") };
    assert_eq!((line.bucket.as_str(), line.class.as_str(), line.tier.as_deref()), ("bucket", "STANDARD_IA", None));
    assert_eq!((line.objects, line.logical_bytes, line.compression), (10, 10 * GIB, Some(2.0)));
    assert_eq!((line.read_requests, line.retrieved_bytes), (7, 6));
    assert_eq!(bill(&[], &[], &[], &Prices::default()), Bill::default());
}

//! Quotas: of many writers exactly those succeed that fit, and all that is given up or removed gives back.

use std::sync::Arc;

use strata_storage::{
    AccountId, Amount, BucketChange, BucketName, ChecksumAlgorithm, CompleteUpload, CompletedPart, DeleteObject,
    Digests, Error, NewBucket, NewUpload, ObjectKey, PutObject, Quota, QuotaResource, QuotaScope, Result, StageOptions,
    Store, UploadId, VersionId, Versioning, WriteCondition, Written,
};
use tokio::sync::Barrier;

use crate::support::{Fixture, bucket, content, get, key, make_bucket, put};

const WRITERS: u64 = 24;

async fn limit(store: &Store, bytes: Option<u64>, objects: Option<u64>) {
    let change = BucketChange::Quota(Quota { bytes, objects });
    store.change_bucket(&bucket(), change).await.expect("the bucket is there");
}

async fn held(store: &Store) -> (i64, i64) {
    let Amount { bytes, objects } = store.held_by_bucket(&bucket()).await.expect("there are counters");
    (bytes, objects)
}

async fn write(store: &Store, name: &str, bytes: usize) -> Result<Written> {
    put(store, name, content(1, bytes), WriteCondition::None).await
}

async fn remove(store: &Store, name: &str, version: Option<VersionId>) {
    let (condition, governance) = (Default::default(), Default::default());
    let request = DeleteObject { bucket: bucket(), key: key(name), version, condition, governance };
    store.delete(request).await.expect("it is deleted");
}

fn exceeds<T>(outcome: &Result<T>) -> Option<(QuotaScope, QuotaResource, u64)> {
    match outcome {
        Err(Error::QuotaExceeded(exceeded)) => Some((exceeded.scope, exceeded.resource, exceeded.left)),
        Err(error) => panic!("{error}"),
        Ok(_) => None,
    }
}

/// Lets many write at once, each under a key of its own, and counts those who succeed. All others must be told that
/// there is no room.
async fn race(store: &Store, buckets: &[BucketName], round: u64, bytes: usize) -> usize {
    let barrier = Arc::new(Barrier::new(usize::try_from(WRITERS).expect("a few")));
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, barrier) = (store.clone(), Arc::clone(&barrier));
            let bucket = buckets[usize::try_from(writer).expect("a few") % buckets.len()].clone();
            tokio::spawn(async move {
                let staged = store.stage_bytes(content(writer, bytes)).await.expect("it is staged");
                barrier.wait().await;
                let put = PutObject::new(bucket, key(&format!("{round}/{writer}")), staged);
                exceeds(&store.put(put).await).is_none()
            })
        })
        .collect();
    let mut successes = 0;
    for writer in writers {
        successes += usize::from(writer.await.expect("no writer panics"));
    }
    successes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_many_succeed_as_fit() {
    for (bytes, size) in [(Some(1000 * 10 + 999), 1000), (Some(6000 * 7), 6000), (None, 100)] {
        let fixture = Fixture::new().await;
        make_bucket(&fixture.store).await;
        let objects = if bytes.is_some() { None } else { Some(5) };
        limit(&fixture.store, bytes, objects).await;
        let fit = bytes.map_or(5, |bytes| usize::try_from(bytes).expect("few") / size);
        assert_eq!(race(&fixture.store, &[bucket()], 0, size).await, fit);
        assert_eq!(held(&fixture.store).await, ((fit * size) as i64, fit as i64));
        assert_eq!(race(&fixture.store, &[bucket()], 1, size).await, 0);
        // What is counted anew after an open is the same.
        let fixture = fixture.reopen().await;
        assert_eq!(race(&fixture.store, &[bucket()], 2, size).await, 0);
        limit(&fixture.store, bytes.map(|bytes| bytes + 3 * size as u64), objects.map(|objects| objects + 3)).await;
        assert_eq!(race(&fixture.store, &[bucket()], 3, size).await, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn buckets_of_an_account_share_its_quota() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let (owner, other) = (AccountId::new(42).expect("few digits"), AccountId::new(43).expect("few digits"));
    let names: Vec<BucketName> =
        ["one", "two", "three"].map(|name| BucketName::parse(name).expect("a valid name")).to_vec();
    for name in &names[..2] {
        store.create_bucket(name, NewBucket { owner, ..NewBucket::default() }).await.expect("the name is free");
    }
    assert_eq!(race(store, &names[..2], 0, 10).await, WRITERS as usize);
    store.set_account_quota(owner, Quota { bytes: None, objects: Some(WRITERS + 7) });
    assert_eq!(store.account_quota(owner).objects, Some(WRITERS + 7));
    assert_eq!(race(store, &names[..2], 1, 10).await, 7);
    // A bucket that is made later counts too, one of another account never.
    store.create_bucket(&names[2], NewBucket { owner, ..NewBucket::default() }).await.expect("the name is free");
    assert_eq!(race(store, &names, 2, 10).await, 0);
    let foreign = BucketName::parse("foreign").expect("a valid name");
    store.create_bucket(&foreign, NewBucket { owner: other, ..NewBucket::default() }).await.expect("it is free");
    assert_eq!(race(store, &[foreign], 0, 10).await, WRITERS as usize);
    // The narrower limit counts.
    store.set_account_quota(owner, Quota { bytes: None, objects: Some(WRITERS + 10) });
    let change = BucketChange::Quota(Quota { bytes: Some(10), objects: None });
    store.change_bucket(&names[2], change).await.expect("it is there");
    assert_eq!(race(store, &names[2..], 3, 10).await, 1);
    assert_eq!(race(store, &names[..2], 4, 10).await, 2);
    let held = store.held_by_account(owner).await.expect("there are counters");
    assert_eq!(held, Amount { bytes: 10 * (WRITERS as i64 + 10), objects: WRITERS as i64 + 10 });
    store.set_account_quota(owner, Quota::default());
    assert_eq!(race(store, &names[..2], 5, 10).await, WRITERS as usize);
}

#[tokio::test]
async fn what_is_removed_makes_room() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    make_bucket(store).await;
    limit(store, Some(1000), Some(2)).await;
    write(store, "a", 600).await.expect("it fits");
    assert_eq!(exceeds(&write(store, "b", 401).await), Some((QuotaScope::Bucket, QuotaResource::Bytes, 400)));
    write(store, "b", 400).await.expect("it fits");
    assert_eq!(exceeds(&write(store, "c", 0).await), Some((QuotaScope::Bucket, QuotaResource::Objects, 0)));
    // An object may take the place of another one where it is no larger.
    write(store, "b", 400).await.expect("it takes the place of itself");
    assert_eq!(exceeds(&write(store, "b", 401).await), Some((QuotaScope::Bucket, QuotaResource::Bytes, 0)));
    write(store, "b", 300).await.expect("it is smaller");
    remove(store, "a", None).await;
    assert_eq!(held(store).await, (300, 1));
    write(store, "a", 700).await.expect("there is room again");
    // Every version counts, and a delete marker does not.
    let change = BucketChange::Versioning(Versioning::Enabled);
    store.change_bucket(&bucket(), change).await.expect("it is there");
    assert!(exceeds(&write(store, "a", 1).await).is_some());
    remove(store, "a", None).await;
    assert!(exceeds(&write(store, "a", 1).await).is_some());
    remove(store, "a", Some(VersionId::Null)).await;
    write(store, "a", 1).await.expect("the version is gone");
    // A limit below what is there removes nothing, and stops what grows.
    limit(store, Some(10), None).await;
    assert_eq!(exceeds(&write(store, "d", 1).await), Some((QuotaScope::Bucket, QuotaResource::Bytes, 0)));
    write(store, "d", 0).await.expect("it has no bytes");
    limit(store, None, None).await;
    write(store, "d", 5000).await.expect("there are no limits");
}

#[tokio::test]
async fn what_fails_or_is_given_up_reserves_nothing() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    make_bucket(store).await;
    limit(store, Some(1000), None).await;
    write(store, "a", 1).await.expect("it fits");
    for _ in 0..3 {
        let refused = put(store, "a", content(1, 900), WriteCondition::IfAbsent).await;
        assert!(matches!(refused, Err(Error::Precondition)));
        // Polled once, and dropped wherever it is then.
        let staged = store.stage_bytes(content(1, 900)).await.expect("it is staged");
        let mut write = Box::pin(store.put(PutObject::new(bucket(), key("dropped"), staged)));
        std::future::poll_fn(|context| {
            let _ = write.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        drop(write);
        // If its batch was on its way already, the object is there.
        remove(store, "dropped", None).await;
    }
    assert_eq!(held(store).await, (1, 1));
    write(store, "b", 999).await.expect("all is given back");
    assert_eq!(exceeds(&write(store, "c", 1).await), Some((QuotaScope::Bucket, QuotaResource::Bytes, 0)));
}

async fn part(store: &Store, id: UploadId, number: u16, bytes: usize) -> Result<String> {
    let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
    let mut stage = store.stage(StageOptions { digests, ..StageOptions::default() });
    stage.write(content(1, bytes).into()).await?;
    let part = store.put_part(&bucket(), &key("upload"), id, number, stage.finish().await?, None).await?;
    Ok(part.etag.to_string())
}

async fn complete(store: &Store, id: UploadId, etag: &str) -> Result<()> {
    let parts = vec![CompletedPart { number: 1, etag: etag.to_owned(), checksum: None }];
    let (bucket, key, condition) = (bucket(), key("upload"), WriteCondition::None);
    let request = CompleteUpload { bucket, key, id, parts, size: None, checksum: None, condition, replica: None };
    store.complete_upload(request).await.map(drop)
}

#[tokio::test]
async fn parts_of_open_uploads_count() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    limit(&fixture.store, Some(1000), Some(1)).await;
    let begin = |store: Store| async move {
        let key: ObjectKey = key("upload");
        store.create_upload(&bucket(), &key, NewUpload::default()).await.expect("it begins")
    };
    let first = begin(fixture.store.clone()).await;
    part(&fixture.store, first, 1, 600).await.expect("it fits");
    assert!(exceeds(&part(&fixture.store, first, 2, 401).await).is_some());
    part(&fixture.store, first, 2, 400).await.expect("it fits");
    part(&fixture.store, first, 2, 300).await.expect("it takes the place of another");
    assert_eq!(held(&fixture.store).await, (900, 0));
    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    assert_eq!(store.recount(&bucket()).await.expect("it is counted"), []);
    let second = begin(store.clone()).await;
    assert_eq!(exceeds(&part(store, second, 1, 101).await), Some((QuotaScope::Bucket, QuotaResource::Bytes, 100)));
    store.abort_upload(&bucket(), &key("upload"), first).await.expect("it is open");
    assert_eq!(held(store).await, (0, 0));
    let etag = part(store, second, 1, 1000).await.expect("there is room again");
    part(store, second, 2, 0).await.expect("it has no bytes");
    // Its parts are the object's, of which they are no longer.
    complete(store, second, &etag).await.expect("it needs no more room");
    assert_eq!(held(store).await, (1000, 1));
    assert_eq!(get(store, "upload", strata_storage::VersionSelector::Current).await.expect("it is there").len(), 1000);
    let third = begin(store.clone()).await;
    let etag = part(store, third, 1, 0).await.expect("it has no bytes");
    complete(store, third, &etag).await.expect("it takes the place of the object");
    assert_eq!(held(store).await, (0, 1));
    assert_eq!(store.recount(&bucket()).await.expect("it is counted"), []);
    // A bucket that is deleted takes its uploads along.
    remove(store, "upload", None).await;
    let fourth = begin(store.clone()).await;
    part(store, fourth, 1, 1000).await.expect("it fits");
    store.delete_bucket(&bucket()).await.expect("no version is left");
    make_bucket(store).await;
    limit(store, Some(10), None).await;
    write(store, "a", 10).await.expect("it is another bucket");
}

#[tokio::test]
async fn room_is_told_before_bytes_are_sent() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    make_bucket(store).await;
    limit(store, Some(1000), Some(1)).await;
    let asked = |name: &'static str, size| async move {
        let key = key(name);
        exceeds(&store.check_room_for_object(&bucket(), &key, size).await).map(|(_, resource, left)| (resource, left))
    };
    assert_eq!(asked("a", 1000).await, None);
    assert_eq!(asked("a", 1001).await, Some((QuotaResource::Bytes, 1000)));
    write(store, "a", 700).await.expect("it fits");
    assert_eq!(asked("b", 1).await, Some((QuotaResource::Objects, 0)));
    assert_eq!(asked("a", 1000).await, None);
    assert_eq!(asked("a", 1001).await, Some((QuotaResource::Bytes, 300)));
    let change = BucketChange::Versioning(Versioning::Suspended);
    store.change_bucket(&bucket(), change).await.expect("it is there");
    assert_eq!(asked("a", 1000).await, None, "the null version is replaced");
    let id = store.create_upload(&bucket(), &key("upload"), NewUpload::default()).await.expect("it begins");
    part(store, id, 1, 300).await.expect("it fits");
    assert!(store.check_room_for_part(&bucket(), id, 1, 300).await.is_ok());
    assert!(exceeds(&store.check_room_for_part(&bucket(), id, 2, 1).await).is_some());
}

//! Damaged rows: each kind is found, and nothing else.

use super::{World, chunk_of, damaged, newest, object, object_row, rows, settled};
use crate::index::key::DueKind;
use crate::index::record::{Body, Content, ContentForm, CurrentRecord, Record as _, UploadRecord};
use crate::index::{Batch, Family, key};
use crate::queue::QueueId;
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::store::Store;
use crate::{AccountId, Bucket, FindingKind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_read() {
    use FindingKind::RowUnreadable;
    damaged(&[(RowUnreadable, 1)], async |store, batch| {
        let (row, _) = newest(store, "small").await;
        batch.put_raw(Family::Version, row, vec![9, 9]);
    })
    .await;
    damaged(&[(RowUnreadable, 3)], async |_, batch| {
        batch.put_raw(Family::Due, vec![7; 40], Vec::new());
        batch.put_raw(Family::Meter, [&1_u64.to_be_bytes()[..], &[1]].concat(), vec![0; 8]);
        batch.put_raw(Family::Access, vec![1; 16], vec![0]);
    })
    .await;
    damaged(&[(RowUnreadable, 1)], async |store, batch| {
        let (row, mut value) = rows(store, Family::Inline).await.remove(0);
        *value.last_mut().unwrap() ^= 1;
        batch.put_raw(Family::Inline, row, value);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_listings_and_null_versions() {
    use FindingKind::{CurrentRow, NullRow};
    damaged(&[(CurrentRow, 1)], async |_, batch| batch.delete(Family::Current, object_row("small"))).await;
    damaged(&[(CurrentRow, 1)], async |store, batch| {
        let row = object_row("small");
        let mut current: CurrentRecord = store.inner.index.record(Family::Current, row.clone()).await.unwrap().unwrap();
        current.size += 1;
        batch.put(Family::Current, row, &current);
    })
    .await;
    damaged(&[(CurrentRow, 1)], async |store, batch| {
        let current = store.inner.index.get(Family::Current, object_row("small")).await.unwrap().unwrap();
        batch.put_raw(Family::Current, object_row("zebra"), current);
    })
    .await;
    damaged(&[(NullRow, 1)], async |_, batch| batch.delete(Family::Null, object_row("again"))).await;
    damaged(&[(NullRow, 1)], async |_, batch| {
        let stamp = Stamp { time: Timestamp::from_nanos(1), random: 1 };
        batch.put(Family::Null, object_row("small"), &stamp);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_contents_need() {
    use FindingKind::{
        BlobMissing, BlobUnreferenced, ContentRecord, ContentRow, PlacementRow, ReferenceMissing, SegmentCounter,
        SharedContent, Unowned, UsageCounter,
    };
    damaged(&[(ContentRow, 1)], async |store, batch| {
        let (_, record) = newest(store, "small").await;
        let id = record.object.unwrap().body.id();
        batch.delete(Family::Inline, id.to_bytes().to_vec());
    })
    .await;
    damaged(&[(ContentRow, 1)], async |store, batch| {
        let (_, record) = newest(store, "pages").await;
        let id = record.object.unwrap().body.id();
        batch.delete(Family::Manifest, key::page(id, 0));
    })
    .await;
    damaged(&[(ReferenceMissing, 1), (BlobUnreferenced, 1)], async |store, batch| {
        let (blob, content, _) = chunk_of(store, "class-STANDARD").await;
        batch.delete(Family::Reference, key::reference(&blob, content));
    })
    .await;
    damaged(&[(Unowned, 1)], async |store, batch| {
        let (blob, ..) = chunk_of(store, "large").await;
        let nobody = Stamp { time: Timestamp::from_nanos(1), random: 1 };
        batch.put_raw(Family::Reference, key::reference(&blob, nobody), Vec::new());
    })
    .await;
    damaged(&[(BlobMissing, 1), (PlacementRow, 1)], async |store, batch| {
        let (blob, ..) = chunk_of(store, "class-STANDARD").await;
        batch.delete(Family::Blob, key::stored_blob(&blob));
    })
    .await;
    damaged(&[(PlacementRow, 1), (SegmentCounter, 1)], async |store, batch| {
        let (_, _, place) = chunk_of(store, "large").await;
        batch.delete(Family::Placement, key::placement(place.segment, place.offset));
    })
    .await;
    damaged(&[(ContentRecord, 3)], async |store, batch| {
        // The one has another size than its bytes and its version, the other lies beyond the end of its chunk.
        change_content(store, "small", |content| content.bytes -= 1, batch).await;
        let beyond = |content: &mut Content| {
            if let ContentForm::Chunks(chunks) = &mut content.form {
                chunks[0].offset = 1;
            }
        };
        change_content(store, "class-STANDARD", beyond, batch).await;
    })
    .await;
    damaged(&[(SharedContent, 1), (UsageCounter, 1)], async |store, batch| {
        let (_, record) = newest(store, "small").await;
        let copy = Stamp { time: Timestamp::from_secs(1), random: 1 };
        let object = record.object.clone().unwrap();
        batch.put(Family::Current, object_row("zebra"), &CurrentRecord::of(copy, record.null, &object));
        batch.put(Family::Version, key::version(1, "zebra", copy), &record);
    })
    .await;
}

/// Changes the content of the newest version of a key.
async fn change_content(store: &Store, name: &str, change: impl FnOnce(&mut Content), batch: &mut Batch) {
    let (row, mut record) = newest(store, name).await;
    let Some(Body::Single(content)) = record.object.as_mut().map(|object| &mut object.body) else { panic!("{name}") };
    change(content);
    batch.put(Family::Version, row, &record);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters() {
    use FindingKind::{QueueCounter, QueueUnnamed, SegmentCounter, Unowned, UploadCounter, UsageCounter};
    damaged(&[(SegmentCounter, 1)], async |store, batch| {
        let (_, _, place) = chunk_of(store, "large").await;
        batch.add(Family::Segment, place.segment.to_be_bytes().to_vec(), vec![64]);
    })
    .await;
    damaged(&[(SegmentCounter, 1)], async |_, batch| {
        batch.add(Family::Segment, 1_000_u64.to_be_bytes().to_vec(), vec![64]);
    })
    .await;
    damaged(&[(UsageCounter, 1)], async |store, batch| {
        let (row, _) = rows(store, Family::Usage).await.remove(0);
        batch.add(Family::Usage, row, vec![0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    })
    .await;
    damaged(&[(QueueCounter, 1)], async |store, batch| {
        let (row, _) = rows(store, Family::Queue).await.remove(0);
        batch.add(Family::Queue, row, vec![-1, 0, 0, 0, 0, 0, 0]);
    })
    .await;
    damaged(&[(QueueUnnamed, 1)], async |store, batch| {
        let (row, _) = rows(store, Family::Queue).await.remove(0);
        batch.delete(Family::Meta, [&key::queue_names()[..], &row].concat());
    })
    .await;
    damaged(&[(Unowned, 1)], async |store, batch| {
        let (row, _) = rows(store, Family::Queue).await.remove(0);
        let queue = QueueId(u64::from_be_bytes(*row.first_chunk().unwrap()));
        let mut row = key::tasks_aside_of(queue, "small", VersionId::Null);
        row.extend_from_slice(&[0; 16]);
        batch.put_raw(Family::Task, row, Vec::new());
    })
    .await;
    damaged(&[(UploadCounter, 1)], async |store, batch| {
        let (row, value) = rows(store, Family::Upload).await.remove(0);
        let mut upload = UploadRecord::decode(&value).unwrap();
        upload.part_bytes += 1;
        batch.put(Family::Upload, row, &upload);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_and_timers() {
    use FindingKind::{BucketGone, BucketRows, TimerMissing};
    damaged(&[(BucketRows, 1)], async |store, batch| {
        let (row, value) = rows(store, Family::Bucket).await.remove(0);
        let other = Bucket { owner: AccountId::new(7).unwrap(), ..Bucket::decode(&value).unwrap() };
        batch.put(Family::Bucket, row, &other);
    })
    .await;
    damaged(&[(BucketGone, 1)], async |_, batch| {
        batch.put_raw(Family::Reindex, 77_u64.to_be_bytes().to_vec(), Vec::new());
    })
    .await;
    damaged(&[(TimerMissing, 1)], async |store, batch| {
        let (row, mut record) = newest(store, "small").await;
        record.due = Some(Timestamp::from_secs(2_000_000));
        batch.put(Family::Version, row, &record);
    })
    .await;
    // What is stale is counted alone.
    let world = World::new(1);
    settled(&world).await;
    let before = world.assert_sound().stale_timers;
    world
        .damage(async |_, batch| {
            let nobody = Stamp { time: Timestamp::from_nanos(1), random: 1 };
            batch.put_due(DueKind::Settle, Timestamp::from_secs(1), 1, &object("nobody"), nobody);
        })
        .await;
    assert_eq!(world.assert_sound().stale_timers, before + 1);
}

//! Restores of what is damaged, and of what is only away.

use std::time::Duration;

use super::super::scrub_tests::{World, bucket, content, put, read};
use crate::blob::Placement;
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::index::key::{self, DueKind};
use crate::index::record::{Record as _, StoredBlob};
use crate::index::{Batch, Family, Step};
use crate::multipart::NewUpload;
use crate::multipart_complete::{CompleteUpload, CompletedPart};
use crate::name::ObjectKey;
use crate::object::{StorageClass, VersionSelector, WriteCondition};
use crate::pool::Pool;
use crate::residence::{Restore, RestoreSpeed};
use crate::restore::{RestoreOutcome, RestoreRequest};
use crate::store::Store;

const READY: Duration = Duration::from_mins(3);
const PUT_OFF: Duration = Duration::from_mins(10);

fn object_key() -> ObjectKey {
    ObjectKey::parse("cat").unwrap()
}

/// An object of two parts, the second of which holds `content(2, ..)`.
async fn put_parts(store: &Store) {
    let (bucket, key) = (bucket(), object_key());
    let new = NewUpload { class: StorageClass::Glacier, ..NewUpload::default() };
    let id = store.create_upload(&bucket, &key, new).await.unwrap();
    let mut parts = Vec::new();
    for (number, bytes) in [(1, content(1, 5 << 20)), (2, content(2, 300_000))] {
        let staged = store.stage_bytes(bytes).await.unwrap();
        let part = store.put_part(&bucket, &key, id, number, staged, None).await.unwrap();
        parts.push(CompletedPart { number, etag: part.etag.to_string(), checksum: None });
    }
    let condition = WriteCondition::None;
    let request = CompleteUpload { bucket, key, id, parts, size: None, checksum: None, condition, replica: None };
    store.complete_upload(request).await.unwrap();
}

async fn restore(store: &Store) -> Result<RestoreOutcome> {
    let speed = Some(RestoreSpeed::Expedited);
    let version = VersionSelector::Current;
    store.restore(RestoreRequest { bucket: bucket(), key: object_key(), version, days: Some(1), speed }).await
}

/// What HEAD, listings and the record say of the restore.
async fn told(store: &Store) -> Option<Restore> {
    let object = store.object(&bucket(), &object_key(), VersionSelector::Current).await.unwrap();
    let query = crate::ListQuery { max: 1, ..crate::ListQuery::default() };
    let listed = store.list(&bucket(), query).await.unwrap();
    assert_eq!(listed.entries[0].restore, object.info().restore);
    object.info().restore
}

/// How many versions wait to be moved or restored.
fn queued(store: &Store) -> usize {
    let mut found = 0;
    let (from, to) = (key::due_from(DueKind::Restore, Default::default()), Vec::new());
    let count = |_: &[u8], _: &[u8]| {
        found += 1;
        Ok(Step::Next)
    };
    store.inner.index.rows().scan(Family::Due, &from, &to, count).unwrap();
    found
}

/// Has the archive look for a blob where it is not. Returns what brings it back.
async fn damage(store: &Store) -> Batch {
    let blob = StoredBlob { id: crate::blob::Blobs::hash(&content(2, 300_000)).0, pool: Pool::Archive };
    let row = key::stored_blob(&blob);
    let place: Placement = store.inner.index.record(Family::Blob, row.clone()).await.unwrap().unwrap();
    let mut batch = Batch::new();
    batch.put_raw(Family::Blob, row.clone(), Placement { offset: place.offset + 64, ..place }.encode());
    store.inner.index.commit(batch).await.unwrap();
    let mut repair = Batch::new();
    repair.put_raw(Family::Blob, row, place.encode());
    repair
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_of_damaged_bytes_is_tried_again_and_then_ends() {
    for is_large in [false, true] {
        let (world, store) = World::new(1).await;
        match is_large {
            true => put_parts(&store).await,
            false => put(&store, "cat", StorageClass::Glacier, content(2, 300_000)).await,
        }
        store.settle().await.unwrap();
        let repair = damage(&store).await;
        restore(&store).await.unwrap();
        let mut events = store.events();
        world.clock.advance(READY);
        store.settle().await.unwrap();
        assert!(matches!(told(&store).await, Some(Restore::Ongoing { .. })), "it is tried again");
        assert!(matches!(restore(&store).await, Err(Error::RestoreInProgress)));
        world.clock.advance(PUT_OFF);
        store.settle().await.unwrap();
        assert_eq!(told(&store).await, None);
        assert!(matches!(read(&store, "cat").await, Err(Error::Archived { .. })));
        let worker = store.workers().into_iter().find(|worker| worker.name == "restore").unwrap();
        let (_, error) = worker.last_error.unwrap();
        assert!(error.contains("bucket photos, key cat:"), "{error}");
        assert!(events.try_recv().is_err(), "nothing was completed, and nothing is lost that was not");
        // What was brought for it leaves.
        store.settle().await.unwrap();
        assert_eq!((queued(&store), worker.backlog), (0, 0));
        let restored =
            store.usage(Some(&bucket())).await.unwrap().iter().map(|row| row.usage.restored_bytes).sum::<i64>();
        assert_eq!(restored, 0);

        // Asked for again, it ends again, or with a copy if the bytes are back.
        assert_eq!(restore(&store).await.unwrap(), RestoreOutcome::Started);
        world.clock.advance(READY);
        store.settle().await.unwrap();
        assert!(matches!(told(&store).await, Some(Restore::Ongoing { .. })));
        store.inner.index.commit(repair).await.unwrap();
        world.clock.advance(PUT_OFF);
        store.settle().await.unwrap();
        assert!(matches!(told(&store).await, Some(Restore::Done { .. })));
        let heard: Vec<EventKind> = std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.kind).collect();
        assert_eq!(heard, [EventKind::RestorePost, EventKind::RestoreCompleted]);
        assert!(read(&store, "cat").await.unwrap().ends_with(&content(2, 300_000)));
        store.settle().await.unwrap();
        store.close().await.unwrap();
        drop(store);
        world.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_waits_for_a_zone_that_is_away() {
    let (world, store) = World::new(3).await;
    put(&store, "cat", StorageClass::Glacier, content(2, 300_000)).await;
    store.settle().await.unwrap();
    let store = world.reopen(store).await;
    restore(&store).await.unwrap();
    let away = |zone: usize| world.root.path().join(format!("away{zone}"));
    for zone in [1, 2] {
        std::fs::rename(world.zone(zone), away(zone)).unwrap();
    }
    store.inner.look_at_zones().await.unwrap();
    world.clock.advance(READY);
    for _ in 0..3 {
        store.settle().await.unwrap();
        assert!(matches!(told(&store).await, Some(Restore::Ongoing { .. })));
        world.clock.advance(PUT_OFF);
    }
    for zone in [1, 2] {
        std::fs::rename(away(zone), world.zone(zone)).unwrap();
    }
    store.inner.look_at_zones().await.unwrap();
    store.settle().await.unwrap();
    assert!(matches!(told(&store).await, Some(Restore::Done { .. })));
    assert!(read(&store, "cat").await.unwrap() == content(2, 300_000));
}

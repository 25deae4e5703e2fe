//! What the collector writes anew on zones that are nearly full.

use bytes::Bytes;

use crate::blob::{Blobs, Form, Placement, SegmentInfo};
use crate::fs::{FailingDisk, Failure};
use crate::index::Batch;
use crate::index::record::StoredBlob;
use crate::pool::Pool;
use crate::room::Room;
use crate::store::{OpenOptions, Store};
use crate::zone::ZoneId;
use crate::zones::ZoneOptions;

const MIB: usize = 1 << 20;

async fn open(directory: &tempfile::TempDir, zones: usize) -> Store {
    let mut options = OpenOptions::new(directory.path().join("data"));
    (options.collect_every, options.settle_every, options.heal_every) = (None, None, None);
    options.background_bytes_per_second = 1 << 40;
    let zone = |at| ZoneOptions { name: format!("z{at}"), directory: directory.path().join(format!("z{at}")) };
    options.zones = (0..zones).map(zone).collect();
    Store::open(options).await.unwrap()
}

/// Tells of that much more than what removals need in a zone.
fn leave(store: &Store, zone: &str, bytes: u64) {
    let id: ZoneId =
        store.inner.blobs.zones().into_iter().find(|found| found.name == zone).map(|found| found.id).unwrap();
    let room = Room { free_bytes: (64 << 20) + bytes, total_bytes: 1 << 40 };
    store.inner.blobs.set_disk(id, FailingDisk::new(0, Failure::Full).with_room(room));
}

/// Makes a sealed segment with so many chunks of 1 MiB that are in use, and as many that are not.
async fn half_dead(store: &Store, pool: Pool, chunks: usize) -> u64 {
    let (blobs, mut batch) = (&store.inner.blobs, Batch::new());
    let mut segment = 0;
    for at in 0..2 * chunks {
        // Nothing of it can be compressed, so that segments are as large as they look.
        let mut content = vec![0; MIB];
        blake3::Hasher::new().update(&[at as u8, pool as u8]).finalize_xof().fill(&mut content);
        let (id, table) = Blobs::hash(&content);
        let place: Placement = if pool == Pool::Hot {
            blobs.append(pool, id, vec![Bytes::from(content)], table).await.unwrap()
        } else {
            let record = Blobs::prepare(id, &content, table, Form::of(pool), &mut || {});
            blobs.write_batch(pool, vec![record]).await.unwrap()[0]
        };
        segment = place.segment;
        if at < chunks {
            batch.add_blob(StoredBlob { id, pool }, place);
        }
    }
    store.inner.index.commit(batch).await.unwrap();
    blobs.seal_active().await.unwrap();
    segment
}

fn segments(store: &Store) -> Vec<u64> {
    store.inner.blobs.segments().iter().map(|info: &SegmentInfo| info.id).collect()
}

#[tokio::test]
async fn a_segment_is_written_anew_if_all_of_it_fits() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 1).await;
    let segment = half_dead(&store, Pool::Hot, 24).await;
    // The first group of chunks would fit.
    leave(&store, "z0", 20 << 20);
    for _ in 0..3 {
        store.collect().await.unwrap();
        assert_eq!(segments(&store), [segment]);
    }
    leave(&store, "z0", 30 << 20);
    store.collect().await.unwrap();
    assert!(!segments(&store).contains(&segment));
}

#[tokio::test]
async fn a_segment_without_room_keeps_no_other_from_being_written_anew() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory, 3).await;
    let (copies, alone) = (half_dead(&store, Pool::Hot, 3).await, half_dead(&store, Pool::OneZone, 5).await);
    // Two zones of three are full, so that copies have no room, and what is in one zone has.
    leave(&store, "z0", 1 << 20);
    leave(&store, "z1", 1 << 20);
    for _ in 0..2 {
        store.collect().await.unwrap();
    }
    let found = segments(&store);
    assert!(found.contains(&copies) && !found.contains(&alone), "{found:?}");
}

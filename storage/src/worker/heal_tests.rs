//! Healing when something stands in its way: no room, damage, a disk that refuses, a store that closes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::blob::Placement;
use crate::error::Error;
use crate::fs::{FailingDisk, Failure, SystemDisk};
use crate::object::StorageClass;
use crate::pool::Pool;
use crate::room::{Gauge, Room};
use crate::store::Store;
use crate::worker::scrub_tests::{Adjustable, World, content, flip, place, put, read};
use crate::zone::{ZoneId, ZoneState};

const HOUR: Duration = Duration::from_hours(1);

/// A store over six zones with an object of which the shard in zone 3 is missing, and the place of the object.
async fn short_of_a_shard(gauge: Arc<dyn Gauge>) -> (World, Store, Placement) {
    let (world, store) = World::new(6).await;
    put(&store, "a", StorageClass::Standard, content(1, 3_000_000)).await;
    let store = world.reopen(store).await;
    let a = place(&store, "a", Pool::Hot).await;
    let shard = store.inner.blobs.segment_paths(a.segment).into_iter().find(|path| path.starts_with(world.zone(3)));
    store.close().await.unwrap();
    drop(store);
    std::fs::remove_file(shard.unwrap()).unwrap();
    let store = world.open_with(|options| options.gauge = gauge).await;
    (world, store, a)
}

/// Damages an object in one of its zones.
fn damage(world: &World, store: &Store, at: Placement) {
    let paths = store.inner.blobs.segment_paths(at.segment);
    let path = paths.iter().find(|path| path.starts_with(world.zone(1))).unwrap();
    flip(path, 4096 + (at.offset - 4096 + 300_000) / 4 / 4096 * 4096 + 7);
}

/// The number in the store of the zone at that place among those of the world.
fn zone(store: &Store, at: usize) -> ZoneId {
    let name = format!("z{at}");
    store.inner.blobs.zones().into_iter().find(|zone| zone.name == name).map(|zone| zone.id).unwrap()
}

async fn assert_healed(world: &World, store: Store) {
    assert_eq!(store.heal().await.unwrap().waiting, 0);
    let store = world.reopen(store).await;
    let status = store.scrub().await.unwrap();
    assert_eq!((status.damaged, status.records), (0, 1), "{status:?}");
    assert!(read(&store, "a").await.unwrap() == content(1, 3_000_000));
    store.close().await.unwrap();
    drop(store);
    world.assert_sound();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_is_not_rebuilt_from_damaged_records() {
    let (world, store, a) = short_of_a_shard(Adjustable::new()).await;
    damage(&world, &store, a);
    assert_eq!(store.heal().await.unwrap().shards, 1);
    assert_ne!(place(&store, "a", Pool::Hot).await, a, "it was written elsewhere before");
    assert_healed(&world, store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_is_not_read_again_while_its_shard_cannot_be_rebuilt() {
    let (world, store, a) = short_of_a_shard(Adjustable::new()).await;
    let broken = zone(&store, 3);
    store.inner.blobs.set_disk(broken, FailingDisk::new(1, Failure::Broken).for_good());
    let healed = store.heal().await.unwrap();
    assert_eq!((healed.shards, healed.waiting), (0, 1));
    damage(&world, &store, a);
    world.clock.advance(23 * HOUR);
    assert_eq!(store.heal().await.unwrap().waiting, 1);
    assert_eq!(place(&store, "a", Pool::Hot).await, a, "nobody has seen the damage");
    // But not for ever.
    world.clock.advance(2 * HOUR);
    store.heal().await.unwrap();
    assert_ne!(place(&store, "a", Pool::Hot).await, a);
    store.inner.blobs.set_disk(broken, SystemDisk);
    assert_healed(&world, store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_shard_is_rebuilt_from_damage_that_cannot_be_repaired() {
    let gauge = Adjustable::new();
    let (world, store, a) = short_of_a_shard(gauge.clone()).await;
    damage(&world, &store, a);
    let free_bytes = gauge.free_bytes.swap(100 << 20, Ordering::SeqCst);
    let healed = store.heal().await.unwrap();
    assert_eq!((healed.shards, healed.waiting), (0, 1));
    assert!(store.workers().iter().any(|worker| worker.name == "heal" && worker.last_error.is_some()));
    // It is read again after a while.
    gauge.free_bytes.store(free_bytes, Ordering::SeqCst);
    assert_eq!(store.heal().await.unwrap().waiting, 1);
    assert_eq!(place(&store, "a", Pool::Hot).await, a);
    world.clock.advance(HOUR);
    assert_eq!(store.heal().await.unwrap().shards, 1);
    assert_ne!(place(&store, "a", Pool::Hot).await, a);
    assert_healed(&world, store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_without_room_is_no_place_for_a_shard() {
    const TOTAL_BYTES: u64 = 1 << 40;
    let (world, store, a) = short_of_a_shard(Adjustable::new()).await;
    let full = zone(&store, 3);
    let with_room =
        |free_bytes| FailingDisk::new(0, Failure::Full).with_room(Room { free_bytes, total_bytes: TOTAL_BYTES });
    store.inner.blobs.set_disk(full, with_room(64 << 20));
    damage(&world, &store, a);
    let healed = store.heal().await.unwrap();
    assert_eq!((healed.shards, healed.waiting), (0, 1));
    assert_eq!(place(&store, "a", Pool::Hot).await, a, "nothing was read for it");
    store.inner.blobs.set_disk(full, with_room(TOTAL_BYTES));
    assert_eq!(store.heal().await.unwrap().shards, 1);
    assert_healed(&world, store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_ends_when_the_store_closes() {
    let (world, store, _) = short_of_a_shard(Adjustable::new()).await;
    store.close().await.unwrap();
    drop(store);
    // What it reads first takes weeks.
    let store = world.open_with(|options| options.background_bytes_per_second = 1).await;
    let healing = tokio::spawn({
        let store = store.clone();
        async move { store.heal().await }
    });
    while !store.workers().iter().any(|worker| worker.name == "heal" && worker.running) {
        tokio::task::yield_now().await;
    }
    tokio::time::timeout(Duration::from_mins(1), store.close()).await.expect("it waits for nothing").unwrap();
    assert!(matches!(healing.await.unwrap(), Err(Error::Closed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_of_a_zone_is_noticed_while_a_round_lasts() {
    let (world, store, _) = short_of_a_shard(Adjustable::new()).await;
    store.close().await.unwrap();
    drop(store);
    let store = world
        .open_with(|options| {
            // What the round reads first takes weeks.
            options.background_bytes_per_second = 1;
            options.heal_every = Some(Duration::from_millis(10));
        })
        .await;
    while !store.workers().iter().any(|worker| worker.name == "heal" && worker.running) {
        tokio::task::yield_now().await;
    }
    std::fs::rename(world.zone(5), world.zone(50)).unwrap();
    let states = || store.zones().into_iter().map(|zone| (zone.name, zone.state)).collect::<Vec<_>>();
    let noticed = async {
        while !states().contains(&("z5".to_owned(), ZoneState::Lost)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), noticed).await.expect("a look waits for no round");
    assert!(store.workers().iter().any(|worker| worker.name == "heal" && worker.running));
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_for_fewer_zones_waits_to_be_spread() {
    let (world, store) = World::new(2).await;
    std::fs::remove_dir_all(world.zone(1)).unwrap();
    store.inner.look_at_zones().await.unwrap();
    put(&store, "a", StorageClass::Standard, content(1, 3_000_000)).await;
    store.close().await.unwrap();
    drop(store);
    // Spreading it takes weeks.
    let store = world.open_with(|options| options.background_bytes_per_second = 1).await;
    let degraded = async || store.pools().await.unwrap().iter().map(|pool| pool.degraded_segments).sum::<u64>();
    assert_eq!(degraded().await, 1, "one copy where two are due");
    std::fs::create_dir(world.zone(1)).unwrap();
    let healing = tokio::spawn({
        let store = store.clone();
        async move { store.heal().await }
    });
    let counted = async {
        while !store.workers().iter().any(|worker| worker.name == "heal" && worker.backlog == 1) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), counted).await.expect("it is counted before it is done");
    assert!(store.zones().iter().all(|zone| zone.state == ZoneState::Active));
    assert_eq!(degraded().await, 1);
    store.close().await.unwrap();
    assert!(healing.await.unwrap().is_err());
}

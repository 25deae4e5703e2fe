//! Zones: what is stored outlives as many of them as it should, and comes back to its full strength.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::{content, options, read_all, write_large, zone};
use crate::blob::{BlobId, Blobs, BlobsOptions, Layout, Placement, ReadError, StreamHint};
use crate::error::{Error, Result};
use crate::fs::{FailingDisk, Failure, SystemDisk};
use crate::pool::Pool;
use crate::zone::{Trouble, ZoneId, ZoneState};

const MIB: usize = 1 << 20;

/// The directories of several zones.
struct Place {
    directory: tempfile::TempDir,
    zones: u16,
    troubles: Arc<Mutex<Vec<Trouble>>>,
}

impl Place {
    fn new(zones: u16) -> Place {
        let place = Place { directory: tempfile::tempdir().unwrap(), zones, troubles: Arc::default() };
        (0..zones).for_each(|zone| std::fs::create_dir_all(place.segments(zone)).unwrap());
        place
    }

    fn zone(&self, zone: u16) -> PathBuf {
        self.directory.path().join(zone.to_string())
    }

    fn segments(&self, zone: u16) -> PathBuf {
        self.zone(zone).join("segments")
    }

    fn options(&self) -> BlobsOptions {
        let zones = (0..self.zones).map(|id| zone(id, &self.zone(id), SystemDisk)).collect();
        let troubles = self.troubles.clone();
        let on_trouble = Arc::new(move |trouble| troubles.lock().unwrap().push(trouble));
        BlobsOptions { zones, on_trouble, ..options(self.directory.path()) }
    }

    fn open(&self) -> Blobs {
        Blobs::open(self.options()).unwrap()
    }

    /// Takes a zone's directory away, as an unmounted disk does.
    fn unmount(&self, zone: u16) {
        std::fs::rename(self.zone(zone), self.directory.path().join(format!("unmounted-{zone}"))).unwrap();
    }

    fn mount(&self, zone: u16) {
        std::fs::rename(self.directory.path().join(format!("unmounted-{zone}")), self.zone(zone)).unwrap();
    }

    fn files(&self, zone: u16) -> Vec<String> {
        let names = std::fs::read_dir(self.segments(zone)).unwrap();
        let mut names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

type Stored = (BlobId, Placement, Bytes);

async fn append(blobs: &Blobs, pool: Pool, content: Bytes) -> Result<Stored> {
    let (id, table) = Blobs::hash(&content);
    let placement = blobs.append(pool, id, vec![content.clone()], table).await?;
    Ok((id, placement, content))
}

async fn put_large(blobs: &Blobs, pool: Pool, content: Bytes, spare: usize) -> Result<Stored> {
    let writer = blobs.begin_large(pool, (content.len() + spare) as u64, &StreamHint::new(None)).await?;
    let (id, placement, ticket) = write_large(writer, &content, 100_000).await?.finish().await?;
    blobs.sync(vec![ticket]).await?;
    Ok((id, placement, content))
}

/// Stores chunks of many sizes in a pool. Returns those that were acknowledged.
async fn store(blobs: &Blobs, pool: Pool, seed: u64) -> Vec<Stored> {
    let mut outcomes = Vec::new();
    for bytes in [1, 4000, 70_000] {
        outcomes.push(append(blobs, pool, content(seed + bytes as u64, bytes)).await);
    }
    for (bytes, spare) in [(MIB + 5, 0), (2 * MIB, 100), (5, 2 * MIB)] {
        outcomes.push(put_large(blobs, pool, content(seed + bytes as u64, bytes), spare).await);
    }
    let together = [10, 9000, 50_000].map(|bytes| append(blobs, pool, content(seed + 99 + bytes as u64, bytes)));
    let [a, b, c] = together;
    let (a, b, c) = tokio::join!(a, b, c);
    outcomes.extend([a, b, c]);
    outcomes.into_iter().filter_map(Result::ok).collect()
}

async fn check(blobs: &Blobs, stored: &[Stored], when: &str) {
    for (id, placement, content) in stored {
        match read_all(blobs, id, placement).await {
            Ok(read) => assert!(read == *content, "{when}: {placement:?}"),
            Err(error) => panic!("{when}: {placement:?}: {error}"),
        }
    }
}

async fn rebuild_all(blobs: &Blobs, zone: impl Fn(u64, u8) -> u16) {
    for damage in blobs.damaged() {
        let to = ZoneId(zone(damage.segment, damage.shard));
        let bytes = blobs.rebuild_shard(damage.segment, damage.shard, to, |_| Ok(())).await.unwrap();
        assert!(bytes >= damage.bytes.min(bytes) && bytes > 0);
    }
    assert!(blobs.damaged().is_empty());
}

/// A zone in which a segment has no shard.
fn free_zone(blobs: &Blobs, segment: u64) -> u16 {
    let info = blobs.segments().into_iter().find(|info| info.id == segment).unwrap();
    let is_free = |zone: &ZoneId| !info.zones.contains(zone);
    let active = blobs.zones().into_iter().filter(|zone| zone.state == ZoneState::Active);
    active.map(|zone| zone.id).find(is_free).unwrap().0
}

#[tokio::test]
async fn every_pool_outlives_as_many_zones_as_it_should() {
    for zones in 1..=6 {
        let place = Place::new(zones);
        let blobs = place.open();
        let mut stored = Vec::new();
        for pool in Pool::ALL {
            let of_pool = store(&blobs, pool, 1000 * u64::from(pool.number())).await;
            assert_eq!(of_pool.len(), 9);
            stored.push(of_pool);
        }
        for info in blobs.segments() {
            assert_eq!(info.layout, Layout::choose(info.pool, usize::from(zones)));
            assert_eq!((info.zones.len(), info.missing_shards.len()), (info.layout.shards(), 0));
        }
        for (stored, pool) in stored.iter().zip(Pool::ALL) {
            check(&blobs, stored, &format!("{pool:?} in {zones} zones")).await;
        }
        drop(blobs);
        for lost in 0..if zones > 1 { zones } else { 0 } {
            place.unmount(lost);
            let blobs = place.open();
            assert_eq!(blobs.zones()[usize::from(lost)].state, ZoneState::Lost);
            let parity = |pool| Layout::choose(pool, usize::from(zones)).parity;
            for (stored, pool) in stored.iter().zip(Pool::ALL).filter(|(_, pool)| parity(*pool) > 0) {
                check(&blobs, stored, &format!("{pool:?} in {zones} zones without {lost}")).await;
            }
            place.mount(lost);
        }
        assert!(place.open().damaged().is_empty());
    }
}

#[tokio::test]
async fn too_few_shards_are_told_as_such() {
    let place = Place::new(3);
    let blobs = place.open();
    let stored = store(&blobs, Pool::Archive, 1).await;
    drop(blobs);
    place.unmount(0);
    place.unmount(1);
    let blobs = place.open();
    let (id, at, _) = &stored[0];
    let read = blobs.read(id, at, 0..1).await;
    assert!(
        matches!(read, Err(ReadError::Engine(Error::Corrupt { what: "segment (too few shards)", .. }))),
        "{read:?}"
    );
    assert!(blobs.damaged().is_empty());
    assert!(blobs.segments()[0].missing_shards.len() == 2);
    // What is made meanwhile is not taken for what may be in the zones that are lost.
    assert!(append(&blobs, Pool::Hot, content(1, 1)).await.unwrap().1.segment > 1 << 32);
    place.mount(0);
    place.mount(1);
    blobs.set_zone_state(ZoneId(0), ZoneState::Active).await.unwrap();
    check(&blobs, &stored, "with one zone back").await;
    blobs.set_zone_state(ZoneId(1), ZoneState::Active).await.unwrap();
    check(&blobs, &stored, "with all zones").await;
    assert!(blobs.damaged().is_empty());
}

#[tokio::test]
async fn a_rebuilt_shard_is_the_same_file() {
    for (pool, zones) in [(Pool::Hot, 2), (Pool::Archive, 3), (Pool::Hot, 4), (Pool::Cool, 6)] {
        let place = Place::new(zones);
        store(&place.open(), pool, 1).await;
        for zone in 0..zones {
            let names = place.files(zone);
            let before: Vec<Vec<u8>> =
                names.iter().map(|name| std::fs::read(place.segments(zone).join(name)).unwrap()).collect();
            names.iter().for_each(|name| std::fs::remove_file(place.segments(zone).join(name)).unwrap());
            // As a crash in the midst of a rebuild leaves it.
            std::fs::write(place.segments(zone).join(format!("{}.rebuild", names[0])), b"half").unwrap();
            let blobs = place.open();
            assert_eq!(blobs.damaged().len(), names.len());
            rebuild_all(&blobs, |_, _| zone).await;
            assert_eq!(place.files(zone), names);
            for (name, before) in names.iter().zip(before) {
                let path = place.segments(zone).join(name);
                assert!(std::fs::read(path).unwrap() == before, "{pool:?}, {zones} zones: {name} in {zone}");
            }
        }
    }
}

/// A zone fails at one call, or from there on, in a history of writes. Nothing that was acknowledged is lost, not even
/// if another zone goes afterwards and the shards of the failing one have to do.
async fn check_failing(zones: u16, fail_at: u64, for_good: bool) -> bool {
    let place = Place::new(zones);
    let disk = FailingDisk::new(fail_at, Failure::Broken).without_syncs();
    let disk = if for_good { disk.for_good() } else { disk };
    let mut options = place.options();
    options.zones[1] = zone(1, &place.zone(1), disk.clone());
    let when = format!("{zones} zones, call {fail_at}, for good: {for_good}");
    let stored = {
        let Ok(blobs) = Blobs::open(options) else { panic!("{when}: one zone is enough") };
        let mut stored = store(&blobs, Pool::Hot, 1).await;
        blobs.seal_active().await.unwrap();
        stored.extend(store(&blobs, Pool::Archive, 100).await);
        assert_eq!(stored.len(), 18, "{when}: {:?}", place.troubles.lock().unwrap());
        assert_eq!(place.troubles.lock().unwrap().is_empty(), !disk.has_failed(), "{when}");
        assert!(place.troubles.lock().unwrap().iter().all(|trouble| trouble.zone == ZoneId(1)), "{when}");
        check(&blobs, &stored, &when).await;
        stored
    };
    let blobs = place.open();
    check(&blobs, &stored, &format!("{when}, opened again")).await;
    for damage in blobs.damaged() {
        blobs.rebuild_shard(damage.segment, damage.shard, ZoneId(1), |_| Ok(())).await.unwrap();
    }
    drop(blobs);
    place.unmount(0);
    let blobs = place.open();
    // A segment that was made while only one zone worked is in that one alone.
    let is_known = |at: &Placement| blobs.segments().iter().any(|info| info.id == at.segment);
    let known: Vec<Stored> = stored.into_iter().filter(|(_, at, _)| zones > 2 || is_known(at)).collect();
    assert!(for_good || known.len() >= 9, "{when}: {}", known.len());
    check(&blobs, &known, &format!("{when}, without another zone")).await;
    disk.has_failed()
}

#[tokio::test]
async fn a_zone_that_fails_in_the_midst_of_writes_loses_nothing() {
    for zones in [2, 4] {
        for for_good in [false, true] {
            let mut fail_at = 1;
            while check_failing(zones, fail_at, for_good).await {
                fail_at += if fail_at < 12 { 1 } else { 7 };
            }
            assert!(fail_at > 20, "the history makes more calls than {fail_at}");
        }
    }
}

#[tokio::test]
async fn a_zone_that_is_full_for_a_while_loses_nothing() {
    for zones in [2, 4] {
        let (mut fail_at, mut has_failed) = (1, true);
        while has_failed {
            let place = Place::new(zones);
            let disk = FailingDisk::new(fail_at, Failure::Full).without_syncs();
            let mut options = place.options();
            options.zones[1] = zone(1, &place.zone(1), disk.clone());
            let blobs = Blobs::open(options).unwrap();
            let mut stored = store(&blobs, Pool::Hot, 1).await;
            blobs.seal_active().await.unwrap();
            stored.extend(store(&blobs, Pool::Hot, 100).await);
            assert!(stored.len() >= 15, "call {fail_at}: {} are stored", stored.len());
            check(&blobs, &stored, &format!("call {fail_at}")).await;
            drop(blobs);
            check(&place.open(), &stored, &format!("call {fail_at}, opened again")).await;
            has_failed = disk.has_failed();
            fail_at += if fail_at < 12 { 1 } else { 7 };
        }
    }
}

/// As a checkpoint leaves it.
#[tokio::test]
async fn all_shards_may_lie_in_one_zone() {
    for zones in [2, 6] {
        let place = Place::new(zones);
        let stored = store(&place.open(), Pool::Archive, 1).await;
        for zone in 1..zones {
            for name in place.files(zone) {
                std::fs::rename(place.segments(zone).join(&name), place.segments(0).join(&name)).unwrap();
            }
        }
        let blobs = super::open(&place.zone(0));
        check(&blobs, &stored, "all in one zone").await;
        assert!(blobs.damaged().is_empty() && blobs.strays().is_empty());
        assert_eq!(blobs.segment_paths(1).len(), usize::from(zones));
    }
}

/// The shard of a segment of two copies that misses a write is as long as the other one, and known to be stale.
#[tokio::test]
async fn a_shard_with_a_hole_is_never_taken_for_a_whole_one() {
    let place = Place::new(2);
    // Creation, header, sync, directory; then the first of two writes.
    let disk = FailingDisk::new(6, Failure::Broken).without_syncs();
    let mut options = place.options();
    options.zones[1] = zone(1, &place.zone(1), disk.clone());
    let blobs = Blobs::open(options).unwrap();
    let hint = StreamHint::new(None);
    let (a, b) = (content(1, 5000), content(2, 5000));
    let first = blobs.begin_large(Pool::Hot, 5000, &hint).await.unwrap();
    let second = blobs.begin_large(Pool::Hot, 5000, &hint).await.unwrap();
    let (id_b, at_b, _) = write_large(second, &b, 5000).await.unwrap().finish().await.unwrap();
    assert!(!disk.has_failed());
    let (id_a, at_a, ticket) = write_large(first, &a, 5000).await.unwrap().finish().await.unwrap();
    assert!(disk.has_failed());
    blobs.sync(vec![ticket]).await.unwrap();
    assert_eq!(blobs.segments()[0].missing_shards.len(), 1);
    drop(blobs);

    let lengths: Vec<u64> = (0..2)
        .map(|zone| {
            let name = place.files(zone).into_iter().find(|name| name.ends_with(".seg")).unwrap();
            std::fs::metadata(place.segments(zone).join(name)).unwrap().len()
        })
        .collect();
    assert_eq!(lengths[0], lengths[1]);
    let stored = [(id_a, at_a, a), (id_b, at_b, b)];
    let blobs = place.open();
    assert_eq!(blobs.damaged().len(), 1);
    check(&blobs, &stored, "with a stale shard").await;
    rebuild_all(&blobs, |_, _| 1).await;
    drop(blobs);
    assert!((0..2).all(|zone| place.files(zone).len() == 1), "the notes are gone");
    place.unmount(0);
    check(&place.open(), &stored, "from the rebuilt shard").await;
}

#[tokio::test]
async fn a_zone_is_lost_and_comes_back() {
    for zones in [2, 4, 6] {
        let place = Place::new(zones);
        let blobs = place.open();
        let mut stored = store(&blobs, Pool::Hot, 1).await;
        blobs.seal_active().await.unwrap();
        stored.extend(store(&blobs, Pool::Hot, 100).await);
        // One that is on its way all the while.
        let content = content(5, 3 * MIB);
        let mut writer = blobs.begin_large(Pool::Hot, 3 << 20, &StreamHint::new(None)).await.unwrap();
        writer.write(content.slice(..2 * MIB)).await.unwrap();

        blobs.set_zone_state(ZoneId(1), ZoneState::Lost).await.unwrap();
        place.unmount(1);
        writer.write(content.slice(2 * MIB..)).await.unwrap();
        let (id, at, ticket) = writer.finish().await.unwrap();
        blobs.sync(vec![ticket]).await.unwrap();
        stored.push((id, at, content));
        stored.extend(store(&blobs, Pool::Hot, 200).await);
        assert_eq!(stored.len(), 28);
        check(&blobs, &stored, "without a zone").await;
        assert!(blobs.segments().iter().all(|info| !info.zones.contains(&ZoneId(1))));
        assert!(blobs.set_zone_state(ZoneId(1), ZoneState::Active).await.is_err(), "it is not there");
        place.mount(1);
        blobs.set_zone_state(ZoneId(1), ZoneState::Active).await.unwrap();
        blobs.seal_active().await.unwrap();
        // Only what was being written has to be rebuilt.
        let damaged = blobs.damaged();
        assert!((1..=2).contains(&damaged.len()), "{zones} zones: {damaged:?}");
        rebuild_all(&blobs, |_, _| 1).await;
        blobs.set_zone_state(ZoneId(0), ZoneState::Lost).await.unwrap();
        place.unmount(0);
        let there: Vec<Stored> = stored
            .into_iter()
            .filter(|(_, at, _)| {
                let info = blobs.segments().into_iter().find(|info| info.id == at.segment).unwrap();
                info.missing_shards.len() <= usize::from(info.layout.parity)
            })
            .collect();
        assert!(there.len() >= 19, "those that were in one zone alone are in the other");
        check(&blobs, &there, "without another zone").await;
    }
}

#[tokio::test]
async fn a_zone_that_vanishes_under_its_readers_has_nothing_to_rebuild_when_it_is_back() {
    for zones in [2, 4] {
        let place = Place::new(zones);
        let stored = store(&place.open(), Pool::Hot, 1).await;
        let blobs = place.open();
        place.unmount(0);
        check(&blobs, &stored, "before anybody knows").await;
        assert!(place.troubles.lock().unwrap().iter().all(|trouble| trouble.zone == ZoneId(0)));
        blobs.set_zone_state(ZoneId(0), ZoneState::Lost).await.unwrap();
        check(&blobs, &stored, "while it is lost").await;
        place.mount(0);
        blobs.set_zone_state(ZoneId(0), ZoneState::Active).await.unwrap();
        assert!(blobs.damaged().is_empty());
        blobs.set_zone_state(ZoneId(1), ZoneState::Lost).await.unwrap();
        check(&blobs, &stored, "without another zone").await;
    }
}

#[tokio::test]
async fn a_shard_that_is_another_file_is_damaged() {
    let place = Place::new(2);
    let blobs = place.open();
    let stored = store(&blobs, Pool::Hot, 1).await;
    for info in blobs.segments() {
        let path = &blobs.segment_paths(info.id)[0];
        let bytes = std::fs::metadata(path).unwrap().len();
        std::fs::write(path, vec![7; bytes as usize]).unwrap();
    }
    drop(blobs);
    let blobs = place.open();
    check(&blobs, &stored, "from the other copies").await;
    assert_eq!(blobs.damaged().len(), blobs.segments().len());
    rebuild_all(&blobs, |segment, _| free_zone_of(&blobs, segment)).await;
    drop(blobs);
    for zone in 0..2 {
        place.unmount(zone);
        check(&place.open(), &stored, "from any copies").await;
        place.mount(zone);
    }
}

/// The zone of the first shard of a segment of two copies: the one in which the second is not.
fn free_zone_of(blobs: &Blobs, segment: u64) -> u16 {
    let second = &blobs.segment_paths(segment)[0];
    let zones = blobs.zones();
    zones.iter().find(|zone| !second.starts_with(&zone.directory)).unwrap().id.0
}

#[tokio::test]
async fn what_was_removed_while_a_zone_was_lost_comes_back_as_a_segment_to_remove() {
    let place = Place::new(2);
    let blobs = place.open();
    let stored = store(&blobs, Pool::Hot, 1).await;
    blobs.seal_active().await.unwrap();
    blobs.set_zone_state(ZoneId(1), ZoneState::Lost).await.unwrap();
    let segments: Vec<u64> = blobs.segments().iter().map(|info| info.id).collect();
    for segment in &segments {
        assert!(blobs.remove_segment(*segment).await.unwrap() > 0);
    }
    assert!(blobs.segments().is_empty() && place.files(0).is_empty() && !place.files(1).is_empty());
    assert!(matches!(blobs.read(&stored[0].0, &stored[0].1, 0..1).await, Err(ReadError::Moved)));
    blobs.set_zone_state(ZoneId(1), ZoneState::Active).await.unwrap();
    assert_eq!(blobs.segments().iter().map(|info| info.id).collect::<Vec<_>>(), segments);
    for segment in segments {
        blobs.remove_segment(segment).await.unwrap();
    }
    assert!(place.files(1).is_empty());
}

#[tokio::test]
async fn a_zone_is_added_and_another_one_emptied() {
    for (pool, zones) in [(Pool::OneZone, 2), (Pool::Hot, 2), (Pool::Hot, 4)] {
        let mut place = Place::new(zones + 1);
        place.zones = zones;
        let blobs = place.open();
        let stored = store(&blobs, pool, 1).await;
        blobs.add_zone(zone(zones, &place.zone(zones), SystemDisk)).await.unwrap();
        let again = blobs.add_zone(zone(zones, &place.zone(zones), SystemDisk)).await;
        assert!(matches!(again, Err(Error::Conflict)));
        blobs.set_zone_state(ZoneId(0), ZoneState::Draining).await.unwrap();
        let mut later = store(&blobs, pool, 50).await;
        blobs.seal_active().await.unwrap();
        for info in blobs.segments().into_iter().filter(|info| info.zones.contains(&ZoneId(0))) {
            let names = place.files(0);
            let prefix = format!("{:016x}-", info.id);
            let name = names.iter().find(|name| name.starts_with(&prefix)).unwrap();
            let shard = name.strip_suffix(".seg").unwrap().chars().last().unwrap().to_digit(16).unwrap() as u8;
            let to = free_zone(&blobs, info.id);
            blobs.rebuild_shard(info.id, shard, ZoneId(to), |_| Ok(())).await.unwrap();
        }
        assert!(place.files(0).is_empty(), "{:?}", place.files(0));
        assert_eq!(blobs.zones()[0].segments, 0);
        place.unmount(0);
        later.extend(stored);
        check(&blobs, &later, "without the zone that was emptied").await;
        assert!(blobs.damaged().is_empty() && blobs.strays().is_empty());
    }
}

#[tokio::test]
async fn a_second_file_of_a_shard_is_a_stray() {
    let place = Place::new(3);
    let blobs = place.open();
    let stored = store(&blobs, Pool::Hot, 1).await;
    blobs.seal_active().await.unwrap();
    let lost = blobs.segments()[0].zones[0];
    let lost_files = place.files(lost.0);
    blobs.set_zone_state(lost, ZoneState::Lost).await.unwrap();
    rebuild_all(&blobs, |segment, _| free_zone(&blobs, segment)).await;
    blobs.set_zone_state(lost, ZoneState::Active).await.unwrap();
    let strays = blobs.strays();
    assert_eq!(strays.iter().map(|stray| stray.name.clone()).collect::<Vec<_>>(), lost_files);
    drop(blobs);

    let blobs = place.open();
    let strays = blobs.strays();
    assert_eq!(strays.len(), lost_files.len(), "one of two files of a shard");
    for stray in strays {
        blobs.remove_stray(stray).await.unwrap();
    }
    assert!(blobs.strays().is_empty());
    check(&blobs, &stored, "after strays are gone").await;
    drop(blobs);
    let blobs = place.open();
    assert!(blobs.strays().is_empty() && blobs.damaged().is_empty());
    check(&blobs, &stored, "opened again").await;
}

#[tokio::test]
async fn a_budget_ends_a_rebuild_and_nothing_is_left_of_it() {
    let place = Place::new(2);
    let blobs = place.open();
    store(&blobs, Pool::Hot, 1).await;
    blobs.seal_active().await.unwrap();
    let (segment, before) = (blobs.segments()[0].id, (place.files(0), place.files(1)));
    let stopped = blobs.rebuild_shard(segment, 0, ZoneId(0), |_| Err(Error::Closed)).await;
    assert!(matches!(stopped, Err(Error::Closed)));
    assert_eq!((place.files(0), place.files(1)), before);
    let mut told = 0;
    let (sender, steps) = std::sync::mpsc::channel();
    let budget = move |bytes| {
        sender.send(bytes).unwrap();
        Ok(())
    };
    let written = blobs.rebuild_shard(segment, 0, ZoneId(0), budget).await.unwrap();
    steps.iter().for_each(|bytes| told += bytes);
    assert_eq!(told, 2 * (written - 4096), "as much is read as is written");
    let nowhere = blobs.rebuild_shard(segment, 0, ZoneId(7), |_| Ok(())).await;
    assert!(matches!(nowhere, Err(Error::Conflict)));
}

#[tokio::test]
async fn segments_go_round_the_zones() {
    let place = Place::new(3);
    let blobs = place.open();
    for seed in 0..12 {
        append(&blobs, Pool::OneZone, content(seed, 10)).await.unwrap();
        blobs.seal_active().await.unwrap();
    }
    let segments: Vec<u64> = blobs.zones().iter().map(|zone| zone.segments).collect();
    assert_eq!(segments, [4, 4, 4]);
    assert!(blobs.zones().iter().all(|zone| zone.bytes == 4 * 8192));
}

#[tokio::test]
async fn a_shard_that_a_crash_left_short_keeps_what_it_has() {
    let place = Place::new(2);
    let stored = {
        let blobs = place.open();
        store(&blobs, Pool::Hot, 1).await
    };
    for (name, other) in place.files(0).into_iter().zip(place.files(1)) {
        // One copy got further than the other one before the crash, and is damaged where both are.
        let path = place.segments(0).join(&name);
        let mut bytes = std::fs::read(&path).unwrap();
        let length = bytes.len();
        bytes[4096..].iter_mut().step_by(1000).for_each(|byte| *byte ^= 1);
        bytes.resize(length + 4096, 0);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(place.segments(1).join(other).metadata().unwrap().len(), length as u64);
    }
    let blobs = place.open();
    assert!(!blobs.damaged().is_empty());
    rebuild_all(&blobs, |_, _| 1).await;
    check(&blobs, &stored, "rebuilt").await;
}

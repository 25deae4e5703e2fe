//! Damaged and missing bytes: found by as quick a look as can find them, with the objects that they hit.

use std::path::PathBuf;

use super::{Kinds, World, chunk_of, settled};
use crate::pool::Pool;
use crate::{CheckDepth, FindingKind};

/// Flips a byte in every file that has the name.
fn flip(files: &[PathBuf], at: u64) {
    use std::os::unix::fs::FileExt as _;
    for file in files {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_bytes_are_found_by_the_deep_check() {
    use FindingKind::{ContentLost, RecordDamaged, RecordLost};
    for zones in [1, 2] {
        let world = World::new(zones);
        settled(&world).await;
        let store = world.open().await;
        let (_, _, place) = chunk_of(&store, "class-STANDARD").await;
        let paths = store.inner.blobs.segment_paths(place.segment);
        store.close().await.unwrap();
        drop(store);
        // In the midst of the content: the quick check looks at heads alone.
        flip(&paths[..1], place.offset + 70_000);
        assert_eq!(world.faults(CheckDepth::Index), Kinds::new());
        let expected: Kinds = match zones {
            1 => [(RecordLost, 1), (ContentLost, 1)].into(),
            _ => [(RecordDamaged, 1)].into(),
        };
        assert_eq!(world.faults(CheckDepth::Content), expected);
        flip(&paths[..1], place.offset + 70_000);
        flip(&paths[..1], place.offset + 17);
        assert_eq!(world.faults(CheckDepth::Index), expected, "its head");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_of_every_shard_is_found() {
    for zones in [4, 6] {
        let world = World::new(zones);
        settled(&world).await;
        let store = world.open().await;
        let (blob, _, place) = chunk_of(&store, "large").await;
        assert_eq!(blob.pool, Pool::Hot);
        let paths = store.inner.blobs.segment_paths(place.segment);
        assert_eq!(paths.len(), zones);
        store.close().await.unwrap();
        drop(store);
        // Well within the record, on whatever shard.
        let data = u64::try_from(zones).unwrap() - if zones == 4 { 1 } else { 2 };
        let at = 4096 + (place.offset - 4096 + 150_000) / data / 4096 * 4096 + 100;
        for path in &paths {
            flip(std::slice::from_ref(path), at);
            assert_eq!(world.faults(CheckDepth::Content), [(FindingKind::RecordDamaged, 1)].into(), "{path:?}");
            flip(std::slice::from_ref(path), at);
        }
        flip(&paths, at);
        let found = world.faults(CheckDepth::Content);
        assert_eq!(found.get(&FindingKind::RecordLost), Some(&1), "{found:?}");
        flip(&paths, at);
        world.assert_sound();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_and_zones_that_are_gone() {
    use FindingKind::{ContentLost, SegmentMissing, ShardMissing, ShardUnusable, ZoneMissing};
    let world = World::new(1);
    settled(&world).await;
    let store = world.open().await;
    let (_, _, place) = chunk_of(&store, "class-STANDARD").await;
    let path = store.inner.blobs.segment_paths(place.segment).remove(0);
    store.close().await.unwrap();
    drop(store);
    std::fs::rename(&path, path.with_extension("away")).unwrap();
    let found = world.faults(CheckDepth::Index);
    assert_eq!(found.get(&SegmentMissing), Some(&1));
    assert!(found.get(&ContentLost).is_some_and(|lost| *lost >= 1) && found.len() == 2, "{found:?}");

    let world = World::new(2);
    settled(&world).await;
    world.assert_sound();
    let store = world.open().await;
    let (_, _, place) = chunk_of(&store, "class-STANDARD").await;
    let path = store.inner.blobs.segment_paths(place.segment).remove(0);
    store.close().await.unwrap();
    drop(store);
    flip(std::slice::from_ref(&path), 20);
    assert_eq!(world.faults(CheckDepth::Index), [(ShardUnusable, 1)].into());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(world.faults(CheckDepth::Index), [(ShardMissing, 1)].into());
    assert!(!world.segment_files().is_empty());

    let world = World::new(2);
    settled(&world).await;
    let store = world.open().await;
    let one_zone = chunk_of(&store, "class-ONEZONE_IA").await.2;
    let path = store.inner.blobs.segment_paths(one_zone.segment).remove(0);
    store.close().await.unwrap();
    drop(store);
    let other = if path.starts_with(world.root.path().join("z0")) { "z1" } else { "z0" };
    std::fs::rename(world.root.path().join(other), world.root.path().join("away")).unwrap();
    assert_eq!(world.faults(CheckDepth::Content), [(ZoneMissing, 1)].into(), "the other zone has it all");
}

//! Shards: whatever is written comes back, from any of them that suffice.

use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::{Strategy, any};
use proptest::test_runner::TestRunner;

use super::content;
use crate::blob::ReadResult;
use crate::blob::layout::BLOCK_BYTES;
use crate::blob::shards::{Keeper, Opener, ReadShards, Sound, WriteShards};
use crate::blob::stripe::Layout;
use crate::fs::{Disk, DiskFile, FailingDisk, SystemDisk};

pub(super) const LAYOUTS: [Layout; 6] = [
    Layout { data: 1, parity: 0 },
    Layout { data: 1, parity: 1 },
    Layout { data: 1, parity: 2 },
    Layout { data: 2, parity: 1 },
    Layout { data: 3, parity: 1 },
    Layout { data: 4, parity: 2 },
];

/// Every way to lose `count` of the shards, or fewer.
pub(super) fn losses(layout: Layout) -> Vec<Vec<usize>> {
    let all = 0..1_u32 << layout.shards();
    all.filter(|lost| lost.count_ones() <= u32::from(layout.parity))
        .map(|lost| (0..layout.shards()).filter(|shard| lost & (1 << shard) != 0).collect())
        .collect()
}

/// Takes no note of anything.
struct Careless;

impl Keeper for Careless {
    fn failed(&self, _shard: usize, _error: &std::io::Error) {}

    fn note_stale(&self, _shard: usize, _sound: &Sound) -> std::io::Result<()> {
        Ok(())
    }
}

/// Opens `<directory>/<shard>`.
struct Directory(std::path::PathBuf);

impl Opener for Directory {
    fn open(&self, shard: usize) -> ReadResult<Arc<dyn DiskFile>> {
        Ok(SystemDisk.open(&self.0.join(shard.to_string())).map_err(|error| crate::Error::io("open", error))?)
    }

    fn failed(&self, _shard: usize, _error: &std::io::Error) {}
}

struct Shards {
    layout: Layout,
    directory: tempfile::TempDir,
    written: WriteShards,
    content: Vec<u8>,
}

impl Shards {
    /// Writes these runs of stripes in this order; each has its place by its number.
    fn write(layout: Layout, runs: &[usize], disks: &[FailingDisk]) -> Shards {
        let directory = tempfile::tempdir().unwrap();
        let sound = Arc::new(Sound::of(0..layout.shards()));
        let files = (0..layout.shards())
            .map(|shard| {
                let path = directory.path().join(shard.to_string());
                let file = disks.get(shard).map_or_else(|| SystemDisk.create_new(&path), |disk| disk.create_new(&path));
                let file = file.unwrap();
                let header = crate::blob::buffer::AlignedBuffer::new(BLOCK_BYTES);
                file.write_at(&header, 0).unwrap();
                file
            })
            .collect();
        let written = WriteShards::new(layout, files, sound, Box::new(Careless));
        let content = content(7, runs.iter().sum::<usize>() * layout.stripe_bytes()).to_vec();
        let mut at = 0;
        let places: Vec<_> = runs
            .iter()
            .map(|stripes| {
                let start = at;
                at += stripes * layout.stripe_bytes();
                start..at
            })
            .collect();
        // The last first, as writers do who go on side by side.
        for place in places.into_iter().rev() {
            let mut bytes = crate::blob::buffer::AlignedBuffer::new(place.len());
            bytes.copy_from_slice(&content[place.clone()]);
            written.write_at(&bytes, (BLOCK_BYTES + place.start) as u64).unwrap();
        }
        written.sync_data().unwrap();
        Shards { layout, directory, written, content }
    }

    fn open(&self, lost: &[usize]) -> ReadShards {
        let sound = Arc::new(Sound::of((0..self.layout.shards()).filter(|shard| !lost.contains(shard))));
        let opener = Box::new(Directory(self.directory.path().to_path_buf()));
        ReadShards::open(self.layout, sound, opener).unwrap().expect("enough shards are left")
    }

    fn check(&self, file: &ReadShards, start: usize, end: usize) {
        self.check_ways(file, file.ways(), start..end);
    }

    fn check_ways(&self, file: &ReadShards, ways: usize, Range { start, end }: Range<usize>) {
        let offset = (BLOCK_BYTES + start) as u64;
        for way in 0..ways {
            let mut bytes = vec![0xee; end - start];
            assert_eq!(file.read_at_way(way, &mut bytes, offset).unwrap(), bytes.len(), "way {way}");
            assert!(bytes == self.content[start..end], "{:?}, {start}..{end}, way {way}", self.layout);
        }
        let mut bytes = vec![0xee; end - start];
        if file.read_at_cached(&mut bytes, offset) {
            assert!(bytes == self.content[start..end]);
        }
    }
}

#[test]
fn any_range_comes_back_from_any_shards_that_suffice() {
    for layout in LAYOUTS {
        let shards = Shards::write(layout, &[1, 3, 20, 2, 70, 1], &[]);
        let files: Vec<ReadShards> = losses(layout).iter().map(|lost| shards.open(lost)).collect();
        let ranges = (any::<u32>(), any::<u32>(), any::<bool>(), 0..files.len());
        let ranges = ranges.prop_map(|(a, b, is_short, file)| (a, if is_short { b % 10_000 } else { b }, file));
        let mut runner = TestRunner::default();
        runner
            .run(&ranges, |(a, b, file)| {
                let start = a as usize % shards.content.len();
                let end = start + 1 + b as usize % (shards.content.len() - start);
                shards.check(&files[file], start, end);
                Ok(())
            })
            .unwrap();
        files.iter().for_each(|file| shards.check(file, 0, shards.content.len()));
    }
}

#[test]
fn too_few_shards_are_no_file() {
    for layout in LAYOUTS {
        let shards = Shards::write(layout, &[1], &[]);
        let left = Arc::new(Sound::of(0..layout.needed() - 1));
        let opener = Box::new(Directory(shards.directory.path().to_path_buf()));
        assert!(ReadShards::open(layout, left, opener).unwrap().is_none(), "{layout:?}");
    }
}

#[test]
fn a_damaged_shard_can_be_left_out() {
    for layout in LAYOUTS.into_iter().filter(|layout| layout.parity > 0) {
        let shards = Shards::write(layout, &[30], &[]);
        for damaged in 0..layout.shards() {
            let path = shards.directory.path().join(damaged.to_string());
            let before = std::fs::read(&path).unwrap();
            std::fs::write(&path, vec![0x55; before.len()]).unwrap();
            let file = shards.open(&[]);
            let is_right = |way: usize| {
                let mut bytes = vec![0; shards.content.len()];
                file.read_at_way(way, &mut bytes, BLOCK_BYTES as u64).unwrap() == bytes.len() && bytes == shards.content
            };
            assert!((0..file.ways()).any(is_right), "{layout:?} without {damaged}");
            std::fs::write(&path, before).unwrap();
        }
    }
}

#[test]
fn a_shard_that_is_cut_short_is_decoded() {
    for layout in LAYOUTS.into_iter().filter(|layout| layout.parity > 0) {
        let shards = Shards::write(layout, &[30], &[]);
        let path = shards.directory.path().join("0");
        std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(5000).unwrap();
        shards.check_ways(&shards.open(&[]), 1, 10..shards.content.len());
    }
}

#[test]
fn a_shard_that_fails_is_given_up_and_others_go_on() {
    use crate::fs::Failure::Broken;
    for layout in LAYOUTS.into_iter().filter(|layout| layout.parity > 0) {
        for failing in 0..layout.shards() {
            // Creation, header, three writes, sync.
            for call in 3..=6 {
                let disk = |shard| FailingDisk::new(if shard == failing { call } else { 0 }, Broken);
                let disks: Vec<_> = (0..layout.shards()).map(disk).collect();
                let shards = Shards::write(layout, &[2, 40, 3], &disks);
                let calls = disks[failing].calls();
                assert_eq!(calls, call, "nothing more is written to it");
                let file = shards.open(&[failing]);
                shards.check(&file, 0, shards.content.len());
            }
        }
    }
}

#[test]
fn more_failing_shards_than_can_be_lost_fail_the_write() {
    use crate::fs::Failure::Broken;
    for layout in LAYOUTS {
        let mut disks: Vec<_> = (0..layout.shards()).map(|_| FailingDisk::new(0, Broken)).collect();
        let failing = usize::from(layout.parity) + 1;
        disks[..failing].iter_mut().for_each(|disk| *disk = FailingDisk::new(4, Broken));
        let shards = Shards::write(layout, &[], &disks);
        let calls: Vec<u64> = disks.iter().map(FailingDisk::calls).collect();
        assert!(calls.iter().all(|&calls| calls == 3), "creation, header, sync");
        let stripe = crate::blob::buffer::AlignedBuffer::new(layout.stripe_bytes());
        assert!(shards.written.write_at(&stripe, BLOCK_BYTES as u64).is_err(), "{layout:?}");
    }
}

#[test]
fn a_full_zone_is_a_full_disk() {
    for layout in LAYOUTS {
        let disks: Vec<_> = (0..layout.shards())
            .map(|shard| FailingDisk::new(if shard + 1 == layout.shards() { 4 } else { 0 }, crate::fs::Failure::Full))
            .collect();
        let shards = Shards::write(layout, &[], &disks);
        let stripe = crate::blob::buffer::AlignedBuffer::new(layout.stripe_bytes());
        let error = shards.written.write_at(&stripe, BLOCK_BYTES as u64).unwrap_err();
        assert!(matches!(crate::Error::io("write", error), crate::Error::NoSpace { .. }));
        shards.written.write_at(&stripe, BLOCK_BYTES as u64).expect("no shard was given up for it");
    }
}

//! What is known of one segment: where its shards are, and which of them are whole. Pure: no I/O.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::blob::SegmentInfo;
use crate::blob::layout::BLOCK_BYTES;
use crate::blob::segment::Space;
use crate::blob::shard_name::SegmentName;
use crate::blob::shards::Sound;
use crate::zone::{Damage, ZoneId};

/// A file of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardFile {
    /// Which shard.
    pub shard: u8,
    /// Where it is.
    pub zone: ZoneId,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The shards that are known to miss writes, each as the file in that zone.
pub type Stale = BTreeSet<(u8, ZoneId)>;

/// A segment.
pub struct Known {
    /// What its files are called.
    pub name: SegmentName,
    /// How much of it is in use.
    pub space: Arc<Space>,
    /// Where the file of each shard is; `None` if there is none, or only in a zone that is lost.
    pub homes: Vec<Option<ZoneId>>,
    /// Which shards may be used.
    pub sound: Arc<Sound>,
    /// Files that must not be used, also if their zone is lost at present.
    pub stale: Stale,
}

impl Known {
    /// A segment that was just made, its shards in these zones.
    pub fn made(name: SegmentName, space: Arc<Space>, zones: &[ZoneId], sound: Arc<Sound>) -> Known {
        let homes = zones.iter().copied().map(Some).collect();
        Known { name, space, homes, sound, stale: Stale::new() }
    }

    /// A segment that nobody writes to, put together from the files there are; also those for which there is no use.
    ///
    /// A shard is whole if it is as long as the shortest of the longest that are needed to read: what is beyond
    /// cannot be read nor rebuilt, and was never acknowledged.
    pub fn found(name: SegmentName, files: &[ShardFile], stale: Stale) -> (Known, Vec<ShardFile>) {
        // One without a header is left from a segment that never came into use.
        let is_useless = |file: &ShardFile| stale.contains(&(file.shard, file.zone)) || file.bytes < BLOCK_BYTES as u64;
        let mut best: Vec<Option<ShardFile>> = vec![None; name.layout.shards()];
        let mut spare = Vec::new();
        for &file in files {
            let rank = |file: &ShardFile| (!is_useless(file), file.bytes, std::cmp::Reverse(file.zone));
            let place = &mut best[usize::from(file.shard)];
            match place {
                Some(other) if rank(other) >= rank(&file) => spare.push(file),
                other => spare.extend(other.replace(file)),
            }
        }
        let mut lengths: Vec<u64> =
            best.iter().flatten().filter(|file| !is_useless(file)).map(|file| file.bytes).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        let needed = name.layout.needed();
        let whole_bytes = lengths.get(needed - 1).or(lengths.first()).copied().unwrap_or(0);
        let is_whole = |file: &ShardFile| !is_useless(file) && file.bytes >= whole_bytes;
        let whole = best.iter().flatten().filter(|file| is_whole(file)).map(|file| usize::from(file.shard));
        let known = Known {
            name,
            space: Arc::new(Space::sealed(name.layout.segment_bytes(whole_bytes))),
            sound: Arc::new(Sound::of(whole)),
            homes: best.iter().map(|file| file.map(|file| file.zone)).collect(),
            stale,
        };
        (known, spare)
    }

    /// The shards whose files are in a zone.
    pub fn shards_in(&self, zone: ZoneId) -> Vec<usize> {
        (0..self.homes.len()).filter(|&shard| self.homes[shard] == Some(zone)).collect()
    }

    /// Whether a shard is there and may be used.
    pub fn has(&self, shard: usize) -> bool {
        self.homes[shard].is_some() && self.sound.has(shard)
    }

    /// The shards that may be used.
    pub fn usable(&self) -> Vec<usize> {
        (0..self.homes.len()).filter(|&shard| self.has(shard)).collect()
    }

    /// Forgets the files in a zone that was lost. The shards of a segment that is being written miss writes from now on,
    /// unless too few others are left: then no write is acknowledged any more, and they have all that was.
    pub fn lose(&mut self, zone: ZoneId) {
        let lost = self.shards_in(zone);
        let left = self.usable().into_iter().filter(|shard| !lost.contains(shard)).count();
        for shard in lost {
            if !self.space.is_sealed() {
                self.space.close();
                if left >= self.name.layout.needed() {
                    self.sound.make_stale(shard);
                }
            }
            if self.sound.is_stale(shard) {
                self.stale.insert((shard as u8, zone));
            }
            self.sound.give_up(shard);
            self.homes[shard] = None;
        }
    }

    /// The size of a whole shard in bytes.
    pub fn shard_bytes(&self) -> u64 {
        self.name.layout.shard_bytes(self.space.bytes())
    }

    /// What is told of it.
    pub fn info(&self) -> SegmentInfo {
        let shards = 0..self.homes.len();
        let present = self.homes.iter().flatten();
        let zones: BTreeSet<ZoneId> = present.clone().copied().collect();
        SegmentInfo {
            id: self.name.segment,
            generation: self.name.generation,
            pool: self.name.pool,
            layout: self.name.layout,
            bytes: self.space.bytes(),
            physical_bytes: self.shard_bytes() * present.count() as u64,
            sealed: self.space.is_sealed(),
            missing_shards: shards.filter(|&shard| !self.has(shard)).map(|shard| shard as u8).collect(),
            zones: zones.into_iter().collect(),
        }
    }

    /// The shards to rebuild. None while the segment is written, or if too few are left.
    pub fn damage(&self) -> Vec<Damage> {
        let usable = self.usable();
        if !self.space.is_sealed() || usable.len() < self.name.layout.needed() || usable.len() == self.homes.len() {
            return Vec::new();
        }
        let (segment, bytes) = (self.name.segment, self.shard_bytes());
        let damage = |shard: usize| Damage { segment, shard: shard as u8, bytes, home: self.homes[shard] };
        (0..self.homes.len()).filter(|shard| !usable.contains(shard)).map(damage).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, ShardFile, Stale};
    use crate::blob::shard_name::SegmentName;
    use crate::blob::stripe::Layout;
    use crate::pool::Pool;
    use crate::zone::ZoneId;

    fn check(
        layout: (u8, u8),
        files: &[(u8, u16, u64)],
        stale: &[(u8, u16)],
        usable: &[usize],
        spare: &[(u8, u16)],
    ) -> Known {
        let name = SegmentName {
            segment: 1,
            generation: 1,
            pool: Pool::Hot,
            layout: Layout { data: layout.0, parity: layout.1 },
        };
        let files: Vec<ShardFile> =
            files.iter().map(|&(shard, zone, bytes)| ShardFile { shard, zone: ZoneId(zone), bytes }).collect();
        let stale: Stale = stale.iter().map(|&(shard, zone)| (shard, ZoneId(zone))).collect();
        let (known, left) = Known::found(name, &files, stale);
        assert_eq!(known.usable(), usable, "{files:?}");
        assert_eq!(left.iter().map(|file| (file.shard, file.zone.0)).collect::<Vec<_>>(), spare, "{files:?}");
        known
    }

    #[test]
    fn shards_are_put_together() {
        check((1, 0), &[(0, 0, 8192)], &[], &[0], &[]);
        check((1, 1), &[(0, 0, 8192), (1, 1, 8192)], &[], &[0, 1], &[]);
        check((1, 1), &[(0, 0, 4096), (1, 1, 8192)], &[], &[1], &[]);
        check((1, 1), &[(0, 0, 8192), (1, 1, 8192)], &[(0, 0)], &[1], &[]);
        check((1, 1), &[(0, 0, 8192), (1, 1, 8192)], &[(0, 3)], &[0, 1], &[]);
        // The longer file of a shard, or the one that is not stale, is used.
        check((1, 1), &[(0, 0, 4096), (0, 2, 8192), (1, 1, 8192)], &[], &[0, 1], &[(0, 0)]);
        check((1, 1), &[(0, 0, 8192), (0, 2, 8192), (1, 1, 8192)], &[(0, 0)], &[0, 1], &[(0, 0)]);
        // One that is longer than others by what was never acknowledged makes these no shorter than they should be.
        let known = check((2, 1), &[(0, 0, 12288), (1, 1, 8192), (2, 2, 8192)], &[], &[0, 1, 2], &[]);
        assert_eq!((known.space.bytes(), known.shard_bytes()), (12288, 8192));
        assert!(known.damage().is_empty());
        let known = check((2, 1), &[(0, 0, 8192), (2, 2, 8192)], &[], &[0, 2], &[]);
        assert_eq!(known.damage().iter().map(|damage| damage.shard).collect::<Vec<_>>(), [1]);
        check((1, 1), &[(1, 1, 100)], &[], &[], &[]);
        let known = check((2, 1), &[(2, 2, 8192)], &[], &[2], &[]);
        assert!(known.damage().is_empty(), "nothing can be rebuilt from too few");
    }

    #[test]
    fn a_lost_zone_is_forgotten() {
        let mut known = check((1, 1), &[(0, 0, 8192), (1, 1, 8192)], &[(0, 0)], &[1], &[]);
        known.lose(ZoneId(0));
        assert_eq!((known.usable(), known.info().zones), (vec![1], vec![ZoneId(1)]));
        assert!(known.stale.contains(&(0, ZoneId(0))));
        known.lose(ZoneId(1));
        assert!(known.usable().is_empty() && !known.stale.contains(&(1, ZoneId(1))), "it is complete");
    }
}

//! The names of files in a zone's directory.
//!
//! ```text
//! <shard>.seg                                a shard
//! <shard>.seg.rebuild                        one that is being rebuilt; after a crash, garbage
//! <shard>.stale-{zone:04x}                   empty: the file of that shard in that zone misses writes
//!
//! <shard> is {segment:016x}-{generation:08x}-{pool:x}{data:x}{parity:x}{shard:x}
//! ```

use crate::blob::stripe::Layout;
use crate::pool::Pool;
use crate::zone::ZoneId;

const SUFFIX: &str = ".seg";
const REBUILD_SUFFIX: &str = ".seg.rebuild";
const STALE_SUFFIX: &str = ".stale-";

/// What the names of all shards of a segment have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentName {
    /// The segment's id.
    pub segment: u64,
    /// How often the id was taken into use.
    pub generation: u32,
    /// What the segment holds.
    pub pool: Pool,
    /// How it lies in its shards.
    pub layout: Layout,
}

/// Names one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardName {
    /// Of which segment.
    pub of: SegmentName,
    /// Which shard: data shards first.
    pub shard: u8,
}

/// What a file in a zone's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A shard.
    Shard(ShardName),
    /// A shard that somebody was rebuilding.
    Rebuild,
    /// A note that the file of a shard in some zone misses writes.
    Stale(ShardName, ZoneId),
    /// A file that ends like a shard, but is none that this build would name.
    Misnamed,
    /// Nothing of ours.
    Foreign,
}

impl SegmentName {
    /// The name of one of its shards.
    pub fn shard(self, shard: usize) -> ShardName {
        ShardName { of: self, shard: u8::try_from(shard).expect("a segment has at most 30 shards") }
    }

    /// How messages name the segment.
    pub fn shown(self) -> String {
        if self.layout == Layout::PLAIN {
            return self.shard(0).file_name();
        }
        let mut stem = self.shard(0).stem();
        stem.pop();
        stem
    }
}

impl ShardName {
    /// The name of its file.
    pub fn file_name(self) -> String {
        self.stem() + SUFFIX
    }

    /// The name of its file while it is being rebuilt.
    pub fn rebuild_name(self) -> String {
        self.stem() + REBUILD_SUFFIX
    }

    /// The name of the note that its file in that zone misses writes.
    pub fn stale_name(self, zone: ZoneId) -> String {
        format!("{}{STALE_SUFFIX}{:04x}", self.stem(), zone.0)
    }

    fn stem(self) -> String {
        let SegmentName { segment, generation, pool, layout: Layout { data, parity } } = self.of;
        format!("{segment:016x}-{generation:08x}-{:x}{data:x}{parity:x}{:x}", pool.number(), self.shard)
    }

    fn parse(stem: &str) -> Option<ShardName> {
        let (segment, rest) = stem.split_once('-')?;
        let (generation, form) = rest.split_once('-')?;
        let &[pool, data, parity, shard] = form.as_bytes() else { return None };
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let layout = Layout { data: digit(data)?, parity: digit(parity)? };
        let of = SegmentName {
            segment: u64::from_str_radix(segment, 16).ok()?,
            generation: u32::from_str_radix(generation, 16).ok()?,
            pool: Pool::from_number(digit(pool)?)?,
            layout,
        };
        let name = ShardName { of, shard: digit(shard)? };
        let possible = layout.data > 0 && usize::from(name.shard) < layout.shards();
        // Only the one spelling that this build would write.
        (possible && name.stem() == stem).then_some(name)
    }
}

/// Tells what a file is by its name.
pub fn parse(file_name: &str) -> Entry {
    if file_name.ends_with(REBUILD_SUFFIX) {
        return Entry::Rebuild;
    }
    if let Some(stem) = file_name.strip_suffix(SUFFIX) {
        return ShardName::parse(stem).map_or(Entry::Misnamed, Entry::Shard);
    }
    let stale = || {
        let (stem, zone) = file_name.split_once(STALE_SUFFIX)?;
        let (name, zone) = (ShardName::parse(stem)?, ZoneId(u16::from_str_radix(zone, 16).ok()?));
        (name.stale_name(zone) == file_name).then_some(Entry::Stale(name, zone))
    };
    stale().unwrap_or(Entry::Foreign)
}

#[cfg(test)]
mod tests {
    use super::{Entry, SegmentName, parse};
    use crate::blob::stripe::Layout;
    use crate::pool::Pool;
    use crate::zone::ZoneId;

    #[test]
    fn names_have_one_spelling() {
        fn check(name: &str, expected: Entry) {
            assert_eq!(parse(name), expected, "{name}");
        }
        let of =
            SegmentName { segment: 255, generation: 1, pool: Pool::Archive, layout: Layout { data: 4, parity: 2 } };
        let name = of.shard(5);
        assert_eq!(name.file_name(), "00000000000000ff-00000001-3425.seg");
        check("00000000000000ff-00000001-3425.seg", Entry::Shard(name));
        check("00000000000000ff-00000001-3425.seg.rebuild", Entry::Rebuild);
        assert_eq!(name.rebuild_name(), "00000000000000ff-00000001-3425.seg.rebuild");
        check("00000000000000ff-00000001-3425.stale-000a", Entry::Stale(name, ZoneId(10)));
        check("00000000000000ff-00000001-3425.stale-a", Entry::Foreign);
        for misnamed in [
            "00000000000000FF-00000001-3425.seg",
            "00000000000000ff-00000001-342A.seg",
            "00000000000000ff-00000001-3426.seg",
            "00000000000000ff-00000001-3020.seg",
            "00000000000000ff-00000001-7425.seg",
            "00000000000000ff-00000001-342.seg",
            "00000000000000ff-00000001.seg",
            "+0000000000000ff-00000001-3425.seg",
            "ff-1-3425.seg",
            "00000000000000ff-00000001-342é.seg",
        ] {
            check(misnamed, Entry::Misnamed);
        }
        check("lost+found", Entry::Foreign);
        assert_eq!(of.shown(), "00000000000000ff-00000001-342");
        assert_eq!(SegmentName { layout: Layout::PLAIN, ..of }.shown(), "00000000000000ff-00000001-3100.seg");
    }
}

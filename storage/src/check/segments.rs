//! Segments, from below: are the zones and shards there, does every place lie in a segment, is each record what its place
//! says, are live bytes counted right.

use std::collections::BTreeMap;

use super::{Check, CheckDepth, CheckStep, FindingKind, LOST_MAX, shown_row};
use crate::blob::{Examiner, Placement, SegmentInfo};
use crate::error::Result;
use crate::index::record::{Record as _, StoredBlob};
use crate::index::{Family, key};

/// The segment whose places are being walked through.
struct Segment {
    id: u64,
    /// `None` if it is not there, or cannot be read.
    examiner: Option<Examiner>,
    /// What its places add up to.
    live_bytes: i64,
    /// Whether a place could not be resolved, so that the sum is not known.
    uncertain: bool,
    /// Chunks in it.
    blobs: u64,
}

impl Check<'_> {
    pub(super) fn segments(&mut self, lost_zones: &[(String, String)]) -> Result<()> {
        self.begin(CheckStep::Segments, &[Family::Placement])?;
        if self.depth == CheckDepth::Content {
            self.position.2 = self.live_bytes()?;
        }
        for (zone, reason) in lost_zones {
            self.find(FindingKind::ZoneMissing, format!("zone {zone}"), reason.clone());
        }
        let infos: BTreeMap<u64, SegmentInfo> = self.blobs.segments().into_iter().map(|info| (info.id, info)).collect();
        self.report.segments = infos.len() as u64;
        self.shards(&infos, lost_zones.is_empty())?;
        self.placements(&infos)?;
        self.segment_counters()?;
        for stray in self.blobs.strays() {
            self.find(FindingKind::StrayFile, format!("{} in zone {}", stray.name, stray.zone.0), "");
        }
        Ok(())
    }

    /// What the counters say that there is, in bytes.
    fn live_bytes(&self) -> Result<u64> {
        let mut sum = 0_u64;
        let mut rows = self.rows.cursor(Family::Segment, &[], &[]);
        while let Some((_, value)) = rows.row()? {
            let [live] = key::counters(value).unwrap_or([0]);
            sum = sum.saturating_add(u64::try_from(live).unwrap_or(0));
            rows.advance();
        }
        Ok(sum)
    }

    /// Tells of shards that are missing, and of segments that nothing is in. Those of zones that are away are told of with
    /// their zone.
    fn shards(&mut self, infos: &BTreeMap<u64, SegmentInfo>, all_zones: bool) -> Result<()> {
        for info in infos.values() {
            let place = format!("segment {}", info.id);
            let from = key::placement(info.id, 0);
            let to = key::after_prefix(info.id.to_be_bytes().to_vec());
            if self.rows.first(Family::Placement, &from, &to)?.is_none() {
                self.find(FindingKind::SegmentGarbage, place, format!("{} bytes", info.physical_bytes));
            } else if all_zones && !info.missing_shards.is_empty() && info.is_readable() {
                self.find(FindingKind::ShardMissing, place, format!("shards {:?}", info.missing_shards));
            }
        }
        Ok(())
    }

    /// Walks through all places, in the order in which they lie on the disk.
    fn placements(&mut self, infos: &BTreeMap<u64, SegmentInfo>) -> Result<()> {
        let mut segment: Option<Segment> = None;
        let mut rows = self.rows.cursor(Family::Placement, &[], &[]);
        while let Some((row, value)) = rows.row()? {
            let Ok(place) = <[u8; 16]>::try_from(row) else {
                self.unreadable(Family::Placement, row, &key::corrupt("placement row", row));
                rows.advance();
                continue;
            };
            let (id, _) = place.split_first_chunk::<8>().expect("the row has 16 bytes");
            let id = u64::from_be_bytes(*id);
            let mut present = match segment.take() {
                Some(present) if present.id == id => present,
                before => {
                    self.end_segment(before)?;
                    self.open_segment(id, infos)
                }
            };
            match self.decode::<StoredBlob>(Family::Placement, row, value) {
                Some(blob) => self.placement(&mut present, row, blob)?,
                None => present.uncertain = true,
            }
            segment = Some(present);
            if self.depth == CheckDepth::Index {
                self.advance(1);
            }
            rows.advance();
        }
        self.end_segment(segment)
    }

    fn open_segment(&mut self, id: u64, infos: &BTreeMap<u64, SegmentInfo>) -> Segment {
        let readable = infos.get(&id).is_some_and(SegmentInfo::is_readable);
        let examiner = if readable { self.blobs.examiner(id).ok() } else { None };
        let unusable: Vec<String> = examiner
            .iter()
            .flat_map(Examiner::unusable)
            .map(|(zone, error)| format!("in zone {}: {error}", zone.0))
            .collect();
        for detail in unusable {
            self.find(FindingKind::ShardUnusable, format!("segment {id}"), detail);
        }
        Segment { id, examiner, live_bytes: 0, uncertain: false, blobs: 0 }
    }

    /// Looks at one place: the chunk must say the same, and the record must be there.
    fn placement(&mut self, segment: &mut Segment, row: &[u8], blob: StoredBlob) -> Result<()> {
        let place = match self.rows.get(Family::Blob, &key::stored_blob(&blob))?.map(|value| Placement::decode(&value))
        {
            Some(Ok(place)) => Some(place),
            // The walk through the chunks tells of it.
            Some(Err(_)) => None,
            None => {
                self.find(FindingKind::PlacementRow, shown_row(Family::Placement, row), "its chunk has no place");
                None
            }
        };
        let Some(place) = place else {
            segment.uncertain = true;
            return Ok(());
        };
        if key::placement(place.segment, place.offset) != row {
            self.find(FindingKind::PlacementRow, shown_row(Family::Placement, row), "its chunk is in another place");
            return Ok(());
        }
        segment.blobs += 1;
        segment.live_bytes = segment.live_bytes.saturating_add(i64::try_from(place.record_bytes()).unwrap_or(i64::MAX));
        self.record(segment, &blob, &place);
        Ok(())
    }

    fn record(&mut self, segment: &mut Segment, blob: &StoredBlob, place: &Placement) {
        let shown = format!("segment {} at {}: {} in {}", place.segment, place.offset, blob.id, blob.pool.name());
        let Some(examiner) = &segment.examiner else { return };
        if examiner.generation() != place.generation || place.check().is_err() {
            self.lose(*blob);
            self.find(FindingKind::RecordLost, shown, "the segment is not the one that it was written to");
            return;
        }
        if self.depth == CheckDepth::Index && examiner.has_head(place) {
            return;
        }
        let examined = examiner.record(&blob.id, place);
        if let Ok(examined) = &examined {
            self.report.bytes_read += examined.bytes;
        }
        if self.depth == CheckDepth::Content {
            self.advance(place.record_bytes());
        }
        match examined {
            Ok(examined) if examined.record.is_none() => {
                self.lose(*blob);
                self.find(FindingKind::RecordLost, shown, "no shard gives what was written");
            }
            Ok(examined) if !examined.damaged.is_empty() => {
                let zones: Vec<String> = examined.damaged.iter().map(|zone| zone.0.to_string()).collect();
                self.find(FindingKind::RecordDamaged, shown, format!("in zones {}", zones.join(", ")));
            }
            Ok(_) => {}
            Err(error) => {
                self.lose(*blob);
                self.find(FindingKind::RecordLost, shown, error.to_string());
            }
        }
    }

    fn lose(&mut self, blob: StoredBlob) {
        if self.lost.len() < LOST_MAX {
            self.lost.insert(blob);
        }
    }

    fn end_segment(&mut self, segment: Option<Segment>) -> Result<()> {
        let Some(Segment { id, examiner, live_bytes, uncertain, blobs }) = segment else { return Ok(()) };
        if examiner.is_none() {
            self.lost_segments.insert(id);
            self.find(
                FindingKind::SegmentMissing,
                format!("segment {id}"),
                format!("{blobs} chunks of {live_bytes} bytes"),
            );
        }
        let counted = self.rows.get(Family::Segment, &id.to_be_bytes())?;
        let counted = counted.map_or(Some([0]), |value| key::counters(&value));
        if counted != Some([live_bytes]) && !uncertain {
            let counted = counted.map_or("nothing that can be read".to_owned(), |[counted]| counted.to_string());
            let detail = format!("the counter says {counted}, the places add up to {live_bytes}");
            self.find(FindingKind::SegmentCounter, format!("segment {id}"), detail);
        }
        Ok(())
    }

    /// Looks for counters of segments that nothing is in.
    fn segment_counters(&mut self) -> Result<()> {
        let mut rows = self.rows.cursor(Family::Segment, &[], &[]);
        while let Some((row, value)) = rows.row()? {
            let (Ok(id), Some([live])) = (<[u8; 8]>::try_from(row), key::counters(value)) else {
                self.unreadable(Family::Segment, row, &key::corrupt("segment row", row));
                rows.advance();
                continue;
            };
            let id = u64::from_be_bytes(id);
            let to = key::after_prefix(id.to_be_bytes().to_vec());
            if live != 0 && self.rows.first(Family::Placement, &key::placement(id, 0), &to)?.is_none() {
                let detail = format!("the counter says {live}, and nothing is in it");
                self.find(FindingKind::SegmentCounter, format!("segment {id}"), detail);
            }
            rows.advance();
        }
        Ok(())
    }
}

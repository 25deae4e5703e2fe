//! Garbage: what it describes may be there in part, and belongs to it as far as it is.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use super::buckets::{Uploads, Walked};
use super::contents::Owner;
use crate::error::Result;
use crate::index::Family;
use crate::index::record::Garbage;

/// How findings would name it; none are made of garbage but for rows that cannot be read.
const SHOWN: &str = "garbage";

impl Check<'_> {
    /// Walks through all garbage, and returns the buckets of which it says that their uploads are to go.
    pub(super) fn garbage(&mut self) -> Result<BTreeSet<u64>> {
        let mut removed = BTreeSet::new();
        let mut rows = self.rows.cursor(Family::Garbage, &[], &[]);
        while let Some((row, value)) = rows.row()? {
            self.report.garbage += u64::from(!self.muted);
            let owner = |pools| Owner { shown: SHOWN, is_garbage: true, pools };
            match self.decode::<Garbage>(Family::Garbage, row, value) {
                Some(Garbage::Body(body, pools)) => _ = self.body(&body, owner(pools))?,
                Some(Garbage::Content(content, pools)) => self.content(&content, owner(pools))?,
                Some(Garbage::Upload(upload)) => _ = self.parts(upload, SHOWN, Uploads::Garbage)?,
                Some(Garbage::Bucket(id)) => {
                    removed.insert(id);
                    let name = SHOWN.to_owned();
                    let mut bucket = Walked { id, name, usage: BTreeMap::new(), uncertain: false };
                    self.uploads(&mut bucket, Uploads::Garbage)?;
                }
                None => self.unreadable_owner = true,
            }
            self.advance(1);
            rows.advance();
        }
        Ok(removed)
    }
}

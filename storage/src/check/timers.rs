//! Timers: rows of what is gone do no harm, and are counted.

use super::{Check, CheckStep};
use crate::error::Result;
use crate::index::key::{DueKind, DueRow, Older};
use crate::index::{Family, key};

impl Check<'_> {
    pub(super) fn timers(&mut self) -> Result<()> {
        self.begin(CheckStep::Timers, &[Family::Due])?;
        let mut rows = self.rows.cursor(Family::Due, &[], &[]);
        while let Some((row, value)) = rows.row()? {
            match (key::split_due(row), Older::decode(value)) {
                (Some(due), Some(_)) => self.report.stale_timers += u64::from(!self.has_subject(&due)?),
                _ => self.unreadable(Family::Due, row, &key::corrupt("due row", row)),
            }
            self.advance(1);
            rows.advance();
        }
        Ok(())
    }

    fn has_subject(&self, due: &DueRow) -> Result<bool> {
        let DueRow { kind, bucket, key: name, stamp, .. } = due;
        let found = match kind {
            DueKind::Upload => self.rows.get(Family::Upload, &key::upload(*bucket, name, *stamp))?,
            DueKind::Version | DueKind::Restore | DueKind::Settle => {
                self.rows.get(Family::Version, &key::version(*bucket, name, *stamp))?
            }
        };
        Ok(found.is_some())
    }
}

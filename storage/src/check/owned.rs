//! Rows that belong to contents and uploads: each of them must have been claimed.

use super::claims::{Claims, OWNED};
use super::{Check, CheckStep, FindingKind, shown_row};
use crate::error::Result;
use crate::index::Family;

impl Check<'_> {
    pub(super) fn owned(&mut self) -> Result<()> {
        self.begin(CheckStep::Owned, &OWNED.map(|(family, _)| family))?;
        self.compare_owned()?;
        // Whom the rows belong to that are left is not known if an owner cannot be read, which was told.
        if self.unreadable_owner {
            return Ok(());
        }
        let Some((claims, left_out)) = self.claims.differing() else { return Ok(()) };
        self.claims = claims;
        self.muted = true;
        self.begin(CheckStep::Versions, &[Family::Version, Family::Upload, Family::Garbage])?;
        self.owners()?;
        self.muted = false;
        self.begin(CheckStep::Owned, &OWNED.map(|(family, _)| family))?;
        self.compare_owned()?;
        if left_out > 0 {
            let detail = format!("there is more of the same, in {left_out} further of 65536 parts of these families");
            self.find(FindingKind::Unowned, "references, small contents, manifests and parts", detail);
        }
        Ok(())
    }

    fn compare_owned(&mut self) -> Result<()> {
        let counting = matches!(self.claims, Claims::Sums(_));
        for (family, _) in OWNED {
            let mut rows = self.rows.cursor(family, &[], &[]);
            while let Some((row, _)) = rows.row()? {
                if counting && family == Family::Reference {
                    self.report.references += 1;
                }
                if self.claims.found(family, row) {
                    self.find(FindingKind::Unowned, shown_row(family, row), "it belongs to nothing that is there");
                }
                self.advance(1);
                rows.advance();
            }
        }
        Ok(())
    }
}

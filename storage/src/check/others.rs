//! The families that nothing else was compared with: their rows must be readable.

use super::{Check, CheckStep};
use crate::bucket::BucketRules;
use crate::document::DOCUMENT_NAME_BYTES_MAX;
use crate::error::{Error, Result};
use crate::index::record::{CompletedRecord, Record as _};
use crate::index::{Family, key};
use crate::stamp::Timestamp;

/// Reads a row, and so tells whether it can be.
type ReadRow = fn(&[u8], &[u8]) -> Result<()>;

/// Families, and who reads their rows.
const OTHERS: [(Family, ReadRow); 6] = [
    (Family::BucketRules, bucket_rules),
    (Family::Completed, completed),
    (Family::Access, access),
    (Family::Lost, lost),
    (Family::Meter, meter),
    (Family::Document, document),
];

impl Check<'_> {
    pub(super) fn others(&mut self) -> Result<()> {
        self.begin(CheckStep::Others, &OTHERS.map(|(family, _)| family))?;
        for (family, read) in OTHERS {
            let mut rows = self.rows.cursor(family, &[], &[]);
            while let Some((row, value)) = rows.row()? {
                if let Err(error) = read(row, value) {
                    self.unreadable(family, row, &error);
                }
                self.advance(1);
                rows.advance();
            }
        }
        self.tell();
        Ok(())
    }
}

fn bucket_rules(_row: &[u8], value: &[u8]) -> Result<()> {
    BucketRules::decode(value).map(drop)
}

fn completed(row: &[u8], value: &[u8]) -> Result<()> {
    let _: [u8; 16] = row.try_into().map_err(|_| key::corrupt("completed upload row", row))?;
    CompletedRecord::decode(value).map(drop)
}

fn access(row: &[u8], value: &[u8]) -> Result<()> {
    let _: [u8; 16] = row.try_into().map_err(|_| key::corrupt("access row", row))?;
    Timestamp::decode(value).map(drop)
}

fn lost(row: &[u8], _value: &[u8]) -> Result<()> {
    let _: [u8; 16] = row.try_into().map_err(|_| key::corrupt("row of a lost version", row))?;
    Ok(())
}

fn meter(row: &[u8], value: &[u8]) -> Result<()> {
    let counted = key::split_meter(row).and(key::counters::<1>(value));
    counted.map(drop).ok_or_else(|| key::corrupt("meter row", row))
}

fn document(row: &[u8], _value: &[u8]) -> Result<()> {
    let corrupt = || Error::Corrupt { what: "document name", place: hex::encode(row) };
    let name = std::str::from_utf8(row).map_err(|_| corrupt())?;
    if (1..=DOCUMENT_NAME_BYTES_MAX).contains(&name.len()) { Ok(()) } else { Err(corrupt()) }
}

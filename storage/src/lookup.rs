//! Which version of a key a reader means, and what its rows say. All of them are read as of one moment: what is told
//! about the newest version was true while it was the newest.

use crate::error::Result;
use crate::index::record::{Body, ContentForm, CurrentRecord, ObjectRecord, VersionRecord};
use crate::index::{Family, Rows, key};
use crate::name::ObjectKey;
use crate::object::VersionSelector;
use crate::stamp::{Stamp, VersionId};

/// What is looked for.
pub(crate) struct Sought {
    /// The bucket's number.
    pub(crate) bucket: u64,
    /// Whether the bucket may have versions that are not the newest.
    pub(crate) versioned: bool,
    pub(crate) key: ObjectKey,
    pub(crate) version: VersionSelector,
}

/// A version that is there.
pub(crate) struct Found {
    pub(crate) stamp: Stamp,
    pub(crate) record: VersionRecord,
    /// What is stored of bytes that live in the index.
    pub(crate) inline: Option<Vec<u8>>,
}

impl Sought {
    /// The version, or `None` if there is none.
    pub(crate) fn look_up(&self, rows: &Rows<'_>) -> Result<Option<Found>> {
        let stamp = match self.version {
            VersionSelector::Current => self.newest(rows)?,
            VersionSelector::Id(VersionId::Stamp(stamp)) => Some(stamp),
            VersionSelector::Id(VersionId::Null) => self.null(rows)?,
        };
        let Some(stamp) = stamp else { return Ok(None) };
        let row = key::version(self.bucket, self.key.as_str(), stamp);
        let Some(record) = rows.record::<VersionRecord>(Family::Version, &row)? else { return Ok(None) };
        // A null version has a stamp too, but that is not an id by which it can be named.
        if record.null && matches!(self.version, VersionSelector::Id(VersionId::Stamp(_))) {
            return Ok(None);
        }
        let inline = match record.object.as_ref().and_then(in_index) {
            Some(content) => rows.get(Family::Inline, &content.to_bytes())?,
            None => None,
        };
        Ok(Some(Found { stamp, record, inline }))
    }

    /// The newest version: the visible object, or a delete marker.
    fn newest(&self, rows: &Rows<'_>) -> Result<Option<Stamp>> {
        if let Some(current) = self.current(rows)? {
            return Ok(Some(current.stamp));
        }
        if !self.versioned {
            return Ok(None);
        }
        let prefix = key::escaped(self.bucket, self.key.as_str());
        let Some((row, _)) = rows.first(Family::Version, &prefix, &key::after_prefix(prefix.clone()))? else {
            return Ok(None);
        };
        let (_, stamp) = key::split_version(&row).ok_or_else(|| key::corrupt("version row", &row))?;
        Ok(Some(stamp))
    }

    fn null(&self, rows: &Rows<'_>) -> Result<Option<Stamp>> {
        match self.current(rows)? {
            Some(current) if current.null => Ok(Some(current.stamp)),
            _ => rows.record(Family::Null, &key::object(self.bucket, self.key.as_str())),
        }
    }

    fn current(&self, rows: &Rows<'_>) -> Result<Option<CurrentRecord>> {
        rows.record(Family::Current, &key::object(self.bucket, self.key.as_str()))
    }
}

/// The content of an object whose bytes live in the index.
fn in_index(object: &ObjectRecord) -> Option<Stamp> {
    match &object.body {
        Body::Single(content) if content.form == ContentForm::Inline => Some(content.id),
        _ => None,
    }
}

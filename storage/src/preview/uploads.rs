//! The uploads that rules would abort.

use crate::error::Result;
use crate::index::record::{Record as _, UploadRecord};
use crate::index::{Family, Rows, Step, key};
use crate::list::following;
use crate::name::ObjectKey;
use crate::preview::course::Horizon;
use crate::preview::{Place, PreviewAction, PreviewEvent, PreviewPage, PreviewPosition};
use crate::stamp::{Stamp, UploadId};

/// Adds to a page what happens to the next open uploads, of which it looks at so many, and returns where it was cut.
pub(super) fn add(
    rows: &Rows<'_>,
    bucket: u64,
    horizon: &Horizon<'_>,
    mut after: Option<(String, Stamp)>,
    max: u64,
    page: &mut PreviewPage,
) -> Result<Option<PreviewPosition>> {
    let from = match &after {
        Some((name, stamp)) => following(key::upload(bucket, name, *stamp)),
        None => key::bucket_start(bucket),
    };
    let (mut seen, mut is_cut) = (0, false);
    rows.scan(Family::Upload, &from, &key::bucket_end(bucket), |row, value| {
        if seen >= max {
            is_cut = true;
            return Ok(Step::Stop);
        }
        seen += 1;
        let corrupt = || key::corrupt("upload row", row);
        let (name, stamp) = key::split_upload(row).ok_or_else(corrupt)?;
        let key = ObjectKey::parse(&name).map_err(|_| corrupt())?;
        let record = UploadRecord::decode(value)?;
        after = Some((name, stamp));
        let due = horizon.lifecycle.abort(key.as_str(), stamp.time, &horizon.calendar);
        if let Some((at, _)) = due.filter(|(at, _)| *at <= horizon.end) {
            let bytes = record.part_bytes;
            page.sums.aborted += 1;
            page.sums.aborted_bytes = page.sums.aborted_bytes.saturating_add(bytes);
            let action = PreviewAction::Abort { upload: UploadId(stamp), bytes };
            page.events.push(PreviewEvent { at: at.max(horizon.now), key, version_id: None, action });
        }
        Ok(Step::Next)
    })?;
    Ok(is_cut.then_some(PreviewPosition(Place::Uploads(after))))
}

//! Object tags: replaced in place, per version.

use crate::announce::Happening;
use crate::attributes::{Changing, Tagged};
use crate::error::Result;
use crate::event::EventKind;
use crate::name::{BucketName, ObjectKey};
use crate::object::{Tag, VersionSelector};
use crate::store::Store;

impl Store {
    /// Replaces the tags of a version; empty removes them. Errors as [`Store::object`].
    pub async fn set_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        tags: Vec<Tag>,
    ) -> Result<Tagged> {
        let inner = &self.inner;
        let kind = if tags.is_empty() { EventKind::TaggingDelete } else { EventKind::TaggingPut };
        let change = |changing: Changing<'_>| {
            let Changing { bucket, key, stamp, null, object, batch } = changing;
            object.tags = tags;
            // Rules may ask for tags.
            inner.wake(bucket, key, stamp, batch);
            let known = &mut object.replication.changes;
            known.tags = Some(inner.stamp_of_change(known.tags));
            inner.replicate_changes(bucket, key.as_str(), (stamp, null), object, batch);
            let happening = Happening::new(kind, key.as_str(), (stamp, null)).of(object).asked(self.asked());
            inner.announce(bucket, &happening, batch);
            Ok(())
        };
        self.change_object(bucket, key, version, change).await
    }
}

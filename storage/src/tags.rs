//! Object tags: replaced in place, per version.

use crate::attributes::{Changing, Tagged};
use crate::error::Result;
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
        self.change_object(bucket, key, version, |changing| {
            let Changing { bucket, key, stamp, object, batch } = changing;
            object.tags = tags;
            // Rules may ask for tags.
            inner.wake(bucket, key, stamp, batch);
            Ok(())
        })
        .await
    }
}

//! Object tags: replaced in place, per version.

use crate::error::Result;
use crate::name::{BucketName, ObjectKey};
use crate::object::{Tag, VersionSelector};
use crate::stamp::VersionId;
use crate::store::Store;

/// What a change of tags acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// The version's id; `None` in a bucket that never was versioned.
    pub version_id: Option<VersionId>,
}

impl Store {
    /// Replaces the tags of a version; empty removes them. Errors as [`Store::object`].
    pub async fn set_tags(
        &self,
        bucket: &BucketName,
        key: &ObjectKey,
        version: VersionSelector,
        tags: Vec<Tag>,
    ) -> Result<Tagged> {
        todo!()
    }
}

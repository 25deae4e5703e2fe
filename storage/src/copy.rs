//! Copies: existing bytes staged once more, by reference where their digests are known, else after reading them.

use crate::error::Result;
use crate::get::OpenObject;
use crate::stage::{CopyStage, Staged};
use crate::store::Store;

impl Store {
    /// Stages bytes of a stored object, to be put or to become a part. No bytes are written; they are read only
    /// where a digest of exactly these bytes is not known yet (the MD5 of a multipart object, of a range, or a
    /// checksum that the source lacks).
    pub async fn stage_copy(&self, source: &OpenObject, options: CopyStage) -> Result<Staged> {
        todo!()
    }
}

//! What the calls go to: a store as it is, or one that was given a flaw, which must be found out.

use std::collections::HashMap;
use std::sync::Mutex;

use strata_storage::{
    BucketName, CompleteUpload, CompletedUpload, DeleteCondition, DeleteObject, Deleted, ETag, Entity, Error,
    ObjectInfo, ObjectKey, OpenObject, PutObject, Result, Stamp, Store, VersionId, VersionSelector, WriteCondition,
    Written,
};

use crate::mix::Kind;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// Writes look at their condition first, and write then.
    PutChecksFirst,
    /// The same of completed uploads that replace an object.
    CompleteChecksFirst,
    /// The same of deletes of an object of some content.
    DeleteChecksFirst,
    /// Some reads tell what an earlier one found.
    ReadsStale,
    /// Overwriting, in a bucket that is not versioned, removes what was there, and writes then.
    RemovesFirst,
    /// Such writes are acknowledged before they are done.
    AnswersEarly,
}

impl Flaw {
    /// The calls that show it best.
    pub fn wants(self) -> &'static [Kind] {
        match self {
            Flaw::CompleteChecksFirst => &[Kind::CreateUpload, Kind::Complete],
            Flaw::DeleteChecksFirst => &[Kind::Delete],
            Flaw::None | Flaw::PutChecksFirst | Flaw::ReadsStale | Flaw::RemovesFirst | Flaw::AnswersEarly => &[],
        }
    }
}

/// What a read found of the current version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Object(Box<ObjectInfo>),
    Nothing,
    Marker(VersionId),
}

/// A store, and its flaw.
pub struct Target {
    pub store: Store,
    pub flaw: Flaw,
    /// What reads found before, and how often they were asked.
    memory: Mutex<HashMap<(BucketName, ObjectKey), (Found, usize)>>,
}

impl Target {
    pub fn new(store: Store, flaw: Flaw) -> Target {
        Target { store, flaw, memory: Mutex::default() }
    }

    pub async fn put(&self, mut request: PutObject) -> Result<Written> {
        let (bucket, key) = (request.bucket.clone(), request.key.clone());
        match self.flaw {
            Flaw::PutChecksFirst => {
                let condition = std::mem::take(&mut request.condition);
                check_write(&condition, self.visible(&bucket, &key).await?.map(|(etag, _)| etag))?;
            }
            Flaw::RemovesFirst if request.condition == WriteCondition::None && self.is_plain(&bucket).await? => {
                self.store.delete(deletion(&bucket, &key)).await?;
            }
            Flaw::AnswersEarly if request.condition == WriteCondition::None && self.is_plain(&bucket).await? => {
                let etag = request.staged.etag();
                let store = self.store.clone();
                tokio::spawn(async move { store.put(request).await });
                return Ok(Written { version_id: None, etag, modified: Default::default() });
            }
            _ => {}
        }
        self.store.put(request).await
    }

    pub async fn complete(&self, mut request: CompleteUpload) -> Result<CompletedUpload> {
        let replaces = matches!(request.condition, WriteCondition::IfMatch(_));
        if self.flaw == Flaw::CompleteChecksFirst && replaces {
            let visible = self.visible(&request.bucket, &request.key).await?;
            check_write(&std::mem::take(&mut request.condition), visible.map(|(etag, _)| etag))?;
            if visible.is_some_and(|(_, stamp)| stamp > request.id.0) {
                return Err(Error::Conflict);
            }
            tokio::task::yield_now().await;
        }
        self.store.complete_upload(request).await
    }

    pub async fn delete(&self, mut request: DeleteObject) -> Result<Deleted> {
        if let DeleteCondition::IfMatch(wanted) = request.condition
            && self.flaw == Flaw::DeleteChecksFirst
        {
            let visible = self.visible(&request.bucket, &request.key).await?;
            check_write(&WriteCondition::IfMatch(wanted), visible.map(|(etag, _)| etag))?;
            request.condition = DeleteCondition::None;
        }
        self.store.delete(request).await
    }

    /// Opens a version.
    pub async fn object(&self, bucket: &BucketName, key: &ObjectKey, version: VersionSelector) -> Result<OpenObject> {
        self.store.object(bucket, key, version).await
    }

    /// What a read of the current version is said to have found, given what it did find.
    pub fn told(&self, bucket: &BucketName, key: &ObjectKey, found: Found) -> Found {
        if self.flaw != Flaw::ReadsStale {
            return found;
        }
        let mut memory = self.memory.lock().expect("nobody panics with it");
        let (before, times) = memory.entry((bucket.clone(), key.clone())).or_insert_with(|| (found.clone(), 0));
        *times += 1;
        if times.is_multiple_of(3) {
            return before.clone();
        }
        before.clone_from(&found);
        found
    }

    /// Whether the bucket never was versioned.
    async fn is_plain(&self, bucket: &BucketName) -> Result<bool> {
        Ok(!self.store.bucket(bucket).await?.was_versioned())
    }

    async fn visible(&self, bucket: &BucketName, key: &ObjectKey) -> Result<Option<(ETag, Stamp)>> {
        match self.store.object(bucket, key, VersionSelector::Current).await {
            Ok(open) => Ok(Some((open.info().etag, open.info().stamp))),
            Err(Error::NotFound(Entity::Key) | Error::DeleteMarker { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn check_write(condition: &WriteCondition, visible: Option<ETag>) -> Result<()> {
    match (condition, visible) {
        (WriteCondition::IfAbsent, Some(_)) => Err(Error::Precondition),
        (WriteCondition::IfMatch(_), None) => Err(Error::NotFound(Entity::Key)),
        (WriteCondition::IfMatch(wanted), visible) if *wanted != visible => Err(Error::Precondition),
        _ => Ok(()),
    }
}

/// A plain delete.
pub fn deletion(bucket: &BucketName, key: &ObjectKey) -> DeleteObject {
    DeleteObject {
        bucket: bucket.clone(),
        key: key.clone(),
        version: None,
        condition: DeleteCondition::None,
        governance: Default::default(),
    }
}

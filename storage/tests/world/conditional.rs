//! Requests with conditions, and uploads that are completed wrongly or once more: each answer is known.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use strata_storage::{
    Checksum, ChecksumAlgorithm, ChecksumKind, CompleteUpload, CompletedPart, CompletedUpload, DeleteCondition, ETag,
    Entity, Error, PutObject, StorageClass, VersionId, VersionSelector, Versioning, WriteCondition,
};

use crate::model::{Object, Part, Upload, Version};
use crate::ops::{Content, KEYS};
use crate::run::Run;
use crate::support::{DAY, bucket, key, multipart_etag};

/// What the visible object must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    None,
    /// There must be none.
    Absent,
    /// There must be one, whatever it is. Only deletes ask for it.
    Present,
    /// It must be what it is now.
    Right,
    /// It must be what nothing is.
    Wrong,
}

/// What is wrong with the parts that a request lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    ETag,
    Missing,
    Size,
    Checksum,
    /// Nothing is wrong, but only the first part is listed.
    OnlyFirst,
}

/// A request of this file.
#[derive(Debug, Clone)]
pub enum Conditional {
    Put {
        key: usize,
        content: Content,
        condition: Condition,
    },
    Delete {
        key: usize,
        condition: Condition,
    },
    Complete {
        upload: usize,
        condition: Condition,
        fault: Fault,
    },
    /// Completes the upload that was completed last once more, with the same parts or others.
    Repeat {
        same: bool,
    },
    /// Names what is not there.
    Miss {
        key: usize,
    },
}

fn conditions() -> impl Strategy<Value = Condition> {
    prop_oneof![
        1 => Just(Condition::None),
        2 => Just(Condition::Absent),
        1 => Just(Condition::Present),
        2 => Just(Condition::Right),
        1 => Just(Condition::Wrong),
    ]
}

pub fn conditionals(contents: impl Strategy<Value = Content>) -> impl Strategy<Value = Conditional> {
    let faults = prop_oneof![
        4 => Just(Fault::Nothing),
        1 => Just(Fault::ETag),
        1 => Just(Fault::Missing),
        1 => Just(Fault::Size),
        1 => Just(Fault::Checksum),
        2 => Just(Fault::OnlyFirst),
    ];
    let keys = 0..KEYS.len();
    prop_oneof![
        4 => (keys.clone(), contents, conditions())
            .prop_map(|(key, content, condition)| Conditional::Put { key, content, condition }),
        2 => (keys.clone(), conditions()).prop_map(|(key, condition)| Conditional::Delete { key, condition }),
        4 => (0..2_usize, conditions(), faults)
            .prop_map(|(upload, condition, fault)| Conditional::Complete { upload, condition, fault }),
        2 => any::<bool>().prop_map(|same| Conditional::Repeat { same }),
        1 => keys.prop_map(|key| Conditional::Miss { key }),
    ]
}

/// An upload that was completed, for those who do it again.
#[derive(Debug, Clone)]
pub struct Completed {
    request: CompleteUpload,
    answer: CompletedUpload,
    time: u64,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    Precondition,
    NoKey,
    Conflict,
    Part,
    Size,
    Checksum,
    Quota,
}

fn refusal(error: &Error) -> Refusal {
    match error {
        Error::Precondition => Refusal::Precondition,
        Error::NotFound(Entity::Key) => Refusal::NoKey,
        Error::Conflict => Refusal::Conflict,
        Error::InvalidPart { .. } => Refusal::Part,
        Error::SizeMismatch { .. } => Refusal::Size,
        Error::ChecksumMismatch => Refusal::Checksum,
        Error::QuotaExceeded(_) => Refusal::Quota,
        error => panic!("{error}"),
    }
}

/// What an object has that nobody wrote.
const NOBODYS: ETag = ETag::single([9; 16]);

fn write_condition(condition: Condition, visible: Option<ETag>) -> WriteCondition {
    match condition {
        Condition::None | Condition::Present => WriteCondition::None,
        Condition::Absent => WriteCondition::IfAbsent,
        Condition::Right => WriteCondition::IfMatch(Some(visible.unwrap_or(NOBODYS))),
        Condition::Wrong => WriteCondition::IfMatch(None),
    }
}

fn refusal_of_write(condition: Condition, visible: Option<ETag>) -> Option<Refusal> {
    match (condition, visible) {
        (Condition::Absent, Some(_)) | (Condition::Wrong, Some(_)) => Some(Refusal::Precondition),
        (Condition::Right | Condition::Wrong, None) => Some(Refusal::NoKey),
        _ => None,
    }
}

impl Run {
    /// Does it.
    pub async fn conditional(&mut self, request: &Conditional) {
        match *request {
            Conditional::Put { key, content, condition } => self.put_if(KEYS[key], content, condition).await,
            Conditional::Delete { key, condition } => self.delete_if(KEYS[key], condition).await,
            Conditional::Complete { upload, condition, fault } => self.complete_if(upload, condition, fault).await,
            Conditional::Repeat { same } => self.repeat(same).await,
            Conditional::Miss { key } => self.miss(KEYS[key]).await,
        }
    }

    fn visible(&self, name: &'static str) -> Option<ETag> {
        Some(self.model.at(name, 0)?.object.as_ref()?.etag)
    }

    async fn put_if(&mut self, name: &'static str, content: Content, condition: Condition) {
        let (bytes, visible) = (content.bytes(), self.visible(name));
        let expected = refusal_of_write(condition, visible)
            .or_else(|| (!self.model.has_room(name, bytes.len())).then_some(Refusal::Quota));
        let staged = self.world.store.stage_bytes(bytes.clone()).await.expect("bytes are staged");
        let mut request = PutObject::new(bucket(), key(name), staged);
        request.condition = write_condition(condition, visible);
        match self.world.store.put(request).await {
            Ok(written) => {
                assert_eq!(expected, None);
                self.written(name, bytes, StorageClass::Standard, &[], &written);
            }
            Err(error) => assert_eq!(Some(refusal(&error)), expected, "{error}"),
        }
    }

    async fn delete_if(&mut self, name: &'static str, condition: Condition) {
        let visible = self.visible(name);
        let expected = match (condition, visible) {
            (Condition::None | Condition::Absent, _) | (Condition::Present | Condition::Right, Some(_)) => None,
            (Condition::Present, None) if self.model.at(name, 0).is_some() => Some(Refusal::Precondition),
            (_, None) => Some(Refusal::NoKey),
            (Condition::Wrong, Some(_)) => Some(Refusal::Precondition),
        };
        let condition = match condition {
            Condition::None | Condition::Absent => DeleteCondition::None,
            Condition::Present => DeleteCondition::IfPresent,
            Condition::Right => DeleteCondition::IfMatch(Some(visible.unwrap_or(NOBODYS))),
            Condition::Wrong => DeleteCondition::IfMatch(None),
        };
        match self.delete_with(name, condition).await {
            Ok(()) => assert_eq!(expected, None),
            Err(error) => assert_eq!(Some(refusal(&error)), expected, "{error}"),
        }
    }

    /// Completes an upload, if it can be completed.
    pub async fn complete_if(&mut self, place: usize, condition: Condition, fault: Fault) {
        let Some(upload) = self.model.uploads.get(place).filter(|it| !it.parts.is_empty()).cloned() else { return };
        let listed = if fault == Fault::OnlyFirst { 1 } else { upload.parts.len() };
        let name = KEYS[upload.key];
        let visible = self.visible(name);
        let parts: Vec<(u16, Vec<u8>, ETag)> = upload
            .parts
            .iter()
            .take(listed)
            .map(|(number, (Part(bytes), etag))| (*number, bytes.clone(), *etag))
            .collect();
        let bytes: Vec<u8> = parts.iter().flat_map(|(_, bytes, _)| bytes.iter().copied()).collect();
        let part = |(number, _, etag): &(u16, Vec<u8>, ETag)| {
            let etag = if fault == Fault::ETag { NOBODYS } else { *etag };
            CompletedPart { number: *number, etag: format!("\"{etag}\""), checksum: None }
        };
        let mut request = CompleteUpload {
            bucket: bucket(),
            key: key(name),
            id: upload.id,
            parts: parts.iter().map(part).collect(),
            size: Some(bytes.len() as u64 + u64::from(fault == Fault::Size)),
            checksum: None,
            condition: write_condition(condition, visible),
            replica: None,
        };
        if fault == Fault::Missing {
            request.parts.push(CompletedPart { number: 99, etag: NOBODYS.to_string(), checksum: None });
        }
        if fault == Fault::Checksum {
            let (algorithm, kind) = (ChecksumAlgorithm::Crc64Nvme, ChecksumKind::FullObject);
            request.checksum = Some(Checksum { algorithm, kind, value: vec![0; 8] });
        }
        let expected = self.refusal_of_complete(&upload, condition, fault, bytes.len());
        match self.world.store.complete_upload(request.clone()).await {
            Ok(answer) => {
                assert_eq!(expected, None);
                self.model.uploads.remove(place);
                self.completed(upload, parts, bytes, &answer);
                self.model.completed = Some(Completed { request, answer, time: self.now() });
                self.model.count("upload completed", 1);
            }
            Err(error) => {
                assert_eq!(Some(refusal(&error)), expected, "{error}");
                self.model.count("upload not completed", 1);
            }
        }
    }

    fn refusal_of_complete(&self, upload: &Upload, condition: Condition, fault: Fault, size: usize) -> Option<Refusal> {
        let name = KEYS[upload.key];
        let (newest, visible) = (self.model.at(name, 0), self.visible(name));
        let since = newest.is_some_and(|newest| newest.time > upload.id.0.time.as_nanos());
        let of_parts = match fault {
            Fault::Nothing | Fault::OnlyFirst => None,
            Fault::ETag | Fault::Missing => Some(Refusal::Part),
            Fault::Size => Some(Refusal::Size),
            Fault::Checksum => Some(Refusal::Checksum),
        };
        let of_condition = || match (condition, visible) {
            (Condition::Absent, None) if upload.existed || since => Some(Refusal::Conflict),
            (Condition::Right, Some(_)) if since => Some(Refusal::Conflict),
            _ => refusal_of_write(condition, visible),
        };
        let of_quota = || (!self.model.has_room_for_upload(upload, size)).then_some(Refusal::Quota);
        of_parts.or_else(of_condition).or_else(of_quota)
    }

    /// Has the model take over an upload that was completed.
    fn completed(
        &mut self,
        upload: Upload,
        parts: Vec<(u16, Vec<u8>, ETag)>,
        bytes: Vec<u8>,
        answer: &CompletedUpload,
    ) {
        let etags: Vec<ETag> = parts.iter().map(|(_, _, etag)| *etag).collect();
        assert_eq!(answer.etag, multipart_etag(&etags));
        assert_eq!(answer.version_id.is_some(), self.model.versioning == Versioning::Enabled);
        let crc = Checksum::of(ChecksumAlgorithm::Crc64Nvme, &bytes);
        assert_eq!(answer.checksum.as_ref(), Some(&crc));
        let mut object = Object::new(bytes.into(), answer.etag, upload.class, upload.tags, self.now());
        object.checksum = Some(crc);
        object.parts = parts.iter().map(|(number, bytes, _)| (*number, bytes.len() as u64)).collect();
        object.lock.retention = self.model.default_retention(self.now());
        let id = Some(answer.version_id.unwrap_or(VersionId::Null));
        let time = upload.id.0.time.as_nanos();
        self.model.install(KEYS[upload.key], Version { time, id, object: Some(object), acted: None });
    }

    async fn repeat(&mut self, same: bool) {
        let Some(Completed { mut request, answer, time }) = self.model.completed.clone() else { return };
        if !same {
            request.parts.push(CompletedPart { number: 98, etag: NOBODYS.to_string(), checksum: None });
        }
        let is_known = same && self.now() - time < DAY;
        match self.world.store.complete_upload(request).await {
            Ok(again) => {
                assert!(is_known && again == answer, "{again:?}");
                self.model.count("upload completed again", 1);
            }
            Err(Error::NotFound(Entity::Upload)) => assert!(!is_known),
            Err(error) => panic!("{error}"),
        }
    }

    async fn miss(&mut self, name: &'static str) {
        let mut stamp = strata_storage::Stamp { time: strata_storage::Timestamp::from_secs(1), random: 1 };
        let nobodys = VersionSelector::Id(VersionId::Stamp(stamp));
        let store = &self.world.store;
        let missing = store.object(&bucket(), &key(name), nobodys).await.err();
        assert!(matches!(missing, Some(Error::NotFound(Entity::Version))), "{missing:?}");
        let missing = store.set_tags(&bucket(), &key(name), nobodys, Vec::new()).await.err();
        assert!(matches!(missing, Some(Error::NotFound(Entity::Version))), "{missing:?}");
        let missing = store.object(&bucket(), &key("nobody's"), VersionSelector::Current).await.err();
        assert!(matches!(missing, Some(Error::NotFound(Entity::Key))), "{missing:?}");
        if let Some(upload) = self.model.uploads.first() {
            stamp = upload.id.0;
            stamp.random ^= 1;
        }
        let missing = store.list_parts(&bucket(), &key(name), strata_storage::UploadId(stamp), 0, 10).await.err();
        assert!(matches!(missing, Some(Error::NotFound(Entity::Upload))), "{missing:?}");
        let exists = store.create_bucket(&bucket(), Default::default()).await.err();
        assert!(matches!(exists, Some(Error::BucketExists)), "{exists:?}");
        if self.model.keys.values().any(|versions| !versions.is_empty()) {
            let full = store.delete_bucket(&bucket()).await.err();
            assert!(matches!(full, Some(Error::BucketNotEmpty)), "{full:?}");
        }
    }
}

//! Random histories against a reference model: the engine and a sorted map do the same, and must show the same.
//!
//! The model keeps each key's versions newest first, with logical times. Every operation's answer is compared, and
//! after the history every listing and every version's bytes.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::TestRunner;
use strata_storage::{
    BucketChange, Checksum, ChecksumAlgorithm, CompleteUpload, CompletedPart, CopyStage, DeleteCondition, DeleteObject,
    Digests, ETag, Entity, Error, ListQuery, NewUpload, ObjectReader, PutObject, StageOptions, UploadId, VersionId,
    VersionSelector, Versioning, VersionsQuery, WriteCondition,
};

use crate::sound::assert_sound;
use crate::support::{Fixture, bucket, content, key, make_bucket};

const KEYS: [&str; 7] = ["a", "a\u{0}", "a/b", "a/c/d", "b", "b/", "ü"];
const SIZES: [usize; 6] = [0, 100, 4096, 4097, 70_000, 1_100_000];

#[derive(Debug, Clone)]
enum Op {
    Put {
        key: usize,
        size: usize,
        condition: Condition,
    },
    Delete {
        key: usize,
    },
    /// Deletes the version at this place of the key's list, newest first; beyond its end, `null`.
    DeleteVersion {
        key: usize,
        place: usize,
    },
    DeleteIfMatch {
        key: usize,
        right: bool,
    },
    Copy {
        from: usize,
        to: usize,
    },
    SetVersioning(Versioning),
    CreateUpload {
        key: usize,
    },
    PutPart {
        upload: usize,
        number: u16,
        size: usize,
    },
    Complete {
        upload: usize,
        condition: Condition,
    },
    Abort {
        upload: usize,
    },
    List {
        prefix: &'static str,
        delimiter: &'static str,
        max: usize,
    },
    ListVersions {
        delimiter: &'static str,
        max: usize,
    },
    Collect,
    Reopen,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Condition {
    None,
    IfAbsent,
    IfMatchRight,
    IfMatchWrong,
}

fn conditions() -> impl Strategy<Value = Condition> {
    prop_oneof![
        6 => Just(Condition::None),
        1 => Just(Condition::IfAbsent),
        1 => Just(Condition::IfMatchRight),
        1 => Just(Condition::IfMatchWrong),
    ]
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0..5_usize, 1 => Just(5_usize)].prop_map(|index| SIZES[index])
}

fn ops() -> impl Strategy<Value = Op> {
    let keys = 0..KEYS.len();
    prop_oneof![
        10 => (keys.clone(), sizes(), conditions()).prop_map(|(key, size, condition)| Op::Put { key, size, condition }),
        4 => keys.clone().prop_map(|key| Op::Delete { key }),
        4 => (keys.clone(), 0..4_usize).prop_map(|(key, place)| Op::DeleteVersion { key, place }),
        1 => (keys.clone(), any::<bool>()).prop_map(|(key, right)| Op::DeleteIfMatch { key, right }),
        3 => (keys.clone(), keys.clone()).prop_map(|(from, to)| Op::Copy { from, to }),
        2 => any::<bool>().prop_map(|on| {
            Op::SetVersioning(if on { Versioning::Enabled } else { Versioning::Suspended })
        }),
        2 => keys.prop_map(|key| Op::CreateUpload { key }),
        4 => (0..3_usize, 1..5_u16, sizes()).prop_map(|(upload, number, size)| Op::PutPart { upload, number, size }),
        3 => (0..3_usize, conditions()).prop_map(|(upload, condition)| Op::Complete { upload, condition }),
        1 => (0..3_usize).prop_map(|upload| Op::Abort { upload }),
        2 => (
            prop_oneof![Just(""), Just("a"), Just("b/"), Just("x")],
            prop_oneof![Just(""), Just("/"), Just("\u{0}")],
            1..4_usize,
        ).prop_map(|(prefix, delimiter, max)| Op::List { prefix, delimiter, max }),
        2 => (prop_oneof![Just(""), Just("/")], 1..4_usize).prop_map(|(delimiter, max)| {
            Op::ListVersions { delimiter, max }
        }),
        2 => Just(Op::Collect),
        1 => Just(Op::Reopen),
    ]
}

/// A version as the model has it.
#[derive(Debug, Clone)]
struct Version {
    time: u64,
    id: VersionId,
    /// Content and entity tag; `None` for a delete marker.
    object: Option<(Vec<u8>, ETag)>,
}

#[derive(Debug, Clone)]
struct Upload {
    key: usize,
    id: UploadId,
    time: u64,
    key_existed: bool,
    parts: BTreeMap<u16, (Vec<u8>, ETag)>,
}

struct Model {
    versioning: Versioning,
    keys: BTreeMap<&'static str, Vec<Version>>,
    uploads: Vec<Upload>,
    time: u64,
}

impl Model {
    fn new() -> Model {
        Model { versioning: Versioning::Unversioned, keys: BTreeMap::new(), uploads: Vec::new(), time: 0 }
    }

    fn tick(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    fn versions(&mut self, key: usize) -> &mut Vec<Version> {
        self.keys.entry(KEYS[key]).or_default()
    }

    fn visible(&mut self, key: usize) -> Option<(u64, ETag, Vec<u8>)> {
        let newest = self.versions(key).first()?;
        newest.object.as_ref().map(|(bytes, etag)| (newest.time, *etag, bytes.clone()))
    }

    /// What a put or a delete marker does, at `time`.
    fn install(&mut self, key: usize, time: u64, id: VersionId, object: Option<(Vec<u8>, ETag)>) {
        if self.versioning != Versioning::Enabled {
            self.versions(key).retain(|version| version.id != VersionId::Null);
        }
        let versions = self.versions(key);
        versions.push(Version { time, id, object });
        versions.sort_by_key(|version| std::cmp::Reverse(version.time));
    }
}

fn condition_of(condition: Condition, visible: Option<ETag>) -> WriteCondition {
    match condition {
        Condition::None => WriteCondition::None,
        Condition::IfAbsent => WriteCondition::IfAbsent,
        Condition::IfMatchRight => WriteCondition::IfMatch(Some(visible.unwrap_or(ETag::single([7; 16])))),
        Condition::IfMatchWrong => WriteCondition::IfMatch(Some(ETag::single([9; 16]))),
    }
}

#[derive(Debug, PartialEq)]
enum Refusal {
    Precondition,
    Conflict,
    NoKey,
}

fn refusal(error: &Error) -> Option<Refusal> {
    match error {
        Error::Precondition => Some(Refusal::Precondition),
        Error::Conflict => Some(Refusal::Conflict),
        Error::NotFound(Entity::Key) => Some(Refusal::NoKey),
        _ => None,
    }
}

fn expected_refusal(condition: Condition, visible: bool) -> Option<Refusal> {
    match (condition, visible) {
        (Condition::None, _) | (Condition::IfAbsent, false) | (Condition::IfMatchRight, true) => None,
        (Condition::IfAbsent, true) | (Condition::IfMatchWrong, true) => Some(Refusal::Precondition),
        (Condition::IfMatchRight | Condition::IfMatchWrong, false) => Some(Refusal::NoKey),
    }
}

struct Run {
    fixture: Fixture,
    model: Model,
    seed: u64,
}

impl Run {
    async fn apply(mut self, op: &Op) -> Run {
        match op {
            Op::Put { key, size, condition } => self.put(*key, *size, *condition).await,
            Op::Delete { key } => self.delete(*key).await,
            Op::DeleteVersion { key, place } => self.delete_version(*key, *place).await,
            Op::DeleteIfMatch { key, right } => self.delete_if_match(*key, *right).await,
            Op::Copy { from, to } => self.copy(*from, *to).await,
            Op::SetVersioning(versioning) => {
                let change = BucketChange::Versioning(*versioning);
                self.fixture.store.change_bucket(&bucket(), change).await.expect("versioning can be set");
                self.model.versioning = *versioning;
            }
            Op::CreateUpload { key } => self.create_upload(*key).await,
            Op::PutPart { upload, number, size } => self.put_part(*upload, *number, *size).await,
            Op::Complete { upload, condition } => self.complete(*upload, *condition).await,
            Op::Abort { upload } => self.abort(*upload).await,
            Op::List { prefix, delimiter, max } => self.list(prefix, delimiter, *max).await,
            Op::ListVersions { delimiter, max } => self.list_versions(delimiter, *max).await,
            Op::Collect => {
                self.fixture.store.collect().await.expect("collection succeeds");
            }
            Op::Reopen => self.fixture = self.fixture.reopen().await,
        }
        self
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        // A few seeds only, so that contents repeat and blobs are shared.
        self.seed += 1;
        content(self.seed % 5, size)
    }

    async fn put(&mut self, index: usize, size: usize, condition: Condition) {
        let bytes = self.bytes(size);
        let visible = self.model.visible(index);
        let expected = expected_refusal(condition, visible.is_some());
        let write = condition_of(condition, visible.map(|(_, etag, _)| etag));
        match crate::support::put(&self.fixture.store, KEYS[index], bytes.clone(), write).await {
            Ok(written) => {
                assert_eq!(expected, None);
                let versioned = self.model.versioning == Versioning::Enabled;
                assert_eq!(written.version_id.is_some(), versioned);
                let time = self.model.tick();
                self.model.install(
                    index,
                    time,
                    written.version_id.unwrap_or(VersionId::Null),
                    Some((bytes, written.etag)),
                );
            }
            Err(error) => assert_eq!(refusal(&error), expected, "{error}"),
        }
    }

    async fn delete(&mut self, index: usize) {
        let request = DeleteObject {
            bucket: bucket(),
            key: key(KEYS[index]),
            version: None,
            condition: DeleteCondition::None,
            governance: Default::default(),
        };
        let deleted = self.fixture.store.delete(request).await.expect("deleting succeeds");
        let time = self.model.tick();
        match self.model.versioning {
            Versioning::Unversioned => {
                assert!(!deleted.marker && deleted.version_id.is_none());
                self.model.versions(index).clear();
            }
            _ => {
                assert!(deleted.marker);
                self.model.install(index, time, deleted.version_id.expect("a marker has an id"), None);
            }
        }
    }

    async fn delete_version(&mut self, index: usize, place: usize) {
        let versions = self.model.versions(index);
        let found = versions.get(place).map(|version| version.id).unwrap_or(VersionId::Null);
        let marker = versions.iter().any(|version| version.id == found && version.object.is_none());
        versions.retain(|version| version.id != found);
        let (version, condition) = (Some(found), DeleteCondition::None);
        let request = DeleteObject {
            bucket: bucket(),
            key: key(KEYS[index]),
            version,
            condition,
            governance: Default::default(),
        };
        let deleted = self.fixture.store.delete(request).await.expect("deleting succeeds");
        assert_eq!((deleted.marker, deleted.version_id), (marker, Some(found)));
    }

    async fn delete_if_match(&mut self, index: usize, right: bool) {
        let visible = self.model.visible(index).map(|(_, etag, _)| etag);
        let etag = if right { visible.unwrap_or(ETag::single([7; 16])) } else { ETag::single([9; 16]) };
        let condition = DeleteCondition::IfMatch(Some(etag));
        let request = DeleteObject {
            bucket: bucket(),
            key: key(KEYS[index]),
            version: None,
            condition,
            governance: Default::default(),
        };
        match self.fixture.store.delete(request).await {
            Ok(deleted) => {
                assert!(right && visible.is_some());
                let time = self.model.tick();
                match deleted.version_id {
                    None => self.model.versions(index).clear(),
                    Some(id) => self.model.install(index, time, id, None),
                }
            }
            Err(Error::Precondition) => assert!(!right && visible.is_some()),
            Err(Error::NotFound(Entity::Key)) => assert!(visible.is_none()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn copy(&mut self, from: usize, to: usize) {
        let source = self.fixture.store.object(&bucket(), &key(KEYS[from]), VersionSelector::Current).await;
        let Some((_, _, bytes)) = self.model.visible(from) else {
            return assert!(source.is_err());
        };
        let source = source.expect("the model has it");
        let staged = self.fixture.store.stage_copy(&source, CopyStage::default()).await.expect("it can be copied");
        let request = PutObject::new(bucket(), key(KEYS[to]), staged);
        let written = self.fixture.store.put(request).await.expect("it is stored");
        let time = self.model.tick();
        self.model.install(to, time, written.version_id.unwrap_or(VersionId::Null), Some((bytes, written.etag)));
    }

    async fn create_upload(&mut self, index: usize) {
        if self.model.uploads.len() == 3 {
            return;
        }
        let id = self.fixture.store.create_upload(&bucket(), &key(KEYS[index]), NewUpload::default()).await;
        let (time, key_existed) = (self.model.tick(), self.model.visible(index).is_some());
        let id = id.expect("an upload begins");
        self.model.uploads.push(Upload { key: index, id, time, key_existed, parts: BTreeMap::new() });
    }

    async fn put_part(&mut self, upload: usize, number: u16, size: usize) {
        let bytes = self.bytes(size);
        let Some(upload) = self.model.uploads.get_mut(upload) else { return };
        let store = &self.fixture.store;
        let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
        let mut stage = store.stage(StageOptions { size: Some(bytes.len() as u64), digests, seal: None });
        stage.write(bytes.clone().into()).await.expect("bytes are staged");
        let staged = stage.finish().await.expect("bytes are staged");
        let part = store.put_part(&bucket(), &key(KEYS[upload.key]), upload.id, number, staged, None).await;
        upload.parts.insert(number, (bytes, part.expect("the upload is open").etag));
    }

    async fn complete(&mut self, place: usize, condition: Condition) {
        let Some(upload) = self.model.uploads.get(place).cloned() else { return };
        if upload.parts.is_empty() || upload.parts.values().rev().skip(1).any(|(bytes, _)| bytes.is_empty()) {
            return;
        }
        let visible = self.model.visible(upload.key);
        let newest_time = self.model.versions(upload.key).first().map(|version| version.time);
        let expected = match condition {
            Condition::IfMatchRight if visible.as_ref().is_some_and(|(time, ..)| *time > upload.time) => {
                Some(Refusal::Conflict)
            }
            Condition::IfAbsent if visible.is_none() => {
                let deleted_since = upload.key_existed || newest_time.is_some_and(|time| time > upload.time);
                deleted_since.then_some(Refusal::Conflict)
            }
            _ => expected_refusal(condition, visible.is_some()),
        };
        let part = |(number, (_, etag)): (&u16, &(Vec<u8>, ETag))| CompletedPart {
            number: *number,
            etag: format!("\"{etag}\""),
            checksum: None,
        };
        let request = CompleteUpload {
            bucket: bucket(),
            key: key(KEYS[upload.key]),
            id: upload.id,
            parts: upload.parts.iter().map(part).collect(),
            size: None,
            checksum: None,
            condition: condition_of(condition, visible.map(|(_, etag, _)| etag)),
            replica: None,
        };
        match self.fixture.store.complete_upload(request).await {
            Ok(done) => {
                assert_eq!(expected, None);
                let bytes: Vec<u8> = upload.parts.values().flat_map(|(bytes, _)| bytes.clone()).collect();
                assert_eq!(usize::from(done.etag.parts), upload.parts.len());
                self.model.uploads.remove(place);
                let id = done.version_id.unwrap_or(VersionId::Null);
                self.model.install(upload.key, upload.time, id, Some((bytes, done.etag)));
            }
            Err(error) => assert_eq!(refusal(&error), expected, "{error}"),
        }
    }

    async fn abort(&mut self, place: usize) {
        if place < self.model.uploads.len() {
            let upload = self.model.uploads.remove(place);
            let (name, store) = (key(KEYS[upload.key]), &self.fixture.store);
            store.abort_upload(&bucket(), &name, upload.id).await.expect("the upload is open");
            let again = store.abort_upload(&bucket(), &name, upload.id).await;
            assert!(matches!(again, Err(Error::NotFound(Entity::Upload))));
        }
    }

    /// Pages through a listing and compares the whole.
    async fn list(&mut self, prefix: &str, delimiter: &str, max: usize) {
        let visible = self
            .model
            .keys
            .iter()
            .filter(|(_, versions)| versions.first().is_some_and(|version| version.object.is_some()));
        let (mut keys, mut prefixes) = (Vec::new(), Vec::new());
        for (name, _) in visible.filter(|(name, _)| name.starts_with(prefix)) {
            match name[prefix.len()..].find(delimiter).filter(|_| !delimiter.is_empty()) {
                None => keys.push((*name).to_owned()),
                Some(at) => prefixes.push(name[..prefix.len() + at + delimiter.len()].to_owned()),
            }
        }
        prefixes.dedup();
        let (mut found_keys, mut found_prefixes) = (Vec::new(), Vec::new());
        let mut query = ListQuery { prefix: prefix.into(), delimiter: delimiter.into(), after: String::new(), max };
        loop {
            let page = self.fixture.store.list(&bucket(), query.clone()).await.expect("the listing succeeds");
            assert!(page.entries.len() + page.common_prefixes.len() <= max);
            found_keys.extend(page.entries.into_iter().map(|entry| entry.key.as_str().to_owned()));
            found_prefixes.extend(page.common_prefixes);
            match page.next {
                Some(next) => query.after = next,
                None => break,
            }
        }
        assert_eq!((found_keys, found_prefixes), (keys, prefixes));
    }

    async fn list_versions(&mut self, delimiter: &str, max: usize) {
        let (mut expected, mut prefixes) = (Vec::new(), Vec::new());
        for (name, versions) in self.model.keys.iter().filter(|(_, versions)| !versions.is_empty()) {
            match name.find(delimiter).filter(|_| !delimiter.is_empty()) {
                Some(at) => prefixes.push(name[..at + delimiter.len()].to_owned()),
                None => expected.extend(versions.iter().enumerate().map(|(place, version)| {
                    ((*name).to_owned(), version.id, place == 0, version.object.as_ref().map(|(_, etag)| *etag))
                })),
            }
        }
        prefixes.dedup();
        let (mut found, mut found_prefixes) = (Vec::new(), Vec::new());
        let mut query = VersionsQuery { delimiter: delimiter.into(), max, ..VersionsQuery::default() };
        loop {
            let page = self.fixture.store.list_versions(&bucket(), query.clone()).await.expect("the listing succeeds");
            assert!(page.entries.len() + page.common_prefixes.len() <= max);
            found.extend(page.entries.into_iter().map(|entry| {
                (entry.key.as_str().to_owned(), entry.version_id, entry.latest, entry.object.map(|object| object.etag))
            }));
            found_prefixes.extend(page.common_prefixes);
            match page.next {
                Some((key_marker, version_marker)) => {
                    (query.key_marker, query.version_marker) = (key_marker, version_marker)
                }
                None => break,
            }
        }
        let short = |list: &[(String, VersionId, bool, Option<ETag>)]| {
            let line = |entry: &(String, VersionId, bool, Option<ETag>)| {
                format!("{:?} {} {} {}", entry.0, entry.1, entry.2, entry.3.is_some())
            };
            list.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!((short(&found), found_prefixes), (short(&expected), prefixes));
        assert_eq!(found, expected);
    }

    /// Every version's bytes, by id and as the current one.
    async fn verify(&mut self) {
        self.list("", "", 1000).await;
        self.list_versions("", 1000).await;
        for (name, versions) in &self.model.keys {
            for (place, version) in versions.iter().enumerate() {
                let selectors =
                    [Some(VersionSelector::Id(version.id)), (place == 0).then_some(VersionSelector::Current)];
                for selector in selectors.into_iter().flatten() {
                    let opened = self.fixture.store.object(&bucket(), &key(name), selector).await;
                    match (&version.object, opened) {
                        (Some((bytes, etag)), Ok(object)) => {
                            assert_eq!(object.info().etag, *etag);
                            let reader: ObjectReader = object.read(0..object.info().size);
                            assert!(reader.collect().await.expect("it reads") == *bytes, "{name:?}");
                        }
                        (None, Err(Error::DeleteMarker { version_id, .. })) => assert_eq!(version_id, version.id),
                        (_, Ok(_)) => panic!("{name:?} is a marker in the model"),
                        (_, Err(error)) => panic!("{name:?}: {error}"),
                    }
                }
            }
        }
    }
}

fn check(history: &[Op]) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime can be made").block_on(async {
        let fixture = Fixture::new().await;
        make_bucket(&fixture.store).await;
        let mut run = Run { fixture, model: Model::new(), seed: 0 };
        for op in history {
            run = run.apply(op).await;
        }
        run.verify().await;
        assert_eq!(run.fixture.store.recount(&bucket()).await.expect("it is counted"), []);
        run.fixture.store.collect().await.expect("collection succeeds");
        run.fixture = run.fixture.reopen().await;
        run.fixture.store.collect().await.expect("collection succeeds");
        run.verify().await;
        let Fixture { directory, store, .. } = run.fixture;
        drop(store);
        assert_sound(directory.path(), Vec::new(), None);
    });
}

/// The number of histories: `STRATA_MODEL_CASES`, for longer runs, or a number that takes well under a minute.
fn cases() -> u32 {
    std::env::var("STRATA_MODEL_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

#[test]
fn random_histories_match_the_model() {
    let config = ProptestConfig {
        cases: cases(),
        max_shrink_iters: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&vec(ops(), 1..60), |history| {
        check(&history);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn checksums_of_copies_are_taken_over() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        let fixture = Fixture::new().await;
        make_bucket(&fixture.store).await;
        let staged = fixture.store.stage_bytes(content(1, 100_000)).await.expect("bytes are staged");
        let checksum: Option<Checksum> = staged.checksum(ChecksumAlgorithm::Crc64Nvme).cloned();
        let mut request = PutObject::new(bucket(), key("a"), staged);
        request.checksum = checksum.clone();
        fixture.store.put(request).await.expect("it is stored");
        let source = fixture.store.object(&bucket(), &key("a"), VersionSelector::Current).await.expect("it is there");
        let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme).with(ChecksumAlgorithm::Sha256);
        let copy = fixture
            .store
            .stage_copy(&source, CopyStage { digests, ..CopyStage::default() })
            .await
            .expect("it is copied");
        assert_eq!(copy.checksum(ChecksumAlgorithm::Crc64Nvme), checksum.as_ref());
        assert!(copy.checksum(ChecksumAlgorithm::Sha256).is_some());
    });
}

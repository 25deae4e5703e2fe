//! Collection and checkpoints from the outside: space comes back, and nothing in use goes with it.

use std::sync::Arc;
use std::time::Duration;

use strata_storage::{
    BucketChange, BucketName, CompleteUpload, CompletedPart, CompletedUpload, DeleteObject, Entity, Error, ListQuery,
    ManualClock, NewBucket, NewUpload, ObjectKey, OpenOptions, PutObject, Store, Timestamp, UploadId, UploadsQuery,
    VersionId, VersionSelector, Versioning, VersionsQuery, WriteCondition,
};

mod apart;

const CHUNK: usize = 100_000;

struct Fixture {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
    bucket: BucketName,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture {
            directory: tempfile::tempdir().expect("a temporary directory"),
            clock: Arc::new(ManualClock::new(Timestamp::from_secs(1_000_000))),
            bucket: BucketName::parse("photos").expect("a valid name"),
        }
    }

    fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new(self.directory.path().join("data"));
        options.segment_bytes = 1 << 20;
        options.part_bytes_min = 10;
        options.collect_every = None;
        options.settle_every = None;
        options.clock = self.clock.clone();
        options
    }

    async fn open(&self) -> Store {
        self.open_with(self.options()).await
    }

    async fn open_with(&self, options: OpenOptions) -> Store {
        let store = Store::open(options).await.expect("it opens");
        match store.create_bucket(&self.bucket, NewBucket::default()).await {
            Ok(_) | Err(Error::BucketExists) => store,
            Err(error) => panic!("{error}"),
        }
    }

    async fn put(&self, store: &Store, name: &str, content: Vec<u8>) {
        let staged = store.stage_bytes(content).await.expect("it is staged");
        store.put(PutObject::new(self.bucket.clone(), key(name), staged)).await.expect("it is put");
    }

    async fn delete(&self, store: &Store, name: &str) {
        let bucket = self.bucket.clone();
        let request = DeleteObject {
            bucket,
            key: key(name),
            version: None,
            condition: Default::default(),
            governance: Default::default(),
        };
        store.delete(request).await.expect("it is deleted");
    }

    async fn read(&self, store: &Store, name: &str) -> Vec<u8> {
        let object = store.object(&self.bucket, &key(name), VersionSelector::Current).await.expect("it is there");
        object.read(0..object.info().size).collect().await.expect("it is whole").to_vec()
    }

    async fn upload(&self, store: &Store, name: &str, parts: &[(u16, Vec<u8>)]) -> (UploadId, Vec<CompletedPart>) {
        let id = store.create_upload(&self.bucket, &key(name), NewUpload::default()).await.expect("it begins");
        let mut listed = Vec::new();
        for (number, content) in parts {
            let staged = store.stage_bytes(content.clone()).await.expect("it is staged");
            let part = store.put_part(&self.bucket, &key(name), id, *number, staged, None).await.expect("a part");
            listed.push(CompletedPart { number: *number, etag: part.etag.to_string(), checksum: None });
        }
        (id, listed)
    }

    async fn complete(
        &self,
        store: &Store,
        name: &str,
        id: UploadId,
        parts: &[CompletedPart],
        condition: WriteCondition,
    ) -> Result<CompletedUpload, Error> {
        let (bucket, parts) = (self.bucket.clone(), parts.to_vec());
        store
            .complete_upload(CompleteUpload {
                bucket,
                key: key(name),
                id,
                parts,
                size: None,
                checksum: None,
                condition,
                replica: None,
            })
            .await
    }

    fn segment_files(&self) -> Vec<std::path::PathBuf> {
        let files = std::fs::read_dir(self.directory.path().join("data/segments")).expect("the directory is there");
        files.map(|file| file.expect("an entry").path()).collect()
    }

    fn segment_bytes(&self) -> u64 {
        self.segment_files().iter().map(|path| path.metadata().expect("a file").len()).sum()
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::parse(name).expect("a valid key")
}

/// Bytes that no other seed gives.
fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

#[tokio::test]
async fn deleted_objects_give_their_space_back() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for number in 0..40 {
        fixture.put(&store, &format!("k{number:02}"), content(number, CHUNK)).await;
    }
    let full = fixture.segment_bytes();
    assert_eq!(store.collect().await.expect("a pass"), 0);
    for number in (0..40).filter(|number| number % 4 != 0) {
        fixture.delete(&store, &format!("k{number:02}")).await;
    }
    let freed = store.collect().await.expect("a pass");
    assert!(freed > full / 3, "{freed} of {full} bytes were freed");
    assert!(fixture.segment_bytes() < full / 2 + 200_000, "{} of {full} bytes are left", fixture.segment_bytes());
    for number in (0..40).step_by(4) {
        assert!(fixture.read(&store, &format!("k{number:02}")).await == content(number, CHUNK), "{number}");
    }
    drop(store);
    let store = fixture.open().await;
    for number in (0..40).step_by(4) {
        assert!(fixture.read(&store, &format!("k{number:02}")).await == content(number, CHUNK), "{number}");
        fixture.delete(&store, &format!("k{number:02}")).await;
    }
    store.collect().await.expect("a pass");
    assert_eq!(fixture.segment_bytes(), 0);
}

#[tokio::test]
async fn large_objects_of_many_chunks_are_released_and_rewritten() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    // 24 chunks each, which is more than a record holds itself.
    let stage = |seed| {
        let store = store.clone();
        async move {
            let mut stage = store.stage(Default::default());
            for piece in content(seed, 24 << 20).chunks(1 << 20) {
                stage.write(bytes::Bytes::copy_from_slice(piece)).await.expect("it is written");
            }
            stage.finish().await.expect("it is staged")
        }
    };
    for (name, seed) in [("a", 1), ("b", 2)] {
        store.put(PutObject::new(fixture.bucket.clone(), key(name), stage(seed).await)).await.expect("it is put");
    }
    fixture.delete(&store, "a").await;
    assert!(store.collect().await.expect("a pass") > 20 << 20);
    assert!(fixture.read(&store, "b").await == content(2, 24 << 20));
    fixture.delete(&store, "b").await;
    store.collect().await.expect("a pass");
    store.collect().await.expect("a pass");
    assert!(fixture.segment_bytes() < 3 << 20, "{} bytes are left", fixture.segment_bytes());
}

#[tokio::test]
async fn shared_content_stays_while_any_object_has_it() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for name in ["a", "b", "c"] {
        fixture.put(&store, name, content(1, CHUNK)).await;
    }
    drop(store);
    // Reopened, so that the segment is sealed.
    let store = fixture.open().await;
    fixture.delete(&store, "a").await;
    fixture.delete(&store, "b").await;
    store.collect().await.expect("a pass");
    assert!(fixture.read(&store, "c").await == content(1, CHUNK));
    fixture.delete(&store, "c").await;
    assert!(store.collect().await.expect("a pass") >= CHUNK as u64);
    assert_eq!(fixture.segment_bytes(), 0);
    fixture.put(&store, "a", content(1, CHUNK)).await;
    assert!(fixture.read(&store, "a").await == content(1, CHUNK));
}

#[tokio::test]
async fn readers_and_staged_bytes_outlive_collections() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    fixture.put(&store, "a", content(1, CHUNK)).await;
    let opened = store.object(&fixture.bucket, &key("a"), VersionSelector::Current).await.expect("it is there");
    fixture.delete(&store, "a").await;
    let staged = store.stage_bytes(content(2, CHUNK)).await.expect("it is staged");
    // Enough to seal the segment of both.
    for number in 0..20 {
        fixture.put(&store, &format!("k{number}"), content(100 + number, CHUNK)).await;
        fixture.delete(&store, &format!("k{number}")).await;
    }
    store.collect().await.expect("a pass");
    assert!(opened.read(0..CHUNK as u64).collect().await.expect("it is whole") == content(1, CHUNK));
    store.put(PutObject::new(fixture.bucket.clone(), key("b"), staged)).await.expect("it is put");
    drop(opened);
    store.collect().await.expect("a pass");
    store.collect().await.expect("a pass");
    assert!(fixture.read(&store, "b").await == content(2, CHUNK));
    assert!(fixture.segment_bytes() < 3 << 20);
}

/// Four writers put, read and delete the same few contents under keys of their own while passes follow each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_and_reads_race_with_collections_of_the_same_content() {
    let fixture = Arc::new(Fixture::new());
    let store = fixture.open().await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (fixture, store) = (Arc::clone(&fixture), store.clone());
            tokio::spawn(async move {
                let name = format!("writer {writer}");
                for round in 0..60 {
                    let expected = content((round * (writer + 1)) % 5, CHUNK);
                    fixture.put(&store, &name, expected.clone()).await;
                    let object = store.object(&fixture.bucket, &key(&name), VersionSelector::Current).await;
                    let object = object.expect("only this task writes the key");
                    if round % 2 == 0 {
                        fixture.delete(&store, &name).await;
                    }
                    let bytes = object.read(0..CHUNK as u64).collect().await.expect("it is whole");
                    assert!(bytes == expected, "round {round} of {name}");
                }
            })
        })
        .collect();
    while !writers.iter().all(|writer| writer.is_finished()) {
        store.collect().await.expect("a pass");
    }
    for writer in writers {
        writer.await.expect("a writer read what it wrote");
    }
}

#[tokio::test]
async fn restarts_do_not_leave_ever_more_small_segments() {
    let fixture = Fixture::new();
    for number in 0..12 {
        let store = fixture.open().await;
        fixture.put(&store, &format!("k{number}"), content(number, CHUNK)).await;
    }
    let store = fixture.open().await;
    assert_eq!(fixture.segment_files().len(), 12);
    store.collect().await.expect("a pass");
    assert!(fixture.segment_files().len() <= 2, "{:?}", fixture.segment_files());
    for number in 0..12 {
        assert!(fixture.read(&store, &format!("k{number}")).await == content(number, CHUNK));
    }
}

#[tokio::test]
async fn a_segment_with_an_unreadable_blob_is_kept() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for name in ["a", "b", "c"] {
        fixture.put(&store, name, content(u64::from(name.as_bytes()[0]), CHUNK)).await;
    }
    drop(store);
    let [segment] = &fixture.segment_files()[..] else { panic!("one segment was written") };
    let mut bytes = std::fs::read(segment).expect("it is there");
    // Within the first record, behind the segment's header and the record's head.
    bytes[5000] ^= 1;
    std::fs::write(segment, bytes).expect("it can be written");

    let store = fixture.open().await;
    fixture.delete(&store, "b").await;
    fixture.delete(&store, "c").await;
    for _ in 0..2 {
        store.collect().await.expect("a pass");
        assert!(segment.exists());
    }
    let object = store.object(&fixture.bucket, &key("a"), VersionSelector::Current).await.expect("it is named");
    assert!(matches!(object.read(0..CHUNK as u64).collect().await, Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn uploads_are_completed_once_and_answered_again_for_a_day() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let parts = [(1, content(1, CHUNK)), (2, content(2, 20)), (5, content(3, CHUNK)), (9, content(4, 7))];
    let (id, mut listed) = fixture.upload(&store, "a", &parts).await;
    let page = store.list_parts(&fixture.bucket, &key("a"), id, 1, 2).await.expect("it is open");
    assert_eq!(page.parts.iter().map(|part| part.number).collect::<Vec<_>>(), [2, 5]);
    assert!(page.truncated);
    listed.remove(2);
    let completed = fixture.complete(&store, "a", id, &listed, WriteCondition::None).await.expect("it fits");
    let whole = [content(1, CHUNK), content(2, 20), content(4, 7)].concat();
    assert!(fixture.read(&store, "a").await == whole);
    assert!(matches!(store.abort_upload(&fixture.bucket, &key("a"), id).await, Err(Error::NotFound(Entity::Upload))));
    fixture.clock.advance(Duration::from_secs(86_000));
    store.collect().await.expect("a pass");
    let again = fixture.complete(&store, "a", id, &listed, WriteCondition::None).await;
    assert_eq!(again.expect("it is answered again"), completed);
    let other = fixture.complete(&store, "a", id, &listed[..1], WriteCondition::None).await;
    assert!(matches!(other, Err(Error::NotFound(Entity::Upload))));
    fixture.clock.advance(Duration::from_secs(86_000));
    store.collect().await.expect("a pass");
    let late = fixture.complete(&store, "a", id, &listed, WriteCondition::None).await;
    assert!(matches!(late, Err(Error::NotFound(Entity::Upload))));
    assert!(fixture.read(&store, "a").await == whole);
    drop(store);
    let store = fixture.open().await;
    store.collect().await.expect("a pass");
    assert!(fixture.read(&store, "a").await == whole);
    fixture.delete(&store, "a").await;
    store.collect().await.expect("a pass");
    drop(store);
    let store = fixture.open().await;
    store.collect().await.expect("a pass");
    assert_eq!(fixture.segment_bytes(), 0);
}

#[tokio::test]
async fn aborted_uploads_and_those_of_removed_buckets_give_their_space_back() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (id, _) = fixture.upload(&store, "a", &[(1, content(1, CHUNK)), (2, content(2, 30))]).await;
    let (_, _) = fixture.upload(&store, "b", &[(1, content(3, CHUNK)), (1, content(4, CHUNK))]).await;
    store.abort_upload(&fixture.bucket, &key("a"), id).await.expect("it is open");
    store.delete_bucket(&fixture.bucket).await.expect("it has no objects");
    drop(store);
    let store = fixture.open().await;
    store.collect().await.expect("a pass");
    assert_eq!(fixture.segment_bytes(), 0);
    let uploads = store.list_uploads(&fixture.bucket, UploadsQuery { max: 9, ..Default::default() }).await;
    assert_eq!(uploads.expect("the bucket was made anew").uploads, []);
}

#[tokio::test]
async fn conditions_of_complete_see_what_happened_since_create() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let parts = [(1, content(1, 20))];
    let (id, listed) = fixture.upload(&store, "a", &parts).await;
    fixture.put(&store, "a", content(2, 20)).await;
    let absent = fixture.complete(&store, "a", id, &listed, WriteCondition::IfAbsent).await;
    assert!(matches!(absent, Err(Error::Precondition)));
    let current = store.object(&fixture.bucket, &key("a"), VersionSelector::Current).await.expect("it is there");
    let same = WriteCondition::IfMatch(Some(current.info().etag));
    let matching = fixture.complete(&store, "a", id, &listed, same.clone()).await;
    assert!(matches!(matching, Err(Error::Conflict)));

    let (id, listed) = fixture.upload(&store, "a", &parts).await;
    fixture.delete(&store, "a").await;
    let absent = fixture.complete(&store, "a", id, &listed, WriteCondition::IfAbsent).await;
    assert!(matches!(absent, Err(Error::Conflict)));
    let matching = fixture.complete(&store, "a", id, &listed, same).await;
    assert!(matches!(matching, Err(Error::NotFound(Entity::Key))));
    fixture.complete(&store, "a", id, &listed, WriteCondition::None).await.expect("no condition was set");
}

#[tokio::test]
async fn versions_are_listed_page_by_page() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    fixture.put(&store, "a", content(1, 10)).await;
    let versioning = BucketChange::Versioning(Versioning::Enabled);
    store.change_bucket(&fixture.bucket, versioning).await.expect("it can be enabled");
    // The upload that began first takes its place before the write that came between.
    let (id, listed) = fixture.upload(&store, "a", &[(1, content(9, 20))]).await;
    fixture.put(&store, "a", content(2, 11)).await;
    fixture.complete(&store, "a", id, &listed, WriteCondition::None).await.expect("it fits");
    fixture.delete(&store, "b\0/x").await;
    fixture.put(&store, "b\0/y", content(3, 12)).await;

    let all = VersionsQuery { max: 1000, ..Default::default() };
    let all = store.list_versions(&fixture.bucket, all).await.expect("a page").entries;
    let sizes = all.iter().map(|entry| entry.object.as_ref().map(|object| object.size)).collect::<Vec<_>>();
    assert_eq!(sizes, [Some(11), Some(20), Some(10), None, Some(12)]);
    assert_eq!(all.iter().map(|entry| entry.latest).collect::<Vec<_>>(), [true, false, false, true, true]);
    assert_eq!(all[2].version_id, VersionId::Null);
    for max in 1..=5 {
        let mut paged = Vec::new();
        let mut query = VersionsQuery { max, ..Default::default() };
        loop {
            let page = store.list_versions(&fixture.bucket, query.clone()).await.expect("a page");
            paged.extend(page.entries);
            let Some((key, version)) = page.next else { break };
            (query.key_marker, query.version_marker) = (key, version);
        }
        assert_eq!(paged, all, "by {max}");
    }
    let folded = VersionsQuery { delimiter: "\0/".to_owned(), max: 4, ..Default::default() };
    let page = store.list_versions(&fixture.bucket, folded).await.expect("a page");
    assert_eq!((page.entries.len(), page.common_prefixes, page.next), (3, vec!["b\0/".to_owned()], None));
    let objects = store.list(&fixture.bucket, ListQuery { max: 9, ..Default::default() }).await.expect("a page");
    assert_eq!(objects.entries.iter().map(|entry| entry.size).collect::<Vec<_>>(), [11, 12]);
}

#[tokio::test]
async fn a_checkpoint_opens_as_the_store_was() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for number in 0..30 {
        fixture.put(&store, &format!("k{number}"), content(number, CHUNK)).await;
    }
    fixture.put(&store, "small", content(99, 100)).await;
    let copy = fixture.directory.path().join("copy");
    store.checkpoint(&copy).await.expect("a checkpoint");
    assert!(store.checkpoint(&copy).await.is_err());
    for number in 0..30 {
        fixture.delete(&store, &format!("k{number}")).await;
    }
    store.collect().await.expect("a pass");
    let copied = Store::open(OpenOptions { directory: copy, ..fixture.options() }).await.expect("the copy opens");
    for number in 0..30 {
        assert!(fixture.read(&copied, &format!("k{number}")).await == content(number, CHUNK));
    }
    assert_eq!(fixture.read(&copied, "small").await, content(99, 100));
    fixture.put(&copied, "new", content(100, CHUNK)).await;
    copied.collect().await.expect("a pass");
    assert_eq!(std::fs::read_dir(fixture.directory.path()).expect("a directory").count(), 2);
}

//! What happens to a store before it is kept, and what it can still do afterwards.

use std::sync::Arc;
use std::time::Duration;

use strata_storage::{
    BucketChange, BucketDocument, BucketName, Checksum, ChecksumAlgorithm, Clock as _, CompleteUpload, CompletedPart,
    ConfigurationFilter, CopyStage, DataKey, DeleteObject, Destination, Digests, DocumentChange, Encryption, Evaluated,
    EventKinds, Expiration, Filter, FilterForm, KmsEncryption, LegalHold, Lifecycle, Lock, ManualClock, Metadata,
    NewBucket, NewUpload, NotificationRule, ObjectKey, ObjectLock, Protection, PutObject, QueueName, Quota,
    Replication, ReplicationForm, ReplicationRule, RestoreRequest, RestoreSpeed, Retention, RetentionMode,
    RetentionPeriod, Rule, StageOptions, Status, StorageClass, Store, Tag, TaskOutcome, UploadsQuery, VersionSelector,
    Versioning, When, WriteCondition,
};

/// When the story begins.
pub const BEGIN_SECS: u64 = 1_800_000_000;
/// After it has ended.
pub const END_SECS: u64 = 1_800_500_000;
/// What seals the content of one object.
pub const DATA_KEY: [u8; 32] = [7; 32];
/// Where objects of one bucket are to be sent.
pub const DESTINATION: &str = "arn:aws:s3:::elsewhere";

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect("a name")
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a key")
}

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.to_owned(), value: value.to_owned() }
}

/// Bytes that do not repeat, and compress to about a half.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'a' + u8::try_from(state >> 60).expect("four bits are left")
    };
    (0..bytes).map(|_| next()).collect()
}

async fn put(store: &Store, name: &str, object: &str, bytes: Vec<u8>, change: impl FnOnce(&mut PutObject)) {
    let staged = store.stage_bytes(bytes).await.expect("staged");
    let mut request = PutObject::new(bucket(name), key(object), staged);
    change(&mut request);
    store.put(request).await.expect("written");
}

async fn delete(store: &Store, name: &str, object: &str) {
    let (condition, governance) = Default::default();
    let request = DeleteObject { bucket: bucket(name), key: key(object), version: None, condition, governance };
    store.delete(request).await.expect("deleted");
}

async fn change(store: &Store, name: &str, change: BucketChange) {
    store.change_bucket(&bucket(name), change).await.expect("changed");
}

async fn upload(store: &Store, name: &str, object: &str, new: NewUpload, parts: &[Vec<u8>]) -> CompleteUpload {
    let (name, object) = (bucket(name), key(object));
    let id = store.create_upload(&name, &object, new).await.expect("begun");
    let mut listed = Vec::new();
    for (number, bytes) in (1..).zip(parts) {
        let staged = store.stage_bytes(bytes.clone()).await.expect("staged");
        let part = store.put_part(&name, &object, id, number, staged, None).await.expect("a part");
        listed.push(CompletedPart { number, etag: part.etag.to_string(), checksum: None });
    }
    let (size, checksum, condition, replica) = (None, None, WriteCondition::None, None);
    CompleteUpload { bucket: name, key: object, id, parts: listed, size, checksum, condition, replica }
}

/// All but the end.
pub async fn tell(store: &Store, clock: &Arc<ManualClock>) {
    let step = || clock.advance(Duration::from_secs(1));
    store.create_bucket(&bucket("plain"), NewBucket::default()).await.expect("made");
    put(store, "plain", "empty", Vec::new(), |_| {}).await;
    put(store, "plain", "small", b"in the index".to_vec(), |_| {}).await;
    put(store, "plain", "chunk", content(1, 15_000), |_| {}).await;
    put(store, "plain", "twice", content(1, 15_000), |_| {}).await;
    step();
    versions(store, clock).await;
    step();
    classes(store, clock).await;
    step();
    locks(store).await;
    step();
    queues(store).await;
    let document = DocumentChange { name: "settings/one".to_owned(), content: Some(b"{}".to_vec()) };
    store.write_documents(vec![document]).await.expect("written");
    step();
}

/// History, null versions, parts, metadata, tags, checksums.
async fn versions(store: &Store, clock: &Arc<ManualClock>) {
    let step = || clock.advance(Duration::from_secs(1));
    let tags = vec![tag("team", "ä")];
    store.create_bucket(&bucket("history"), NewBucket { tags, ..NewBucket::default() }).await.expect("made");
    put(store, "history", "a", b"before".to_vec(), |_| {}).await;
    put(store, "history", "b", content(2, 6000), |_| {}).await;
    change(store, "history", BucketChange::Versioning(Versioning::Enabled)).await;
    step();
    let described = Metadata {
        content_type: Some("text/plain".to_owned()),
        user: vec![("word".to_owned(), "grün".to_owned())],
        ..Metadata::default()
    };
    put(store, "history", "a", b"described".to_vec(), |put| {
        (put.metadata, put.tags) = (described, vec![tag("one", "1"), tag("two", "")]);
    })
    .await;
    step();
    delete(store, "history", "a").await;
    delete(store, "history", "only marked").await;
    step();
    for seed in 0..3 {
        put(store, "history", "dir/ü \u{1}", content(10 + seed, 5000), |_| {}).await;
        step();
    }
    let checksums = Digests::NONE.with(ChecksumAlgorithm::Sha256);
    let mut stage = store.stage(StageOptions { size: None, digests: checksums, seal: None });
    stage.write(content(3, 5000).into()).await.expect("written");
    let staged = stage.finish().await.expect("staged");
    let checksum: Option<Checksum> = staged.checksum(ChecksumAlgorithm::Sha256).cloned();
    let request = PutObject { checksum, ..PutObject::new(bucket("history"), key("checked"), staged) };
    store.put(request).await.expect("written");
    let parts = [content(4, 9000), content(5, 3000), content(6, 10)];
    let whole = upload(store, "history", "parts", NewUpload::default(), &parts).await;
    store.complete_upload(whole).await.expect("completed");
    step();
    // One that is still open, with a part that was replaced.
    let open = upload(store, "history", "open", NewUpload::default(), &[content(7, 5000)]).await;
    let staged = store.stage_bytes(content(8, 5000)).await.expect("staged");
    store.put_part(&open.bucket, &open.key, open.id, 1, staged, None).await.expect("a part");
    let sealed = StageOptions { size: None, digests: Digests::NONE, seal: Some(DataKey::new(DATA_KEY)) };
    let mut stage = store.stage(sealed);
    stage.write(content(9, 5000).into()).await.expect("written");
    let staged = stage.finish().await.expect("staged");
    let kms = KmsEncryption {
        key_arn: "arn:aws:kms:us-east-1:000000000000:key/kept".to_owned(),
        context: "{}".to_owned(),
        bucket_key: true,
        dual: false,
        wrapped: vec![1, 2, 3],
    };
    let mut request = PutObject::new(bucket("history"), key("sealed"), staged);
    request.protection = Protection { encryption: Encryption::Kms(kms), ..Protection::default() };
    store.put(request).await.expect("written");
    change(store, "history", BucketChange::Versioning(Versioning::Suspended)).await;
    step();
    put(store, "history", "b", b"null again".to_vec(), |_| {}).await;
    delete(store, "history", "marked null").await;
}

/// Every class, in its pool; a restored copy; rules that act later.
async fn classes(store: &Store, clock: &Arc<ManualClock>) {
    store.create_bucket(&bucket("classes"), NewBucket::default()).await.expect("made");
    for (seed, class) in (100..).zip(StorageClass::ALL) {
        put(store, "classes", class.name(), content(seed, 5000), |put| put.class = class).await;
        let small = format!("small {}", class.name());
        put(store, "classes", &small, content(seed, 100), |put| put.class = class).await;
    }
    store.settle().await.expect("settled");
    let restore = |object: &str| RestoreRequest {
        bucket: bucket("classes"),
        key: key(object),
        version: VersionSelector::Current,
        days: Some(3000),
        speed: Some(RestoreSpeed::Standard),
    };
    store.restore(restore("GLACIER")).await.expect("asked for");
    clock.advance(Duration::from_secs(86_400));
    store.settle().await.expect("restored");
    // This one is still on its way.
    store.restore(restore("DEEP_ARCHIVE")).await.expect("asked for");
    let source = store.object(&bucket("classes"), &key("STANDARD"), VersionSelector::Current).await.expect("there");
    let staged = store.stage_copy(&source, CopyStage::default()).await.expect("staged");
    store.put(PutObject::new(bucket("classes"), key("copied"), staged)).await.expect("written");
    let filter = Filter { prefix: None, tags: vec![], size_over: None, size_under: None, form: FilterForm::Empty };
    let rule = Rule {
        id: "later".to_owned(),
        status: Status::Enabled,
        filter,
        transitions: vec![],
        expiration: Some(Expiration::When(When::Days(20))),
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: Some(400),
    };
    let lifecycle = Lifecycle { rules: vec![rule], ..Lifecycle::default() };
    change(store, "classes", BucketChange::Lifecycle(Some(lifecycle))).await;
    let quota = Quota { bytes: Some(1 << 30), objects: Some(1000) };
    change(store, "classes", BucketChange::Quota(quota)).await;
}

async fn locks(store: &Store) {
    store.create_bucket(&bucket("locks"), NewBucket { object_lock: true, ..NewBucket::default() }).await.expect("made");
    let retention =
        Retention { mode: RetentionMode::Compliance, until: strata_storage::Timestamp::from_secs(4_000_000_000) };
    put(store, "locks", "kept", b"kept".to_vec(), |put| put.protection.lock.retention = Some(retention)).await;
    let held = Lock { retention: None, legal_hold: Some(LegalHold::On) };
    put(store, "locks", "held", b"held".to_vec(), |put| put.protection.lock = held).await;
    let default = Some((RetentionMode::Governance, RetentionPeriod::Years(1)));
    change(store, "locks", BucketChange::ObjectLock(ObjectLock { default })).await;
    put(store, "locks", "by default", b"kept too".to_vec(), |_| {}).await;
    let policy: Arc<[u8]> = Arc::from(&b"{}"[..]);
    change(store, "locks", BucketChange::Document(BucketDocument::Policy, Some(policy))).await;
}

/// Tasks that wait: replication and events.
async fn queues(store: &Store) {
    store.create_bucket(&bucket("queues"), NewBucket::default()).await.expect("made");
    change(store, "queues", BucketChange::Versioning(Versioning::Enabled)).await;
    let destination = Destination {
        bucket: DESTINATION.to_owned(),
        account: None,
        class: None,
        owner_override: false,
        kms_key: None,
        time_control: None,
        metrics: None,
    };
    let rule = ReplicationRule {
        id: "all".to_owned(),
        form: ReplicationForm::Filter,
        priority: 1,
        enabled: true,
        filter: ConfigurationFilter::default(),
        kms_encrypted: None,
        replica_modifications: None,
        delete_markers: Some(true),
        existing_objects: None,
        destination,
    };
    let replication = Replication { role: "role".to_owned(), rules: vec![rule] };
    change(store, "queues", BucketChange::Replication(Some(replication))).await;
    let rule = NotificationRule {
        id: "events".to_owned(),
        target: "arn:aws:sqs:us-east-1::kept".to_owned(),
        kinds: EventKinds::all(),
        prefix: String::new(),
        suffix: String::new(),
    };
    let document: Option<Arc<[u8]>> = Some(Arc::from(&b"<N/>"[..]));
    change(store, "queues", BucketChange::Notifications { rules: vec![rule], document }).await;
    put(store, "queues", "a", b"one".to_vec(), |_| {}).await;
    put(store, "queues", "a", content(20, 5000), |_| {}).await;
    delete(store, "queues", "a").await;
}

/// What is in RocksDB's log when the store is kept.
pub async fn tell_the_end(store: &Store, clock: &Arc<ManualClock>) {
    clock.advance(Duration::from_secs(1));
    put(store, "plain", "last", content(30, 5000), |_| {}).await;
    delete(store, "plain", "twice").await;
}

/// Writes something and takes it back, so that the store is the same again.
pub async fn go_on(store: &Store, pass: u64) {
    put(store, "plain", "new", content(40 + pass, 20_000), |_| {}).await;
    let object = store.object(&bucket("plain"), &key("new"), VersionSelector::Current).await.expect("there");
    let read = object.read(0..20_000).collect().await.expect("read");
    assert!(read == content(40 + pass, 20_000));
    delete(store, "plain", "new").await;
    store.collect().await.expect("collected");
}

/// Ends what waits: the upload, the restore, the tasks; and then the rule does what it says.
pub async fn finish(store: &Store, clock: &Arc<ManualClock>) {
    let history = bucket("history");
    let query = UploadsQuery { max: 10, ..UploadsQuery::default() };
    let [entry] = &store.list_uploads(&history, query).await.expect("uploads").uploads[..] else {
        panic!("one upload")
    };
    let (object, id) = (entry.key.clone(), entry.upload.id);
    let page = store.list_parts(&history, &object, id, 0, 10).await.expect("parts");
    let parts = page.parts.iter().map(|part| CompletedPart {
        number: part.number,
        etag: part.etag.to_string(),
        checksum: None,
    });
    let complete = CompleteUpload {
        bucket: history.clone(),
        key: object,
        id,
        parts: parts.collect(),
        size: None,
        checksum: None,
        condition: WriteCondition::None,
        replica: None,
    };
    store.complete_upload(complete).await.expect("completed");
    let object = store.object(&history, &key("open"), VersionSelector::Current).await.expect("there");
    assert!(object.read(0..5000).collect().await.expect("read") == content(8, 5000));
    store.settle().await.expect("restored");
    let classes = bucket("classes");
    let frozen = store.object(&classes, &key("DEEP_ARCHIVE"), VersionSelector::Current).await.expect("there");
    assert_eq!(frozen.read(0..5000).collect().await.expect("restored").len(), 5000);
    let found = store.bucket(&bucket("queues")).await.expect("there");
    let queue = QueueName::Replication { bucket: found.id, destination: DESTINATION.to_owned() };
    for task in store.tasks(queue.id(), None, 100).await.expect("tasks") {
        store.end_replication(queue.id(), task, TaskOutcome::Done).await.expect("ended");
    }
    assert!(store.tasks(queue.id(), None, 100).await.expect("tasks").is_empty());
    drop(frozen);
    clock.advance(Duration::from_secs(30 * 86_400));
    while store.evaluate().await.expect("evaluated") != Evaluated::default() {}
    for class in ["STANDARD", "copied"] {
        assert!(store.object(&classes, &key(class), VersionSelector::Current).await.is_err(), "{class} has expired");
    }
    assert!(clock.now().as_secs() > END_SECS);
    for _ in 0..3 {
        store.collect().await.expect("collected");
    }
}

//! Replicas take the id and the place of their source, once.

use strata_storage::{
    BucketChange, BucketName, CompleteUpload, CompletedPart, Error, EventKind, EventKinds, NewBucket, NewUpload,
    NotificationRule, PutObject, QueueName, Replica, ReplicationStatus, Stamp, Timestamp, VersionId, VersionSelector,
    Versioning, VersionsQuery, Work, WriteCondition,
};

use crate::support::{Side, THERE, bucket, key, rule, tag, work};

#[tokio::test]
async fn replicas_have_their_sources_ids_whatever_came_first() {
    let (source, there) = (Side::new(1, 1000).await, Side::new(2, 500).await);
    source.replicate(vec![rule("one", THERE)]).await;
    there.replicate(vec![rule("back", "arn:aws:s3:::photos")]).await;
    for bytes in ["1", "2", "3"] {
        source.put("a", bytes, vec![tag("n", bytes)]).await;
    }
    for at in [1, 0, 2, 1] {
        let tasks = source.tasks(THERE).await;
        source.deliver(work(&tasks[at]), &there).await;
    }
    let (expected, found) = (source.versions().await, there.versions().await);
    assert_eq!(found.len(), 3);
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!((found.version_id, found.latest), (expected.version_id, expected.latest));
        assert_eq!((found.modified, found.object.is_some()), (expected.modified, true));
    }
    let current = there.store.object(&bucket(), &key("a"), VersionSelector::Current).await.expect("the object");
    assert_eq!(current.info().tags, [tag("n", "3")]);
    assert_eq!(there.status("a").await, Some(ReplicationStatus::Replica));
    assert!(there.tasks("arn:aws:s3:::photos").await.is_empty(), "replicas are not sent back");
    // The other side's clock is behind, but what is written there now is newer all the same.
    there.put("a", "4", vec![]).await;
    let newest = there.versions().await.remove(0);
    assert!(newest.modified > expected[0].modified);
    assert_eq!(there.tasks("arn:aws:s3:::photos").await.len(), 1);
}

#[tokio::test]
async fn a_null_replica_gives_way_to_a_later_one() {
    let (source, there) = (Side::new(1, 1000).await, Side::new(2, 1000).await);
    source.replicate(vec![rule("one", THERE)]).await;
    source.put("a", "1", vec![]).await;
    source.put("a", "2", vec![]).await;
    let mut sent: Vec<_> = source.tasks(THERE).await.iter().map(|task| work(task).clone()).collect();
    let replicas = |replicate: &strata_storage::Replicate| strata_storage::Replica {
        version: replicate.version,
        null: true,
        changes: Default::default(),
        imported: false,
    };
    sent.reverse();
    for (replicate, is_written) in sent.iter().zip([true, false]) {
        let written = there.store.put_replica_marker(&bucket(), &key("a"), replicas(replicate)).await.expect("taken");
        assert_eq!(written, is_written);
    }
    let [only] = &there.versions().await[..] else { panic!("one null version") };
    assert_eq!((only.version_id, only.modified), (VersionId::Null, sent[0].version.time));
    // Over a null marker comes the object of the same id, and replaces it.
    let next = source.put("a", "3", vec![]).await;
    let replicate = source.tasks(THERE).await.pop().map(|task| work(&task).clone()).expect("a task");
    let staged = there.store.stage_bytes(&b"3"[..]).await.expect("staged");
    let put = strata_storage::PutObject {
        replica: Some(replicas(&replicate)),
        ..strata_storage::PutObject::new(bucket(), key("a"), staged)
    };
    there.store.put(put).await.expect("written");
    let [only] = &there.versions().await[..] else { panic!("one null version") };
    assert_eq!((only.version_id, only.modified, only.object.is_some()), (VersionId::Null, next.modified, true));
}

#[tokio::test]
async fn a_replica_that_comes_again_is_answered_with_the_same_id() {
    let (source, there) = (Side::new(1, 1000).await, Side::new(2, 1000).await);
    source.replicate(vec![rule("one", THERE)]).await;
    source.put("a", "1", vec![]).await;
    let version = work(&source.tasks(THERE).await[0]).version;
    for (null, key_text) in [(true, "null"), (false, "named")] {
        let replica = Replica { version, null, changes: Default::default(), imported: false };
        for _ in 0..2 {
            let staged = there.store.stage_bytes(&b"1"[..]).await.expect("staged");
            let put = PutObject { replica: Some(replica), ..PutObject::new(bucket(), key(key_text), staged) };
            let written = there.store.put(put).await.expect("taken");
            assert_eq!((written.version_id, written.modified), (Some(replica.version_id()), version.time));
        }
        // The same in parts.
        let name = key(&format!("{key_text} in parts"));
        let id = there.store.create_upload(&bucket(), &name, NewUpload::default()).await.expect("begun");
        let staged = there.store.stage_bytes(&b"1"[..]).await.expect("staged");
        let part = there.store.put_part(&bucket(), &name, id, 1, staged, None).await.expect("the upload is open");
        let request = CompleteUpload {
            bucket: bucket(),
            key: name,
            id,
            parts: vec![CompletedPart { number: 1, etag: part.etag.to_string(), checksum: None }],
            size: None,
            checksum: None,
            condition: WriteCondition::None,
            replica: Some(replica),
        };
        for _ in 0..2 {
            let completed = there.store.complete_upload(request.clone()).await.expect("completed");
            assert_eq!(completed.version_id, Some(replica.version_id()));
        }
    }
}

#[tokio::test]
async fn replicas_are_told_of_as_events() {
    let (source, there) = (Side::new(1, 1000).await, Side::new(2, 1000).await);
    source.replicate(vec![rule("one", THERE)]).await;
    let notification = NotificationRule {
        id: "all".to_owned(),
        target: "target".to_owned(),
        kinds: EventKinds::all(),
        prefix: String::new(),
        suffix: String::new(),
    };
    there
        .store
        .change_bucket(&bucket(), BucketChange::Notifications { rules: vec![notification], document: None })
        .await
        .expect("rules");
    source.put("a", "1", vec![]).await;
    let current = VersionSelector::Current;
    source.deliver_all(&there).await;
    source.store.set_tags(&bucket(), &key("a"), current, vec![tag("k", "v")]).await.expect("tagged");
    source.deliver_all(&there).await;
    source.store.set_acl(&bucket(), &key("a"), current, Some(b"list".to_vec())).await.expect("granted");
    source.deliver_all(&there).await;
    source.delete("a").await;
    source.deliver_all(&there).await;
    let queue = QueueName::Events { target: "target".to_owned() };
    let told: Vec<EventKind> = there
        .store
        .tasks(queue.id(), None, 10)
        .await
        .expect("tasks")
        .into_iter()
        .map(|task| match task.work {
            Work::Event(event) => event.kind,
            Work::Replicate(_) => panic!("it has no rules"),
        })
        .collect();
    let expected = [EventKind::CreatedPut, EventKind::TaggingPut, EventKind::AclPut, EventKind::RemovedMarker];
    assert_eq!(told, expected);
}

/// A clock that is an hour behind does not lose what is changed in view of a change that came from elsewhere.
#[tokio::test]
async fn a_change_is_later_than_the_one_it_changes() {
    let (ahead, behind) = (Side::new(1, 10_000).await, Side::new(2, 6_400).await);
    for side in [&ahead, &behind] {
        side.replicate(vec![rule("two-way", THERE)]).await;
    }
    ahead.put("a", "1", vec![]).await;
    ahead.deliver_all(&behind).await;
    let current = VersionSelector::Current;
    ahead.store.set_tags(&bucket(), &key("a"), current, vec![tag("by", "ahead")]).await.expect("tagged");
    ahead.store.set_acl(&bucket(), &key("a"), current, Some(b"public".to_vec())).await.expect("granted");
    ahead.deliver_all(&behind).await;
    behind.store.set_tags(&bucket(), &key("a"), current, vec![tag("by", "behind")]).await.expect("tagged");
    behind.store.set_acl(&bucket(), &key("a"), current, None).await.expect("taken back");
    behind.deliver_all(&ahead).await;
    for side in [&ahead, &behind] {
        let object = side.store.object(&bucket(), &key("a"), current).await.expect("the object");
        assert_eq!(object.info().tags, [tag("by", "behind")]);
        assert_eq!(object.info().protection.owner.acl, None);
    }
}

#[tokio::test]
async fn what_is_imported_is_no_replica_and_comes_to_buckets_without_versioning() {
    let there = Side::new(2, 5000).await;
    let plain = BucketName::parse("plain").expect("a name");
    there.store.create_bucket(&plain, NewBucket::default()).await.expect("made");
    let import = async |time: u64, null: bool, imported: bool| {
        let version = Stamp { time: Timestamp::from_secs(time), random: 1 };
        let replica = Replica { version, null, changes: Default::default(), imported };
        let staged = there.store.stage_bytes(time.to_string()).await.expect("staged");
        let put = PutObject::new(plain.clone(), key("a"), staged);
        there.store.put(PutObject { replica: Some(replica), ..put }).await
    };
    assert!(matches!(import(1000, true, false).await, Err(Error::BucketState(_))), "replicas need versioning");
    assert!(matches!(import(1000, false, true).await, Err(Error::BucketState(_))), "versions with ids need it too");
    // Only the later one is there, in whatever order they come.
    for time in [1000, 2000, 1500] {
        import(time, true, true).await.expect("imported");
    }
    let object = there.store.object(&plain, &key("a"), VersionSelector::Current).await.expect("the object");
    let info = object.info();
    assert_eq!((info.modified, info.size, info.replication.status()), (Timestamp::from_secs(2000), 4, None));
    let marker = Stamp { time: Timestamp::from_secs(3000), random: 1 };
    let marker = Replica { version: marker, null: true, changes: Default::default(), imported: true };
    let refused = there.store.put_replica_marker(&plain, &key("a"), marker).await;
    assert!(matches!(refused, Err(Error::BucketState(_))), "no markers without versioning");
    // A suspended bucket takes versions with ids beside its null version.
    let suspended = BucketChange::Versioning(Versioning::Suspended);
    there.store.change_bucket(&plain, suspended).await.expect("suspended");
    import(1700, false, true).await.expect("imported");
    assert!(there.store.put_replica_marker(&plain, &key("b"), marker).await.expect("imported"));
    let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
    let page = there.store.list_versions(&plain, query).await.expect("a page").entries;
    let times: Vec<_> = page.iter().map(|entry| (entry.modified.as_secs(), entry.latest)).collect();
    assert_eq!(times, [(2000, true), (1700, false), (3000, true)]);
}

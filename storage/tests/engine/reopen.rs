//! What was put is there after closing and opening again, at every size that is stored differently.
use strata_storage::{
    AnalyticsConfiguration, AnalyticsExport, BucketChange, BucketName, ConfigurationFilter, DeleteCondition,
    DeleteObject, Entity, Error, NewBucket, ObjectKey, OpenOptions, PutObject, Store, Tag, TieringConfiguration,
    VersionSelector, Versioning,
};

#[tokio::test]
async fn what_is_put_is_read_after_reopening() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bucket = BucketName::parse("photos").expect("a valid name");
    let sizes = [0, 1, 4096, 4097, 65_536, 1 << 20, (1 << 20) + 1, (8 << 20) + 5, 20 << 20];
    let content =
        |size: usize| (0..size).map(|i| u8::try_from((i * 7 + i / 251) % 256).expect("a byte")).collect::<Vec<u8>>();
    {
        let store = Store::open(OpenOptions::new(directory.path())).await.expect("it opens");
        store.create_bucket(&bucket, NewBucket::default()).await.expect("it is made");
        for size in sizes {
            let key = ObjectKey::parse(&format!("k{size}")).expect("a key");
            let staged = store.stage_bytes(content(size)).await.expect("staged");
            store.put(PutObject::new(bucket.clone(), key, staged)).await.expect("put");
        }
        store.close().await.expect("closed");
    }
    let store = Store::open(OpenOptions::new(directory.path())).await.expect("it opens again");
    for size in sizes {
        let key = ObjectKey::parse(&format!("k{size}")).expect("a key");
        let object = store.object(&bucket, &key, VersionSelector::Current).await.expect("found");
        let end = object.info().size;
        assert_eq!(end, u64::try_from(size).expect("small"));
        assert!(object.read(0..end).collect().await.expect("read") == content(size), "{size}");
        if size > 100 {
            let bytes = object.read(50..end - 7).collect().await.expect("read");
            assert!(bytes == content(size)[50..size - 7], "{size}");
        }
        let request = DeleteObject {
            bucket: bucket.clone(),
            key: key.clone(),
            version: None,
            condition: Default::default(),
            governance: Default::default(),
        };
        store.delete(request).await.expect("deleted");
        assert!(store.object(&bucket, &key, VersionSelector::Current).await.is_err());
    }
}

#[tokio::test]
async fn markers_are_found_that_no_memory_holds() {
    const KEYS: usize = 500;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bucket = BucketName::parse("photos").expect("a valid name");
    let options = || OpenOptions { cache_bytes: 64 << 10, ..OpenOptions::new(directory.path()) };
    let delete = |number: usize, condition| DeleteObject {
        bucket: bucket.clone(),
        key: ObjectKey::parse(&format!("{number:0900}")).expect("a key"),
        version: None,
        condition,
        governance: Default::default(),
    };
    {
        let store = Store::open(options()).await.expect("it opens");
        store.create_bucket(&bucket, NewBucket::default()).await.expect("it is made");
        store.change_bucket(&bucket, BucketChange::Versioning(Versioning::Enabled)).await.expect("versioned");
        for number in 0..KEYS {
            store.delete(delete(number, DeleteCondition::None)).await.expect("a marker");
        }
        store.close().await.expect("closed");
    }
    let store = Store::open(options()).await.expect("it opens again");
    for number in 0..KEYS {
        // Where a marker is newest the answer is another than where there is nothing.
        let refused = store.delete(delete(number, DeleteCondition::IfPresent)).await;
        assert!(matches!(refused, Err(Error::Precondition)), "{number}: {refused:?}");
    }
    let refused = store.delete(delete(KEYS, DeleteCondition::IfPresent)).await;
    assert!(matches!(refused, Err(Error::NotFound(Entity::Key))), "{refused:?}");
}

#[tokio::test]
async fn configurations_are_there_after_reopening() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bucket = BucketName::parse("photos").expect("a valid name");
    let tags = vec![Tag { key: "team".to_string(), value: "red".to_string() }];
    let filter = ConfigurationFilter { prefix: Some("a/".to_string()), tags };
    let tiering = |id: &str, days| TieringConfiguration {
        id: id.to_string(),
        filter: filter.clone(),
        enabled: true,
        archive_days: Some(days),
        deep_archive_days: None,
    };
    let export = AnalyticsExport { bucket_arn: "arn:aws:s3:::x".to_string(), account: None, prefix: None };
    let analytics =
        AnalyticsConfiguration { id: "x".to_string(), filter: ConfigurationFilter::default(), export: Some(export) };
    {
        let store = Store::open(OpenOptions::new(directory.path())).await.expect("it opens");
        store.create_bucket(&bucket, NewBucket::default()).await.expect("it is made");
        for change in [
            BucketChange::PutTiering(tiering("b", 90)),
            BucketChange::PutTiering(tiering("a", 90)),
            BucketChange::PutTiering(tiering("c", 90)),
            BucketChange::PutTiering(tiering("b", 120)),
            BucketChange::DeleteTiering("c".to_string()),
            BucketChange::PutAnalytics(analytics.clone()),
        ] {
            store.change_bucket(&bucket, change).await.expect("changed");
        }
        let absent = store.change_bucket(&bucket, BucketChange::DeleteAnalytics("b".to_string())).await;
        assert!(matches!(absent, Err(Error::NotFound(Entity::Configuration))));
        store.close().await.expect("closed");
    }
    let store = Store::open(OpenOptions::new(directory.path())).await.expect("it opens again");
    let found = store.bucket(&bucket).await.expect("found");
    assert_eq!(found.tiering, [tiering("a", 90), tiering("b", 120)]);
    assert_eq!(found.analytics, [analytics]);
}

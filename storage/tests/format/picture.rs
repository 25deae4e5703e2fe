//! Everything that a store tells of itself, as text.

use std::fmt::Write as _;

use strata_storage::{
    BucketName, BucketQuery, DataKey, Error, QueueName, Store, UploadsQuery, VersionEntry, VersionSelector,
    VersionsQuery,
};

use crate::story::{DATA_KEY, DESTINATION};

/// A line for each bucket, version, upload, task and document.
pub async fn picture(store: &Store) -> String {
    let mut text = String::new();
    let query = BucketQuery { max: 100, ..BucketQuery::default() };
    for (name, bucket) in store.list_buckets(query).await.expect("buckets").buckets {
        let full = store.bucket(&name).await.expect("the bucket");
        let rules = full.lifecycle.as_ref().map_or(0, |lifecycle| lifecycle.rules.len());
        let counts =
            (rules, full.tiering.len(), full.notifications.len(), full.replication.is_some(), full.documents.len());
        let about = (bucket.versioning, bucket.object_lock, &bucket.tags, bucket.quota);
        writeln!(text, "{name} {about:?} {counts:?}").expect("text");
        let query = VersionsQuery { max: 1000, ..VersionsQuery::default() };
        for entry in store.list_versions(&name, query).await.expect("versions").entries {
            version(store, &name, &entry, &mut text).await;
        }
        let query = UploadsQuery { max: 100, ..UploadsQuery::default() };
        for entry in store.list_uploads(&name, query).await.expect("uploads").uploads {
            writeln!(text, "  upload {} {:?}", entry.key.as_str(), entry.upload.id).expect("text");
        }
        let queue = QueueName::Replication { bucket: full.id, destination: DESTINATION.to_owned() };
        let tasks = store.tasks(queue.id(), None, 1000).await.expect("tasks");
        writeln!(text, "  tasks {}", tasks.len()).expect("text");
    }
    for (name, content) in store.documents("", None, 100).await.expect("documents") {
        writeln!(text, "document {name} {}", String::from_utf8_lossy(&content)).expect("text");
    }
    text
}

async fn version(store: &Store, bucket: &BucketName, entry: &VersionEntry, text: &mut String) {
    let id = VersionSelector::Id(entry.version_id);
    let at = entry.modified.as_secs();
    let (key, version_id) = (entry.key.as_str(), entry.version_id);
    writeln!(text, "  {key:?} {version_id} {at}{}", if entry.latest { " latest" } else { "" }).expect("text");
    let mut object = match store.object(bucket, &entry.key, id).await {
        Ok(object) => object,
        Err(Error::DeleteMarker { .. }) => return writeln!(text, "    marker").expect("text"),
        Err(error) => panic!("{key}: {error}"),
    };
    if object.info().protection.encryption.is_sealed() {
        object.unseal(&DataKey::new(DATA_KEY));
    }
    let info = object.info().clone();
    let content = match object.read(0..info.size).collect().await {
        Ok(bytes) => blake3::hash(&bytes).to_hex()[..16].to_owned(),
        Err(Error::Archived { .. }) => "archived".to_owned(),
        Err(error) => panic!("{key}: {error}"),
    };
    let checksum = info.checksum.as_ref().map(|checksum| (checksum.algorithm, checksum.kind));
    let (parts, class, tier) = (info.parts_count, info.class.name(), info.tier);
    writeln!(text, "    {} {content} {} {parts} parts {class} {tier:?} {checksum:?}", info.size, info.etag)
        .expect("text");
    let user = &info.metadata.user;
    let (content_type, tags) = (&info.metadata.content_type, &info.tags);
    writeln!(text, "    {content_type:?} {user:?} {tags:?} {:?}", info.protection.lock).expect("text");
    writeln!(text, "    {:?} {:?}", info.restore, info.replication.status()).expect("text");
}

//! The engine without the server: a store in a directory, used by one program.
//!
//! `cargo run -p strata-storage --example embed -- DIRECTORY`

use strata_storage::{
    BucketChange, BucketName, CompleteUpload, CompletedPart, Error, ListQuery, NewBucket, NewUpload, ObjectKey,
    OpenOptions, PutObject, Store, VersionSelector, Versioning, VersionsQuery, WriteCondition,
};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let directory = std::env::args().nth(1).ok_or("name a directory for the store")?;
    let store = Store::open(OpenOptions::new(&directory)).await?;
    let bucket = BucketName::parse("notes")?;
    match store.create_bucket(&bucket, NewBucket::default()).await {
        Ok(_) | Err(Error::BucketExists) => {}
        Err(error) => return Err(error.into()),
    }
    store.change_bucket(&bucket, BucketChange::Versioning(Versioning::Enabled)).await?;

    let first = put(&store, &bucket, "today", "write the example", WriteCondition::None).await?;
    let second = put(&store, &bucket, "today", "run the example", WriteCondition::IfMatch(Some(first))).await?;
    let lost = put(&store, &bucket, "today", "too late", WriteCondition::IfMatch(Some(first))).await;
    println!("a write that expects the first version now: {}", lost.expect_err("the second version is current"));

    let object = store.object(&bucket, &ObjectKey::parse("today")?, VersionSelector::Current).await?;
    assert_eq!(object.info().etag, second);
    let word = object.read(0..3).collect().await?;
    println!("the first three bytes: {}", String::from_utf8_lossy(&word));

    upload_in_parts(&store, &bucket).await?;
    for entry in store.list(&bucket, ListQuery { max: 100, ..ListQuery::default() }).await?.entries {
        println!("{:>10} bytes  {}", entry.size, entry.key);
    }
    for entry in store.list_versions(&bucket, VersionsQuery { max: 100, ..VersionsQuery::default() }).await?.entries {
        println!("{}  {}{}", entry.version_id, entry.key, if entry.latest { "  (latest)" } else { "" });
    }

    let copy = std::path::Path::new(&directory).with_extension("checkpoint");
    store.checkpoint(&copy).await?;
    println!("an openable copy is in {}", copy.display());
    store.close().await?;
    Ok(())
}

async fn put(
    store: &Store,
    bucket: &BucketName,
    key: &str,
    text: &'static str,
    condition: WriteCondition,
) -> Result<strata_storage::ETag, Failure> {
    let staged = store.stage_bytes(text.as_bytes()).await?;
    let mut request = PutObject::new(bucket.clone(), ObjectKey::parse(key)?, staged);
    request.condition = condition;
    Ok(store.put(request).await?.etag)
}

async fn upload_in_parts(store: &Store, bucket: &BucketName) -> Result<(), Failure> {
    let key = ObjectKey::parse("large")?;
    let id = store.create_upload(bucket, &key, NewUpload::default()).await?;
    let mut parts = Vec::new();
    for number in 1..=2 {
        let staged = store.stage_bytes(vec![u8::try_from(number)?; 6 << 20]).await?;
        let part = store.put_part(bucket, &key, id, number, staged, None).await?;
        parts.push(CompletedPart { number, etag: part.etag.to_string(), checksum: None });
    }
    let (bucket, condition) = (bucket.clone(), WriteCondition::None);
    let request = CompleteUpload { bucket, key, id, parts, size: None, checksum: None, condition, replica: None };
    let done = store.complete_upload(request).await?;
    println!("uploaded in parts: {}", done.etag);
    Ok(())
}

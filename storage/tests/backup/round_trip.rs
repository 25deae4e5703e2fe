//! Everything comes back, also of a backup that was made while others wrote; and only what is new is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strata_storage::{
    BackupOptions, DeleteObject, DocumentChange, LegalHold, NewUpload, PutObject, Retention, RetentionChange,
    RetentionMode, StorageClass, Tag, Timestamp, UploadsQuery, VersionSelector, verify_backup,
};

use crate::support::{Fixture, bucket, content, key, seen};

/// Puts objects of all kinds.
async fn fill(fixture: &Fixture) {
    let store = &fixture.store;
    for (number, class) in (0..).zip([
        StorageClass::Standard,
        StorageClass::StandardIa,
        StorageClass::OnezoneIa,
        StorageClass::Glacier,
        StorageClass::DeepArchive,
        StorageClass::IntelligentTiering,
    ]) {
        for bytes in [0, 100, 5_000, 300_000, 9 << 20] {
            let text = content(number, bytes / 2).repeat(2);
            let staged = store.stage_bytes(text).await.expect("it is staged");
            let mut put = PutObject::new(bucket(), key(&format!("{}/{bytes}", class.name())), staged);
            put.class = class;
            put.tags = vec![Tag { key: "size".to_owned(), value: bytes.to_string() }];
            store.put(put).await.expect("it is put");
        }
    }
    fixture.put("versions", content(100, 70_000)).await;
    fixture.put("versions", content(101, 70_000)).await;
    let delete = DeleteObject {
        bucket: bucket(),
        key: key("versions"),
        version: None,
        condition: Default::default(),
        governance: Default::default(),
    };
    store.delete(delete).await.expect("it is deleted");
    fixture.put("locked", content(102, 20)).await;
    let until = Timestamp::from_secs(1_900_000_000);
    let retention = Some(Retention { mode: RetentionMode::Compliance, until });
    let change = RetentionChange { retention, ..RetentionChange::default() };
    store.set_retention(&bucket(), &key("locked"), VersionSelector::Current, change).await.expect("it is kept");
    store.set_legal_hold(&bucket(), &key("locked"), VersionSelector::Current, LegalHold::On).await.expect("it is held");
    let upload = store.create_upload(&bucket(), &key("upload"), NewUpload::default()).await.expect("an upload begins");
    let staged = store.stage_bytes(content(103, 600_000)).await.expect("it is staged");
    store.put_part(&bucket(), &key("upload"), upload, 1, staged, None).await.expect("a part is put");
    let document = DocumentChange { name: "people/ann".to_owned(), content: Some(b"friendly".to_vec()) };
    store.write_documents(vec![document]).await.expect("a document is written");
    // Everything to its pool, and what is left where it was, away.
    store.settle().await.expect("it is settled");
    store.collect().await.expect("it is collected");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_over_other_zones() {
    let fixture = Fixture::new(5).await;
    fill(&fixture).await;
    let made = fixture.back_up().await;
    assert!(made.sent_records > 20 && made.records == made.sent_records, "{made:?}");
    let id = made.snapshot.expect("it is made");
    let report = verify_backup(fixture.repository(), Some(&id), &mut |_| {}).await.expect("it can be read");
    assert_eq!((report.damaged, report.snapshot), (Vec::new(), id));
    let before = seen(&fixture.store).await;
    for zones in [1, 3] {
        let store = fixture.restored(&format!("restored-{zones}"), zones).await;
        assert_eq!(seen(&store).await, before);
        let uploads = |store: strata_storage::Store| async move {
            let query = UploadsQuery { max: 10, ..UploadsQuery::default() };
            store.list_uploads(&bucket(), query).await.expect("they are listed")
        };
        assert_eq!(uploads(store.clone()).await, uploads(fixture.store.clone()).await);
        let documents = store.documents("", None, 10).await.expect("they are listed");
        assert_eq!(documents, fixture.store.documents("", None, 10).await.expect("they are listed"));
        // It goes on as the store that it was, in the same repository too.
        store.collect().await.expect("it is collected");
        let again = crate::support::back_up(&store, fixture.repository()).await;
        assert_eq!(again.sent_records, 0, "{again:?}");
        store.close().await.expect("it closes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_new_is_sent() {
    let fixture = Fixture::new(1).await;
    for number in 0..40 {
        fixture.put(&format!("old/{number}"), content(number, 400_000)).await;
    }
    let first = fixture.back_up().await;
    assert!((16_000_000..17_000_000).contains(&first.sent_bytes), "{first:?}");
    let unchanged = fixture.back_up().await;
    assert_eq!(unchanged.sent_records, 0);
    assert!(unchanged.sent_bytes < 200_000, "{unchanged:?}");
    fixture.put("new", content(1000, 500_000)).await;
    // The same content once more is no new chunk; nor is one that was moved.
    fixture.put("copy", content(7, 400_000)).await;
    let next = fixture.back_up().await;
    assert_eq!((next.sent_records, next.records), (1, 41));
    assert!((500_000..800_000).contains(&next.sent_bytes), "{next:?}");
    let full = fixture.store.backup(fixture.repository(), BackupOptions { full: true }).await.expect("it begins");
    assert_eq!((full.error, full.sent_records), (None, 41));
    let before = seen(&fixture.store).await;
    assert_eq!(seen(&fixture.restored("restored", 1).await).await, before);
}

/// What was acknowledged before the backup began is in it, whatever happens meanwhile; the rest is there as of one moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_of_one_moment_while_others_write() {
    let fixture = Arc::new(Fixture::new(3).await);
    for number in 0..120 {
        fixture.put(&format!("kept/{number:03}"), content(number, 10_000 + 997 * number as usize)).await;
        fixture.put(&format!("gone/{number:03}"), content(1000 + number, 20_000)).await;
    }
    let before: Vec<_> = seen(&fixture.store).await.into_iter().filter(|(key, _)| key.starts_with("kept/")).collect();
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (fixture, done) = (Arc::clone(&fixture), Arc::clone(&done));
        async move {
            let mut number = 0;
            while !done.load(Ordering::SeqCst) {
                // An order: whoever has the second has the first.
                fixture.put(&format!("pair/{number:05}/a"), content(5000 + number, 6_000)).await;
                fixture.put(&format!("pair/{number:05}/b"), content(9000 + number, 100)).await;
                if let Some(version) = version_of(&fixture, &format!("gone/{:03}", number % 120)).await {
                    let request = DeleteObject {
                        bucket: bucket(),
                        key: key(&format!("gone/{:03}", number % 120)),
                        version: Some(version),
                        condition: Default::default(),
                        governance: Default::default(),
                    };
                    fixture.store.delete(request).await.expect("it is deleted");
                }
                if number % 8 == 0 {
                    fixture.store.collect().await.expect("it is collected");
                }
                number += 1;
            }
        }
    });
    for round in 0..3 {
        fixture.back_up().await;
        let store = fixture.restored(&format!("restored-{round}"), 1).await;
        let after = seen(&store).await;
        let kept: Vec<_> = after.iter().filter(|(key, _)| key.starts_with("kept/")).cloned().collect();
        assert_eq!(kept, before);
        let keys: Vec<&str> =
            after.iter().map(|(key, _)| key.as_str()).filter(|key| key.starts_with("pair/")).collect();
        for key in keys.iter().filter(|key| key.ends_with("/b")) {
            assert!(keys.contains(&key.replace("/b", "/a").as_str()), "{key} came after another");
        }
        store.close().await.expect("it closes");
    }
    done.store(true, Ordering::SeqCst);
    writer.await.expect("the writer ends");
}

async fn version_of(fixture: &Fixture, name: &str) -> Option<strata_storage::VersionId> {
    let object = fixture.store.object(&bucket(), &key(name), VersionSelector::Current).await.ok()?;
    Some(object.info().version_id)
}

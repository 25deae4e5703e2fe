//! What a backup builds upon can be read with the keys that it names itself.

use strata_storage::{BackupOptions, MasterKey, Repository as _, Store, restore};

use crate::support::{Fate, Fateful, Fixture, back_up, bucket, content, key, open, restore_options, seen};

async fn put(store: &Store, name: &str, content: Vec<u8>) {
    let staged = store.stage_bytes(content).await.expect("it is staged");
    store.put(strata_storage::PutObject::new(bucket(), key(name), staged)).await.expect("it is put");
}

/// A store of the older of two backups, between which a data key was made, with the content of the newer.
async fn older(fixture: &Fixture, snapshot: Option<String>) -> Store {
    let options = strata_storage::RestoreOptions { snapshot, ..restore_options(fixture.directory.path(), "older", 1) };
    restore(fixture.repository(), &options, &mut |_| {}).await.expect("it is restored");
    let store = open(fixture.directory.path(), "older", 1, &fixture.clock).await.expect("it opens");
    put(&store, "b again", content(2, 200_000)).await;
    // A key of the number that it has in the other one too.
    store.rotate_master_key(MasterKey::new([1; 32])).await.expect("there is a further key");
    put(&store, "c", content(3, 200_000)).await;
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_with_keys_that_are_unknown_is_not_built_upon() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 200_000)).await;
    let first = fixture.back_up().await.snapshot;
    fixture.store.rotate_master_key(MasterKey::new([2; 32])).await.expect("there is a further key");
    fixture.put("b", content(2, 200_000)).await;
    assert_eq!(fixture.back_up().await.sent_records, 1, "with the keys of this store the first is built upon");
    let store = older(&fixture, first).await;
    let made = back_up(&store, fixture.repository()).await;
    assert_eq!(made.sent_records, 2, "the first is built upon, the second is not: {made:?}");
    assert_eq!(back_up(&store, fixture.repository()).await.sent_records, 0);
    assert_eq!(seen(&fixture.restored("restored", 1).await).await, seen(&store).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_of_an_unfinished_backup_with_keys_that_are_unknown_are_not_used() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 200_000)).await;
    fixture.back_up().await;
    fixture.store.rotate_master_key(MasterKey::new([2; 32])).await.expect("there is a further key");
    fixture.put("b", content(2, 200_000)).await;
    // A pack and its list are there.
    let repository = Fateful::new(fixture.path("repository"), Fate::Fails, 3, 0);
    let made = fixture.store.backup(repository, BackupOptions::default()).await.expect("it begins");
    assert!(made.error.is_some() && made.sent_records == 1, "{made:?}");
    let store = older(&fixture, None).await;
    assert_eq!(back_up(&store, fixture.repository()).await.sent_records, 2);
    assert!(fixture.repository().list("unfinished/").await.expect("it is listed").is_empty());
    assert_eq!(seen(&fixture.restored("restored", 1).await).await, seen(&store).await);
}

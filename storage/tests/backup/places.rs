//! Where backups go, and where stores are made of them: nowhere where something else is.

use std::sync::Arc;

use strata_storage::{BackupOptions, Error, backups, restore, unlock_repository};

use crate::support::{Fate, Fateful, Fixture, content, restore_options};

fn reason<T>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::Backup(reason)) => reason,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it succeeds"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_of_one_store() {
    let (one, other) = (Fixture::new(1).await, Fixture::new(1).await);
    one.back_up().await;
    let mixed = other.store.backup(one.repository(), BackupOptions::default()).await;
    assert!(reason(mixed).contains("another store"));
    std::fs::create_dir(other.path("full")).expect("it can be made");
    std::fs::write(other.path("full/letter"), b"dear").expect("it can be written");
    let full = Arc::new(strata_storage::DirectoryRepository::new(other.path("full")));
    assert!(reason(other.store.backup(full.clone(), BackupOptions::default()).await).contains("not empty"));
    assert!(reason(backups(full).await).contains("no backups"));
    // What somebody left who died while the repository was made.
    std::fs::create_dir(other.path("begun")).expect("it can be made");
    std::fs::write(other.path("begun/repository.7-0.new"), b"strata-rep").expect("it can be written");
    let begun = Arc::new(strata_storage::DirectoryRepository::new(other.path("begun")));
    crate::support::back_up(&other.store, begun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_in_use_is_left_alone() {
    let fixture = Fixture::new(1).await;
    fixture.back_up().await;
    let repository = fixture.path("repository");
    std::fs::write(repository.join("lock"), br#"{"what":"prune","store":"","since":"today"}"#).expect("it is written");
    let refused = reason(fixture.store.backup(fixture.repository(), BackupOptions::default()).await);
    assert!(refused.contains("since today (prune)"), "{refused}");
    unlock_repository(fixture.repository()).await.expect("it is unlocked");
    fixture.back_up().await;
    assert!(!repository.join("lock").exists());
}

/// Whoever had the lock taken away neither takes it from the next one nor says that there is a backup.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_its_owners() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 10_000)).await;
    for next in [None, Some(&br#"{"what":"prune","store":"","since":"today","token":"x"}"#[..])] {
        let repository = Fateful::new(fixture.path("repository"), Fate::Hangs, 1, 0);
        fixture.store.start_backup(repository.clone(), BackupOptions { full: true }).await.expect("it begins");
        repository.hung.notified().await;
        unlock_repository(fixture.repository()).await.expect("it is unlocked");
        let lock = fixture.path("repository/lock");
        if let Some(next) = next {
            std::fs::write(&lock, next).expect("it is written");
        }
        repository.released.add_permits(1);
        while fixture.store.backup_status().running {
            tokio::task::yield_now().await;
        }
        let status = fixture.store.backup_status();
        let error = status.error.expect("it is not made");
        assert!(status.snapshot.is_none() && error.contains("strata backup unlock"), "{error}");
        assert_eq!(std::fs::read(&lock).ok().as_deref(), next);
        assert_eq!(backups(fixture.repository()).await.expect("they are listed"), []);
    }
    unlock_repository(fixture.repository()).await.expect("it is unlocked");
    fixture.back_up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_made_in_an_empty_place_with_its_key() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 10_000)).await;
    fixture.back_up().await;
    let options = |name| restore_options(fixture.directory.path(), name, 1);
    let wrong = strata_storage::RestoreOptions { master_key: None, ..options("keyless") };
    let restored = restore(fixture.repository(), &wrong, &mut |_| {}).await;
    assert!(matches!(restored, Err(Error::MasterKeyMissing)));
    let wrong = Some(strata_storage::MasterKey::new([2; 32]));
    let wrong = strata_storage::RestoreOptions { master_key: wrong, ..options("keyless") };
    let restored = restore(fixture.repository(), &wrong, &mut |_| {}).await;
    assert!(matches!(restored, Err(Error::MasterKeyWrong)));
    restore(fixture.repository(), &options("keyless"), &mut |_| {}).await.expect("with the right one it is");
    let again = restore(fixture.repository(), &options("keyless"), &mut |_| {}).await;
    assert!(reason(again).contains("not empty"));
    // Zones too, those of the original among them.
    let mut zoned = options("zoned");
    zoned.zones = vec![strata_storage::ZoneOptions { name: "data".to_owned(), directory: fixture.path("data") }];
    assert!(reason(restore(fixture.repository(), &zoned, &mut |_| {}).await).contains("not empty"));
    let mut named = options("named");
    std::fs::create_dir(fixture.path("named")).expect("it can be made");
    std::fs::write(fixture.path("named/master-key"), b"x").expect("it can be written");
    assert!(reason(restore(fixture.repository(), &named, &mut |_| {}).await).contains("master-key"));
    named.may_hold = vec!["master-key".to_owned()];
    restore(fixture.repository(), &named, &mut |_| {}).await.expect("that file may be there");
    named.snapshot = Some("20200101t000000.000z-00".to_owned());
    assert!(reason(restore(fixture.repository(), &named, &mut |_| {}).await).contains("no backup"));
}

/// Nobody waits for a repository that does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_wait_for_a_repository() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 10_000)).await;
    let repository = Fateful::new(fixture.path("repository"), Fate::Hangs, 1, 0);
    fixture.store.start_backup(repository.clone(), BackupOptions::default()).await.expect("it begins");
    repository.hung.notified().await;
    fixture.store.close().await.expect("it closes");
    assert!(!fixture.store.backup_status().running);
}

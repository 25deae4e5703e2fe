//! Backups and restores that fail, stop, or die half-way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use strata_storage::{BackupOptions, DeleteObject, Error, Repository, SystemEntropy, VersionSelector, restore};

use crate::support::{Fate, Fateful, Fixture, back_up, bucket, content, key, open, restore_options, seen};

#[tokio::test(flavor = "multi_thread")]
async fn whichever_write_fails_the_next_backup_is_whole() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 100_000)).await;
    let before = seen(&fixture.store).await;
    for put in 1.. {
        let repository = Fateful::new(fixture.path(&format!("repository-{put}")), Fate::Fails, put, 0);
        let made = fixture.store.backup(repository.clone(), BackupOptions::default()).await.expect("a backup begins");
        if repository.puts.load(Ordering::SeqCst) < put {
            assert!(made.snapshot.is_some());
            assert!(put > 5, "there is more to write than {put} files");
            break;
        }
        assert!(made.error.is_some() && made.snapshot.is_none(), "{made:?}");
        assert!(fixture.try_restore(repository.clone(), &format!("none-{put}")).await.is_err());
        back_up(&fixture.store, repository.clone()).await;
        let name = format!("restored-{put}");
        fixture.try_restore(repository, &name).await.expect("it is restored");
        let store = open(fixture.directory.path(), &name, 1, &fixture.clock).await.expect("it opens");
        assert_eq!(seen(&store).await, before);
    }
}

/// 100 MB, so that there are packs that were sent when the process dies.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_a_backup_goes_on_where_it_was() {
    let fixture = Fixture::new(1).await;
    for number in 0..25 {
        fixture.put(&format!("{number:02}"), content(number, 4 << 20)).await;
    }
    let before = seen(&fixture.store).await;
    // A pack, its list, and the second pack.
    let repository = Fateful::new(fixture.path("repository"), Fate::Hangs, 3, 0);
    fixture.store.start_backup(repository.clone(), BackupOptions::default()).await.expect("a backup begins");
    repository.hung.notified().await;
    let second = fixture.store.start_backup(fixture.repository(), BackupOptions::default()).await;
    assert!(matches!(second, Err(Error::Backup(_))), "there is one at a time");
    let pruned = strata_storage::prune_backups(fixture.repository(), 1, Default::default(), &SystemEntropy).await;
    assert!(matches!(pruned, Err(Error::Backup(_))), "nothing is removed meanwhile");
    // The store is closed, which ends the backup.
    let Fixture { directory, clock, store } = fixture;
    store.close().await.expect("it closes");
    assert!(store.backup_status().error.is_some());
    drop(store);
    let store = open(directory.path(), "data", 1, &clock).await.expect("it opens");
    assert!(!directory.path().join("data/backup").exists(), "nothing is left of the moment");
    let fixture = Fixture { directory, clock, store };
    let made = fixture.back_up().await;
    assert!((8..20).contains(&made.sent_records), "{made:?}");
    assert!(fixture.repository().list("unfinished/").await.expect("it is listed").is_empty());
    assert_eq!(seen(&fixture.restored("restored", 1).await).await, before);
}

/// What was deleted after the moment is in the backup, though it was collected as far as that could be.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_meanwhile_is_kept_until_it_is_copied() {
    let fixture = Fixture::new(1).await;
    for number in 0..25 {
        fixture.put(&format!("{number:02}"), content(number, 4 << 20)).await;
    }
    let before = seen(&fixture.store).await;
    let repository = Fateful::new(fixture.path("repository"), Fate::Hangs, 1, 0);
    fixture.store.start_backup(repository.clone(), BackupOptions::default()).await.expect("a backup begins");
    repository.hung.notified().await;
    for number in 0..25 {
        let key = key(&format!("{number:02}"));
        let object = fixture.store.object(&bucket(), &key, VersionSelector::Current).await.expect("it is there");
        let version = Some(object.info().version_id);
        drop(object);
        let (condition, governance) = Default::default();
        let request = DeleteObject { bucket: bucket(), key, version, condition, governance };
        fixture.store.delete(request).await.expect("it is deleted");
    }
    for _ in 0..4 {
        fixture.store.collect().await.expect("it is collected");
    }
    repository.released.add_permits(1);
    while fixture.store.backup_status().running {
        tokio::task::yield_now().await;
    }
    let status = fixture.store.backup_status();
    assert_eq!((status.error, status.lost_records, status.records), (None, 0, 25));
    // Now nothing keeps it any more.
    for _ in 0..4 {
        fixture.store.collect().await.expect("it is collected");
    }
    let info = fixture.store.info().await.expect("it tells of itself");
    assert!(info.pools.iter().map(|pool| pool.bytes).sum::<u64>() < 20 << 20, "{info:?}");
    assert_eq!(seen(&fixture.restored("restored", 1).await).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_did_not_end_is_no_store_and_can_be_begun_again() {
    let fixture = Fixture::new(1).await;
    for number in 0..3 {
        fixture.put(&format!("{number}"), content(number, 100_000)).await;
    }
    fixture.back_up().await;
    let before = seen(&fixture.store).await;
    let mut failures = 0;
    for get in 1.. {
        let repository = Fateful::new(fixture.path("repository"), Fate::Fails, 0, get);
        let restored = fixture.try_restore(Arc::clone(&repository) as Arc<dyn Repository>, "restored").await;
        if repository.gets.load(Ordering::SeqCst) < get {
            restored.expect("nothing failed");
            break;
        }
        assert!(restored.is_err());
        if fixture.path("restored").exists() {
            failures += 1;
            match open(fixture.directory.path(), "restored", 1, &fixture.clock).await {
                Err(Error::Backup(reason)) => assert!(reason.contains("begin it again"), "{reason}"),
                other => panic!("{:?}", other.err()),
            }
        }
    }
    assert!(failures > 3);
    let store = open(fixture.directory.path(), "restored", 1, &fixture.clock).await.expect("it opens");
    assert_eq!(seen(&store).await, before);
}

/// What a restore leaves that dies goes when it is begun again; what somebody else has put there meanwhile stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_begun_again_removes_what_is_its_own() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 100_000)).await;
    fixture.back_up().await;
    let before = seen(&fixture.store).await;
    let options = restore_options(fixture.directory.path(), "restored", 3);
    let again = async |at: usize| {
        let repository = Fateful::new(fixture.path("repository"), Fate::Fails, 0, at);
        restore(repository, &options, &mut |_| {}).await
    };
    let files = async || fixture.repository().list("index/").await.expect("it is listed").len();
    // The last that is read is a pack: the zones are marked by then.
    let last = 3 + files().await + 1;
    again(last).await.expect_err("it fails");
    let zone = fixture.path("restored-zone-0");
    assert!(zone.join("ZONE").exists() && zone.join("RESTORING").exists());
    // Files that were being written.
    for name in ["KEYS.new", "FORMAT.new", "ZONE.new", "RESTORING.new"] {
        std::fs::write(fixture.path("restored").join(name), b"half").expect("it can be written");
        std::fs::write(fixture.path("restored-zone-1").join("ZONE.new"), b"half").expect("it can be written");
    }
    again(last).await.expect_err("it fails once more, as far as before");
    assert!(zone.join("ZONE").exists() && zone.join("RESTORING").exists());

    // A store was given the zone meanwhile: of the same backup, or another one, or what a restore of its own left.
    for token in [None, Some("restore 00\n")] {
        std::fs::remove_dir_all(&zone).expect("it can be removed");
        std::fs::create_dir_all(zone.join("segments")).expect("it can be made");
        std::fs::write(zone.join("segments/1"), b"dear").expect("it can be written");
        token.iter().for_each(|token| std::fs::write(zone.join("RESTORING"), token).expect("it can be written"));
        let refused = again(0).await.expect_err("the zone is not empty");
        assert!(matches!(&refused, Error::Backup(reason) if reason.contains("restored-zone-0")), "{refused}");
        assert_eq!(std::fs::read(zone.join("segments/1")).expect("it is there"), b"dear");
    }
    std::fs::remove_dir_all(&zone).expect("it can be removed");
    again(0).await.expect("it is restored");
    let left = ["restored", "restored-zone-0", "restored-zone-1", "restored-zone-2"];
    assert!(left.iter().all(|name| !fixture.path(name).join("RESTORING").exists()));
    // As if it had died right after its end.
    std::fs::write(zone.join("RESTORING"), b"restore 00\n").expect("it can be written");
    let store = open(fixture.directory.path(), "restored", 3, &fixture.clock).await.expect("it opens");
    assert!(!zone.join("RESTORING").exists());
    assert_eq!(seen(&store).await, before);
}

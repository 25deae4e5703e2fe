//! Old backups go, with what nothing names any more; what is left stays whole.

use strata_storage::{Error, Repository as _, SystemEntropy, backups, prune_backups, verify_backup};

use crate::support::{Fate, Fateful, Fixture, content, seen};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_whole() {
    let fixture = Fixture::new(1).await;
    for round in 0..4 {
        fixture.put(&format!("{round}"), content(round, 300_000)).await;
        fixture.back_up().await;
        fixture.clock.advance(std::time::Duration::from_secs(3600));
    }
    let ids: Vec<String> =
        backups(fixture.repository()).await.expect("they are listed").into_iter().map(|info| info.id).collect();
    assert_eq!(ids.len(), 4);
    std::fs::write(fixture.path("repository/packs/half.new"), b"half").expect("it can be written");
    let (now, entropy) = (Default::default(), SystemEntropy);
    let pruned = prune_backups(fixture.repository(), 2, now, &entropy).await.expect("it is pruned");
    assert_eq!((pruned.removed, pruned.kept), (2, 2));
    assert!(pruned.files > 1 && pruned.bytes > 4, "{pruned:?}");
    let left = backups(fixture.repository()).await.expect("they are listed");
    assert_eq!(left.iter().map(|info| &info.id).collect::<Vec<_>>(), ids[2..].iter().collect::<Vec<_>>());
    for info in &left {
        let report = verify_backup(fixture.repository(), Some(&info.id), &mut |_| {}).await.expect("it can be read");
        assert_eq!(report.damaged, Vec::<String>::new());
    }
    let again = prune_backups(fixture.repository(), 2, now, &entropy).await.expect("it is pruned");
    assert_eq!((again.removed, again.files), (0, 0));
    let before = seen(&fixture.store).await;
    assert_eq!(seen(&fixture.restored("restored", 1).await).await, before);
    assert_eq!(fixture.back_up().await.sent_records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_if_what_stays_cannot_be_read() {
    let fixture = Fixture::new(1).await;
    for round in 0..2 {
        fixture.put(&format!("{round}"), content(round, 10_000)).await;
        fixture.back_up().await;
    }
    let newest = backups(fixture.repository()).await.expect("they are listed").pop().expect("there are two").id;
    let path = fixture.path("repository/snapshots").join(format!("{newest}.json"));
    std::fs::write(&path, b"{}").expect("it can be written");
    let before = fixture.repository().list("").await.expect("it is listed").len();
    assert!(prune_backups(fixture.repository(), 1, Default::default(), &SystemEntropy).await.is_err());
    assert_eq!(fixture.repository().list("").await.expect("it is listed").len(), before);
    let unreadable = backups(fixture.repository()).await.expect("they are listed").pop().expect("it is listed");
    assert_eq!(unreadable.taken, None);
    // The next backup does not build upon it.
    fixture.back_up().await;
    fixture.restored("restored", 1).await;
}

/// Whoever had the lock taken away removes nothing any more.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_removed_without_the_lock() {
    let fixture = Fixture::new(1).await;
    for round in 0..2 {
        fixture.put(&format!("{round}"), content(round, 10_000)).await;
        fixture.back_up().await;
    }
    let before = fixture.repository().list("").await.expect("it is listed").len();
    // The second file that is read is a backup.
    let repository = Fateful::new(fixture.path("repository"), Fate::Hangs, 0, 2);
    let pruning = repository.clone();
    let pruning = tokio::spawn(async move { prune_backups(pruning, 1, Default::default(), &SystemEntropy).await });
    repository.hung.notified().await;
    strata_storage::unlock_repository(fixture.repository()).await.expect("it is unlocked");
    repository.released.add_permits(1);
    let pruned = pruning.await.expect("it ends");
    assert!(matches!(&pruned, Err(Error::Backup(reason)) if reason.contains("not locked any more")), "{pruned:?}");
    assert_eq!(fixture.repository().list("").await.expect("it is listed").len(), before);
}

/// A place that lists nothing may be one that cannot list.
#[tokio::test(flavor = "multi_thread")]
async fn without_any_backup_nothing_is_removed() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 10_000)).await;
    fixture.back_up().await;
    std::fs::rename(fixture.path("repository/snapshots"), fixture.path("apart")).expect("it can be renamed");
    let before = fixture.repository().list("").await.expect("it is listed").len();
    let pruned = prune_backups(fixture.repository(), 1, Default::default(), &SystemEntropy).await;
    assert!(matches!(&pruned, Err(Error::Backup(reason)) if reason.contains("no finished backup")), "{pruned:?}");
    assert_eq!(fixture.repository().list("").await.expect("it is listed").len(), before);
}

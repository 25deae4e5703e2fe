//! What the store itself cannot read any more: kept where a backup has it, told of where none has.

use std::os::unix::fs::FileExt as _;

use strata_storage::{BackupOptions, SystemEntropy, backups, prune_backups};

use crate::support::{Fixture, content, seen};

/// Damages every record that there is.
fn damage(fixture: &Fixture) {
    let mut directories = vec![fixture.path("data/segments")];
    let mut damaged = 0;
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("it can be listed") {
            let path = entry.expect("it can be listed").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let file = std::fs::OpenOptions::new().read(true).write(true).open(path).expect("it can be opened");
            let bytes = file.metadata().expect("it is there").len();
            for at in (20_000..bytes).step_by(16_384) {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).expect("it can be read");
                file.write_all_at(&[byte[0] ^ 1], at).expect("it can be written");
                damaged += 1;
            }
        }
    }
    assert!(damaged > 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_copy_that_is_left_is_not_dropped() {
    let fixture = Fixture::new(1).await;
    for number in 0..3 {
        fixture.put(&format!("{number}"), content(number, 200_000)).await;
    }
    let before = seen(&fixture.store).await;
    fixture.back_up().await;
    damage(&fixture);
    let full = fixture.store.backup(fixture.repository(), BackupOptions { full: true }).await.expect("it begins");
    assert_eq!((full.error, full.lost_records, full.sent_records), (None, 0, 0));
    let pruned =
        prune_backups(fixture.repository(), 1, Default::default(), &SystemEntropy).await.expect("it is pruned");
    assert_eq!((pruned.removed, pruned.kept), (1, 1));
    assert_eq!(seen(&fixture.restored("restored", 1).await).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_backup_that_is_whole_stays() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 200_000)).await;
    fixture.back_up().await;
    let whole = fixture.back_up().await.snapshot.expect("it is made");
    fixture.put("b", content(2, 200_000)).await;
    damage(&fixture);
    for _ in 0..2 {
        let made = fixture.store.backup(fixture.repository(), BackupOptions::default()).await.expect("it begins");
        assert_eq!((made.error, made.lost_records), (None, 1), "b was never elsewhere");
    }
    let lost = async || {
        let backups = backups(fixture.repository()).await.expect("they are listed");
        backups.into_iter().map(|info| (info.id, info.lost_records)).collect::<Vec<_>>()
    };
    let all = lost().await;
    assert_eq!(all.iter().map(|(_, lost)| *lost).collect::<Vec<_>>(), [0, 0, 1, 1]);
    let pruned =
        prune_backups(fixture.repository(), 1, Default::default(), &SystemEntropy).await.expect("it is pruned");
    assert_eq!((pruned.removed, pruned.kept), (2, 2));
    assert_eq!(lost().await, [(whole, 0), all[3].clone()]);
}

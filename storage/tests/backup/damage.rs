//! Damage to a repository is told, wherever it is.

use std::path::Path;

use strata_storage::{Error, verify_backup};

use crate::support::{Fixture, content};

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("it can be listed") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_that_is_damaged_is_told_of() {
    let fixture = Fixture::new(1).await;
    for number in 0..5 {
        fixture.put(&format!("{number}"), content(number, 30_000)).await;
    }
    fixture.back_up().await;
    for (number, path) in files(&fixture.path("repository")).into_iter().enumerate() {
        let whole = std::fs::read(&path).expect("it can be read");
        let mut damaged = whole.clone();
        // Of the file that says whose the repository is, the id of the store.
        let at = damaged.len() * 2 / 3;
        damaged[at] ^= 1;
        for bytes in [Some(&damaged[..]), Some(&whole[..whole.len() / 2]), None] {
            match bytes {
                Some(bytes) => std::fs::write(&path, bytes).expect("it can be written"),
                None => std::fs::remove_file(&path).expect("it can be removed"),
            }
            let verified = verify_backup(fixture.repository(), None, &mut |_| {}).await;
            let is_told = verified.as_ref().map_or(true, |report| !report.damaged.is_empty());
            assert!(is_told, "{} as {:?} bytes", path.display(), bytes.map(<[u8]>::len));
            let restored = fixture.try_restore(fixture.repository(), &format!("restored-{number}")).await;
            let error = restored.expect_err("it is not taken for sound");
            assert!(matches!(error, Error::Corrupt { .. } | Error::Backup(_)), "{}: {error}", path.display());
        }
        std::fs::write(&path, &whole).expect("it can be written");
    }
    let report = verify_backup(fixture.repository(), None, &mut |_| {}).await.expect("it can be read");
    assert_eq!(report.damaged, Vec::<String>::new());
}

/// A pack that is found damaged is removed, and the next backup sends what was in it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_sent_again() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 200_000)).await;
    fixture.back_up().await;
    fixture.put("b", content(2, 200_000)).await;
    fixture.back_up().await;
    let packs = files(&fixture.path("repository/packs"));
    assert_eq!(packs.len(), 2);
    std::fs::remove_file(&packs[0]).expect("it can be removed");
    let report = verify_backup(fixture.repository(), None, &mut |_| {}).await.expect("it can be read");
    let [damaged] = &report.damaged[..] else { panic!("{report:?}") };
    assert!(packs[0].ends_with(damaged), "{damaged}");
    let made = fixture.back_up().await;
    assert_eq!(made.sent_records, 1, "{made:?}");
    fixture.restored("restored", 1).await;
}

/// Whoever has nothing else takes what is left.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_can_be_salvaged() {
    let fixture = Fixture::new(1).await;
    fixture.put("a", content(1, 200_000)).await;
    fixture.back_up().await;
    fixture.put("b", content(2, 200_000)).await;
    fixture.back_up().await;
    let packs = files(&fixture.path("repository/packs"));
    std::fs::write(&packs[0], b"nothing").expect("it can be written");
    let mut options = crate::support::restore_options(fixture.directory.path(), "restored", 1);
    options.salvage = true;
    let restored = strata_storage::restore(fixture.repository(), &options, &mut |_| {}).await.expect("it is restored");
    assert_eq!((restored.records, restored.lost_records), (1, 1));
    let store = crate::support::open(fixture.directory.path(), "restored", 1, &fixture.clock).await.expect("it opens");
    let mut readable = 0;
    for name in ["a", "b"] {
        let key = crate::support::key(name);
        let current = strata_storage::VersionSelector::Current;
        let object = store.object(&crate::support::bucket(), &key, current).await.expect("its name is there");
        readable += u32::from(object.read(0..object.info().size).collect().await.is_ok());
    }
    assert_eq!(readable, 1);
}

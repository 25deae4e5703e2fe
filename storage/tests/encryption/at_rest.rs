//! What is on the disk, and which keys open it.

use strata_storage::{
    DataKey, DeleteObject, Error, MasterKey, RestoreRequest, RestoreSpeed, StorageClass, VersionSelector,
};

use crate::support::{CANARY, Fixture, MASTER, content, files, key};

const SIZES: [usize; 6] = [16, 4096, 5000, 100_000, (1 << 20) + 1, 9 << 20];
const CLASSES: [StorageClass; 4] =
    [StorageClass::Standard, StorageClass::StandardIa, StorageClass::OnezoneIa, StorageClass::Glacier];

fn name(class: StorageClass, size: usize, sealed: bool) -> String {
    format!("{}/{size}/{sealed}", class.name())
}

/// Wherever bytes go in their life, they are ciphertext there.
#[tokio::test]
async fn nothing_plain_is_ever_on_the_disk() {
    let mut fixture = Fixture::new(3).await;
    let data_key = DataKey::new([7; 32]);
    for class in CLASSES {
        for size in SIZES {
            fixture.put(&name(class, size, false), class, &content(size), None).await;
            fixture.put(&name(class, size, true), class, &content(size), Some(&data_key)).await;
        }
    }
    fixture.assert_nothing_plain("written").await;
    while fixture.store().settle().await.expect("it settles") > 0 {}
    fixture.assert_nothing_plain("settled").await;

    for size in SIZES {
        for sealed in [false, true] {
            let (bucket, key) = (fixture.bucket.clone(), key(&name(StorageClass::Glacier, size, sealed)));
            let speed = Some(RestoreSpeed::Bulk);
            let request = RestoreRequest { bucket, key, version: VersionSelector::Current, days: Some(5), speed };
            fixture.store().restore(request).await.expect("it is restored");
            let (bucket, key) =
                (fixture.bucket.clone(), crate::support::key(&name(StorageClass::Standard, size, sealed)));
            if size % 2 == 0 {
                let request = DeleteObject {
                    bucket,
                    key,
                    version: None,
                    condition: Default::default(),
                    governance: strata_storage::Governance::Binding,
                };
                fixture.store().delete(request).await.expect("it is deleted");
            }
        }
    }
    fixture.clock.advance(std::time::Duration::from_secs(60 * 60 * 24));
    while fixture.store().settle().await.expect("it settles") > 0 {}
    for _ in 0..3 {
        fixture.store().collect().await.expect("a collection");
    }
    fixture.assert_nothing_plain("restored and collected").await;

    std::fs::remove_dir_all(fixture.root.path().join("zone-1")).expect("a zone is lost");
    std::fs::create_dir(fixture.root.path().join("zone-1")).expect("an empty disk takes its place");
    fixture.reopen(MASTER).await;
    fixture.store().heal().await.expect("it heals");
    fixture.assert_nothing_plain("healed").await;
    fixture.store().checkpoint(&fixture.root.path().join("copy")).await.expect("a copy");
    fixture.assert_nothing_plain("copied").await;

    let copy = fixture.open(&fixture.root.path().join("copy"), Some(MASTER)).await.expect("the copy opens");
    let origin = fixture.store.take().expect("it is open");
    for store in [origin, copy] {
        fixture.store = Some(store);
        for class in [StorageClass::StandardIa, StorageClass::OnezoneIa, StorageClass::Glacier] {
            for size in SIZES {
                // What only one zone had may be lost with it.
                match fixture.read(&name(class, size, false), None).await {
                    Ok(read) => assert!(read == content(size), "{class:?} {size}"),
                    Err(_) => assert_eq!(class, StorageClass::OnezoneIa),
                }
                if class != StorageClass::OnezoneIa {
                    let read = fixture.read(&name(class, size, true), Some(&data_key)).await.expect("it is read");
                    assert!(read == content(size), "{class:?} {size}");
                }
            }
        }
    }
}

#[tokio::test]
async fn another_master_key_opens_nothing_and_touches_nothing() {
    let mut fixture = Fixture::new(0).await;
    fixture.put("a", StorageClass::Standard, &content(100_000), None).await;
    fixture.close().await;
    let root = fixture.root.path().to_owned();
    let copy = tempfile::tempdir().expect("a temporary directory");
    let status = std::process::Command::new("cp").arg("-r").arg(root.join("data")).arg(copy.path()).status();
    assert!(status.expect("cp runs").success());
    let data = copy.path().join("data");
    let before = files(copy.path());
    assert!(matches!(fixture.open(&data, Some([2; 32])).await, Err(Error::MasterKeyWrong)));
    assert!(matches!(fixture.open(&data, None).await, Err(Error::MasterKeyMissing)));
    let mut after = files(copy.path());
    after.sort();
    let mut before = before;
    before.sort();
    assert!(before == after, "nothing was touched");
    for name in ["KEYS", "FORMAT"] {
        std::fs::rename(data.join(name), copy.path().join(name)).expect("it is moved away");
        assert!(matches!(fixture.open(&data, Some(MASTER)).await, Err(Error::Corrupt { .. })), "without {name}");
        std::fs::rename(copy.path().join(name), data.join(name)).expect("it is moved back");
    }
    fixture.open(&data, Some(MASTER)).await.expect("the right one opens it");
}

#[tokio::test]
async fn a_rotation_keeps_everything_readable() {
    let mut fixture = Fixture::new(0).await;
    let sizes = [100, 100_000, 3 << 20];
    for size in sizes {
        fixture.put(&format!("before/{size}"), StorageClass::Standard, &content(size), None).await;
    }
    let derived = *fixture.store().derived_key("accounts").expect("a key").expose();
    fixture.store().rotate_master_key(MasterKey::new([2; 32])).await.expect("it is rotated");
    assert!(fixture.store().key_status().expect("keys").rotating);
    for size in sizes {
        fixture.put(&format!("after/{size}"), StorageClass::Standard, &content(size + 1), None).await;
    }
    // The old one still opens it, and then the new one alone.
    for master in [MASTER, [2; 32]] {
        fixture.reopen(master).await;
        for size in sizes {
            assert!(fixture.read(&format!("before/{size}"), None).await.expect("it reads") == content(size));
            assert!(fixture.read(&format!("after/{size}"), None).await.expect("it reads") == content(size + 1));
        }
        assert_eq!(*fixture.store().derived_key("accounts").expect("a key").expose(), derived);
    }
    let status = fixture.store().key_status().expect("keys");
    assert_eq!((status.data_keys, status.rotating), (2, false));
    assert_ne!(*fixture.store().derived_key("tokens").expect("a key").expose(), derived);
    fixture.close().await;
    let data = fixture.root.path().join("data");
    assert!(matches!(fixture.open(&data, Some(MASTER)).await, Err(Error::MasterKeyWrong)));
}

#[tokio::test]
async fn a_store_that_began_plain_is_encrypted_from_then_on() {
    let mut fixture = Fixture::new(0).await;
    let plain = fixture.root.path().join("plain");
    let store = fixture.open(&plain, None).await.expect("a plain store");
    assert!(store.key_status().is_none());
    assert!(matches!(store.derived_key("x"), Err(Error::MasterKeyMissing)));
    assert!(matches!(store.rotate_master_key(MasterKey::new([2; 32])).await, Err(Error::MasterKeyMissing)));
    fixture.store = Some(store);
    fixture.store().create_bucket(&fixture.bucket, Default::default()).await.expect("a bucket");
    for size in [100, 100_000] {
        fixture.put(&format!("plain/{size}"), StorageClass::Standard, &content(size), None).await;
    }
    fixture.close().await;
    fixture.store = Some(fixture.open(&plain, Some(MASTER)).await.expect("it takes a master key"));
    // The search that finds nothing elsewhere finds this.
    let found = files(&plain).iter().any(|(_, bytes)| bytes.windows(CANARY.len()).any(|window| window == CANARY));
    assert!(found, "what was stored in plain stays as it is");
    let secret = b"not a canary, but a secret";
    let secrets = |bytes: usize| secret.iter().copied().cycle().take(bytes).collect::<Vec<u8>>();
    for size in [100, 100_000] {
        assert!(fixture.read(&format!("plain/{size}"), None).await.expect("it reads") == content(size));
        fixture.put(&format!("sealed/{size}"), StorageClass::Standard, &secrets(size), None).await;
        assert!(fixture.read(&format!("sealed/{size}"), None).await.expect("it reads") == secrets(size));
    }
    for (path, bytes) in files(&plain) {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{}", path.display());
    }
}

#[tokio::test]
async fn equal_content_is_stored_once_unless_it_is_sealed() {
    let mut fixture = Fixture::new(0).await;
    let segments = fixture.root.path().join("data/segments");
    let stored = || files(&segments).iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    fixture.put("a", StorageClass::Standard, &content(500_000), None).await;
    let once = stored();
    fixture.put("b", StorageClass::Standard, &content(500_000), None).await;
    assert_eq!(stored(), once);
    let data_key = DataKey::new([7; 32]);
    for name in ["c", "d"] {
        fixture.put(name, StorageClass::Standard, &content(500_000), Some(&data_key)).await;
    }
    assert!(stored() > 3 * 500_000);
    fixture.close().await;
}

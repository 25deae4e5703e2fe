//! Copies of what only one zone has: they survive what their class says, or are not made.

use strata_storage::{
    BucketName, ChecksumAlgorithm, CopyStage, Digests, Error, PutObject, StorageClass, VersionSelector,
};

use crate::{BUCKET, SIZES, World, content, key};

impl World {
    async fn copy(&self, from: &str, to: &str, size: usize, class: StorageClass) -> Result<(), Error> {
        let bucket = BucketName::parse(BUCKET).unwrap();
        let source = self.store().object(&bucket, &key(from, size), VersionSelector::Current).await?;
        let digests = Digests::NONE.with(ChecksumAlgorithm::Crc64Nvme);
        let options = CopyStage { class, digests, ..CopyStage::default() };
        let staged = self.store().stage_copy(&source, options).await?;
        self.store().put(PutObject { class, ..PutObject::new(bucket, key(to, size), staged) }).await.map(drop)
    }

    /// A store that has something in one zone, for each zone that may be lost.
    async fn with_one_zone() -> [(World, &'static str); 2] {
        let made = async |lost| {
            let world = World::new(&["a", "b"]).await;
            world.put("once", StorageClass::OnezoneIa).await;
            world.store().settle().await.unwrap();
            (world, lost)
        };
        [made("a").await, made("b").await]
    }
}

#[tokio::test]
async fn a_copy_of_what_one_zone_has_survives_that_zone() {
    let classes = [StorageClass::Standard, StorageClass::StandardIa, StorageClass::IntelligentTiering];
    for (world, lost) in World::with_one_zone().await {
        for size in SIZES {
            for class in classes {
                world.copy("once", class.name(), size, class).await.unwrap();
            }
            world.copy("once", "again", size, StorageClass::OnezoneIa).await.unwrap();
            // In place, too.
            world.copy("again", "again", size, StorageClass::Standard).await.unwrap();
        }
        world.lose(lost);
        world.store().heal().await.unwrap();
        for prefix in classes.map(StorageClass::name).into_iter().chain(["again"]) {
            for size in SIZES {
                let found = world.read(prefix, size).await.unwrap();
                assert!(found == content("once", size), "{prefix} {size}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_in_a_lost_zone_cannot_be_copied() {
    let mut away = 0;
    for (world, lost) in World::with_one_zone().await {
        world.lose(lost);
        world.store().heal().await.unwrap();
        for given_up in [false, true] {
            if given_up {
                world.store().give_up_zone(lost).await.unwrap();
                world.store().heal().await.unwrap();
            }
            for (size, class) in
                SIZES.iter().flat_map(|&size| [(size, StorageClass::Standard), (size, StorageClass::OnezoneIa)])
            {
                let read = world.read("once", size).await;
                let copied = world.copy("once", class.name(), size, class).await;
                match (read, &copied) {
                    (Ok(_), Ok(())) => continue,
                    (Err(Error::ZoneAway), Err(Error::ZoneAway)) => assert!(!given_up),
                    (Err(Error::Corrupt { .. }), Err(Error::Corrupt { .. })) => assert!(given_up),
                    (read, copied) => panic!("{class:?} {size}: {read:?} {copied:?}"),
                }
                away += 1;
                // Nothing of it was made.
                assert!(matches!(world.read(class.name(), size).await, Err(Error::NotFound(_))));
            }
        }
    }
    assert_eq!(away, 12, "all but what is in the index is in one zone or the other");
}

#[tokio::test]
async fn what_only_one_zone_has_is_not_known_by_its_name() {
    let world = World::new(&["a", "b"]).await;
    let bucket = BucketName::parse(BUCKET).unwrap();
    world.put("once", StorageClass::OnezoneIa).await;
    let source = world.store().object(&bucket, &key("once", SIZES[1]), VersionSelector::Current).await.unwrap();
    let chunks = source.chunks(0..SIZES[1] as u64, 10).await.unwrap().unwrap();
    assert!(world.store().stage_known(&chunks, Digests::NONE).await.unwrap().is_some());
    world.store().settle().await.unwrap();
    assert!(world.store().stage_known(&chunks, Digests::NONE).await.unwrap().is_none());
}

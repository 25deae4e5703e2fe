//! INTELLIGENT_TIERING: every row of the table of movements, accesses, and lifecycle rules for objects in tiers.

use strata_storage::{
    BucketChange, ConfigurationFilter, CopyStage, Error, Evaluated, StorageClass, Tier, TieringConfiguration,
    Versioning,
};

use crate::support::{Fixture, LARGE, bucket, done, expire, morning, transition};

use StorageClass::IntelligentTiering;

fn moved(count: u64) -> Evaluated {
    Evaluated { moved: count, ..Evaluated::default() }
}

impl Fixture {
    async fn set_tiering(&self, archive_days: Option<u32>, deep_archive_days: Option<u32>) {
        let filter = ConfigurationFilter::default();
        let id = "id".to_owned();
        let configuration = TieringConfiguration { id, filter, enabled: true, archive_days, deep_archive_days };
        self.store.change_bucket(&bucket(), BucketChange::PutTiering(configuration)).await.expect("it is set");
    }

    async fn put_tiered(&self, day: u64, name: &str, size: usize) {
        self.put_as(day, name, size, IntelligentTiering, &[]).await;
    }

    async fn tier(&self, name: &str) -> Tier {
        self.open(name).await.expect("it is there").info().tier
    }

    /// Reads an object at 10:30, which is stored at once.
    async fn read_on(&self, day: u64, name: &str) {
        self.clock.set(morning(day));
        self.read(name).await;
        self.store.flush_accesses().await.expect("it is stored");
    }
}

#[tokio::test]
async fn without_access_an_object_moves_down() {
    use Tier::{Archive, ArchiveInstant, DeepArchive, Frequent, Infrequent};
    async fn check(configured: Option<(Option<u32>, Option<u32>)>, steps: &[(u64, Tier)]) {
        let fixture = Fixture::new(Versioning::Unversioned).await;
        if let Some((archive, deep_archive)) = configured {
            fixture.set_tiering(archive, deep_archive).await;
        }
        fixture.put_tiered(0, "a", LARGE).await;
        let mut before = Frequent;
        for &(day, tier) in steps {
            // Not read since 10:30 of day 0.
            assert_eq!(fixture.on(day).await, moved(0), "{configured:?} {day}");
            assert_eq!(fixture.tier("a").await, before, "{configured:?} {day}");
            assert_eq!(fixture.on(day + 1).await, moved(1), "{configured:?} {day}");
            assert_eq!(fixture.tier("a").await, tier, "{configured:?} {day}");
            assert_eq!(fixture.versions().await, ["a INTELLIGENT_TIERING null"]);
            before = tier;
        }
        assert_eq!(fixture.on(2000).await, moved(0), "{configured:?}");
    }
    check(None, &[(30, Infrequent), (90, ArchiveInstant)]).await;
    check(Some((Some(90), None)), &[(30, Infrequent), (90, Archive)]).await;
    check(Some((Some(200), None)), &[(30, Infrequent), (90, ArchiveInstant), (200, Archive)]).await;
    check(Some((None, Some(180))), &[(30, Infrequent), (90, ArchiveInstant), (180, DeepArchive)]).await;
    check(Some((Some(90), Some(180))), &[(30, Infrequent), (90, Archive), (180, DeepArchive)]).await;
    let all = [(30, Infrequent), (90, ArchiveInstant), (120, Archive), (200, DeepArchive)];
    check(Some((Some(120), Some(200))), &all).await;
}

#[tokio::test]
async fn an_access_brings_an_object_up_at_once() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    fixture.put_tiered(0, "a", LARGE).await;
    for (idle_until, tier) in [(31, Tier::Infrequent), (31 + 91, Tier::ArchiveInstant)] {
        fixture.on(idle_until).await;
        fixture.on(idle_until).await;
        assert_eq!(fixture.tier("a").await, tier);
        fixture.read_on(idle_until, "a").await;
        assert_eq!(fixture.store.evaluate().await.expect("a round"), moved(1));
        assert_eq!(fixture.tier("a").await, Tier::Frequent);
    }
    // The days count from that access.
    assert_eq!(fixture.on(122 + 30).await, moved(0));
    assert_eq!(fixture.on(122 + 31).await, moved(1));
}

#[tokio::test]
async fn an_access_in_the_frequent_tier_lets_its_days_begin_anew() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    fixture.put_tiered(0, "a", LARGE).await;
    fixture.read_on(20, "a").await;
    assert_eq!(fixture.on(31).await, moved(0));
    assert_eq!(fixture.on(50).await, moved(0));
    assert_eq!(fixture.on(51).await, moved(1));
}

#[tokio::test]
async fn copies_are_accesses_and_looks_are_not() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    for name in ["copied", "looked at", "listed"] {
        fixture.put_tiered(0, name, LARGE).await;
    }
    fixture.clock.set(morning(20));
    let source = fixture.open("copied").await.expect("it is there");
    fixture.store.stage_copy(&source, CopyStage::default()).await.expect("it is staged");
    let looked_at = fixture.open("looked at").await.expect("it is there");
    assert_eq!(looked_at.info().size, LARGE as u64);
    assert_eq!(fixture.versions().await.len(), 3);
    fixture.store.flush_accesses().await.expect("it is stored");
    assert_eq!(fixture.on(31).await, moved(2));
    assert_eq!(fixture.tier("copied").await, Tier::Frequent);
}

#[tokio::test]
async fn archived_objects_stay_until_they_are_restored() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    fixture.set_tiering(Some(90), None).await;
    fixture.put_tiered(0, "a", LARGE).await;
    assert_eq!(fixture.on(400).await, moved(1), "what was missed is caught up with");
    assert_eq!(fixture.tier("a").await, Tier::Archive);
    let object = fixture.open("a").await.expect("it is there");
    let refused = object.read(0..1).collect().await;
    assert!(matches!(refused, Err(Error::Archived { tier: Tier::Archive, .. })));
    fixture.store.flush_accesses().await.expect("there is nothing to store");
    assert_eq!(fixture.store.evaluate().await.expect("a round"), moved(0));
    let change = BucketChange::DeleteTiering("id".to_owned());
    fixture.store.change_bucket(&bucket(), change).await.expect("it is there");
    assert_eq!(fixture.on(500).await, moved(0));
    assert_eq!(fixture.tier("a").await, Tier::Archive);
}

#[tokio::test]
async fn small_objects_are_not_monitored() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    fixture.set_tiering(Some(90), Some(180)).await;
    fixture.put_tiered(0, "a", LARGE - 1).await;
    assert_eq!(fixture.on(400).await, moved(0));
    assert_eq!(fixture.tier("a").await, Tier::Frequent);
}

#[tokio::test]
async fn each_version_has_its_own_tier() {
    let fixture = Fixture::new(Versioning::Enabled).await;
    fixture.put_tiered(0, "a", LARGE).await;
    fixture.put_tiered(20, "a", LARGE).await;
    assert_eq!(fixture.on(31).await, moved(1));
    assert_eq!(fixture.tier("a").await, Tier::Frequent);
    assert_eq!(fixture.on(51).await, moved(1));
    assert_eq!(fixture.tier("a").await, Tier::Infrequent);
}

#[tokio::test]
async fn a_configuration_applies_to_what_was_there_before() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    fixture.put_tiered(0, "a", LARGE).await;
    assert_eq!(fixture.on(31).await, moved(1));
    assert_eq!(fixture.on(91).await, moved(1));
    fixture.set_tiering(Some(150), None).await;
    assert_eq!(fixture.on(150).await, moved(0));
    assert_eq!(fixture.on(151).await, moved(1));
    assert_eq!(fixture.tier("a").await, Tier::Archive);
}

#[tokio::test]
async fn rules_lead_into_the_class_and_out_of_it() {
    let fixture = Fixture::with(Versioning::Unversioned, &[transition(&[(10, IntelligentTiering)])]).await;
    fixture.put(0, "a", LARGE).await;
    assert_eq!(fixture.on(11).await, Evaluated { transitioned: 1, ..Evaluated::default() });
    assert_eq!(fixture.on(40).await, moved(0), "its days count from the transition");
    assert_eq!(fixture.on(41).await, moved(1));
    fixture.on(101).await;
    assert_eq!(fixture.tier("a").await, Tier::ArchiveInstant);
    // From there one zone is not allowed any more.
    fixture.set_rules(&[transition(&[(110, StorageClass::OnezoneIa)])]).await;
    assert_eq!(fixture.on(111).await, Evaluated::default());
    fixture.set_rules(&[transition(&[(110, StorageClass::GlacierIr)])]).await;
    assert_eq!(fixture.on(112).await, Evaluated { transitioned: 1, ..Evaluated::default() });
    assert_eq!(fixture.on(1000).await, Evaluated::default());
    assert_eq!(fixture.versions().await, ["a GLACIER_IR null"]);
}

#[tokio::test]
async fn expiration_applies_in_any_tier() {
    let fixture = Fixture::with(Versioning::Unversioned, &[expire(50)]).await;
    fixture.put_tiered(0, "a", LARGE).await;
    assert_eq!(fixture.on(31).await, moved(1));
    assert_eq!(fixture.on(51).await, done(1, 0, 0));
}

#[tokio::test]
async fn accesses_are_kept_over_a_restart_and_a_clock_that_goes_back() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    fixture.put_tiered(0, "a", LARGE).await;
    fixture.clock.set(morning(20));
    fixture.read("a").await;
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.on(50).await, moved(0));
    assert_eq!(fixture.on(51).await, moved(1));
    assert_eq!(fixture.on(10).await, moved(0));
    fixture.set_tiering(None, Some(180)).await;
    assert_eq!(fixture.on(11).await, moved(0), "what was done in the future stays");
    assert_eq!(fixture.on(20 + 91).await, moved(1));
    assert_eq!(fixture.on(20 + 181).await, moved(1));
    assert_eq!(fixture.tier("a").await, Tier::DeepArchive);
}

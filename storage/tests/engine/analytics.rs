//! Storage-class analysis: once a day each configuration gets a report, as an object in the bucket that it names.

use std::sync::Arc;
use std::time::Duration;

use strata_storage::{
    AccountId, AnalyticsConfiguration, AnalyticsExport, BucketChange, BucketName, ConfigurationFilter, ListQuery,
    NewBucket, PutObject, ReportRefusal, Store, VersionSelector,
};

use crate::support::{Fixture, bucket, content, key, make_bucket};

const DAY: Duration = Duration::from_secs(86_400);
const MIB: usize = 1 << 20;

fn reports() -> BucketName {
    BucketName::parse("reports").expect("a valid name")
}

async fn analyze_into(store: &Store, id: &str, prefix: Option<&str>, arn: &str) {
    let export = AnalyticsExport { bucket_arn: arn.to_owned(), account: None, prefix: Some("daily".to_owned()) };
    let filter = ConfigurationFilter { prefix: prefix.map(str::to_owned), tags: vec![] };
    let configuration = AnalyticsConfiguration { id: id.to_owned(), filter, export: Some(export) };
    store.change_bucket(&bucket(), BucketChange::PutAnalytics(configuration)).await.expect("it is changed");
}

async fn put(store: &Store, name: &str, bytes: usize) {
    let staged = store.stage_bytes(content(1, bytes)).await.expect("bytes are staged");
    store.put(PutObject::new(bucket(), key(name), staged)).await.expect("it is stored");
}

async fn read(store: &Store, name: &str) {
    let object = store.object(&bucket(), &key(name), VersionSelector::Current).await.expect("it is there");
    store.note_read(&bucket(), &key(name), object.info(), object.info().size).await;
}

/// The reports, oldest first.
async fn texts(store: &Store) -> Vec<(String, String)> {
    let query = ListQuery { prefix: String::new(), delimiter: String::new(), after: String::new(), max: 100 };
    let page = store.list(&reports(), query).await.expect("a listing");
    let mut found = Vec::new();
    for entry in page.entries {
        let object = store.object(&reports(), &entry.key, VersionSelector::Current).await.expect("it is there");
        assert_eq!(object.info().metadata.content_type.as_deref(), Some("text/csv"));
        let bytes = object.read(0..object.info().size).collect().await.expect("its bytes");
        found.push((entry.key.as_str().to_owned(), String::from_utf8(bytes.to_vec()).expect("text")));
    }
    found
}

#[tokio::test]
async fn a_report_a_day() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    fixture.store.create_bucket(&reports(), NewBucket::default()).await.expect("a new bucket can be made");
    let store = &fixture.store;
    analyze_into(store, "logs", Some("logs/"), "arn:aws:s3:::reports").await;
    assert_eq!(store.analyze().await.expect("a look"), 0, "the first day is not over");
    put(store, "logs/a", 2 * MIB).await;
    put(store, "pictures/a", MIB).await;
    read(store, "logs/a").await;
    read(store, "pictures/a").await;
    fixture.clock.advance(DAY);
    assert_eq!(store.analyze().await.expect("a day"), 1);
    assert_eq!(store.analyze().await.expect("a look"), 0, "it is done");
    let found = texts(store).await;
    let [(name, text)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(name, &format!("daily/{}/logs/2023-11-14T00-00-00Z.csv", bucket()));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("Date,ConfigId,Filter,StorageClass,ObjectAge"), "{text}");
    let young = lines.iter().find(|line| line.contains(",000-014,")).expect("the youngest objects");
    assert!(
        young.starts_with("11-14-2023,logs,prefix=logs/,STANDARD,000-014,1,2.000000,2.000000,2.000000,1,"),
        "{young}"
    );

    // The next day nothing was read or written, and the server was restarted.
    let fixture = fixture.reopen().await;
    let store = &fixture.store;
    fixture.clock.advance(DAY);
    assert_eq!(store.analyze().await.expect("a day"), 1);
    let found = texts(store).await;
    assert_eq!(found.len(), 2);
    let young = found[1].1.lines().find(|line| line.contains(",000-014,")).expect("the youngest objects");
    assert!(
        young.starts_with("11-15-2023,logs,prefix=logs/,STANDARD,000-014,1,0.000000,2.000000,0.000000,0,"),
        "{young}"
    );
    let worker = store.workers().into_iter().find(|worker| worker.name == "analytics").expect("a worker");
    assert_eq!((worker.done, worker.running, worker.last_error), (1, false, None));
}

#[tokio::test]
async fn a_report_that_cannot_be_put_is_told() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    analyze_into(store, "all", None, "arn:aws:s3:::missing").await;
    store.analyze().await.expect("a look");
    fixture.clock.advance(DAY);
    assert_eq!(store.analyze().await.expect("a day"), 1);
    let worker = store.workers().into_iter().find(|worker| worker.name == "analytics").expect("a worker");
    let (_, told) = worker.last_error.expect("it is told");
    assert!(told.contains("bucket bucket") && told.contains("configuration all"), "{told}");
    // What is kept goes with the bucket.
    store.delete_bucket(&bucket()).await.expect("it is empty");
    store.create_bucket(&bucket(), NewBucket::default()).await.expect("a new bucket can be made");
    assert_eq!(store.analyze().await.expect("a look"), 0);
}

#[tokio::test]
async fn reports_that_share_a_destination_and_a_prefix_are_kept_apart() {
    let fixture = Fixture::new().await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    store.create_bucket(&reports(), NewBucket::default()).await.expect("a new bucket can be made");
    for id in ["one", "two"] {
        analyze_into(store, id, None, "arn:aws:s3:::reports").await;
    }
    store.analyze().await.expect("a look");
    fixture.clock.advance(DAY);
    assert_eq!(store.analyze().await.expect("a day"), 2);
    let names: Vec<String> = texts(store).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["one", "two"].map(|id| format!("daily/bucket/{id}/2023-11-14T00-00-00Z.csv")));
}

#[tokio::test]
async fn a_bucket_of_another_account_takes_no_reports() {
    let fixture = Fixture::with(|options| {
        options.takes_reports = Arc::new(|bucket| bucket.region != "sealed");
    })
    .await;
    make_bucket(&fixture.store).await;
    let store = &fixture.store;
    let export = AnalyticsExport { bucket_arn: "arn:aws:s3:::reports".to_owned(), account: None, prefix: None };
    let source = store.bucket(&bucket()).await.expect("it is there");
    let check = async |refusal: Option<ReportRefusal>| {
        assert_eq!(store.check_report(&source, &export).await.expect("looked"), refusal);
    };
    check(Some(ReportRefusal::Missing)).await;
    store.create_bucket(&reports(), NewBucket::default()).await.expect("a new bucket can be made");
    check(None).await;
    let named = AnalyticsExport { account: Some("000000000000".to_owned()), ..export.clone() };
    assert_eq!(store.check_report(&source, &named).await.expect("looked"), None);
    let named = AnalyticsExport { account: Some("999999999999".to_owned()), ..export.clone() };
    assert_eq!(store.check_report(&source, &named).await.expect("looked"), Some(ReportRefusal::OtherAccount));

    // It was right when it was configured; then the bucket became another's.
    analyze_into(store, "all", None, "arn:aws:s3:::reports").await;
    store.analyze().await.expect("a look");
    let sealed = NewBucket { region: "sealed".to_owned(), ..NewBucket::default() };
    let stranger = NewBucket { owner: AccountId::new(5).expect("an account"), ..NewBucket::default() };
    for (new, refusal) in [(sealed, ReportRefusal::Refused), (stranger, ReportRefusal::OtherOwner)] {
        store.delete_bucket(&reports()).await.expect("it is empty");
        store.create_bucket(&reports(), new).await.expect("a new bucket can be made");
        check(Some(refusal)).await;
        fixture.clock.advance(DAY);
        assert_eq!(store.analyze().await.expect("a day"), 1);
        assert!(texts(store).await.is_empty());
        let worker = store.workers().into_iter().find(|worker| worker.name == "analytics").expect("a worker");
        assert!(worker.last_error.expect("it is told").1.contains(&refusal.to_string()));
    }
}

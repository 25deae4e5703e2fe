//! The abort of uploads that are not completed.

use strata_storage::{CompleteUpload, CompletedPart, Evaluated, NewUpload, Rule, UploadId, UploadsQuery, Versioning};

use crate::support::{Fixture, bucket, expire, key, morning, rule, under};

impl Fixture {
    /// Begins an upload at 10:30.
    pub async fn begin(&self, day: u64, name: &str) -> UploadId {
        self.clock.set(morning(day));
        self.store.create_upload(&bucket(), &key(name), NewUpload::default()).await.expect("it begins")
    }

    /// Completes an upload with parts of these sizes.
    pub async fn complete(&self, name: &str, id: UploadId, sizes: &[usize]) {
        let mut parts = Vec::new();
        for (number, &size) in (1..).zip(sizes) {
            let staged = self.store.stage_bytes(vec![8_u8; size]).await.expect("it is staged");
            let part = self.store.put_part(&bucket(), &key(name), id, number, staged, None).await.expect("a part");
            parts.push(CompletedPart { number, etag: part.etag.to_string(), checksum: None });
        }
        let (bucket, key, condition) = (bucket(), key(name), Default::default());
        let request = CompleteUpload { bucket, key, id, parts, size: None, checksum: None, condition, replica: None };
        self.store.complete_upload(request).await.expect("it is completed");
    }

    async fn uploads(&self) -> Vec<String> {
        let query = UploadsQuery { max: 1000, ..UploadsQuery::default() };
        let page = self.store.list_uploads(&bucket(), query).await.expect("a list");
        page.uploads.into_iter().map(|entry| entry.key.to_string()).collect()
    }
}

fn abort(days: u32) -> Rule {
    Rule { abort_days: Some(days), ..rule() }
}

fn aborted(count: u64) -> Evaluated {
    Evaluated { aborted: count, ..Evaluated::default() }
}

#[tokio::test]
async fn uploads_are_aborted_at_the_midnight_after_their_days() {
    for versioning in [Versioning::Unversioned, Versioning::Enabled, Versioning::Suspended] {
        let fixture = Fixture::with(versioning, &[under("tmp/", abort(7))]).await;
        fixture.begin(0, "tmp/a").await;
        let completed = fixture.begin(0, "tmp/b").await;
        fixture.begin(0, "other").await;
        fixture.begin(1, "tmp/c").await;
        fixture.complete("tmp/b", completed, &[100]).await;
        assert_eq!(fixture.on(7).await, aborted(0));
        assert_eq!(fixture.on(8).await, aborted(1));
        assert_eq!(fixture.uploads().await, ["other", "tmp/c"]);
        assert_eq!(fixture.on(400).await, aborted(1));
        assert_eq!(fixture.uploads().await, ["other"]);
        assert_eq!(fixture.read("tmp/b").await, 100);
    }
}

#[tokio::test]
async fn expirations_leave_uploads_alone() {
    let fixture = Fixture::with(Versioning::Unversioned, &[expire(1)]).await;
    fixture.begin(0, "a").await;
    assert_eq!(fixture.on(400).await, Evaluated::default());
    assert_eq!(fixture.uploads().await, ["a"]);
}

#[tokio::test]
async fn rules_that_came_later_or_have_changed() {
    let fixture = Fixture::new(Versioning::Unversioned).await;
    fixture.begin(0, "a").await;
    fixture.set_rules(&[abort(7)]).await;
    fixture.begin(0, "b").await;
    assert_eq!(fixture.on(7).await, aborted(0));
    fixture.set_rules(&[abort(9)]).await;
    assert_eq!(fixture.on(8).await, aborted(0));
    fixture.set_rules(&[]).await;
    assert_eq!(fixture.on(10).await, aborted(0));
    fixture.set_rules(&[abort(1)]).await;
    assert_eq!(fixture.on(10).await, aborted(2));
    assert_eq!(fixture.uploads().await, Vec::<String>::new());
}

#[tokio::test]
async fn the_parts_of_aborted_uploads_are_collected() {
    let fixture = Fixture::with(Versioning::Unversioned, &[abort(1)]).await;
    let id = fixture.begin(0, "a").await;
    let staged = fixture.store.stage_bytes(vec![9_u8; 3 << 20]).await.expect("it is staged");
    fixture.store.put_part(&bucket(), &key("a"), id, 1, staged, None).await.expect("a part");
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.on(2).await, aborted(1));
    assert!(fixture.store.collect().await.expect("a pass") >= 3 << 20);
}

#[tokio::test]
async fn many_uploads_are_aborted_together() {
    let fixture = Fixture::with(Versioning::Unversioned, &[abort(1)]).await;
    for number in 0..700 {
        fixture.begin(0, &format!("{number}")).await;
    }
    assert_eq!(fixture.on(2).await, aborted(700));
}

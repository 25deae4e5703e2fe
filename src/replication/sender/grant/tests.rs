//! Grants over a real directory: they are kept while nothing has changed, and no longer.

use std::sync::Arc;

use strata_storage::{
    AccountId, Bucket, BucketChange, BucketName, ConfigurationFilter, Destination, NewBucket, OpenOptions, Replication,
    ReplicationForm, ReplicationRule, Store, Timestamp, Versioning,
};
use zeroize::Zeroizing;

use super::{Grant, Grants};
use crate::credentials::{Credentials, Secret};
use crate::directory::entity::{Permissions, Role, Trust};
use crate::directory::{Directory, DirectoryKeys};
use crate::replication::sender::fault::Fault;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},
    "Action":"sts:AssumeRole","Condition":{"DateLessThan":{"aws:CurrentTime":"2027-02-01T00:00:00Z"}}}]}"#;

struct Fixture {
    store: Store,
    directory: Directory,
    grants: Grants,
    _data: tempfile::TempDir,
}

fn bucket() -> BucketName {
    BucketName::parse("photos").expect("a name")
}

fn rules(id: &str) -> BucketChange {
    let rule = ReplicationRule {
        id: id.to_owned(),
        form: ReplicationForm::Filter,
        priority: 1,
        enabled: true,
        filter: ConfigurationFilter::default(),
        kms_encrypted: None,
        replica_modifications: None,
        delete_markers: None,
        existing_objects: None,
        destination: Destination {
            bucket: "arn:aws:s3:::there".to_owned(),
            account: None,
            class: None,
            owner_override: false,
            kms_key: None,
            time_control: None,
            metrics: None,
        },
    };
    let role = "arn:aws:iam::000000000000:role/replication".to_owned();
    BucketChange::Replication(Some(Replication { role, rules: vec![rule] }))
}

impl Fixture {
    async fn new() -> Fixture {
        let data = tempfile::tempdir().expect("a directory");
        let store = Store::open(OpenOptions::new(data.path())).await.expect("a store");
        let root = Credentials { access_key: "ROOT".to_owned(), secret_key: Secret::new("root-secret".to_owned()) };
        let keys = DirectoryKeys { secrets: Zeroizing::new([1; 32]), tokens: Zeroizing::new([2; 32]) };
        let directory = Directory::open(store.clone(), &keys, &root).await.expect("a directory");
        store.create_bucket(&bucket(), NewBucket::default()).await.expect("a bucket");
        let fixture = Fixture { store, directory, grants: Grants::default(), _data: data };
        fixture.change(BucketChange::Versioning(Versioning::Enabled)).await;
        fixture.change(rules("all")).await;
        fixture.put_role().await;
        fixture
    }

    async fn change(&self, change: BucketChange) {
        self.store.change_bucket(&bucket(), change).await.expect("changed");
    }

    async fn put_role(&self) {
        let role = Role {
            name: "replication".to_owned(),
            path: "/".to_owned(),
            id: "AROA".to_owned(),
            created: NOW,
            description: None,
            tags: Vec::new(),
            trust: Trust::parse(TRUST, &|name| Some(name.to_string())).expect("a policy"),
            session_seconds_max: 3600,
            permissions: Permissions::default(),
            boundary: None,
        };
        let put = self.directory.change(move |draft| draft.put(AccountId::ROOT, role));
        put.await.expect("a role");
    }

    async fn found(&self) -> Arc<Bucket> {
        self.store.bucket(&bucket()).await.expect("the bucket")
    }

    async fn grant(&self, rule: &str, now: Timestamp) -> Result<Arc<Grant>, Fault> {
        self.grants.of(&self.found().await, &self.directory.snapshot(), rule, now)
    }
}

#[tokio::test]
async fn they_are_made_once_for_all_tasks() {
    let fixture = Fixture::new().await;
    let first = fixture.grant("all", NOW).await.expect("a grant");
    for _ in 0..1000 {
        let again = fixture.grant("all", NOW).await.expect("a grant");
        assert!(Arc::ptr_eq(&first, &again));
    }
    fixture.change(BucketChange::Tags(Vec::new())).await;
    let second = fixture.grant("all", NOW).await.expect("a grant");
    assert!(!Arc::ptr_eq(&first, &second));
    fixture.put_role().await;
    let third = fixture.grant("all", NOW).await.expect("a grant");
    assert!(!Arc::ptr_eq(&second, &third));
    fixture.change(rules("other")).await;
    let missing = Fault::Lasting("SrcBucketReplicationConfigMissing".to_owned());
    assert_eq!(fixture.grant("all", NOW).await.err(), Some(missing));
    assert!(fixture.grant("other", NOW).await.is_ok());
}

#[tokio::test]
async fn times_are_judged_at_each_use() {
    let fixture = Fixture::new().await;
    let later = Timestamp::from_secs(1_900_000_000);
    let refused = Fault::Lasting("AssumeRoleNotPermitted".to_owned());
    assert!(fixture.grant("all", NOW).await.is_ok());
    assert_eq!(fixture.grant("all", later).await.err(), Some(refused.clone()));
    // A grant that was not kept is refused as well.
    fixture.put_role().await;
    assert_eq!(fixture.grant("all", later).await.err(), Some(refused));
    assert!(fixture.grant("all", NOW).await.is_ok());
}

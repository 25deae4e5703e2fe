//! The local key store: what survives, what is erased, who may use a key.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use strata_storage::{AccountId, Clock as _, DataKey, ManualClock, OpenOptions, SeededEntropy, Store, Timestamp};
use tempfile::TempDir;

use super::access::{KmsConditions, Usage, authorize};
use super::context::EncryptionContext;
use super::key::{Key, KeyState};
use super::store::{KeyStore, NewKey};
use crate::config::TlsVersion;
use crate::identity::{Account, Identity, Who};
use crate::origin::Origin;
use crate::policy::{Policy, PolicyKind};

const DAY: Duration = Duration::from_hours(24);

struct Fixture {
    data: TempDir,
    store: Store,
    clock: Arc<ManualClock>,
    keys: KeyStore,
}

impl Fixture {
    async fn new() -> Fixture {
        let data = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_000_000)));
        let store = Store::open(OpenOptions::new(data.path())).await.expect("a store");
        let keys = open(&store, &clock, 1).await;
        Fixture { data, store, clock, keys }
    }

    async fn key(&self) -> Arc<Key> {
        self.keys.create(AccountId::ROOT, NewKey::default()).await.expect("a key")
    }

    async fn documents(&self) -> usize {
        self.store.documents("kms/", None, 100).await.expect("documents").len()
    }
}

async fn open(store: &Store, clock: &Arc<ManualClock>, secret: u8) -> KeyStore {
    let entropy = Arc::new(SeededEntropy::new(1));
    let secret = DataKey::new([secret; 32]);
    KeyStore::open(store.clone(), "us-east-1".to_owned(), secret, Arc::clone(clock) as _, entropy).await.expect("keys")
}

fn context(json: &str) -> EncryptionContext {
    EncryptionContext::parse(json.as_bytes()).expect("a context")
}

#[tokio::test]
async fn keys_survive_and_open_what_they_sealed() {
    let fixture = Fixture::new().await;
    let key = fixture.key().await;
    let stranger = fixture.key().await;
    let (one, other) = (context("{\"a\":\"1\"}"), context("{}"));
    let sealed = fixture.keys.encrypt(&key, &one, b"plain").await.expect("it is enabled");
    fixture.keys.set_alias(AccountId::ROOT, "alias/mine", Some(&key.id), false).await.expect("a new one");
    fixture.keys.rotate(&key.id).await.expect("it is there");

    let keys = open(&fixture.store, &fixture.clock, 1).await;
    let found = keys.find(AccountId::ROOT, "alias/mine").expect("the alias");
    assert_eq!((found.id.as_str(), found.materials.len()), (key.id.as_str(), 2));
    assert_eq!(&keys.decrypt(&found, &one, &sealed).expect("its own")[..], b"plain");
    assert_eq!(keys.decrypt(&found, &other, &sealed).expect_err("another context").code, "InvalidCiphertextException");
    let newer = keys.encrypt(&found, &one, b"plain").await.expect("it is enabled");
    assert_ne!(newer[17..21], sealed[17..21], "new material seals");
    assert_eq!(keys.decrypt(&stranger, &one, &sealed).expect_err("another key").code, "IncorrectKeyException");
    // Without the store's own secret the materials are bytes.
    let foreign = open(&fixture.store, &fixture.clock, 2).await;
    let found = foreign.find(AccountId::ROOT, &key.id).expect("it is there");
    assert_eq!(foreign.decrypt(&found, &one, &sealed).expect_err("another secret").code, "KMSInternalException");
}

#[tokio::test]
async fn names_mean_the_callers_account_unless_they_say_more() {
    let fixture = Fixture::new().await;
    let key = fixture.key().await;
    let other = AccountId::new(7).expect("an id");
    let arn = key.arn("us-east-1");
    assert!(fixture.keys.find(AccountId::ROOT, &key.id).is_ok() && fixture.keys.find(other, &arn).is_ok());
    for name in [key.id.as_str(), "alias/aws/s3", "", "key/x", &arn.replace("us-east-1", "eu-west-1"), "arn:aws:kms:"] {
        assert_eq!(fixture.keys.find(other, name).expect_err(name).code, "NotFoundException");
    }
    let first = fixture.keys.default_key(other).await.expect("made");
    assert_eq!(fixture.keys.default_key(other).await.expect("found").id, first.id);
}

#[tokio::test]
async fn a_key_whose_time_is_over_is_erased() {
    let fixture = Fixture::new().await;
    let key = fixture.key().await;
    fixture.keys.set_alias(AccountId::ROOT, "alias/mine", Some(&key.id), false).await.expect("a new one");
    let at = fixture.clock.now().plus(DAY * 7);
    let dying = |key: &mut Key| {
        key.state = KeyState::PendingDeletion(at);
        Ok(())
    };
    let key = fixture.keys.change(&key.id, dying).await.expect("it is there");
    let refused = fixture.keys.encrypt(&key, &context("{}"), b"x").await.expect_err("it is dying");
    assert_eq!(refused.code, "KMSInvalidStateException");
    assert_eq!(fixture.documents().await, 2);
    fixture.clock.set(at);
    assert_eq!(fixture.keys.find(AccountId::ROOT, &key.id).expect_err("gone").code, "NotFoundException");
    // Changes are made one after the other: when this one is done, the erasure that the look began is, too.
    fixture.key().await;
    assert_eq!(fixture.documents().await, 1);
    drop(fixture.data);
}

#[tokio::test]
async fn key_policies_and_the_callers_decide_together() {
    let fixture = Fixture::new().await;
    let account = Arc::new(Account::root());
    let user = |statement: Option<&str>| {
        let who = Who::User { path: "/".to_owned(), name: "bob".to_owned(), id: "AIDABOB".to_owned() };
        let mut identity = Identity::new(Some(Arc::clone(&account)), who);
        identity.policies.extend(statement.map(|statement| {
            let text = format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{{{statement}}}]}}");
            Arc::new(Policy::parse(text.as_bytes(), &PolicyKind::Identity).expect("a policy"))
        }));
        identity
    };
    let allow = "\"Effect\":\"Allow\",\"Action\":\"kms:*\",\"Resource\":\"*\"";
    let key = fixture.key().await;
    let check = |caller: &Identity, usage: Usage<'_>, expected: bool| {
        let asked = KmsConditions {
            caller,
            origin: Origin::of_connection((Ipv4Addr::LOCALHOST, 1).into(), Some(TlsVersion::V1_3)),
            user_agent: None,
            now: fixture.clock.now(),
            usage,
        };
        let outcome = authorize(&asked, &fixture.keys.subject(Some(&key)), "kms:Decrypt");
        assert_eq!(outcome.is_ok(), expected, "{caller:?}");
    };
    let of = context("{\"team\":\"red\"}");
    check(&Identity::root(Arc::clone(&account), String::new()), Usage::default(), true);
    check(&user(None), Usage::default(), false);
    check(&user(Some(allow)), Usage::default(), true);
    check(&Identity::anonymous(), Usage::default(), false);
    let only_red = format!("{allow},\"Condition\":{{\"StringEquals\":{{\"kms:EncryptionContext:team\":\"red\"}}}}");
    check(&user(Some(&only_red)), Usage::of(&of), true);
    check(&user(Some(&only_red)), Usage::default(), false);
    let through =
        format!("{allow},\"Condition\":{{\"StringEquals\":{{\"kms:ViaService\":\"s3.us-east-1.amazonaws.com\"}}}}");
    check(&user(Some(&through)), Usage { via: Some("s3.us-east-1.amazonaws.com"), ..Usage::default() }, true);
    check(&user(Some(&through)), Usage::default(), false);
    let by_alias = format!("{allow},\"Condition\":{{\"StringEquals\":{{\"kms:RequestAlias\":\"alias/mine\"}}}}");
    check(&user(Some(&by_alias)), Usage { name: Some("alias/mine"), ..Usage::default() }, true);
    check(&user(Some(&by_alias)), Usage { name: Some(&key.id), ..Usage::default() }, false);
}

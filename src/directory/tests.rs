//! The directory over a real store: changes survive, half ones leave nothing, tokens hold as long as what they stand on.

use std::path::Path;
use std::time::Duration;

use strata_storage::{AccountId, OpenOptions, Quota, Store, Timestamp};
use zeroize::Zeroizing;

use super::entity::{Group, ManagedPolicy, Permission, Permissions, PolicyVersion, Role, Trust, User};
use super::id::{self, IdKind};
use super::roster::Entity as _;
use super::token::{Session, Subject};
use super::{Directory, DirectoryError, DirectoryKeys, NewAccount, TokenFault};
use crate::credentials::{Credentials, Secret};
use crate::identity::Who;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}"#;

fn keys(byte: u8) -> DirectoryKeys {
    DirectoryKeys { secrets: Zeroizing::new([byte; 32]), tokens: Zeroizing::new([byte + 1; 32]) }
}

async fn open_with(data: &Path, keys: &DirectoryKeys) -> Result<(Store, Directory), DirectoryError> {
    let store = Store::open(OpenOptions::new(data)).await?;
    let root = Credentials { access_key: "ROOT".to_owned(), secret_key: Secret::new("root-secret".to_owned()) };
    match Directory::open(store.clone(), keys, &root).await {
        Ok(directory) => Ok((store, directory)),
        Err(error) => {
            store.close().await?;
            Err(error)
        }
    }
}

async fn open(data: &Path) -> (Store, Directory) {
    open_with(data, &keys(1)).await.unwrap()
}

fn new_account(name: &str) -> NewAccount {
    let (display_name, email) = (name.to_owned(), format!("{name}@example.com"));
    NewAccount { display_name, email, id: None, credentials: None, now: NOW }
}

fn user(account: AccountId, name: &str) -> User {
    User {
        name: name.to_owned(),
        path: "/".to_owned(),
        id: id::generate(IdKind::User, account).unwrap(),
        created: NOW,
        tags: vec![("team".to_owned(), "a".to_owned())],
        keys: Vec::new(),
        permissions: Permissions::default(),
        boundary: None,
        groups: Default::default(),
    }
}

/// A user with a key, an inline policy, a managed one, and a group that has one too.
async fn make_user(directory: &Directory, account: AccountId) -> String {
    let changed = directory.change(move |draft| {
        let permission = || Permission::parse(ALLOW.to_owned()).unwrap();
        let policy = ManagedPolicy {
            name: "shared".to_owned(),
            path: "/".to_owned(),
            id: id::generate(IdKind::Policy, account)?,
            created: NOW,
            updated: NOW,
            description: None,
            tags: Vec::new(),
            versions: vec![PolicyVersion { number: 1, created: NOW, document: permission() }],
            default: 1,
            next: 2,
        };
        let mut group = Group {
            name: "readers".to_owned(),
            path: "/".to_owned(),
            id: id::generate(IdKind::Group, account)?,
            created: NOW,
            permissions: Permissions::default(),
        };
        group.permissions.inline.insert("inline".to_owned(), permission());
        let mut user = user(account, "bob");
        user.permissions.inline.insert("own".to_owned(), permission());
        user.permissions.attached.insert(policy.arn(account));
        user.groups.insert(group.id.clone());
        let access_key = id::generate(IdKind::AccessKey, account)?;
        user.keys.push(draft.access_key(&access_key, &Secret::new("bobs-secret".to_owned()), NOW)?);
        draft.put(account, policy)?;
        draft.put(account, group)?;
        draft.put(account, user)?;
        Ok::<_, DirectoryError>(access_key)
    });
    changed.await.unwrap()
}

#[tokio::test]
async fn changes_survive() {
    let data = tempfile::tempdir().unwrap();
    let (store, directory) = open(data.path()).await;
    let (account, credentials) = directory.create_account(new_account("team")).await.unwrap();
    let access_key = make_user(&directory, account).await;
    directory.set_quota(account, Quota { bytes: Some(7), objects: None }).await.unwrap();
    directory.note_key_used(&access_key, "s3", "us-east-1", NOW);
    directory.flush().await;
    store.close().await.unwrap();

    let (store, directory) = open(data.path()).await;
    let snapshot = directory.snapshot();
    assert_eq!(snapshot.accounts().count(), 2);
    assert_eq!(snapshot.account(account).unwrap().quota.bytes, Some(7));
    assert_eq!(snapshot.account_by_email("TEAM@example.com").unwrap().id, account);
    let canonical = &snapshot.account(account).unwrap().canonical_id;
    assert_eq!(snapshot.account_by_canonical_id(canonical).unwrap().id, account);
    let root = snapshot.access_key(&credentials.access_key).unwrap();
    assert_eq!((&root.secret, &root.identity.who), (&credentials.secret_key, &Who::Root));
    let bob = snapshot.access_key(&access_key).unwrap();
    assert_eq!((bob.secret.expose(), bob.active), ("bobs-secret", true));
    assert_eq!(bob.identity.arn(), format!("arn:aws:iam::{account}:user/bob"));
    assert_eq!((bob.identity.policies.len(), bob.identity.tags.len()), (3, 1));
    assert_eq!(directory.last_use(&access_key).unwrap().service, "s3");
    assert_eq!(snapshot.access_key("ROOT").unwrap().identity.account_id(), Some(AccountId::ROOT));
    assert!(snapshot.access_key("AKIANOBODY").is_none() && snapshot.access_key("").is_none());
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let (store, directory) = open(data.path()).await;
    let refused = directory.change(|draft| {
        draft.put(AccountId::ROOT, user(AccountId::ROOT, "bob"))?;
        Err::<(), _>(DirectoryError::BrokenOff)
    });
    assert!(refused.await.is_err());
    assert!(directory.snapshot().user(AccountId::ROOT, "bob").is_none());
    let first = directory.create_account(new_account("team")).await.unwrap().0;
    for account in [
        new_account("team"),
        NewAccount { id: Some(first), ..new_account("other") },
        NewAccount { email: "nobody".to_owned(), ..new_account("other") },
        NewAccount { display_name: " ".to_owned(), ..new_account("other") },
        NewAccount {
            credentials: Some(Credentials { access_key: "ROOT".to_owned(), secret_key: Secret::new("x".to_owned()) }),
            ..new_account("other")
        },
    ] {
        assert!(directory.create_account(account).await.is_err());
    }
    assert_eq!(directory.snapshot().accounts().count(), 2);
    assert!(directory.set_disabled(AccountId::ROOT, true).await.is_err());
    assert!(directory.rotate_keys(AccountId::ROOT, NOW).await.is_err());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_change_goes_on_without_its_caller() {
    let data = tempfile::tempdir().unwrap();
    let (store, directory) = open(data.path()).await;
    let mut change = Box::pin(directory.create_account(new_account("team")));
    let polled = std::future::poll_fn(|context| std::task::Poll::Ready(change.as_mut().poll(context))).await;
    assert!(polled.is_pending());
    drop(change);
    // Changes are made one after the other, so this one waits for that.
    directory.set_quota(AccountId::ROOT, Quota::default()).await.unwrap();
    assert!(directory.snapshot().account_by_email("team@example.com").is_some());
    store.close().await.unwrap();
}

#[tokio::test]
async fn secrets_open_with_their_key_only() {
    let data = tempfile::tempdir().unwrap();
    let (store, directory) = open(data.path()).await;
    let (account, credentials) = directory.create_account(new_account("team")).await.unwrap();
    for (_, content) in store.documents("", None, 100).await.unwrap() {
        assert!(!String::from_utf8_lossy(&content).contains(credentials.secret_key.expose()));
    }
    store.close().await.unwrap();
    let error = open_with(data.path(), &keys(9)).await.err().unwrap();
    assert!(matches!(error, DirectoryError::WrongKey(found) if found == account), "{error}");
}

#[tokio::test]
async fn provisioning_is_idempotent() {
    let data = tempfile::tempdir().unwrap();
    let (store, directory) = open(data.path()).await;
    let credentials = |secret: &str| {
        Some(Credentials { access_key: "TEAMKEY".to_owned(), secret_key: Secret::new(secret.to_owned()) })
    };
    let first = NewAccount { credentials: credentials("one"), ..new_account("team") };
    let id = directory.provision(first.clone()).await.unwrap();
    let before = directory.snapshot().account(id).cloned().unwrap();
    assert_eq!(directory.provision(first).await.unwrap(), id);
    assert_eq!(directory.snapshot().account(id), Some(&before));
    let email = "team@example.com".to_owned();
    let renamed = NewAccount { credentials: credentials("two"), email, ..new_account("crew") };
    assert_eq!(directory.provision(renamed).await.unwrap(), id);
    let found = directory.snapshot().access_key("TEAMKEY").unwrap();
    assert_eq!((found.secret.expose(), found.identity.account_id()), ("two", Some(id)));
    assert_eq!(directory.snapshot().account(id).unwrap().display_name, "crew");
    store.close().await.unwrap();
}

fn session(account: AccountId, subject: Subject) -> Session {
    Session {
        account,
        subject,
        issued: NOW,
        expires: NOW.plus(Duration::from_secs(900)),
        policy: Some(ALLOW.to_owned()),
        policy_arns: Vec::new(),
        tags: vec![("Team".to_owned(), "b".to_owned())],
        transitive: Vec::new(),
        provider: None,
        source_identity: None,
    }
}

#[tokio::test]
async fn tokens_hold_as_long_as_what_they_stand_on() {
    let data = tempfile::tempdir().unwrap();
    let (store, directory) = open(data.path()).await;
    let account = directory.create_account(new_account("team")).await.unwrap().0;
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"{account}"}},"Action":"sts:AssumeRole"}}]}}"#
    );
    let role_id = id::generate(IdKind::Role, account).unwrap();
    let made = role_id.clone();
    let changed = directory.change(move |draft| {
        let trust = Trust::parse(&trust, &|name| draft.snapshot().unique_id(name)).unwrap();
        let role = Role {
            name: "reader".to_owned(),
            path: "/".to_owned(),
            id: made,
            created: NOW,
            description: None,
            tags: vec![("team".to_owned(), "a".to_owned())],
            trust,
            session_seconds_max: 3600,
            permissions: Permissions::default(),
            boundary: Some("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess".to_owned()),
        };
        draft.put(account, role)
    });
    changed.await.unwrap();
    let secret = Secret::new("session-secret".to_owned());
    let session = session(account, Subject::Role { id: role_id, session: "s".to_owned() });
    let token = directory.token("ASIA1", &secret, &session).unwrap().unwrap();

    let found = directory.session(&token, "ASIA1", NOW).unwrap();
    assert_eq!(found.secret, secret);
    assert_eq!(found.identity.arn(), format!("arn:aws:sts::{account}:assumed-role/reader/s"));
    assert_eq!((found.identity.tags.len(), found.identity.tags[0].1.as_str()), (1, "b"));
    assert!(found.identity.session.is_some() && found.identity.boundary.is_some());
    assert_eq!(found.identity.issued, Some(NOW));

    let fault = |token: &str, key: &str, now| directory.session(token, key, now).err();
    assert_eq!(fault(&token, "ASIA2", NOW), Some(TokenFault::Invalid), "of another key");
    assert_eq!(fault(&token, "ASIA1", session.expires), Some(TokenFault::Expired));
    for index in 0..token.len() {
        let mut forged: Vec<char> = token.chars().collect();
        forged[index] = if forged[index] == 'A' { 'B' } else { 'A' };
        let forged: String = forged.into_iter().collect();
        // The last letter's spare bits are refused by the decoder, so no letter can change.
        assert_eq!(fault(&forged, "ASIA1", NOW), Some(TokenFault::Invalid), "{index}");
    }
    for forged in ["", "A", "AQ==", "nonsense", &token[..token.len() - 4]] {
        assert_eq!(fault(forged, "ASIA1", NOW), Some(TokenFault::Invalid), "{forged}");
    }
    let large = Session { policy: Some("x".repeat(5000)), ..self::session(account, Subject::Root) };
    assert!(directory.token("ASIA1", &secret, &large).unwrap().is_none());

    directory.set_disabled(account, true).await.unwrap();
    let found = directory.session(&token, "ASIA1", NOW).unwrap();
    assert!(found.identity.account.as_ref().unwrap().disabled);
    let removed = directory.change(move |draft| draft.remove::<Role>(account, "reader"));
    removed.await.unwrap();
    assert_eq!(fault(&token, "ASIA1", NOW), Some(TokenFault::Ended));
    store.close().await.unwrap();
}

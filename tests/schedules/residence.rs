//! Races of the whole engine about where bytes are kept: the mover, rules, restores and the collector, and who reads meanwhile.

use std::time::Duration;

use strata_storage::{
    BucketChange, Error, Filter, FilterForm, Lifecycle, Restore, RestoreRequest, RestoreSpeed, Rule, Status,
    StorageClass, Transition, TransitionMinimum, VersionSelector, When,
};
use tokio::spawn;

use crate::fixture::{Fixture, SIZE, bucket, case, content, in_store, key};

race!(move_against_get);
race!(move_against_transition, finds_keys_without_locks: KeysUnlocked);
race!(move_against_retire, finds_moves_without_a_look: MovesUnlooked);
race!(restore_expiry_against_get);

/// Bytes go to another pool, and their segment away, while they are read.
fn move_against_get() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |fixture| async move { fixture.put_as("key", StorageClass::StandardIa, content(1, SIZE)).await },
        |fixture| async move {
            let readers =
                [(); 3].map(|()| spawn(in_store(&fixture, |fixture| async move { fixture.read("key").await })));
            let mover = spawn(in_store(&fixture, |fixture| async move {
                fixture.settle().await;
                fixture.collect().await;
            }));
            for reader in readers {
                match reader.await.expect("it ends") {
                    Ok(read) => assert!(read == content(1, SIZE)),
                    Err(error) => panic!("{error}"),
                }
            }
            mover.await.expect("it ends");
            fixture.assert_reads("key", &content(1, SIZE)).await;
        },
    )
}

/// Bytes go to the pool of one class while a rule says that they are of another.
fn move_against_transition() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |fixture| async move {
            fixture.store.change_bucket(&bucket(), BucketChange::Lifecycle(Some(to_glacier()))).await.expect("rules");
            fixture.store.evaluate().await.expect("the rules are heard of");
            fixture.put_as("key", StorageClass::StandardIa, content(1, 200 << 10)).await;
        },
        |fixture| async move {
            let mover = spawn(in_store(&fixture, |fixture| async move { fixture.settle().await }));
            let rules = spawn(in_store(&fixture, |fixture| async move {
                fixture.store.evaluate().await.expect("what is due is done");
            }));
            for task in [mover, rules] {
                task.await.expect("it ends");
            }
            fixture.store.evaluate().await.expect("what is due is done");
            fixture.settle().await;
            let object = fixture.store.object(&bucket(), &key("key"), VersionSelector::Current).await.expect("there");
            assert_eq!(object.info().class, StorageClass::Glacier, "what the rule did stays done");
            let read = object.read(0..object.info().size).collect().await;
            assert!(matches!(read, Err(Error::Archived { .. })), "it has to be restored");
        },
    )
}

fn to_glacier() -> Lifecycle {
    let transition = Transition { when: When::Days(1), class: StorageClass::Glacier };
    let rule = Rule {
        id: "down".to_owned(),
        status: Status::Enabled,
        filter: Filter { prefix: None, tags: vec![], size_over: None, size_under: None, form: FilterForm::Empty },
        transitions: vec![transition],
        expiration: None,
        noncurrent_transitions: vec![],
        noncurrent_expiration: None,
        abort_days: None,
    };
    Lifecycle { rules: vec![rule], minimum: TransitionMinimum::default() }
}

/// Bytes leave a pool while the collector writes their segment there anew.
fn move_against_retire() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |fixture| async move {
            fixture.put_as("key", StorageClass::StandardIa, content(1, SIZE)).await;
            fixture.put("gone", content(2, 10 * SIZE)).await;
            fixture.delete("gone").await;
            fixture.collect().await;
        },
        |fixture| async move {
            let mover = spawn(in_store(&fixture, |fixture| async move { fixture.settle().await }));
            let collector = spawn(in_store(&fixture, |fixture| async move { fixture.collect().await }));
            for task in [mover, collector] {
                task.await.expect("it ends");
            }
            fixture.assert_reads("key", &content(1, SIZE)).await;
        },
    )
}

/// A restored copy goes away while it is read: what was begun is read to its end, or the object is archived again.
fn restore_expiry_against_get() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |fixture| async move {
            fixture.put_as("key", StorageClass::Glacier, content(1, SIZE)).await;
            fixture.settle().await;
            let (bucket, key) = (bucket(), key("key"));
            let (version, speed) = (VersionSelector::Current, Some(RestoreSpeed::Expedited));
            let request = RestoreRequest { bucket, key, version, days: Some(10), speed };
            fixture.store.restore(request).await.expect("it begins");
            fixture.clock.advance(Duration::from_secs(1000));
            fixture.settle().await;
            fixture.assert_reads("key", &content(1, SIZE)).await;
        },
        |fixture| async move {
            let expires = expires(&fixture).await;
            let readers =
                [(); 3].map(|()| spawn(in_store(&fixture, |fixture| async move { fixture.read("key").await })));
            let expiry = spawn(in_store(&fixture, move |fixture| async move {
                fixture.clock.set(expires);
                fixture.settle().await;
                fixture.collect().await;
            }));
            for reader in readers {
                match reader.await.expect("it ends") {
                    Ok(read) => assert!(read == content(1, SIZE)),
                    Err(Error::Archived { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            expiry.await.expect("it ends");
            assert!(matches!(fixture.read("key").await, Err(Error::Archived { .. })));
        },
    )
}

async fn expires(fixture: &Fixture) -> strata_storage::Timestamp {
    let object = fixture.store.object(&bucket(), &key("key"), VersionSelector::Current).await.expect("it is there");
    match object.info().restore {
        Some(Restore::Done { expires }) => expires,
        other => panic!("it is restored: {other:?}"),
    }
}

//! Races of the whole engine about bytes and names: who collects what somebody else has just found.

use strata_storage::{CompleteUpload, CompletedPart, Entity, Error, NewUpload, UploadId, WriteCondition};
use tokio::spawn;

use crate::fixture::{Fixture, SIZE, bucket, case, content, in_store, key};

race!(dedup_hit_against_condemn, finds_pins_that_keep_nothing: PinsKeepNothing);
race!(dedup_hit_against_retire);
race!(overwrite_against_overwrite, finds_keys_without_locks: KeysUnlocked);
race!(complete_against_abort, finds_uploads_without_locks: UploadsUnlocked);
race!(copy_against_delete);
race!(read_against_delete);

/// A write finds bytes that nothing refers to any more while the collector lets go of them.
fn dedup_hit_against_condemn() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |fixture| async move {
            fixture.put("old", content(1, SIZE)).await;
            fixture.delete("old").await;
        },
        |fixture| async move {
            let writer = spawn(in_store(&fixture, |fixture| async move { fixture.put("new", content(1, SIZE)).await }));
            let collector = spawn(in_store(&fixture, |fixture| async move { fixture.collect().await }));
            writer.await.expect("it ends");
            collector.await.expect("it ends");
            fixture.assert_reads("new", &content(1, SIZE)).await;
            fixture.collect().await;
            fixture.assert_reads("new", &content(1, SIZE)).await;
        },
    )
}

/// Writes, one that finds its bytes and others that do not, while segments are rewritten and removed.
fn dedup_hit_against_retire() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |fixture| async move {
            fixture.put("kept", content(1, SIZE)).await;
            fixture.put("gone", content(2, 10 * SIZE)).await;
            fixture.delete("gone").await;
            fixture.collect().await;
        },
        |fixture| async move {
            let hit = spawn(in_store(&fixture, |fixture| async move {
                fixture.put("new", content(1, SIZE)).await;
                fixture.assert_reads("kept", &content(1, SIZE)).await;
            }));
            let miss = spawn(in_store(&fixture, |fixture| async move {
                // More than a segment holds, so that some are sealed meanwhile.
                fixture.put("first", content(3, 10 * SIZE)).await;
                fixture.put("second", content(4, 10 * SIZE)).await;
            }));
            let collector = spawn(in_store(&fixture, |fixture| async move {
                fixture.collect().await;
                fixture.collect().await;
            }));
            for task in [hit, miss, collector] {
                task.await.expect("it ends");
            }
            fixture.collect().await;
            for (name, seed, size) in [("kept", 1, SIZE), ("new", 1, SIZE), ("first", 3, 10 * SIZE)] {
                fixture.assert_reads(name, &content(seed, size)).await;
            }
            fixture.assert_reads("second", &content(4, 10 * SIZE)).await;
        },
    )
}

/// Two writers of one key, of whom one may win, and a third that only comes when nobody is there.
fn overwrite_against_overwrite() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |_| async {},
        |fixture| async move {
            let writers: Vec<_> = [1, 2]
                .map(|seed| {
                    spawn(in_store(&fixture, move |fixture| async move {
                        fixture.put_if("key", content(seed, SIZE), WriteCondition::IfAbsent).await.map(|()| seed)
                    }))
                })
                .into();
            let mut winners = Vec::new();
            for writer in writers {
                match writer.await.expect("it ends") {
                    Ok(seed) => winners.push(seed),
                    Err(Error::Precondition) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(winners.len(), 1, "of two that want the key absent one wins");
            fixture.assert_reads("key", &content(winners[0], SIZE)).await;
            let writers = [3, 4].map(|seed| {
                spawn(in_store(&fixture, move |fixture| async move { fixture.put("key", content(seed, 100)).await }))
            });
            for writer in writers {
                writer.await.expect("it ends");
            }
            let read = fixture.read("key").await.expect("it is there");
            assert!([3, 4].iter().any(|&seed| read == content(seed, 100)), "one of the two, whole");
        },
    )
}

/// An upload is completed and aborted at once, while a part comes in anew.
fn complete_against_abort() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |_| async {},
        |fixture| async move {
            let new = NewUpload::default();
            let id = fixture.store.create_upload(&bucket(), &key("key"), new).await.expect("it begins");
            let etag = put_part(&fixture, id).await.expect("a part");
            let again = spawn(in_store(&fixture, move |fixture| async move { put_part(&fixture, id).await.map(drop) }));
            let completer = spawn(in_store(&fixture, move |fixture| async move {
                let request = CompleteUpload {
                    bucket: bucket(),
                    key: key("key"),
                    id,
                    parts: vec![CompletedPart { number: 1, etag, checksum: None }],
                    size: None,
                    checksum: None,
                    condition: WriteCondition::None,
                    replica: None,
                };
                fixture.store.complete_upload(request).await.map(drop)
            }));
            let aborter = spawn(in_store(&fixture, move |fixture| async move {
                fixture.store.abort_upload(&bucket(), &key("key"), id).await
            }));
            let is_over = |outcome: &Result<(), Error>| match outcome {
                Ok(()) => true,
                Err(Error::NotFound(Entity::Upload)) => false,
                Err(error) => panic!("{error}"),
            };
            is_over(&again.await.expect("it ends"));
            let completed = is_over(&completer.await.expect("it ends"));
            let aborted = is_over(&aborter.await.expect("it ends"));
            assert!(completed != aborted, "it ends once: completed {completed}, aborted {aborted}");
            fixture.collect().await;
            if completed {
                fixture.assert_reads("key", &content(1, SIZE)).await;
            } else {
                assert!(!fixture.has("key").await);
            }
        },
    )
}

async fn put_part(fixture: &Fixture, id: UploadId) -> Result<String, Error> {
    let staged = fixture.store.stage_bytes(content(1, SIZE)).await?;
    Ok(fixture.store.put_part(&bucket(), &key("key"), id, 1, staged, None).await?.etag.to_string())
}

/// Copies of objects that go away, with their bytes.
fn copy_against_delete() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |fixture| async move {
            for (seed, name) in (1..).zip(NAMES) {
                fixture.put(name, content(seed, SIZE)).await;
            }
        },
        |fixture| async move {
            let copiers = NAMES.map(|name| {
                spawn(in_store(&fixture, move |fixture| async move { fixture.copy(name, &copy_of(name)).await }))
            });
            let deleter = spawn(in_store(&fixture, |fixture| async move { delete_all(&fixture).await }));
            deleter.await.expect("it ends");
            let mut copied = Vec::new();
            for copier in copiers {
                copied.push(copier.await.expect("it ends"));
            }
            fixture.collect().await;
            for ((seed, name), copied) in (1..).zip(NAMES).zip(copied) {
                match copied {
                    Ok(()) => fixture.assert_reads(&copy_of(name), &content(seed, SIZE)).await,
                    Err(Error::NotFound(Entity::Key)) => assert!(!fixture.has(&copy_of(name)).await),
                    Err(error) => panic!("{error}"),
                }
            }
        },
    )
}

/// Bodies that are being read lose their names and are collected.
fn read_against_delete() -> impl Fn() + Clone + Send + Sync + 'static {
    case(
        |fixture| async move {
            for (seed, name) in (1..).zip(NAMES) {
                fixture.put(name, content(seed, SIZE)).await;
            }
        },
        |fixture| async move {
            let readers =
                NAMES.map(|name| spawn(in_store(&fixture, move |fixture| async move { fixture.read(name).await })));
            let deleter = spawn(in_store(&fixture, |fixture| async move { delete_all(&fixture).await }));
            for (seed, reader) in (1..).zip(readers) {
                match reader.await.expect("it ends") {
                    Ok(read) => assert!(read == content(seed, SIZE)),
                    Err(Error::NotFound(Entity::Key)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            deleter.await.expect("it ends");
        },
    )
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn copy_of(name: &str) -> String {
    format!("copy of {name}")
}

async fn delete_all(fixture: &Fixture) {
    for name in NAMES {
        fixture.delete(name).await;
    }
    fixture.collect().await;
    fixture.collect().await;
}

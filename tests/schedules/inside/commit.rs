//! Group commit: every waiter hears of its own batch when it is durable, a refusal reaches exactly the batch that it is
//! about, guards are released afterwards, and a close waits for what was accepted.

use std::sync::Arc;

use shuttle::future::block_on;
use tokio::spawn;

use crate::blob::BlobId;
use crate::error::{Error, Result};
use crate::index::record::StoredBlob;
use crate::index::{Batch, Family, Index};
use crate::locks::Locks;
use crate::pool::Pool;
use crate::room::SystemGauge;

/// Of which the row is damaged, so that batches about it are refused.
const DAMAGED: StoredBlob = StoredBlob { id: BlobId([7; 32]), pool: Pool::Hot };

fn row(number: u8) -> Vec<u8> {
    vec![b'r', number]
}

fn writing(number: u8) -> Batch {
    let mut batch = Batch::new();
    batch.put_raw(Family::Inline, row(number), vec![number]);
    batch
}

fn is_there(index: &Index, number: u8) -> bool {
    index.rows().get(Family::Inline, &row(number)).expect("rows can be read").is_some()
}

/// Batches, one of which is refused and one made by a thread, and a close.
pub fn commit() {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let index = Index::open(directory.path(), 1 << 20, Arc::new(SystemGauge)).expect("an index");
    block_on(async {
        let mut batch = Batch::new();
        batch.put_raw(Family::Blob, crate::index::key::stored_blob(&DAMAGED), vec![1, 2, 3]);
        index.commit(batch).await.expect("it is written");
        let locks = Arc::new(Locks::new());
        let mut tasks = Vec::new();
        for number in 0..3 {
            let (index, locks) = (index.clone(), Arc::clone(&locks));
            tasks.push(spawn(async move {
                // All of one key: the next one finds what the one before wrote.
                let mut batch = writing(number);
                batch.hold(locks.key(1, "key").await);
                told(&index, number, index.commit(batch).await);
            }));
        }
        tasks.push(spawn({
            let (index, locks) = (index.clone(), Arc::clone(&locks));
            async move {
                let mut batch = writing(10);
                batch.drop_blob(DAMAGED);
                let guard = locks.key(1, "another").await;
                batch.hold(guard);
                let outcome = index.commit(batch).await;
                assert!(matches!(outcome, Err(Error::Corrupt { .. } | Error::Closed)), "{outcome:?}");
                assert!(!is_there(&index, 10), "nothing of a refused batch is written");
            }
        }));
        tasks.push(spawn({
            let index = index.clone();
            async move { told(&index, 11, index.commit_blocking(writing(11))) }
        }));
        tasks.push(spawn({
            let (index, locks) = (index.clone(), Arc::clone(&locks));
            // Whoever goes away leaves its guard with the batch: with the lock comes what was written under it.
            async move {
                let (there, guard) = (index.clone(), locks.key(1, "gone").await);
                let going = spawn(async move {
                    let mut batch = writing(12);
                    batch.hold(guard);
                    there.commit(batch).await
                });
                let _guard = locks.key(1, "gone").await;
                let there = is_there(&index, 12);
                assert!(there || matches!(going.await, Ok(Err(Error::Closed))), "the lock comes after the batch");
            }
        }));
        let closing = spawn({
            let index = index.clone();
            async move { index.close().await }
        });
        for task in tasks {
            task.await.expect("it ends");
        }
        closing.await.expect("it ends");
        let late = index.commit(writing(13)).await;
        assert!(matches!(late, Err(Error::Closed)) && !is_there(&index, 13), "what is closed takes nothing");
    });
}

/// What a caller is told is so, and at once.
fn told(index: &Index, number: u8, outcome: Result<()>) {
    match outcome {
        Ok(()) => assert!(is_there(index, number), "what is acknowledged is there"),
        Err(Error::Closed) => {}
        Err(error) => panic!("batch {number}: {error}"),
    }
}

//! Stripes: who has a lock is alone, whoever waits gets it, and batches of many keys that never wait stand in nobody's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use shuttle::future::block_on;
use tokio::spawn;

use crate::locks::{KeyLocks, Locks};
use crate::stamp::{Stamp, Timestamp};
use crate::sync::step;

const KEYS: [&str; 2] = ["a", "b"];
const UPLOAD: Stamp = Stamp { time: Timestamp::from_nanos(1), random: 1 };

/// Who is at what.
#[derive(Default)]
struct Busy {
    keys: [AtomicU32; 2],
    upload: AtomicU32,
    /// Writers of objects, and a thousand for each who changes the bucket.
    bucket: AtomicU32,
}

fn alone(busy: &AtomicU32) {
    assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0, "whoever has the lock is alone");
    step();
    step();
    busy.fetch_sub(1, Ordering::SeqCst);
}

/// Writers, completers, a batch of background work and one who changes the bucket, in the order of locks.
pub fn stripes() {
    block_on(async {
        let (locks, busy) = (Arc::new(Locks::new()), Arc::new(Busy::default()));
        let mut tasks = Vec::new();
        for number in 0..4 {
            let (locks, busy) = (Arc::clone(&locks), Arc::clone(&busy));
            tasks.push(spawn(async move {
                let bucket = locks.bucket_shared("bucket").await;
                assert!(busy.bucket.fetch_add(1, Ordering::SeqCst) < 1000, "nobody changes the bucket meanwhile");
                if number >= 2 {
                    let upload = locks.upload(UPLOAD).await;
                    alone(&busy.upload);
                    let key = locks.key(1, KEYS[0]).await;
                    alone(&busy.keys[0]);
                    drop((key, upload));
                } else {
                    let key = locks.key(1, KEYS[number]).await;
                    alone(&busy.keys[number]);
                    drop(key);
                }
                busy.bucket.fetch_sub(1, Ordering::SeqCst);
                drop(bucket);
            }));
        }
        tasks.push(spawn({
            let (locks, busy) = (Arc::clone(&locks), Arc::clone(&busy));
            async move {
                let mut held = KeyLocks::default();
                for (number, key) in KEYS.iter().enumerate() {
                    if locks.try_key(&mut held, 1, key) {
                        alone(&busy.keys[number]);
                    }
                }
                held.into_guards().for_each(drop);
            }
        }));
        tasks.push(spawn({
            let (locks, busy) = (Arc::clone(&locks), Arc::clone(&busy));
            async move {
                let bucket = locks.bucket_exclusive("bucket").await;
                assert_eq!(busy.bucket.fetch_add(1000, Ordering::SeqCst), 0, "nobody writes meanwhile");
                step();
                busy.bucket.fetch_sub(1000, Ordering::SeqCst);
                drop(bucket);
            }
        }));
        for task in tasks {
            task.await.expect("it ends");
        }
    });
}

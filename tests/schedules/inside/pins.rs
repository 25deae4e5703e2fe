//! Pins: a blob is never pinned and collected at once, and whoever waits for a collection to end hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use shuttle::future::block_on;
use tokio::spawn;

use crate::blob::BlobId;
use crate::locks::Pins;
use crate::sync::step;

const BLOB: BlobId = BlobId([1; 32]);

/// What is the case, as those who have pins and claims know it.
#[derive(Default)]
struct Known {
    pinned: AtomicU32,
    collected: AtomicBool,
}

impl Known {
    fn pinned(&self) {
        self.pinned.fetch_add(1, Ordering::SeqCst);
        step();
        assert!(!self.collected.load(Ordering::SeqCst), "what is pinned is not collected");
        step();
        self.pinned.fetch_sub(1, Ordering::SeqCst);
    }

    fn collected(&self) {
        assert!(!self.collected.swap(true, Ordering::SeqCst), "one collects at a time");
        step();
        assert_eq!(self.pinned.load(Ordering::SeqCst), 0, "what is collected is not pinned");
        step();
        self.collected.store(false, Ordering::SeqCst);
    }
}

/// Writers pin one blob, collectors claim it, and a mover turns its pin into a claim.
pub fn pins() {
    block_on(async {
        let (pins, known) = (Arc::new(Pins::default()), Arc::new(Known::default()));
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let (pins, known) = (Arc::clone(&pins), Arc::clone(&known));
            tasks.push(spawn(async move {
                for _ in 0..2 {
                    let pin = pins.pin(BLOB).await;
                    known.pinned();
                    drop(pin);
                }
            }));
        }
        for _ in 0..2 {
            let (pins, known) = (Arc::clone(&pins), Arc::clone(&known));
            tasks.push(spawn(async move {
                for _ in 0..2 {
                    if let Some(claim) = pins.collect(BLOB) {
                        known.collected();
                        drop(claim);
                    }
                    step();
                }
            }));
        }
        tasks.push(spawn({
            let (pins, known) = (Arc::clone(&pins), Arc::clone(&known));
            async move {
                let pin = pins.pin(BLOB).await;
                if let Ok(claim) = pins.claim(pin) {
                    known.collected();
                    drop(claim);
                }
            }
        }));
        for task in tasks {
            task.await.expect("it ends");
        }
        assert!(pins.collect(BLOB).is_some(), "nothing is left pinned");
    });
}

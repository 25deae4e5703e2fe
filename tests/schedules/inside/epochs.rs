//! Epochs: what was deleted is collected only when all who may have found it are gone, and while nobody holds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shuttle::future::block_on;
use tokio::spawn;

use crate::locks::Readers;
use crate::stamp::{Stamp, Timestamp};
use crate::sync::step;

const BODY: Stamp = Stamp { time: Timestamp::from_nanos(1), random: 1 };

/// A body, and the row that leads to it.
struct World {
    named: AtomicBool,
    there: AtomicBool,
}

/// Readers look for a body that is deleted and collected meanwhile.
pub fn epochs() {
    block_on(async {
        let readers = Arc::new(Readers::default());
        let world = Arc::new(World { named: AtomicBool::new(true), there: AtomicBool::new(true) });
        let mut tasks = Vec::new();
        for _ in 0..3 {
            let (readers, world) = (Arc::clone(&readers), Arc::clone(&world));
            tasks.push(spawn(async move {
                let reader = readers.enter();
                step();
                if !world.named.load(Ordering::SeqCst) {
                    return;
                }
                step();
                let held = reader.hold(BODY);
                drop(reader);
                step();
                assert!(world.there.load(Ordering::SeqCst), "what a reader has found stays");
                drop(held);
            }));
        }
        tasks.push(spawn({
            let (readers, world) = (Arc::clone(&readers), Arc::clone(&world));
            async move {
                step();
                world.named.store(false, Ordering::SeqCst);
                let epoch = readers.advance();
                while !readers.passed(epoch) || readers.holds(BODY) {
                    tokio::task::yield_now().await;
                }
                world.there.store(false, Ordering::SeqCst);
            }
        }));
        for task in tasks {
            task.await.expect("it ends");
        }
        assert!(!world.there.load(Ordering::SeqCst), "it was collected in the end");
    });
}

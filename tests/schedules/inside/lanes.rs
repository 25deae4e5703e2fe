//! Hash lanes: the digest is right whatever the order, calls that are dropped lose nothing, and bodies that go away free their lane.

use std::sync::Arc;

use bytes::Bytes;
use md5::Digest as _;
use shuttle::future::block_on;
use tokio::spawn;

use crate::lanes::{LaneMd5, Lanes};

/// Enough pieces for a job, which together are large enough to be handed in.
const PIECES: usize = 64;
const PIECE_BYTES: usize = 300;

fn piece(body: u8, number: usize) -> Bytes {
    let byte = body.wrapping_mul(31).wrapping_add(number as u8);
    vec![byte; PIECE_BYTES + usize::from(body)].into()
}

/// Bodies side by side; one whose calls are dropped, and one that goes away.
pub fn lanes() {
    block_on(async {
        let lanes = Arc::new(Lanes::start().expect("the thread starts"));
        let mut tasks = Vec::new();
        for body in 0..3 {
            let lanes = Arc::clone(&lanes);
            tasks.push(spawn(async move {
                let (mut md5, mut wanted) = (LaneMd5::new(), md5::Md5::new());
                // The first is large enough for all that follow to be gathered.
                let first = Bytes::from(vec![body; 16 << 10]);
                for piece in [first].into_iter().chain((0..2 * PIECES).map(|number| piece(body, number))) {
                    wanted.update(&piece);
                    let update = md5.update(&lanes, piece);
                    if body == 0 {
                        polled_once(update).await;
                    } else {
                        update.await.expect("the lanes are there");
                    }
                }
                md5.end(&lanes).await.expect("the lanes are there");
                let wanted: [u8; 16] = wanted.finalize().into();
                assert_eq!(md5.finish().await.expect("the lanes are there"), wanted, "body {body}");
            }));
        }
        tasks.push(spawn({
            let lanes = Arc::clone(&lanes);
            async move {
                let mut md5 = LaneMd5::new();
                for number in 0..PIECES {
                    md5.update(&lanes, piece(9, number)).await.expect("the lanes are there");
                }
                // And goes away.
                md5.end(&lanes).await.expect("the lanes are there");
            }
        }));
        for task in tasks {
            task.await.expect("it ends");
        }
    });
}

/// As a caller that gives up at once if it has to wait.
async fn polled_once(update: impl Future<Output = crate::Result<()>>) {
    tokio::select! {
        biased;
        outcome = update => outcome.expect("the lanes are there"),
        () = std::future::ready(()) => {}
    }
}

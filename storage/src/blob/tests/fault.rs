//! One failing call to the disk, at every point: what was acknowledged stays, what failed says so, and the store goes
//! on with another segment.

use bytes::Bytes;

use super::{append, content, open, open_on, put_large, read_all};
use crate::blob::{BlobId, Blobs, Placement, StreamHint};
use crate::error::{Error, Result};
use crate::fs::{FailingDisk, Failure};

type Stored = (BlobId, Placement, Bytes);

/// What one history stored, and the errors it met.
#[derive(Default)]
struct Outcome {
    stored: Vec<Stored>,
    errors: Vec<Error>,
}

impl Outcome {
    fn note(&mut self, result: Result<(BlobId, Placement)>, content: Bytes) {
        match result {
            Ok((id, placement)) => self.stored.push((id, placement, content)),
            Err(error) => self.errors.push(error),
        }
    }

    async fn group(&mut self, blobs: &Blobs, seed: u64) {
        let [a, b, c] = [100, 5000, 70_000].map(|bytes| content(seed + bytes, bytes as usize));
        let results = tokio::join!(append(blobs, &a), append(blobs, &b), append(blobs, &c));
        self.note(results.0, a);
        self.note(results.1, b);
        self.note(results.2, c);
    }

    async fn large(&mut self, blobs: &Blobs, seed: u64, spare: usize, hint: &StreamHint) {
        let content = content(seed, (1 << 20) + 5);
        self.note(put_large(blobs, &content, spare, hint).await, content);
    }
}

async fn history(blobs: &Blobs) -> Outcome {
    let mut outcome = Outcome::default();
    let (shared, own) = (StreamHint::new(None), StreamHint::new(Some(64 << 20)));
    outcome.group(blobs, 1).await;
    outcome.large(blobs, 2, 0, &shared).await;
    outcome.large(blobs, 3, 100_000, &own).await;
    outcome.group(blobs, 4).await;
    blobs.seal_active().await.unwrap();
    outcome.group(blobs, 5).await;
    outcome.large(blobs, 6, 0, &own).await;
    let first = blobs.segments().swap_remove(0);
    if !outcome.stored.iter().any(|(_, placement, _)| placement.segment == first.id)
        && let Err(error) = blobs.remove_segment(first.id).await
    {
        outcome.errors.push(error);
    }
    outcome
}

async fn check(fail_at: u64, failure: Failure) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let disk = FailingDisk::new(fail_at, failure).without_syncs();
    let mut outcome = match open_on(directory.path(), disk.clone()) {
        Ok(blobs) => {
            let mut outcome = history(&blobs).await;
            let (errors, is_over) = (outcome.errors.len(), disk.has_failed());
            outcome.group(&blobs, 10).await;
            outcome.large(&blobs, 11, 5, &StreamHint::new(None)).await;
            // Once the disk is sound again every kind of write works.
            assert!(!is_over || outcome.errors.len() == errors, "call {fail_at}, {failure:?}: {:?}", outcome.errors);
            for (id, placement, content) in &outcome.stored {
                assert_eq!(read_all(&blobs, id, placement).await.unwrap(), *content);
            }
            outcome
        }
        Err(error) => Outcome { errors: vec![error], ..Outcome::default() },
    };
    assert_eq!(outcome.errors.is_empty(), !disk.has_failed(), "call {fail_at}, {failure:?}: {:?}", outcome.errors);
    for error in outcome.errors.drain(..) {
        let expected = match failure {
            Failure::Full => matches!(error, Error::NoSpace { .. } | Error::Io { action: "sync segment", .. }),
            Failure::Broken => matches!(error, Error::Io { .. }),
        };
        assert!(expected, "call {fail_at}, {failure:?}: {error:?}");
    }
    let blobs = open(directory.path());
    for (id, placement, content) in &outcome.stored {
        assert_eq!(read_all(&blobs, id, placement).await.unwrap(), *content, "call {fail_at}, {failure:?}");
    }
    disk.has_failed()
}

#[tokio::test]
async fn any_single_failure_loses_nothing_that_was_acknowledged() {
    for failure in [Failure::Broken, Failure::Full] {
        let mut fail_at = 1;
        while check(fail_at, failure).await {
            fail_at += 1;
        }
        assert!(fail_at > 30, "the history makes more calls than {fail_at}");
    }
}

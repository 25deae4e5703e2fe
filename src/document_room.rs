//! Room for documents in memory: XML bodies while they are read and carried out, and lists until their clients took them.
//!
//! Thousands of connections may each ask for a list of 3 MB and take it slowly, or send half of a body of 4 MB. Each of
//! those documents takes as much of the room as it has bytes; whoever finds none waits, and then gets `SlowDown`. Lists
//! are only made a few at a time, as their size is known afterwards; a request that has room for its body needs no more
//! for its answer, so nobody holds some while waiting for more, and nothing that was done is answered with `SlowDown`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::error::S3Error;
use crate::response::{Payload, Response};
use crate::route::Operation;

/// How long a document waits for room: well below the 60 s after which clients give up.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Lists being made at once, at some 7 MB for the longest: their rows and their document. More are not made any sooner.
const MAKING_MAX: usize = 16;

/// Room is counted in units of so many bytes, for the number of permits is limited.
const UNIT_BYTES: usize = 1 << 10;

/// Answers up to this size are not counted: connections have buffers of that order anyway.
const SMALL_BYTES_MAX: usize = 16 << 10;

/// The room; one per server and kind of client.
pub struct DocumentRoom {
    units: Arc<Semaphore>,
    units_max: usize,
    making: Semaphore,
}

/// The right to make a list.
pub struct Making<'a> {
    room: &'a DocumentRoom,
    _turn: SemaphorePermit<'a>,
}

/// Room that a document has, given back when it is dropped.
#[derive(Debug)]
pub struct Space {
    _units: OwnedSemaphorePermit,
}

/// A document together with its room.
struct Kept {
    bytes: Bytes,
    _space: Space,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DocumentRoom {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> DocumentRoom {
        let units_max = units(bytes).min(Semaphore::MAX_PERMITS);
        let units = Arc::new(Semaphore::new(units_max));
        DocumentRoom { units, units_max, making: Semaphore::new(MAKING_MAX) }
    }

    /// Room for a document of that size; all of it for one that is larger than the room. `Err` is 503 `SlowDown`.
    pub async fn take(&self, bytes: usize) -> Result<Space, S3Error> {
        let units = u32::try_from(units(bytes).min(self.units_max)).unwrap_or(u32::MAX);
        let taken = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.units).acquire_many_owned(units)).await;
        let units = taken.map_err(|_| S3Error::slow_down())?.expect("the semaphore is never closed");
        Ok(Space { _units: units })
    }

    /// Asks to make a list. `Err` is 503 `SlowDown`.
    pub async fn begin(&self) -> Result<Making<'_>, S3Error> {
        let turn = tokio::time::timeout(WAIT_MAX, self.making.acquire()).await.map_err(|_| S3Error::slow_down())?;
        Ok(Making { room: self, _turn: turn.expect("the semaphore is never closed") })
    }
}

impl Making<'_> {
    /// Gives an answer its room, until the last of it is with the client's connection. `Err` is 503 `SlowDown`.
    pub async fn end(self, mut response: Response) -> Result<Response, S3Error> {
        if let Payload::Bytes(bytes) = &mut response.body
            && bytes.len() > SMALL_BYTES_MAX
        {
            let space = self.room.take(bytes.len()).await?;
            *bytes = Bytes::from_owner(Kept { bytes: std::mem::take(bytes), _space: space });
        }
        Ok(response)
    }
}

/// Whether an operation only reads, and answers with a document that may be large.
pub fn makes_document(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::ListObjects
            | Operation::ListObjectsV2
            | Operation::ListObjectVersions
            | Operation::ListMultipartUploads
            | Operation::ListParts
            | Operation::ListBuckets
            | Operation::ListBucketAnalyticsConfigurations
            | Operation::ListBucketIntelligentTieringConfigurations
            | Operation::GetObjectAttributes
            | Operation::GetBucketCors
            | Operation::GetBucketLifecycleConfiguration
            | Operation::GetBucketNotificationConfiguration
            | Operation::GetBucketPolicy
            | Operation::GetBucketReplication
    )
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES).max(1)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{DocumentRoom, MAKING_MAX, SMALL_BYTES_MAX};
    use crate::response::{Payload, Response};

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_is_told_to_slow_down() {
        let room = DocumentRoom::new(10 << 10);
        let first = room.take(9 << 10).await.unwrap();
        let second = room.take(1).await.unwrap();
        assert_eq!(room.take(1).await.unwrap_err().code, "SlowDown");
        drop(second);
        room.take(1 << 10).await.unwrap();
        drop(first);
        // One that would never fit has all of the room.
        let all = room.take(1 << 30).await.unwrap();
        assert_eq!(room.take(1).await.unwrap_err().code, "SlowDown");
        drop(all);
        room.take(10 << 10).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn lists_hold_their_room_until_they_are_sent() {
        let room = DocumentRoom::new(2 * SMALL_BYTES_MAX);
        let list = |bytes: usize| Response::xml("x".repeat(bytes));
        let sent = room.begin().await.unwrap().end(list(SMALL_BYTES_MAX + 1)).await.unwrap();
        let Payload::Bytes(bytes) = sent.body else { panic!("it is a document") };
        assert_eq!(bytes, Bytes::from("x".repeat(SMALL_BYTES_MAX + 1)));
        let small = room.begin().await.unwrap().end(list(SMALL_BYTES_MAX)).await.unwrap();
        let refused = room.begin().await.unwrap().end(list(SMALL_BYTES_MAX + 1)).await;
        assert_eq!(refused.err().map(|error| error.code), Some("SlowDown"));
        let part = bytes.slice(..1);
        drop(bytes);
        assert!(room.take(2 * SMALL_BYTES_MAX).await.is_err());
        drop((part, small));
        room.take(2 * SMALL_BYTES_MAX).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn few_lists_are_made_at_once() {
        let room = DocumentRoom::new(1 << 20);
        let mut making = Vec::new();
        for _ in 0..MAKING_MAX {
            making.push(room.begin().await.unwrap());
        }
        assert_eq!(room.begin().await.err().map(|error| error.code), Some("SlowDown"));
        making.pop();
        room.begin().await.unwrap();
    }
}

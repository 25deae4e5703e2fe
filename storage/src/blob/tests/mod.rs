//! Behaviour of the chunk store on real files: what the tests share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::blob::{BlobId, Blobs, BlobsOptions, LargeWriter, Placement, ReadError, StreamHint};
use crate::cipher::Keys;
use crate::clock::ManualClock;
use crate::error::{Error, Result};
use crate::fs::{Disk, SystemDisk};
use crate::pool::Pool;
use crate::stamp::Timestamp;
use crate::zone::{Zone, ZoneId};

mod batch;
mod compressed;
mod corruption;
mod fault;
mod format;
mod read;
mod room;
mod sealed;
mod stripe;
mod ways;
mod write;
mod zones;

const STORE_ID: [u8; 16] = *b"store of a test.";

fn zone(id: u16, directory: &Path, disk: impl Disk) -> Zone {
    Zone { id: ZoneId(id), name: format!("z{id}"), directory: directory.join("segments"), disk: Arc::new(disk) }
}

/// For a store of one zone.
fn options(directory: &Path) -> BlobsOptions {
    BlobsOptions {
        zones: vec![zone(0, directory, SystemDisk)],
        on_trouble: Arc::new(|_| ()),
        segment_bytes: 1 << 30,
        store_id: STORE_ID,
        clock: Arc::new(ManualClock::new(Timestamp::from_nanos(1))),
        keys: Arc::new(Keys::none()),
        next_segment: 1,
        write_buffers_max: 16,
    }
}

fn open(directory: &Path) -> Blobs {
    Blobs::open(options(directory)).unwrap()
}

fn open_on(directory: &Path, disk: impl Disk) -> Result<Blobs> {
    Blobs::open(BlobsOptions { zones: vec![zone(0, directory, disk)], ..options(directory) })
}

/// The file of a segment that is one plain file.
fn segment_path(blobs: &Blobs, segment: u64) -> PathBuf {
    let [path] = &blobs.segment_paths(segment)[..] else { panic!("segment {segment} has one file") };
    path.clone()
}

/// Bytes without a pattern, which the seed repeats.
fn content(seed: u64, bytes: usize) -> Bytes {
    let mut content = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut content);
    content.into()
}

async fn append(blobs: &Blobs, content: &Bytes) -> Result<(BlobId, Placement)> {
    let (id, table) = Blobs::hash(content);
    // In two parts, as a body arrives.
    let parts = vec![content.slice(..content.len() / 3), content.slice(content.len() / 3..)];
    Ok((id, blobs.append(Pool::Hot, id, parts, table).await?))
}

async fn write_large(mut writer: LargeWriter, content: &Bytes, frame_bytes: usize) -> Result<LargeWriter> {
    for frame in content.chunks(frame_bytes) {
        writer.write(content.slice_ref(frame)).await?;
    }
    Ok(writer)
}

/// Stores a chunk as a large one, declared to have `spare` bytes more than it has.
async fn put_large(blobs: &Blobs, content: &Bytes, spare: usize, hint: &StreamHint) -> Result<(BlobId, Placement)> {
    let writer = blobs.begin_large(Pool::Hot, (content.len() + spare) as u64, hint).await?;
    let writer = write_large(writer, content, 100_000).await?;
    let (id, placement, ticket) = writer.finish().await?;
    blobs.sync(vec![ticket]).await?;
    Ok((id, placement))
}

async fn read_all(blobs: &Blobs, id: &BlobId, placement: &Placement) -> std::result::Result<Vec<u8>, ReadError> {
    let mut reader = blobs.reader(id, placement, 0..placement.plain_bytes);
    let mut all = Vec::new();
    while let Some(bytes) = reader.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

fn assert_corrupt<T: std::fmt::Debug>(result: std::result::Result<T, ReadError>, what: &str) {
    assert!(matches!(result, Err(ReadError::Engine(Error::Corrupt { .. }))), "{what}: {result:?}");
}

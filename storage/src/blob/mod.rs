//! Immutable bytes under their hash: chunks of up to 8 MiB in append-only segment files.
//!
//! A chunk is on stable storage, verified by its name, before anybody is told where it lies; what is found there is
//! verified again before it is handed out. Nothing here knows which chunks are in use: records that nothing names,
//! left by failed or forgotten writes and by crashes, are garbage until somebody removes their segment.
//!
//! Small chunks are appended in groups that share one write and one sync (`append`); large ones are written while they
//! arrive (`large`); background workers write whole batches (`batch`), compressed if they want to (`codec`). All lie in
//! segments of one format (`layout`).
//!
//! Each pool has segments of its own. A segment's bytes lie in shards (`stripe`), each in another zone, so that a zone,
//! or two, may be lost. A shard is written by the process that makes the segment, or rebuilt from the others.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::cipher::Keys;
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::fs::blocking;
use crate::pool::Pool;
use crate::room::Room;
use crate::sync::thread::{self, JoinHandle};
use crate::zone::{Damage, Stray, Trouble, Zone, ZoneId, ZoneInfo, ZoneState};

mod codec;
mod hash;
mod layout;
mod sealing;
mod shard_name;
mod stripe;

mod known;
mod segment;
mod segments;
mod shards;

mod create;
mod rebuild;
mod zones;

mod append;
mod batch;
mod buffer;
mod examine;
#[cfg(fuzzing)]
pub mod fuzzing;
mod large;
mod portable;
mod read;
mod read_frames;
mod ways;

#[cfg(test)]
mod tests;

pub use batch::{Form, Prepared};
pub use examine::Examiner;
pub use hash::{BlobId, PieceTable};
pub use large::{LargeWriter, StreamHint, Ticket};
pub use layout::{Placement, SMALL_BYTES_MAX};
pub use read::ChunkReader;
pub use stripe::Layout;
pub use zones::{IDS_SKIPPED, OpenFor};

use append::{Append, Job};
use batch::BatchLanes;
use buffer::Buffers;
use large::LargeLane;
use read::Source;
use segments::SegmentSet;
use ways::Repairs;

/// Told of calls in zones that fail, on whatever thread they do. It must neither block nor call back.
pub type TroubleCallback = Arc<dyn Fn(Trouble) + Send + Sync>;

/// How to open the segments of a store.
pub struct BlobsOptions {
    /// Where the segments are. The directory of an only zone is made if it is missing; of several zones, those whose
    /// directories are missing or cannot be listed are lost, as long as there is another one.
    pub zones: Vec<Zone>,
    /// Told of calls that fail.
    pub on_trouble: TroubleCallback,
    /// The size at which a segment takes no more records, in bytes.
    pub segment_bytes: u64,
    /// The store that the segments belong to.
    pub store_id: [u8; 16],
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// With which records are sealed, if it has any.
    pub keys: Arc<Keys>,
    /// New segments get this id or a higher one, and never that of a segment which is there. It must be above every id
    /// that was ever in use, or a stale placement could name a new record's place.
    pub next_segment: u64,
    /// Buffers of 1 MiB for large chunks on their way in. A chunk holds one from its first byte to its last, and a
    /// second one while a write is under way if there is one to spare.
    pub write_buffers_max: usize,
}

/// Buffers for large chunks that are moved: two to fill, two on their way to the disk.
const MOVE_BUFFERS_MAX: usize = 4;

/// What is known about a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its id.
    pub id: u64,
    /// Its generation.
    pub generation: u32,
    /// What it holds.
    pub pool: Pool,
    /// How it lies in its shards.
    pub layout: Layout,
    /// Its size in bytes, with the extents of chunks that are still arriving.
    pub bytes: u64,
    /// The size of all shards that are there, in bytes.
    pub physical_bytes: u64,
    /// Whether nobody writes to it any more.
    pub sealed: bool,
    /// The shards that are in no zone which can be reached, or cannot be used.
    pub missing_shards: Vec<u8>,
    /// The zones that its shards are in, as far as they can be reached.
    pub zones: Vec<ZoneId>,
}

impl SegmentInfo {
    /// Whether enough shards are there to read it.
    pub fn is_readable(&self) -> bool {
        self.missing_shards.len() <= usize::from(self.layout.parity)
    }
}

/// The result of a read.
pub type ReadResult<T> = std::result::Result<T, ReadError>;

/// Why a read failed.
#[derive(Debug)]
pub enum ReadError {
    /// The segment is gone. Look up the placement again; if it is still the same, the chunk is lost.
    Moved,
    /// Any other reason.
    Engine(Error),
}

impl From<Error> for ReadError {
    fn from(error: Error) -> ReadError {
        ReadError::Engine(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Moved => f.write_str("the segment is gone"),
            ReadError::Engine(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

/// The chunks of a store. Clones share them; dropping the last one waits for the group under way.
#[derive(Clone)]
pub struct Blobs {
    shared: Arc<Shared>,
}

struct Shared {
    segments: Arc<SegmentSet>,
    buffers: Arc<Buffers>,
    /// Apart, so that slow bodies never keep the collector from making room.
    move_buffers: Arc<Buffers>,
    large: LargeLane,
    batches: Arc<BatchLanes>,
    repairs: Arc<Repairs>,
    /// For each pool by its number. Empty within `drop`, and if the segments are only looked at.
    queues: Vec<mpsc::Sender<Job>>,
    appenders: Vec<JoinHandle<()>>,
}

impl Blobs {
    /// Opens the segments. Costs a look at each file's name and size; blocks the thread for it.
    pub fn open(options: BlobsOptions) -> Result<Blobs> {
        let mut shared = Shared::new(options, OpenFor::Use)?;
        for pool in Pool::ALL {
            let (queue, jobs) = mpsc::channel(append::QUEUE_MAX);
            let segments = shared.segments.clone();
            let name = format!("append-{}", pool.name());
            let appender = thread::Builder::new().name(name).spawn(move || append::run(pool, segments, jobs));
            shared.queues.push(queue);
            shared.appenders.push(appender.map_err(|error| Error::io("start the appending thread", error))?);
        }
        Ok(Blobs { shared: Arc::new(shared) })
    }

    /// Opens the segments of a store that nobody has open, to be looked at: nothing is written, and nobody may ask for
    /// anything to be. Blocks the thread.
    pub fn open_to_read(options: BlobsOptions) -> Result<Blobs> {
        Ok(Blobs { shared: Arc::new(Shared::new(options, OpenFor::Inspection)?) })
    }

    /// Names content that is in memory.
    pub fn hash(content: &[u8]) -> (BlobId, PieceTable) {
        hash::hash(content)
    }

    /// Stores a chunk of 1 byte to [`SMALL_BYTES_MAX`] in a pool, under its name, which with the table must come from
    /// its hash.
    ///
    /// `Ok` means that it is on stable storage. `Err`, or dropping the future, means that nothing is known of it.
    pub async fn append(&self, pool: Pool, id: BlobId, content: Vec<Bytes>, table: PieceTable) -> Result<Placement> {
        let bytes: usize = content.iter().map(Bytes::len).sum();
        assert!((1..=SMALL_BYTES_MAX).contains(&bytes), "a small chunk has 1 byte to 1 MiB");
        assert_eq!(table.values().len(), hash::table_entries(bytes), "the table is that of the content");
        let (reply, answer) = oneshot::channel();
        let append = Append::new(&self.shared.segments.keys, (id, table), content, reply);
        self.queue(pool, Job::Append(append)).await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Begins a chunk of at most `plain_bytes`, 1 byte to `layout::CHUNK_BYTES_MAX`; its room on disk is reserved until it
    /// ends, so the best is to tell the exact size.
    pub async fn begin_large(&self, pool: Pool, plain_bytes: u64, stream: &StreamHint) -> Result<LargeWriter> {
        LargeWriter::begin(&self.shared.large, pool, self.shared.buffers.clone(), plain_bytes, stream).await
    }

    /// As [`Blobs::begin_large`], for a chunk that comes from another segment: it waits for no body.
    pub async fn begin_move(&self, pool: Pool, plain_bytes: u64) -> Result<LargeWriter> {
        let (buffers, hint) = (self.shared.move_buffers.clone(), StreamHint::new(None));
        LargeWriter::begin(&self.shared.large, pool, buffers, plain_bytes, &hint).await
    }

    /// Brings content, which with its name and table must come from its hash, into the form in which it is to be stored.
    /// Takes a processor for as long as it takes: for threads that may block. `pause` is called after each frame.
    pub fn prepare(id: BlobId, content: &[u8], table: PieceTable, form: Form, pause: &mut dyn FnMut()) -> Prepared {
        batch::prepare(id, content, table, form, pause)
    }

    /// Stores prepared chunks in the segments of a pool and returns their places in the same order.
    ///
    /// `Ok` means that all of them are on stable storage. `Err`, or dropping the future, means that nothing is known of
    /// any of them.
    pub async fn write_batch(&self, pool: Pool, records: Vec<Prepared>) -> Result<Vec<Placement>> {
        self.shared.batches.write(pool, records).await
    }

    /// Reads a whole chunk in its stored form, so that it can be stored elsewhere unchanged. All of it was verified
    /// against the name. Takes memory for the record and, if it is compressed, for one frame of 1 MiB.
    pub async fn stored(&self, id: &BlobId, placement: &Placement) -> ReadResult<Prepared> {
        let (table, stored) = self.source(id, placement).stored().await?;
        Ok(Prepared { id: *id, table, plain_bytes: placement.plain_bytes, stored })
    }

    /// The bytes of a prepared chunk as a record that lies in no segment, sealed. Takes a processor for as long as it takes.
    pub fn export(&self, record: &Prepared) -> Vec<u8> {
        portable::export(&self.shared.segments.keys, record)
    }

    /// The chunk in bytes that [`Blobs::export`] made, here or in a store with the same keys, verified against its name.
    /// Takes a processor for as long as it takes.
    pub fn import(&self, id: &BlobId, bytes: &[u8]) -> Result<Prepared> {
        portable::import(&self.shared.segments.keys, id, bytes)
    }

    /// How many reads found damage, or a disk that refused, and were served in another way.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the metrics of the store"))]
    pub fn repaired_reads(&self) -> u64 {
        self.shared.repairs.count()
    }

    /// Waits until all that the tickets stand for is on stable storage. After an `Err` none of it can be relied upon.
    pub async fn sync(&self, tickets: Vec<Ticket>) -> Result<()> {
        for ticket in tickets {
            // Tickets of a segment that was just synced return at once.
            ticket.synced().await?;
        }
        Ok(())
    }

    /// Reads a range of a chunk, at most some 1 MiB at a time. Only the 64 KiB pieces that the range touches are read,
    /// and all that is handed out was verified against the name.
    pub async fn read(&self, id: &BlobId, placement: &Placement, range: Range<u32>) -> ReadResult<Bytes> {
        self.source(id, placement).read(range).await
    }

    /// Reads a large range of a chunk piece by piece.
    pub fn reader(&self, id: &BlobId, placement: &Placement, range: Range<u32>) -> ChunkReader {
        ChunkReader::new(self.source(id, placement), range)
    }

    /// Whether the segment of a placement is there, and enough of its shards to read it, as far as is known.
    pub fn is_readable(&self, placement: &Placement) -> bool {
        self.shared.segments.is_readable(placement)
    }

    /// The segments there are, by id.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.shared.segments.list()
    }

    /// Opens every shard of a segment, to compare what they hold. `Err(Moved)` if there is no such segment. Blocks the
    /// thread, as do the calls of what it returns.
    pub fn examiner(&self, segment: u64) -> ReadResult<Examiner> {
        Examiner::open(&self.shared.segments, segment)
    }

    /// Where the shards of a segment are that may be used, so that a checkpoint can link to them; none if there is no
    /// such segment.
    pub fn segment_paths(&self, id: u64) -> Vec<PathBuf> {
        self.shared.segments.known_paths(id)
    }

    /// Lets no present segment take more chunks. Chunks on their way still end in the segment where they began.
    pub async fn seal_active(&self) -> Result<()> {
        self.shared.segments.close_all();
        self.shared.large.seal().await;
        let batches = self.shared.batches.clone();
        blocking(move || batches.seal()).await?;
        for pool in Pool::ALL {
            let (reply, answer) = oneshot::channel();
            self.queue(pool, Job::Seal(reply)).await?;
            answer.await.map_err(|_| Error::Closed)?;
        }
        Ok(())
    }

    /// Removes a segment from all zones that can be reached, and returns the bytes freed; 0 if there is none. Readers that have begun go on undisturbed.
    ///
    /// The caller answers for nothing in it being in use: no index row names it, and no placement in it is still on
    /// its way to becoming one. `Err(Conflict)` if it is not sealed.
    pub async fn remove_segment(&self, id: u64) -> Result<u64> {
        let segments = self.shared.segments.clone();
        blocking(move || segments.remove(id)).await?
    }

    /// The zones, by number, with what is in them. Looks at every segment there is.
    pub fn zones(&self) -> Vec<ZoneInfo> {
        self.shared.segments.zones()
    }

    /// Puts another disk under a zone.
    #[cfg(test)]
    pub fn set_disk(&self, zone: ZoneId, disk: impl crate::fs::Disk) {
        self.shared.segments.set_disk(zone, disk);
    }

    /// The room in a zone, as it was within the last second; `None` if it cannot be reached.
    pub fn room(&self, zone: ZoneId) -> Option<Room> {
        self.shared.segments.room(zone)
    }

    /// How many of the zones that take new segments have room, as it was within the last second.
    pub fn zones_with_room(&self) -> usize {
        self.shared.segments.zones_with_room()
    }

    /// Whether enough zones have room for more in a pool, as it was within the last second.
    pub fn has_room(&self, pool: Pool) -> bool {
        self.shared.segments.has_room(pool)
    }

    /// Whether so many bytes more for a pool leave room for removals in all zones that they may go to, as it is now.
    pub fn spares(&self, pool: Pool, bytes: u64) -> bool {
        self.shared.segments.spares(pool, bytes)
    }

    /// Takes a further zone into use, with the shards that are in it. `Err(Conflict)` if its number is in use already;
    /// another error if its directory cannot be listed.
    pub async fn add_zone(&self, zone: Zone) -> Result<()> {
        let segments = self.shared.segments.clone();
        blocking(move || segments.add_zone(zone)).await?
    }

    /// Changes what a zone is used for.
    ///
    /// `Lost`: nothing in it is read or written any more. Segments being written that have a shard in it take no more
    /// chunks; they can be rebuilt when they are sealed, of which [`Blobs::seal_active`] takes care. From `Lost` to
    /// another state: the directory is listed, and shards that are sound and whole are used again. An error leaves the
    /// zone lost. Segments that were removed meanwhile come back as ones in which nothing is live. `Draining`: no new
    /// segments.
    pub async fn set_zone_state(&self, id: ZoneId, state: ZoneState) -> Result<()> {
        let segments = self.shared.segments.clone();
        blocking(move || segments.set_zone_state(id, state)).await?
    }

    /// As [`Blobs::set_zone_state`], for threads that may block.
    pub fn set_zone_state_blocking(&self, id: ZoneId, state: ZoneState) -> Result<()> {
        self.shared.segments.set_zone_state(id, state)
    }

    /// Forgets a zone, with what may be left in it.
    pub async fn forget_zone(&self, id: ZoneId) -> Result<()> {
        let segments = self.shared.segments.clone();
        blocking(move || segments.forget_zone(id)).await
    }

    /// The shards of sealed segments that are missing, short or stale, as far as others suffice to rebuild them.
    pub fn damaged(&self) -> Vec<Damage> {
        self.shared.segments.damaged()
    }

    /// Makes a shard anew in a zone, from the others; also one that is there, which thereby moves. Returns the bytes
    /// written.
    ///
    /// `budget` is told before each step how many bytes it reads and writes; it may block the thread that it is called
    /// on, and its error ends the call. What is read is not verified here: damage in the others makes a shard that is
    /// damaged in the same place, so whoever calls it has seen that the records in use are sound. `Err(Conflict)` if the
    /// segment is not sealed or gone, if too few others are there, if the zone is not active, or if the shard is being
    /// rebuilt already. No two shards should come to be in one zone, which is up to the caller. Dropping the future does
    /// not stop it.
    pub async fn rebuild_shard(
        &self,
        segment: u64,
        shard: u8,
        zone: ZoneId,
        mut budget: impl FnMut(u64) -> Result<()> + Send + 'static,
    ) -> Result<u64> {
        let segments = self.shared.segments.clone();
        blocking(move || segments.rebuild(segment, shard, zone, &mut budget)).await?
    }

    /// Files of shards that are not used, because another file has their place.
    pub fn strays(&self) -> Vec<Stray> {
        self.shared.segments.strays()
    }

    /// Removes such a file.
    pub async fn remove_stray(&self, stray: Stray) -> Result<()> {
        let segments = self.shared.segments.clone();
        blocking(move || segments.remove_stray(&stray)).await?
    }

    async fn queue(&self, pool: Pool, job: Job) -> Result<()> {
        let queue = &self.shared.queues[usize::from(pool.number())];
        queue.send(job).await.map_err(|_| Error::Closed)
    }

    fn source(&self, id: &BlobId, placement: &Placement) -> Source {
        let Shared { segments, buffers, repairs, .. } = &*self.shared;
        let (segments, buffers, repairs) = (segments.clone(), buffers.clone(), repairs.clone());
        Source { segments, buffers, repairs, id: *id, placement: *placement }
    }
}

impl Shared {
    /// Without threads that append.
    fn new(options: BlobsOptions, purpose: OpenFor) -> Result<Shared> {
        let write_buffers_max = options.write_buffers_max;
        let segments = Arc::new(SegmentSet::open(options, purpose)?);
        Ok(Shared {
            large: LargeLane::new(segments.clone()),
            batches: Arc::new(BatchLanes::new(segments.clone())),
            repairs: Arc::default(),
            segments,
            buffers: Arc::new(Buffers::new(write_buffers_max)),
            move_buffers: Arc::new(Buffers::new(MOVE_BUFFERS_MAX)),
            queues: Vec::new(),
            appenders: Vec::new(),
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queues.clear();
        for appender in self.appenders.drain(..) {
            // A panic of the thread has failed its callers already.
            let _ = appender.join();
        }
    }
}

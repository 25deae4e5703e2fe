//! The store: opened once per data directory, shared by everything that serves from it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::access::Accesses;
use crate::backup::{Backups, forget_moment};
use crate::blob::{Blobs, BlobsOptions, IDS_SKIPPED};
use crate::cipher::{DataKey, KeyStatus, Keys, MasterKey};
use crate::clock::{Clock, Entropy, SystemClock, SystemEntropy};
use crate::deed::Deed;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::event::{Asked, Event};
use crate::index::{Family, Index};
use crate::lanes::Lanes;
use crate::lifecycle::Calendar;
use crate::live::Listeners;
use crate::locks::{Locks, Pins, Readers};
use crate::meter::{self, Meter};
use crate::pool::Pool;
use crate::queue::{Arrivals, latest_task};
use crate::quota::Quotas;
use crate::restore::{RestoreTimes, Restores};
use crate::room::{Commits, Gauge, Room, SystemGauge};
use crate::store_buckets::BucketCache;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, broadcast};
use crate::worker::{self, Evaluated, TakesReports, WorkerStatus};
use crate::zone::{Trouble, ZoneId, ZoneState};
use crate::zones::{self, ZoneOptions, Zones};

/// How long an open waits for a store that is closing in the same directory.
const CLOSING_AWAITED: Duration = Duration::from_secs(2);
const CLOSING_LOOKED_FOR_EVERY: Duration = Duration::from_millis(10);
/// Previews under way at once: each holds a page of versions in memory and reads the index.
const PREVIEWS_MAX: usize = 2;
/// The shortest time between looks at what is due, however short a day is.
const EVALUATE_EVERY_MIN: Duration = Duration::from_millis(10);

/// How to open a store. Every field has a sensible default.
#[derive(Clone)]
pub struct OpenOptions {
    /// The data directory; made if it is missing.
    pub directory: PathBuf,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from. With a master key it must never repeat itself for the same store, or what is encrypted
    /// can be read by others.
    pub entropy: Arc<dyn Entropy>,
    /// Says how much room there is for the data directory. Default [`SystemGauge`].
    pub gauge: Arc<dyn Gauge>,
    /// The size at which a segment is sealed, in bytes. Default 1 GiB.
    pub segment_bytes: u64,
    /// RocksDB's block cache, in bytes. Default 256 MiB; the index takes some 400 bytes for each small object.
    pub cache_bytes: usize,
    /// The least size of a part that is not the last, in bytes. Default 5 MiB, as S3 has it.
    pub part_bytes_min: u64,
    /// How often the mover looks for versions whose chunks are not where they belong, and for restores that are due;
    /// it also does when one is asked for. `None` only when [`Store::settle`] is called. Default 1 s.
    pub settle_every: Option<Duration>,
    /// How long restores take, and how many of the fastest there may be.
    pub restore_times: RestoreTimes,
    /// How often unreferenced bytes are collected; `None` only when [`Store::collect`] is called. Default 30 s.
    pub collect_every: Option<Duration>,
    /// How often it is looked whether a day of storage-class analyses is over; `None` only when [`Store::analyze`] is
    /// called. Default an hour.
    pub analyze_every: Option<Duration>,
    /// Asked before a report of an analysis is put into a bucket, which must be of the same account. Default: always.
    pub takes_reports: Arc<TakesReports>,
    /// Buffers of 1 MiB for large bodies on their way in; each is made when it is first needed. A body whose client has
    /// come to a halt keeps one, so have more of them than bodies at once. Default 320, for 256 bodies.
    pub write_buffers_max: usize,
    /// The zones: directories, in production a disk each, that the bytes of objects are spread over. None means that the
    /// data directory is the only one, or that the zones are those that the store was last opened with.
    pub zones: Vec<ZoneOptions>,
    /// How often the zones are looked at, and what they lack is rebuilt; `None` only when [`Store::heal`] is called.
    /// Default 1 s.
    pub heal_every: Option<Duration>,
    /// How often everything at rest is read and verified by itself; `None` only when [`Store::start_scrub`] or
    /// [`Store::scrub`] is called. Default 30 days.
    pub scrub_every: Option<Duration>,
    /// What background work may read and write a second, in bytes; an eighth of it while requests are served.
    /// Default 256 MiB.
    pub background_bytes_per_second: u64,
    /// How long a day of lifecycle rules is. Default 24 hours; less makes their time run faster.
    pub lifecycle_day: Duration,
    /// How often it is looked for what lifecycle and tiering have made due, at least four times a day of theirs; `None`
    /// only when [`Store::evaluate`] is called. Default 1 s.
    pub evaluate_every: Option<Duration>,
    /// Wraps the keys that what is stored is encrypted with. `None` stores in plain, which only a store can that was
    /// never opened with one; a store that began plain and gets one encrypts what is written from then on.
    pub master_key: Option<MasterKey>,
}

impl OpenOptions {
    /// The defaults, for `directory`.
    pub fn new(directory: impl AsRef<Path>) -> OpenOptions {
        OpenOptions {
            directory: directory.as_ref().to_path_buf(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            gauge: Arc::new(SystemGauge),
            segment_bytes: 1 << 30,
            cache_bytes: 256 << 20,
            part_bytes_min: 5 << 20,
            settle_every: Some(Duration::from_secs(1)),
            restore_times: RestoreTimes::default(),
            collect_every: Some(Duration::from_secs(30)),
            analyze_every: Some(Duration::from_secs(60 * 60)),
            takes_reports: Arc::new(|_| true),
            write_buffers_max: 320,
            zones: Vec::new(),
            heal_every: Some(Duration::from_secs(1)),
            scrub_every: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            background_bytes_per_second: 256 << 20,
            lifecycle_day: Duration::from_secs(24 * 60 * 60),
            evaluate_every: Some(Duration::from_secs(1)),
            master_key: None,
        }
    }
}

/// What a store says of its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreStatus {
    /// Reads and writes are served.
    Ready,
    /// A sync failed: reads are served, writes are refused until the store is reopened.
    ReadOnly,
}

/// An open store. Clones share it; the data directory is released when the last clone, and everything opened through
/// it, is dropped.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
    /// Whom events name as the one who asked.
    asked: Option<Arc<AskedBy>>,
}

/// Tells who asks. Called only where an event is to be written.
pub(crate) type AskedBy = dyn Fn() -> Asked + Send + Sync;

/// What the paths of the engine share.
pub(crate) struct Inner {
    pub(crate) index: Index,
    pub(crate) blobs: Blobs,
    pub(crate) lanes: Lanes,
    pub(crate) locks: Locks,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) listeners: Listeners,
    pub(crate) pins: Arc<Pins>,
    pub(crate) readers: Arc<Readers>,
    pub(crate) writers: Arc<Readers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) buckets: BucketCache,
    pub(crate) collector: worker::Collector,
    pub(crate) healer: worker::Healer,
    pub(crate) scrubber: worker::Scrubber,
    pub(crate) backups: Backups,
    pub(crate) zones: Zones,
    pub(crate) mover: worker::Mover,
    pub(crate) restores: Restores,
    pub(crate) budget: Arc<worker::Budget>,
    pub(crate) workers: worker::Workers,
    pub(crate) due: worker::DueWorker,
    pub(crate) accesses: Accesses,
    pub(crate) meter: Meter,
    pub(crate) quotas: Quotas,
    pub(crate) reads: worker::Reads,
    pub(crate) takes_reports: Arc<TakesReports>,
    /// Previews that may be under way.
    pub(crate) previews: Semaphore,
    /// What the storage-class analyses say of themselves.
    pub(crate) analytics: Arc<worker::Progress>,
    pub(crate) part_bytes_min: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) calendar: Calendar,
    /// The time of the newest stamp, in nanoseconds.
    pub(crate) last_stamp: Mutex<u64>,
    pub(crate) directory: Directory,
    pub(crate) gauge: Arc<dyn Gauge>,
    closed: AtomicBool,
}

impl Inner {
    /// Refuses work once the store is closing.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Refuses work that could not be made durable.
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        if self.index.is_poisoned() { Err(Error::Poisoned) } else { Ok(()) }
    }

    /// Refuses more bytes while the index's disk is nearly full. `Err(NoSpace)` until space was freed.
    pub(crate) fn check_room(&self) -> Result<()> {
        let room = self.gauge.room(self.directory.path()).map_err(|error| Error::io("look for free space", error))?;
        if room.takes_more() { Ok(()) } else { Err(Error::NoSpace { action: "store more" }) }
    }

    /// Whether there is room for delete markers.
    pub(crate) fn takes_markers(&self) -> bool {
        matches!(self.commits(), Commits::All | Commits::Covering)
    }

    /// Whether there is room for what makes some.
    pub(crate) fn takes_removals(&self) -> bool {
        self.commits() != Commits::None
    }

    fn commits(&self) -> Commits {
        self.gauge.room(self.directory.path()).map_or(Commits::All, Room::commits)
    }

    /// Refuses bytes that could not be made durable, or that would leave no room for removing others.
    pub(crate) fn check_takes_bytes(&self) -> Result<()> {
        self.check_writable()?;
        self.check_room()?;
        // Whatever is stored is stored as hot first.
        if self.blobs.has_room(Pool::Hot) { Ok(()) } else { Err(Error::NoSpace { action: "store more" }) }
    }
}

impl Store {
    /// Opens the data directory, making it if it is missing.
    ///
    /// `Err(Locked)` if another process has it and keeps it, `Err(UnknownFormat)` if a newer build wrote it,
    /// `Err(MasterKeyMissing)` or `Err(MasterKeyWrong)` if it takes another master key; then nothing was touched.
    pub async fn open(options: OpenOptions) -> Result<Store> {
        let (collect_every, settle_every) = (options.collect_every, options.settle_every);
        let (evaluate_every, heal_every) = (options.evaluate_every, options.heal_every);
        let analyze_every = options.analyze_every;
        let inner = Arc::new(open_when_free(options).await?);
        if let Some(every) = collect_every {
            worker::spawn(Arc::downgrade(&inner), every);
        }
        meter::spawn(Arc::downgrade(&inner));
        worker::spawn_scrubber(Arc::downgrade(&inner));
        if let Some(every) = heal_every {
            worker::spawn_healer(Arc::downgrade(&inner), every);
        }
        if let Some(every) = settle_every {
            worker::spawn_mover(&inner, every);
        }
        if let Some(every) = evaluate_every {
            let every = every.min(inner.calendar.day() / 4).max(EVALUATE_EVERY_MIN);
            worker::spawn_due(Arc::downgrade(&inner), every);
            worker::spawn_accesses(&inner);
        }
        if let Some(every) = analyze_every {
            worker::spawn_analyses(Arc::downgrade(&inner), every);
        }
        Ok(Store::of(inner))
    }

    /// A store as it does things by itself.
    pub(crate) fn of(inner: Arc<Inner>) -> Store {
        Store { inner, asked: None }
    }

    /// The same store; events of what is done through it name the one whom `asked` tells as the one who asked for it.
    pub fn asked_by(&self, asked: impl Fn() -> Asked + Send + Sync + 'static) -> Store {
        Store { inner: Arc::clone(&self.inner), asked: Some(Arc::new(asked)) }
    }

    pub(crate) fn asked(&self) -> Option<&AskedBy> {
        self.asked.as_deref()
    }

    /// What happens from now on to objects of all buckets, each event once its change is durable. A receiver that is slow is
    /// told how many events it has missed. While there is none, nothing is made for it.
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.inner.listeners.subscribe()
    }

    /// What the store does of itself from now on in buckets that have a document of logging, as [`Store::events`].
    pub fn deeds(&self) -> broadcast::Receiver<Arc<Deed>> {
        self.inner.listeners.subscribe_deeds()
    }

    /// Whether writes are served.
    pub fn status(&self) -> StoreStatus {
        if self.inner.check_writable().is_ok() { StoreStatus::Ready } else { StoreStatus::ReadOnly }
    }

    /// The days by which lifecycle rules count.
    pub fn calendar(&self) -> Calendar {
        self.inner.calendar
    }

    /// Where the store takes randomness from.
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.inner.entropy
    }

    /// The key for a purpose of whoever embeds the engine. The same store always gives the same key for a purpose, across
    /// restarts and changes of the master key. `Err(MasterKeyMissing)` if it was opened without a master key.
    pub fn derived_key(&self, purpose: &str) -> Result<DataKey> {
        self.inner.keys.derived(purpose)
    }

    /// What is known about the store's keys; `None` if it was opened without a master key.
    pub fn key_status(&self) -> Option<KeyStatus> {
        self.inner.keys.status()
    }

    /// Makes `new` the master key, and encrypts what is written from now on with a further data key.
    ///
    /// `Ok` means that the store can be opened with `new` from now on, and still with the master key that it was opened
    /// with, until it was once opened with `new`: so whoever keeps the key can replace it now. After `Err` the present
    /// one stays good. Nothing that is stored is written anew.
    pub async fn rotate_master_key(&self, new: MasterKey) -> Result<()> {
        self.inner.check_writable()?;
        let keys = Arc::clone(&self.inner.keys);
        crate::fs::blocking(move || keys.rotate(new)).await?
    }

    /// Waits for the commits, the collection, the lifecycle work and the step of the mover under way and refuses further
    /// writes with `Err(Closed)`.
    pub async fn close(&self) -> Result<()> {
        if self.inner.check_writable().is_ok()
            && let Err(error) = self.flush_accesses().await
        {
            tracing::warn!(%error, "accesses could not be stored; these reads do not count");
        }
        self.inner.closed.store(true, Ordering::Release);
        self.inner.budget.close();
        self.inner.backups.stop().await;
        self.inner.mover.wait().await;
        self.inner.healer.wait().await;
        self.inner.zones.wait().await;
        self.inner.collector.wait().await;
        self.inner.due.wait().await;
        // As below: without the place some of what was read is read again.
        let _ = self.inner.scrubber.stop(&self.inner).await;
        // The index may refuse it after a failed sync; then the last minute's counts are lost, and nothing else.
        let _ = meter::flush(&self.inner).await;
        self.inner.index.close().await;
        Ok(())
    }

    /// What the background workers say of themselves.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.inner.workers.statuses()
    }

    /// Brings every object to where its storage class and tier want it, and finishes the restores whose time has come.
    /// Returns how many versions were changed. What others are at meanwhile is left to a later call.
    ///
    /// Dropping the future stops nothing: the work goes on to its end.
    pub async fn settle(&self) -> Result<u64> {
        worker::settle(&self.inner).await
    }

    /// Releases the bytes of what was deleted or overwritten, and rewrites segments that are mostly dead. One pass;
    /// returns the number of bytes freed on disk. What a reader still holds is left to a later pass.
    pub async fn collect(&self) -> Result<u64> {
        worker::collect(&self.inner).await
    }

    /// Does all that lifecycle rules, tiering and restores have made due by now, after setting the timers of buckets
    /// whose rules have changed. It goes on by itself as [`OpenOptions::evaluate_every`] says; this is for whoever
    /// cannot wait. Dropping the future does not stop it.
    pub async fn evaluate(&self) -> Result<Evaluated> {
        worker::evaluate(&self.inner).await
    }

    /// Stores which versions of INTELLIGENT_TIERING were read lately, which happens by itself every minute. What is not
    /// stored when the process dies counts as not read.
    pub async fn flush_accesses(&self) -> Result<()> {
        worker::flush_accesses(&self.inner).await
    }

    /// Writes a consistent, openable copy of the store to `directory`, which must not exist yet; segments are hard
    /// links where the file system allows. Serving goes on meanwhile.
    pub async fn checkpoint(&self, directory: &Path) -> Result<()> {
        worker::checkpoint(&self.inner, directory).await
    }
}

/// Opens the store, waiting a little for one that was just closed: its last tasks let go of the directory when they end.
async fn open_when_free(options: OpenOptions) -> Result<Inner> {
    let deadline = Instant::now() + CLOSING_AWAITED;
    loop {
        let options = options.clone();
        let opened = tokio::task::spawn_blocking(move || open(options)).await.map_err(|_| Error::Closed)?;
        if !matches!(opened, Err(Error::Locked)) || Instant::now() >= deadline {
            return opened;
        }
        tokio::time::sleep(CLOSING_LOOKED_FOR_EVERY).await;
    }
}

/// Blocking.
fn open(options: OpenOptions) -> Result<Inner> {
    let mut directory = Directory::open(&options.directory, options.entropy.as_ref())?;
    forget_moment(directory.path())?;
    let keys = Arc::new(directory.open_keys(options.master_key.as_ref(), &options.entropy)?);
    let index = Index::open(&directory.index(), options.cache_bytes, Arc::clone(&options.gauge))?;
    let zones::Opened { zones, places, draining, replaced } =
        zones::open(&index, &options.zones, directory.path(), directory.store_id)?;
    let blobs = Blobs::open(BlobsOptions {
        zones: places,
        on_trouble: Arc::new(|trouble: Trouble| {
            let Trouble { zone: ZoneId(zone), segment, error } = trouble;
            tracing::warn!(zone, segment, error, "a call in a zone failed");
        }),
        segment_bytes: options.segment_bytes,
        write_buffers_max: options.write_buffers_max,
        store_id: directory.store_id,
        clock: Arc::clone(&options.clock),
        keys: Arc::clone(&keys),
        next_segment: next_segment(&index)?.saturating_add(if replaced { IDS_SKIPPED } else { 0 }),
    })?;
    for zone in draining {
        let is_there = |info: &crate::zone::ZoneInfo| info.id == zone && info.state == ZoneState::Active;
        if blobs.zones().iter().any(is_there) {
            blobs.set_zone_state_blocking(zone, ZoneState::Draining)?;
        }
    }
    let workers = worker::Workers::default();
    let budget = Arc::new(worker::Budget::new(options.background_bytes_per_second));
    let mover = worker::Mover::start(&workers, &budget)?;
    let last_task = latest_task(&index.rows())?;
    Ok(Inner {
        index,
        blobs,
        lanes: Lanes::start()?,
        locks: Locks::new(),
        arrivals: Arrivals::new(),
        listeners: Listeners::new(),
        pins: Arc::default(),
        readers: Arc::default(),
        writers: Arc::default(),
        clock: options.clock,
        entropy: options.entropy,
        keys,
        buckets: BucketCache::default(),
        collector: worker::Collector::new(&workers),
        healer: worker::Healer::new(&workers),
        scrubber: worker::Scrubber::new(&workers, options.scrub_every),
        backups: Backups::new(&workers),
        zones,
        mover,
        restores: Restores::new(options.restore_times),
        budget,
        due: worker::DueWorker::new(&workers),
        analytics: workers.register("analytics"),
        workers,
        accesses: Accesses::new(),
        meter: Meter::default(),
        quotas: Quotas::default(),
        reads: worker::Reads::default(),
        takes_reports: Arc::clone(&options.takes_reports),
        previews: Semaphore::new(PREVIEWS_MAX),
        part_bytes_min: options.part_bytes_min,
        segment_bytes: options.segment_bytes,
        calendar: Calendar::new(options.lifecycle_day),
        last_stamp: Mutex::new(last_task.as_nanos()),
        directory,
        gauge: options.gauge,
        closed: AtomicBool::new(false),
    })
}

/// Above every segment that the index speaks of, so that a new segment is never taken for an old one.
pub(crate) fn next_segment(index: &Index) -> Result<u64> {
    let rows = index.rows();
    let mut next = 1;
    for family in [Family::Segment, Family::Placement] {
        if let Some((row, _)) = rows.last(family)?
            && let Some(id) = row.first_chunk::<8>()
        {
            next = next.max(u64::from_be_bytes(*id).saturating_add(1));
        }
    }
    Ok(next)
}

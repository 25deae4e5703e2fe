//! Records what happens to the files below one directory of this process, and makes single calls fail.
//!
//! The hooks (`hooks`) ask it before and tell it after each call, under one lock, so that the log has the order in which
//! things happened. Syncs are recorded and not done: the power is only ever cut in the log.

use std::collections::HashMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::image::Image;
use crate::log::{Entry, Kind, Name, NodeId, ROOT};

/// Whether anything is recorded, so that other calls cost nothing.
static ACTIVE: AtomicBool = AtomicBool::new(false);
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);
/// Held by the test that records: there is one recorder in a process.
static ALONE: Mutex<()> = Mutex::new(());

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The device is broken: `EIO`. A write leaves half of its bytes behind.
    Broken,
    /// The device is full: `ENOSPC`, where a call can say so. A write leaves half of its bytes behind.
    Full,
    /// Too many files are open: `EMFILE`, where a file is opened or made.
    Descriptors,
    /// A write takes half of the bytes, and says so.
    Short,
}

/// Which calls fail.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The number of the first one, counted from 1 over all calls that change something, or open a file.
    pub call: u64,
    /// How it fails.
    pub failure: Failure,
    /// Whether all later ones do too.
    pub for_good: bool,
}

/// What a call is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// To open what is there.
    Open,
    /// To write bytes.
    Write,
    /// To make something durable.
    Sync,
    /// To make a file, and open it.
    Create,
    /// To make, reserve or rename something.
    Make,
    /// To remove something.
    Remove,
}

/// The recorder of one directory.
pub struct Recorder {
    root: PathBuf,
    names: HashMap<PathBuf, NodeId>,
    open: HashMap<c_int, NodeId>,
    next: NodeId,
    log: Vec<Entry>,
    plan: Option<Plan>,
    calls: u64,
    failed: Option<Call>,
}

impl Recorder {
    fn new(root: &Path, start: &Image) -> Recorder {
        let mut names = HashMap::from([(root.to_path_buf(), ROOT)]);
        let mut paths = HashMap::from([(ROOT, root.to_path_buf())]);
        let mut next = 1;
        for (node, name, _) in start.nodes() {
            let path = paths[&name.within].join(&name.name);
            names.insert(path.clone(), node);
            paths.insert(node, path);
            next = node + 1;
        }
        Recorder {
            root: root.to_path_buf(),
            names,
            open: HashMap::new(),
            next,
            log: Vec::new(),
            plan: None,
            calls: 0,
            failed: None,
        }
    }

    /// Whether it looks after that path.
    pub fn watches(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// Decides whether the call that comes now fails, and how.
    pub fn fails(&mut self, call: Call) -> Option<Failure> {
        self.calls += 1;
        let plan = self.plan?;
        let now = self.calls == plan.call || (plan.for_good && self.calls > plan.call);
        let fits = match plan.failure {
            Failure::Broken => true,
            Failure::Full => matches!(call, Call::Write | Call::Sync | Call::Make | Call::Create),
            Failure::Descriptors => matches!(call, Call::Open | Call::Create),
            Failure::Short => call == Call::Write,
        };
        if !(now && fits) {
            return None;
        }
        self.failed = self.failed.or(Some(call));
        Some(plan.failure)
    }

    /// The file that a descriptor is of, if it is watched.
    pub fn node(&self, descriptor: c_int) -> Option<NodeId> {
        self.open.get(&descriptor).copied()
    }

    /// Whether there is such a file or directory.
    pub fn has(&self, path: &Path) -> bool {
        self.names.contains_key(path)
    }

    fn name(&self, path: &Path) -> Option<Name> {
        let within = *self.names.get(path.parent()?)?;
        Some(Name { within, name: path.file_name()?.to_owned() })
    }

    /// Takes note of something new.
    pub fn made(&mut self, path: &Path, kind: Kind) {
        let Some(at) = self.name(path) else { return };
        let node = self.next;
        self.next += 1;
        self.names.insert(path.to_path_buf(), node);
        self.log.push(Entry::Create { at, node, kind });
    }

    /// Takes note of an open descriptor.
    pub fn opened(&mut self, path: &Path, descriptor: c_int, emptied: bool) {
        let Some(&node) = self.names.get(path) else { return };
        self.open.insert(descriptor, node);
        if emptied {
            self.log.push(Entry::Resize { node, bytes: 0 });
        }
    }

    /// Takes note that a descriptor is about to be closed.
    pub fn closes(&mut self, descriptor: c_int) {
        self.open.remove(&descriptor);
    }

    /// Takes note of bytes.
    pub fn wrote(&mut self, node: NodeId, offset: u64, bytes: &[u8]) {
        self.log.push(Entry::Write { node, offset, bytes: bytes.to_vec() });
    }

    /// Takes note of a new size.
    pub fn resized(&mut self, node: NodeId, bytes: u64) {
        self.log.push(Entry::Resize { node, bytes });
    }

    /// Takes note of a sync, and of how it went.
    pub fn synced(&mut self, node: NodeId, well: bool) {
        self.log.push(if well { Entry::Sync { node } } else { Entry::SyncFailed { node } });
    }

    /// Takes note of a further name.
    pub fn linked(&mut self, from: &Path, to: &Path) {
        if let (Some(&node), Some(at)) = (self.names.get(from), self.name(to)) {
            self.names.insert(to.to_path_buf(), node);
            self.log.push(Entry::Link { at, node });
        }
    }

    /// Takes note that a name is gone.
    pub fn removed(&mut self, path: &Path) {
        if let (Some(at), Some(node)) = (self.name(path), self.names.remove(path)) {
            self.log.push(Entry::Unlink { at, node });
        }
    }

    /// Takes note of another name, also for what is below a directory.
    pub fn renamed(&mut self, from: &Path, to: &Path) {
        let (Some(old), Some(new), Some(&node)) = (self.name(from), self.name(to), self.names.get(from)) else {
            return;
        };
        let below: Vec<PathBuf> = self.names.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in below {
            let rest = path.strip_prefix(from).expect("it was chosen so");
            // Joining nothing would add a slash.
            let moved = if rest.as_os_str().is_empty() { to.to_path_buf() } else { to.join(rest) };
            if let Some(node) = self.names.remove(&path) {
                self.names.insert(moved, node);
            }
        }
        self.log.push(Entry::Rename { from: old, to: new, node });
    }
}

/// The recorder, while there is one. The lock is held until the guard is dropped: to the end of the call.
pub fn active() -> Option<MutexGuard<'static, Option<Recorder>>> {
    if !ACTIVE.load(Ordering::Acquire) {
        return None;
    }
    Some(lock()).filter(|recorder| recorder.is_some())
}

fn lock() -> MutexGuard<'static, Option<Recorder>> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A recording under way. Dropping it ends it.
pub struct Recording {
    _alone: MutexGuard<'static, ()>,
}

/// Records what happens below `root`, which holds `start`, once no other test does. The calls of `plan` fail.
pub fn record(root: &Path, start: &Image, plan: Option<Plan>) -> Recording {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut recorder = Recorder::new(root, start);
    recorder.plan = plan;
    *lock() = Some(recorder);
    ACTIVE.store(true, Ordering::Release);
    Recording { _alone: alone }
}

impl Recording {
    fn with<T>(&self, look: impl FnOnce(&mut Recorder) -> T) -> T {
        look(lock().as_mut().expect("it lives as long as the recording"))
    }

    /// How many entries the log has by now.
    pub fn at(&self) -> usize {
        self.with(|recorder| recorder.log.len())
    }

    /// The log up to now.
    pub fn log(&self) -> Vec<Entry> {
        self.with(|recorder| recorder.log.clone())
    }

    /// How many calls there were that may be made to fail.
    pub fn calls(&self) -> u64 {
        self.with(|recorder| recorder.calls)
    }

    /// What the first call that failed was about to do.
    pub fn failed(&self) -> Option<Call> {
        self.with(|recorder| recorder.failed)
    }

    /// From now on the calls of `plan` fail, which counts those to come from 1.
    pub fn plan(&self, plan: Plan) {
        self.with(|recorder| recorder.plan = Some(Plan { call: recorder.calls + plan.call, ..plan }));
    }

    /// Lets no further call fail.
    pub fn repair(&self) {
        self.with(|recorder| recorder.plan = None);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        ACTIVE.store(false, Ordering::Release);
        *lock() = None;
    }
}

//! A disk as the log leaves it: what is durable, and apart from it what was not synced yet. Pure.
//!
//! A sync of a file makes its bytes durable, and not its name; a sync of a directory makes the names in it durable, and
//! not its own. Real file systems promise more (ext4 brings a new file's name along), so what survives here survives there.
//! Changes of names reach the disk in their order within each directory, as all journals have it: RocksDB relies on that
//! when it makes a MANIFEST and then names it in CURRENT, with one sync for both.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::file::{Change, File, Growth};
use crate::habit::Habit;
use crate::image::Image;
use crate::log::{Entry, Kind, Name, NodeId, ROOT};

/// The names in a directory.
pub type Names = BTreeMap<OsString, NodeId>;

/// The directories, each with its names.
type Directories = HashMap<NodeId, Names>;

/// A change of names that was not synced yet.
#[derive(Debug, Clone)]
struct NameChange {
    /// Its place in the log.
    at: usize,
    node: NodeId,
    removed: Option<Name>,
    added: Option<Name>,
}

impl NameChange {
    fn is_in(&self, directory: NodeId) -> bool {
        self.removed.iter().chain(&self.added).any(|name| name.within == directory)
    }
}

/// The disk.
#[derive(Debug, Clone)]
pub struct Disk {
    files: HashMap<NodeId, File>,
    /// With the names that are durable.
    directories: Directories,
    renamed: Vec<NameChange>,
    /// How many entries of the log it has seen.
    at: usize,
}

impl Disk {
    /// A disk on which all of `image` is durable. Nodes are numbered in its order, from 1.
    pub fn of(image: &Image) -> Disk {
        let directories = Directories::from([(ROOT, Names::new())]);
        let mut disk = Disk { files: HashMap::new(), directories, renamed: Vec::new(), at: 0 };
        for (node, at, content) in image.nodes() {
            let kind = if content.is_some() { Kind::File } else { Kind::Directory };
            disk.add(node, kind, content.map(Arc::clone).unwrap_or_default());
            rename(&NameChange { at: 0, node, removed: None, added: Some(at) }, &mut disk.directories);
        }
        disk
    }

    fn add(&mut self, node: NodeId, kind: Kind, bytes: Arc<Vec<u8>>) {
        match kind {
            Kind::File => drop(self.files.insert(node, File::of(bytes))),
            Kind::Directory => drop(self.directories.insert(node, Names::new())),
        }
    }

    fn file(&mut self, node: NodeId) -> &mut File {
        self.files.get_mut(&node).expect("only files are written to")
    }

    /// Takes over the next entry of the log.
    pub fn apply(&mut self, entry: &Entry) {
        let at = self.at;
        self.at += 1;
        let mut rename = |node, removed, added| self.renamed.push(NameChange { at, node, removed, added });
        match entry.clone() {
            Entry::Create { at, node, kind } => {
                rename(node, None, Some(at));
                self.add(node, kind, Arc::default());
            }
            Entry::Link { at, node } => rename(node, None, Some(at)),
            Entry::Unlink { at, node } => rename(node, Some(at), None),
            Entry::Rename { from, to, node } => rename(node, Some(from), Some(to)),
            Entry::Write { node, offset, bytes } => self.file(node).change(at, Change::Write(offset, bytes.into())),
            Entry::Resize { node, bytes } => self.file(node).change(at, Change::Resize(bytes)),
            Entry::Sync { node } => self.sync(node),
            Entry::SyncFailed { node } => {
                if let Some(file) = self.files.get_mut(&node) {
                    file.sync_failed();
                }
            }
        }
    }

    fn sync(&mut self, node: NodeId) {
        if let Some(file) = self.files.get_mut(&node) {
            return file.sync();
        }
        let (synced, left): (Vec<NameChange>, _) =
            std::mem::take(&mut self.renamed).into_iter().partition(|change| change.is_in(node));
        self.renamed = left;
        synced.iter().for_each(|change| rename(change, &mut self.directories));
    }

    /// What a crash leaves now. Each call with the same disk and habit draws anew.
    pub fn crash(&self, habit: &mut Habit) -> Image {
        let mut directories = self.directories.clone();
        let mut stopped = BTreeSet::new();
        for change in &self.renamed {
            let within = || change.removed.iter().chain(&change.added).map(|name| name.within);
            if within().any(|directory| stopped.contains(&directory)) || !habit.keeps(change.at) {
                stopped.extend(within());
            } else {
                rename(change, &mut directories);
            }
        }
        let mut image = Image::default();
        self.gather(ROOT, &mut Vec::new(), &directories, habit, &mut image);
        image
    }

    /// Adds what is below a directory.
    fn gather(
        &self,
        directory: NodeId,
        path: &mut Vec<OsString>,
        directories: &Directories,
        habit: &mut Habit,
        image: &mut Image,
    ) {
        for (name, node) in &directories[&directory] {
            path.push(name.clone());
            match self.files.get(node) {
                Some(file) => image.add_file(path, file.crash(habit, growth(name))),
                None => {
                    image.add_directory(path);
                    self.gather(*node, path, directories, habit, image);
                }
            }
            path.pop();
        }
    }
}

/// Does a change of names. Those that another node has taken over meanwhile are left alone.
fn rename(change: &NameChange, directories: &mut Directories) {
    if let Some(Name { within, name }) = &change.removed
        && let Some(names) = directories.get_mut(within)
        && names.get(name) == Some(&change.node)
    {
        names.remove(name);
    }
    if let Some(Name { within, name }) = &change.added
        && let Some(names) = directories.get_mut(within)
    {
        names.insert(name.clone(), change.node);
    }
}

/// RocksDB takes a list of its files whose last entry is not what it should be for one that was damaged, and relies on a file
/// not being longer than what was written of it. Nothing else that is stored does.
fn growth(name: &OsStr) -> Growth {
    match name.to_string_lossy().starts_with("MANIFEST-") {
        true => Growth::AfterBytes,
        false => Growth::Anyhow,
    }
}

//! The content of a directory tree: what a crash leaves, and what a store is opened on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::log::{Name, NodeId, ROOT};

/// Paths below the root in order, so that a directory comes before what is in it; `None` for directories.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image(BTreeMap<PathBuf, Option<Arc<Vec<u8>>>>);

impl Image {
    /// What there is below a directory of the machine.
    pub fn read(root: &Path) -> Image {
        let mut image = Image::default();
        let mut left = vec![root.to_path_buf()];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(&directory).expect("a directory can be listed") {
                let path = entry.expect("a directory can be listed").path();
                let below = path.strip_prefix(root).expect("it is below").to_path_buf();
                if path.is_dir() {
                    image.0.insert(below, None);
                    left.push(path);
                } else {
                    image.0.insert(below, Some(Arc::new(std::fs::read(&path).expect("a file can be read"))));
                }
            }
        }
        image
    }

    /// Makes it all in an empty directory of the machine.
    pub fn write(&self, root: &Path) {
        for (path, content) in &self.0 {
            match content {
                None => std::fs::create_dir(root.join(path)).expect("a directory can be made"),
                Some(bytes) => std::fs::write(root.join(path), &bytes[..]).expect("a file can be written"),
            }
        }
    }

    /// Adds a file whose directory is there.
    pub fn add_file(&mut self, path: &[OsString], bytes: Arc<Vec<u8>>) {
        self.0.insert(path.iter().collect(), Some(bytes));
    }

    /// Adds a directory whose own is there.
    pub fn add_directory(&mut self, path: &[OsString]) {
        self.0.insert(path.iter().collect(), None);
    }

    /// Everything with its place, numbered from 1.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, Name, Option<&Arc<Vec<u8>>>)> {
        let mut numbers: BTreeMap<&Path, NodeId> = BTreeMap::from([(Path::new(""), ROOT)]);
        self.0.iter().zip(1..).map(move |((path, content), node)| {
            numbers.insert(path, node);
            let within = numbers[path.parent().expect("it is below the root")];
            let name = path.file_name().expect("it has a name").to_owned();
            (node, Name { within, name }, content.as_ref())
        })
    }

    /// The files, with their paths below the root.
    pub fn files(&mut self) -> impl Iterator<Item = (&Path, &mut Arc<Vec<u8>>)> {
        self.0.iter_mut().filter_map(|(path, content)| Some((path.as_path(), content.as_mut()?)))
    }

    /// The paths of which the content differs.
    pub fn differences(&self, other: &Image) -> Vec<PathBuf> {
        let all = self.0.keys().chain(other.0.keys());
        let mut differing: Vec<PathBuf> = all.filter(|path| self.0.get(*path) != other.0.get(*path)).cloned().collect();
        differing.dedup();
        differing
    }
}

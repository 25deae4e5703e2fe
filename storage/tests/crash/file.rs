//! The bytes of a file: those that are durable, and the changes that were not synced yet. Pure.
//!
//! A page of 4 KiB reaches the disk whole, as it was after some of its changes, or torn at a sector of 512 bytes between
//! two such states. Pages do so independently of each other and, unless it is said otherwise, of the file's size.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::habit::Habit;

const PAGE: usize = 4096;
const SECTOR: usize = 512;

/// A change of a file's bytes.
#[derive(Debug, Clone)]
pub enum Change {
    /// Bytes at an offset.
    Write(u64, Arc<[u8]>),
    /// A new length.
    Resize(u64),
}

impl Change {
    /// The file's length after it.
    fn length(&self, before: usize) -> usize {
        match self {
            Change::Write(offset, bytes) => before.max(place(*offset) + bytes.len()),
            Change::Resize(bytes) => place(*bytes),
        }
    }

    /// The bytes that it sets, up to `end` of all.
    fn range(&self, end: usize) -> std::ops::Range<usize> {
        match self {
            Change::Write(offset, bytes) => place(*offset)..place(*offset) + bytes.len(),
            Change::Resize(bytes) => place(*bytes)..end.max(place(*bytes)),
        }
    }

    /// Does it to the part of the file that begins at `start`.
    fn apply(&self, part: &mut [u8], start: usize) {
        let end = start + part.len();
        let range = self.range(end);
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from >= to {
            return;
        }
        let within = &mut part[from - start..to - start];
        match self {
            Change::Write(offset, bytes) => {
                let first = from - place(*offset);
                within.copy_from_slice(&bytes[first..first + (to - from)]);
            }
            Change::Resize(_) => within.fill(0),
        }
    }
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).expect("files of tests are small")
}

/// When a file that grows has its new size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    /// Whenever: the bytes may come later, or never.
    Anyhow,
    /// When the bytes are there, as in ext4 by default, in XFS and in btrfs.
    AfterBytes,
}

/// A file.
#[derive(Debug, Clone, Default)]
pub struct File {
    durable: Arc<Vec<u8>>,
    /// Changes that were not synced, with their places in the log.
    changes: Vec<(usize, Change)>,
    /// So many of them were lost by a sync that failed: a later one drops them for good.
    lost: usize,
}

impl File {
    /// A file of which all is durable.
    pub fn of(bytes: Arc<Vec<u8>>) -> File {
        File { durable: bytes, changes: Vec::new(), lost: 0 }
    }

    /// Takes note of a change.
    pub fn change(&mut self, at: usize, change: Change) {
        self.changes.push((at, change));
    }

    /// Makes all changes durable but those that a failed sync has lost.
    pub fn sync(&mut self) {
        let synced: Vec<Change> = self.changes.drain(..).skip(self.lost).map(|(_, change)| change).collect();
        self.lost = 0;
        if !synced.is_empty() {
            let bytes = Arc::make_mut(&mut self.durable);
            for change in synced {
                bytes.resize(change.length(bytes.len()), 0);
                let length = bytes.len();
                change.apply(&mut bytes[..length], 0);
            }
        }
    }

    /// Gives up what was not synced.
    pub fn sync_failed(&mut self) {
        self.lost = self.changes.len();
    }

    /// The bytes that a crash leaves.
    pub fn crash(&self, habit: &mut Habit, growth: Growth) -> Arc<Vec<u8>> {
        if self.changes.is_empty() {
            return Arc::clone(&self.durable);
        }
        let mut lengths = vec![self.durable.len()];
        lengths.extend(self.changes.iter().scan(self.durable.len(), |length, (_, change)| {
            *length = change.length(*length);
            Some(*length)
        }));
        let most = lengths.iter().copied().max().unwrap_or(0);
        let places: Vec<usize> = self.changes.iter().map(|(at, _)| *at).collect();
        let grown = habit.reached(&places);
        let length = lengths[grown];
        let mut bytes = self.durable.to_vec();
        bytes.resize(most, 0);
        for (page, touching) in self.touched(most) {
            let start = page * PAGE;
            let end = (start + PAGE).min(most);
            let places: Vec<usize> = touching.iter().map(|&index| self.changes[index].0).collect();
            let is_new = growth == Growth::AfterBytes && end > self.durable.len();
            let least = touching.iter().filter(|&&index| is_new && index < grown).count();
            let reached = habit.reached(&places).max(least);
            let before = bytes[start..end].to_vec();
            self.apply(&touching[..reached], &mut bytes[start..end], start);
            if let Some(&next) = touching.get(reached)
                && habit.tears()
            {
                let mut after = bytes[start..end].to_vec();
                self.apply(&[next], &mut after, start);
                for (sector, bytes) in bytes[start..end].chunks_mut(SECTOR).enumerate() {
                    let from = if habit.tears_here() { &after } else { &before };
                    let place = sector * SECTOR;
                    bytes.copy_from_slice(&from[place..place + bytes.len()]);
                }
            }
        }
        bytes.truncate(length);
        bytes.resize(length, 0);
        Arc::new(bytes)
    }

    /// The changes that touch each page, of those that are touched.
    fn touched(&self, most: usize) -> BTreeMap<usize, Vec<usize>> {
        let mut touched: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, (_, change)) in self.changes.iter().enumerate() {
            let range = change.range(most);
            for page in range.start / PAGE..range.end.div_ceil(PAGE) {
                touched.entry(page).or_default().push(index);
            }
        }
        touched
    }

    fn apply(&self, changes: &[usize], part: &mut [u8], start: usize) {
        changes.iter().for_each(|&index| self.changes[index].1.apply(part, start));
    }
}

//! What the same machine does without a store, measured in the same run: a disk's sync, and one file for each object.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::content::{Content, Random, mix};
use crate::failure::Failure;
use crate::run::{Outcome, run_seed};
use crate::worker::Done;

/// The file that is written over: larger than a log is between two syncs, small enough to prepare in a moment.
const SYNC_FILE_BYTES: u64 = 64 << 20;
const SYNC_WRITE_BYTES: usize = 4096;
/// Directories that the files of [`file_per_blob`] are spread over.
const FANOUT: u64 = 256;

/// One thread: 4 KiB over existing bytes, then `fdatasync`, again and again.
pub fn fdatasync(dir: &Path, duration: Duration) -> Result<Outcome, Failure> {
    let place = dir.join("fdatasync");
    let mut file = File::create(&place).map_err(Failure::io("create the sync reference's file"))?;
    let mut random = Random::new(run_seed());
    let block: Vec<u8> = (0..SYNC_WRITE_BYTES / 8).flat_map(|_| random.next().to_le_bytes()).collect();
    for _ in 0..SYNC_FILE_BYTES / SYNC_WRITE_BYTES as u64 {
        file.write_all(&block).map_err(Failure::io("fill the sync reference's file"))?;
    }
    file.sync_all().map_err(Failure::io("sync the sync reference's file"))?;
    let mut outcome = Outcome::default();
    let begun = Instant::now();
    let mut place_bytes = 0;
    while begun.elapsed() < duration {
        file.seek(SeekFrom::Start(place_bytes)).map_err(Failure::io("seek"))?;
        let started = Instant::now();
        file.write_all(&block).map_err(Failure::io("write"))?;
        file.sync_data().map_err(Failure::io("fdatasync"))?;
        let latency = started.elapsed();
        outcome.add(&Done { operation: "fdatasync", bytes: SYNC_WRITE_BYTES as u64, latency });
        place_bytes = (place_bytes + SYNC_WRITE_BYTES as u64) % SYNC_FILE_BYTES;
    }
    outcome.elapsed = begun.elapsed();
    fs::remove_file(&place).map_err(Failure::io("remove the sync reference's file"))?;
    Ok(outcome)
}

/// A thread for each stream: create, write, fsync, rename, fsync the directory. The plainest durable store there is.
pub fn file_per_blob(dir: &Path, size: u64, streams: u32, duration: Duration) -> Result<Outcome, Failure> {
    let root = dir.join("file-per-blob");
    for number in 0..FANOUT {
        fs::create_dir_all(root.join(format!("{number:02x}"))).map_err(Failure::io("create a directory"))?;
    }
    let begun = Instant::now();
    let end = begun + duration;
    let mut seeds = Random::new(run_seed());
    let threads: Vec<_> = (0..streams)
        .map(|_| {
            let (root, seed) = (root.clone(), seeds.next());
            std::thread::spawn(move || store_files(&root, size, seed, end))
        })
        .collect();
    let mut outcome = Outcome::default();
    for thread in threads {
        outcome.merge(thread.join().expect("the streams do not panic")?);
    }
    outcome.elapsed = begun.elapsed();
    fs::remove_dir_all(&root).map_err(Failure::io("remove the files"))?;
    Ok(outcome)
}

fn store_files(root: &Path, size: u64, seed: u64, end: Instant) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let mut body = Vec::with_capacity(size as usize);
    let mut serial = seed;
    while Instant::now() < end {
        serial = serial.wrapping_add(1);
        let name = mix(serial);
        body.clear();
        Content { index: name, version: serial }.append_to(&mut body, size);
        let parent: PathBuf = root.join(format!("{:02x}", name % FANOUT));
        let started = Instant::now();
        store_file(&parent, &format!("{name:016x}"), &body)?;
        outcome.add(&Done { operation: "file", bytes: size, latency: started.elapsed() });
    }
    Ok(outcome)
}

fn store_file(parent: &Path, name: &str, body: &[u8]) -> Result<(), Failure> {
    let staged = parent.join(format!("{name}.staged"));
    let mut file = File::create_new(&staged).map_err(Failure::io("create a file"))?;
    file.write_all(body).map_err(Failure::io("write a file"))?;
    file.sync_all().map_err(Failure::io("sync a file"))?;
    fs::rename(&staged, parent.join(name)).map_err(Failure::io("rename a file"))?;
    let directory = File::open(parent).map_err(Failure::io("open a directory"))?;
    directory.sync_all().map_err(Failure::io("sync a directory"))
}

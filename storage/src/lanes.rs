//! Hash lanes: the MD5 of many bodies at once.
//!
//! The blocks of one body have to be hashed one after another, and for a large body that takes longer than all else that
//! happens to it. A processor with wide registers hashes a block of each of 8 or 16 bodies in the same time. So large bodies
//! hand their bytes in, and one thread goes on in all of those that are there, side by side. A body that is alone gains too:
//! what else is done with its bytes is done meanwhile.
//!
//! A body has one job here at most, and gathers the next one while that is being done, so memory is bounded by the number of
//! bodies. Small bodies are hashed where they are: waking a thread would take longer.

use bytes::{Buf as _, Bytes};
use md5_many::{Md5Many, Md5State};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::sync::{Flaw, planted, thread};

/// What a body gathers before it hands it in, in bytes.
const JOB_BYTES: usize = 256 << 10;
/// What it hands in at least, in bytes.
const JOB_BYTES_LEAST: usize = 16 << 10;
/// The most pieces of a job.
const JOB_PIECES_MAX: usize = 64;
/// Jobs that may wait; further ones make their bodies wait.
const QUEUE_MAX: usize = 256;
/// Bodies in which one step is taken side by side.
const LANES_MAX: usize = 16;
/// The most of each that a step takes, in bytes, so that others need not wait long to join.
const STEP_BYTES: usize = 32 << 10;
/// What MD5 takes at once, in bytes.
const BLOCK_BYTES: usize = 64;

/// The way to the thread, which ends when all of them are gone.
pub(crate) struct Lanes {
    jobs: mpsc::Sender<Job>,
}

/// Bytes to go on with. The pieces are not empty.
struct Job {
    state: Md5State,
    /// In reverse order: the next one is last.
    pieces: Vec<Bytes>,
    done: oneshot::Sender<Md5State>,
}

impl Lanes {
    pub(crate) fn start() -> Result<Lanes> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        thread::Builder::new()
            .name("strata-lanes".to_owned())
            .spawn(move || run(queue))
            .map_err(|source| Error::Io { action: "start the hashing thread", source })?;
        Ok(Lanes { jobs })
    }
}

/// The MD5 of one body. Dropping any of its calls loses nothing that was handed over before.
pub(crate) struct LaneMd5 {
    state: State,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
}

enum State {
    Here(Md5State),
    /// With the job that is being done.
    Away(oneshot::Receiver<Md5State>),
}

impl LaneMd5 {
    pub(crate) fn new() -> LaneMd5 {
        LaneMd5 { state: State::Here(Md5State::new()), gathered: Vec::new(), gathered_bytes: 0 }
    }

    /// Takes the next bytes, waiting when the lanes are behind.
    pub(crate) async fn update(&mut self, lanes: &Lanes, bytes: Bytes) -> Result<()> {
        if let State::Here(state) = &mut self.state
            && self.gathered.is_empty()
            && bytes.len() < JOB_BYTES_LEAST
        {
            state.update(&bytes);
            return Ok(());
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.gathered_bytes += bytes.len();
        self.gathered.push(bytes);
        if self.gathered_bytes >= JOB_BYTES || self.gathered.len() >= JOB_PIECES_MAX {
            self.hand_in(lanes).await?;
        }
        Ok(())
    }

    /// Hands in what was gathered. There is nothing more to come, so this may go on while the caller does other things.
    pub(crate) async fn end(&mut self, lanes: &Lanes) -> Result<()> {
        if self.gathered_bytes >= JOB_BYTES_LEAST { self.hand_in(lanes).await } else { Ok(()) }
    }

    /// The digest.
    pub(crate) async fn finish(mut self) -> Result<[u8; 16]> {
        let mut state = self.back().await?;
        self.gathered.iter().for_each(|bytes| state.update(bytes));
        Ok(state.finalize())
    }

    async fn hand_in(&mut self, lanes: &Lanes) -> Result<()> {
        let early = planted(Flaw::PiecesTakenEarly).then(|| std::mem::take(&mut self.gathered));
        let state = self.back().await?;
        let room = lanes.jobs.reserve().await.map_err(|_| Error::Closed)?;
        let mut pieces = early.unwrap_or_else(|| std::mem::take(&mut self.gathered));
        pieces.reverse();
        self.gathered_bytes = 0;
        let (done, away) = oneshot::channel();
        room.send(Job { state, pieces, done });
        self.state = State::Away(away);
        Ok(())
    }

    /// Waits for the job that is being done.
    async fn back(&mut self) -> Result<Md5State> {
        match &mut self.state {
            State::Here(state) => Ok(*state),
            State::Away(away) => {
                let state = away.await.map_err(|_| Error::Closed)?;
                self.state = State::Here(state);
                Ok(state)
            }
        }
    }
}

fn run(mut queue: mpsc::Receiver<Job>) {
    let engine = Md5Many::new();
    let mut open: Vec<Job> = Vec::with_capacity(LANES_MAX);
    loop {
        if open.is_empty() {
            match queue.blocking_recv() {
                Some(job) => open.push(job),
                None => return,
            }
        }
        while open.len() < LANES_MAX
            && let Ok(job) = queue.try_recv()
        {
            open.push(job);
        }
        step(engine, &mut open);
        for job in open.extract_if(.., |job| job.pieces.is_empty()) {
            // Whoever asked may be gone.
            let _ = job.done.send(job.state);
        }
    }
}

/// Goes on in all jobs, by as many blocks as each of them has in one piece.
fn step(engine: Md5Many, open: &mut [Job]) {
    let mut ready: Vec<&mut Job> = open.iter_mut().filter_map(aligned).collect();
    let Some(bytes) = ready.iter().map(|job| whole_blocks(job)).min() else { return };
    let bytes = bytes.min(STEP_BYTES);
    if let [job] = ready.as_mut_slice() {
        return advance(job, bytes, |state, piece| state.update(piece));
    }
    // A register is used whole or badly: what nobody needs of it does the last one's work once more.
    let width = engine.lanes().clamp(1, LANES_MAX);
    let used = if ready.len() <= width / 2 { (width / 2).max(ready.len()) } else { width.max(ready.len()) };
    let mut states = [Md5State::new(); LANES_MAX];
    let mut pieces = [&[][..]; LANES_MAX];
    for (at, (state, piece)) in states.iter_mut().zip(&mut pieces).take(used).enumerate() {
        let job = &ready[at.min(ready.len() - 1)];
        *state = job.state;
        *piece = &next_piece(job)[..bytes];
    }
    engine.update_many(&mut states[..used], &pieces[..used]);
    for (job, hashed) in ready.iter_mut().zip(states) {
        advance(job, bytes, |state, _| *state = hashed);
    }
}

/// Hashes what stands in the way of whole blocks. `None` if nothing is left of the job.
fn aligned(job: &mut Job) -> Option<&mut Job> {
    while !job.pieces.is_empty() {
        let begun = job.state.bytes_hashed() as usize % BLOCK_BYTES;
        if begun == 0 && whole_blocks(job) > 0 {
            return Some(job);
        }
        let bytes = next_piece(job).len().min(BLOCK_BYTES - begun);
        advance(job, bytes, |state, piece| state.update(piece));
    }
    None
}

fn next_piece(job: &Job) -> &[u8] {
    job.pieces.last().map_or(&[], |piece| piece)
}

/// The whole blocks that the next piece has, in bytes.
fn whole_blocks(job: &Job) -> usize {
    next_piece(job).len() / BLOCK_BYTES * BLOCK_BYTES
}

/// Hashes that many bytes of the next piece, and drops it after its last one.
fn advance(job: &mut Job, bytes: usize, hash: impl FnOnce(&mut Md5State, &[u8])) {
    let Some(piece) = job.pieces.last_mut() else { return };
    hash(&mut job.state, &piece[..bytes]);
    piece.advance(bytes);
    if piece.is_empty() {
        job.pieces.pop();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use md5::Digest as _;
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    use super::{JOB_BYTES_LEAST, LaneMd5, Lanes};
    use crate::error::Error;

    async fn md5_of(lanes: &Lanes, pieces: Vec<Bytes>) -> [u8; 16] {
        let mut md5 = LaneMd5::new();
        for piece in pieces {
            md5.update(lanes, piece).await.unwrap();
        }
        md5.end(lanes).await.unwrap();
        md5.finish().await.unwrap()
    }

    fn bytes_of(seed: u64, length: usize) -> Bytes {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes.into()
    }

    /// Bodies with their pieces' lengths: many small ones, and some of several jobs.
    fn bodies() -> impl Strategy<Value = Vec<(u64, Vec<usize>)>> {
        let piece = prop_oneof![0..200_usize, Just(64), 1..70_000_usize, 200_000..400_000_usize];
        prop::collection::vec((any::<u64>(), prop::collection::vec(piece, 0..6)), 1..24)
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 48, ..Default::default() })]

        /// However bodies are cut, and whoever is beside them, the digest is that of another implementation.
        #[test]
        fn bodies_do_not_disturb_each_other(bodies in bodies()) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            let lanes = std::sync::Arc::new(Lanes::start().unwrap());
            let bodies: Vec<Vec<Bytes>> = bodies
                .into_iter()
                .map(|(seed, lengths)| lengths.into_iter().map(|length| bytes_of(seed, length)).collect())
                .collect();
            let wanted: Vec<[u8; 16]> = bodies.iter().map(|pieces| md5::Md5::digest(pieces.concat()).into()).collect();
            let found = runtime.block_on(async {
                let tasks: Vec<_> = bodies
                    .into_iter()
                    .map(|pieces| {
                        let lanes = std::sync::Arc::clone(&lanes);
                        tokio::spawn(async move { md5_of(&lanes, pieces).await })
                    })
                    .collect();
                let mut found = Vec::new();
                for task in tasks {
                    found.push(task.await.unwrap());
                }
                found
            });
            assert_eq!(found, wanted);
        }
    }

    /// Whatever was handed over before counts once, though the wait for it was given up.
    #[tokio::test]
    async fn a_call_that_is_dropped_loses_nothing() {
        let lanes = Lanes::start().unwrap();
        let piece = bytes_of(1, 300 << 10);
        let mut md5 = LaneMd5::new();
        for _ in 0..20 {
            let update = md5.update(&lanes, piece.clone());
            // Polled once.
            tokio::select! {
                biased;
                outcome = update => outcome.unwrap(),
                () = std::future::ready(()) => {}
            }
        }
        md5.end(&lanes).await.unwrap();
        let wanted: [u8; 16] = md5::Md5::digest(piece.repeat(20)).into();
        assert_eq!(md5.finish().await.unwrap(), wanted);
    }

    #[tokio::test]
    async fn without_the_thread_there_is_no_digest() {
        let (jobs, queue) = tokio::sync::mpsc::channel(1);
        let lanes = Lanes { jobs };
        drop(queue);
        let mut md5 = LaneMd5::new();
        md5.update(&lanes, bytes_of(1, JOB_BYTES_LEAST)).await.unwrap();
        assert!(matches!(md5.end(&lanes).await, Err(Error::Closed)));
    }
}

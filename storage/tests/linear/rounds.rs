//! Rounds: clients at work in one bucket, until all have ended; then what they saw is judged. A chapter is a store with many
//! of them, some at once, while background work runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use strata_storage::{BucketChange, BucketName, NewBucket, Versioning};

use crate::client::Client;
use crate::history::{Answer, Call, Event, Order, written};
use crate::known::Known;
use crate::machine::{KEYS, bucket, master_key, open};
use crate::mix::Mix;
use crate::pages::{self, Listing};
use crate::runs::begin;
use crate::search::{CALLS_MAX, Verdict, search};
use crate::sound::assert_sound;
use crate::spec::State;
use crate::target::{Flaw, Target};

/// Clients of a round.
const CLIENTS: usize = 8;
/// What each of them does, for each key that there is: so the histories of all keys are about as long.
const CALLS: usize = 6;
/// Histories of so many calls are long: all clients may add a few more to them before they are too long to be searched.
const LONG: usize = CALLS_MAX - 6 * CLIENTS;
/// Rounds that go on at once.
const LANES: u64 = 3;
/// Rounds of a lane in one store, which bounds its size.
const ROUNDS_MAX: u64 = 100;

/// A bucket and all that happens in it.
pub struct Round {
    pub target: Arc<Target>,
    pub bucket: BucketName,
    /// What its clients do, and to how many keys.
    pub mix: Mix,
    pub keys: usize,
    pub order: Order,
    pub histories: [Mutex<Vec<Event>>; KEYS.len()],
    pub listings: Mutex<Vec<Listing>>,
    known: Mutex<Known>,
}

/// What rounds came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Tally {
    pub rounds: u64,
    pub calls: usize,
    /// Calls of which nobody saw the end.
    pub unseen: usize,
    /// Histories for which no order was found in time.
    pub undecided: usize,
    /// The time that the judging took.
    pub judged: Duration,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.rounds += other.rounds;
        self.calls += other.calls;
        self.unseen += other.unseen;
        self.undecided += other.undecided;
        self.judged += other.judged;
    }
}

impl Round {
    /// What its clients know of each other.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nobody panics with it")
    }

    /// Sets the versioning of the bucket, which all keys hear of.
    pub async fn set_versioning(&self, client: usize, state: Versioning) {
        let begun = self.order.next();
        let change = BucketChange::Versioning(state);
        self.target.store.change_bucket(&self.bucket, change).await.expect("versioning can be set");
        let ended = self.order.next();
        for history in &self.histories {
            let event = Event { client, begun, call: Call::SetVersioning(state), ended: Some((ended, Answer::Done)) };
            history.lock().expect("nobody panics with it").push(event);
        }
    }

    /// Whether the history of a key is long.
    pub fn is_long(&self) -> bool {
        self.histories.iter().any(|history| history.lock().expect("nobody panics with it").len() >= LONG)
    }

    fn client(self: &Arc<Round>, number: usize, seed: u64) -> Client {
        // Seeds of clients must not meet.
        let seed = seed.wrapping_mul(64).wrapping_add(number as u64);
        Client { round: Arc::clone(self), number, draws: StdRng::seed_from_u64(seed) }
    }

    /// Looks for an order for each key, and compares what was listed.
    fn judge(&self) -> Result<Tally, String> {
        let (begun, mut tally) = (Instant::now(), Tally { rounds: 1, ..Tally::default() });
        for (key, history) in self.histories.iter().enumerate() {
            let events = history.lock().expect("nobody panics with it").clone();
            tally.calls += events.len();
            tally.unseen += events.iter().filter(|event| event.ended.is_none()).count();
            for listing in self.listings.lock().expect("nobody panics with it").iter() {
                pages::check(listing, key, &events).map_err(|fault| format!("{}{fault}", written(&events)))?;
            }
            match search(State::new(), events) {
                Verdict::Linearizable => {}
                Verdict::Not(why) => return Err(format!("{}: no order explains\n{why}", KEYS[key])),
                Verdict::Undecided => tally.undecided += 1,
            }
        }
        tally.judged = begun.elapsed();
        Ok(tally)
    }
}

/// Has clients work in a new bucket, and judges what they saw.
pub async fn round(target: &Arc<Target>, seed: u64, number: u64) -> Result<Tally, String> {
    let mut draws = StdRng::seed_from_u64(seed);
    let (bucket, kind) = (bucket(number), draws.random_range(0..4));
    target.store.create_bucket(&bucket, NewBucket::default()).await.expect("a new bucket");
    let round = Arc::new(Round {
        target: Arc::clone(target),
        bucket,
        mix: Mix::drawn(&mut draws, kind == 3, target.flaw.wants()),
        keys: draws.random_range(1..=KEYS.len()),
        order: Order::default(),
        histories: Default::default(),
        listings: Mutex::default(),
        known: Mutex::default(),
    });
    let calls = CALLS * round.keys;
    if kind == 1 || kind == 2 {
        round.set_versioning(CLIENTS, Versioning::Enabled).await;
    }
    if kind == 2 {
        round.client(CLIENTS, seed).act(calls).await;
        round.set_versioning(CLIENTS, Versioning::Suspended).await;
    }
    let clients: Vec<_> = (0..CLIENTS).map(|number| tokio::spawn(round.client(number, seed).act(calls))).collect();
    for client in clients {
        client.await.map_err(|panic| format!("a client panicked: {panic}"))?;
    }
    round.client(CLIENTS + 1, seed).look().await;
    round.judge().map_err(|fault| format!("round {number} of kind {kind}: {fault}"))
}

/// Collects, settles, and copies the store, over and over.
async fn work(target: Arc<Target>, directory: std::path::PathBuf, stop: Arc<AtomicBool>) {
    let mut times = 0_u64;
    while !stop.load(Ordering::Acquire) {
        target.store.collect().await.expect("collection succeeds");
        target.store.settle().await.expect("settling succeeds");
        target.store.evaluate().await.expect("evaluation succeeds");
        if times.is_multiple_of(20) {
            let copy = directory.join(format!("copy-{times}"));
            target.store.checkpoint(&copy).await.expect("a checkpoint is written");
            std::fs::remove_dir_all(&copy).expect("a directory can be removed");
        }
        times += 1;
        tokio::task::yield_now().await;
    }
}

/// Rounds in one store, until one fails, it is time, or they are enough. The store is checked afterwards, if it has no flaw.
pub fn chapter(seed: u64, flaw: Flaw, until: Instant) -> Result<Tally, String> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let (data, sealed) = (directory.path().join("data"), seed.is_multiple_of(2));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let tally = runtime.expect("a runtime can be made").block_on(async {
        let target = Arc::new(Target::new(open(&data, seed, sealed).await, flaw));
        let (stop, numbers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let worker = tokio::spawn(work(Arc::clone(&target), directory.path().to_owned(), Arc::clone(&stop)));
        let lanes = (0..LANES).map(|_| {
            let (target, stop, numbers) = (Arc::clone(&target), Arc::clone(&stop), Arc::clone(&numbers));
            tokio::spawn(async move {
                let mut tally = Tally::default();
                for _ in 0..ROUNDS_MAX {
                    let number = numbers.fetch_add(1, Ordering::SeqCst);
                    let outcome = round(&target, seed.wrapping_mul(1 << 20).wrapping_add(number), number).await;
                    stop.fetch_or(outcome.is_err(), Ordering::AcqRel);
                    tally.add(outcome?);
                    if Instant::now() >= until || stop.load(Ordering::Acquire) {
                        break;
                    }
                }
                Ok::<Tally, String>(tally)
            })
        });
        let mut tally = Ok(Tally::default());
        for lane in lanes.collect::<Vec<_>>() {
            match (lane.await.expect("a lane does not panic"), &mut tally) {
                (Ok(more), Ok(tally)) => tally.add(more),
                (Err(fault), _) => tally = Err(fault),
                (Ok(_), Err(_)) => {}
            }
        }
        stop.store(true, Ordering::Release);
        worker.await.expect("background work does not panic");
        target.store.close().await.expect("it closes");
        tally
    })?;
    if flaw == Flaw::None {
        assert_sound(&data, Vec::new(), sealed.then(master_key));
    }
    Ok(tally)
}

/// `STRATA_LINEAR_SEED` repeats what is drawn, `STRATA_LINEAR_MINUTES` goes on for so long.
#[test]
fn whatever_happens_at_once_could_have_happened_in_some_order() {
    let asked = begin();
    let begun = Instant::now();
    let (mut tally, mut seed) = (Tally::default(), asked.seed);
    while tally.rounds == 0 || begun.elapsed() < asked.lasts {
        match chapter(seed, Flaw::None, begun + asked.lasts) {
            Ok(more) => tally.add(more),
            Err(fault) => panic!("STRATA_LINEAR_SEED={seed}: {fault}"),
        }
        seed = seed.wrapping_add(1);
    }
    println!("{tally:?} in {:?}", begun.elapsed());
    // A history that takes too long proves nothing; few may.
    assert!(tally.undecided as u64 * 100 <= tally.rounds, "{tally:?}");
}

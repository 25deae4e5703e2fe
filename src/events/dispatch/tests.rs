//! Dispatchers on real queues, with a target that does what the test says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use strata_storage::{
    Backlog, BucketChange, BucketName, Clock, EventKind, EventKinds, ManualClock, NewBucket, NotificationRule,
    ObjectKey, OpenOptions, QueueName, Store, Tag, Timestamp, VersionSelector,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::{Dispatcher, Pace, Route, Surroundings};
use crate::config::EventFormat;
use crate::events::health::Healths;
use crate::events::target::{Deliveries, DeliveryError, Message, Target};

const FIRST: &str = "arn:aws:sqs:us-east-1:000000000000:first";
const SECOND: &str = "arn:aws:sqs:us-east-1:000000000000:second";
const PATIENCE: Duration = Duration::from_secs(30);

/// What a target does with a message.
type Script = Box<dyn Fn(&Message, usize) -> Result<(), DeliveryError> + Send + Sync>;

/// Does what the script says of a message at its nth attempt, and tells what it was sent.
struct Scripted {
    script: Script,
    batch: usize,
    attempts: Mutex<std::collections::BTreeMap<String, usize>>,
    sent: mpsc::UnboundedSender<String>,
}

impl Target for Scripted {
    fn batch_max(&self) -> usize {
        self.batch
    }

    fn calls_max(&self) -> usize {
        2
    }

    fn deliver<'a>(&'a self, messages: &'a [Message]) -> BoxFuture<'a, Deliveries> {
        let mut failed: Vec<&str> = Vec::new();
        let mut deliveries = Vec::new();
        for message in messages {
            if failed.contains(&&*message.key) {
                deliveries.push(Err(DeliveryError::Unavailable("behind".to_owned())));
                continue;
            }
            let attempt = {
                let mut attempts = self.attempts.lock().unwrap();
                let attempt = attempts.entry(message.id.clone()).or_default();
                *attempt += 1;
                *attempt
            };
            let delivery = (self.script)(message, attempt);
            match &delivery {
                Ok(()) => drop(self.sent.send(format!("{} {}", message.key, message.event_name))),
                Err(_) => failed.push(&message.key),
            }
            deliveries.push(delivery);
        }
        Box::pin(async move {
            tokio::task::yield_now().await;
            deliveries
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), DeliveryError>> {
        Box::pin(async { Ok(()) })
    }
}

struct World {
    store: Store,
    clock: Arc<ManualClock>,
    bucket: BucketName,
    directory: TempDir,
}

/// A dispatcher that runs.
struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    sent: mpsc::UnboundedReceiver<String>,
    healths: Healths,
}

impl World {
    async fn start() -> World {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_secs(1_790_848_800)));
        let store = open(&directory, &clock).await;
        let bucket = BucketName::parse("bucket").unwrap();
        store.create_bucket(&bucket, NewBucket::default()).await.unwrap();
        let rule = NotificationRule {
            id: "id".to_owned(),
            target: FIRST.to_owned(),
            kinds: EventKinds::all(),
            prefix: String::new(),
            suffix: String::new(),
        };
        let change = BucketChange::Notifications { rules: vec![rule], document: None };
        store.change_bucket(&bucket, change).await.unwrap();
        World { store, clock, bucket, directory }
    }

    /// Closes the store and opens it again.
    async fn reopen(self) -> World {
        let World { store, clock, bucket, directory } = self;
        store.close().await.unwrap();
        drop(store);
        let store = open(&directory, &clock).await;
        World { store, clock, bucket, directory }
    }

    async fn put(&self, key: &str) {
        self.clock.advance(Duration::from_millis(1));
        let key = ObjectKey::parse(key).unwrap();
        let staged = self.store.stage_bytes("x").await.unwrap();
        self.store.put(strata_storage::PutObject::new(self.bucket.clone(), key, staged)).await.unwrap();
    }

    async fn tag(&self, key: &str) {
        let tags = vec![Tag { key: "k".to_owned(), value: "v".to_owned() }];
        let key = ObjectKey::parse(key).unwrap();
        self.store.set_tags(&self.bucket, &key, VersionSelector::Current, tags).await.unwrap();
    }

    fn run(&self, arn: &str, change: impl FnOnce(&mut Route), batch: usize, script: Script) -> Running {
        let (sent, received) = mpsc::unbounded_channel();
        let target = Arc::new(Scripted { script, batch, attempts: Mutex::default(), sent });
        let mut route = Route {
            arn: arn.to_owned(),
            target,
            format: EventFormat::S3,
            max_age: Duration::from_hours(24),
            retries: 2,
            backlog_bytes: 1 << 30,
            on_failure: None,
        };
        change(&mut route);
        let short = Duration::from_millis(2);
        let pace = Pace {
            away_min: short,
            away_max: short * 4,
            refused: short,
            commit: short,
            read: short,
            look: short * 2,
            others: short,
        };
        let healths = Healths::default();
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let around =
            Surroundings { store: self.store.clone(), region: "r".to_owned(), clock, healths: healths.clone(), pace };
        let stop = watch::Sender::new(false);
        let task = tokio::spawn(Dispatcher::new(around, route).run(stop.subscribe()));
        Running { stop, task, sent: received, healths }
    }

    async fn backlog(&self, arn: &str) -> Backlog {
        self.store.backlog(QueueName::Events { target: arn.to_owned() }.id()).await.unwrap()
    }

    /// Waits until a queue is as wanted.
    async fn until(&self, arn: &str, wanted: impl Fn(&Backlog) -> bool) -> Backlog {
        let waiting = async {
            loop {
                let backlog = self.backlog(arn).await;
                if wanted(&backlog) {
                    return backlog;
                }
                tokio::task::yield_now().await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(backlog) => backlog,
            Err(_) => panic!("it stays at {:?}", self.backlog(arn).await),
        }
    }
}

async fn open(directory: &TempDir, clock: &Arc<ManualClock>) -> Store {
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Store::open(OpenOptions { clock, ..OpenOptions::new(directory.path()) }).await.unwrap()
}

impl Running {
    /// The next messages that were taken.
    async fn taken(&mut self, count: usize) -> Vec<String> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let next = tokio::time::timeout(PATIENCE, self.sent.recv()).await;
            taken.push(next.unwrap_or_else(|_| panic!("only {taken:?}")).unwrap());
        }
        taken
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }
}

fn keys_of(taken: &[String], key: &str) -> Vec<String> {
    let of = taken.iter().filter_map(|line| line.split_once(' ')).filter(|(taken, _)| *taken == key);
    of.map(|(_, name)| name.to_owned()).collect()
}

#[tokio::test]
async fn events_arrive_in_the_order_of_their_keys() {
    let world = World::start().await;
    let mut first = world.run(FIRST, |_| {}, 3, Box::new(|_, _| Ok(())));
    for round in 0..20 {
        let key = format!("k{}", round % 3);
        world.put(&key).await;
        world.tag(&key).await;
    }
    let taken = first.taken(40).await;
    for (key, rounds) in [("k0", 7), ("k1", 7), ("k2", 6)] {
        assert_eq!(keys_of(&taken, key), ["ObjectCreated:Put", "ObjectTagging:Put"].repeat(rounds), "{key}");
    }
    let backlog = world.until(FIRST, |backlog| backlog.done == 40).await;
    assert_eq!((backlog.waiting, backlog.waiting_bytes, backlog.aside, backlog.dropped), (0, 0, 0, 0));
    first.stop().await;
}

#[tokio::test]
async fn a_target_that_is_away_gets_everything_later_in_order() {
    let world = World::start().await;
    let away = Arc::new(Mutex::new(VecDeque::from([(); 5])));
    let script: Script = Box::new(move |_, _| match away.lock().unwrap().pop_front() {
        Some(()) => Err(DeliveryError::Unavailable("away".to_owned())),
        None => Ok(()),
    });
    for _ in 0..10 {
        world.put("a").await;
        world.tag("a").await;
    }
    let mut first = world.run(FIRST, |_| {}, 4, script);
    let taken = first.taken(20).await;
    assert_eq!(keys_of(&taken, "a"), ["ObjectCreated:Put", "ObjectTagging:Put"].repeat(10));
    let backlog = world.until(FIRST, |backlog| backlog.done == 20).await;
    assert_eq!((backlog.waiting, backlog.aside), (0, 0));
    let health = first.healths.of(FIRST);
    assert_eq!((health.away_since, health.last_error.unwrap().1), (None, "away".to_owned()));
    first.stop().await;
}

#[tokio::test]
async fn what_is_refused_is_put_aside_and_can_be_delivered_anew() {
    let world = World::start().await;
    let mended = Arc::new(Mutex::new(false));
    let is_mended = Arc::clone(&mended);
    let script: Script = Box::new(move |message, _| match message.key == "poison" && !*is_mended.lock().unwrap() {
        true => Err(DeliveryError::Rejected("bad".to_owned())),
        false => Ok(()),
    });
    let mut first = world.run(FIRST, |_| {}, 10, script);
    for key in ["a", "poison", "poison", "b"] {
        world.put(key).await;
    }
    let mut taken = first.taken(2).await;
    taken.sort();
    assert_eq!(taken, ["a ObjectCreated:Put", "b ObjectCreated:Put"]);
    let queue = QueueName::Events { target: FIRST.to_owned() }.id();
    world.until(FIRST, |backlog| backlog.aside == 2 && backlog.done == 2).await;
    let aside = world.store.tasks_aside(queue, None, 10).await.unwrap();
    assert!(aside.iter().all(|aside| (&*aside.reason, aside.attempts) == ("bad", 3)), "{aside:?}");
    *mended.lock().unwrap() = true;
    world.store.retry_events(queue, aside, false).await.unwrap();
    assert_eq!(first.taken(2).await, ["poison ObjectCreated:Put"; 2]);
    let backlog = world.until(FIRST, |backlog| backlog.done == 4).await;
    assert_eq!((backlog.waiting, backlog.aside, backlog.aside_bytes), (0, 0, 0));
    first.stop().await;
}

#[tokio::test]
async fn another_target_gets_what_one_refuses() {
    let world = World::start().await;
    let refuse: Script = Box::new(|_, _| Err(DeliveryError::Rejected("bad".to_owned())));
    let first = world.run(FIRST, |route| route.on_failure = Some(SECOND.to_owned()), 1, refuse);
    let mut second = world.run(SECOND, |_| {}, 1, Box::new(|_, _| Ok(())));
    world.put("a").await;
    assert_eq!(second.taken(1).await, ["a ObjectCreated:Put"]);
    assert_eq!(world.until(SECOND, |backlog| backlog.done == 1).await.waiting, 0);
    let backlog = world.until(FIRST, |backlog| backlog.waiting == 0).await;
    assert_eq!((backlog.dropped, backlog.done, backlog.aside), (1, 0, 0));
    assert!(world.store.queues().await.unwrap().iter().any(|queue| queue.backlog.done == 1));
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn what_is_too_old_is_put_aside_while_the_target_is_away() {
    let world = World::start().await;
    let away: Script = Box::new(|_, _| Err(DeliveryError::Unavailable("away".to_owned())));
    let first = world.run(FIRST, |route| route.max_age = Duration::from_secs(60), 10, away);
    world.put("old").await;
    // Its first attempt is over before it is too old.
    let is_away = async {
        while first.healths.of(FIRST).away_since.is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, is_away).await.expect("the target is away");
    world.clock.advance(Duration::from_secs(59));
    world.put("new").await;
    world.clock.advance(Duration::from_secs(2));
    let backlog = world.until(FIRST, |backlog| backlog.aside == 1).await;
    assert_eq!(backlog.waiting, 1);
    assert!(first.healths.of(FIRST).away_since.is_some());
    first.stop().await;
}

#[tokio::test]
async fn the_oldest_are_dropped_when_too_much_waits() {
    let world = World::start().await;
    for index in 0..50 {
        world.put(&format!("{index:02}")).await;
    }
    let most = world.backlog(FIRST).await.waiting_bytes / 2;
    let open = Arc::new(Mutex::new(false));
    let is_open = Arc::clone(&open);
    let script: Script = Box::new(move |_, _| match *is_open.lock().unwrap() {
        true => Ok(()),
        false => Err(DeliveryError::Unavailable("away".to_owned())),
    });
    let mut first = world.run(FIRST, |route| route.backlog_bytes = most, 10, script);
    // Pages are dropped whole, so all of these go.
    let backlog = world.until(FIRST, |backlog| backlog.waiting_bytes <= most).await;
    assert_eq!(backlog.dropped + backlog.waiting, 50);
    world.put("last").await;
    *open.lock().unwrap() = true;
    let taken = first.taken(usize::try_from(backlog.waiting).unwrap() + 1).await;
    assert_eq!(taken.last().unwrap(), "last ObjectCreated:Put");
    first.stop().await;
}

#[tokio::test]
async fn nothing_is_forgotten_between_two_starts() {
    let world = World::start().await;
    let mut first = world.run(
        FIRST,
        |_| {},
        1,
        Box::new(|_, attempt| match attempt {
            1 => Ok(()),
            _ => Err(DeliveryError::Rejected("twice".to_owned())),
        }),
    );
    world.put("a").await;
    assert_eq!(first.taken(1).await, ["a ObjectCreated:Put"]);
    // What ended before the stop is not delivered again.
    first.stop().await;
    world.put("b").await;
    let world = world.reopen().await;
    world.put("c").await;
    let mut first = world.run(FIRST, |_| {}, 10, Box::new(|_, _| Ok(())));
    assert_eq!(first.taken(2).await, ["b ObjectCreated:Put", "c ObjectCreated:Put"]);
    let backlog = world.until(FIRST, |backlog| backlog.done == 3).await;
    assert_eq!((backlog.waiting, backlog.aside), (0, 0));
    first.stop().await;
}

#[tokio::test]
async fn who_listens_hears_what_became_durable() {
    let world = World::start().await;
    world.put("unheard").await;
    let mut events = world.store.events();
    world.put("a").await;
    world.tag("a").await;
    let heard = [events.recv().await.unwrap(), events.recv().await.unwrap()];
    assert_eq!(heard.each_ref().map(|event| event.kind), [EventKind::CreatedPut, EventKind::TaggingPut]);
    assert!(heard.iter().all(|event| event.key == "a" && event.configuration.is_empty()));
    drop(events);
    world.put("a").await;
    assert_eq!(world.backlog(FIRST).await.waiting, 4);
}

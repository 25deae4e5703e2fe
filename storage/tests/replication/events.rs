//! Events in their queues, and for those who follow what happens.

use std::collections::BTreeSet;

use strata_storage::{
    BucketChange, Error, Event, EventKind, EventKinds, Governance, LegalHold, NotificationRule, ObjectKey, ObjectLock,
    PutObject, QueueName, Retention, RetentionChange, RetentionMode, Task, TaskOutcome, Timestamp, VersionSelector,
    Work, WriteCondition,
};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinSet;

use crate::support::{Side, bucket, key};

/// So many events a follower may be behind.
const KEPT: usize = 1024;

fn queue(target: &str) -> QueueName {
    QueueName::Events { target: target.to_owned() }
}

fn event(task: &Task) -> &Event {
    match &task.work {
        Work::Event(event) => event,
        Work::Replicate(_) => panic!("nothing replicates"),
    }
}

impl Side {
    async fn tell(&self, target: &str) {
        let rule = NotificationRule {
            id: "all".to_owned(),
            target: target.to_owned(),
            kinds: EventKinds::all(),
            prefix: String::new(),
            suffix: String::new(),
        };
        let rules = BucketChange::Notifications { rules: vec![rule], document: None };
        self.store.change_bucket(&bucket(), rules).await.expect("rules");
    }

    async fn waiting(&self, target: &str) -> Vec<Task> {
        self.store.tasks(queue(target).id(), None, 100).await.expect("tasks")
    }

    async fn send_on(&self, from: &str, task: &Task, to: &str) {
        let moved = vec![(task.clone(), TaskOutcome::Moved { to: queue(to) })];
        self.store.end_events(queue(from).id(), moved).await.expect("ended");
    }
}

#[tokio::test]
async fn what_is_moved_keeps_its_first_stamp() {
    let side = Side::new(1, 1000).await;
    side.tell("second").await;
    side.put("before", "x", vec![]).await;
    side.tell("first").await;
    side.put("a", "x", vec![]).await;
    let [first]: [Task; 1] = side.waiting("first").await.try_into().expect("one task");
    side.put("b", "x", vec![]).await;
    side.send_on("first", &first, "second").await;
    // It waits behind what was there, under a stamp of that queue.
    let [before, second]: [Task; 2] = side.waiting("second").await.try_into().expect("two tasks");
    assert_eq!((event(&before).key.as_str(), event(&before).moved), ("before", None));
    assert!(second.stamp > first.stamp);
    assert_eq!(*event(&second), Event { moved: Some(first.stamp), ..event(&first).clone() });
    side.send_on("second", &second, "third").await;
    let [third]: [Task; 1] = side.waiting("third").await.try_into().expect("one task");
    assert_eq!(event(&third).moved, Some(first.stamp), "its first stamp, not its last");
    for (target, waiting, dropped) in [("first", 1, 1), ("second", 1, 1), ("third", 1, 0)] {
        let backlog = side.store.backlog(queue(target).id()).await.expect("counters");
        assert_eq!((backlog.waiting, backlog.dropped, backlog.done), (waiting, dropped, 0), "{target}");
    }
    // Nobody's rule names the third queue, and it is found all the same.
    let names: BTreeSet<_> = side.store.queues().await.expect("queues").into_iter().map(|queue| queue.name).collect();
    assert_eq!(names, ["first", "second", "third"].map(queue).into());
}

#[tokio::test]
async fn what_waits_once_more_keeps_its_first_stamp() {
    let side = Side::new(1, 1000).await;
    side.tell("target").await;
    side.put("a", "x", vec![]).await;
    let id = queue("target").id();
    let mut first = None;
    for round in 0..2 {
        let [task]: [Task; 1] = side.waiting("target").await.try_into().expect("one task");
        assert_eq!(event(&task).moved, first, "in round {round}");
        first.get_or_insert(task.stamp);
        let failed = TaskOutcome::PutAside { reason: "it answered no".to_owned(), attempts: 3 };
        side.store.end_events(id, vec![(task, failed)]).await.expect("ended");
        let aside = side.store.tasks_aside(id, None, 10).await.expect("tasks");
        side.store.retry_events(id, aside, false).await.expect("taken up");
    }
    let [task]: [Task; 1] = side.waiting("target").await.try_into().expect("one task");
    assert_eq!(event(&task).moved, first, "its first stamp, not its last");
    assert_eq!(side.store.backlog(id).await.expect("counters").aside_bytes, 0);
}

/// S3 has an event of a new retention, and none of a legal hold.
#[tokio::test]
async fn of_locks_retentions_are_told() {
    let side = Side::new(1, 1000).await;
    let lock = BucketChange::ObjectLock(ObjectLock::default());
    side.store.change_bucket(&bucket(), lock).await.expect("a bucket that keeps versions");
    side.tell("target").await;
    side.put("a", "x", vec![]).await;
    let (name, current) = (key("a"), VersionSelector::Current);
    side.store.set_legal_hold(&bucket(), &name, current, LegalHold::Off).await.expect("not held");
    let retention = Some(Retention { mode: RetentionMode::Governance, until: Timestamp::from_secs(9000) });
    let change = RetentionChange { retention, governance: Governance::Binding };
    side.store.set_retention(&bucket(), &name, current, change).await.expect("retained");
    let told: Vec<EventKind> = side.waiting("target").await.iter().map(|task| event(task).kind).collect();
    assert_eq!(told, [EventKind::CreatedPut, EventKind::RetentionPut]);
}

#[tokio::test]
async fn a_moved_task_is_in_one_queue_after_a_restart() {
    let side = Side::new(1, 1000).await;
    side.tell("first").await;
    side.put("a", "x", vec![]).await;
    let [first]: [Task; 1] = side.waiting("first").await.try_into().expect("one task");
    side.send_on("first", &first, "second").await;
    let side = side.reopen().await;
    assert!(side.waiting("first").await.is_empty());
    let [second]: [Task; 1] = side.waiting("second").await.try_into().expect("one task");
    assert_eq!(event(&second).moved, Some(first.stamp));
    side.put("b", "x", vec![]).await;
    let [third]: [Task; 1] = side.waiting("first").await.try_into().expect("one task");
    assert!(third.stamp > second.stamp, "stamps go on after those of all queues");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_hear_of_what_is_there() {
    let side = Side::new(1, 1000).await;
    side.put("unheard", "x", vec![]).await;
    let mut events = side.store.events();
    let store = side.store.clone();
    let follower = tokio::spawn(async move {
        for number in 0..50 {
            let event = events.recv().await.expect("an event");
            assert_eq!((event.kind, event.key.as_str()), (EventKind::CreatedPut, format!("{number:02}").as_str()));
            let version = VersionSelector::Id(event.version_id.expect("a versioned bucket"));
            let object = store.object(&bucket(), &key(&event.key), version).await;
            object.expect("what is told is committed");
        }
        events
    });
    for number in 0..50 {
        side.put(&format!("{number:02}"), "x", vec![]).await;
    }
    let mut events = follower.await.expect("it heard all");
    // What does not come about is not told.
    let staged = side.store.stage_bytes("y").await.expect("staged");
    let condition = WriteCondition::IfAbsent;
    let refused = side.store.put(PutObject { condition, ..PutObject::new(bucket(), key("00"), staged) }).await;
    assert!(matches!(refused, Err(Error::Precondition)), "{refused:?}");
    let staged = side.store.stage_bytes("y").await.expect("staged");
    drop(side.store.put(PutObject::new(bucket(), key("never"), staged)));
    assert_eq!(events.try_recv().unwrap_err(), TryRecvError::Empty);
}

#[tokio::test]
async fn a_slow_follower_is_told_that_it_missed_some() {
    let side = Side::new(1, 1000).await;
    let mut slow = side.store.events();
    let mut writes = JoinSet::new();
    let more = 76;
    for number in 0..KEPT + more {
        let store = side.store.clone();
        writes.spawn(async move {
            let staged = store.stage_bytes("x").await.expect("staged");
            let name = ObjectKey::parse(&format!("{number:04}")).expect("a key");
            store.put(PutObject::new(bucket(), name, staged)).await.expect("written");
        });
    }
    writes.join_all().await;
    let missed = slow.recv().await;
    assert!(matches!(missed, Err(RecvError::Lagged(missed)) if missed == more as u64), "{missed:?}");
    let mut heard: BTreeSet<String> = BTreeSet::new();
    for _ in 0..KEPT {
        heard.insert(slow.recv().await.expect("an event").key.clone());
    }
    assert_eq!(heard.len(), KEPT);
    side.put("last", "x", vec![]).await;
    assert_eq!(slow.recv().await.expect("an event").key, "last");
}

#[tokio::test]
async fn events_keep_their_order_when_the_clock_jumps() {
    const DAY: u64 = 86_400;
    let mut side = Side::new(1, 1000 * DAY).await;
    side.tell("target").await;
    let mut expected = Vec::new();
    for (round, day) in [1000, 999, 1001, 5000, 1000, 0].into_iter().enumerate() {
        side.clock.set(strata_storage::Timestamp::from_secs(day * DAY));
        if round % 2 == 1 {
            side = side.reopen().await;
        }
        for number in 0..3 {
            let name = format!("{round}-{number}");
            side.put(&name, "x", vec![]).await;
            // The same key each time, whose versions keep their order as well.
            side.put("key", &name, vec![]).await;
            expected.extend([name, "key".to_owned()]);
        }
    }
    let tasks = side.waiting("target").await;
    let keys: Vec<&str> = tasks.iter().map(|task| event(task).key.as_str()).collect();
    assert_eq!(keys, expected);
    assert!(tasks.is_sorted_by_key(|task| task.stamp));
    // Who reads on from any of them misses none.
    let rest = side.store.tasks(queue("target").id(), Some(tasks[7].stamp), 100).await.expect("tasks");
    assert_eq!(rest.len(), tasks.len() - 8);
}

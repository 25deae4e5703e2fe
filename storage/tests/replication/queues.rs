//! What is queued by whom, and how statuses follow.

use strata_storage::{
    AsideTask, BucketChange, ConfigurationFilter, DeleteCondition, DeleteObject, Error, Event, EventKind, EventKinds,
    Governance, NotificationRule, QueueName, ReplicatedPart, ReplicationForm, ReplicationRule, ReplicationStatus,
    TaskOutcome, VersionId, VersionSelector, Versioning, Work,
};

use crate::support::{Side, THERE, bucket, key, rule, tag, work};

const OTHER: &str = "arn:aws:s3:::other";

fn delete(name: &str) -> DeleteObject {
    DeleteObject {
        bucket: bucket(),
        key: key(name),
        version: None,
        condition: DeleteCondition::None,
        governance: Governance::Binding,
    }
}

fn aside(reason: &str) -> TaskOutcome {
    TaskOutcome::PutAside { reason: reason.to_owned(), attempts: 3 }
}

#[tokio::test]
async fn a_version_is_pending_until_all_have_it() {
    let side = Side::new(1, 1000).await;
    side.put("before", "x", vec![]).await;
    side.replicate(vec![rule("one", THERE), rule("two", OTHER)]).await;
    side.put("a", "x", vec![]).await;
    assert_eq!(side.status("before").await, None);
    assert_eq!(side.status("a").await, Some(ReplicationStatus::Pending));
    for (destination, then) in [(THERE, ReplicationStatus::Pending), (OTHER, ReplicationStatus::Completed)] {
        let [task] = side.tasks(destination).await.try_into().expect("one task");
        assert_eq!((work(&task).part, work(&task).bytes), (ReplicatedPart::Object, 1));
        side.end(destination, task, TaskOutcome::Done).await;
        assert_eq!(side.status("a").await, Some(then));
        assert!(side.tasks(destination).await.is_empty());
    }
    let backlog = side.store.backlog(side.queue(THERE).await.id()).await.expect("counters");
    assert_eq!((backlog.waiting, backlog.waiting_bytes, backlog.done, backlog.done_bytes), (0, 0, 1, 1));
}

#[tokio::test]
async fn of_rules_with_one_destination_the_highest_applies() {
    let side = Side::new(1, 1000).await;
    let prefixed = |id: &str, priority, prefix: &str| ReplicationRule {
        priority,
        filter: ConfigurationFilter { prefix: Some(prefix.to_owned()), tags: vec![] },
        ..rule(id, THERE)
    };
    let tagged = ReplicationRule {
        priority: 9,
        filter: ConfigurationFilter { prefix: None, tags: vec![tag("team", "red")] },
        ..rule("tagged", THERE)
    };
    let disabled = ReplicationRule { priority: 10, enabled: false, ..rule("off", THERE) };
    side.replicate(vec![prefixed("low", 1, ""), prefixed("high", 2, "logs/"), tagged, disabled]).await;
    for (name, tags, expected) in [
        ("a", vec![], "low"),
        ("logs/a", vec![], "high"),
        ("logs/b", vec![tag("team", "red")], "tagged"),
        ("b", vec![tag("team", "blue")], "low"),
    ] {
        side.put(name, "x", tags).await;
        let tasks = side.tasks(THERE).await;
        let task = tasks.last().expect("a task");
        assert_eq!((work(task).key.as_str(), work(task).rule.as_str()), (name, expected));
    }
    let first = side.tasks(THERE).await.remove(0);
    side.end(THERE, first, TaskOutcome::Done).await;
    let [queue] = side.store.queues().await.expect("queues").try_into().expect("one queue");
    let counted = queue.rules.iter().map(|(rule, backlog)| (rule.as_str(), backlog.waiting, backlog.done));
    assert_eq!(counted.collect::<Vec<_>>(), [("high", 1, 0), ("low", 1, 1), ("tagged", 1, 0)]);
    assert_eq!((queue.backlog.waiting, queue.backlog.done), (3, 1));
}

#[tokio::test]
async fn markers_travel_by_rules_that_take_them() {
    let check = async |form: ReplicationForm, delete_markers: Option<bool>, expected: bool| {
        let side = Side::new(1, 1000).await;
        side.replicate(vec![ReplicationRule { form, delete_markers, ..rule("one", THERE) }]).await;
        side.store.delete(delete("a")).await.expect("a marker");
        assert_eq!(!side.tasks(THERE).await.is_empty(), expected, "{form:?} {delete_markers:?}");
    };
    check(ReplicationForm::Filter, Some(true), true).await;
    check(ReplicationForm::Filter, Some(false), false).await;
    check(ReplicationForm::Prefix, None, true).await;
}

#[tokio::test]
async fn what_failed_waits_aside_until_somebody_helps() {
    let side = Side::new(1, 1000).await;
    side.replicate(vec![rule("one", THERE)]).await;
    side.put("a", "x", vec![]).await;
    side.put("b", "x", vec![]).await;
    let queue = side.queue(THERE).await.id();
    let first = side.tasks(THERE).await.remove(0);
    side.end(THERE, first.clone(), aside("DstBucketNotFound")).await;
    assert_eq!(side.status("a").await, Some(ReplicationStatus::Failed));
    let found = side.store.tasks_aside(queue, None, 10).await.expect("tasks");
    let [AsideTask { task, reason, attempts, .. }] = &found[..] else { panic!("{found:?}") };
    assert_eq!((task, reason.as_str(), *attempts), (&first, "DstBucketNotFound", 3));
    assert!(side.store.retry_replication(queue, found[0].clone(), false).await.expect("taken up"));
    assert!(!side.store.retry_replication(queue, found[0].clone(), false).await.expect("it waits by now"));
    assert_eq!(side.status("a").await, Some(ReplicationStatus::Pending));
    // It waits behind the others now.
    let again = side.tasks(THERE).await.remove(1);
    assert_eq!(again.work, first.work);
    side.end(THERE, again, aside("DstBucketNotFound")).await;
    let found = side.store.tasks_aside(queue, None, 10).await.expect("tasks").remove(0);
    side.store.retry_replication(queue, found, true).await.expect("forgotten");
    assert_eq!(side.status("a").await, None);
    let backlog = side.store.backlog(queue).await.expect("counters");
    assert_eq!((backlog.waiting, backlog.aside, backlog.aside_bytes, backlog.dropped), (1, 0, 0, 1));
}

#[tokio::test]
async fn what_no_rule_sends_any_more_has_no_status() {
    let side = Side::new(1, 1000).await;
    side.replicate(vec![rule("one", THERE), rule("two", OTHER)]).await;
    side.put("a", "x", vec![]).await;
    let [first] = side.tasks(THERE).await.try_into().expect("one task");
    let [second] = side.tasks(OTHER).await.try_into().expect("one task");
    side.end(THERE, first, TaskOutcome::Dropped).await;
    assert_eq!(side.status("a").await, Some(ReplicationStatus::Pending));
    side.end(OTHER, second, TaskOutcome::Dropped).await;
    assert_eq!(side.status("a").await, None);
}

#[tokio::test]
async fn what_arrives_after_all_has_not_failed() {
    let side = Side::new(1, 1000).await;
    side.replicate(vec![rule("one", THERE), rule("two", OTHER)]).await;
    let queue = side.queue(THERE).await.id();
    let other = side.put("b", "x", vec![]).await;
    let written = side.put("a", "x", vec![]).await;
    for destination in [THERE, OTHER] {
        for task in side.tasks(destination).await {
            side.end(destination, task, aside("DstBucketNotFound")).await;
        }
    }
    let id = written.version_id.expect("versioned");
    let left = async |destination| {
        let queue = side.queue(destination).await.id();
        side.store.tasks_aside(queue, None, 10).await.expect("tasks").len()
    };
    for (destination, then, elsewhere) in
        [(THERE, ReplicationStatus::Failed, 2), (OTHER, ReplicationStatus::Completed, 1)]
    {
        side.store.ask_replication(&bucket(), &key("a"), id, &rule("one", destination)).await.expect("asked");
        let [task] = side.tasks(destination).await.try_into().expect("one task");
        side.end(destination, task, TaskOutcome::Done).await;
        assert_eq!((side.status("a").await, left(destination).await), (Some(then), 1));
        assert_eq!(left(OTHER).await, elsewhere);
        let queue = side.queue(destination).await.id();
        let of = async |name| side.store.tasks_aside_of(queue, &key(name), VersionId::Null).await.expect("tasks").len();
        assert_eq!((of("a").await, of("b").await), (0, 0), "only null versions were asked for");
        let of = side.store.tasks_aside_of(queue, &key("a"), id).await.expect("tasks");
        assert_eq!(of, [], "it arrived");
    }
    let b = other.version_id.expect("versioned");
    let of_b = side.store.tasks_aside_of(queue, &key("b"), b).await.expect("tasks");
    assert_eq!((of_b.len(), side.store.tasks_aside(queue, None, 10).await.expect("tasks")), (1, of_b));
    assert_eq!(side.status("b").await, Some(ReplicationStatus::Failed));
}

#[tokio::test]
async fn uploads_are_kept_until_their_tasks_end() {
    let side = Side::new(1, 1000).await;
    side.replicate(vec![rule("one", THERE)]).await;
    side.put("a", "x", vec![]).await;
    side.put("b", "x", vec![]).await;
    let queue = side.queue(THERE).await.id();
    let [first, second] = side.tasks(THERE).await.try_into().expect("two tasks");
    for (task, id) in [(&first, "lost"), (&first, "one"), (&second, "two")] {
        side.store.keep_upload(queue, task.stamp, id).await.expect("kept");
    }
    let kept = async || side.store.kept_uploads(queue).await.expect("uploads").into_values().collect::<Vec<_>>();
    assert_eq!(kept().await, ["one", "two"]);
    assert_eq!(side.tasks(THERE).await, [first.clone(), second.clone()]);
    side.end(THERE, first, TaskOutcome::Done).await;
    assert_eq!(kept().await, ["two"]);
    side.end(THERE, second, aside("DstBucketNotFound")).await;
    assert!(kept().await.is_empty());
}

#[tokio::test]
async fn existing_versions_are_sent_when_asked_for() {
    let side = Side::new(1, 1000).await;
    let written = side.put("a", "x", vec![]).await;
    side.store.delete(delete("a")).await.expect("a marker");
    side.replicate(vec![rule("one", THERE)]).await;
    for entry in side.versions().await {
        let asked = side.store.ask_replication(&bucket(), &entry.key, entry.version_id, &rule("one", THERE)).await;
        assert!(asked.expect("asked"));
    }
    let parts: Vec<_> = side.tasks(THERE).await.iter().map(|task| work(task).part).collect();
    assert_eq!(parts, [ReplicatedPart::Marker, ReplicatedPart::Object]);
    let id = written.version_id.expect("versioned");
    let object = side.store.object(&bucket(), &key("a"), VersionSelector::Id(id)).await.expect("the object");
    assert_eq!(object.info().replication.status(), Some(ReplicationStatus::Pending));
}

#[tokio::test]
async fn versioning_stays_while_there_are_rules() {
    let side = Side::new(1, 1000).await;
    side.replicate(vec![rule("one", THERE)]).await;
    let suspend = async || side.store.change_bucket(&bucket(), BucketChange::Versioning(Versioning::Suspended)).await;
    assert!(matches!(suspend().await, Err(Error::BucketState(_))));
    side.store.change_bucket(&bucket(), BucketChange::Replication(None)).await.expect("no rules");
    suspend().await.expect("suspended");
    let again = side.store.change_bucket(&bucket(), BucketChange::Replication(Some(Default::default()))).await;
    assert!(matches!(again, Err(Error::BucketState(_))));
}

#[tokio::test]
async fn events_are_queued_in_order_and_forgotten_with_their_queue() {
    let side = Side::new(1, 1000).await;
    let notification = NotificationRule {
        id: "all".to_owned(),
        target: "target".to_owned(),
        kinds: EventKinds::all(),
        prefix: "a".to_owned(),
        suffix: String::new(),
    };
    let rules = BucketChange::Notifications { rules: vec![notification], document: None };
    side.store.change_bucket(&bucket(), rules).await.expect("rules");
    let name = QueueName::Events { target: "target".to_owned() };
    let mut came = side.store.tasks_came(name.id());
    side.put("a", "x", vec![]).await;
    assert!(came.has_changed().expect("it lives"));
    came.mark_unchanged();
    side.put("b", "x", vec![]).await;
    assert!(!came.has_changed().expect("it lives"), "nobody wants an event of it");
    side.store.set_tags(&bucket(), &key("a"), VersionSelector::Current, vec![tag("k", "v")]).await.expect("tagged");
    side.store.delete(delete("a")).await.expect("a marker");
    let tasks = side.store.tasks(name.id(), None, 10).await.expect("tasks");
    let kinds: Vec<EventKind> = tasks
        .iter()
        .map(|task| match &task.work {
            Work::Event(event) => {
                let Event { configuration, bucket, key, .. } = &**event;
                assert_eq!((configuration.as_str(), bucket.as_str(), key.as_str()), ("all", "photos", "a"));
                event.kind
            }
            Work::Replicate(_) => panic!("nothing replicates"),
        })
        .collect();
    assert_eq!(kinds, [EventKind::CreatedPut, EventKind::TaggingPut, EventKind::RemovedMarker]);
    assert!(tasks.is_sorted_by(|before, after| before.stamp < after.stamp));
    let rest = side.store.tasks(name.id(), Some(tasks[0].stamp), 1).await.expect("tasks");
    assert_eq!(rest[..], tasks[1..2]);
    let [first, second, third] = tasks.try_into().expect("three");
    let ended = vec![(first, TaskOutcome::Done), (second, TaskOutcome::Dropped), (third, aside("no"))];
    side.store.end_events(name.id(), ended).await.expect("ended");
    let backlog = side.store.backlog(name.id()).await.expect("counters");
    assert_eq!((backlog.waiting, backlog.waiting_bytes), (0, 0));
    assert_eq!((backlog.done, backlog.dropped, backlog.aside), (1, 1, 1));
    assert!(backlog.aside_bytes > 0 && backlog.done_bytes > 0);
    assert_eq!(side.store.queues().await.expect("queues").len(), 1);
    side.store.forget_queue(&name).await.expect("forgotten");
    assert!(side.store.queues().await.expect("queues").is_empty());
    assert_eq!(side.store.backlog(name.id()).await.expect("counters"), Default::default());
}

//! Objects of classes that may lose them: whose bytes turn out to be damaged is told of, once.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;

use strata_storage::{
    BucketChange, Error, Event, EventKind, EventKinds, NotificationRule, QueueName, StorageClass, Work,
};

use crate::support::Fixture;

const SIZE: usize = 300_000;

fn content(number: u8) -> Vec<u8> {
    (0..SIZE).map(|place| (place / 3) as u8 ^ number).collect()
}

impl Fixture {
    async fn tell_of_losses(&self) {
        let rule = NotificationRule {
            id: "lost".to_owned(),
            target: "target".to_owned(),
            kinds: [EventKind::LostObject].into_iter().collect::<EventKinds>(),
            prefix: String::new(),
            suffix: String::new(),
        };
        let rules = BucketChange::Notifications { rules: vec![rule], document: None };
        self.store.change_bucket(&self.bucket, rules).await.expect("rules");
    }

    /// Writes an object and changes a byte of what is stored of it.
    async fn put_damaged(&self, name: &str, class: StorageClass, number: u8) {
        let before = self.segment_bytes();
        self.put(name, class, content(number)).await;
        for (path, bytes) in self.segment_bytes() {
            let old = before.iter().find(|(old, _)| *old == path).map_or(0, |(_, bytes)| *bytes);
            if bytes > old {
                let file = OpenOptions::new().read(true).write(true).open(&path).expect("a segment");
                flip(&file, old + (bytes - old) / 2);
            }
        }
        self.assert_damaged(name).await;
    }

    async fn assert_damaged(&self, name: &str) {
        let read = self.read(name).await.map(|bytes| bytes.len());
        assert!(matches!(read, Err(Error::Corrupt { .. })), "{name}: {read:?}");
    }

    fn segment_bytes(&self) -> Vec<(std::path::PathBuf, u64)> {
        let directory = self.directory.path().join("data").join("segments");
        let entries = std::fs::read_dir(directory).expect("segments").flatten();
        entries.map(|entry| (entry.path(), entry.metadata().expect("its size").len())).collect()
    }

    async fn told(&self) -> Vec<Event> {
        let queue = QueueName::Events { target: "target".to_owned() };
        let tasks = self.store.tasks(queue.id(), None, 100).await.expect("tasks");
        let event = |task: strata_storage::Task| match task.work {
            Work::Event(event) => *event,
            Work::Replicate(_) => panic!("nothing replicates"),
        };
        tasks.into_iter().map(event).collect()
    }

    async fn keys_told(&self) -> Vec<String> {
        self.told().await.into_iter().map(|event| event.key).collect()
    }
}

fn flip(file: &File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("a byte");
    file.write_all_at(&[byte[0] ^ 1], at).expect("another byte");
}

#[tokio::test]
async fn a_lost_object_is_told_of_once() {
    let fixture = Fixture::new().await;
    fixture.tell_of_losses().await;
    fixture.put_damaged("lost", StorageClass::ReducedRedundancy, 1).await;
    let told = fixture.told().await;
    let [event] = &told[..] else { panic!("{told:?}") };
    assert_eq!((event.kind, event.key.as_str(), event.size), (EventKind::LostObject, "lost", Some(SIZE as u64)));
    assert!(event.etag.is_some() && event.asked.is_none());
    for _ in 0..3 {
        fixture.assert_damaged("lost").await;
    }
    let fixture = fixture.reopen().await;
    fixture.assert_damaged("lost").await;
    assert_eq!(fixture.keys_told().await, ["lost"]);
    // Another version of the key is another object.
    fixture.put_damaged("lost", StorageClass::ReducedRedundancy, 2).await;
    assert_eq!(fixture.keys_told().await, ["lost", "lost"]);
    fixture.delete("lost").await;
    fixture.finish().await;
}

#[tokio::test]
async fn other_classes_lose_nothing() {
    let fixture = Fixture::new().await;
    fixture.tell_of_losses().await;
    fixture.put_damaged("kept", StorageClass::Standard, 1).await;
    fixture.put("sound", StorageClass::ReducedRedundancy, content(2)).await;
    fixture.assert_reads("sound", &content(2)).await;
    assert!(fixture.told().await.is_empty());
}

#[tokio::test]
async fn what_nobody_asked_for_is_told_to_who_asks_later() {
    let fixture = Fixture::new().await;
    fixture.put_damaged("lost", StorageClass::OnezoneIa, 1).await;
    fixture.tell_of_losses().await;
    assert!(fixture.told().await.is_empty());
    fixture.assert_damaged("lost").await;
    fixture.assert_damaged("lost").await;
    assert_eq!(fixture.keys_told().await, ["lost"]);
    // Who only listens is told as well, once.
    let mut events = fixture.store.events();
    fixture.put_damaged("second", StorageClass::ReducedRedundancy, 2).await;
    fixture.assert_damaged("second").await;
    let heard: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.kind).collect();
    assert_eq!(heard, [EventKind::CreatedPut, EventKind::LostObject]);
}

#[tokio::test]
async fn a_move_that_finds_damage_tells_of_it() {
    let fixture = Fixture::new().await;
    // Found while nobody wanted to know, and not read since.
    fixture.put_damaged("lost", StorageClass::OnezoneIa, 1).await;
    fixture.tell_of_losses().await;
    for _ in 0..2 {
        fixture.store.settle().await.expect("a pass");
        fixture.clock.advance(std::time::Duration::from_hours(48));
    }
    assert_eq!(fixture.keys_told().await, ["lost"]);
}

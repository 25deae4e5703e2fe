//! Two buckets that replicate to each other, written on both sides by clocks that disagree, with tasks delivered late,
//! twice and interleaved: at rest they hold the same.

use proptest::prelude::*;
use strata_storage::{TaskOutcome, VersionId, VersionSelector};

use crate::sound::assert_sound;
use crate::support::{Side, THERE, bucket, key, rule, tag, work};

const KEYS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    Put { left: bool, key: usize },
    Marker { left: bool, key: usize },
    Tag { left: bool, version: usize, value: u8 },
    Deliver { left: bool, key: usize, forget: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let (left, key) = (any::<bool>(), 0..KEYS.len());
    prop_oneof![
        3 => (left, key.clone()).prop_map(|(left, key)| Step::Put { left, key }),
        1 => (left, key.clone()).prop_map(|(left, key)| Step::Marker { left, key }),
        3 => (left, 0..3_usize, any::<u8>()).prop_map(|(left, version, value)| Step::Tag { left, version, value }),
        4 => (left, key, any::<bool>()).prop_map(|(left, key, forget)| Step::Deliver { left, key, forget }),
    ]
}

struct Pair {
    sides: [Side; 2],
}

impl Pair {
    async fn new() -> Pair {
        // The clocks are an hour apart.
        let sides = [Side::new(1, 10_000).await, Side::new(2, 6_400).await];
        for side in &sides {
            side.replicate(vec![rule("two-way", THERE)]).await;
        }
        Pair { sides }
    }

    fn sides(&self, left: bool) -> (&Side, &Side) {
        let [first, second] = &self.sides;
        if left { (first, second) } else { (second, first) }
    }

    async fn run(&self, step: &Step) {
        match *step {
            Step::Put { left, key } => {
                self.sides(left).0.put(KEYS[key], KEYS[key], vec![]).await;
            }
            Step::Marker { left, key: name } => {
                self.sides(left).0.delete(KEYS[name]).await;
            }
            Step::Tag { left, version, value } => {
                let side = self.sides(left).0;
                side.tick();
                let objects: Vec<_> = side.versions().await.into_iter().filter(|it| it.object.is_some()).collect();
                if let Some(entry) = objects.get(version) {
                    let (selector, tags) = (VersionSelector::Id(entry.version_id), vec![tag("v", &value.to_string())]);
                    side.store.set_tags(&bucket(), &entry.key, selector, tags).await.expect("tagged");
                }
            }
            Step::Deliver { left, key, forget } => self.deliver(left, Some(KEYS[key]), forget).await,
        }
    }

    /// Delivers the first task of a key, or of any; `forget` leaves it in the queue, as a crash would.
    async fn deliver(&self, left: bool, key: Option<&str>, forget: bool) {
        let (from, to) = self.sides(left);
        let mut tasks = from.tasks(THERE).await.into_iter();
        let Some(task) = tasks.find(|task| key.is_none_or(|key| work(task).key == key)) else { return };
        let outcome = from.deliver(work(&task), to).await;
        assert_eq!(outcome, TaskOutcome::Done, "nothing is removed for good here");
        if !forget {
            from.end(THERE, task, outcome).await;
        }
    }

    async fn settle(&self) {
        for left in [true, false] {
            while !self.sides(left).0.tasks(THERE).await.is_empty() {
                self.deliver(left, None, false).await;
            }
        }
    }

    async fn contents(&self, left: bool) -> Vec<(String, VersionId, bool, Option<String>)> {
        let side = self.sides(left).0;
        let mut found = Vec::new();
        for entry in side.versions().await {
            let selector = VersionSelector::Id(entry.version_id);
            let tags = match &entry.object {
                None => None,
                Some(_) => {
                    let object = side.store.object(&bucket(), &entry.key, selector).await.expect("the version");
                    Some(format!("{:?}", object.info().tags))
                }
            };
            found.push((entry.key.as_str().to_owned(), entry.version_id, entry.latest, tags));
        }
        found
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn two_way_rules_converge(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let pair: std::result::Result<Pair, TestCaseError> = runtime.block_on(async {
            let pair = Pair::new().await;
            for step in &steps {
                pair.run(step).await;
            }
            pair.settle().await;
            let (first, second) = (pair.contents(true).await, pair.contents(false).await);
            prop_assert_eq!(first, second);
            for side in &pair.sides {
                for name in KEYS {
                    let current = side.store.object(&bucket(), &key(name), VersionSelector::Current).await;
                    if let Ok(object) = current {
                        let status = object.info().replication.status().map(|status| status.name());
                        prop_assert!(matches!(status, Some("COMPLETED" | "REPLICA")), "{:?}", status);
                    }
                }
            }
            Ok(pair)
        });
        let pair = pair?;
        // With it go the tasks that hold the stores.
        drop(runtime);
        for Side { store, directory, .. } in pair.sides {
            drop(store);
            assert_sound(directory.path(), Vec::new(), None);
        }
    }
}

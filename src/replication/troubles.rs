//! What holds replication up: the last trouble of each queue that has one, for those who look after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use strata_storage::QueueName;

/// Troubles of queues; one per server, cheap to clone.
#[derive(Clone, Default)]
pub struct Troubles(Arc<Mutex<BTreeMap<QueueName, String>>>);

impl Troubles {
    /// The trouble of a queue, if it has one.
    pub fn of(&self, queue: &QueueName) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(queue).cloned()
    }

    /// Says that a queue is in trouble. What is said again is logged once.
    pub fn note(&self, queue: &QueueName, trouble: String) {
        let mut troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.get(queue) != Some(&trouble) {
            tracing::warn!(?queue, trouble, "replication is held up; it is tried again");
            troubles.insert(queue.clone(), trouble);
        }
    }

    /// Says that it is not any more.
    pub fn clear(&self, queue: &QueueName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(queue);
    }
}

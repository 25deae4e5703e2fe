//! Events for those who listen: told once their change is durable, and to nobody who comes later. Nothing is kept for them.
//!
//! Without listeners a change pays for one look at a counter.

use std::sync::Arc;

use crate::event::Event;
use crate::sync::broadcast;

/// Events that are kept for a listener that is slow; then it misses the oldest.
const KEPT_MAX: usize = 1024;

/// Who listens.
#[derive(Clone)]
pub(crate) struct Listeners(broadcast::Sender<Arc<Event>>);

/// Events of a batch that is not durable yet.
pub(crate) struct Untold {
    listeners: Listeners,
    events: Vec<Arc<Event>>,
}

impl Listeners {
    pub(crate) fn new() -> Listeners {
        Listeners(broadcast::Sender::new(KEPT_MAX))
    }

    pub(crate) fn are_there(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.subscribe()
    }

    /// Keeps an event until its batch is durable.
    pub(crate) fn keep(&self, event: Event, untold: &mut Option<Box<Untold>>) {
        let untold = untold.get_or_insert_with(|| Box::new(Untold { listeners: self.clone(), events: Vec::new() }));
        untold.events.push(Arc::new(event));
    }
}

impl Untold {
    /// Tells whoever listens by now.
    pub(crate) fn tell(self) {
        for event in self.events {
            // Nobody listens any more: then nobody misses it.
            let _ = self.listeners.0.send(event);
        }
    }
}

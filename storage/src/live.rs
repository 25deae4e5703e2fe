//! Events for those who listen: told once their change is durable, and to nobody who comes later. Nothing is kept for them.
//!
//! Without listeners a change pays for one look at a counter.

use std::sync::Arc;

use crate::deed::Deed;
use crate::event::Event;
use crate::sync::broadcast;

/// Events that are kept for a listener that is slow; then it misses the oldest.
const KEPT_MAX: usize = 1024;

/// Deeds that are kept for a listener that is slow: some rounds of lifecycle work.
const DEEDS_MAX: usize = 8192;

/// Who listens.
#[derive(Clone)]
pub(crate) struct Listeners {
    events: broadcast::Sender<Arc<Event>>,
    deeds: broadcast::Sender<Arc<Deed>>,
}

/// Events of a batch that is not durable yet.
pub(crate) struct Untold {
    listeners: Listeners,
    events: Vec<Arc<Event>>,
    deeds: Vec<Arc<Deed>>,
}

impl Listeners {
    pub(crate) fn new() -> Listeners {
        Listeners { events: broadcast::Sender::new(KEPT_MAX), deeds: broadcast::Sender::new(DEEDS_MAX) }
    }

    pub(crate) fn are_there(&self) -> bool {
        self.events.receiver_count() > 0
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    pub(crate) fn want_deeds(&self) -> bool {
        self.deeds.receiver_count() > 0
    }

    pub(crate) fn subscribe_deeds(&self) -> broadcast::Receiver<Arc<Deed>> {
        self.deeds.subscribe()
    }

    /// Keeps an event until its batch is durable.
    pub(crate) fn keep(&self, event: Event, untold: &mut Option<Box<Untold>>) {
        self.untold(untold).events.push(Arc::new(event));
    }

    /// Keeps a deed until its batch is durable.
    pub(crate) fn keep_deed(&self, deed: Arc<Deed>, untold: &mut Option<Box<Untold>>) {
        self.untold(untold).deeds.push(deed);
    }

    fn untold<'u>(&self, untold: &'u mut Option<Box<Untold>>) -> &'u mut Untold {
        let none = || Box::new(Untold { listeners: self.clone(), events: Vec::new(), deeds: Vec::new() });
        untold.get_or_insert_with(none)
    }
}

impl Untold {
    /// Tells whoever listens by now.
    pub(crate) fn tell(self) {
        for event in self.events {
            // Nobody listens any more: then nobody misses it.
            let _ = self.listeners.events.send(event);
        }
        for deed in self.deeds {
            let _ = self.listeners.deeds.send(deed);
        }
    }
}

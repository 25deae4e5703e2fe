//! Processor time for background work: one thread, which yields to everything that serves requests (`pace`).
//!
//! Compressing an archive takes a processor for seconds. On the threads that serve requests, or on as many blocking
//! threads as there is work, it would be felt; on one thread of low priority it takes what nobody else wants.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::sync::thread::{self, JoinHandle};
use crate::worker::budget::Budget;
use crate::worker::pace::{Pace, Turn};

/// Work that may wait; whoever comes later waits to enter the queue.
const QUEUE_MAX: usize = 8;
/// How far the thread steps back behind others: all the way. It still gets a hundredth of a busy processor.
const NICENESS: i32 = 19;

type Work = Box<dyn FnOnce(&mut Turn<'_>) + Send>;

/// The way to the thread. Dropping it waits for the piece of work under way.
pub(crate) struct Background {
    /// Absent only within `drop`.
    queue: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    pace: Arc<Pace>,
}

impl Background {
    /// Starts the thread, which makes way for the requests that the budget counts.
    pub(crate) fn start(budget: Arc<Budget>) -> Result<Background> {
        let pace = Arc::new(Pace::new(budget));
        let its_pace = Arc::clone(&pace);
        let (queue, work) = mpsc::channel(QUEUE_MAX);
        let thread = thread::Builder::new().name("strata-background".to_owned()).spawn(move || run(work, &its_pace));
        let thread = thread.map_err(|source| Error::Io { action: "start the background thread", source })?;
        Ok(Background { queue: Some(queue), thread: Some(thread), pace })
    }

    /// Runs work on the thread, in its turn. The work tells after each of its pieces that it can be kept waiting.
    /// Dropping the future forgets the work if it has not begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Turn<'_>) -> T + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |turn| {
            if !reply.is_closed() {
                // Whoever asked may have gone meanwhile; then nobody wants the outcome.
                let _ = reply.send(std::panic::catch_unwind(AssertUnwindSafe(|| work(turn))));
            }
        });
        let queue = self.queue.as_ref().expect("only drop takes it");
        queue.send(work).await.map_err(|_| Error::Closed)?;
        match answer.await.map_err(|_| Error::Closed)? {
            Ok(outcome) => Ok(outcome),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// The store is closing: what is under way is done without pauses.
    pub(crate) fn close(&self) {
        self.pace.close();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.close();
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // Panics of the work were handed to whoever asked for it.
            let _ = thread.join();
        }
    }
}

fn run(mut queue: mpsc::Receiver<Work>, pace: &Pace) {
    // On Linux this is the priority of the calling thread. It is a courtesy: without it the work is done all the same.
    if cfg!(not(shuttle)) {
        let _ = rustix::process::setpriority_process(None, NICENESS);
    }
    while let Some(work) = queue.blocking_recv() {
        work(&mut pace.begin());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Background;
    use crate::worker::budget::Budget;

    #[tokio::test]
    async fn work_is_done_in_turn_and_a_panic_is_its_owners() {
        let background = Background::start(Arc::new(Budget::new(1))).unwrap();
        assert_eq!(background.run(|_| 6 * 7).await.unwrap(), 42);
        let background = Arc::new(background);
        let failing = tokio::spawn({
            let background = Arc::clone(&background);
            async move { background.run(|_| panic!("as the test wants it")).await }
        });
        assert!(failing.await.unwrap_err().is_panic());
        assert_eq!(background.run(|_| 1).await.unwrap(), 1, "the thread goes on");
    }
}

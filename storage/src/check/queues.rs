//! Queues: the tasks in them, and the counters of what waits.

use super::{Check, CheckStep, FindingKind, shown_row};
use crate::error::Result;
use crate::index::{Family, key};
use crate::queue::{Backlog, QueueName, TaskRecord, TaskState, backlog_of};

/// A task's row: queue, state, stamp.
const TASK_ROW_BYTES: usize = 8 + 1 + 16;

impl Check<'_> {
    pub(super) fn queues(&mut self) -> Result<()> {
        self.begin(CheckStep::Queues, &[Family::Task])?;
        self.queue_names()?;
        let mut present: Option<(u64, Backlog, bool)> = None;
        let mut rows = self.rows.cursor(Family::Task, &[], &[]);
        while let Some((row, value)) = rows.row()? {
            let state = TaskState::ALL.into_iter().find(|state| row.get(8) == Some(&state.number()));
            let (Some(queue), Some(state), TASK_ROW_BYTES) = (row.first_chunk::<8>(), state, row.len()) else {
                self.unreadable(Family::Task, row, &key::corrupt("task row", row));
                rows.advance();
                continue;
            };
            let queue = u64::from_be_bytes(*queue);
            let (_, mut sums, mut certain) = match present.take() {
                Some(present) if present.0 == queue => present,
                before => {
                    self.end_queue(before)?;
                    self.is_named(queue)?;
                    (queue, Backlog::default(), true)
                }
            };
            match self.decode::<TaskRecord>(Family::Task, row, value) {
                Some(task) => sums.add(state, &task),
                None => certain = false,
            }
            present = Some((queue, sums, certain));
            self.advance(1);
            rows.advance();
        }
        self.end_queue(present)?;
        self.idle_queues()
    }

    fn queue_names(&mut self) -> Result<()> {
        let prefix = key::queue_names();
        let mut rows = self.rows.cursor(Family::Meta, &prefix, &key::after_prefix(prefix.clone()));
        while let Some((row, value)) = rows.row()? {
            if let Some(name) = self.decode::<QueueName>(Family::Meta, row, value)
                && key::queue_name(name.id()) != row
            {
                self.find(FindingKind::RowUnreadable, shown_row(Family::Meta, row), "it names another queue");
            }
            rows.advance();
        }
        Ok(())
    }

    fn is_named(&mut self, queue: u64) -> Result<()> {
        if self.rows.get(Family::Meta, &key::queue_name(crate::queue::QueueId(queue)))?.is_none() {
            self.find(FindingKind::QueueUnnamed, format!("queue {queue:016x}"), "it holds tasks that nobody does");
        }
        Ok(())
    }

    fn end_queue(&mut self, queue: Option<(u64, Backlog, bool)>) -> Result<()> {
        let Some((queue, is, true)) = queue else { return Ok(()) };
        self.compare_queue(queue, is)
    }

    /// What was done and dropped cannot be computed.
    fn compare_queue(&mut self, queue: u64, is: Backlog) -> Result<()> {
        let row = queue.to_be_bytes();
        let says = match self.rows.get(Family::Queue, &row)?.map(|value| backlog_of(&value)) {
            Some(Err(error)) => {
                self.unreadable(Family::Queue, &row, &error);
                return Ok(());
            }
            Some(Ok(says)) => says,
            None => Backlog::default(),
        };
        let is = Backlog { done: says.done, done_bytes: says.done_bytes, dropped: says.dropped, ..is };
        if says != is {
            let detail = format!("it says {says:?}, and is {is:?}");
            self.find(FindingKind::QueueCounter, format!("queue {queue:016x}"), detail);
        }
        Ok(())
    }

    /// Counters of queues without tasks.
    fn idle_queues(&mut self) -> Result<()> {
        let mut rows = self.rows.cursor(Family::Queue, &[], &[]);
        while let Some((row, _)) = rows.row()? {
            match <[u8; 8]>::try_from(row) {
                Ok(id) => {
                    if self.rows.first(Family::Task, row, &key::after_prefix(row.to_vec()))?.is_none() {
                        self.compare_queue(u64::from_be_bytes(id), Backlog::default())?;
                    }
                }
                Err(_) => self.unreadable(Family::Queue, row, &key::corrupt("queue row", row)),
            }
            rows.advance();
        }
        Ok(())
    }
}

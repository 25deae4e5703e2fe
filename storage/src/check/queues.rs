//! Queues: the tasks in them, the uploads that they began, and the counters of what waits, of a queue and of its rules.

use std::collections::BTreeMap;

use super::{Check, CheckStep, FindingKind, shown_row};
use crate::error::Result;
use crate::index::record::Record as _;
use crate::index::{Family, key};
use crate::queue::{Backlog, QueueId, QueueName, TaskRecord, TaskState, UploadedRecord, Work, backlog_of};
use crate::stamp::Stamp;

/// What the tasks of one queue add up to, by rule; under an empty name all of them.
struct Sums {
    queue: QueueId,
    by_rule: BTreeMap<String, Backlog>,
    /// Whether all of its tasks could be read.
    certain: bool,
}

impl Sums {
    fn new(queue: QueueId) -> Sums {
        Sums { queue, by_rule: BTreeMap::from([(String::new(), Backlog::default())]), certain: true }
    }

    fn add(&mut self, state: TaskState, task: &TaskRecord) {
        let rules = ["", task.work.rule().unwrap_or_default()];
        // Tasks of no rule count once.
        for rule in rules.into_iter().take(if rules[1].is_empty() { 1 } else { 2 }) {
            self.by_rule.entry(rule.to_owned()).or_default().add(state, task);
        }
    }
}

impl Check<'_> {
    pub(super) fn queues(&mut self) -> Result<()> {
        self.begin(CheckStep::Queues, &[Family::Task])?;
        self.queue_names()?;
        let mut present: Option<Sums> = None;
        let mut rows = self.rows.cursor(Family::Task, &[], &[]);
        while let Some((row, value)) = rows.row()? {
            match split_task(row) {
                Some((queue, TaskState::AsideOf, stamp)) => self.aside_of(queue, stamp, row)?,
                Some((queue, state, stamp)) => {
                    let mut sums = match present.take() {
                        Some(sums) if sums.queue == queue => sums,
                        before => {
                            before.map_or(Ok(()), |before| self.end_queue(&before))?;
                            self.is_named(queue)?;
                            Sums::new(queue)
                        }
                    };
                    self.task(&mut sums, (state, stamp), (row, value))?;
                    present = Some(sums);
                    self.advance(1);
                }
                None => self.unreadable(Family::Task, row, &key::corrupt("task row", row)),
            }
            rows.advance();
        }
        present.map_or(Ok(()), |last| self.end_queue(&last))?;
        self.idle_queues()
    }

    fn task(
        &mut self,
        sums: &mut Sums,
        (state, stamp): (TaskState, Stamp),
        (row, value): (&[u8], &[u8]),
    ) -> Result<()> {
        if state != TaskState::Uploaded {
            match self.decode::<TaskRecord>(Family::Task, row, value) {
                Some(task) => sums.add(state, &task),
                None => sums.certain = false,
            }
            return Ok(());
        }
        if let Err(error) = UploadedRecord::decode(value) {
            self.unreadable(Family::Task, row, &error);
        }
        if self.rows.get(Family::Task, &key::task(sums.queue, TaskState::Waiting, stamp))?.is_none() {
            self.find(
                FindingKind::Unowned,
                shown_row(Family::Task, row),
                "it tells of an upload of a task that is gone",
            );
        }
        Ok(())
    }

    /// The row by which a task that is put aside is found.
    fn aside_of(&mut self, queue: QueueId, stamp: Stamp, row: &[u8]) -> Result<()> {
        let task = self.rows.record::<TaskRecord>(Family::Task, &key::task(queue, TaskState::Aside, stamp));
        let is_named = match &task {
            Ok(Some(TaskRecord { work: Work::Replicate(replicate), .. })) => {
                row.starts_with(&key::tasks_aside_of(queue, &replicate.key, replicate.version_id()))
            }
            // It is told of where it is.
            Err(_) => true,
            _ => false,
        };
        if !is_named {
            self.find(FindingKind::Unowned, shown_row(Family::Task, row), "it tells of a task that is not put aside");
        }
        Ok(())
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

    fn is_named(&mut self, queue: QueueId) -> Result<()> {
        if self.rows.get(Family::Meta, &key::queue_name(queue))?.is_none() {
            self.find(FindingKind::QueueUnnamed, shown(queue, ""), "it holds tasks that nobody does");
        }
        Ok(())
    }

    fn end_queue(&mut self, sums: &Sums) -> Result<()> {
        if !sums.certain {
            return Ok(());
        }
        for (rule, is) in &sums.by_rule {
            let row = key::queue(sums.queue, Some(rule));
            let says = self.rows.get(Family::Queue, &row)?;
            self.compare_queue((sums.queue, rule), says.as_deref(), *is);
        }
        // Rules without tasks.
        let prefix = key::queue(sums.queue, None);
        let mut rows = self.rows.cursor(Family::Queue, &prefix, &key::after_prefix(prefix.clone()));
        while let Some((row, value)) = rows.row()? {
            let rule = String::from_utf8_lossy(&row[prefix.len()..]);
            if !sums.by_rule.contains_key(&*rule) {
                self.compare_queue((sums.queue, &rule), Some(value), Backlog::default());
            }
            rows.advance();
        }
        Ok(())
    }

    /// What was done and dropped cannot be computed.
    fn compare_queue(&mut self, (queue, rule): (QueueId, &str), row: Option<&[u8]>, is: Backlog) {
        let says = match row.map_or(Ok(Backlog::default()), backlog_of) {
            Ok(says) => says,
            Err(error) => return self.unreadable(Family::Queue, &key::queue(queue, Some(rule)), &error),
        };
        let is = Backlog { done: says.done, done_bytes: says.done_bytes, dropped: says.dropped, ..is };
        if says != is {
            self.find(FindingKind::QueueCounter, shown(queue, rule), format!("it says {says:?}, and is {is:?}"));
        }
    }

    /// Counters of queues without tasks.
    fn idle_queues(&mut self) -> Result<()> {
        let mut rows = self.rows.cursor(Family::Queue, &[], &[]);
        while let Some((row, value)) = rows.row()? {
            match row.split_first_chunk::<8>().map(|(id, rule)| (id, std::str::from_utf8(rule))) {
                Some((id, Ok(rule))) => {
                    if self.rows.first(Family::Task, id, &key::after_prefix(id.to_vec()))?.is_none() {
                        let queue = QueueId(u64::from_be_bytes(*id));
                        self.compare_queue((queue, rule), Some(value), Backlog::default());
                    }
                }
                _ => self.unreadable(Family::Queue, row, &key::corrupt("queue row", row)),
            }
            rows.advance();
        }
        Ok(())
    }
}

fn shown(queue: QueueId, rule: &str) -> String {
    let of_rule = if rule.is_empty() { String::new() } else { format!(", rule {rule}") };
    format!("queue {:016x}{of_rule}", queue.0)
}

/// A task's row taken apart.
fn split_task(row: &[u8]) -> Option<(QueueId, TaskState, Stamp)> {
    let (queue, rest) = row.split_first_chunk::<8>()?;
    let (number, stamp) = rest.split_first()?;
    let state = TaskState::ALL.into_iter().find(|state| state.number() == *number)?;
    // The version's name comes first in it.
    let stamp = if state == TaskState::AsideOf { stamp.split_at_checked(16)?.1 } else { stamp };
    Some((QueueId(u64::from_be_bytes(*queue)), state, Stamp::from_bytes(stamp.try_into().ok()?)))
}

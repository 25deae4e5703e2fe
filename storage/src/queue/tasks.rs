//! Queues as those see them who do what is in them: read in order, end, retry.

use crate::error::Result;
use crate::index::record::Record;
use crate::index::{Batch, Family, Rows, Step, key};
use crate::name::ObjectKey;
use crate::queue::{
    AsideRecord, AsideTask, Backlog, QueueId, QueueName, QueueStatus, Task, TaskOutcome, TaskRecord, TaskState, Work,
};
use crate::stamp::{Stamp, Timestamp, VersionId};
use crate::store::{Inner, Store};
use crate::sync::watch;

impl Work {
    /// The rule whose counters it counts in, besides its queue's.
    pub(crate) fn rule(&self) -> Option<&str> {
        match self {
            Work::Event(_) => None,
            Work::Replicate(replicate) => Some(replicate.rule.as_str()).filter(|rule| !rule.is_empty()),
        }
    }

    /// What it counts for in a backlog, in bytes; `encoded` tells the size of its row while it waits.
    fn bytes(&self, encoded: impl FnOnce() -> usize) -> u64 {
        match self {
            Work::Event(_) => u64::try_from(encoded()).expect("a row is small"),
            Work::Replicate(replicate) => replicate.bytes,
        }
    }
}

impl TaskRecord {
    fn waiting(work: Work) -> TaskRecord {
        TaskRecord { work, aside: None }
    }

    fn into_aside(self, stamp: Stamp) -> Option<AsideTask> {
        let AsideRecord { reason, attempts, since } = self.aside?;
        Some(AsideTask { task: Task { stamp, work: self.work }, reason, attempts, since })
    }

    fn bytes(&self) -> u64 {
        self.work.bytes(|| self.encode().len())
    }
}

impl Backlog {
    /// Counts a task that is in that state.
    pub(crate) fn add(&mut self, state: TaskState, task: &TaskRecord) {
        let bytes = TaskRecord::waiting(task.work.clone()).bytes();
        let (tasks, sum) = match state {
            TaskState::Waiting => (&mut self.waiting, &mut self.waiting_bytes),
            TaskState::Aside => (&mut self.aside, &mut self.aside_bytes),
            // Its task counts.
            TaskState::Uploaded | TaskState::AsideOf => return,
        };
        (*tasks, *sum) = (*tasks + 1, sum.saturating_add(bytes));
    }

    fn from_slice(numbers: &[i64]) -> Backlog {
        let at = |index: usize| numbers.get(index).map_or(0, |&number| u64::try_from(number).unwrap_or(0));
        Backlog {
            waiting: at(0),
            waiting_bytes: at(1),
            aside: at(2),
            aside_bytes: at(3),
            done: at(4),
            done_bytes: at(5),
            dropped: at(6),
        }
    }
}

/// What a task adds to the counters of its queue.
#[derive(Debug, Clone, Copy)]
enum Counted {
    Waiting,
    Aside,
    Done,
    Dropped,
}

/// Counts a task that comes, or goes if `tasks` is -1, in its queue and under its rule.
fn count(queue: QueueId, work: &Work, counted: Counted, tasks: i64, bytes: u64, batch: &mut Batch) {
    let bytes = tasks * i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut numbers = vec![0; 7];
    match counted {
        Counted::Waiting => (numbers[0], numbers[1]) = (tasks, bytes),
        Counted::Aside => (numbers[2], numbers[3]) = (tasks, bytes),
        Counted::Done => (numbers[4], numbers[5]) = (tasks, bytes),
        Counted::Dropped => numbers[6] = tasks,
    }
    if let Some(rule) = work.rule() {
        batch.add(Family::Queue, key::queue(queue, Some(rule)), numbers.clone());
    }
    batch.add(Family::Queue, key::queue(queue, None), numbers);
}

/// The row by which a task that is put aside is found by its version; events are not.
fn aside_of(queue: QueueId, work: &Work, stamp: Stamp) -> Option<Vec<u8>> {
    let Work::Replicate(replicate) = work else { return None };
    let mut row = key::tasks_aside_of(queue, &replicate.key, replicate.version_id());
    row.extend_from_slice(&stamp.to_bytes());
    Some(row)
}

impl Inner {
    /// Adds a task to the batch of the change that it is about.
    pub(crate) fn enqueue(&self, queue: QueueId, work: Work, batch: &mut Batch) {
        let stamp = self.arrivals.enter(queue, || self.stamp(), &mut batch.arriving);
        let record = TaskRecord::waiting(work);
        let value = record.encode();
        let bytes = record.work.bytes(|| value.len());
        count(queue, &record.work, Counted::Waiting, 1, bytes, batch);
        batch.put_raw(Family::Task, key::task(queue, TaskState::Waiting, stamp), value);
    }

    /// Adds to `batch` what ends a task that is there.
    pub(crate) fn end_task(&self, queue: QueueId, task: Task, outcome: TaskOutcome, batch: &mut Batch) {
        let row = key::task(queue, TaskState::Waiting, task.stamp);
        let record = TaskRecord::waiting(task.work);
        let bytes = record.bytes();
        batch.delete(Family::Task, row);
        if matches!(&record.work, Work::Replicate(replicate) if replicate.may_upload()) {
            batch.delete(Family::Task, key::task(queue, TaskState::Uploaded, task.stamp));
        }
        count(queue, &record.work, Counted::Waiting, -1, bytes, batch);
        match outcome {
            TaskOutcome::Done => count(queue, &record.work, Counted::Done, 1, bytes, batch),
            TaskOutcome::Dropped => count(queue, &record.work, Counted::Dropped, 1, bytes, batch),
            TaskOutcome::Moved { to } => {
                count(queue, &record.work, Counted::Dropped, 1, bytes, batch);
                let mut work = record.work;
                if let Work::Event(event) = &mut work {
                    event.moved.get_or_insert(task.stamp);
                }
                self.name_queue(&to, batch);
                self.enqueue(to.id(), work, batch);
            }
            TaskOutcome::PutAside { reason, attempts } => {
                let aside = Some(AsideRecord { reason, attempts, since: self.clock.now() });
                let row = key::task(queue, TaskState::Aside, task.stamp);
                count(queue, &record.work, Counted::Aside, 1, bytes, batch);
                if let Some(row) = aside_of(queue, &record.work, task.stamp) {
                    batch.put_raw(Family::Task, row, Vec::new());
                }
                batch.put(Family::Task, row, &TaskRecord { aside, ..record });
            }
        }
    }

    /// Adds to `batch` what makes a task that was put aside wait again, behind all others, or, if `drop_it`, forgets it.
    pub(crate) fn take_up(&self, queue: QueueId, aside: AsideTask, drop_it: bool, batch: &mut Batch) {
        batch.delete(Family::Task, key::task(queue, TaskState::Aside, aside.task.stamp));
        if let Some(row) = aside_of(queue, &aside.task.work, aside.task.stamp) {
            batch.delete(Family::Task, row);
        }
        let mut record = TaskRecord::waiting(aside.task.work);
        let bytes = record.bytes();
        count(queue, &record.work, Counted::Aside, -1, bytes, batch);
        if drop_it {
            count(queue, &record.work, Counted::Dropped, 1, bytes, batch);
            return;
        }
        // In its old place nobody would see it who has read on. To whoever hears of it, it is as old as it is.
        if let Work::Event(event) = &mut record.work {
            event.moved.get_or_insert(aside.task.stamp);
        }
        self.enqueue(queue, record.work, batch);
    }

    /// Adds to `batch` the row by which a queue is found.
    pub(crate) fn name_queue(&self, name: &QueueName, batch: &mut Batch) {
        batch.put(Family::Meta, key::queue_name(name.id()), name);
    }
}

impl Store {
    /// All queues that ever were used and not forgotten, at most some for each target and destination configured.
    pub async fn queues(&self) -> Result<Vec<QueueStatus>> {
        self.inner
            .index
            .read(|rows| {
                let mut names = Vec::new();
                let prefix = key::queue_names();
                rows.scan(Family::Meta, &prefix, &key::after_prefix(prefix.clone()), |_, name| {
                    names.push(QueueName::decode(name)?);
                    Ok(Step::Next)
                })?;
                names.into_iter().map(|name| queue_status(rows, name)).collect()
            })
            .await
    }

    /// A queue's counters.
    pub async fn backlog(&self, queue: QueueId) -> Result<Backlog> {
        let row = self.inner.index.get(Family::Queue, key::queue(queue, None)).await?;
        row.map_or(Ok(Backlog::default()), |row| backlog_of(&row))
    }

    /// Up to `max` tasks that wait, in the order of their stamps, after the stamp `after`. Whoever reads on after the last
    /// one misses none: tasks that are still being written are later, or end the page before them.
    pub async fn tasks(&self, queue: QueueId, after: Option<Stamp>, max: usize) -> Result<Vec<Task>> {
        // Asked before the rows are read: what is not there by now is after the horizon.
        let horizon = self.inner.arrivals.horizon(queue, || self.inner.stamp());
        let found = self.scan_tasks(queue, TaskState::Waiting, after, max).await?;
        let there = found.into_iter().take_while(|(stamp, _)| *stamp < horizon);
        Ok(there.map(|(stamp, record)| Task { stamp, work: record.work }).collect())
    }

    /// Up to `max` tasks that were put aside, in the order of their stamps, after the stamp `after`.
    pub async fn tasks_aside(&self, queue: QueueId, after: Option<Stamp>, max: usize) -> Result<Vec<AsideTask>> {
        let found = self.scan_tasks(queue, TaskState::Aside, after, max).await?;
        Ok(found.into_iter().filter_map(|(stamp, record)| record.into_aside(stamp)).collect())
    }

    /// The tasks of a version that were put aside, in the order of their stamps: few, however many the queue has.
    pub async fn tasks_aside_of(&self, queue: QueueId, key: &ObjectKey, version: VersionId) -> Result<Vec<AsideTask>> {
        let prefix = key::tasks_aside_of(queue, key.as_str(), version);
        self.inner
            .index
            .read(move |rows| {
                let mut stamps = Vec::new();
                rows.scan(Family::Task, &prefix, &key::after_prefix(prefix.clone()), |row, _| {
                    stamps.push(stamp_of(row)?);
                    Ok(Step::Next)
                })?;
                let mut found = Vec::new();
                for stamp in stamps {
                    let row = key::task(queue, TaskState::Aside, stamp);
                    found.extend(
                        rows.record::<TaskRecord>(Family::Task, &row)?.and_then(|record| record.into_aside(stamp)),
                    );
                }
                Ok(found)
            })
            .await
    }

    /// Ends tasks of events, all in one batch. Each must have come from [`Store::tasks`] and not have been ended before: one
    /// caller at a time takes care of a queue. Tasks of replication end with [`Store::end_replication`].
    pub async fn end_events(&self, queue: QueueId, ended: Vec<(Task, TaskOutcome)>) -> Result<()> {
        let mut batch = Batch::making_room();
        for (task, outcome) in ended {
            self.inner.end_task(queue, task, outcome, &mut batch);
        }
        self.inner.index.commit(batch).await
    }

    /// Makes events that were put aside wait again, behind all others, or forgets them if `drop_them`.
    pub async fn retry_events(&self, queue: QueueId, aside: Vec<AsideTask>, drop_them: bool) -> Result<()> {
        let mut batch = Batch::making_room();
        for task in aside {
            self.inner.take_up(queue, task, drop_them, &mut batch);
        }
        self.inner.index.commit(batch).await
    }

    /// Forgets a queue that nothing waits in. What is put aside is forgotten with it.
    pub async fn forget_queue(&self, name: &QueueName) -> Result<()> {
        let id = name.id();
        loop {
            let aside = self.tasks_aside(id, None, PAGE).await?;
            if aside.is_empty() {
                break;
            }
            self.retry_events(id, aside, true).await?;
        }
        let mut batch = Batch::making_room();
        batch.delete(Family::Meta, key::queue_name(id));
        for rule in self.inner.index.read(move |rows| counters(rows, id)).await? {
            batch.delete(Family::Queue, key::queue(id, Some(&rule.0)));
        }
        self.inner.index.commit(batch).await
    }

    /// Changes when tasks may have come to a queue.
    pub fn tasks_came(&self, queue: QueueId) -> watch::Receiver<u64> {
        self.inner.arrivals.subscribe(queue)
    }

    async fn scan_tasks(
        &self,
        queue: QueueId,
        state: TaskState,
        after: Option<Stamp>,
        max: usize,
    ) -> Result<Vec<(Stamp, TaskRecord)>> {
        self.inner
            .index
            .read(move |rows| {
                let prefix = key::tasks(queue, state);
                let from = match after {
                    Some(after) => key::after_prefix(key::task(queue, state, after)),
                    None => prefix.clone(),
                };
                let mut found = Vec::new();
                rows.scan(Family::Task, &from, &key::after_prefix(prefix), |row, value| {
                    if found.len() == max {
                        return Ok(Step::Stop);
                    }
                    found.push((stamp_of(row)?, TaskRecord::decode(value)?));
                    Ok(Step::Next)
                })?;
                Ok(found)
            })
            .await
    }
}

/// Tasks that are forgotten in one batch.
const PAGE: usize = 1000;

fn stamp_of(row: &[u8]) -> Result<Stamp> {
    let stamp = row.last_chunk::<16>().ok_or_else(|| key::corrupt("task row", row))?;
    Ok(Stamp::from_bytes(*stamp))
}

/// The counters in a queue's row.
pub(crate) fn backlog_of(row: &[u8]) -> Result<Backlog> {
    let (numbers, []) = row.as_chunks::<8>() else { return Err(key::corrupt("queue row", row)) };
    let numbers: Vec<i64> = numbers.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
    Ok(Backlog::from_slice(&numbers))
}

fn queue_status(rows: &Rows<'_>, name: QueueName) -> Result<QueueStatus> {
    let id = name.id();
    let prefix = key::tasks(id, TaskState::Waiting);
    let oldest = rows.first(Family::Task, &prefix, &key::after_prefix(prefix.clone()))?;
    let oldest = oldest.map(|(row, _)| stamp_of(&row)).transpose()?.map(|stamp| stamp.time);
    let mut rules = counters(rows, id)?;
    // Its own counters come before those of its rules, whose ids are not empty.
    let is_own = rules.first().is_some_and(|(rule, _)| rule.is_empty());
    let backlog = if is_own { rules.remove(0).1 } else { Backlog::default() };
    Ok(QueueStatus { name, backlog, oldest, rules })
}

/// The counters of a queue, under an empty name, and of its rules. Blocking.
fn counters(rows: &Rows<'_>, queue: QueueId) -> Result<Vec<(String, Backlog)>> {
    let (prefix, mut counters) = (key::queue(queue, None), Vec::new());
    rows.scan(Family::Queue, &prefix, &key::after_prefix(prefix.clone()), |row, numbers| {
        let rule = String::from_utf8(row[prefix.len()..].to_vec()).map_err(|_| key::corrupt("queue row", row))?;
        counters.push((rule, backlog_of(numbers)?));
        Ok(Step::Next)
    })?;
    Ok(counters)
}

/// The time of the latest task of any queue: stamps go on after it, whatever the clock says. Blocking.
pub(crate) fn latest_task(rows: &Rows<'_>) -> Result<Timestamp> {
    let mut latest = Timestamp::default();
    let prefix = key::queue_names();
    rows.scan(Family::Meta, &prefix, &key::after_prefix(prefix.clone()), |_, name| {
        let to = key::after_prefix(key::tasks(QueueName::decode(name)?.id(), TaskState::Waiting));
        let from = key::tasks(QueueName::decode(name)?.id(), TaskState::Waiting);
        rows.scan_back(Family::Task, &from, &to, |row, _| {
            latest = latest.max(stamp_of(row)?.time);
            Ok(Step::Stop)
        })?;
        Ok(Step::Next)
    })?;
    Ok(latest)
}

//! Lines that wait for delivery, bounded in number and bytes: beyond, the oldest are lost.

use std::collections::{HashMap, VecDeque};

use strata_storage::{AccountId, BucketName};

use super::configuration::Logging;

/// Beyond so many bytes a log does not wait for its time: what S3's logs have at most, so that one object holds it.
const FULL_BYTES: usize = 4 << 20;

/// What is kept of one log while its target refuses it.
const STREAM_BYTES_MAX: usize = 2 * FULL_BYTES;

/// What is kept of all logs together.
const BYTES_MAX: usize = 64 << 20;

/// What a line takes besides its text.
const LINE_OVERHEAD_BYTES: usize = 64;

/// After so many deliveries that failed, the lines are given up: an hour, unless the interval is changed.
const FAILURES_MAX: u32 = 12;

/// Lines that belong into the same object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stream {
    /// The bucket that the requests were for.
    pub source: BucketName,
    /// Its owner.
    pub owner: AccountId,
    /// Its region.
    pub region: String,
    /// Where they go.
    pub logging: Logging,
    /// The day of the requests since 1970, if keys tell it.
    pub day: Option<u64>,
}

/// The lines of one stream, oldest first.
#[derive(Debug, Default)]
pub struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
    failures: u32,
}

impl Lines {
    fn push(&mut self, line: String) {
        self.bytes += size(&line);
        self.lines.push_back(line);
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(line) = self.lines.pop_front() else { return false };
        self.bytes -= size(&line);
        true
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.lines.len()
    }

    /// All of them as the content of an object.
    pub fn text(&self) -> String {
        self.lines.iter().map(String::as_str).collect()
    }
}

fn size(line: &str) -> usize {
    line.len() + LINE_OVERHEAD_BYTES
}

/// Whether there is reason to deliver at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The interval says when.
    Wait,
    /// A log is full.
    Deliver,
}

/// The lines of all streams.
#[derive(Debug, Default)]
pub struct Buffers {
    streams: HashMap<Stream, Lines>,
    bytes: usize,
    lost: u64,
}

impl Buffers {
    /// Adds a line, and loses the oldest of its stream if there is no room.
    pub fn push(&mut self, stream: Stream, line: String) -> Next {
        let lines = self.streams.entry(stream).or_default();
        let before = lines.bytes;
        lines.push(line);
        let room = BYTES_MAX.saturating_sub(self.bytes - before).min(STREAM_BYTES_MAX);
        while lines.bytes > room && lines.drop_oldest() {
            self.lost += 1;
        }
        self.bytes = self.bytes - before + lines.bytes;
        // A log whose target refuses it is not tried again for each line.
        match lines.failures == 0 && before < FULL_BYTES && lines.bytes >= FULL_BYTES {
            true => Next::Deliver,
            false => Next::Wait,
        }
    }

    /// Takes everything out.
    pub fn take(&mut self) -> Vec<(Stream, Lines)> {
        self.bytes = 0;
        self.streams.drain().filter(|(_, lines)| lines.count() > 0).collect()
    }

    /// Takes back what could not be delivered, before what came meanwhile; too often, and it is lost.
    pub fn give_back(&mut self, stream: Stream, mut refused: Lines) {
        refused.failures += 1;
        if refused.failures >= FAILURES_MAX {
            self.lost += refused.count() as u64;
            return;
        }
        let meanwhile = self.streams.remove(&stream).unwrap_or_default();
        self.bytes -= meanwhile.bytes;
        for line in meanwhile.lines {
            refused.push(line);
        }
        let room = BYTES_MAX.saturating_sub(self.bytes).min(STREAM_BYTES_MAX);
        while refused.bytes > room && refused.drop_oldest() {
            self.lost += 1;
        }
        self.bytes += refused.bytes;
        self.streams.insert(stream, refused);
    }

    /// How many lines were lost since this was asked last.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use strata_storage::{AccountId, BucketName};

    use super::super::configuration::Logging;
    use super::{Buffers, FAILURES_MAX, FULL_BYTES, Next, STREAM_BYTES_MAX, Stream};

    fn stream() -> Stream {
        let document = "<B><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix/></LoggingEnabled></B>";
        let logging = Logging::parse(document.as_bytes()).unwrap().unwrap();
        let source = BucketName::parse("bucket").unwrap();
        Stream { source, owner: AccountId::ROOT, region: "r".to_owned(), logging, day: None }
    }

    #[test]
    fn full_logs_are_delivered_once_and_the_oldest_lines_are_lost() {
        let mut buffers = Buffers::default();
        let line = |number: usize| format!("{number:0>width$}", width = 60_000).repeat(17);
        let mut told = 0;
        for number in 0..20 {
            told += usize::from(buffers.push(stream(), line(number)) == Next::Deliver);
        }
        assert_eq!((told, buffers.bytes <= STREAM_BYTES_MAX), (1, true));
        let taken = buffers.take();
        let (_, lines) = taken.first().unwrap();
        assert_eq!(lines.count() as u64 + buffers.take_lost(), 20);
        assert!(lines.text().ends_with("19") && lines.bytes > FULL_BYTES);
        assert_eq!((buffers.bytes, buffers.take().len()), (0, 0));
    }

    #[test]
    fn refused_lines_come_back_before_later_ones() {
        let mut buffers = Buffers::default();
        buffers.push(stream(), "a".to_owned());
        for round in 1..=FAILURES_MAX {
            let (stream, lines) = buffers.take().pop().unwrap();
            buffers.push(stream.clone(), "b".to_owned());
            buffers.give_back(stream, lines);
            assert_eq!(buffers.take_lost(), if round == FAILURES_MAX { u64::from(FAILURES_MAX) } else { 0 });
        }
        assert_eq!(buffers.take().pop().unwrap().1.text(), "b");
    }
}

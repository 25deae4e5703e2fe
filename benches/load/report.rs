//! Results: rows as a table and as JSON, and the record that is kept of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::failure::Failure;
use crate::histogram::Histogram;
use crate::options::bytes_text;
use crate::run::Outcome;
use crate::sign::wall_clock;
use crate::target::{About, DataDir};

/// One line of the results.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// Whether it is a reference that the store's rows are read against.
    pub reference: bool,
    /// Bytes per object; zero where the work has no bodies.
    pub size_bytes: u64,
    /// Requests in flight.
    pub connections: u32,
    /// Measured time.
    pub elapsed_seconds: f64,
    /// Finished requests.
    pub operations: u64,
    /// Failed requests, those of the warm-up included.
    pub errors: u64,
    /// Finished requests a second.
    pub operations_per_second: f64,
    /// Millions of object bytes a second.
    pub megabytes_per_second: f64,
    /// Latency of all requests.
    pub latency: Latency,
    /// The same by request, where there are several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_operation: BTreeMap<&'static str, Latency>,
    /// The first distinct error messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
    /// What the project aims at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether it was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

/// Quantiles in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// How many requests.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// Ninety-nine of a hundred.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    fn of(histogram: &Histogram) -> Latency {
        Latency {
            count: histogram.count(),
            p50_ms: histogram.quantile_ms(0.5),
            p90_ms: histogram.quantile_ms(0.9),
            p99_ms: histogram.quantile_ms(0.99),
            max_ms: histogram.max_ms(),
        }
    }
}

impl Row {
    /// A row without a target.
    pub fn new(name: impl Into<String>, size_bytes: u64, connections: u32, outcome: &Outcome) -> Row {
        let by_operation = match outcome.by_operation.len() {
            0 | 1 => BTreeMap::new(),
            _ => outcome.by_operation.iter().map(|(name, histogram)| (*name, Latency::of(histogram))).collect(),
        };
        Row {
            name: name.into(),
            reference: false,
            size_bytes,
            connections,
            elapsed_seconds: outcome.elapsed.as_secs_f64(),
            operations: outcome.latency.count(),
            errors: outcome.errors,
            operations_per_second: outcome.operations_per_second(),
            megabytes_per_second: outcome.megabytes_per_second(),
            latency: Latency::of(&outcome.latency),
            by_operation,
            messages: outcome.messages.clone(),
            target: None,
            met: None,
        }
    }

    /// The same as a reference.
    #[must_use]
    pub fn into_reference(mut self) -> Row {
        self.name = format!("({})", self.name);
        self.reference = true;
        self
    }
}

/// The rows as a Markdown table that reads well as plain text.
pub fn table(rows: &[Row]) -> String {
    let head = ["work", "ops/s", "MB/s", "p50 ms", "p90 ms", "p99 ms", "max ms", "errors", "target", "met"];
    let mut cells = vec![head.map(str::to_owned)];
    for row in rows {
        let line = |name: String, rate: String, bytes: String, latency: &Latency, errors: String| {
            let [p50, p90, p99, max] =
                [latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms].map(|ms| format!("{ms:.2}"));
            [name, rate, bytes, p50, p90, p99, max, errors, String::new(), String::new()]
        };
        let mut whole = line(
            row.name.clone(),
            rate_text(row.operations_per_second),
            rate_text(row.megabytes_per_second),
            &row.latency,
            row.errors.to_string(),
        );
        whole[8] = row.target.clone().unwrap_or_default();
        whole[9] = row.met.map_or("", |met| if met { "yes" } else { "NO" }).to_owned();
        cells.push(whole);
        for (operation, latency) in &row.by_operation {
            let rate = rate_text(latency.count as f64 / row.elapsed_seconds.max(1e-9));
            cells.push(line(format!("- of these {operation}"), rate, String::new(), latency, String::new()));
        }
    }
    align(&cells)
}

fn align(cells: &[[String; 10]]) -> String {
    let width = |column: usize| cells.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; 10] = std::array::from_fn(width);
    let is_text = |column: usize| matches!(column, 0 | 8 | 9);
    let mut text = String::new();
    for (number, line) in cells.iter().enumerate() {
        for (column, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            let padded = if is_text(column) { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.push_str("| ");
            text.push_str(&padded);
            text.push(' ');
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, &width) in widths.iter().enumerate() {
                let dashes = "-".repeat(width + 1);
                text.push_str(&if is_text(column) { format!("|{dashes}-") } else { format!("|{dashes}:") });
            }
            text.push_str("|\n");
        }
    }
    text
}

fn rate_text(rate: f64) -> String {
    if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

/// Everything about a run.
#[derive(Debug, Serialize)]
pub struct Report {
    command: String,
    commit: String,
    date: String,
    build: &'static str,
    endpoint: String,
    durability: String,
    machine: Machine,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Machine {
    processor: String,
    cores: usize,
    memory: String,
    kernel: String,
    file_system: String,
}

impl Report {
    /// Adds to the rows what a reader needs to repeat the run.
    pub fn new(about: About, data: &DataDir, rows: Vec<Row>) -> Report {
        Report {
            command: command_line(),
            commit: commit(),
            date: DateTime::<Utc>::from(wall_clock()).format("%Y-%m-%d %H:%M UTC").to_string(),
            build: if cfg!(debug_assertions) { "debug: not a measurement" } else { "release" },
            endpoint: about.description,
            durability: about.durability,
            machine: Machine::here(data),
            rows,
        }
    }

    /// The report as JSON.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has string keys and finite numbers")
    }

    /// The table under what a reader needs to repeat the run.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let Machine { processor, cores, memory, kernel, file_system } = &self.machine;
        let lines = [
            ("Command", format!("`{}`", self.command)),
            ("Commit", format!("{} ({} build)", self.commit, self.build)),
            ("Date", self.date.clone()),
            ("Endpoint", self.endpoint.clone()),
            ("Durability", self.durability.clone()),
            ("Processor", format!("{processor}, {cores} cores, shared by client and server")),
            ("Memory", memory.clone()),
            ("System", format!("Linux {kernel}, {file_system}")),
        ];
        for (name, value) in lines {
            writeln!(text, "- {name}: {value}").expect("writing to memory cannot fail");
        }
        text.push('\n');
        text.push_str(&table(&self.rows));
        for row in self.rows.iter().filter(|row| !row.messages.is_empty()) {
            writeln!(text, "\n{}: {}", row.name, row.messages.join("; ")).expect("writing to memory cannot fail");
        }
        text
    }

    /// Writes `result.json` and `table.md`.
    pub fn record(&self, dir: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(dir).map_err(Failure::io("create the record's directory"))?;
        std::fs::write(dir.join("result.json"), self.json() + "\n").map_err(Failure::io("write result.json"))?;
        std::fs::write(dir.join("table.md"), self.markdown()).map_err(Failure::io("write table.md"))
    }
}

impl Machine {
    fn here(data: &DataDir) -> Machine {
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
        };
        let memory_kib = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory: memory_kib.map_or_else(|_| "unknown".to_owned(), |kib| bytes_text((kib >> 20) << 30)),
            kernel: kernel.trim().to_owned(),
            file_system: data.file_system.clone(),
        }
    }
}

/// The command as it would be typed: without the place of the binary and without the secret.
fn command_line() -> String {
    let mut words = vec!["cargo bench --bench load --".to_owned()];
    let mut hide_next = false;
    for word in std::env::args().skip(1).filter(|word| word != "--bench") {
        words.push(match word.split_once('=') {
            _ if hide_next => "***".to_owned(),
            Some((name @ ("--secret-key" | "--access-key"), _)) => format!("{name}=***"),
            _ => word.clone(),
        });
        hide_next = matches!(word.as_str(), "--secret-key" | "--access-key");
    }
    words.join(" ")
}

/// The commit that was measured, marked if the tree differs from it.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with local changes"),
    }
}

//! The command line: its options, and the parsing of sizes and durations.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::failure::Failure;

/// Loads an S3 endpoint and prints how it did.
#[derive(Debug, Clone, Parser)]
#[command(name = "load")]
pub struct Options {
    /// Endpoint, as http://host:port; without it Strata starts in this process
    #[arg(long)]
    pub url: Option<String>,
    /// Drive the built-in memory server: this measures the generator itself
    #[arg(long, conflicts_with = "url")]
    pub fake: bool,
    /// Access key id for --url
    #[arg(long, env = "AWS_ACCESS_KEY_ID", hide_env_values = true, default_value = "")]
    pub access_key: String,
    /// Secret access key for --url
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", hide_env_values = true, default_value = "")]
    pub secret_key: String,
    /// Region to sign for
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
    /// Bucket; created if missing
    #[arg(long, default_value = "load")]
    pub bucket: String,
    /// Spread the keys over so many buckets, whose names begin with --bucket
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub buckets: u64,
    /// Prefix of the keys [default: a new one for put and multipart, else one by --size and --objects]
    #[arg(long)]
    pub prefix: Option<String>,
    /// Put a slash after the third digit of the keys, as list-prefixes always does: 4,096 common prefixes
    #[arg(long)]
    pub folders: bool,
    /// Number of the first key that put, multipart and delete take
    #[arg(long, default_value_t = 0)]
    pub first: u64,
    /// Have the buckets keep versions, and let put and filling write each key so many times
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub versions: Option<u64>,
    /// What the connections do
    #[arg(long, value_enum, default_value_t = Work::Put)]
    pub work: Work,
    /// Object size
    #[arg(long, value_parser = parse_bytes, default_value = "1KiB")]
    pub size: u64,
    /// Concurrent connections, each with one request in flight
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub connections: u32,
    /// Measured time
    #[arg(long, value_parser = parse_duration, default_value = "10s")]
    pub duration: Duration,
    /// Unmeasured time before it
    #[arg(long, value_parser = parse_duration, default_value = "2s")]
    pub warm_up: Duration,
    /// Requests a second, planned ahead and timed from when they were planned [default: as many as are answered]
    #[arg(long, value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Requests after which the work ends, whatever --duration says
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub total: Option<u64>,
    /// Objects filled in before works other than put and multipart [default: 10000, or as many as 1 GiB holds], or the
    /// most that put makes [default: no end]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub objects: Option<u64>,
    /// Take the buckets and objects as they were made by an earlier run with the same --size, --objects and form of keys
    #[arg(long)]
    pub no_fill: bool,
    /// Entries per LIST
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub max_keys: u64,
    /// Part size for multipart
    #[arg(long, value_parser = parse_bytes, default_value = "8MiB")]
    pub part_size: u64,
    /// Compare every byte of every GET with what was stored
    #[arg(long)]
    pub verify: bool,
    /// Threads of the client [default: half the cores]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub client_threads: Option<u32>,
    /// Run the fixed list of the project's targets
    #[arg(long)]
    pub suite: bool,
    /// Objects in the bucket that the suite lists
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1000..))]
    pub list_objects: u64,
    /// Only the suite's rows whose name contains this
    #[arg(long, default_value = "")]
    pub only: String,
    /// Directory on a real disk for Strata's data and the disk references [default: beside the binary]
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Write the results as JSON to this file
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Write result.json and table.md, with commit and machine, to this directory
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// What the endpoint at --url promises when it acknowledges a write, for the record
    #[arg(long, default_value = "not stated")]
    pub durability: String,
    /// Check the generator against the built-in memory server and leave
    #[arg(long)]
    pub self_check: bool,
    /// Passed by cargo
    #[arg(long, hide = true)]
    pub bench: bool,
}

/// What a connection does over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Work {
    /// New objects
    Put,
    /// New contents of random objects of the filled key space
    Overwrite,
    /// Random objects of the filled key space
    Get,
    /// Metadata of random objects
    Head,
    /// One page from a random place
    List,
    /// One page of common prefixes from a random place
    ListPrefixes,
    /// One page of versions from a random place
    ListVersions,
    /// 70 % GET, 30 % PUT over the same keys
    Mixed,
    /// Create, upload parts, complete
    Multipart,
    /// The filled objects, once each
    Delete,
}

impl Work {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Work::Put => "put",
            Work::Overwrite => "overwrite",
            Work::Get => "get",
            Work::Head => "head",
            Work::List => "list",
            Work::ListPrefixes => "list-prefixes",
            Work::ListVersions => "list-versions",
            Work::Mixed => "mixed",
            Work::Multipart => "multipart",
            Work::Delete => "delete",
        }
    }

    /// Whether the work needs objects to be there.
    pub fn needs_objects(self) -> bool {
        !matches!(self, Work::Put | Work::Multipart)
    }
}

impl Options {
    /// The key space for objects of `size` bytes.
    pub fn objects(&self, size: u64) -> u64 {
        self.objects.unwrap_or(((1 << 30) / size.max(1)).clamp(1, 10_000))
    }

    /// Threads that drive the connections. The client shares the cores, so it takes half of them at most.
    pub fn client_threads(&self) -> u32 {
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        self.client_threads.unwrap_or((cores / 2).max(1))
    }
}

const UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Parses `4096`, `1KiB`, `8MB`.
pub fn parse_bytes(text: &str) -> Result<u64, Failure> {
    let bad = || Failure::Usage(format!("not a size: {text:?}; write 4096, 1KiB or 8MB"));
    let (digits, unit) = UNITS
        .iter()
        .find_map(|&(name, unit)| text.strip_suffix(name).map(|digits| (digits, unit)))
        .unwrap_or((text, 1));
    let number: u64 = digits.trim().parse().map_err(|_| bad())?;
    number.checked_mul(unit).ok_or_else(bad)
}

/// Parses `10s`, `500ms`, `2m`.
pub fn parse_duration(text: &str) -> Result<Duration, Failure> {
    let bad = || Failure::Usage(format!("not a duration: {text:?}; write 10s, 500ms or 2m"));
    // "ms" stands before its ending "s".
    let (digits, unit_ms) = [("ms", 1), ("s", 1000), ("m", 60_000)]
        .iter()
        .find_map(|&(name, unit)| text.strip_suffix(name).map(|digits| (digits, unit)))
        .unwrap_or((text, 1000));
    let number: u64 = digits.trim().parse().map_err(|_| bad())?;
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(bad)
}

/// Parses a rate: a number above zero.
pub fn parse_rate(text: &str) -> Result<f64, Failure> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| Failure::Usage(format!("not a rate: {text:?}; write how many requests a second")))
}

/// A size as people write it.
pub fn bytes_text(bytes: u64) -> String {
    for (name, unit) in [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", bytes / unit);
        }
    }
    format!("{bytes} B")
}

//! The fixed list of the project's targets, each beside the reference it is read against.

use std::time::Duration;

use crate::failure::Failure;
use crate::keys::KeySpace;
use crate::local::Local;
use crate::options::{Options, Work};
use crate::reference;
use crate::report::{Row, table};
use crate::run::{Load, Outcome, UNTIL_DONE, create_buckets, run, run_seed};
use crate::sign::Endpoint;
use crate::target::{DataDir, Target};
use crate::worker::Plan;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// Connections that fill buckets, whatever the row itself uses.
const FILL_CONNECTIONS: u32 = 64;
/// The bare server's connections send no key, but the generator asks for one of so many.
const BARE_OBJECTS: u64 = 1000;

/// What a row is measured against.
#[derive(Debug, Clone, Copy)]
enum Goal {
    None,
    OperationsPerSecond(f64),
    MegabytesPerSecond(f64),
    /// Of the bare server's rate, in percent.
    PercentOfBare(f64),
    MedianMs(f64),
    /// The median in so many syncs of the disk, just before the row.
    MedianSyncs(f64),
}

/// What is measured without the store, just before the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Sync,
    FilePerBlob,
    BareHyper,
}

/// Whether the key space is filled in before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// The work needs objects.
    First,
    /// It needs none, or they are there.
    Not,
}

impl Fill {
    /// What `work` needs under these options.
    pub fn of(options: &Options, work: Work) -> Fill {
        if work.needs_objects() && !options.no_fill { Fill::First } else { Fill::Not }
    }
}

struct Case {
    name: &'static str,
    work: Work,
    size: u64,
    connections: u32,
    beside: Beside,
    goal: Goal,
}

const fn case(name: &'static str, work: Work, size: u64, connections: u32, beside: Beside, goal: Goal) -> Case {
    Case { name, work, size, connections, beside, goal }
}

const CASES: [Case; 10] = [
    case("PUT 1 KiB x64", Work::Put, KIB, 64, Beside::FilePerBlob, Goal::OperationsPerSecond(16_000.0)),
    case("PUT 1 KiB x1", Work::Put, KIB, 1, Beside::Sync, Goal::MedianSyncs(2.0)),
    case("GET 1 KiB x64", Work::Get, KIB, 64, Beside::BareHyper, Goal::OperationsPerSecond(40_000.0)),
    case("PUT 128 KiB x64", Work::Put, 128 * KIB, 64, Beside::FilePerBlob, Goal::OperationsPerSecond(4_600.0)),
    case("PUT 8 MiB x8", Work::Put, 8 * MIB, 8, Beside::FilePerBlob, Goal::MegabytesPerSecond(1_000.0)),
    case("PUT 8 MiB x1", Work::Put, 8 * MIB, 1, Beside::FilePerBlob, Goal::MegabytesPerSecond(600.0)),
    case("GET 8 MiB x8", Work::Get, 8 * MIB, 8, Beside::BareHyper, Goal::PercentOfBare(80.0)),
    case("LIST 1000 keys x1", Work::List, KIB, 1, Beside::Nothing, Goal::MedianMs(2.0)),
    case("mixed 70/30 4 KiB x64", Work::Mixed, 4 * KIB, 64, Beside::Nothing, Goal::None),
    case("multipart 64 MiB by 8 MiB x4", Work::Multipart, 64 * MIB, 4, Beside::Nothing, Goal::None),
];

/// One work as the options describe it.
pub fn run_one(options: &Options, data: &DataDir) -> Result<Vec<Row>, Failure> {
    let target = Target::open(options, data)?;
    let (work, size) = (options.work, options.size);
    let plan = plan(options, work, size, options.objects(size));
    let fill = Fill::of(options, work);
    let outcome = measure(options, &target.endpoint, &plan, options.connections, fill)?;
    Ok(vec![Row::new(work.name(), size, options.connections, &outcome)])
}

/// The whole list. A row that cannot run at all is reported as an error in its place, and the list goes on.
pub fn run_all(options: &Options, data: &DataDir) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let seconds = options.duration.min(Duration::from_secs(5));
    eprintln!("reference: fdatasync of the disk");
    rows.push(measure_sync(data, seconds)?);
    for case in CASES.iter().filter(|case| case.name.contains(&options.only)) {
        let reference = measure_reference(case, options, data)?;
        let mut row = match measure_case(case, options, data) {
            Ok(outcome) => Row::new(case.name, case.size, case.connections, &outcome),
            Err(failure) => {
                let mut outcome = Outcome::default();
                outcome.add_failure(&failure);
                Row::new(case.name, case.size, case.connections, &outcome)
            }
        };
        (row.target, row.met) = judge(case.goal, &row, reference.as_ref());
        rows.extend(reference);
        rows.push(row);
        eprintln!("\n{}", table(&rows[rows.len() - 1..]));
    }
    Ok(rows)
}

/// Each row gets a store of its own, so that none pays for what an earlier one left to be compacted.
fn measure_case(case: &Case, options: &Options, data: &DataDir) -> Result<Outcome, Failure> {
    let target = Target::open(options, data)?;
    let mut plan = match case.work {
        Work::List => plan(options, Work::List, case.size, options.list_objects),
        work => plan(options, work, case.size, options.objects(case.size)),
    };
    if case.work == Work::List {
        // The key space of its own keeps other rows' objects off its pages at an endpoint that outlives the row.
        plan.keys.bucket = format!("{}-list", plan.keys.bucket);
    }
    let fill = Fill::of(options, case.work);
    measure(options, &target.endpoint, &plan, case.connections, fill)
}

fn measure_sync(data: &DataDir, duration: Duration) -> Result<Row, Failure> {
    let outcome = reference::fdatasync(data.path(), duration)?;
    Ok(Row::new("fdatasync of 4 KiB x1", 4 * KIB, 1, &outcome).into_reference())
}

fn measure_reference(case: &Case, options: &Options, data: &DataDir) -> Result<Option<Row>, Failure> {
    let (size, streams) = (case.size, case.connections);
    match case.beside {
        Beside::Nothing => Ok(None),
        Beside::Sync => measure_sync(data, options.duration.min(Duration::from_secs(5))).map(Some),
        Beside::FilePerBlob => {
            eprintln!("reference: a file for each object of {}", case.name);
            let seconds = options.duration.min(Duration::from_secs(5));
            let outcome = reference::file_per_blob(data.path(), size, streams, seconds)?;
            Ok(Some(Row::new(format!("{}, file per blob", case.name), size, streams, &outcome).into_reference()))
        }
        Beside::BareHyper => {
            let name = format!("{}, bare hyper", case.name);
            let local = Local::start_bare(size)?;
            let endpoint = Endpoint {
                authority: local.authority.clone(),
                access_key: "none".to_owned(),
                secret_key: "none".to_owned(),
                region: options.region.clone(),
            };
            // Its bodies carry no stamps.
            let plan = Plan { verify: false, ..plan(options, Work::Get, size, BARE_OBJECTS) };
            let outcome = run(&name, &plan, &endpoint, load(options, streams))?;
            Ok(Some(Row::new(name, size, streams, &outcome).into_reference()))
        }
    }
}

fn plan(options: &Options, work: Work, size: u64, objects: u64) -> Plan {
    // What is filled in can be used again by a later run; what a PUT run writes must be new each time.
    let (prefix, objects) = match work {
        Work::Put => {
            (format!("put-{:016x}/", run_seed()), options.objects.filter(|_| !options.suite).unwrap_or(u64::MAX))
        }
        Work::Multipart => (format!("multipart-{:016x}/", run_seed()), u64::MAX),
        _ => (format!("filled-{size}-{objects}/"), objects),
    };
    let keys = KeySpace {
        bucket: options.bucket.clone(),
        buckets: options.buckets,
        prefix: options.prefix.clone().unwrap_or(prefix),
        folders: options.folders || work == Work::ListPrefixes,
        first: options.first,
        objects,
        versions: options.versions.unwrap_or(1),
    };
    Plan {
        work,
        keys,
        versioned: options.versions.is_some(),
        size,
        part_size: options.part_size.max(1),
        max_keys: options.max_keys,
        verify: options.verify,
    }
}

fn load(options: &Options, connections: u32) -> Load {
    let Options { warm_up, rate, .. } = *options;
    let (total, duration) = match options.total.filter(|_| !options.suite) {
        Some(total) => (total, UNTIL_DONE),
        None => (u64::MAX, options.duration),
    };
    Load { connections, threads: options.client_threads(), warm_up, duration, total, rate }
}

/// Creates the buckets, fills them if asked to, and runs the plan.
pub fn measure(
    options: &Options,
    endpoint: &Endpoint,
    plan: &Plan,
    connections: u32,
    fill: Fill,
) -> Result<Outcome, Failure> {
    if !options.no_fill {
        create_buckets(plan, endpoint)?;
    }
    let threads = options.client_threads();
    if fill == Fill::First {
        let filling = Plan { work: Work::Put, ..plan.clone() };
        let outcome = run("fill", &filling, endpoint, Load::until_done(FILL_CONNECTIONS, threads))?;
        if outcome.errors > 0 {
            let what = format!("{} objects could not be filled in: {}", outcome.errors, outcome.messages.join("; "));
            return Err(Failure::Wrong { operation: "fill", what });
        }
    }
    let label = format!("{} x{connections}", plan.work.name());
    run(&label, plan, endpoint, load(options, connections))
}

/// The target in words, and whether the row reaches it; errors fail every target.
fn judge(goal: Goal, row: &Row, reference: Option<&Row>) -> (Option<String>, Option<bool>) {
    let (text, met) = match goal {
        Goal::None => return (None, None),
        Goal::OperationsPerSecond(least) => (format!(">= {least:.0} ops/s"), row.operations_per_second >= least),
        Goal::MegabytesPerSecond(least) => (format!(">= {least:.0} MB/s"), row.megabytes_per_second >= least),
        Goal::PercentOfBare(least) => {
            let bare_rate = reference.map_or(0.0, |bare| bare.operations_per_second);
            let percent = 100.0 * row.operations_per_second / bare_rate.max(1e-9);
            (format!(">= {least:.0} % of bare hyper ({percent:.0} %)"), percent >= least)
        }
        Goal::MedianSyncs(most) => {
            let syncs = row.latency.p50_ms / reference.map_or(0.0, |sync| sync.latency.p50_ms).max(1e-9);
            (format!("p50 <= {most} syncs ({syncs:.1})"), syncs <= most)
        }
        Goal::MedianMs(most) => (format!("p50 <= {most} ms"), row.latency.p50_ms <= most),
    };
    (Some(text), Some(met && row.errors == 0 && row.operations > 0))
}

//! The generator against its fake: every work, with every signature and every byte compared.

use std::time::Duration;

use crate::content;
use crate::failure::Failure;
use crate::fake::{self, Checking};
use crate::histogram;
use crate::keys::KeySpace;
use crate::options::{Options, Work, parse_bytes, parse_duration};
use crate::run::{Load, Outcome, run};
use crate::sign::Endpoint;
use crate::suite::{Fill, measure};
use crate::worker::Plan;

const ALL: [Work; 10] = [
    Work::Put,
    Work::Overwrite,
    Work::Get,
    Work::Head,
    Work::List,
    Work::ListPrefixes,
    Work::ListVersions,
    Work::Mixed,
    Work::Multipart,
    Work::Delete,
];

/// Panics or fails where the generator is wrong.
pub fn check(options: &Options) -> Result<(), Failure> {
    histogram::check();
    content::check();
    assert_eq!(parse_bytes("8MiB")?, 8 << 20);
    assert_eq!(parse_bytes("1000")?, 1000);
    assert!(parse_bytes("1 parsec").is_err());
    assert_eq!(parse_duration("500ms")?, Duration::from_millis(500));
    assert_eq!(parse_duration("2m")?, Duration::from_secs(120));

    let mut options = options.clone();
    options.no_fill = false;
    (options.warm_up, options.duration) = (Duration::ZERO, Duration::from_millis(200));
    let (_local, endpoint) = fake::start(&options.region, Checking::Everything)?;
    for (work, size) in ALL.iter().flat_map(|&work| sizes(work).iter().map(move |&size| (work, size))) {
        let objects = if matches!(work, Work::Put | Work::Multipart) { u64::MAX } else { 300 };
        let plan =
            Plan { part_size: 1 << 20, max_keys: 100, ..plan(work, format!("{}-{size}/", work.name()), size, objects) };
        let outcome = measure(&options, &endpoint, &plan, 4, Fill::of(&options, work))?;
        assert_eq!(outcome.errors, 0, "{} of {size} bytes: {:?}", work.name(), outcome.messages);
        assert!(outcome.latency.count() > 0, "{} of {size} bytes did nothing", work.name());
        if work == Work::Delete {
            assert_eq!(outcome.latency.count(), objects, "each object is deleted once");
        }
        println!("{} of {size} bytes: {:.0} ops/s, as it should be", work.name(), outcome.operations_per_second());
    }
    check_key_spaces(&options, &endpoint)?;
    check_failures(&endpoint);
    check_rate(&endpoint);
    println!("the generator is right");
    Ok(())
}

fn plan(work: Work, prefix: String, size: u64, objects: u64) -> Plan {
    let folders = work == Work::ListPrefixes;
    let bucket = "check".to_owned();
    let keys = KeySpace { bucket, buckets: 1, prefix, folders, first: 0, objects, versions: 1 };
    Plan { work, keys, versioned: false, size, part_size: 1, max_keys: 1, verify: true }
}

/// What is filled in over several buckets, several times and from a later key on is found there, and nothing else is.
fn check_key_spaces(options: &Options, endpoint: &Endpoint) -> Result<(), Failure> {
    let plan = |work, first| {
        let mut plan = plan(work, "spread/".to_owned(), 5, 300);
        plan.keys = KeySpace { buckets: 3, folders: true, first, versions: 2, ..plan.keys };
        Plan { versioned: true, max_keys: 30, ..plan }
    };
    let done = |plan: &Plan| {
        let outcome = measure(options, endpoint, plan, 4, Fill::Not)?;
        assert_eq!(outcome.errors, 0, "{plan:?}: {:?}", outcome.messages);
        Ok::<u64, Failure>(outcome.latency.count())
    };
    assert_eq!(done(&plan(Work::Put, 0))?, 600, "each object is written twice");
    for work in [Work::Get, Work::List, Work::ListPrefixes] {
        assert!(done(&plan(work, 0))? > 0, "{} did nothing", work.name());
    }
    assert_eq!(done(&plan(Work::Delete, 150))?, 300, "each object from the first on is deleted once");
    let mut rest = plan(Work::Get, 0);
    rest.keys.objects = 150;
    assert!(done(&rest)? > 0, "what comes before the first object is left");
    Ok(())
}

/// Sizes around what the client treats differently: nothing, less than a stamp, copied, gathered, several writes.
fn sizes(work: Work) -> &'static [u64] {
    match work {
        Work::Put | Work::Get => &[0, 5, 1024, 32 << 10, (32 << 10) + 1, 65_536 + 7, 3 << 20],
        Work::Multipart => &[(2 << 20) + 12_345],
        _ => &[1024],
    }
}

/// An open load sends what was planned, not more and not less, and what waits for a connection is late.
fn check_rate(endpoint: &Endpoint) {
    let plan = |objects| plan(Work::Put, format!("rate-{objects}/"), 10, objects);
    let load = Load { rate: Some(500.0), ..Load::until_done(4, 1) };
    let outcome = run("100 at 500 a second", &plan(100), endpoint, load).expect("the run itself works");
    assert_eq!((outcome.latency.count(), outcome.errors), (100, 0), "{:?}", outcome.messages);
    assert!(outcome.elapsed >= Duration::from_millis(190), "they took {:?}", outcome.elapsed);
    // One connection cannot do all of that within the time: the rest is errors.
    let duration = Duration::from_millis(100);
    let load = Load { connections: 1, threads: 1, warm_up: Duration::ZERO, duration, total: u64::MAX, rate: Some(1e6) };
    let outcome = run("too many", &plan(u64::MAX), endpoint, load).expect("the run itself works");
    assert_eq!(outcome.latency.count() + outcome.errors, 100_000, "{:?}", outcome.messages);
    assert!(outcome.latency.max_ms() > 10.0, "{} ms is no waiting", outcome.latency.max_ms());
}

/// Whatever is wrong must be counted as an error, not as a request.
fn check_failures(endpoint: &Endpoint) {
    let good = plan(Work::Get, "get-1024/".to_owned(), 1024, 300);
    let missing = plan(Work::Get, "none/".to_owned(), 1024, 300);
    let short = plan(Work::List, "get-1024/".to_owned(), 1024, 500);
    let wrong_key = Endpoint { secret_key: "another".to_owned(), ..endpoint.clone() };
    let nobody = Endpoint { authority: "127.0.0.1:1".to_owned(), ..endpoint.clone() };
    let cases = [
        ("a wrong secret", good.clone(), &wrong_key, "status 403 SignatureDoesNotMatch"),
        ("a missing key", missing, endpoint, "status 404 NoSuchKey"),
        ("a wrong length", Plan { size: 1023, ..good.clone() }, endpoint, "1024 bytes instead of 1023"),
        ("nobody there", good, &nobody, "connect"),
        ("a short page", Plan { max_keys: 301, ..short }, endpoint, "keys instead of"),
    ];
    for (name, plan, endpoint, expected) in cases {
        let duration = Duration::from_millis(100);
        let load = Load { connections: 2, threads: 1, warm_up: Duration::ZERO, duration, total: u64::MAX, rate: None };
        let outcome: Outcome = run(name, &plan, endpoint, load).expect("the run itself works");
        assert_eq!(outcome.latency.count(), 0, "{name} was counted as a request");
        let found = &outcome.messages;
        assert!(found.iter().all(|message| message.contains(expected)) && !found.is_empty(), "{name}: {found:?}");
    }
}

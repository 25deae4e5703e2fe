//! What noting an access costs the read path: `cargo bench --bench accesses`.
//!
//! Each case runs seven times. The fastest run is what a call costs, the median tells how much the machine was
//! disturbed. With two threads on one version both wait for the same lock, which is the worst that a hot object does.

use std::sync::Barrier;
use std::time::Instant;

use strata_storage::{Accesses, ObjectKey, Stamp, Timestamp};

const RUNS: usize = 7;

/// One way to use the notes.
struct Case {
    name: &'static str,
    threads: usize,
    /// Versions noted in turn.
    versions: usize,
    /// Whether they were noted before the time is taken.
    noted: bool,
}

const CASES: [Case; 6] = [
    Case { name: "one version, 1 thread", threads: 1, versions: 1, noted: true },
    Case { name: "one version, 2 threads", threads: 2, versions: 1, noted: true },
    Case { name: "1,000 versions, 1 thread", threads: 1, versions: 1000, noted: true },
    Case { name: "1,000 versions, 2 threads", threads: 2, versions: 1000, noted: true },
    Case { name: "500,000 versions, 1 thread", threads: 1, versions: 500_000, noted: true },
    Case { name: "500,000 first notes, 1 thread", threads: 1, versions: 500_000, noted: false },
];

fn main() {
    // `cargo bench` adds --bench; without it this is `cargo test`, where running once is all there is to check.
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    println!("| {:<29} | {:>10} | {:>12} |", "case", "best ns/op", "median ns/op");
    println!("|-------------------------------|-----------:|-------------:|");
    for case in CASES {
        let runs = if is_measured { RUNS } else { 1 };
        let mut times: Vec<f64> = (0..runs).map(|_| run(&case, if is_measured { 2_000_000 } else { 1000 })).collect();
        times.sort_by(f64::total_cmp);
        println!("| {:<29} | {:>10.1} | {:>12.1} |", case.name, times[0], times[runs / 2]);
    }
}

/// The mean time of one call in nanoseconds, as each thread sees it.
fn run(case: &Case, calls: usize) -> f64 {
    let versions: Vec<(ObjectKey, Stamp)> = (0..case.versions).map(version).collect();
    let accesses = Accesses::new();
    if case.noted {
        note(&accesses, &versions, case.versions);
    }
    let calls = if case.noted { calls } else { case.versions };
    let begin = Barrier::new(case.threads);
    let times: Vec<f64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..case.threads)
            .map(|_| {
                scope.spawn(|| {
                    begin.wait();
                    let begun = Instant::now();
                    note(&accesses, &versions, calls);
                    begun.elapsed().as_nanos() as f64 / calls as f64
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that ends")).collect()
    });
    assert_eq!(accesses.lost(), 0, "the notes hold every version");
    times.iter().sum::<f64>() / times.len() as f64
}

fn note(accesses: &Accesses, versions: &[(ObjectKey, Stamp)], calls: usize) {
    for (number, (key, stamp)) in versions.iter().cycle().take(calls).enumerate() {
        accesses.record(1, key, *stamp, Timestamp::from_nanos(number as u64));
    }
}

/// A version with a key and random bits of its own.
fn version(number: usize) -> (ObjectKey, Stamp) {
    let hash = blake3::hash(&number.to_be_bytes());
    let random = u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("8 of 32 bytes"));
    let key = ObjectKey::parse(&format!("pictures/2026/{number}.jpg")).expect("a valid key");
    (key, Stamp { time: Timestamp::from_secs(1), random })
}

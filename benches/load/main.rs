//! Load generator for any S3 endpoint: `cargo bench --bench load -- --help`. benches/README.md says how to read it.

mod connection;
mod content;
mod failure;
mod fake;
mod histogram;
mod keys;
mod local;
mod options;
mod pace;
mod reference;
mod report;
mod run;
mod self_check;
mod sign;
mod suite;
mod target;
mod worker;

use std::process::ExitCode;

use clap::Parser as _;

use crate::failure::Failure;
use crate::options::Options;
use crate::report::Report;
use crate::target::{About, DataDir};

/// The same as the server's binary: Strata in this process should find what it finds there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let options = Options::parse();
    // `cargo test --benches` runs this without any argument, `cargo bench` always adds one.
    let result = match options.self_check || std::env::args().len() == 1 {
        true => self_check::check(&options),
        false => load(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn load(options: &Options) -> Result<(), Failure> {
    let data = DataDir::open(options)?;
    let rows = match options.suite {
        true => suite::run_all(options, &data)?,
        false => suite::run_one(options, &data)?,
    };
    let report = Report::new(About::of(options), &data, rows);
    println!("\n{}", report.markdown());
    if let Some(file) = &options.json {
        std::fs::write(file, report.json() + "\n").map_err(Failure::io("write --json"))?;
    }
    match &options.record {
        Some(dir) => report.record(dir),
        None => Ok(()),
    }
}

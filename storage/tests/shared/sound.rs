//! A look at a store that a test has closed, or let go of as a crash does: it must be sound.

use std::path::Path;

use strata_storage::{
    CheckDepth, CheckObserver, CheckOptions, CheckProgress, Error, Finding, MasterKey, ZoneOptions, check,
};

#[derive(Default)]
struct Faults(Vec<Finding>);

impl CheckObserver for Faults {
    fn found(&mut self, finding: &Finding) {
        if finding.kind.is_fault() {
            self.0.push(finding.clone());
        }
    }

    fn progress(&mut self, _progress: CheckProgress) {}
}

/// Checks the store in `directory`, all of its content included.
pub fn assert_sound(directory: &Path, zones: Vec<ZoneOptions>, master_key: Option<MasterKey>) {
    let directory = directory.to_path_buf();
    let options = CheckOptions { directory, zones, master_key, cache_bytes: 4 << 20, depth: CheckDepth::Content };
    let mut faults = Faults::default();
    loop {
        match check(&options, &mut faults) {
            // A task of the last one is not gone yet.
            Err(Error::Locked) => std::thread::yield_now(),
            outcome => break drop(outcome.expect("it can be checked")),
        }
    }
    assert!(faults.0.is_empty(), "{:#?}", faults.0);
}

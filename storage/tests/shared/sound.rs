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

/// Checks the store in `directory`, all of its content included: it has no faults.
pub fn assert_sound(directory: &Path, zones: Vec<ZoneOptions>, master_key: Option<MasterKey>) {
    let found = faults(directory, zones, master_key);
    assert!(found.is_empty(), "{found:#?}");
}

/// The faults that a check finds in the store in `directory`, all of its content included.
pub fn faults(directory: &Path, zones: Vec<ZoneOptions>, master_key: Option<MasterKey>) -> Vec<Finding> {
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
    faults.0
}

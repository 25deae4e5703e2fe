//! Headers, heads and directories of segments: what is read has one form and stays inside its file, all else is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strata_storage::fuzzing::segment(bytes));

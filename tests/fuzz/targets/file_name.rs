//! Names of files in zones: each is told to be a blob, a shard or neither.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strata_storage::fuzzing::file_name(bytes));

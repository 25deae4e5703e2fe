//! Keys of the index: bytes of any kind are split into the parts of a row or told to be none.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strata_storage::fuzzing::row(bytes));

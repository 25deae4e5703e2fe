//! Records of every kind in the index: bytes that decode are what their record encodes to, all others are refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strata_storage::fuzzing::record(bytes));

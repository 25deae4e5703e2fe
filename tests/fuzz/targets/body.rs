//! Bodies in chunks: whatever the bytes and however they are cut, decoding ends in content or in an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strata::fuzzing::body(bytes));

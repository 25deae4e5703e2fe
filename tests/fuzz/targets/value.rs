//! Values of headers and parameters: dates, ranges, tags, ETags; each is read or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| strata::fuzzing::value(bytes));

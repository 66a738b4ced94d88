//! See [`ipfix_fuzz::round_trip`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ipfix_fuzz::round_trip(input));

//! See [`ipfix_fuzz::decode`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ipfix_fuzz::decode(input));

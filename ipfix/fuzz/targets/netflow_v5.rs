//! See [`ipfix_fuzz::netflow_v5`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ipfix_fuzz::netflow_v5(input));

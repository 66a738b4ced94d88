//! See [`ebpfix_probes_fuzz::dissect`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ebpfix_probes_fuzz::dissect(input));

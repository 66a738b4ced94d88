//! IPFIX and NetFlow v9, without I/O.
#![forbid(unsafe_code)]

//! The exporter: from what the kernel programs counted to IPFIX and `NetFlow` v9, and the
//! `ebpfix` command.
//!
//! Data flows one way, in owned batches. A stage that cannot hand on drops and counts; none waits
//! for a later one, and at any reading of the [ledger](ledger::Ledger)
//! `observed = exported + held + lost`.
//!
//! ```text
//!  kernel: packet -> dissect -> cache -> log                            (crate ebpfix_probes)
//!                                 |       |
//!                                 v       v
//!  observe::Drain                 records, all there?
//!                                     |
//!                                     v
//!  meter::FlowCache               flows: timeouts, duplicates                     ledger:
//!                                     |  EndedFlow -> record::Record              what became
//!                                     v                                           of every
//!  export::Batch                  one queue for each collector                    packet
//!                                     |
//!                                     v
//!  export::Layouts                template and record of each kind
//!                                     |
//!                                     v
//!  ipfix::Session                 messages, sequences, templates        (crate ipfix)
//!                                     |
//!                                     v
//!  export::Collector              UDP, TCP, TLS
//! ```
//!
//! # Where to begin
//! - To read the whole: [`daemon::run`] wires the stages and reads like the picture.
//! - To get flows from the kernel and nothing else: [`observe::FlowFetcher`] has an example.
//! - To understand one stage: [`observe`], [`meter`], [`export`] each begin with how they are made.
//! - To see what a record holds: [`record::Record`], and [`export::layouts`] for what is sent of it.
//! - To add a key to the configuration: [`config::keys`], the one table of all of them.
//!
//! [`collector`] is the other end: it receives IPFIX and `NetFlow` v9 and prints flows. [`replay`] has
//! [`capture`] files in the kernel's place. [`cli`] and [`commands`] are the command line.
//!
//! The only unsafe code is in [`observe`]. `ARCHITECTURE.md` tells of threads, of the protocol
//! between kernel and exporter, and of why things are as they are.

pub mod capture;
pub mod cli;
pub mod collector;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod export;
pub mod filter;
pub mod flows;
pub mod ledger;
pub mod logging;
pub mod meter;
pub mod observe;
pub mod record;
pub mod replay;
mod tls;

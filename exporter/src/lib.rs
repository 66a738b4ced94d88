//! The exporter.

pub mod cli;
pub mod commands;
pub mod config;
pub mod ledger;
pub mod observe;
pub mod record;

//! The exporter.

pub mod cli;
pub mod collector;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod export;
pub mod ledger;
pub mod meter;
pub mod observe;
pub mod record;

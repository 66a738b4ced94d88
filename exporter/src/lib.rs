//! The exporter.

pub mod ledger;
pub mod meter;
pub mod record;

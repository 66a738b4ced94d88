//! The exporter.

pub mod ledger;
pub mod record;

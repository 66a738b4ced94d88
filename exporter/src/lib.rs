//! The exporter.

pub mod ledger;
pub mod observe;
pub mod record;

//! The exporter.

pub mod record;

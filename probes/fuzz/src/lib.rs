//! What the fuzz target does with its input: the dissector beside a second one, written
//! from the standards in another way. A function that returns has found nothing.
#![forbid(unsafe_code)]

mod dissect;
pub mod reference;

pub use dissect::{Input, dissect};

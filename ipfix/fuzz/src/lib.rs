//! What the fuzz targets do with their input. A function that returns has found nothing.
#![forbid(unsafe_code)]

mod decode;
mod round_trip;

pub use decode::{Datagram, decode, decode_input};
pub use round_trip::round_trip;

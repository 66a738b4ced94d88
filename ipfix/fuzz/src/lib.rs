//! What the fuzz targets do with their input. A function that returns has found nothing.
#![forbid(unsafe_code)]

mod decode;
mod netflow_v5;
mod round_trip;

pub use decode::{Datagram, decode, decode_input};
pub use netflow_v5::netflow_v5;
pub use round_trip::round_trip;

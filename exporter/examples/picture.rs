//! A picture of `ebpfix top` with made-up flows, in SVG.
//!
//! `cargo run -p ebpfix --example picture -- 110 30 >top.svg`

#[path = "../tests/top/sample.rs"]
mod sample;

use ebpfix::commands::top::picture;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let columns = arguments.next().map_or(Ok(110), |text| text.parse())?;
    let lines = arguments.next().map_or(Ok(30), |text| text.parse())?;
    print!("{}", picture(&mut sample::sample(), columns, lines));
    Ok(())
}

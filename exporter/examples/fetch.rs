//! The observe stage alone: counts the flows of one interface for some seconds and prints them.
//!
//! `cargo run --example fetch -- lo 3`

use ebpfix::observe::{FetcherOptions, FlowFetcher, Interface};
use std::error::Error;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let interface = arguments.next().unwrap_or_else(|| "lo".to_owned());
    let seconds = arguments.next().map_or(Ok(3), |s| s.parse())?;

    let mut fetcher = FlowFetcher::new(&FetcherOptions::default())?;
    fetcher.register(&Interface::find(&interface).await?)?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    for (flow, metrics) in fetcher.lookup_and_delete_map()? {
        println!(
            "{} {}:{} -> {}:{} {} packets {} octets",
            flow.transport_protocol,
            flow.src_ip,
            flow.src_port,
            flow.dst_ip,
            flow.dst_port,
            metrics.packets,
            metrics.bytes
        );
    }
    println!("{:?}", fetcher.settlement());
    fetcher.close();
    Ok(())
}

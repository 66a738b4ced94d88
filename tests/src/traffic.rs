//! Traffic by programs of others: tcpreplay, iperf3, ping.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::lab::{Lab, Namespace};
use crate::process::Program;
use crate::wait_for;

/// What tcpreplay did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Frames sent.
    pub sent: u64,
    /// Frames the kernel refused: those without a whole Ethernet header.
    pub refused: u64,
}

/// Replays a capture as fast as it goes.
pub fn replay(lab: &Lab, namespace: &Namespace, interface: &str, capture: &Path) -> Replayed {
    let program = Program::new("tcpreplay")
        .args(["--topspeed", "--intf1", interface])
        .arg(capture);
    let done = lab
        .run(namespace, &program, Duration::from_mins(1))
        .success();
    let number = |label: &str| -> u64 {
        let line = done
            .stdout
            .lines()
            .find_map(|line| line.trim().strip_prefix(label));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("tcpreplay says no '{label}':\n{}", done.stdout))
    };
    Replayed {
        sent: number("Actual:"),
        refused: number("Failed packets:"),
    }
}

/// Runs an iperf3 client in `from` against a server in `to`, and gives the client's JSON report.
pub fn iperf3(
    lab: &Lab,
    from: &Namespace,
    to: &Namespace,
    address: &str,
    options: &[&str],
) -> Value {
    let server = Program::new("iperf3").args(["--server", "--one-off"]);
    let server = lab.start(to, &server);
    wait_for("iperf3 listens", Duration::from_secs(10), || {
        to.enter(|| {
            let table = |family| {
                std::fs::read_to_string(format!("/proc/thread-self/net/{family}"))
                    .unwrap_or_default()
            };
            // 5201, state 0A: listening.
            let listens = |line: &str| line.contains(":1451 ") && line.contains(" 0A ");
            [table("tcp"), table("tcp6")]
                .iter()
                .any(|table| table.lines().any(listens))
                .then_some(())
        })
    });
    let client = Program::new("iperf3")
        .args(["--json", "--client", address])
        .args(options.iter().copied());
    let done = lab.run(from, &client, Duration::from_mins(1)).success();
    let _ = server.wait(Duration::from_secs(10));
    serde_json::from_str(&done.stdout)
        .unwrap_or_else(|error| panic!("iperf3 wrote no JSON: {error}\n{}", done.stdout))
}

/// Sends this many echo requests of 56 octets and waits for all answers.
pub fn ping(lab: &Lab, from: &Namespace, address: &str, count: u32) {
    let program = Program::new("ping")
        .args(["-n", "-i", "0.01", "-W", "2", "-c"])
        .arg(count.to_string())
        .arg(address);
    let done = lab.run(from, &program, Duration::from_secs(30)).success();
    let expected = format!("{count} packets transmitted, {count} received");
    assert!(done.stdout.contains(&expected), "{}", done.stdout);
}

/// Segments that the TCP of a host sent, by its own count.
pub fn segments(host: &Namespace) -> u64 {
    let text = host.enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp"));
    let text = text.expect("the counters of TCP");
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:"));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        panic!("no counters of TCP: {text}")
    };
    let counter = |wanted: &str| -> u64 {
        let found = names.split(' ').zip(values.split(' '));
        let found = found.filter(|(name, _)| *name == wanted);
        found
            .map(|(_, value)| value.parse::<u64>().expect(values))
            .sum()
    };
    counter("OutSegs") + counter("RetransSegs")
}

/// The signal that ends most programs in good order.
pub const TERM: Signal = Signal::SIGTERM;

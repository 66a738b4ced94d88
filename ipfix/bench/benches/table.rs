//! One table of all contenders side by side.
//!
//! They take turns, some milliseconds each, many times over, and it is the CPU time of this thread
//! that counts: on a machine with other work, what disturbs one then disturbs all. The table has the
//! median of the turns, and the median of the ratios within one round of turns.

use std::fs;
use std::time::Duration;

use cpu_time::ThreadTime;
use ipfix_bench::{Contender, PROTOCOLS, RECORDS, Task, allocations_file, contenders};

const ROUNDS: usize = 60;
const TURN: Duration = Duration::from_millis(8);

fn main() {
    let allocations = fs::read_to_string(allocations_file()).unwrap_or_default();
    println!(
        "{:<7} {:<10} {:<18} {:>12} {:>10} {:>12} {:>12}",
        "", "", "", "records/s", "to best", "octets alloc", "allocations"
    );
    println!(
        "{:<7} {:<10} {:<18} {:>12} {:>10} {:>12} {:>12}",
        "task", "protocol", "library", "(millions)", "peer", "/ record", "/ record"
    );
    for task in Task::ALL {
        for protocol in PROTOCOLS {
            let mut contenders = contenders(task, protocol);
            let rounds: Vec<Vec<f64>> = (0..ROUNDS)
                .map(|_| contenders.iter_mut().map(turn).collect())
                .collect();
            for (at, contender) in contenders.iter().enumerate() {
                let rate = median(rounds.iter().map(|round| round[at]));
                let ratio = median(rounds.iter().map(|round| {
                    let peers = contenders.iter().zip(round).filter(|(peer, _)| !peer.ours);
                    round[at] / peers.map(|(_, &rate)| rate).fold(f64::MIN, f64::max)
                }));
                let start = format!("{}\t{protocol}\t{}\t", task.name(), contender.name);
                let mut allocated = allocations
                    .lines()
                    .find_map(|line| line.strip_prefix(&start))
                    .unwrap_or("?\t?")
                    .split('\t');
                println!(
                    "{:<7} {:<10} {:<18} {:>12.2} {:>10.2} {:>12} {:>12}",
                    task.name(),
                    protocol.to_string(),
                    contender.name,
                    rate / 1e6,
                    ratio,
                    allocated.next().unwrap_or("?"),
                    allocated.next().unwrap_or("?"),
                );
            }
        }
    }
    if allocations.is_empty() {
        println!("?: the benchmark `allocations` has not run yet");
    }
}

/// Records a second in one turn.
fn turn(contender: &mut Contender) -> f64 {
    // The caches are someone else's.
    contender.run();
    let start = ThreadTime::now();
    let mut runs = 0.0;
    loop {
        contender.run();
        runs += 1.0;
        let elapsed = start.elapsed();
        if elapsed >= TURN {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            return runs * RECORDS as f64 / elapsed.as_secs_f64();
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

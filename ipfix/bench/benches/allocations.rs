//! Octets allocated for each record. The other benchmarks run without the counting allocator.

use std::fmt::Write as _;

use ipfix_bench::{PROTOCOLS, RECORDS, Task, contenders};

fn main() {
    let mut lines = String::new();
    for task in Task::ALL {
        for protocol in PROTOCOLS {
            for mut contender in contenders(task, protocol) {
                // Buffers and tables that stay grow once.
                contender.run();
                let counted = allocation_counter::measure(|| contender.run());
                let _ = writeln!(
                    lines,
                    "{}\t{protocol}\t{}\t{:.1}\t{:.2}",
                    task.name(),
                    contender.name,
                    per_record(counted.bytes_total),
                    per_record(counted.count_total),
                );
            }
        }
    }
    print!("{lines}");
    if let Err(error) = std::fs::write(ipfix_bench::allocations_file(), lines) {
        eprintln!("{}: {error}", ipfix_bench::allocations_file().display());
        std::process::exit(1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn per_record(total: u64) -> f64 {
    total as f64 / RECORDS as f64
}

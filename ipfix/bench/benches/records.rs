//! Records a second of every contender, by criterion: to compare with the run before.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ipfix_bench::{PROTOCOLS, RECORDS, Task, contenders};
use std::time::Duration;

fn records(criterion: &mut Criterion) {
    for task in Task::ALL {
        for protocol in PROTOCOLS {
            let mut group = criterion.benchmark_group(format!("{} {protocol}", task.name()));
            group.throughput(Throughput::Elements(RECORDS));
            for mut contender in contenders(task, protocol) {
                group.bench_function(contender.name, |bencher| bencher.iter(|| contender.run()));
            }
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20);
    targets = records
}
criterion_main!(benches);

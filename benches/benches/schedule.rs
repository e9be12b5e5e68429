//! Making the schedule of a million arrivals, which is done before a trial and delays its start.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use holdline_benches::is_measurement;
use holdline_model::arrivals::schedule;
use holdline_model::scenario::{self, Load};

fn main() {
    let attempts = if is_measurement() { 1_000_000 } else { 1_000 };
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("schedule of a million arrivals");
    group.sample_size(20).measurement_time(Duration::from_secs(3)).throughput(Throughput::Elements(attempts));
    for arrivals in ["poisson", "constant"] {
        let load = load_of(arrivals, attempts);
        group.bench_function(arrivals, |bencher| bencher.iter(|| schedule(black_box(&load), 1)));
    }
    group.finish();
    criterion.final_summary();
}

fn load_of(arrivals: &str, attempts: u64) -> Load {
    let text = format!(
        "name = \"schedule\"\nasks = \"How long does it take to make?\"\n\
         [load]\narrivals = {{ {arrivals} = \"10000/s\" }}\nattempts = {attempts}\n"
    );
    scenario::parse(&text, "schedule.toml").expect("a valid scenario").load
}

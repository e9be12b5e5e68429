//! How late attempts begin at 10 000 per second, beside those of a generator on a timer wheel.

use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use holdline::load::{LoadPlan, raise_nofile};
use holdline_benches::ratio::{Ratios, median};
use holdline_benches::{interval, is_measurement, load, print_if_measured, server};
use holdline_model::record::ClientRecord;
use holdline_model::wire::Address;

/// The design's budgets for the median send lag and for its 99th percentile, on an idle core.
const BUDGET: Duration = Duration::from_micros(25);
const BUDGET_P99: Duration = Duration::from_micros(60);
const GAP: Duration = Duration::from_micros(100);

/// Lags of one load: the median, and what 99 of 100 attempts kept below.
#[derive(Debug, Clone, Copy)]
struct Lags {
    median: Duration,
    p99: Duration,
}

fn main() {
    server::serve_if_asked();
    let server = server::Server::start().expect("a server");
    raise_nofile().expect("a limit of open descriptors");
    let length = if is_measurement() { Duration::from_secs(2) } else { Duration::from_millis(20) };
    let count = u32::try_from(length.as_micros() / GAP.as_micros()).expect("it is few");
    let plan = load::plan(&server.address, load::evenly(count, GAP));
    let Address::Tcp(address) = server.address else { panic!("the bench's server speaks TCP") };
    let mut criterion = Criterion::default().configure_from_args();
    let (mut ratios, mut ours, mut peers, mut looks) =
        (Ratios::default(), Vec::new(), Vec::new(), Vec::new());
    let mut group = criterion.benchmark_group("median send lag at 10 000 per second");
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    // By the sum of lags, criterion would think that there is time for thousands of loads.
    group.warm_up_time(Duration::from_nanos(1)).measurement_time(Duration::from_nanos(1));
    group.bench_function("load client", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                let (client, interval) = (client(&plan), Lags::of(interval::lags(address, count, GAP)));
                ratios.add(client.median, interval.median);
                total += client.median;
                ours.push(client);
                peers.push(interval);
                looks.push(Lags::of(interval::lags_of_a_look(count, GAP)));
            }
            total
        });
    });
    group.finish();
    criterion.final_summary();
    let Some(ratio) = ratios.summary() else { return };
    let verdict = |part, budget| if each(&ours, part) <= budget { "within" } else { "above" };
    let (median, p99) = (verdict(|lags| lags.median, BUDGET), verdict(|lags| lags.p99, BUDGET_P99));
    print_if_measured([
        format!(
            "send lag of the load client: {}, median {median} {BUDGET:?}, p99 {p99} {BUDGET_P99:?}",
            shown(&ours)
        ),
        format!("lag of who does nothing but look at the clock: {}", shown(&looks)),
        format!("send lag of a generator paced by tokio::time::interval: {}", shown(&peers)),
        format!("medians, load client/tokio: {ratio}"),
    ]);
}

/// An attempt that could not be sent, because the server did not keep up, is over as soon as its turn
/// has come: its lag counts like any other.
fn client(plan: &LoadPlan) -> Lags {
    let lag = |record: &ClientRecord| {
        let begun = record.started.or(record.finished)?;
        Some(Duration::from_nanos(begun.get().saturating_sub(record.intended_ns)))
    };
    Lags::of(load::run(plan).iter().filter_map(lag).collect())
}

impl Lags {
    fn of(mut lags: Vec<Duration>) -> Self {
        lags.sort_unstable();
        let at = |share: usize| lags[(lags.len() * share / 100).min(lags.len() - 1)];
        Self { median: at(50), p99: at(99) }
    }
}

fn each(all: &[Lags], part: fn(&Lags) -> Duration) -> Duration {
    median(&all.iter().map(part).collect::<Vec<_>>())
}

fn shown(all: &[Lags]) -> String {
    let (middle, p99) = (each(all, |lags| lags.median), each(all, |lags| lags.p99));
    format!("median {middle:.1?}, p99 {p99:.1?} (medians of {} loads)", all.len())
}

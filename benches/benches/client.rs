//! The load client's CPU time per connection, against a bare blocking loop of the same syscalls.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use holdline::load::{LoadPlan, raise_nofile};
use holdline_benches::bare::{self, Pace};
use holdline_benches::in_turn::{self, InTurn};
use holdline_benches::{cpu, load, print_if_measured, server};
use holdline_model::arrivals::Schedule;
use holdline_model::scenario::Until;
use holdline_model::wire::Address;

/// The design's budget for the client's CPU per connection, in times that of the bare loop.
const BUDGET: f64 = 1.15;
/// Connections of one side of a pair. Enough that setting up the client does not count, and few
/// enough that both sides of a pair see the same machine.
const CONNECTIONS: u32 = 500;
/// 5000 per second.
const GAP: Duration = Duration::from_micros(200);

fn main() {
    server::serve_if_asked();
    let server = server::Server::start().expect("a server");
    raise_nofile().expect("a limit of open descriptors");
    let mut criterion = Criterion::default().configure_from_args();
    let until = Until::Attempts(CONNECTIONS);
    let closed = |clients| Schedule::Closed { clients, until };
    let schedules = [
        ("one at a time", Schedule::Sequential { gap_ns: 0, until }, Pace::AtOnce),
        ("8 at a time", closed(8), Pace::AtOnce),
        ("32 at a time", closed(32), Pace::AtOnce),
        ("5000 per second", load::evenly(CONNECTIONS, GAP), Pace::Every(GAP)),
    ];
    let verdicts = schedules.map(|(name, schedule, pace)| {
        let pair = Pair::new(&server.address, schedule, pace);
        bench(&mut criterion, name, pair)
    });
    criterion.final_summary();
    print_if_measured(verdicts.into_iter().flatten());
}

fn bench(criterion: &mut Criterion, name: &str, mut pair: Pair) -> Option<String> {
    in_turn::bench(criterion, "client CPU of 500 connections", name, || pair.run());
    let (summary, _, bare) = pair.times.summary()?;
    let bare = bare / CONNECTIONS;
    let verdict = summary.against(BUDGET);
    Some(format!("client/bare, {name}: {summary}, {verdict} {BUDGET}; bare: {bare:.1?} per connection"))
}

/// Client and bare loop in turn.
struct Pair {
    plan: LoadPlan,
    pace: Pace,
    times: InTurn,
}

impl Pair {
    fn new(server: &Address, schedule: Schedule, pace: Pace) -> Self {
        let plan = load::plan(server, schedule);
        Self { plan, pace, times: InTurn::default() }
    }

    /// Measures both and gives the client's time.
    fn run(&mut self) -> Duration {
        let client = || cpu::time_of(|| load::run_served(black_box(&self.plan)));
        let bare = || {
            cpu::time_of(|| bare::run(&self.plan.address, CONNECTIONS, self.pace).expect("an answer to each"))
        };
        self.times.measure(client, bare)
    }
}

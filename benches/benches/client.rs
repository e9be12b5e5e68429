//! The load client's CPU time per connection, against a bare blocking loop of the same syscalls.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::Criterion;
use holdline::load::{LoadPlan, raise_nofile};
use holdline_benches::bare::{Bare, Pace, Wait};
use holdline_benches::in_turn::{self, InTurn};
use holdline_benches::ratio::Ratios;
use holdline_benches::server::{Server, Service};
use holdline_benches::{cpu, is_measurement, load, print_if_measured, server};
use holdline_model::arrivals::Schedule;
use holdline_model::scenario::{Connection, Until};
use holdline_model::wire::{Address, Protocol};

/// The budget for the client's CPU per connection, in times that of the bare loop.
const BUDGET: f64 = 1.0;
/// Connections of one side of a pair. Enough that setting up the client does not count, and few
/// enough that both sides of a pair see the same machine.
const CONNECTIONS: u32 = 500;
/// 5000 per second.
const GAP: Duration = Duration::from_micros(200);
/// Requests of a session.
const REQUESTS: u16 = 12;
/// For how long the client works until it is said how much of that was in user mode.
const USER_FOR: Duration = Duration::from_secs(4);

fn main() {
    server::serve_if_asked();
    raise_nofile().expect("a limit of open descriptors");
    let of = |service| Server::of(service).expect("a server");
    let (squares, sessions, http) = (of(Service::Squares), of(Service::Sessions), of(Service::Http));
    let unix = Server::at_path().expect("a server");
    let until = Until::Attempts(CONNECTIONS);
    let in_turn = || Schedule::Sequential { gap_ns: 0, until };
    let closed = |clients| Schedule::Closed { clients, until };
    let plain = |server: &Server, schedule| load::plan(&server.address, schedule);
    let session = Connection { requests: REQUESTS, ..Connection::ONE_SHOT };
    let at_once = [
        ("one at a time", plain(&squares, in_turn())),
        ("8 at a time", plain(&squares, closed(8))),
        ("32 at a time", plain(&squares, closed(32))),
        ("sessions of 12, one at a time", of_sessions(&sessions.address, Protocol::Square, session, until)),
        ("HTTP, one at a time", of_http(plain(&http, in_turn()))),
        ("HTTP, 32 at a time", of_http(plain(&http, closed(32)))),
        ("HTTP sessions of 12, one at a time", of_sessions(&http.address, Protocol::Http, session, until)),
        ("Unix, one at a time", plain(&unix, in_turn())),
        ("Unix, 32 at a time", plain(&unix, closed(32))),
    ];
    let at_once = at_once.map(|(name, plan)| (name, plan, Pace::AtOnce));
    let paced = ("5000 per second", plain(&squares, load::evenly(CONNECTIONS, GAP)), Pace::Every(GAP));
    let mut criterion = Criterion::default().configure_from_args();
    let shapes = at_once.into_iter().chain([paced]);
    let verdicts: Vec<_> =
        shapes.map(|(name, plan, pace)| bench(&mut criterion, name, Pair::new(plan, pace))).collect();
    criterion.final_summary();
    print_if_measured(verdicts.into_iter().flatten());
}

fn of_http(plan: LoadPlan) -> LoadPlan {
    LoadPlan { protocol: Protocol::Http, ..plan }
}

fn of_sessions(server: &Address, protocol: Protocol, connection: Connection, until: Until) -> LoadPlan {
    let plan = load::plan(server, Schedule::Sequential { gap_ns: 0, until });
    LoadPlan { protocol, connection, ..plan }
}

fn bench(criterion: &mut Criterion, name: &str, mut pair: Pair) -> Option<String> {
    in_turn::bench(criterion, "client CPU of 500 connections", name, || pair.run());
    let (summary, ours, bare) = pair.times.summary()?;
    let polls = pair.that_polls.summary()?;
    let verdict = summary.against(BUDGET);
    let user = pair.user_part() * ours.as_secs_f64() / bare.as_secs_f64();
    let bare = bare / CONNECTIONS;
    Some(format!(
        "client/bare, {name}: {summary}, {verdict} {BUDGET}; user time alone: {user:.2}; bare: {bare:.1?} per connection; \
         a bare loop that polls: {polls}"
    ))
}

/// Client and bare loop in turn, and behind them a bare loop that polls.
struct Pair {
    plan: LoadPlan,
    bare: Bare,
    pace: Pace,
    times: InTurn,
    polls: Bare,
    /// The time of that, in times the bare loop's.
    that_polls: Ratios,
}

impl Pair {
    fn new(plan: LoadPlan, pace: Pace) -> Self {
        let bare = Bare::like(&plan);
        let polls = bare.clone().that(Wait::Polls);
        Self { bare, polls, plan, pace, times: InTurn::default(), that_polls: Ratios::default() }
    }

    /// Measures both and gives the client's time.
    fn run(&mut self) -> Duration {
        let client = || cpu::time_of(|| load::run_served(black_box(&self.plan)));
        let of = |bare: &Bare| cpu::time_of(|| bare.run(CONNECTIONS, self.pace).expect("an answer to each"));
        let mut bare = Duration::ZERO;
        let ours = self.times.measure(client, || {
            bare = of(&self.bare);
            bare
        });
        self.that_polls.add(of(&self.polls), bare);
        ours
    }

    /// The part of the client's time that it spends in user mode.
    fn user_part(&self) -> f64 {
        cpu::user_part_of(|| {
            let began = Instant::now();
            while is_measurement() && began.elapsed() < USER_FOR {
                load::run_served(black_box(&self.plan));
            }
        })
    }
}

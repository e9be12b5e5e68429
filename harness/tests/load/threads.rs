//! A load that several threads make: it is what one would make of it.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use holdline::load::{self, Hooks, LoadError, LoadPlan, Progress, RecordLogs, StopFlag};
use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::record::{ClientRecord, NotSent, Outcome};
use holdline_model::said::Said;
use holdline_model::scenario::{Connection, Pool, Timeouts, Until};
use holdline_model::wire::{Poison, Protocol, ReplyFields, reply_line};
use holdline_model::words::{CrashMode, CrashStep, Stage, Transport};

use super::server::{Deed, Server, assert_named};
use super::visits::{self, Then};
use super::{MS, PATIENT, assert_tally, burst, plan, run, run_in_threads, tally};

const THREADS: usize = 3;
const POISON: Poison = Poison { step: CrashStep::Work, mode: CrashMode::Panic };

fn stop() -> StopFlag {
    StopFlag::new().expect("a descriptor")
}

/// What a server does to each attempt, of those that leave nothing open.
fn planted(attempt: u32) -> Deed {
    match attempt % 20 {
        3 => Deed::Close,
        11 => Deed::Truncate,
        13 => Deed::AnswerAnother,
        _ => Deed::Serve,
    }
}

#[test]
fn what_was_planted_is_counted_whoever_makes_the_attempts() {
    const COUNT: usize = 600;
    let schedule = || Schedule::Fixed((0..COUNT as u64).map(|attempt| attempt * MS / 2).collect());
    for transport in [Transport::Tcp, Transport::Unix] {
        let mut offsets = Vec::new();
        for threads in [1, THREADS] {
            let server = Server::listen(transport, 1_024);
            let plan = plan(server.address.clone(), schedule());
            let log = server.serve(COUNT, planted);
            let records = run_in_threads(&plan, &mut vec![(); threads], &stop());
            assert_eq!(records.len(), COUNT);
            for record in &records {
                let expected = match planted(record.attempt) {
                    Deed::Close => Outcome::Closed,
                    Deed::Truncate => Outcome::Truncated,
                    Deed::AnswerAnother => Outcome::WrongReply,
                    _ => Outcome::Replied,
                };
                assert_eq!(record.outcome, expected, "{threads}: {record:?}");
            }
            let log = log.join().expect("a server that did as it was told");
            let seen: BTreeSet<u32> = log.seen.iter().filter_map(|(attempt, _)| *attempt).collect();
            assert!(transport == Transport::Unix || seen.into_iter().eq(0..COUNT as u32));
            let start_ns = records[0].intended_ns;
            offsets.push(records.iter().map(|record| record.intended_ns - start_ns).collect::<Vec<_>>());
        }
        assert_eq!(offsets[0], offsets[1]);
    }
}

#[test]
fn a_closed_load_of_so_many_attempts_has_exactly_so_many() {
    for attempts in [1, 2, 5, 1_001] {
        let server = Server::listen(Transport::Tcp, 128);
        let schedule = Schedule::Closed { clients: 8, until: Until::Attempts(attempts) };
        let plan = plan(server.address.clone(), schedule);
        let log = server.serve(attempts as usize, |_| Deed::Serve);
        let records = run_in_threads(&plan, &mut [(); THREADS], &stop());
        assert_tally(&records, &[(Outcome::Replied, attempts as usize)]);
        let log = log.join().expect("a server that did as it was told");
        assert_named(&log);
        let seen: BTreeSet<u32> = log.seen.into_iter().filter_map(|(attempt, _)| attempt).collect();
        assert!(seen.into_iter().eq(0..attempts));
    }
}

#[test]
fn a_closed_load_ends_after_its_time_whoever_is_ready() {
    let server = Server::listen(Transport::Tcp, 1);
    let address = server.address.clone();
    drop(server);
    let schedule = Schedule::Closed { clients: 4, until: Until::Elapsed(20 * MS) };
    let records = run_in_threads(&plan(address, schedule), &mut [(); THREADS], &stop());
    let start_ns = records.iter().map(|record| record.intended_ns).min().expect("an attempt");
    assert!(records.iter().all(|record| record.intended_ns < start_ns + 20 * MS));
    assert_tally(&records, &[(Outcome::Refused, records.len())]);
}

/// There is one client after the other, so that all but one of the threads have none.
#[test]
fn what_comes_one_after_the_other_still_does() {
    let server = Server::listen(Transport::Tcp, 128);
    let schedule = Schedule::Sequential { gap_ns: MS / 10, until: Until::Attempts(30) };
    let plan = plan(server.address.clone(), schedule);
    let log = server.serve(30, |_| Deed::Serve);
    let records = run_in_threads(&plan, &mut [(); THREADS], &stop());
    for pair in records.windows(2) {
        let finished_ns = pair[0].finished.expect("every attempt ends").get();
        assert_eq!(pair[1].intended_ns, finished_ns + MS / 10);
    }
    assert_named(&log.join().expect("a server that did as it was told"));
}

/// Nobody is served, so that those that are in flight stay there.
#[test]
fn the_bound_of_attempts_in_flight_is_that_of_all_threads_together() {
    for in_flight_max in [1, 7] {
        let server = Server::listen(Transport::Tcp, 128);
        let timeouts = Timeouts { first_byte_ns: 1_000 * MS, ..PATIENT };
        let plan = LoadPlan { timeouts, in_flight_max, ..plan(server.address.clone(), burst(100)) };
        let records = run_in_threads(&plan, &mut [(); THREADS], &stop());
        let most = in_flight_max as usize;
        assert_tally(
            &records,
            &[
                (Outcome::TimedOut(Stage::FirstByte), most),
                (Outcome::NotSent(NotSent::InFlightCap), 100 - most),
            ],
        );
    }
}

/// Poisons one attempt, and notes which it was asked about.
struct Poisons {
    which: u32,
    asked: Vec<u32>,
}

impl Hooks for Poisons {
    fn before_attempt(&mut self, attempt: u32, _now_ns: u64) -> Option<Poison> {
        self.asked.push(attempt);
        (attempt == self.which).then_some(POISON)
    }
}

#[test]
fn each_attempt_is_asked_about_once_by_the_thread_that_makes_it() {
    const COUNT: u32 = 60;
    let closed = Schedule::Closed { clients: 5, until: Until::Attempts(COUNT) };
    for schedule in [burst(COUNT as usize), closed] {
        let in_turn = matches!(schedule, Schedule::Fixed(_));
        let server = Server::listen(Transport::Tcp, 128);
        let plan = plan(server.address.clone(), schedule);
        let log = server.serve(COUNT as usize, |_| Deed::Close);
        let mut hooks: Vec<Poisons> =
            (0..THREADS).map(|_| Poisons { which: 17, asked: Vec::new() }).collect();
        let records = run_in_threads(&plan, &mut hooks, &stop());
        let poisoned: Vec<u32> = records.iter().filter(|it| it.poison).map(|it| it.attempt).collect();
        assert_eq!(poisoned, [17]);
        let log = log.join().expect("a server that did as it was told");
        let sent = |(attempt, line): &(Option<u32>, String)| (*attempt == Some(17)).then(|| line.clone());
        let line = log.seen.iter().find_map(sent).expect("the attempt");
        assert_ne!(line, "17\n");
        for (index, hooks) in hooks.iter().enumerate() {
            assert!(hooks.asked.is_sorted());
            assert!(!in_turn || hooks.asked.iter().all(|attempt| *attempt as usize % THREADS == index));
        }
        let asked: BTreeSet<u32> = hooks.iter().flat_map(|hooks| hooks.asked.iter().copied()).collect();
        assert!(asked.into_iter().eq(0..COUNT));
        assert_eq!(hooks.iter().map(|hooks| hooks.asked.len()).sum::<usize>(), COUNT as usize);
    }
}

struct Keeps(Said);

impl Hooks for Keeps {
    fn before_attempt(&mut self, _attempt: u32, _now_ns: u64) -> Option<Poison> {
        None
    }

    fn said(&mut self) -> Option<&mut Said> {
        Some(&mut self.0)
    }
}

#[test]
fn what_servers_said_is_found_with_the_first_whoever_heard_it() {
    const COUNT: usize = 90;
    let server = Server::listen(Transport::Tcp, 128);
    let plan = plan(server.address.clone(), burst(COUNT));
    let log = server.serve(COUNT, |attempt| if attempt % 4 == 0 { Deed::Serve } else { Deed::AnswerAnother });
    let mut hooks: Vec<Keeps> = (0..THREADS).map(|_| Keeps(Said::with_room())).collect();
    for record in run_in_threads(&plan, &mut hooks, &stop()) {
        let another = reply_line(u64::from(record.attempt) + 1, &ReplyFields::default());
        let expected = (record.attempt % 4 != 0).then_some(another.as_bytes());
        assert_eq!(hooks[0].0.get(record.said), expected, "{record:?}");
    }
    drop(log.join());
}

#[test]
fn each_thread_has_a_pool_of_its_own() {
    const COUNT: usize = 12;
    let server = visits::Server::new(Protocol::Http);
    let pool = Some(Pool { idle_max: 2, idle_timeout_ns: None, retry: true });
    let schedule = Schedule::Fixed((0..COUNT as u64).map(|attempt| attempt * 10 * MS).collect());
    let connection = Connection { pool, ..Connection::ONE_SHOT };
    let plan = LoadPlan { schedule, ..server.plan(COUNT, connection) };
    // How many connections there are depends on how busy the machine is.
    drop(server.serve(COUNT, |_| (99, Then::Answer)));
    let records = run_in_threads(&plan, &mut [(); 2], &stop());
    assert_tally(&records, &[(Outcome::Replied, COUNT)]);
    for record in &records {
        let by = record.carried.expect("an attempt of a pool").by;
        assert!(by <= record.attempt && by % 2 == record.attempt % 2, "{record:?}");
    }
}

/// Stops the load with the attempt of this number.
struct Stops<'a>(u32, &'a StopFlag);

impl Hooks for Stops<'_> {
    fn before_attempt(&mut self, attempt: u32, _now_ns: u64) -> Option<Poison> {
        if attempt == self.0 {
            self.1.stop();
        }
        None
    }
}

#[test]
fn a_stop_ends_all_threads_and_leaves_no_attempt_without_a_record() {
    for schedule in [
        Schedule::Fixed((0..100_000).map(|attempt| attempt * MS).collect()),
        Schedule::Closed { clients: 5, until: Until::Attempts(1_000_000) },
    ] {
        let server = Server::listen(Transport::Tcp, 1);
        let plan = plan(server.address.clone(), schedule);
        drop(server);
        let stop = stop();
        let mut hooks: Vec<Stops<'_>> = (0..THREADS).map(|_| Stops(50, &stop)).collect();
        // That the records are complete up to the last is checked for each load.
        let records = run_in_threads(&plan, &mut hooks, &stop);
        assert!((51..100_000).contains(&records.len()), "{}", records.len());
        let is_one_of_these = |record: &ClientRecord| {
            matches!(record.outcome, Outcome::Refused | Outcome::NotSent(NotSent::Stopped))
        };
        assert!(records.iter().all(is_one_of_these), "{:?}", tally(&records));
    }
}

/// Panics with the attempt of this number.
struct Panics(u32);

impl Hooks for Panics {
    fn before_attempt(&mut self, attempt: u32, _now_ns: u64) -> Option<Poison> {
        assert_ne!(attempt, self.0, "as it was planted");
        None
    }
}

/// The load would go on for a quarter of an hour.
#[test]
fn a_thread_that_panics_ends_all_and_it_is_told() {
    let server = Server::listen(Transport::Tcp, 1);
    let schedule = Schedule::Fixed((0..100_000).map(|attempt| attempt * 10 * MS).collect());
    let plan = plan(server.address.clone(), schedule);
    drop(server);
    let (progress, stop) = (Progress::default(), stop());
    let run = || {
        let hooks = &mut [7; THREADS].map(Panics);
        load::run_in_threads(RecordLogs::in_memory(3), &plan, now_ns(), hooks, &progress, &stop).is_ok()
    };
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
    let said = panic.downcast_ref::<String>().expect("words");
    assert!(said.contains("as it was planted"), "{said}");
    assert!(stop.is_stopped());
}

#[test]
fn what_cannot_be_kept_is_an_error_whichever_thread_has_it() {
    let server = Server::listen(Transport::Tcp, 1);
    let plan = plan(server.address.clone(), Schedule::Fixed(vec![5, 4]));
    let result = load::run_in_threads(
        RecordLogs::in_memory(3),
        &plan,
        now_ns(),
        &mut [(); 3],
        &Progress::default(),
        &stop(),
    );
    assert!(matches!(result, Err(LoadError::Unordered(1))), "{result:?}");
    assert!(RecordLogs::on_disk(std::path::Path::new("/proc"), 3).is_err());
}

#[test]
fn one_thread_in_its_place_is_the_load_itself() {
    let server = Server::listen(Transport::Tcp, 128);
    let plan = plan(server.address.clone(), burst(20));
    let log = server.serve(40, |_| Deed::Serve);
    assert_eq!(tally(&run(&plan)), tally(&run_in_threads(&plan, &mut [()], &stop())));
    assert_named(&log.join().expect("a server that did as it was told"));
}

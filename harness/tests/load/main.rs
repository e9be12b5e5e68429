//! The load client against servers that do exactly what was planted, a known number of times.

mod allocations;
mod isolated;
mod outcomes;
mod pipelines;
mod pools;
mod queues;
mod quiet;
mod schedules;
mod server;
mod sessions;
mod streams;
mod threads;
mod visits;

use std::collections::BTreeMap;

use holdline::load::{self, Hooks, LoadPlan, Progress, RecordLogs, StopFlag};
use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::record::{ClientRecord, Outcome};
use holdline_model::scenario::{Connection, Timeouts};
use holdline_model::supervisor::Protocol;
use holdline_model::wire::Address;

const MS: u64 = 1_000_000;
/// Time-outs that only a broken client meets.
const PATIENT: Timeouts =
    Timeouts { connect_ns: 60_000 * MS, first_byte_ns: 60_000 * MS, total_ns: 60_000 * MS };

/// Unix clients have no names of their own here, as tests that run at the same time share one network
/// namespace, and with it all abstract names. The test of those has a namespace to itself.
fn plan(address: Address, schedule: Schedule) -> LoadPlan {
    let spread = matches!(address, Address::Tcp(_));
    LoadPlan {
        address,
        schedule,
        timeouts: PATIENT,
        in_flight_max: 1_000,
        spread,
        clients: None,
        protocol: Protocol::Square,
        script: Default::default(),
        proxy: None,
        connection: Connection::ONE_SHOT,
        tls: None,
    }
}

/// `count` attempts at once.
fn burst(count: usize) -> Schedule {
    Schedule::Fixed(vec![0; count])
}

#[track_caller]
fn run(plan: &LoadPlan) -> Vec<ClientRecord> {
    run_with(plan, &mut (), &StopFlag::new().expect("a descriptor"))
}

/// Runs the load, and checks what holds for every load.
#[track_caller]
fn run_with(plan: &LoadPlan, hooks: &mut impl Hooks, stop: &StopFlag) -> Vec<ClientRecord> {
    let progress = Progress::default();
    let start_ns = now_ns();
    let records = load::run(plan, start_ns, hooks, &progress, stop).expect("a load that can be made");
    check(&records, start_ns, &progress);
    records
}

/// The same by as many threads as there are hooks.
#[track_caller]
fn run_in_threads<H: Hooks + Send>(plan: &LoadPlan, hooks: &mut [H], stop: &StopFlag) -> Vec<ClientRecord> {
    let (progress, start_ns) = (Progress::default(), now_ns());
    let logs = RecordLogs::in_memory(hooks.len() as u32);
    let records = load::run_in_threads(logs, plan, start_ns, hooks, &progress, stop);
    let records: Vec<ClientRecord> =
        records.expect("a load that can be made").series().iter().copied().collect();
    check(&records, start_ns, &progress);
    records
}

#[track_caller]
fn check(records: &[ClientRecord], start_ns: u64, progress: &Progress) {
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.attempt as usize, index);
        check_stamps(record, start_ns);
    }
    check_progress(progress, records);
}

#[track_caller]
fn check_stamps(record: &ClientRecord, start_ns: u64) {
    assert!(record.intended_ns >= start_ns, "{record:?}");
    let stamps = [record.started, record.connected, record.finished];
    let mut previous_ns = record.intended_ns;
    for stamp in stamps.into_iter().flatten() {
        assert!(stamp.get() >= previous_ns, "{record:?}");
        previous_ns = stamp.get();
    }
    assert!(record.finished.is_some(), "{record:?}");
    assert!(record.connected.is_none() || record.started.is_some(), "{record:?}");
    let must_be_connected = matches!(
        record.outcome,
        Outcome::Replied
            | Outcome::ClosedIdle
            | Outcome::ErrorReply(_)
            | Outcome::WrongReply
            | Outcome::TooLong
            | Outcome::Truncated
            | Outcome::Closed
            | Outcome::Reset
            | Outcome::Tls(_)
            | Outcome::Silent(_)
    );
    assert!(!must_be_connected || record.connected.is_some() || record.was_reused(), "{record:?}");
    let cannot_be = matches!(record.outcome, Outcome::Refused | Outcome::NoPath | Outcome::NotSent(_));
    assert!(!cannot_be || record.connected.is_none(), "{record:?}");
}

#[track_caller]
fn check_progress(progress: &Progress, records: &[ClientRecord]) {
    use std::sync::atomic::Ordering::Relaxed;
    let count = |is: fn(&ClientRecord) -> bool| records.iter().filter(|record| is(record)).count() as u32;
    let all = records.len() as u32;
    assert_eq!(progress.due.load(Relaxed), all);
    assert_eq!(progress.finished.load(Relaxed), all);
    assert_eq!(progress.in_flight.load(Relaxed), 0);
    assert_eq!(progress.started.load(Relaxed), count(|record| record.started.is_some()));
    let served = count(|record| matches!(record.outcome, Outcome::Replied | Outcome::ClosedIdle));
    let not_sent = count(|record| matches!(record.outcome, Outcome::NotSent(_)));
    assert_eq!(progress.served.load(Relaxed), served);
    assert_eq!(progress.not_sent.load(Relaxed), not_sent);
    let silent = count(|record| matches!(record.outcome, Outcome::Silent(_)));
    assert_eq!(progress.silent.load(Relaxed), silent);
    assert_eq!(progress.lost.load(Relaxed), all - served - silent - not_sent);
}

/// How often each outcome came, spelled as `Debug` spells it.
fn tally(records: &[ClientRecord]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(format!("{:?}", record.outcome)).or_default() += 1;
    }
    counts
}

#[track_caller]
fn assert_tally(records: &[ClientRecord], expected: &[(Outcome, usize)]) {
    let expected: BTreeMap<String, usize> =
        expected.iter().map(|(outcome, count)| (format!("{outcome:?}"), *count)).collect();
    assert_eq!(tally(records), expected);
}

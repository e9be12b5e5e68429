use super::*;
use crate::deed::Deed;
use crate::ledger::{Books, NO_WORKER};
use crate::record::KernelRecord;
use crate::scenario;
use crate::shm::crash_detail;
use crate::wire::{Peer, client_v4};
use crate::words::Transport;

const MS: u64 = 1_000_000;
/// When the poison struck.
const STRUCK: u64 = 1_000 * MS;
const END: u64 = 2_000 * MS;
const WORKER: u32 = 7;

/// What is told of one poisoned attempt and of its worker.
#[derive(Debug, Clone)]
struct Told {
    mode: CrashMode,
    fate: Fate,
    has_ledger: bool,
    /// Whether the worker wrote down that it failed.
    crashed: bool,
    /// When it wrote something later on.
    later_ns: Option<u64>,
    finished_ns: Option<u64>,
    at_start: &'static [u32],
    at_end: &'static [u32],
    gone_below: u32,
}

/// A worker that panics and lives on, as its ledger shows.
const LIVES: Told = Told {
    mode: CrashMode::Panic,
    fate: Fate::NoReply,
    has_ledger: true,
    crashed: true,
    later_ns: Some(STRUCK + 500 * MS),
    finished_ns: Some(STRUCK + MS),
    at_start: &[],
    at_end: &[WORKER],
    gone_below: 0,
};

/// The same, of a server that keeps no ledger and answers with an error.
const BLIND: Told = Told {
    fate: Fate::ErrorReply,
    has_ledger: false,
    crashed: false,
    later_ns: None,
    at_start: &[WORKER],
    ..LIVES
};

fn record(at_ns: u64, kind: RecordKind, detail: u64) -> WorkerRecord {
    let peer = Some(Peer::Ip(client_v4(0).into(), 5));
    WorkerRecord { kind, pid: WORKER, generation: 1, connection: 1, at_ns, detail, peer }
}

fn log(told: &Told) -> WorkerLog {
    let mut records = vec![record(STRUCK - MS, RecordKind::Accepted, 0)];
    if told.crashed {
        records.push(record(STRUCK, RecordKind::Crash, crash_detail(CrashStep::Work, told.mode)));
    }
    records.extend(told.later_ns.map(|ns| record(ns, RecordKind::Closed, 0)));
    WorkerLog { pid: WORKER, generation: 1, window_open: false, records: records.into() }
}

#[track_caller]
fn check(told: &Told, mark: Option<Mark>, note: Option<fn(&Note) -> bool>) {
    let text = format!(
        "name = \"x\"\nasks = \"?\"\n[load]\narrivals = {{ sequential = \"1ms\" }}\nattempts = 1\n\
         [workers]\nnofile = 64\nmemory = \"128MiB\"\n\
         [[fault]]\nat = {{ attempt = 0 }}\npoison = {{ step = \"work\", mode = \"{}\" }}\n",
        told.mode
    );
    let scenario = scenario::parse(&text, "test").expect("a scenario");
    let client = [ClientRecord {
        finished: told.finished_ns.and_then(NonZeroU64::new),
        ..ClientRecord::planned(0, STRUCK - 2 * MS, true)
    }];
    let attempt = Attempt {
        accepted: None,
        worker: NO_WORKER,
        record: 0,
        fate: told.fate,
        blame: None,
        retry: None,
        waited_ns: 0,
    };
    let logs = [log(told)];
    let records = TrialRecords {
        transport: Transport::Tcp,
        attempts: 1,
        client: (&client).into(),
        requests: &[],
        said: &crate::said::NOTHING_SAID,
        workers: told.has_ledger.then_some(&logs[..]),
        accepts_stamped: true,
        kernel: &KernelRecord::default(),
        deaths: &[],
        foreign_connects_expected: false,
        end_ns: END,
    };
    let deed = Deed::Poison { attempt: Some(0), step: CrashStep::Work, mode: CrashMode::Panic };
    let fault = FaultFact { poison: Some(0), ..FaultFact::new(0, STRUCK, deed) };
    let facts = TrialFacts {
        end_ns: END,
        faults: vec![fault],
        alive_at_start: told.at_start.to_vec(),
        alive_at_end: told.at_end.to_vec(),
        gone_below: told.gone_below,
        ..TrialFacts::default()
    };
    let reconciled = Reconciled { attempts: vec![attempt], books: Books::default() };
    let found = Consequences::of(&scenario, &records, &reconciled, &facts);
    assert_eq!(found.mark(), mark, "{told:?}");
    match note {
        None => assert_eq!(found.notes, [], "{told:?}"),
        Some(is_it) => assert!(found.notes.iter().all(is_it) && found.notes.len() == 1, "{:?}", found.notes),
    }
}

const SURVIVED: Option<fn(&Note) -> bool> = Some(|note| matches!(note, Note::Survived { fault: 1, .. }));
const UNTAKEN: Option<fn(&Note) -> bool> = Some(|note| matches!(note, Note::Untaken { fault: 1, .. }));
const NOT_KNOWN: Option<fn(&Note) -> bool> =
    Some(|note| matches!(note, Note::SurvivalNotKnown { fault: 1, .. }));

#[test]
fn a_victim_with_a_ledger_survives_if_it_goes_on() {
    check(&LIVES, Some(Mark::Survived), SURVIVED);
    check(&Told { at_end: &[], ..LIVES }, Some(Mark::Survived), SURVIVED);
    check(&Told { later_ns: None, ..LIVES }, Some(Mark::Survived), SURVIVED);
    check(&Told { mode: CrashMode::Catch, ..LIVES }, Some(Mark::Survived), SURVIVED);
}

#[test]
fn a_victim_with_a_ledger_that_is_gone_did_not() {
    check(&Told { later_ns: None, at_end: &[], ..LIVES }, None, None);
    let last_words = Told { later_ns: Some(STRUCK + MS), at_end: &[], ..LIVES };
    check(&last_words, None, None);
}

#[test]
fn one_that_may_still_be_ending_is_not_known() {
    let allocates =
        Told { mode: CrashMode::Allocate, later_ns: None, finished_ns: None, fate: Fate::TimedOut, ..LIVES };
    check(&allocates, None, NOT_KNOWN);
    check(&Told { later_ns: None, finished_ns: Some(END - MS), ..LIVES }, None, NOT_KNOWN);
    check(&Told { finished_ns: Some(END - MS), ..BLIND }, None, NOT_KNOWN);
    check(&Told { crashed: false, ..LIVES }, None, NOT_KNOWN);
}

#[test]
fn without_a_ledger_a_complete_answer_and_the_same_processes_tell() {
    check(&BLIND, Some(Mark::Survived), SURVIVED);
    check(&Told { at_start: &[], at_end: &[], ..BLIND }, Some(Mark::Survived), SURVIVED);
    check(&Told { fate: Fate::NoReply, ..BLIND }, None, NOT_KNOWN);
    check(&Told { at_end: &[8], ..BLIND }, None, None);
    check(&Told { at_end: &[WORKER, 8], ..BLIND }, None, NOT_KNOWN);
    check(&Told { gone_below: 1, ..BLIND }, None, NOT_KNOWN);
}

#[test]
fn poison_that_no_worker_took_hit_nobody() {
    for fate in [Fate::Refused, Fate::SynDropped, Fate::QueueReset, Fate::TimedOut] {
        check(&Told { fate, crashed: false, ..LIVES }, Some(Mark::Unhit), UNTAKEN);
    }
    check(&Told { fate: Fate::Refused, ..BLIND }, Some(Mark::Unhit), UNTAKEN);
    check(&Told { fate: Fate::TimedOut, ..BLIND }, None, NOT_KNOWN);
}

#[test]
fn what_is_not_to_end_a_worker_is_not_judged() {
    for mode in [CrashMode::Hang, CrashMode::StopAccepting, CrashMode::LeakFds] {
        check(&Told { mode, ..LIVES }, None, None);
    }
}

#[test]
fn survival_outweighs_a_fault_without_a_victim_and_either_those_that_struck() {
    use Consequence::{NotKnown, Struck, Survived, Unhit};
    let mark = |all: &[Consequence]| Consequences { all: all.to_vec(), notes: Vec::new() }.mark();
    assert_eq!(mark(&[]), None);
    assert_eq!(mark(&[Struck, NotKnown]), None);
    assert_eq!(mark(&[Struck, Unhit]), Some(Mark::Unhit));
    assert_eq!(mark(&[Unhit, Survived, Struck]), Some(Mark::Survived));
}

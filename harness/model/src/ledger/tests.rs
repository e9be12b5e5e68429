//! Trials are built from stories, one for each attempt, so that the right fate is known.

mod applications;
mod handshakes;

use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::record::{SilentEnd, TcpCounters};
use crate::shm::crash_detail;
use crate::wire::{Peer, client_v4};
use crate::words::{CrashMode, CrashStep};

/// What is made to happen to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Story {
    Served,
    Refused,
    SynDropped,
    QueueReset,
    Poisoned,
    InFlight,
    Dropped,
    Truncated,
    Wrong,
    TurnedAway,
    Failed,
    Silent,
    NeverAccepted,
    AsksNothing,
    Capped,
}

const STORIES: [Story; 15] = [
    Story::Served,
    Story::Refused,
    Story::SynDropped,
    Story::QueueReset,
    Story::Poisoned,
    Story::InFlight,
    Story::Dropped,
    Story::Truncated,
    Story::Wrong,
    Story::TurnedAway,
    Story::Failed,
    Story::Silent,
    Story::NeverAccepted,
    Story::AsksNothing,
    Story::Capped,
];

impl Story {
    fn expected(self) -> (Fate, Option<Blame>, Option<Retry>) {
        use Blame::{Collateral, Poison};
        use Retry::{Ambiguous, Safe};
        match self {
            Self::Served => (Fate::Served, None, None),
            Self::Refused => (Fate::Refused, Some(Collateral), Some(Safe)),
            Self::SynDropped => (Fate::SynDropped, Some(Collateral), Some(Safe)),
            Self::QueueReset => (Fate::QueueReset, Some(Collateral), Some(Safe)),
            Self::Poisoned => (Fate::NoReply, Some(Poison), Some(Ambiguous)),
            Self::InFlight => (Fate::NoReply, Some(Blame::InFlight), Some(Ambiguous)),
            Self::Dropped => (Fate::NoReply, Some(Collateral), Some(Ambiguous)),
            Self::Truncated => (Fate::Truncated, Some(Collateral), Some(Ambiguous)),
            Self::Wrong => (Fate::WrongReply, Some(Collateral), Some(Ambiguous)),
            Self::TurnedAway => (Fate::ErrorReply, Some(Collateral), Some(Safe)),
            Self::Failed => (Fate::ErrorReply, Some(Collateral), Some(Ambiguous)),
            Self::Silent => (Fate::TimedOut, Some(Collateral), Some(Ambiguous)),
            Self::NeverAccepted => (Fate::TimedOut, Some(Collateral), Some(Safe)),
            Self::AsksNothing => (Fate::Silent, None, None),
            Self::Capped => (Fate::NotSent, None, Some(Safe)),
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Served => Outcome::Replied,
            Self::Refused => Outcome::Refused,
            Self::SynDropped => Outcome::TimedOut(Stage::Connect),
            Self::QueueReset | Self::InFlight => Outcome::Reset,
            Self::Poisoned | Self::Dropped => Outcome::Closed,
            Self::Truncated => Outcome::Truncated,
            Self::Wrong => Outcome::WrongReply,
            Self::TurnedAway => Outcome::ErrorReply(503),
            Self::Failed => Outcome::ErrorReply(500),
            Self::Silent | Self::NeverAccepted => Outcome::TimedOut(Stage::FirstByte),
            Self::AsksNothing => Outcome::Silent(SilentEnd::Closed),
            Self::Capped => Outcome::NotSent(NotSent::InFlightCap),
        }
    }

    fn connects(self) -> bool {
        !matches!(self, Self::Refused | Self::SynDropped | Self::Capped)
    }

    fn is_accepted(self) -> bool {
        self.connects() && !matches!(self, Self::QueueReset | Self::NeverAccepted)
    }
}

/// A trial in which attempt `i`, at second `i`, has story `stories[i]`, and everything adds up.
#[derive(Debug, Clone)]
struct Trial {
    client: Vec<ClientRecord>,
    workers: Vec<WorkerLog>,
    kernel: KernelRecord,
}

const SECOND_NS: u64 = 1_000_000_000;

fn at(ns: u64) -> Stamp {
    NonZeroU64::new(ns)
}

fn trial(stories: &[Story]) -> Trial {
    let mut trial = Trial {
        client: Vec::new(),
        workers: vec![log(1)],
        kernel: KernelRecord { exclusive: true, interval_ns: 1_000_000, ..KernelRecord::default() },
    };
    for (story, attempt) in stories.iter().zip(0..) {
        tell(&mut trial, attempt, *story);
    }
    let counters = &mut trial.kernel.counters;
    counters.active_opens = stories.iter().filter(|s| **s != Story::Capped).count() as u64;
    counters.passive_opens = stories.iter().filter(|s| s.connects()).count() as u64;
    counters.listen_drops = stories.iter().filter(|s| **s == Story::SynDropped).count() as u64;
    counters.out_rsts = stories.iter().filter(|s| **s == Story::Refused).count() as u64;
    trial
}

fn log(generation: u32) -> WorkerLog {
    WorkerLog { pid: 100 + generation, generation, window_open: false, records: Vec::new().into() }
}

fn tell(trial: &mut Trial, attempt: u32, story: Story) {
    let start_ns = (u64::from(attempt) + 1) * SECOND_NS;
    trial.client.push(ClientRecord {
        attempt,
        intended_ns: start_ns,
        started: if story == Story::Capped { None } else { at(start_ns) },
        connected: if story.connects() { at(start_ns + 10) } else { None },
        finished: at(start_ns + 1000),
        outcome: story.outcome(),
        poison: story == Story::Poisoned,
        syn_retransmits: 0,
        version: 1,
        requests_answered: u16::from(story == Story::Served),
        ..ClientRecord::planned(0, 0, false)
    });
    if story.is_accepted() {
        tell_worker(trial, attempt, start_ns, story);
    }
    if story == Story::QueueReset {
        trial.kernel.listeners.push(Listener {
            inode: attempt,
            opened_ns: 1,
            last_seen_ns: at(start_ns + 900).map(NonZeroU64::get),
            gone_ns: at(start_ns + 1100).map(NonZeroU64::get),
            holders: Vec::new(),
            queue_max: 1,
            limit: 128,
            drops: Some(0),
        });
    }
}

fn tell_worker(trial: &mut Trial, attempt: u32, start_ns: u64, story: Story) {
    let crashes = matches!(story, Story::Poisoned | Story::InFlight);
    if crashes && trial.workers.last().is_none_or(|log| log.records.first().is_some()) {
        trial.workers.push(log(trial.workers.len() as u32 + 1));
    }
    let log = trial.workers.last_mut().expect("a worker");
    let (pid, generation) = (log.pid, log.generation);
    let push = |log: &mut WorkerLog, kind, at_ns, detail| {
        log.records.gathered().push(WorkerRecord {
            kind,
            pid,
            generation,
            connection: attempt + 1,
            at_ns,
            detail,
            peer: (kind == RecordKind::Accepted).then(|| Peer::Ip(client_v4(attempt).into(), 5)),
        });
    };
    push(log, RecordKind::Accepted, start_ns + 20, 0);
    let asked = if story == Story::Poisoned { u64::MAX } else { u64::from(attempt) };
    if story != Story::AsksNothing {
        push(log, RecordKind::Read, start_ns + 30, asked);
    }
    match story {
        Story::Served => push(log, RecordKind::Replied, start_ns + 40, u64::from(attempt)),
        Story::Poisoned | Story::InFlight => {
            let detail = crash_detail(CrashStep::Work, CrashMode::Panic);
            push(log, RecordKind::Crash, start_ns + 50, detail);
            trial.workers.push(tests::log(trial.workers.len() as u32 + 1));
        }
        _ => push(log, RecordKind::Closed, start_ns + 60, 0),
    }
}

fn is_off(reconciled: &Reconciled, line: Line) -> bool {
    reconciled.books.off().any(|entry| entry.line == line)
}

fn records<'a>(trial: &'a Trial, attempts: usize) -> TrialRecords<'a> {
    TrialRecords {
        said: &crate::said::NOTHING_SAID,
        transport: Transport::Tcp,
        attempts: u32::try_from(attempts).expect("few"),
        client: (&trial.client).into(),
        requests: &[],
        workers: Some(&trial.workers),
        accepts_stamped: true,
        kernel: &trial.kernel,
        deaths: &[],
        foreign_connects_expected: false,
        end_ns: u64::MAX,
    }
}

fn stories() -> impl Strategy<Value = Vec<Story>> {
    prop::collection::vec(prop::sample::select(STORIES.to_vec()), 1..60)
}

fn conserved(reconciled: &Reconciled, attempts: usize) -> bool {
    reconciled.attempts.len() == attempts && reconciled.fates().values().sum::<u64>() == attempts as u64
}

#[test]
fn a_client_that_hears_late_of_a_close_was_reset_by_it() {
    let mut trial = trial(&[Story::QueueReset]);
    let late_ns = at(trial.client[0].finished.expect("an end").get() + SECOND_NS);
    trial.client[0].finished = late_ns;
    let reconciled = reconcile(&records(&trial, 1));
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    assert_eq!(reconciled.attempts[0].fate, Fate::QueueReset);
    // A listener that was closed before the attempt set out explains nothing.
    let start_ns = trial.client[0].intended_ns;
    trial.kernel.listeners[0].last_seen_ns = Some(start_ns - SECOND_NS / 2);
    trial.kernel.listeners[0].gone_ns = Some(start_ns - SECOND_NS / 2);
    assert!(!reconcile(&records(&trial, 1)).books.is_balanced());
}

#[test]
fn syns_that_were_sent_again_are_among_what_the_kernel_sent_again() {
    let mut trial = trial(&[Story::Served, Story::SynDropped]);
    trial.client[0].syn_retransmits = 1;
    trial.client[1].syn_retransmits = 2;
    trial.kernel.counters.retrans_segs = 3;
    assert!(reconcile(&records(&trial, 2)).books.is_balanced());
    trial.kernel.counters.retrans_segs = 2;
    let entry = Entry { line: Line::Retransmits, min: 0, max: 2, found: 3 };
    assert_eq!(reconcile(&records(&trial, 2)).books.off().collect::<Vec<_>>(), [entry]);
}

proptest! {
    #[test]
    fn every_attempt_gets_the_fate_it_had(stories in stories(), rotate in 0..60_usize) {
        let mut trial = trial(&stories);
        // Records reach the ledger in any order.
        let pivot = rotate % trial.client.len();
        trial.client.rotate_left(pivot);
        trial.workers.reverse();
        let reconciled = reconcile(&records(&trial, stories.len()));
        prop_assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
        prop_assert!(conserved(&reconciled, stories.len()));
        for (attempt, story) in reconciled.attempts.iter().zip(&stories) {
            prop_assert_eq!((attempt.fate, attempt.blame, attempt.retry), story.expected(), "{:?}", story);
        }
    }

    #[test]
    fn a_client_record_lost_doubled_or_from_nowhere_is_noticed(
        stories in stories(), which: prop::sample::Index, kind in 0..3,
    ) {
        let mut trial = trial(&stories);
        let index = which.index(trial.client.len());
        match kind {
            0 => { trial.client.remove(index); }
            1 => { let copy = trial.client[index]; trial.client.push(copy); }
            _ => {
                let mut stranger = trial.client[index];
                stranger.attempt = u32::try_from(stories.len()).expect("few");
                trial.client.push(stranger);
            }
        }
        let reconciled = reconcile(&records(&trial, stories.len()));
        prop_assert!(!reconciled.books.is_balanced());
        prop_assert!(conserved(&reconciled, stories.len()));
    }

    #[test]
    fn an_accept_lost_doubled_or_from_nowhere_is_noticed(
        stories in stories(), which: prop::sample::Index, kind in 0..3,
    ) {
        let mut stories = stories;
        stories.push(Story::Served);
        let mut trial = trial(&stories);
        let accepts: Vec<(usize, usize)> = trial.workers.iter().enumerate().flat_map(|(log, worker)| {
            worker.records.iter().enumerate()
                .filter(|(_, record)| record.kind == RecordKind::Accepted)
                .map(move |(index, _)| (log, index))
        }).collect();
        let (log, index) = accepts[which.index(accepts.len())];
        let log = trial.workers[log].records.gathered();
        match kind {
            0 => { log.remove(index); }
            1 => { let copy = log[index]; log.insert(index, copy); }
            _ => {
                let mut stranger = log[index];
                stranger.peer = Some(Peer::Ip(crate::wire::SERVER_V4.into(), 9));
                log.insert(index, stranger);
            }
        }
        let reconciled = reconcile(&records(&trial, stories.len()));
        prop_assert!(!reconciled.books.is_balanced());
        prop_assert!(conserved(&reconciled, stories.len()));
    }

    #[test]
    fn any_records_at_all_give_each_attempt_one_fate(
        outcomes in prop::collection::vec((0..40_u32, 0..STORIES.len(), any::<bool>()), 0..80),
        accepted in prop::collection::vec((0..60_u32, 0..5_u32, any::<u8>()), 0..80),
        attempts in 0..40_usize,
    ) {
        let mut trial = trial(&[]);
        for (attempt, story, poison) in outcomes {
            tell(&mut trial, attempt, STORIES[story]);
            trial.client.last_mut().expect("told").poison = poison;
        }
        for (attempt, generation, kind) in accepted {
            let Some(kind) = RecordKind::from_code(u32::from(kind % 15)) else { continue };
            let mut log = log(generation);
            log.window_open = attempt % 2 == 0;
            log.records.gathered().push(WorkerRecord {
                kind, pid: 7, generation, connection: attempt, at_ns: u64::from(attempt), detail: 3,
                peer: Some(Peer::Unix(attempt)),
            });
            trial.workers.push(log);
        }
        let reconciled = reconcile(&records(&trial, attempts));
        prop_assert!(conserved(&reconciled, attempts));
        for attempt in &reconciled.attempts {
            prop_assert_eq!(attempt.is_lost(), attempt.blame.is_some());
        }
    }
}

#[test]
fn kernel_counters_that_disagree_are_noticed() {
    type Spoil = fn(&mut TcpCounters);
    let spoils: [(Line, Spoil); 6] = [
        (Line::ActiveOpens, |c| c.active_opens += 1),
        (Line::ActiveOpens, |c| c.active_opens -= 1),
        (Line::PassiveOpens, |c| c.passive_opens += 4),
        (Line::PassiveOpens, |c| c.passive_opens = 0),
        (Line::SynDrops, |c| c.listen_drops = 0),
        (Line::Resets, |c| c.out_rsts = 0),
    ];
    for (line, spoil) in spoils {
        let mut trial = trial(&[Story::Served, Story::Refused, Story::SynDropped]);
        spoil(&mut trial.kernel.counters);
        let reconciled = reconcile(&records(&trial, 3));
        assert!(is_off(&reconciled, line), "{line}: {}", reconciled.books);
    }
}

#[test]
fn a_handshake_that_two_cpus_completed_at_once_is_no_other_connection() {
    let mut trial = trial(&[Story::Served, Story::Served]);
    trial.kernel.counters.passive_opens += 1;
    let reconciled = reconcile(&records(&trial, 2));
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
}

#[test]
fn a_handshake_that_a_closing_listener_cut_was_never_completed() {
    let mut trial = trial(&[Story::Served, Story::QueueReset]);
    trial.kernel.counters.passive_opens = 1;
    let reconciled = reconcile(&records(&trial, 2));
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    trial.kernel.counters.passive_opens = 0;
    let reconciled = reconcile(&records(&trial, 2));
    assert!(is_off(&reconciled, Line::PassiveOpens), "{}", reconciled.books);
}

#[test]
fn a_connection_taken_by_a_worker_that_died_before_recording_it_was_in_flight() {
    let mut trial = trial(&[Story::Served, Story::QueueReset]);
    trial.kernel.listeners.clear();
    trial.workers[0].window_open = true;
    let deaths = [InjectedDeath { pid: trial.workers[0].pid, at_ns: 2 * SECOND_NS, had: None }];
    let reconciled = reconcile(&TrialRecords { deaths: &deaths, ..records(&trial, 2) });
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    let attempt = reconciled.attempts[1];
    assert_eq!((attempt.fate, attempt.blame), (Fate::NoReply, Some(Blame::InFlight)));
    assert_eq!(attempt.retry, Some(Retry::Ambiguous));
}

#[test]
fn a_queue_reset_needs_a_listener_that_closed() {
    let mut trial = trial(&[Story::Served, Story::QueueReset]);
    trial.kernel.listeners.clear();
    let reconciled = reconcile(&records(&trial, 2));
    let entry = Entry { line: Line::UnexplainedResets, min: 0, max: 0, found: 1 };
    assert_eq!(reconciled.books.off().collect::<Vec<_>>(), [entry]);
    assert_eq!(reconciled.books.to_string(), "queue resets while no listener closed: 1, must be 0");
}

#[test]
fn a_client_may_see_that_it_is_connected_after_the_listener_has_gone() {
    let mut trial = trial(&[Story::Served, Story::QueueReset]);
    let gone_ns = trial.kernel.listeners[0].gone_ns.expect("it closed");
    trial.client[1].connected = at(gone_ns + 20_000_000);
    trial.client[1].finished = at(gone_ns + 20_000_000);
    let reconciled = reconcile(&records(&trial, 2));
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    // Its handshake was done when the second SYN came, which was after the listener had closed.
    trial.client[1].syn_retransmits = 1;
    trial.kernel.counters.retrans_segs = 1;
    let reconciled = reconcile(&records(&trial, 2));
    assert!(is_off(&reconciled, Line::UnexplainedResets), "{}", reconciled.books);
}

#[test]
fn a_listener_may_be_seen_for_the_first_time_as_late_as_the_observer_looked() {
    let mut trial = trial(&[Story::Served, Story::QueueReset]);
    let connected_ns = trial.client[1].connected.expect("it connected").get();
    let gone_ns = trial.kernel.listeners.last().and_then(|listener| listener.gone_ns).expect("it closed");
    let late_ns = 8_000_000;
    trial.client[1].finished = at(gone_ns + late_ns);
    let listener = trial.kernel.listeners.last_mut().expect("a listener");
    listener.opened_ns = connected_ns + late_ns;
    (listener.last_seen_ns, listener.gone_ns) = (Some(connected_ns + late_ns), Some(gone_ns + late_ns));
    let reconciled = reconcile(&records(&trial, 2));
    assert!(is_off(&reconciled, Line::UnexplainedResets), "{}", reconciled.books);
    trial.kernel.interval_ns_max = 6_000_000;
    let reconciled = reconcile(&records(&trial, 2));
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
}

#[test]
fn a_client_may_hear_of_a_reset_as_late_as_the_observer_looked() {
    let mut trial = trial(&[Story::Served, Story::QueueReset]);
    let finished_ns = trial.client[1].finished.expect("it ended").get();
    trial.client[1].finished = at(finished_ns + 8_000_000);
    // Workers that keep a ledger tell that nobody had accepted it, however late the client hears.
    let reconciled = reconcile(&records(&trial, 2));
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    let fate =
        |trial: &Trial| reconcile(&TrialRecords { workers: None, ..records(trial, 2) }).attempts[1].fate;
    assert_eq!(fate(&trial), Fate::NoReply);
    trial.kernel.interval_ns_max = 6_000_000;
    assert_eq!(fate(&trial), Fate::QueueReset);
}

/// A listener without a ledger, last seen and found gone so long after an attempt had ended, in
/// nanoseconds; and so the load's end.
#[track_caller]
fn check_close(seen_ns: i64, gone_ns: i64, load_ended_ns: i64, expected: Fate) {
    let mut trial = trial(&[Story::Served, Story::QueueReset]);
    let ended_ns = trial.client[1].finished.expect("it ended").get();
    let after = |ns: i64| ended_ns.saturating_add_signed(ns);
    let listener = trial.kernel.listeners.last_mut().expect("a listener");
    (listener.last_seen_ns, listener.gone_ns) = (Some(after(seen_ns)), Some(after(gone_ns)));
    let records = TrialRecords { workers: None, end_ns: after(load_ended_ns), ..records(&trial, 2) };
    assert_eq!(reconcile(&records).attempts[1].fate, expected, "{seen_ns} {gone_ns} {load_ended_ns}");
}

#[test]
fn a_listener_that_holdline_closed_by_stopping_the_supervisor_reset_nobody() {
    // Seen after the attempt had ended, and closed by the stop.
    check_close(100_000, 1_100_000, 200_000, Fate::NoReply);
    // No look fell between: it was found gone only after the stop was asked for.
    check_close(-900_000, 1_100_000, 200_000, Fate::NoReply);
    // Closed right before the load's end, as the look after the last attempt found.
    check_close(-900_000, 100_000, 200_000, Fate::QueueReset);
    check_close(-900_000, 200_000, 200_000, Fate::QueueReset);
    check_close(0, 100_000, i64::MAX, Fate::QueueReset);
}

#[test]
fn a_listener_that_was_seen_after_an_attempt_did_not_end_it() {
    check_close(1, 1_000_000, 1_000_000_000, Fate::NoReply);
    check_close(-1, 1_000_000, 1_000_000_000, Fate::QueueReset);
}

#[test]
fn what_was_closed_in_order_was_accepted_whatever_closed_then() {
    for (ended, send_failed, expected) in [
        (Some(Ending::Fin), false, Fate::NoReply),
        // The reset was told to the send.
        (Some(Ending::Fin), true, Fate::QueueReset),
        (Some(Ending::Reset), false, Fate::QueueReset),
        (None, false, Fate::QueueReset),
    ] {
        let mut trial = trial(&[Story::Served, Story::QueueReset]);
        let client = &mut trial.client[1];
        client.outcome = if ended == Some(Ending::Fin) { Outcome::Closed } else { Outcome::Reset };
        (client.ended, client.send_failed) = (ended, send_failed);
        let records = TrialRecords { workers: None, ..records(&trial, 2) };
        assert_eq!(reconcile(&records).attempts[1].fate, expected, "{ended:?} {send_failed}");
    }
}

proptest! {
    /// Whatever the looks fall on: a close before the stop explains what ended after it, and never what
    /// ended before it or what holdline's stop closed.
    #[test]
    fn only_closes_before_the_stop_reset_a_queue(
        looks in prop::collection::btree_set(0..3_000_000_i64, 2..12),
        closed_at in -1_000_000..3_000_000_i64,
        until_stop in 1..2_000_000_i64,
    ) {
        // The attempt ends at 0, a look comes before the stop, and others at random.
        let before_stop = until_stop / 2;
        let mut looks: Vec<i64> = looks.into_iter().map(|look| look - 1_000_000).collect();
        looks.extend([-1_000_001, before_stop, 3_000_000]);
        looks.sort_unstable();
        let seen = looks.iter().copied().filter(|look| *look < closed_at).max().expect("the first");
        let gone = looks.iter().copied().filter(|look| *look >= closed_at).min().expect("the last");
        let is_reset = closed_at <= 0;
        let is_stop = closed_at > until_stop;
        let ambiguous = !is_reset && seen <= 0 && gone <= until_stop;
        if is_reset || is_stop || !ambiguous {
            let expected = if is_reset { Fate::QueueReset } else { Fate::NoReply };
            check_close(seen, gone, until_stop, expected);
        }
    }
}

#[test]
fn poison_that_nobody_took_is_not_to_blame() {
    let mut trial = trial(&[Story::Refused]);
    trial.client[0].poison = true;
    let reconciled = reconcile(&records(&trial, 1));
    assert_eq!(reconciled.attempts[0].blame, Some(Blame::Collateral));
}

#[test]
fn without_a_ledger_a_closed_listener_tells_queue_resets_from_missing_replies() {
    let trial = trial(&[Story::QueueReset, Story::Dropped]);
    let reconciled = reconcile(&TrialRecords { workers: None, ..records(&trial, 2) });
    let fates: Vec<Fate> = reconciled.attempts.iter().map(|attempt| attempt.fate).collect();
    assert_eq!(fates, [Fate::QueueReset, Fate::NoReply]);
}

/// Two sessions of three requests each on one worker, at the same time; the second is cut by a crash.
fn sessions() -> Trial {
    let mut trial = trial(&[]);
    let client = |attempt: u32, outcome, requests_answered| ClientRecord {
        attempt,
        intended_ns: 10,
        started: at(10),
        connected: at(11),
        finished: at(1000),
        outcome,
        poison: false,
        syn_retransmits: 0,
        version: 1,
        requests_answered,
        ..ClientRecord::planned(0, 0, false)
    };
    trial.client = vec![client(0, Outcome::Replied, 3), client(1, Outcome::Reset, 1)];
    let peer = |attempt: u32| Some(Peer::Ip(client_v4(attempt).into(), 5));
    let number = crate::wire::number_of;
    trial.workers[0].records = [
        (RecordKind::Accepted, 1, 0, peer(0)),
        (RecordKind::Accepted, 2, 0, peer(1)),
        (RecordKind::Read, 1, number(0, 0), None),
        (RecordKind::Replied, 1, number(0, 0), None),
        (RecordKind::Read, 2, number(1, 0), None),
        (RecordKind::Replied, 2, number(1, 0), None),
        (RecordKind::Read, 1, number(0, 1), None),
        (RecordKind::Replied, 1, number(0, 1), None),
        (RecordKind::Read, 1, number(0, 2), None),
        (RecordKind::Replied, 1, number(0, 2), None),
        (RecordKind::Closed, 1, 0, None),
        (RecordKind::Read, 2, number(1, 1), None),
        (RecordKind::Crash, 0, crash_detail(CrashStep::Work, CrashMode::Kill), None),
    ]
    .into_iter()
    .zip(20..)
    .map(|((kind, connection, detail, peer), at_ns)| WorkerRecord {
        kind,
        pid: 101,
        generation: 1,
        connection,
        at_ns,
        detail,
        peer,
    })
    .collect();
    trial.kernel.counters.active_opens = 2;
    trial.kernel.counters.passive_opens = 2;
    trial
}

fn answered(attempt: u32, intended_ns: u64, answered_ns: u64, paused_ns: u64) -> RequestRecord {
    RequestRecord { attempt, intended_ns, answered_ns, paused_ns }
}

#[test]
fn sessions_of_one_worker_may_overlap() {
    let trial = sessions();
    let requests =
        [answered(0, 10, 30, 0), answered(1, 10, 35, 0), answered(0, 40, 90, 20), answered(0, 95, 96, 0)];
    let reconciled = reconcile(&TrialRecords { requests: &requests, ..records(&trial, 2) });
    assert!(reconciled.books.is_balanced(), "{}", reconciled.books);
    let [served, cut] = reconciled.attempts[..] else { panic!("two attempts") };
    // The client's own pause is not the server's: 90 − 40 − 20.
    assert_eq!((served.fate, served.blame, served.waited_ns), (Fate::Served, None, 30));
    assert_eq!((cut.fate, cut.blame), (Fate::NoReply, Some(Blame::InFlight)));
    assert_eq!(cut.retry, Some(Retry::Ambiguous));
}

#[test]
fn every_connection_of_a_crashed_worker_is_in_flight_unless_it_had_ended() {
    let mut trial = sessions();
    trial.client[0].outcome = Outcome::Truncated;
    trial.client[0].requests_answered = 2;
    let both = reconcile(&records(&trial, 2));
    assert!(both.attempts.iter().all(|attempt| attempt.blame == Some(Blame::InFlight)));
    // The worker crashed at 32.
    trial.client[0].finished = at(31);
    let blames: Vec<Option<Blame>> =
        reconcile(&records(&trial, 2)).attempts.iter().map(|a| a.blame).collect();
    assert_eq!(blames, [Some(Blame::Collateral), Some(Blame::InFlight)]);
}

#[test]
fn a_session_that_was_closed_while_idle_lost_nothing() {
    let mut trial = sessions();
    trial.client[1].outcome = Outcome::ClosedIdle;
    let reconciled = reconcile(&records(&trial, 2));
    let attempt = reconciled.attempts[1];
    assert_eq!((attempt.fate, attempt.blame, attempt.retry), (Fate::Served, None, None));
}

#[test]
fn sessions_that_do_not_add_up_are_noticed() {
    type Spoil = fn(&mut Trial);
    let spoils: [(Line, Spoil); 6] = [
        (Line::MisreadRequests, |t| t.workers[0].records.gathered()[6].detail = 0),
        (Line::UnrecordedReplies, |t| {
            t.workers[0].records.gathered().remove(3);
        }),
        (Line::UnrecordedReplies, |t| t.client[0].requests_answered = 4),
        // A reply that was not recorded may be the last thing that a worker did, but only one may.
        (Line::UnrecordedReplies, |t| t.client[1].requests_answered = 3),
        (Line::RecordsAstray, |t| t.workers[0].records.gathered()[11].connection = 1),
        (Line::DoubledAccepts, |t| {
            t.workers[0].records.gathered()[1].peer = t.workers[0].records.gathered()[0].peer;
        }),
    ];
    for (line, spoil) in spoils {
        let mut trial = sessions();
        spoil(&mut trial);
        let reconciled = reconcile(&records(&trial, 2));
        assert!(is_off(&reconciled, line), "{line}: {}", reconciled.books);
    }
    let mut trial = sessions();
    trial.client[1].requests_answered = 2;
    assert!(reconcile(&records(&trial, 2)).books.is_balanced());
    let requests = [answered(0, 10, 30, 0)];
    let reconciled = reconcile(&TrialRecords { requests: &requests, ..records(&trial, 2) });
    let entry = Entry { line: Line::UnloggedRequests, min: 0, max: 0, found: 1 };
    assert_eq!(reconciled.books.off().collect::<Vec<_>>(), [entry]);
}

#[test]
fn without_a_ledger_an_earlier_reply_shows_that_a_session_was_accepted() {
    let mut trial = trial(&[Story::QueueReset]);
    trial.client[0].requests_answered = 1;
    let reconciled = reconcile(&TrialRecords { workers: None, ..records(&trial, 1) });
    assert_eq!(reconciled.attempts[0].fate, Fate::NoReply);
}

#[test]
fn a_gateway_says_that_the_worker_behind_it_died_and_an_error_of_its_own_does_not() {
    for (status, expected) in [(502, Blame::InFlight), (504, Blame::InFlight), (500, Blame::Collateral)] {
        let mut trial = trial(&[Story::InFlight]);
        trial.client[0].outcome = Outcome::ErrorReply(status);
        let attempt = reconcile(&records(&trial, 1)).attempts[0];
        assert_eq!((attempt.fate, attempt.blame), (Fate::ErrorReply, Some(expected)), "{status}");
    }
}

#[test]
fn a_gateway_may_hand_on_what_it_has_of_a_reply_when_the_worker_behind_it_dies() {
    let trial = trial(&[Story::Wrong]);
    let (started, finished) = (trial.client[0].started, trial.client[0].finished);
    let [start_ns, end_ns] = [started, finished].map(|at| at.expect("an instant").get());
    for (at_ns, has_ledger, expected) in [
        (start_ns, false, Blame::InFlight),
        (end_ns, false, Blame::InFlight),
        (end_ns + 1, false, Blame::Collateral),
        (end_ns, true, Blame::Collateral),
    ] {
        let deaths = [InjectedDeath { pid: 1, at_ns, had: None }];
        let all = records(&trial, 1);
        let told = TrialRecords { deaths: &deaths, workers: all.workers.filter(|_| has_ledger), ..all };
        let attempt = reconcile(&told).attempts[0];
        assert_eq!((attempt.fate, attempt.blame), (Fate::WrongReply, Some(expected)), "{at_ns}");
    }
}

#[test]
fn whoever_asks_for_nothing_is_read_by_nobody() {
    let mut trial = trial(&[Story::AsksNothing]);
    assert!(reconcile(&records(&trial, 1)).books.is_balanced());
    let log = trial.workers[0].records.gathered();
    let read = WorkerRecord { kind: RecordKind::Read, detail: 0, peer: None, ..log[0] };
    log.insert(1, read);
    assert!(is_off(&reconcile(&records(&trial, 1)), Line::MisreadRequests));
}

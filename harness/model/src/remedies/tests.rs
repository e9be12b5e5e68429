//! Each remedy, with its number, from records with values; and never one for what was not lost.

use proptest::prelude::*;

use Outcome::{Closed, Refused, Replied, Reset, TimedOut};

use super::*;
use crate::deed::Deed;
use crate::facts::{FaultFact, TrialFacts};
use crate::ledger::{TrialRecords, reconcile};
use crate::record::{AcceptSamples, KernelRecord, Listener, Outcome, Waiting};
use crate::result::{Backlog, DrainBasis, Need};
use crate::scenario;
use crate::watch::{Found, Watched};
use crate::words::{CrashMode, CrashStep, Stage, Transport};

const MS: u64 = 1_000_000;
/// The load's start; attempt `n` is due `n` times 10 ms later.
const START_NS: u64 = 1_000 * MS;

/// What was written down in a trial of a service that keeps no ledger, built up by a test.
struct Case {
    fault: &'static str,
    client: Vec<ClientRecord>,
    kernel: KernelRecord,
    facts: TrialFacts,
    transport: Transport,
    advised: Option<Advice>,
}

impl Case {
    /// A trial in which this was done after 100 ms; it has one listener, which is open all the time.
    fn of(fault: &'static str) -> Self {
        let deed = Deed::Poison { attempt: None, step: CrashStep::Work, mode: CrashMode::Panic };
        let struck = FaultFact::new(0, START_NS + 100 * MS, deed);
        Self {
            fault,
            client: Vec::new(),
            kernel: KernelRecord {
                listeners: vec![listener(1, 0, None)],
                interval_ns: MS,
                somaxconn: Some(4096),
                ..KernelRecord::default()
            },
            facts: TrialFacts {
                start_ns: START_NS,
                end_ns: START_NS + 9_000 * MS,
                faults: if fault.is_empty() { Vec::new() } else { vec![struck] },
                ..TrialFacts::default()
            },
            transport: Transport::Tcp,
            advised: None,
        }
    }

    /// The next attempts, each of which ended so many milliseconds after it was due.
    fn then(mut self, many: u32, outcome: Outcome, took_ms: u64) -> Self {
        for _ in 0..many {
            let attempt = u32::try_from(self.client.len()).expect("few");
            let intended_ns = START_NS + u64::from(attempt) * 10 * MS;
            let connects = !matches!(outcome, Refused | TimedOut(Stage::Connect));
            self.client.push(ClientRecord {
                started: NonZeroU64::new(intended_ns),
                connected: NonZeroU64::new(intended_ns).filter(|_| connects),
                finished: NonZeroU64::new(intended_ns + took_ms * MS),
                outcome,
                requests_answered: u16::from(outcome == Replied),
                ..ClientRecord::planned(attempt, intended_ns, false)
            });
        }
        self
    }

    fn listeners(mut self, listeners: Vec<Listener>) -> Self {
        self.kernel.listeners = listeners;
        self
    }

    /// These attempts were seen in the queue from their start to their end.
    fn waiting(mut self, attempts: std::ops::Range<u32>) -> Self {
        let waiting = attempts.map(|attempt| {
            let record = &self.client[attempt as usize];
            let ended_ns = record.finished.map_or(0, NonZeroU64::get);
            let (first_seen_ns, last_seen_ns) = (record.intended_ns, ended_ns);
            Waiting { attempt, first_seen_ns, last_seen_ns, gone_ns: None }
        });
        let waiting = waiting.collect();
        let looks = (0..2_000).map(|ms| (START_NS + ms * MS, START_NS + ms * MS + 1)).collect();
        self.kernel.accepts =
            Some(AcceptSamples { waiting, looks, interval_ns: MS, ..AcceptSamples::default() });
        self
    }

    fn remedies(&self) -> Remedies {
        let fault = match self.fault {
            "" => String::new(),
            action => format!("[[fault]]\nat = \"100ms\"\n{action}\n"),
        };
        let text = format!(
            "name = \"t\"\nasks = \"?\"\n[load]\narrivals = {{ constant = \"100/s\" }}\nduration = \"9s\"\n{fault}"
        );
        let scenario = scenario::parse(&text, "t").expect("a scenario");
        let records = TrialRecords {
            said: &crate::said::NOTHING_SAID,
            requests: &[],
            transport: self.transport,
            attempts: u32::try_from(self.client.len()).expect("few"),
            client: (&self.client).into(),
            workers: None,
            accepts_stamped: false,
            kernel: &self.kernel,
            deaths: &[],
            foreign_connects_expected: true,
            end_ns: u64::MAX,
        };
        let reconciled = reconcile(&records);
        let story =
            Story { records: &records, reconciled: &reconciled, facts: &self.facts, deadline_ns: 50 * MS };
        remedies(&Evidence { scenario: &scenario, story, advised: self.advised.as_ref() })
    }

    #[track_caller]
    fn gives(&self, expected: &[(Change, &[(Fate, u64)])]) {
        let given = self.remedies();
        let list: Vec<(Change, BTreeMap<Fate, u64>)> =
            given.list.iter().map(|remedy| (remedy.change.clone(), remedy.prevents.clone())).collect();
        let expected: Vec<(Change, BTreeMap<Fate, u64>)> = expected
            .iter()
            .map(|(change, prevents)| (change.clone(), prevents.iter().copied().collect()))
            .collect();
        assert_eq!(list, expected);
        assert!(given.without.is_empty(), "{:?}", given.without);
    }
}

fn listener(inode: u32, opened_ms: u64, closed_ms: Option<u64>) -> Listener {
    let at = |ms: u64| START_NS + ms * MS;
    Listener {
        inode,
        opened_ns: if opened_ms == 0 { START_NS - 500 * MS } else { at(opened_ms) },
        last_seen_ns: closed_ms.map(at),
        gone_ns: closed_ms.map(|ms| at(ms) + MS),
        holders: Vec::new(),
        queue_max: 0,
        limit: 128,
        drops: Some(0),
    }
}

const KILL: &str = "signal = { to = \"supervisor\", name = \"KILL\" }";
const RESTART: &str = "control = \"restart\"";
const STOP: &str = "control = \"stop\"";

#[test]
fn where_nothing_was_lost_there_is_no_remedy() {
    let calm = Case::of(KILL).then(30, Replied, 1);
    calm.gives(&[]);
    // Late is not lost, however full the queue was.
    let mut late = Case::of("").then(30, Replied, 400);
    late.kernel.listeners[0].queue_max = 129;
    late.gives(&[]);
}

#[test]
fn who_is_refused_after_a_crash_wants_a_listener_that_is_held_elsewhere() {
    let listeners = vec![listener(1, 0, Some(100)), listener(2, 400, None)];
    let case =
        Case::of(KILL).then(10, Replied, 1).then(30, Refused, 1).then(10, Replied, 1).listeners(listeners);
    let hold = Change::HoldListener { gap_ns: Some(300 * MS), backlog: Some(30) };
    let refused: &[(Fate, u64)] = &[(Fate::Refused, 30)];
    // The last that was refused was due at 390 ms; the first of all had 299 ms to wait.
    let retry = Change::Retry { for_at_least_ns: 299 * MS };
    case.gives(&[(hold, refused), (retry, refused)]);
}

#[test]
fn where_nobody_listens_again_it_is_not_known_how_many_would_wait_and_retrying_is_of_no_use() {
    let case =
        Case::of(KILL).then(10, Replied, 1).then(30, Refused, 1).listeners(vec![listener(1, 0, Some(100))]);
    case.gives(&[(Change::HoldListener { gap_ns: None, backlog: None }, &[(Fate::Refused, 30)])]);
    // The watch saw it again.
    let mut back = case;
    let found = Found::Back { at_ns: START_NS + 1_101 * MS };
    back.facts.watched =
        Some(Watched { began_ns: START_NS + 400 * MS, ended_ns: START_NS + 1_101 * MS, found });
    let retry = Change::Retry { for_at_least_ns: 1_000 * MS };
    assert_eq!(back.remedies().list.last().map(|remedy| remedy.change.clone()), Some(retry));
}

#[test]
fn who_is_refused_by_a_restart_wants_the_new_before_the_old_goes() {
    let listeners = vec![listener(1, 0, Some(100)), listener(2, 150, None)];
    let case =
        Case::of(RESTART).then(10, Replied, 1).then(5, Refused, 1).then(9, Replied, 1).listeners(listeners);
    let refused: &[(Fate, u64)] = &[(Fate::Refused, 5)];
    case.gives(&[
        (Change::HoldListener { gap_ns: Some(50 * MS), backlog: Some(5) }, refused),
        (Change::StartNewFirst { verb: Verb::Restart, gap_ns: 50 * MS }, refused),
        (Change::Retry { for_at_least_ns: 49 * MS }, refused),
    ]);
}

#[test]
fn who_is_refused_once_it_was_told_to_stop_is_lost_to_nothing_that_could_be_mended() {
    let case =
        Case::of(STOP).then(10, Replied, 1).then(30, Refused, 1).listeners(vec![listener(1, 0, Some(101))]);
    case.gives(&[]);
    assert_eq!(case.remedies().without, BTreeMap::new());
}

#[test]
fn what_a_closed_listener_reset_wants_it_held_and_beside_others_moved() {
    let closed = || {
        Case::of(KILL)
            .then(8, Replied, 1)
            .then(1, Reset, 29)
            .then(1, Reset, 19)
            .then(9, Replied, 1)
            .waiting(8..10)
    };
    let alone = closed().listeners(vec![listener(1, 0, Some(108)), listener(2, 110, None)]);
    let reset: &[(Fate, u64)] = &[(Fate::QueueReset, 2)];
    let retry_ns = |case: &Case| match case.remedies().list.last().map(|remedy| &remedy.change) {
        Some(Change::Retry { for_at_least_ns }) => *for_at_least_ns,
        other => panic!("{other:?}"),
    };
    alone.gives(&[
        (Change::HoldListener { gap_ns: None, backlog: Some(2) }, reset),
        (Change::Retry { for_at_least_ns: retry_ns(&alone) }, reset),
    ]);
    let shared = || vec![listener(1, 0, Some(108)), listener(2, 0, None), listener(3, 0, None)];
    let beside = closed().listeners(shared());
    beside.gives(&[
        (Change::MigrateRequests { listeners: 3 }, reset),
        (Change::Retry { for_at_least_ns: retry_ns(&beside) }, reset),
    ]);
    // It was told so already.
    let mut told = closed().listeners(shared());
    told.kernel.tcp_migrate_req = Some(true);
    assert!(told.remedies().list.iter().all(|it| !matches!(it.change, Change::MigrateRequests { .. })));
}

#[test]
fn a_queue_that_was_full_wants_as_much_as_the_load_needs() {
    let full = |need| {
        let mut case = Case::of("").then(5, Replied, 1).then(20, TimedOut(Stage::Connect), 5_000);
        case.kernel.listeners[0].queue_max = 129;
        let backlog = Backlog { listeners: 1, asked: 128, limit: 128, somaxconn: Some(4096) };
        case.advised = Some(Advice { need, backlog });
        case
    };
    let dropped: &[(Fate, u64)] = &[(Fate::SynDropped, 20)];
    let stall = |backlog| Need::Stall { came: backlog, stalled_ns: 400 * MS, backlog };
    let wants = |at_least, somaxconn| Change::Backlog { at_least: Some(at_least), had: 128, somaxconn };
    full(stall(214)).gives(&[(wants(214, None), dropped)]);
    full(Need::AtOnce { backlog: 9_000 }).gives(&[(wants(9_000, Some(4096)), dropped)]);
    // One more than there was is the least that can have been too little.
    full(stall(100)).gives(&[(wants(129, None), dropped)]);
    for hopeless in [Need::Endless, Need::TooMuch { came: 500, accepted: 100, lasted_ns: 1_000 * MS }] {
        let given = full(hopeless).remedies();
        assert_eq!((given.list, given.without), (Vec::new(), BTreeMap::from([(Fate::SynDropped, 20)])));
    }
}

#[test]
fn what_is_cut_by_a_stop_wants_as_long_as_the_longest_took() {
    // The tenth was due at 90 ms and cut at 100 ms; the longest that was answered took 60 ms.
    let case = Case::of(STOP).then(3, Replied, 60).then(6, Replied, 2).then(1, Closed, 10);
    let cut: &[(Fate, u64)] = &[(Fate::NoReply, 1)];
    let basis = DrainBasis::LongestServed { took_ns: 60 * MS };
    case.gives(&[(Change::Drain { at_least_ns: 50 * MS, basis }, cut)]);
    // One that lived for longer than any that was answered needs more than that.
    let slow = Case::of(STOP).then(9, Replied, 2).then(1, Closed, 35);
    slow.gives(&[(Change::Drain { at_least_ns: 25 * MS, basis: DrainBasis::LongestCut }, cut)]);
    // Where nobody was asked anything, how long it takes to stop is not the reason.
    let alone = Case::of("").then(9, Replied, 2).then(1, Closed, 35);
    assert_eq!(alone.remedies().without, BTreeMap::from([(Fate::NoReply, 1)]));
}

#[test]
fn what_nothing_would_have_helped_is_said() {
    let case = Case::of(KILL).then(9, Replied, 1).then(4, Outcome::WrongReply, 1).then(9, Replied, 1);
    let given = case.remedies();
    assert_eq!((given.list, given.without), (Vec::new(), BTreeMap::from([(Fate::WrongReply, 4)])));
}

fn outcomes() -> impl Strategy<Value = Vec<(Outcome, u64)>> {
    let outcome = prop::sample::select(vec![
        Replied,
        Refused,
        Reset,
        Closed,
        Outcome::Truncated,
        Outcome::ErrorReply(503),
        Outcome::WrongReply,
        TimedOut(Stage::Connect),
        TimedOut(Stage::FirstByte),
    ]);
    prop::collection::vec((outcome, 1..300_u64), 1..60)
}

fn listeners() -> impl Strategy<Value = Vec<Listener>> {
    let one = (1..9_u32, 0..400_u64, prop::option::of(1..400_u64));
    let one =
        one.prop_map(|(inode, opened, lived)| listener(inode, opened, lived.map(|lived| opened + lived)));
    prop::collection::vec(one, 0..4)
}

proptest! {
    /// Whatever happened: no remedy is for more than was lost collaterally, none is for nothing, and each loss has one
    /// or is said to have none, unless it was wanted.
    #[test]
    fn remedies_are_for_collateral_losses_and_for_all_of_them(
        outcomes in outcomes(),
        listeners in listeners(),
        fault in prop::sample::select(vec!["", KILL, RESTART, STOP]),
        full in any::<bool>(),
        migrate in prop::option::of(any::<bool>()),
    ) {
        let mut case = Case::of(fault).listeners(listeners);
        for (outcome, took_ms) in outcomes {
            case = case.then(1, outcome, took_ms);
        }
        case.kernel.tcp_migrate_req = migrate;
        if full && let Some(first) = case.kernel.listeners.first_mut() {
            first.queue_max = first.limit + 1;
        }
        let (of, given) = (fates_of(&case), case.remedies());
        for remedy in &given.list {
            prop_assert!(remedy.count() > 0, "{remedy:?}");
            prop_assert!(!remedy.text.is_empty());
            for (fate, count) in &remedy.prevents {
                prop_assert!(*count <= of.get(fate).copied().unwrap_or(0), "{remedy:?} of {of:?}");
            }
        }
        for (fate, lost) in &of {
            let without = given.without.get(fate).copied().unwrap_or(0);
            let helped: u64 = given.list.iter().filter_map(|remedy| remedy.prevents.get(fate)).sum();
            prop_assert!(without <= *lost);
            let is_wanted = *fate == Fate::Refused && fault == STOP;
            prop_assert!(is_wanted || without + helped >= *lost, "{fate}: {given:?} of {of:?}");
        }
    }
}

/// Collateral losses, by fate.
fn fates_of(case: &Case) -> BTreeMap<Fate, u64> {
    let records = TrialRecords {
        said: &crate::said::NOTHING_SAID,
        requests: &[],
        transport: case.transport,
        attempts: u32::try_from(case.client.len()).expect("few"),
        client: (&case.client).into(),
        workers: None,
        accepts_stamped: false,
        kernel: &case.kernel,
        deaths: &[],
        foreign_connects_expected: true,
        end_ns: u64::MAX,
    };
    let mut fates = BTreeMap::new();
    let reconciled = reconcile(&records);
    for attempt in reconciled.attempts.iter().filter(|attempt| attempt.blame == Some(Blame::Collateral)) {
        *fates.entry(attempt.fate).or_default() += 1;
    }
    fates
}

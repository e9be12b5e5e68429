//! Each kind of loss line, word for word, from records with values.

use Outcome::{Closed, Refused, Replied, Reset, TimedOut};
use RecordKind::{Accepted, BootFailed, Crash, Drain, Exit, StoppedAccepting};

use super::*;
use crate::custody::{Custody, Exhausted, InHands, Process, Reading};
use crate::facts::{ProcessEnd, TrialFacts};
use crate::ledger::{InjectedDeath, TrialRecords, reconcile};
use crate::record::{KernelRecord, Listener, NotSent, QueueSample, TcpCounters};
use crate::shm::{WorkerRecord, crash_detail};
use crate::wire::{Excerpt, Peer, client_v4};
use crate::words::{CrashStep, Transport};

const MS: u64 = 1_000_000;
/// The load's start; attempt `n` is due `n` times 10 ms later.
const START_NS: u64 = 1_000 * MS;
const DEADLINE_NS: u64 = 50 * MS;

/// What was written down in a trial, built up by a test.
struct Case {
    client: Vec<ClientRecord>,
    said: crate::said::Said,
    workers: Vec<WorkerLog>,
    keeps_ledger: bool,
    transport: Transport,
    kernel: KernelRecord,
    deaths: Vec<InjectedDeath>,
    facts: TrialFacts,
}

impl Case {
    /// A trial with one listener, open all the time, and no attempts.
    fn new() -> Self {
        let kernel = KernelRecord {
            listeners: vec![listener(40, 0, None)],
            interval_ns: MS,
            ..KernelRecord::default()
        };
        let facts = TrialFacts { start_ns: START_NS, end_ns: START_NS + 2_000 * MS, ..TrialFacts::default() };
        Self {
            client: Vec::new(),
            said: crate::said::Said::with_room(),
            workers: Vec::new(),
            keeps_ledger: true,
            transport: Transport::Tcp,
            kernel,
            deaths: Vec::new(),
            facts,
        }
    }

    /// The next attempt, which ended so many milliseconds after it was due.
    fn attempt(mut self, outcome: Outcome, took_ms: u64) -> Self {
        let attempt = u32::try_from(self.client.len()).expect("few");
        let intended_ns = START_NS + u64::from(attempt) * 10 * MS;
        let connects = !matches!(outcome, Refused | Outcome::NotSent(_) | TimedOut(Stage::Connect));
        let is_sent = !matches!(outcome, Outcome::NotSent(_));
        self.client.push(ClientRecord {
            requests_answered: 0,
            attempt,
            intended_ns,
            started: NonZeroU64::new(intended_ns).filter(|_| is_sent),
            connected: NonZeroU64::new(intended_ns + MS / 10).filter(|_| connects),
            finished: NonZeroU64::new(intended_ns + took_ms * MS),
            outcome,
            poison: false,
            syn_retransmits: 0,
            version: 0,
            ..ClientRecord::planned(0, 0, false)
        });
        self
    }

    /// The last attempt got this for a reply.
    fn told(mut self, text: &str) -> Self {
        let said = self.said.keep(&Excerpt::of(text.as_bytes()));
        self.client.last_mut().expect("an attempt").said = said;
        self
    }

    fn poisoned(mut self) -> Self {
        self.client.last_mut().expect("an attempt").poison = true;
        self
    }

    /// A worker with these records, each with its time from the load's start in milliseconds.
    fn worker(mut self, pid: u32, records: &[(u64, RecordKind, u64)]) -> Self {
        let generation = u32::try_from(self.workers.len() + 1).expect("few");
        let record = |&(at_ms, kind, detail): &(u64, RecordKind, u64)| WorkerRecord {
            kind,
            pid,
            generation,
            connection: 0,
            at_ns: START_NS + at_ms * MS,
            detail: if kind == Accepted { 0 } else { detail },
            peer: (kind == Accepted)
                .then(|| Peer::Ip(client_v4(u32::try_from(detail).expect("an attempt")).into(), 9)),
        };
        let records = records.iter().map(record).collect();
        self.workers.push(WorkerLog { pid, generation, window_open: false, records });
        self
    }

    fn listeners(mut self, listeners: Vec<Listener>) -> Self {
        self.kernel.listeners = listeners;
        self
    }

    fn at_a_path(mut self) -> Self {
        self.transport = Transport::Unix;
        self
    }

    #[track_caller]
    fn says(&self, expected: &[&str]) {
        let said: Vec<String> = self.losses().iter().map(Loss::to_string).collect();
        assert_eq!(said, expected);
    }

    fn losses(&self) -> Vec<Loss> {
        let records = TrialRecords {
            said: &self.said,
            requests: &[],
            transport: self.transport,
            attempts: u32::try_from(self.client.len()).expect("few"),
            client: (&self.client).into(),
            workers: self.keeps_ledger.then_some(self.workers.as_slice()),
            accepts_stamped: true,
            kernel: &self.kernel,
            deaths: &self.deaths,
            foreign_connects_expected: false,
            end_ns: u64::MAX,
        };
        let reconciled = reconcile(&records);
        let story = Story {
            records: &records,
            reconciled: &reconciled,
            facts: &self.facts,
            deadline_ns: DEADLINE_NS,
        };
        losses(&story)
    }
}

/// A listener that opened and closed at these times from the load's start, in milliseconds.
fn listener(inode: u32, opened_ms: u64, closed_ms: Option<u64>) -> Listener {
    Listener {
        inode,
        opened_ns: START_NS + opened_ms * MS,
        last_seen_ns: closed_ms.map(|ms| START_NS + ms * MS),
        gone_ns: closed_ms.map(|ms| START_NS + ms * MS + MS),
        holders: Vec::new(),
        queue_max: 0,
        limit: 128,
        drops: None,
    }
}

fn crash(step: CrashStep, mode: CrashMode) -> u64 {
    crash_detail(step, mode)
}

#[test]
fn nothing_lost_nothing_said() {
    Case::new().attempt(Replied, 1).worker(7, &[(0, Accepted, 0)]).says(&[]);
}

#[test]
fn poison_names_worker_step_and_mode() {
    let panic = crash(CrashStep::Work, CrashMode::Panic);
    Case::new()
        .attempt(Closed, 1)
        .poisoned()
        .worker(7, &[(0, Accepted, 0), (1, Crash, panic)])
        .says(&["1 poison: attempt 0 made worker 7 fail (panic at step work)"]);
    let mut unknown = Case::new().attempt(Closed, 1).poisoned();
    unknown.keeps_ledger = false;
    unknown.says(&["1 poison: attempt 0 carried the fault and got no reply"]);
}

#[test]
fn each_poison_that_one_worker_caught_is_told_from_the_one_that_ended_it() {
    let catch = crash(CrashStep::Read, CrashMode::Catch);
    let kill = crash(CrashStep::Work, CrashMode::Kill);
    let records = [(0, Accepted, 0), (1, Crash, catch), (2, RecordKind::Closed, 0)];
    let later = [(10, Accepted, 1), (11, Crash, kill)];
    Case::new()
        .attempt(Reset, 1)
        .poisoned()
        .attempt(Closed, 1)
        .poisoned()
        .worker(7, &[&records[..], &later[..]].concat())
        .says(&[
            "1 poison: attempt 0 failed at step read; worker 7 caught the error and went on",
            "1 poison: attempt 1 made worker 7 fail (kill at step work)",
        ]);
}

#[test]
fn in_flight_names_the_worker_that_died() {
    let case = || Case::new().attempt(Reset, 1).attempt(Reset, 1);
    let mut killed = case().worker(7, &[(0, Accepted, 0), (10, Accepted, 1)]);
    killed.deaths.push(InjectedDeath { pid: 7, at_ns: START_NS + MS, had: None });
    killed.says(&["2 in flight: accepted by worker 7, which died before it replied"]);
    let mut unknown = case();
    unknown.keeps_ledger = false;
    unknown.deaths.push(InjectedDeath { pid: 7, at_ns: START_NS + 10 * MS + MS / 2, had: None });
    unknown.says(&["1 in flight: open when a worker died", "1 closed without a complete reply"]);
}

#[test]
fn refusals_name_the_gap_its_cause_and_the_starts_that_failed_in_it() {
    let panic = crash(CrashStep::Work, CrashMode::Panic);
    let boot = crash(CrashStep::Boot, CrashMode::Exit);
    let case = || Case::new().attempt(Refused, 1).attempt(Refused, 1).worker(7, &[(0, Crash, panic)]);
    let gap = || vec![listener(40, 0, Some(0)), listener(41, 300, None)];
    case()
        .listeners(gap())
        .says(&["2 refused: nobody listened for 300 ms after worker 7 died (panic at step work)"]);
    case().listeners(gap()).worker(8, &[(90, BootFailed, boot)]).worker(9, &[(190, BootFailed, boot)]).says(&[
        "2 refused: nobody listened for 300 ms after worker 7 died (panic at step work); 2 starts failed meanwhile",
    ]);
    let mut ended = Case::new().attempt(Refused, 1).listeners(vec![listener(40, 0, Some(2))]);
    let end = ProcessEnd {
        pid: 4,
        at_ns: START_NS + 2 * MS,
        status: crate::exit::Exit::Status(101),
        successor: None,
    };
    ended.facts.supervisor_exits.push(end);
    ended.says(&[
        "1 refused: nobody listened from 2.00 ms to the end after the supervisor ended with status 101",
    ]);
    case().says(&["2 refused, although a listener was seen open at the time"]);
}

/// The look that missed the one listener found the next: at a Unix path they may have been open side by side.
#[test]
fn where_no_look_found_nobody_a_refusal_claims_no_more_than_was_seen() {
    let case =
        || Case::new().attempt(Refused, 1).listeners(vec![listener(40, 0, Some(0)), listener(41, 1, None)]);
    case().says(&["1 refused: nobody listened for at most 1.00 ms"]);
    case().at_a_path().says(&["1 refused: one listener gave way to the next within 1.00 ms"]);
}

#[test]
fn queue_resets_name_the_listener_or_the_overflow() {
    let exit = (2, Exit, 1);
    Case::new()
        .attempt(Reset, 5)
        .listeners(vec![listener(40, 0, Some(5))])
        .worker(7, &[exit])
        .says(&["1 reset in the queue: the listener (inode 40) was closed at 5.00 ms after worker 7 exited"]);
    let mut overflow = Case::new().attempt(Reset, 5);
    overflow.kernel.counters = TcpCounters { listen_overflows: 1, ..TcpCounters::default() };
    overflow.says(&["1 reset in the queue: it was full, and the kernel was told to reset what overflows"]);
    let unseen = "1 reset before any worker took it up: no listener was seen to close, and no queue was full";
    Case::new().attempt(Reset, 5).listeners(vec![listener(40, 0, None)]).says(&[unseen]);
}

#[test]
fn syn_drops_name_the_queue_that_was_full() {
    let full = Listener { queue_max: 2, limit: 1, drops: Some(6), ..listener(40, 0, None) };
    Case::new().attempt(TimedOut(Stage::Connect), 900).listeners(vec![full]).says(&[
        "1 never connected: the accept queue held 2 with a limit of 1, and that listener dropped 6 SYNs",
    ]);
}

#[test]
fn what_was_accepted_and_dropped_says_how_its_worker_ended() {
    for (record, how) in [
        ((2, Exit, 0), "which exited before it replied"),
        ((2, Drain, 0), "which was stopped while it drained"),
        ((2, RecordKind::Closed, 0), "which closed them without a complete reply"),
        ((2, RecordKind::Read, 0), "which ended before it replied"),
    ] {
        let line = format!("1 accepted by worker 7, {how}");
        Case::new().attempt(Closed, 3).worker(7, &[(1, Accepted, 0), record]).says(&[&line]);
    }
}

#[test]
fn waits_that_timed_out_name_the_worker_that_is_stuck() {
    let late = || Case::new().attempt(TimedOut(Stage::FirstByte), 900);
    let head = "1 timed out in the queue: connected, but nobody accepted them";
    for (kind, detail, why) in [
        (Crash, crash(CrashStep::Work, CrashMode::Hang), "hung (at step work)"),
        (StoppedAccepting, 0, "was alive but had stopped accepting"),
        (RecordKind::AcceptFailed, 24, "could not accept (errno 24, EMFILE: it had no descriptors left)"),
        (RecordKind::AcceptFailed, 12, "could not accept (errno 12)"),
    ] {
        let line = format!("{head}; worker 7 {why}");
        late().worker(7, &[(0, kind, detail)]).says(&[&line]);
    }
    late().says(&[head]);
}

#[test]
fn waits_that_timed_out_name_the_death_and_the_starts_that_failed() {
    let panic = crash(CrashStep::Work, CrashMode::Panic);
    let boot = crash(CrashStep::Boot, CrashMode::Abort);
    Case::new()
        .attempt(TimedOut(Stage::FirstByte), 900)
        .worker(7, &[(0, Crash, panic)])
        .worker(8, &[(400, BootFailed, boot)])
        .says(&["1 timed out in the queue: connected, but nobody accepted them after worker 7 died \
                 (panic at step work); 1 start failed meanwhile"]);
}

#[test]
fn waits_after_accept_say_how_far_the_reply_came() {
    Case::new()
        .attempt(TimedOut(Stage::FirstByte), 900)
        .attempt(TimedOut(Stage::Reply), 900)
        .worker(7, &[(0, Accepted, 0), (10, Accepted, 1)])
        .says(&["2 timed out: accepted, but no reply came in time (1 with part of the reply)"]);
    let mut unknown = Case::new().attempt(TimedOut(Stage::FirstByte), 900);
    unknown.keeps_ledger = false;
    unknown.says(&["1 timed out: no reply came in time; in whose hands they were is not known"]);
}

#[test]
fn what_timed_out_was_in_somebodys_hands() {
    let process = |pid, supervises| Process { pid, name: "node".to_owned(), supervises };
    let held = |by, others, request| Custody::Held { by, others, request };
    let check = |custody: Custody, line: &str| {
        let mut case = Case::new().attempt(TimedOut(Stage::FirstByte), 900);
        case.keeps_ledger = false;
        case.kernel.held.overdue = vec![InHands { attempt: 0, custody }];
        case.says(&[line]);
    };
    check(Custody::Queue, "1 timed out in the queue: connected, but nobody accepted them");
    check(
        Custody::HalfOpen,
        "1 timed out half-open: connected for the client, and waiting for the server's kernel",
    );
    check(
        held(process(12, false), 0, Reading::Read),
        "1 timed out: accepted by node (process 12), request read, no answer",
    );
    check(
        held(process(1, true), 2, Reading::Unread),
        "1 timed out: accepted by the supervisor, node (process 1) (and open in 2 more), request unread, no answer",
    );
    check(Custody::Hidden, "1 timed out: accepted, by nobody that can be looked at, no answer");
    check(Custody::Closed, "1 timed out: no reply came in time, and the server had closed its end");
}

#[test]
fn each_place_in_which_attempts_were_has_a_line() {
    let process = Process { pid: 12, name: "node".to_owned(), supervises: false };
    let held = Custody::Held { by: process, others: 0, request: Reading::Part };
    let mut case = Case::new();
    for _ in 0..4 {
        case = case.attempt(TimedOut(Stage::Reply), 900);
    }
    case.keeps_ledger = false;
    let seen = [(0, held.clone()), (1, Custody::Queue), (2, held)];
    case.kernel.held.overdue =
        seen.into_iter().map(|(attempt, custody)| InHands { attempt, custody }).collect();
    case.says(&[
        "1 timed out in the queue: connected, but nobody accepted them",
        "2 timed out: accepted by node (process 12), request read in part, no answer (2 with part of the reply)",
        "1 timed out: no reply came in time; in whose hands they were is not known (1 with part of the reply)",
    ]);
}

#[test]
fn who_had_no_descriptors_left_is_named_for_what_happened_meanwhile() {
    let exhausted = |first_ms: u64, last_ms: u64| Exhausted {
        process: Process { pid: 7, name: "nginx".to_owned(), supervises: false },
        limit: 64,
        first_ns: START_NS + first_ms * MS,
        last_ns: START_NS + last_ms * MS,
        interval_ns: 20 * MS,
    };
    let waits = |exhausted| {
        let mut case = Case::new().attempt(TimedOut(Stage::FirstByte), 900);
        case.keeps_ledger = false;
        case.kernel.held.overdue = vec![InHands { attempt: 0, custody: Custody::Queue }];
        case.kernel.held.exhausted = vec![exhausted];
        case
    };
    let head = "1 timed out in the queue: connected, but nobody accepted them";
    let why = "while process 7 (nginx) had all of its 64 descriptors in use";
    waits(exhausted(500, 600)).says(&[&format!("{head} {why}")]);
    waits(exhausted(1000, 1100)).says(&[head]);

    let turned_away = |exhausted| {
        let mut case = Case::new().attempt(Closed, 1).attempt(Closed, 1).attempt(Closed, 1);
        case.keeps_ledger = false;
        case.kernel.held.exhausted = vec![exhausted];
        case
    };
    let head = "3 closed without a complete reply";
    turned_away(exhausted(0, 600)).says(&[&format!("{head} {why}")]);
    turned_away(exhausted(60, 600)).says(&[head]);
}

#[test]
fn wrong_replies_errnos_and_what_was_not_sent() {
    Case::new()
        .attempt(Outcome::WrongReply, 1)
        .attempt(Outcome::ErrorReply(503), 1)
        .attempt(Outcome::ErrorReply(502), 1)
        .attempt(Outcome::ErrorReply(503), 1)
        .attempt(Outcome::Errno(113, Stage::Connect), 1)
        .attempt(Outcome::NotSent(NotSent::InFlightCap), 0)
        .worker(7, &[(0, Accepted, 0)])
        .says(&[
            "1 refused, although a listener was seen open at the time",
            "1 got status 502",
            "2 got status 503",
            "1 got a reply that was not the answer to what they asked",
            "1 of these ended with errno 113 at stage connect",
            "1 not sent: the cap on connections in flight was reached (not the server's fault)",
        ]);
}

#[test]
fn replies_that_were_not_the_answer_are_quoted_and_steer_nothing() {
    let case = Case::new()
        .attempt(Outcome::ErrorReply(503), 1)
        .attempt(Outcome::ErrorReply(503), 1)
        .told("<h1>Sorry\n\x1b[2J")
        .attempt(Outcome::WrongReply, 1)
        .told(&"x".repeat(128))
        .attempt(Outcome::TooLong, 1)
        .worker(7, &[(0, Accepted, 0)]);
    case.says(&[
        "1 got a reply longer than what is read (64 MiB of content, a head of 16 KiB or 64 headers): whether it \
         was right is not known",
        "2 got status 503: \"<h1>Sorry\\n\\u{1b}[2J\"",
        &format!("1 got a reply that was not the answer to what they asked: \"{}…\"", "x".repeat(80)),
    ]);
    let examples: Vec<Option<String>> = case.losses().into_iter().map(|loss| loss.example).collect();
    assert_eq!(examples, [None, Some("<h1>Sorry\\n\\u{1b}[2J".to_owned()), Some("x".repeat(128))]);
}

#[test]
fn what_was_late_says_where_the_longest_spent_its_time() {
    let head = "1 served late (deadline 50.0 ms): the longest took 200 ms";
    let late = |accepted_ms| Case::new().attempt(Replied, 200).worker(7, &[(accepted_ms, Accepted, 0)]);
    late(190).says(&[&format!("{head}, 190 ms of it in the queue")]);
    late(10).says(&[&format!("{head}, 190 ms of it with the worker")]);
    let mut slow_connect = late(185);
    slow_connect.client[0].connected = NonZeroU64::new(START_NS + 180 * MS);
    slow_connect.says(&[&format!("{head}, 180 ms of it to connect")]);
    let mut sent_late = late(195);
    sent_late.client[0].started = NonZeroU64::new(START_NS + 150 * MS);
    sent_late.client[0].connected = NonZeroU64::new(START_NS + 151 * MS);
    sent_late.says(&[&format!("{head}, 150 ms of it before it was sent")]);
    let mut unknown = Case::new().attempt(Replied, 200).attempt(Replied, 100);
    unknown.keeps_ledger = false;
    unknown.says(&["2 served late (deadline 50.0 ms): the longest took 200 ms, 200 ms of it once connected"]);
}

#[test]
fn a_worker_that_could_not_listen_tells_more_than_one_that_was_stopped_later() {
    Case::new()
        .listeners(Vec::new())
        .attempt(Refused, 1)
        .worker(71, &[(0, RecordKind::Boot, 1), (5, RecordKind::BindFailed, 13), (5, Exit, 1)])
        .worker(72, &[(10, RecordKind::Boot, 1), (1_999, Exit, 0)])
        .says(&["1 refused: nobody ever listened after worker 71 could not listen (errno 13, EACCES: permission denied)"]);
}

#[test]
fn queues_that_were_full_say_which_how_full_and_how_long() {
    let check = |samples: &[(u64, u32)], drops, expected: &[&str]| {
        let sample = |(at_ms, queue): &(u64, u32)| QueueSample {
            at_ns: START_NS + at_ms * MS,
            inode: 9,
            queue: *queue,
            limit: 4,
            drops,
        };
        let full = Listener { queue_max: 5, limit: 4, drops, ..listener(9, 0, None) };
        let mut case = Case::new().listeners(vec![full]);
        case.kernel.samples = samples.iter().map(sample).collect();
        case.says(expected);
    };
    check(
        &[(1, 5), (2, 4), (500, 5), (600, 0)],
        Some(1),
        &["the accept queue (inode 9) was full, with 5 in it and a limit of 4, for 101 ms, 2 times \
           from 1.00 ms; it dropped 1 SYN"],
    );
    let waited = "the accept queue (inode 9) was full, with 5 in it and a limit of 4, for 100 ms from 1.00 ms; \
                  whoever connected then had to wait for room";
    check(&[(1, 5), (101, 0)], None, &[waited]);
    check(&[(1, 4)], None, &[]);
    check(&[(1, 5)], Some(0), &[]);
}

//! The books of a trial: what must add up, and whether it does.

use std::fmt;

use super::{Attempt, NO_WORKER, TrialRecords, WorkerLog};
use crate::record::{ClientRecord, Outcome};
use crate::shm::{RecordKind, WorkerRecord};
use crate::words::{Fate, Stage, Transport};

/// One line of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is counted.
    pub name: &'static str,
    /// The least that it must be.
    pub min: u64,
    /// The most that it may be.
    pub max: u64,
    /// What it is.
    pub found: u64,
}

impl Entry {
    /// Whether it adds up.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        self.min <= self.found && self.found <= self.max
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, min, max, found } = self;
        match (min == max, *max) {
            (true, _) => write!(f, "{name}: {found}, must be {min}"),
            (false, u64::MAX) => write!(f, "{name}: {found}, must be at least {min}"),
            (false, _) => write!(f, "{name}: {found}, must be from {min} to {max}"),
        }
    }
}

/// Every line of the books of a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Books {
    /// The lines, those that add up included.
    pub entries: Vec<Entry>,
}

impl Books {
    /// Enters a line that must be exactly `expected`.
    pub fn expect(&mut self, name: &'static str, expected: u64, found: u64) {
        self.expect_between(name, expected, expected, found);
    }

    /// Enters a line that must lie between two bounds, both included.
    pub fn expect_between(&mut self, name: &'static str, min: u64, max: u64, found: u64) {
        self.entries.push(Entry { name, min, max, found });
    }

    /// Whether every line adds up.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.entries.iter().all(Entry::is_balanced)
    }

    /// The lines that do not add up.
    pub fn off(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.is_balanced())
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_balanced() {
            return f.write_str("balanced");
        }
        let off: Vec<String> = self.off().map(Entry::to_string).collect();
        f.write_str(&off.join("; "))
    }
}

/// Client against workers.
pub(super) fn check_workers(records: &TrialRecords<'_>, attempts: &[Attempt], books: &mut Books) {
    let Some(workers) = records.workers else { return };
    let client = |attempt: &Attempt| records.client.get(attempt.record as usize);
    let mut served_by_nobody = 0;
    let mut accepted_unsent = 0;
    for attempt in attempts {
        let Some(record) = client(attempt) else { continue };
        served_by_nobody += u64::from(attempt.fate == Fate::Served && attempt.accepted.is_none());
        accepted_unsent += u64::from(attempt.worker != NO_WORKER && never_left(record));
    }
    books.expect("served attempts that no worker accepted", 0, served_by_nobody);
    books.expect("accepted attempts that the client never connected", 0, accepted_unsent);
    let unexplained = attempts
        .iter()
        .filter(|attempt| attempt.fate == Fate::QueueReset)
        .filter_map(|attempt| Some((attempt, client(attempt)?.finished?.get())))
        .filter(|(attempt, ended_ns)| super::closed_listener(records, attempt, *ended_ns).is_none())
        .count() as u64;
    let overflow_resets = records.kernel.counters.listen_overflows;
    books.expect_between("queue resets while no listener closed", 0, overflow_resets, unexplained);
    let totals = workers
        .iter()
        .map(|log| check_log(records, log, attempts))
        .fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
    books.expect("requests that a worker read otherwise than they were sent", 0, totals.0);
    books.expect("served attempts that no worker answered", 0, totals.1);
    books.expect("worker records that name no accepted connection", 0, totals.2);
}

/// Whether nothing of this attempt can have reached a server.
const fn never_left(record: &ClientRecord) -> bool {
    matches!(record.outcome, Outcome::NotSent(_) | Outcome::Refused)
}

/// Counts in one worker's log: requests read wrongly, served attempts without an answer, and
/// records of connections that it never accepted.
fn check_log(records: &TrialRecords<'_>, log: &WorkerLog, attempts: &[Attempt]) -> (u64, u64, u64) {
    let (mut misread, mut unanswered, mut astray) = (0, 0, 0);
    let mut open: Option<(u32, u32, bool)> = None;
    let settle = |open: Option<(u32, u32, bool)>, is_last: bool| {
        let Some((attempt, _, answered)) = open else { return 0 };
        let served = attempts.get(attempt as usize).is_some_and(|a| a.fate == Fate::Served);
        // A worker may die between handing its reply to the kernel and recording that it did.
        u64::from(served && !answered && !is_last)
    };
    for record in &log.records {
        if record.kind == RecordKind::Accepted {
            unanswered += settle(open.take(), false);
            open = attempt_of(record).map(|attempt| (attempt, record.connection, false));
            continue;
        }
        if !matches!(record.kind, RecordKind::Read | RecordKind::Replied | RecordKind::Closed) {
            continue;
        }
        let Some((attempt, connection, answered)) = &mut open else {
            astray += 1;
            continue;
        };
        if *connection != record.connection {
            astray += 1;
            continue;
        }
        match record.kind {
            RecordKind::Read => misread += u64::from(!was_sent(records, attempts, *attempt, record)),
            RecordKind::Replied => *answered = true,
            _ => {}
        }
    }
    unanswered += settle(open, true);
    (misread, unanswered, astray)
}

fn attempt_of(record: &WorkerRecord) -> Option<u32> {
    record.peer.and_then(|peer| peer.attempt())
}

/// Whether what a worker read is what the attempt carried.
fn was_sent(records: &TrialRecords<'_>, attempts: &[Attempt], attempt: u32, read: &WorkerRecord) -> bool {
    let record = attempts.get(attempt as usize).and_then(|a| records.client.get(a.record as usize));
    record.is_none_or(
        |record| {
            if record.poison { read.detail == u64::MAX } else { read.detail == u64::from(attempt) }
        },
    )
}

/// Client and workers against the kernel. Nothing is checked where the counters are the whole
/// host's, or where the transport has none.
pub(super) fn check_kernel(records: &TrialRecords<'_>, attempts: &[Attempt], books: &mut Books) {
    if !records.kernel.exclusive || records.transport == Transport::Unix {
        return;
    }
    let counters = &records.kernel.counters;
    let count =
        |test: &dyn Fn(&ClientRecord) -> bool| records.client.iter().filter(|r| test(r)).count() as u64;
    let sent = count(&|r| r.started.is_some() && !matches!(r.outcome, Outcome::NotSent(_)));
    let foreign_max = if records.foreign_connects_expected { u64::MAX - sent } else { 0 };
    books.expect_between(
        "connects that the kernel counted (ActiveOpens)",
        sent,
        sent + foreign_max,
        counters.active_opens,
    );
    let foreign = counters.active_opens.saturating_sub(sent);
    let connected = count(&|r| r.connected.is_some());
    let given_up = count(&|r| r.outcome == Outcome::TimedOut(Stage::Connect));
    // The client holds a connection to be established as soon as the SYN is answered. If the queue
    // is full when its ACK arrives, the kernel drops the ACK and counts an overflow
    // (tcp_v4_syn_recv_sock); a connection whose client gave up may still be completed.
    books.expect_between(
        "handshakes that the kernel completed (PassiveOpens)",
        connected.saturating_sub(counters.listen_overflows),
        (connected + given_up).saturating_add(foreign),
        counters.passive_opens,
    );
    let accepted = attempts.iter().filter(|attempt| attempt.worker != NO_WORKER).count() as u64;
    books.expect_between("accepted connections", 0, counters.passive_opens, accepted);
    let dropped = attempts.iter().filter(|attempt| attempt.fate == Fate::SynDropped).count() as u64;
    let drops = counters.listen_drops + counters.req_q_full_drop;
    books.expect_between(
        "SYN drops that the kernel counted",
        dropped,
        u64::MAX,
        drops.max(listener_drops(records)),
    );
    let refused = count(&|r| r.outcome == Outcome::Refused);
    books.expect_between("resets that the kernel sent (OutRsts)", refused, u64::MAX, counters.out_rsts);
}

fn listener_drops(records: &TrialRecords<'_>) -> u64 {
    records.kernel.listeners.iter().filter_map(|listener| listener.drops).map(u64::from).sum()
}

//! The ledger: turns what client, workers and kernel wrote down into one fate for each attempt.
//!
//! It never guesses silently. Where a rule has to infer (a worker that died between `accept` and
//! its record, a server whose workers keep no ledger), the rule is written down beside it, and
//! whatever does not fit makes the books unbalanced: see [`books`].

mod askers;
mod blame;
pub mod books;
mod carriage;
mod log;
mod reads;

use std::collections::BTreeMap;

pub use books::{Books, Entry, Line};

use crate::record::{ClientRecord, Ending, KernelRecord, Listener, NotSent, Outcome, RequestRecord, Stamp};
use crate::said::Said;
use crate::sampling::{left_queue_by, was_kept_back};
use crate::series::{Series, WorkerRecords};
use crate::shm::{RecordKind, WorkerRecord, parse_crash_detail};
use crate::tls::TlsFailure;
use crate::words::{Blame, Fate, Retry, Stage, Transport};

/// What one worker process wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerLog {
    /// Its process id, in the trial's PID namespace.
    pub pid: u32,
    /// Which incarnation it is, from 1.
    pub generation: u32,
    /// Whether it ended between calling `accept` and recording what `accept` returned.
    pub window_open: bool,
    /// Its records, in order.
    pub records: WorkerRecords,
}

impl WorkerLog {
    /// When it first recorded something of this kind, in CLOCK_MONOTONIC nanoseconds.
    #[must_use]
    pub fn first(&self, kind: RecordKind) -> Option<u64> {
        self.records.iter().find(|record| record.kind == kind).map(|record| record.at_ns)
    }

    /// The failure that an attempt caused in it. Of an application, both records name the client, if
    /// the server says who that is.
    #[must_use]
    pub fn crash_of(&self, attempt: u32) -> Option<WorkerRecord> {
        let begins = |record: &WorkerRecord| matches!(record.kind, RecordKind::Accepted | RecordKind::Read);
        let is_his = |record: &WorkerRecord| record.peer.and_then(|peer| peer.attempt()) == Some(attempt);
        let mut after = self.records.iter().skip_while(|record| !(begins(record) && is_his(record)));
        after.next()?;
        let mut after = after.take_while(|record| record.kind != RecordKind::Accepted);
        after.find(|record| record.kind == RecordKind::Crash && record.peer.is_none_or(|_| is_his(record)))
    }

    /// When it deliberately failed in a way that ends the process.
    #[must_use]
    pub fn crashed_ns(&self) -> Option<u64> {
        self.records
            .iter()
            .filter(|record| matches!(record.kind, RecordKind::Crash | RecordKind::BootFailed))
            .find(|record| parse_crash_detail(record.detail).is_some_and(|(_, mode)| mode.ends_process()))
            .map(|record| record.at_ns)
    }
}

/// A worker's death that the fault injector caused from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InjectedDeath {
    /// Whose.
    pub pid: u32,
    /// When, in CLOCK_MONOTONIC nanoseconds.
    pub at_ns: u64,
    /// The attempt that it had accepted, as the kernel saw, if it died for that.
    pub had: Option<u32>,
}

/// Everything that was written down in a trial.
#[derive(Debug, Clone)]
pub struct TrialRecords<'a> {
    /// What carried the connections.
    pub transport: Transport,
    /// How many attempts the client set out to make, as the schedule counted them.
    pub attempts: u32,
    /// One record for each attempt, if all is well.
    pub client: Series<'a, ClientRecord>,
    /// The requests that got their right reply, of attempts that are not one-shot.
    pub requests: &'a [RequestRecord],
    /// The workers' ledgers; `None`: they keep none.
    pub workers: Option<&'a [WorkerLog]>,
    /// Whether workers record accepts. An application beneath a server records what it reads.
    pub accepts_stamped: bool,
    /// What servers said instead of the answer.
    pub said: &'a Said,
    /// What the kernel observer saw.
    pub kernel: &'a KernelRecord,
    /// Deaths that the fault injector caused from outside.
    pub deaths: &'a [InjectedDeath],
    /// Connections that the supervisor itself is known to make over TCP; usually 0.
    pub foreign_connects_expected: bool,
    /// When the load had ended, in CLOCK_MONOTONIC nanoseconds: every attempt had, the listeners were
    /// looked at once more, and only then was the supervisor asked to stop.
    pub end_ns: u64,
}

impl TrialRecords<'_> {
    /// Whether the workers' ledgers say of every connection whether and when it was accepted.
    #[must_use]
    pub const fn tell_accepts(&self) -> bool {
        self.workers.is_some() && self.accepts_stamped
    }

    /// Whether attempts use connections that others have opened, so that a client's address does not name who asks.
    #[must_use]
    pub fn are_pooled(&self) -> bool {
        self.client.iter().any(|record| record.carried.is_some())
    }
}

/// No worker.
pub const NO_WORKER: u32 = u32::MAX;

/// What really happened to one attempt. Its index is the attempt's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When a worker accepted it.
    pub accepted: Stamp,
    /// Index of that worker in the logs, or [`NO_WORKER`]. Of applications, the one that read its request.
    pub worker: u32,
    /// Index of its client record, or `u32::MAX` if that was lost.
    pub record: u32,
    /// What happened.
    pub fate: Fate,
    /// Why it was lost; `None` if it was not.
    pub blame: Option<Blame>,
    /// Whether it may be sent again; `None` if it was served.
    pub retry: Option<Retry>,
    /// The longest time for which the server made it wait for a right reply, in nanoseconds: from
    /// the intended start of its request, less the client's own pauses. 0 if it got none.
    pub waited_ns: u64,
}

impl Attempt {
    /// Whether the client set out to ask and was not served.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        !matches!(self.fate, Fate::Served | Fate::Silent | Fate::NotSent)
    }
}

/// A trial's records, reconciled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reconciled {
    /// One entry for each attempt.
    pub attempts: Vec<Attempt>,
    /// Whether everything adds up.
    pub books: Books,
}

impl Reconciled {
    /// How many attempts had each fate; every fate is present.
    #[must_use]
    pub fn fates(&self) -> BTreeMap<Fate, u64> {
        let mut counts: BTreeMap<Fate, u64> = Fate::ALL.iter().map(|fate| (*fate, 0)).collect();
        for attempt in &self.attempts {
            *counts.entry(attempt.fate).or_default() += 1;
        }
        counts
    }
}

/// Reconciles a trial's records.
#[must_use]
pub fn reconcile(records: &TrialRecords<'_>) -> Reconciled {
    let mut books = Books::default();
    let by_attempt = index_client(records, &mut books);
    let taken = if records.tell_accepts() {
        carriage::with_carriers(records, index_accepts(records, &mut books))
    } else {
        reads::index(records, &mut books)
    };
    let waits = longest_waits(records);
    let mut attempts: Vec<Attempt> = by_attempt
        .iter()
        .zip(&taken)
        .map(|(&record, taken)| Attempt {
            accepted: taken.and_then(|taken| taken.accepted),
            worker: taken.map_or(NO_WORKER, |taken| taken.worker),
            record,
            fate: Fate::NotSent,
            blame: None,
            retry: None,
            waited_ns: 0,
        })
        .collect();
    attribute_unrecorded_accepts(records, &mut attempts);
    let crashes_ns = blame::crash_instants(records);
    for attempt in &mut attempts {
        let Some(record) = records.client.get(attempt.record as usize) else { continue };
        attempt.fate = fate_of(records, record, attempt);
        attempt.waited_ns = waits.get(&record.attempt).copied().unwrap_or_else(|| one_shot_wait_ns(record));
        if attempt.is_lost() {
            attempt.blame = Some(blame::blame_of(records, &crashes_ns, record, attempt));
            attempt.retry = Some(blame::retry_of(records, record, attempt));
        } else if attempt.fate == Fate::NotSent {
            attempt.retry = Some(Retry::Safe);
        }
    }
    books::check_workers(records, &attempts, &mut books);
    books::check_kernel(records, &attempts, &mut books);
    books.expect(Line::OneFateEach, u64::from(records.attempts), attempts.len() as u64);
    Reconciled { attempts, books }
}

/// For each attempt, the index of its client record; `u32::MAX` where it is missing.
fn index_client(records: &TrialRecords<'_>, books: &mut Books) -> Vec<u32> {
    let mut by_attempt = vec![u32::MAX; records.attempts as usize];
    let (mut doubled, mut nowhere) = (0, 0);
    for (index, record) in records.client.iter().enumerate() {
        match by_attempt.get_mut(record.attempt as usize) {
            Some(slot) if *slot == u32::MAX => *slot = u32::try_from(index).unwrap_or(u32::MAX),
            Some(_) => doubled += 1,
            None => nowhere += 1,
        }
    }
    let missing = by_attempt.iter().filter(|index| **index == u32::MAX).count();
    books.expect(Line::MissingRecords, 0, missing as u64);
    books.expect(Line::DoubledRecords, 0, doubled);
    books.expect(Line::UnplannedRecords, 0, nowhere);
    by_attempt
}

/// Which worker took an attempt on, and when, if it says so.
#[derive(Debug, Clone, Copy)]
struct Taken {
    accepted: Stamp,
    worker: u32,
}

/// For each attempt, its accept by a worker.
fn index_accepts(records: &TrialRecords<'_>, books: &mut Books) -> Vec<Option<Taken>> {
    let mut accepts: Vec<Option<Taken>> = vec![None; records.attempts as usize];
    let (mut doubled, mut strangers) = (0, 0);
    for (worker, record) in accept_records(records) {
        let attempt = record.peer.and_then(|peer| peer.attempt());
        match attempt.and_then(|attempt| accepts.get_mut(attempt as usize)) {
            Some(slot @ None) => {
                *slot = Some(Taken { accepted: std::num::NonZeroU64::new(record.at_ns), worker });
            }
            Some(Some(_)) => doubled += 1,
            None => strangers += 1,
        }
    }
    books.expect(Line::DoubledAccepts, 0, doubled);
    books.expect(Line::StrangeAccepts, 0, strangers);
    accepts
}

fn accept_records<'a>(records: &TrialRecords<'a>) -> impl Iterator<Item = (u32, WorkerRecord)> {
    records.workers.unwrap_or_default().iter().zip(0_u32..).flat_map(|(log, worker)| {
        log.records.iter().filter(|r| r.kind == RecordKind::Accepted).map(move |record| (worker, record))
    })
}

/// For each attempt that is not one-shot and got a right reply, its longest wait for one.
fn longest_waits(records: &TrialRecords<'_>) -> BTreeMap<u32, u64> {
    let mut waits: BTreeMap<u32, u64> = BTreeMap::new();
    for request in records.requests {
        let longest_ns = waits.entry(request.attempt).or_default();
        *longest_ns = (*longest_ns).max(request.latency_ns());
    }
    waits
}

fn one_shot_wait_ns(record: &ClientRecord) -> u64 {
    match record.finished {
        Some(finished) if record.outcome == Outcome::Replied => {
            finished.get().saturating_sub(record.intended_ns)
        }
        _ => 0,
    }
}

/// A worker that died between `accept` and its record took at most one connection unseen.
///
/// Such a connection looks like one that was reset in the queue. It is told apart by this: while a
/// listener stays open, the kernel resets nothing that waits in its queue, and never does it close what waits there in
/// order. So where a worker died in the accept window, and an attempt ended without a byte, unaccepted, while no
/// listener closed, or in order, that worker had taken it. Only attempts that ended within the worker's lifetime or at
/// its death qualify; of several, the one that ended first after the worker's last record does.
fn attribute_unrecorded_accepts(records: &TrialRecords<'_>, attempts: &mut [Attempt]) {
    for (log, worker) in records.workers.unwrap_or_default().iter().zip(0_u32..) {
        if !log.window_open {
            continue;
        }
        let last_ns = log.records.last().map_or(0, |record| record.at_ns);
        let taken = attempts
            .iter_mut()
            .filter(|attempt| attempt.worker == NO_WORKER)
            .filter_map(|attempt| Some((ended_empty_ns(records, attempt)?, attempt)))
            .filter(|(ended_ns, attempt)| {
                let record = records.client.get(attempt.record as usize);
                let was_taken = record.is_some_and(was_closed_in_order)
                    || closed_listener(records, attempt, *ended_ns).is_none();
                *ended_ns >= last_ns && was_taken
            })
            .min_by_key(|(ended_ns, _)| *ended_ns);
        if let Some((_, attempt)) = taken {
            attempt.worker = worker;
        }
    }
}

/// Whether whoever had accepted it closed it: what waits in a listener's queue is reset when that closes
/// (`inet_csk_listen_stop`, by `tcp_disconnect`; `unix_release_sock`), and sees no end of the stream. Only where a
/// reset was told to a `send` already, the client may read the end afterwards.
fn was_closed_in_order(record: &ClientRecord) -> bool {
    let is_cut = matches!(record.outcome, Outcome::Closed | Outcome::Tls(TlsFailure::Cut));
    is_cut && record.ended == Some(Ending::Fin) && !record.send_failed
}

fn ended_empty_ns(records: &TrialRecords<'_>, attempt: &Attempt) -> Option<u64> {
    let record = records.client.get(attempt.record as usize)?;
    let is_empty = match record.outcome {
        Outcome::Closed | Outcome::Reset => true,
        Outcome::Tls(failure) => failure.is_cut(),
        _ => false,
    };
    is_empty.then_some(record.finished?.get())
}

/// The listener whose closing can have ended this attempt, of several the last that closed: open when
/// it connected, and not seen any more by its end.
///
/// The kernel takes a listener off the list that sock_diag reads before it resets what waits in its
/// queue (`tcp_close`, then `inet_csk_listen_stop`; `unix_release_sock`), so that one which was seen after
/// the attempt had ended did not end it. What closes after the load is closed by holdline, which stops the
/// supervisor then: between the last attempt and that, the observer has looked.
///
/// Where a ledger proves that nobody had accepted it, the client may have heard of the close as late
/// as it will: a busy machine lets it wait. So may one that was half-open for the server's kernel until then,
/// since only what it sends meets a reset. Otherwise no later than a thread was ever kept waiting.
pub(crate) fn closed_listener<'a>(
    records: &TrialRecords<'a>,
    attempt: &Attempt,
    ended_ns: u64,
) -> Option<&'a Listener> {
    let record = records.client.get(attempt.record as usize)?;
    let connected_ns = record.connected.or(record.started)?.get();
    // Nobody waits for a handshake over loopback: it is done before `connect` returns, unless its SYN was dropped. The
    // client may see that as late as a busy machine lets it.
    let established_ns =
        record.started.filter(|_| record.syn_retransmits == 0).map_or(connected_ns, std::num::NonZero::get);
    // The observer looks once per interval; a close is known only to within two looks. One that opened meanwhile is seen
    // as late as the observer was ever kept waiting.
    let slack_ns = records.kernel.interval_ns.saturating_mul(2) + 1_000_000;
    let samples = records.kernel.accepts.as_ref();
    let late_ns = |closed_ns: u64| {
        let was_kept_back = samples.is_some_and(|samples| was_kept_back(record.attempt, samples, closed_ns));
        let may_hear_late = records.tell_accepts() || was_kept_back;
        if may_hear_late { u64::MAX } else { slack_ns + records.kernel.interval_ns_max }
    };
    let explains = |listener: &&Listener| {
        let (Some(last_seen_ns), Some(gone_ns)) = (listener.last_seen_ns, listener.gone_ns) else {
            return false;
        };
        // One that was seen once only was seen at some instant of that look, which its end names.
        let seen_slack_ns = if last_seen_ns == listener.opened_ns { slack_ns } else { 0 };
        gone_ns <= records.end_ns
            && listener.opened_ns <= connected_ns + slack_ns + records.kernel.interval_ns_max
            && established_ns <= gone_ns + slack_ns
            && last_seen_ns <= ended_ns + seen_slack_ns
            && ended_ns <= gone_ns.saturating_add(late_ns(last_seen_ns))
    };
    records.kernel.listeners.iter().filter(explains).max_by_key(|listener| listener.last_seen_ns)
}

fn fate_of(records: &TrialRecords<'_>, record: &ClientRecord, attempt: &Attempt) -> Fate {
    match record.outcome {
        // Nothing that was asked for is missing, and what was not asked can be asked anew.
        Outcome::Replied | Outcome::ClosedIdle => Fate::Served,
        Outcome::ErrorReply(_) => Fate::ErrorReply,
        Outcome::WrongReply => Fate::WrongReply,
        Outcome::Truncated | Outcome::TooLong | Outcome::Errno(_, Stage::Reply) => Fate::Truncated,
        Outcome::Refused | Outcome::NoPath => Fate::Refused,
        Outcome::NotSent(_) => Fate::NotSent,
        Outcome::Silent(_) => Fate::Silent,
        Outcome::TimedOut(Stage::Connect) if attempt.worker == NO_WORKER => Fate::SynDropped,
        Outcome::TimedOut(_) => Fate::TimedOut,
        Outcome::Errno(_, Stage::Connect) => Fate::Refused,
        // The client itself had enough of a server that was there.
        Outcome::Tls(failure) if !failure.is_cut() => Fate::NoReply,
        // Whoever had accepted the connection ended the stream.
        Outcome::Stream(_) => Fate::NoReply,
        Outcome::Closed
        | Outcome::Reset
        | Outcome::Tls(_)
        | Outcome::Errno(_, Stage::Tls | Stage::FirstByte) => fate_without_reply(records, record, attempt),
    }
}

/// Closed or reset without a byte: `no_reply` if a worker had accepted it, else `queue_reset`.
/// Where workers do not record accepts, a close in order tells, an earlier reply in the same
/// session, or a listener that closed just then: unless samples show that the connection had left its
/// queue while it was still open.
fn fate_without_reply(records: &TrialRecords<'_>, record: &ClientRecord, attempt: &Attempt) -> Fate {
    // Over a connection that was used again, others had got their replies.
    let was_answered = record.requests_answered > 0 || record.was_reused() && !record.was_retried();
    let accepted = attempt.worker != NO_WORKER
        || !records.tell_accepts() && (was_answered || was_taken(records, record, attempt));
    if accepted { Fate::NoReply } else { Fate::QueueReset }
}

fn was_taken(records: &TrialRecords<'_>, record: &ClientRecord, attempt: &Attempt) -> bool {
    if was_closed_in_order(record) || records.deaths.iter().any(|death| death.had == Some(record.attempt)) {
        return true;
    }
    let closed = record.finished.and_then(|at| closed_listener(records, attempt, at.get()));
    let Some(open_ns) = closed.map(|listener| listener.last_seen_ns) else { return true };
    let samples = records.kernel.accepts.as_ref();
    samples.zip(open_ns).is_some_and(|(samples, open_ns)| left_queue_by(record, samples, open_ns))
}

/// Why attempts were not sent, with counts.
#[must_use]
pub fn not_sent_causes(client: Series<'_, ClientRecord>) -> BTreeMap<NotSent, u64> {
    let mut causes = BTreeMap::new();
    for record in client.iter() {
        if let Outcome::NotSent(cause) = record.outcome {
            *causes.entry(cause).or_default() += 1;
        }
    }
    causes
}

#[cfg(test)]
mod tests;

//! The books of a trial: what must add up, and whether it does.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Add;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::carriage::Carriage;
use super::log::{self, Misfits};
use super::{Attempt, NO_WORKER, TrialRecords, reads};
use crate::record::{ClientRecord, Outcome, SilentEnd};
use crate::tls::TlsFailure;
use crate::told::{Phrase, Told};
use crate::words::{Fate, Stage, Transport};

/// What a line of the books counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "Line::in_words says what each counts")]
pub enum Line {
    MissingRecords,
    DoubledRecords,
    UnplannedRecords,
    DoubledAccepts,
    StrangeAccepts,
    OneFateEach,
    ServedByNobody,
    AcceptedUnsent,
    UnexplainedResets,
    MisreadRequests,
    UnrecordedReplies,
    RecordsAstray,
    ServedUnread,
    ReadUnsent,
    StrangeReads,
    UnloggedRequests,
    ActiveOpens,
    PassiveOpens,
    Accepts,
    SynDrops,
    Retransmits,
    Resets,
}

impl Line {
    /// What is counted, in words.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::MissingRecords => "client records that are missing",
            Self::DoubledRecords => "client records that are doubled",
            Self::UnplannedRecords => "client records of attempts that were never planned",
            Self::DoubledAccepts => "accepts that workers recorded twice",
            Self::StrangeAccepts => "accepts of connections that no attempt made",
            Self::OneFateEach => "every attempt has one fate",
            Self::ServedByNobody => "served attempts that no worker accepted",
            Self::AcceptedUnsent => "accepted attempts that the client never connected",
            Self::UnexplainedResets => "queue resets while no listener closed",
            Self::MisreadRequests => "requests that a worker read otherwise than they were sent",
            Self::UnrecordedReplies => "replies that a client got and no worker recorded",
            Self::RecordsAstray => "worker records that name no open connection",
            Self::ServedUnread => "served attempts that no worker read",
            Self::StrangeReads => "requests that a worker read and no attempt sent",
            Self::ReadUnsent => "requests of attempts that the client never connected",
            Self::UnloggedRequests => "attempts whose answered requests are not all on record",
            Self::ActiveOpens => "connects that the kernel counted (ActiveOpens)",
            Self::PassiveOpens => "handshakes that the kernel completed (PassiveOpens)",
            Self::Accepts => "accepted connections",
            Self::SynDrops => "SYN drops that the kernel counted",
            Self::Retransmits => "SYNs that were sent again, of all segments that were (RetransSegs)",
            Self::Resets => "resets that the kernel sent (OutRsts)",
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_words())
    }
}

/// One line of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// What is counted.
    pub line: Line,
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
        self.phrase().fmt(f)
    }
}

impl Told for Entry {
    fn phrase(&self) -> Phrase {
        let Self { line, min, max, found } = *self;
        let phrase = Phrase::new(line.in_words()).text(": ").count(found);
        match (min == max, max) {
            (true, _) => phrase.text(", must be ").count(min),
            (false, u64::MAX) => phrase.text(", must be at least ").count(min),
            (false, _) => phrase.text(", must be from ").count(min).text(" to ").count(max),
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
    pub fn expect(&mut self, line: Line, expected: u64, found: u64) {
        self.expect_between(line, expected, expected, found);
    }

    /// Enters a line that must lie between two bounds, both included.
    pub fn expect_between(&mut self, line: Line, min: u64, max: u64, found: u64) {
        self.entries.push(Entry { line, min, max, found });
    }

    /// Whether every line adds up.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.entries.iter().all(Entry::is_balanced)
    }

    /// The lines that do not add up.
    pub fn off(&self) -> impl Iterator<Item = Entry> {
        self.entries.iter().filter(|entry| !entry.is_balanced()).copied()
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_balanced() {
            return f.write_str("balanced");
        }
        let off: Vec<String> = self.off().map(|entry| entry.to_string()).collect();
        f.write_str(&off.join("; "))
    }
}

/// Client against workers.
pub(super) fn check_workers(records: &TrialRecords<'_>, attempts: &[Attempt], books: &mut Books) {
    let Some(workers) = records.workers else { return };
    if !records.accepts_stamped {
        return check_applications(records, attempts, books);
    }
    let client = |attempt: &Attempt| records.client.get(attempt.record as usize);
    let mut served_by_nobody = 0;
    let mut accepted_unsent = 0;
    for attempt in attempts {
        let Some(record) = client(attempt) else { continue };
        served_by_nobody += u64::from(attempt.fate == Fate::Served && attempt.worker == NO_WORKER);
        accepted_unsent += u64::from(attempt.worker != NO_WORKER && never_left(record));
    }
    books.expect(Line::ServedByNobody, 0, served_by_nobody);
    books.expect(Line::AcceptedUnsent, 0, accepted_unsent);
    let unexplained = attempts
        .iter()
        .filter(|attempt| attempt.fate == Fate::QueueReset)
        .filter_map(|attempt| Some((attempt, client(attempt)?.finished?.get())))
        .filter(|(attempt, ended_ns)| super::closed_listener(records, attempt, *ended_ns).is_none())
        .count() as u64;
    let overflow_resets = records.kernel.counters.listen_overflows;
    books.expect_between(Line::UnexplainedResets, 0, overflow_resets, unexplained);
    let carriage = Carriage::of(records.client);
    let misfits = workers
        .iter()
        .map(|log| log::check(records, &carriage, log, attempts))
        .fold(Misfits::default(), Misfits::add);
    books.expect(Line::MisreadRequests, 0, misfits.misread);
    books.expect(Line::UnrecordedReplies, 0, misfits.unanswered);
    books.expect(Line::RecordsAstray, 0, misfits.astray);
    check_requests(records, books);
}

/// Client against applications beneath a server, which record what they read and no more.
fn check_applications(records: &TrialRecords<'_>, attempts: &[Attempt], books: &mut Books) {
    let client = |attempt: &Attempt| records.client.get(attempt.record as usize);
    let unread = attempts
        .iter()
        .filter(|attempt| attempt.fate == Fate::Served && attempt.worker == NO_WORKER)
        .filter(|attempt| client(attempt).is_some_and(|record| record.requests_answered > 0));
    books.expect(Line::ServedUnread, 0, unread.count() as u64);
    let unsent = attempts
        .iter()
        .filter(|attempt| attempt.worker != NO_WORKER && client(attempt).is_some_and(never_left));
    books.expect(Line::ReadUnsent, 0, unsent.count() as u64);
    let sent = |attempt: u32| client(attempts.get(attempt as usize)?).copied();
    let misread = reads::misread(records, sent);
    books.expect(Line::MisreadRequests, 0, misread);
    check_requests(records, books);
}

/// The client's log of single requests against its record of the whole attempt.
fn check_requests(records: &TrialRecords<'_>, books: &mut Books) {
    let mut logged: BTreeMap<u32, u64> = BTreeMap::new();
    for request in records.requests {
        *logged.entry(request.attempt).or_default() += 1;
    }
    let answered = |record: &ClientRecord| u64::from(record.requests_answered);
    let differing = records
        .client
        .iter()
        .filter(|record| logged.get(&record.attempt).is_some_and(|count| *count != answered(record)))
        .count() as u64;
    books.expect(Line::UnloggedRequests, 0, differing);
}

/// Whether nothing of this attempt can have reached a server.
fn never_left(record: &ClientRecord) -> bool {
    let was_turned_away = matches!(record.outcome, Outcome::NotSent(_) | Outcome::Refused | Outcome::NoPath);
    was_turned_away && !record.was_retried()
}

const fn was_reset(record: &ClientRecord) -> bool {
    matches!(
        record.outcome,
        Outcome::Reset | Outcome::Silent(SilentEnd::Reset) | Outcome::Tls(TlsFailure::Reset)
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
    let sent = count(&ClientRecord::opened);
    let foreign_max = if records.foreign_connects_expected { u64::MAX - sent } else { 0 };
    books.expect_between(Line::ActiveOpens, sent, sent + foreign_max, counters.active_opens);
    let foreign = counters.active_opens.saturating_sub(sent);
    let connected = count(&|r| r.connected.is_some());
    let given_up = count(&|r| r.outcome == Outcome::TimedOut(Stage::Connect));
    // The client holds a connection to be established as soon as the SYN is answered. If the queue
    // is full when its ACK arrives, the kernel drops the ACK and counts an overflow
    // (tcp_v4_syn_recv_sock); a connection whose client gave up may still be completed. The ACK and the
    // data behind it may also meet the handshake on two CPUs at once: each makes a socket of it and is
    // counted (tcp_create_openreq_child), then inet_ehash_nolisten keeps only one of the two. So what
    // bounds the number of connections from above is ActiveOpens; here, twice as many is the limit.
    // Where the listener closes before the ACK arrives, nothing is made of it but a reset.
    let reset = count(&|r| r.connected.is_some() && was_reset(r));
    books.expect_between(
        Line::PassiveOpens,
        connected.saturating_sub(counters.listen_overflows + reset),
        (connected + given_up).saturating_add(foreign).saturating_mul(2),
        counters.passive_opens,
    );
    // Of an attempt that was sent twice, the second time may have met nobody.
    let has_own = |r: &ClientRecord| r.opened() && (r.connected.is_some() || !r.was_retried());
    let own = |attempt: &Attempt| records.client.get(attempt.record as usize).is_none_or(has_own);
    let is_accepted = |attempt: &&Attempt| attempt.worker != NO_WORKER && own(attempt);
    let accepted = attempts.iter().filter(is_accepted).count() as u64;
    books.expect_between(Line::Accepts, 0, counters.passive_opens, accepted);
    let dropped = attempts.iter().filter(|attempt| attempt.fate == Fate::SynDropped).count() as u64;
    let drops = counters.listen_drops + counters.req_q_full_drop;
    books.expect_between(Line::SynDrops, dropped, u64::MAX, drops.max(listener_drops(records)));
    let sent_again: u64 = records.client.iter().map(|record| u64::from(record.syn_retransmits)).sum();
    let retransmits = Line::Retransmits;
    books.expect_between(retransmits, 0, counters.retrans_segs, sent_again);
    let refused = count(&|r| r.outcome == Outcome::Refused);
    books.expect_between(Line::Resets, refused, u64::MAX, counters.out_rsts);
}

fn listener_drops(records: &TrialRecords<'_>) -> u64 {
    records.kernel.listeners.iter().filter_map(|listener| listener.drops).map(u64::from).sum()
}

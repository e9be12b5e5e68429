//! Losses: which listener, closed when, by whose death; which worker, ended how.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use crate::ledger::{Attempt, WorkerLog, closed_listener, not_sent_causes};
use crate::overflow::{self, FullSpan};
use crate::pool;
use crate::record::{ClientRecord, Ending, Listener, Outcome};
use crate::requests::{Service, service};
use crate::result::{Closer, Cut, End, How, Loss, Part, PoisonReply, Queue, Silence, Span};
use crate::sampling::half_open_ns;
use crate::shm::{RecordKind, parse_crash_detail};
use crate::words::{Blame, CrashMode, Fate, Stage, Transport};

mod handshakes;
mod overdue;
mod replies;
mod story;
mod streams;

pub(crate) use story::Gap;
pub use story::Story;

use replies::{
    all_that, error_replies, half_closed, no_path, send_failed, sent_twice, some, too_long, wrong_replies,
};

/// One for each way in which attempts were lost, or had to suffer.
#[must_use]
pub fn losses(story: &Story<'_>) -> Vec<Loss> {
    let mut losses = poison(story);
    losses.extend(in_flight(story));
    losses.extend(refused(story));
    losses.extend(queue_resets(story));
    losses.extend(syn_dropped(story));
    losses.extend(handshakes::failed(story));
    losses.extend(streams::ended(story));
    losses.extend(cut_short(story));
    losses.extend(closed_idle(story));
    losses.extend(too_long(story));
    losses.extend(overdue::timed_out(story));
    losses.extend(error_replies(story));
    losses.extend(wrong_replies(story));
    losses.extend(unknown_errnos(story));
    losses.extend(send_failed(story));
    losses.extend(half_closed(story));
    losses.extend(sent_twice(story));
    losses.extend(sent_again(story));
    losses.extend(overflow(story));
    losses.extend(not_sent(story));
    losses.extend(late(story));
    let chain = story.facts.chain();
    losses.into_iter().map(|loss| loss.of_chain(&chain)).collect()
}

fn poison(story: &Story<'_>) -> Vec<Loss> {
    let lost = story.lost(Blame::Poison, None).into_iter();
    lost.map(|(attempt, record)| Loss::new(1, how_poison_went(story, attempt, record))).collect()
}

fn how_poison_went(story: &Story<'_>, lost: &Attempt, record: &ClientRecord) -> How {
    let attempt = record.attempt;
    let crash = story.worker(lost).and_then(|log| {
        let crash = log.crash_of(attempt)?;
        Some((log.pid, parse_crash_detail(crash.detail)?))
    });
    match crash {
        Some((pid, (step, CrashMode::Catch))) => How::PoisonCaught { attempt, pid, step },
        Some((pid, (step, mode))) => How::PoisonStruck { attempt, pid, step, mode },
        None => {
            let got = match record.outcome.status() {
                Some(status) => PoisonReply::Status(status),
                None if record.outcome == Outcome::WrongReply => PoisonReply::Error,
                None => PoisonReply::Nothing,
            };
            How::PoisonUnrecorded { attempt, got }
        }
    }
}

fn in_flight(story: &Story<'_>) -> Vec<Loss> {
    by_worker(story, &story.lost(Blame::InFlight, None))
        .into_iter()
        .map(|(log, lost)| Loss::new(lost, How::WorkerDied { pid: log.map(|log| log.pid) }))
        .collect()
}

fn refused(story: &Story<'_>) -> Vec<Loss> {
    let mut lost = story.lost(Blame::Collateral, Some(Fate::Refused));
    let mut losses = no_path(story, &mut lost);
    let slack_ns = story.slack_ns();
    let mut unexplained = lost.len();
    for gap in story.gaps() {
        let Gap { from_ns, to_ns, .. } = gap;
        let within = |record: &ClientRecord| {
            let at_ns = record.finished.map_or(record.intended_ns, NonZeroU64::get);
            at_ns + slack_ns >= from_ns && to_ns.is_none_or(|to_ns| at_ns <= to_ns + slack_ns)
        };
        let refused = lost.iter().filter(|(_, record)| within(record)).count().min(unexplained);
        unexplained -= refused;
        let failed_starts = story.failed_starts(from_ns, to_ns);
        let loss = some(refused, How::NobodyListened { silence: silence(story, gap), failed_starts });
        losses.extend(loss.map(|loss| loss.after(story.cause(from_ns))));
    }
    if story.records.kernel.listeners.is_empty() {
        let loss = some(unexplained, How::NeverListened);
        losses.extend(loss.map(|loss| loss.after(story.why_nobody_ever_listened())));
    } else {
        losses.extend(some(unexplained, How::RefusedByListener));
    }
    losses
}

fn silence(story: &Story<'_>, Gap { from_ns, to_ns, is_seen }: Gap) -> Silence {
    match to_ns {
        Some(to_ns) if is_seen => Silence::LastedNs(to_ns - from_ns),
        Some(to_ns) if story.records.transport == Transport::Unix => Silence::GaveWayNs(to_ns - from_ns),
        Some(to_ns) => Silence::AtMostNs(to_ns - from_ns),
        None => Silence::FromNs(story.since_start_ns(from_ns)),
    }
}

fn queue_resets(story: &Story<'_>) -> Vec<Loss> {
    let lost = story.lost(Blame::Collateral, Some(Fate::QueueReset));
    let listeners = &story.records.kernel.listeners;
    let mut by_listener: BTreeMap<(Option<usize>, bool), u64> = BTreeMap::new();
    for (attempt, record) in &lost {
        let ended_ns = record.finished.map_or(0, NonZeroU64::get);
        let closed = closed_listener(story.records, attempt, ended_ns)
            .and_then(|closed| listeners.iter().position(|listener| std::ptr::eq(listener, closed)));
        *by_listener.entry((closed, was_kept_back(story, record))).or_default() += 1;
    }
    by_listener
        .into_iter()
        .map(|((listener, kept_back), lost)| match listener.and_then(|index| listeners.get(index)) {
            Some(listener) => {
                let at_ns = listener.last_seen_ns.unwrap_or(listener.opened_ns);
                let (inode, closed_ns) = (listener.inode, story.since_start_ns(at_ns));
                let how = How::ListenerClosed { inode, closed_ns, kept_back };
                Loss::new(lost, how).after(story.cause(at_ns))
            }
            None if story.records.kernel.counters.listen_overflows > 0 => {
                Loss::new(lost, How::ResetByOverflow)
            }
            None => Loss::new(lost, How::ResetUnseen),
        })
        .collect()
}

/// Whether the server's kernel was seen to keep this connection half-open after its client had connected,
/// while no queue was full: then the listener wants data first.
fn was_kept_back(story: &Story<'_>, record: &ClientRecord) -> bool {
    let kernel = story.records.kernel;
    let seen_ns = kernel.accepts.as_ref().and_then(|samples| half_open_ns(record.attempt, samples));
    let is_full = kernel.counters.listen_overflows > 0;
    !is_full && seen_ns.zip(record.connected).is_some_and(|(seen_ns, connected)| seen_ns > connected.get())
}

fn syn_dropped(story: &Story<'_>) -> Option<Loss> {
    let lost = story.lost(Blame::Collateral, Some(Fate::SynDropped)).len();
    let fullest = story.records.kernel.listeners.iter().max_by_key(|listener| listener.queue_max);
    let queue = |listener: &Listener| Queue {
        held: listener.queue_max,
        limit: listener.limit,
        drops: listener.drops,
    };
    some(lost, How::NeverConnected { queue: fullest.map(queue) })
}

/// Handshakes that took longer since their SYN had to be sent again: an effect of a full queue that
/// clients feel, and that no server sees.
fn sent_again(story: &Story<'_>) -> Option<Loss> {
    let again: Vec<&ClientRecord> = story
        .records
        .client
        .iter()
        .filter(|record| record.syn_retransmits > 0 && record.connected.is_some())
        .collect();
    let times =
        |record: &&ClientRecord| record.connected.map(|at| at.get().saturating_sub(record.intended_ns));
    let took_ns: Vec<u64> = again.iter().filter_map(times).collect();
    let (least_ns, most_ns) = (*took_ns.iter().min()?, *took_ns.iter().max()?);
    some(again.len(), How::SynSentAgain { least_ns, most_ns })
}

/// Queues that were full, wherever somebody had to suffer for it.
fn overflow(story: &Story<'_>) -> Vec<Loss> {
    let kernel = story.records.kernel;
    let has_dropped = |listener: &Listener| listener.drops.is_none_or(|drops| drops > 0);
    if !kernel.listeners.iter().any(has_dropped) {
        return Vec::new();
    }
    let loss = |listener: &Listener| {
        let spans = overflow::full_spans(kernel, listener, story.facts.end_ns);
        let first = spans.first()?;
        let held = spans.iter().map(|span| span.queue_max).max().unwrap_or(0);
        let how = How::QueueFull {
            inode: listener.inode,
            queue: Queue { held, limit: first.limit, drops: listener.drops },
            from_ns: story.since_start_ns(first.from_ns),
            lasted_ns: spans.iter().map(FullSpan::length_ns).sum(),
        };
        some(spans.len(), how)
    };
    kernel.listeners.iter().filter_map(loss).collect()
}

fn by_worker<'a>(
    story: &Story<'a>,
    lost: &[(&'a Attempt, &'a ClientRecord)],
) -> Vec<(Option<&'a WorkerLog>, u64)> {
    let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
    for (attempt, _) in lost {
        *counts.entry(attempt.worker).or_default() += 1;
    }
    let logs = story.records.workers.unwrap_or_default();
    counts.into_iter().map(|(worker, count)| (logs.get(worker as usize), count)).collect()
}

fn cut_short(story: &Story<'_>) -> Vec<Loss> {
    let mut lost = story.lost(Blame::Collateral, Some(Fate::NoReply));
    lost.extend(story.lost(Blame::Collateral, Some(Fate::Truncated)));
    let mut groups: BTreeMap<u32, Vec<&ClientRecord>> = BTreeMap::new();
    lost.retain(|(_, record)| {
        !matches!(record.outcome, Outcome::TooLong | Outcome::Tls(_) | Outcome::Stream(_))
    });
    for (attempt, record) in lost {
        groups.entry(attempt.worker).or_default().push(record);
    }
    let logs = story.records.workers.unwrap_or_default();
    let stamped = story.records.accepts_stamped;
    let loss = |(worker, lost): (u32, Vec<&ClientRecord>)| {
        let by = closer(logs.get(worker as usize), &lost, stamped);
        Loss::new(lost.len() as u64, How::Closed { by, cut: cut(&lost) })
            .after(story.out_of_descriptors(&lost))
    };
    groups.into_iter().map(loss).collect()
}

fn cut(lost: &[&ClientRecord]) -> Cut {
    let all_that = |are: fn(&ClientRecord) -> bool| lost.iter().filter(|record| are(record)).count() as u64;
    let sum = |of: fn(&ClientRecord) -> u16| lost.iter().map(|record| u64::from(of(record))).sum::<u64>();
    let pipelined = sum(|record| record.requests_pipelined);
    Cut {
        resets: all_that(|record| record.ended == Some(Ending::Reset)),
        answered_before: all_that(|record| record.requests_answered > 0),
        reused: all_that(pool::was_broken),
        pipelined,
        unanswered: pipelined - sum(|record| record.requests_answered.min(record.requests_pipelined)),
    }
}

fn closer(log: Option<&WorkerLog>, lost: &[&ClientRecord], stamped: bool) -> Closer {
    let Some(log) = log else { return Closer::Unknown };
    // An application cannot tell whether its server closed the connection, or ended.
    if !stamped {
        return Closer::Reader { pid: log.pid };
    }
    let attempts = lost.iter().map(|record| record.attempt).collect();
    let end = if closed_by_itself(log, &attempts) {
        End::ClosedThem
    } else {
        log.records.last().map_or(End::Ended, |last| how_it_ended(last.kind))
    };
    Closer::Accepter { pid: log.pid, end }
}

/// What the last that a worker wrote down tells of its end.
const fn how_it_ended(last: RecordKind) -> End {
    match last {
        RecordKind::Exit => End::Exited,
        RecordKind::Drain => End::StoppedDraining,
        RecordKind::Boot
        | RecordKind::Ready
        | RecordKind::Accepted
        | RecordKind::Read
        | RecordKind::Replied
        | RecordKind::Closed
        | RecordKind::Crash
        | RecordKind::BindFailed
        | RecordKind::BootFailed
        | RecordKind::AcceptFailed
        | RecordKind::StoppedAccepting
        | RecordKind::TookOver => End::Ended,
    }
}

/// Whether a worker recorded that it closed the connections of all these attempts.
fn closed_by_itself(log: &WorkerLog, attempts: &BTreeSet<u32>) -> bool {
    let mut open = BTreeMap::new();
    let mut closed = BTreeSet::new();
    for record in log.records.iter() {
        match record.kind {
            RecordKind::Accepted => {
                open.insert(record.connection, record.peer.and_then(|peer| peer.attempt()));
            }
            RecordKind::Closed => closed.extend(open.remove(&record.connection).flatten()),
            RecordKind::Boot
            | RecordKind::Ready
            | RecordKind::Read
            | RecordKind::Replied
            | RecordKind::Crash
            | RecordKind::Drain
            | RecordKind::Exit
            | RecordKind::BindFailed
            | RecordKind::BootFailed
            | RecordKind::AcceptFailed
            | RecordKind::StoppedAccepting
            | RecordKind::TookOver => {}
        }
    }
    attempts.is_subset(&closed)
}

/// Sessions that were ended between two requests: no loss, but clients must connect anew.
fn closed_idle(story: &Story<'_>) -> Option<Loss> {
    all_that(story, |record| record.outcome == Outcome::ClosedIdle, How::EndedBetweenRequests)
}

fn unknown_errnos(story: &Story<'_>) -> Vec<Loss> {
    let mut counts: BTreeMap<(i32, Stage), u64> = BTreeMap::new();
    for record in story.records.client.iter() {
        if let Outcome::Errno(errno, stage) = record.outcome {
            *counts.entry((errno, stage)).or_default() += 1;
        }
    }
    let loss = |((errno, stage), ended)| Loss::new(ended, How::Errno { errno, stage });
    counts.into_iter().map(loss).collect()
}

fn not_sent(story: &Story<'_>) -> Vec<Loss> {
    let causes = not_sent_causes(story.records.client).into_iter();
    causes.map(|(cause, unsent)| Loss::new(unsent, How::NotSent { cause })).collect()
}

fn late(story: &Story<'_>) -> Option<Loss> {
    let late: Vec<(&Attempt, &ClientRecord)> = story
        .reconciled
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt, story.records.client.get(attempt.record as usize)?)))
        .filter(|(attempt, _)| service(attempt, story.deadline_ns) == Service::Late)
        .collect();
    let (attempt, record) = late.iter().max_by_key(|(attempt, _)| attempt.waited_ns)?;
    let how = How::Late {
        deadline_ns: story.deadline_ns,
        longest_ns: attempt.waited_ns,
        spent: longest_part(attempt, record),
    };
    let records: Vec<&ClientRecord> = late.iter().map(|(_, record)| *record).collect();
    some(late.len(), how).map(|loss| loss.after(story.out_of_descriptors(&records)))
}

/// In which part of its life an attempt spent most of its time.
fn longest_part(attempt: &Attempt, record: &ClientRecord) -> Option<Span> {
    let stamps = [record.started, record.connected, attempt.accepted, record.tls, record.finished];
    // Where workers keep no ledger, waiting and work cannot be told apart.
    let last = match (attempt.accepted, record.tls) {
        (None, None) => Part::Connected,
        (None, Some(_)) => Part::Greeted,
        (Some(_), _) => Part::WithWorker,
    };
    let parts = [Part::BeforeSent, Part::Connecting, Part::InQueue, Part::Greeting, last];
    let mut before_ns = record.intended_ns;
    let mut spent = Vec::new();
    for (stamp, part) in stamps.into_iter().zip(parts) {
        let Some(at_ns) = stamp.map(NonZeroU64::get) else { continue };
        spent.push(Span { part, lasted_ns: at_ns.saturating_sub(before_ns) });
        before_ns = before_ns.max(at_ns);
    }
    spent.into_iter().max_by_key(|span| span.lasted_ns)
}

#[cfg(test)]
mod tests;

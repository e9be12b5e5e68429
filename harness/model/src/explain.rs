//! Losses in plain words: which listener, closed when, by whose death; which worker, ended how.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use crate::duration::show_ns;
use crate::ledger::{Attempt, NO_WORKER, WorkerLog, closed_listener, not_sent_causes};
use crate::outage::{Service, service};
use crate::overflow;
use crate::record::{ClientRecord, Listener, Outcome};
use crate::shm::{RecordKind, parse_crash_detail};
use crate::words::{Blame, CrashMode, Fate, Stage};

mod story;

pub use story::Story;
pub(crate) use story::errno_in_words;

/// One line for each kind of loss, and one for those that waited too long.
#[must_use]
pub fn losses(story: &Story<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(poison(story));
    lines.extend(in_flight(story));
    lines.extend(refused(story));
    lines.extend(queue_resets(story));
    lines.extend(syn_dropped(story));
    lines.extend(cut_short(story));
    lines.extend(closed_idle(story));
    lines.extend(timed_out(story));
    lines.extend(wrong_replies(story));
    lines.extend(unknown_errnos(story));
    lines.extend(sent_again(story));
    lines.extend(overflow(story));
    lines.extend(not_sent(story));
    lines.extend(late(story));
    lines
}

/// Joins the parts of a sentence that are there.
fn sentence(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

fn poison(story: &Story<'_>) -> Vec<String> {
    story
        .lost(Blame::Poison, None)
        .iter()
        .map(|(attempt, record)| {
            let number = record.attempt;
            let crash = story.worker(attempt).and_then(|log| {
                let crash = log.crash_of(number)?;
                Some((log.pid, parse_crash_detail(crash.detail)?))
            });
            match crash {
                Some((pid, (step, CrashMode::Catch))) => format!(
                    "1 poison: attempt {number} failed at step {step}; worker {pid} caught the error and went on"
                ),
                Some((pid, (step, mode))) => {
                    format!("1 poison: attempt {number} made worker {pid} fail ({mode} at step {step})")
                }
                None if attempt.fate == Fate::WrongReply => {
                    format!("1 poison: attempt {number} carried the fault and got an error for a reply")
                }
                None => format!("1 poison: attempt {number} carried the fault and got no reply"),
            }
        })
        .collect()
}

fn in_flight(story: &Story<'_>) -> Vec<String> {
    by_worker(story, &story.lost(Blame::InFlight, None))
        .into_iter()
        .map(|(log, count)| match log {
            Some(log) => {
                format!("{count} in flight: accepted by worker {}, which died before it replied", log.pid)
            }
            None => format!("{count} in flight: open when a worker died"),
        })
        .collect()
}

fn refused(story: &Story<'_>) -> Vec<String> {
    let lost = story.lost(Blame::Collateral, Some(Fate::Refused));
    let slack_ns = story.slack_ns();
    let mut unexplained = lost.len();
    let mut lines = Vec::new();
    for (from_ns, to_ns) in story.gaps() {
        let within = |record: &ClientRecord| {
            let at_ns = record.finished.map_or(record.intended_ns, NonZeroU64::get);
            at_ns + slack_ns >= from_ns && to_ns.is_none_or(|to_ns| at_ns <= to_ns + slack_ns)
        };
        let count = lost.iter().filter(|(_, record)| within(record)).count().min(unexplained);
        if count == 0 {
            continue;
        }
        unexplained -= count;
        let span = match to_ns {
            Some(to_ns) => format!("for {}", show_ns(to_ns - from_ns)),
            None => format!("from {} to the end", story.since_start(from_ns)),
        };
        let head = format!("{count} refused: nobody listened {span}");
        let cause = sentence(&[&head, &story.cause(from_ns)]);
        lines.push(format!("{cause}{}", story.failed_starts(from_ns, to_ns)));
    }
    if unexplained > 0 && story.records.kernel.listeners.is_empty() {
        let head = format!("{unexplained} refused: nobody ever listened");
        lines.push(sentence(&[&head, &story.why_nobody_ever_listened()]));
    } else if unexplained > 0 {
        lines.push(format!("{unexplained} refused, although a listener was seen open at the time"));
    }
    lines
}

fn queue_resets(story: &Story<'_>) -> Vec<String> {
    let lost = story.lost(Blame::Collateral, Some(Fate::QueueReset));
    let listeners = &story.records.kernel.listeners;
    let mut by_listener: BTreeMap<Option<usize>, u64> = BTreeMap::new();
    for (attempt, record) in &lost {
        let ended_ns = record.finished.map_or(0, NonZeroU64::get);
        let closed = closed_listener(story.records, attempt, ended_ns)
            .and_then(|closed| listeners.iter().position(|listener| std::ptr::eq(listener, closed)));
        *by_listener.entry(closed).or_default() += 1;
    }
    by_listener
        .into_iter()
        .map(|(listener, count)| match listener.and_then(|index| listeners.get(index)) {
            Some(listener) => {
                let closed_ns = listener.last_seen_ns.unwrap_or(listener.opened_ns);
                let head = format!(
                    "{count} reset in the queue: the listener (inode {}) was closed at {}",
                    listener.inode,
                    story.since_start(closed_ns)
                );
                sentence(&[&head, &story.cause(closed_ns)])
            }
            None => format!(
                "{count} reset in the queue: it was full, and the kernel was told to reset what overflows"
            ),
        })
        .collect()
}

fn syn_dropped(story: &Story<'_>) -> Option<String> {
    let count = story.lost(Blame::Collateral, Some(Fate::SynDropped)).len();
    let kernel = story.records.kernel;
    let fullest = kernel.listeners.iter().max_by_key(|listener| listener.queue_max);
    let queue = fullest.map(|listener| {
        let drops =
            listener.drops.map_or(String::new(), |drops| format!(", and that listener dropped {drops} SYNs"));
        format!(": the accept queue held {} with a limit of {}{drops}", listener.queue_max, listener.limit)
    });
    (count > 0).then(|| format!("{count} never connected{}", queue.unwrap_or_default()))
}

/// Handshakes that took longer since their SYN had to be sent again: an effect of a full queue that
/// clients feel, and that no server sees.
fn sent_again(story: &Story<'_>) -> Option<String> {
    let again: Vec<&ClientRecord> = story
        .records
        .client
        .iter()
        .filter(|record| record.syn_retransmits > 0 && record.connected.is_some())
        .collect();
    let times =
        |record: &&ClientRecord| record.connected.map(|at| at.get().saturating_sub(record.intended_ns));
    let took_ns: Vec<u64> = again.iter().filter_map(times).collect();
    let (least, most) = (show_ns(*took_ns.iter().min()?), show_ns(*took_ns.iter().max()?));
    let took = if least == most { least } else { format!("{least} to {most}") };
    let who = if again.len() == 1 { "1 connect".to_owned() } else { format!("{} connects", again.len()) };
    Some(format!("{who} took {took}: their SYN was dropped and sent again"))
}

/// Queues that were full, wherever somebody had to suffer for it.
fn overflow(story: &Story<'_>) -> Vec<String> {
    let kernel = story.records.kernel;
    let has_dropped = |listener: &Listener| listener.drops.is_none_or(|drops| drops > 0);
    if !kernel.listeners.iter().any(has_dropped) {
        return Vec::new();
    }
    overflow::in_words(kernel, story.facts.end_ns, |ns| story.since_start(ns))
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

fn cut_short(story: &Story<'_>) -> Vec<String> {
    let mut lost = story.lost(Blame::Collateral, Some(Fate::NoReply));
    lost.extend(story.lost(Blame::Collateral, Some(Fate::Truncated)));
    let mut groups: BTreeMap<u32, Vec<&ClientRecord>> = BTreeMap::new();
    for (attempt, record) in lost {
        groups.entry(attempt.worker).or_default().push(record);
    }
    let logs = story.records.workers.unwrap_or_default();
    let stamped = story.records.accepts_stamped;
    groups.into_iter().map(|(worker, lost)| cut_by(logs.get(worker as usize), &lost, stamped)).collect()
}

fn cut_by(log: Option<&WorkerLog>, lost: &[&ClientRecord], stamped: bool) -> String {
    let count = lost.len();
    let after = match lost.iter().filter(|record| record.requests_answered > 0).count() {
        0 => String::new(),
        _ if count == 1 => "; it had got replies before".to_owned(),
        sessions => format!("; {sessions} of them had got replies before"),
    };
    let Some(log) = log else { return format!("{count} closed without a complete reply{after}") };
    // An application cannot tell whether its server closed the connection, or ended.
    if !stamped {
        return format!("{count} read by worker {}, and closed without a complete reply{after}", log.pid);
    }
    let attempts = lost.iter().map(|record| record.attempt).collect();
    let how = match log.records.last().map(|record| record.kind) {
        _ if closed_by_itself(log, &attempts) => "which closed them without a complete reply",
        Some(RecordKind::Exit) => "which exited before it replied",
        Some(RecordKind::Drain) => "which was stopped while it drained",
        _ => "which ended before it replied",
    };
    format!("{count} accepted by worker {}, {how}{after}", log.pid)
}

/// Whether a worker recorded that it closed the connections of all these attempts.
fn closed_by_itself(log: &WorkerLog, attempts: &BTreeSet<u32>) -> bool {
    let mut open = BTreeMap::new();
    let mut closed = BTreeSet::new();
    for record in &log.records {
        match record.kind {
            RecordKind::Accepted => {
                open.insert(record.connection, record.peer.and_then(|peer| peer.attempt()));
            }
            RecordKind::Closed => closed.extend(open.remove(&record.connection).flatten()),
            _ => {}
        }
    }
    attempts.is_subset(&closed)
}

/// Sessions that were ended between two requests: no loss, but clients must connect anew.
fn closed_idle(story: &Story<'_>) -> Option<String> {
    let ended = |record: &&ClientRecord| record.outcome == Outcome::ClosedIdle;
    let count = story.records.client.iter().filter(ended).count();
    let sessions = if count == 1 { "session" } else { "sessions" };
    (count > 0).then(|| {
        format!("{count} {sessions} ended by the server between two requests: nothing was lost, the rest needs a new connection")
    })
}

fn timed_out(story: &Story<'_>) -> Vec<String> {
    let lost = story.lost(Blame::Collateral, Some(Fate::TimedOut));
    let stage = |wanted| lost.iter().filter(|(_, r)| r.outcome == Outcome::TimedOut(wanted)).count();
    let waiting = lost.iter().filter(|(attempt, _)| attempt.worker == NO_WORKER).count();
    let known = story.records.tell_accepts();
    let mut lines = Vec::new();
    if known && waiting > 0 {
        let head = format!("{waiting} timed out in the queue: connected, but nobody accepted them");
        lines.push(format!("{head}{}", why_nobody_accepted(story, &lost)));
    }
    let rest = lost.len() - if known { waiting } else { 0 };
    if rest > 0 {
        let partly = stage(Stage::Reply);
        let detail = if partly > 0 { format!(" ({partly} with part of the reply)") } else { String::new() };
        let head = if known { "accepted, but no reply came in time" } else { "no reply came in time" };
        lines.push(format!("{rest} timed out: {head}{detail}"));
    }
    lines
}

/// Who lived and did not accept, or how often nobody came to be; the end of a sentence.
fn why_nobody_accepted(story: &Story<'_>, lost: &[(&Attempt, &ClientRecord)]) -> String {
    let stuck = story.stuck_workers();
    if !stuck.is_empty() {
        return format!("; {}", stuck.join(", "));
    }
    let waiting = || lost.iter().filter(|(attempt, _)| attempt.worker == NO_WORKER).map(|(_, record)| record);
    let from_ns = waiting().map(|record| record.intended_ns).min().unwrap_or(0);
    let to_ns = waiting().filter_map(|record| record.finished).map(NonZeroU64::get).max();
    let (cause, failed) = (story.cause(from_ns), story.failed_starts(from_ns, to_ns));
    format!("{}{cause}{failed}", if cause.is_empty() { "" } else { " " })
}

fn wrong_replies(story: &Story<'_>) -> Option<String> {
    let count = story.lost(Blame::Collateral, Some(Fate::WrongReply)).len();
    (count > 0).then(|| format!("{count} got a reply that was not the answer to what they asked"))
}

fn unknown_errnos(story: &Story<'_>) -> Vec<String> {
    let mut counts: BTreeMap<(i32, Stage), u64> = BTreeMap::new();
    for record in story.records.client {
        if let Outcome::Errno(errno, stage) = record.outcome {
            *counts.entry((errno, stage)).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .map(|((errno, stage), count)| format!("{count} of these ended with errno {errno} at stage {stage}"))
        .collect()
}

fn not_sent(story: &Story<'_>) -> Vec<String> {
    not_sent_causes(story.records.client)
        .into_iter()
        .map(|(cause, count)| format!("{count} not sent: {} (not the server's fault)", cause.in_words()))
        .collect()
}

fn late(story: &Story<'_>) -> Option<String> {
    let late: Vec<(&Attempt, &ClientRecord)> = story
        .reconciled
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt, story.records.client.get(attempt.record as usize)?)))
        .filter(|(attempt, _)| service(attempt, story.deadline_ns) == Service::Late)
        .collect();
    let (attempt, record) = late.iter().max_by_key(|(attempt, _)| attempt.waited_ns)?;
    let deadline = show_ns(story.deadline_ns);
    Some(format!(
        "{} served late (deadline {deadline}): the longest took {}{}",
        late.len(),
        show_ns(attempt.waited_ns),
        longest_part(attempt, record)
    ))
}

/// In which part of its life an attempt spent most of its time.
fn longest_part(attempt: &Attempt, record: &ClientRecord) -> String {
    let stamps = [record.started, record.connected, attempt.accepted, record.finished];
    let parts = ["before it was sent", "to connect", "in the queue", "with the worker"];
    let mut before_ns = record.intended_ns;
    let mut spent = Vec::new();
    for (stamp, part) in stamps.into_iter().zip(parts) {
        // Where workers keep no ledger, waiting and work cannot be told apart.
        let Some(at_ns) = stamp.map(NonZeroU64::get) else { continue };
        let part =
            if attempt.accepted.is_none() && part == "with the worker" { "once connected" } else { part };
        spent.push((at_ns.saturating_sub(before_ns), part));
        before_ns = before_ns.max(at_ns);
    }
    let longest = spent.into_iter().max_by_key(|(ns, _)| *ns);
    longest.map_or(String::new(), |(ns, part)| {
        // The client's own pauses, as in a slow post, are no wait, but pass wherever it is meanwhile.
        match ns <= attempt.waited_ns {
            true => format!(", {} of it {part}", show_ns(ns)),
            false => format!("; {} passed {part}, its own pauses included", show_ns(ns)),
        }
    })
}

#[cfg(test)]
mod tests;

//! Losses in plain words: which listener, closed when, by whose death; which worker, ended how.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use crate::duration::show_ns;
use crate::ledger::{Attempt, WorkerLog, closed_listener, not_sent_causes};
use crate::overflow;
use crate::pool;
use crate::record::{ClientRecord, Ending, Listener, Outcome};
use crate::requests::{Service, service};
use crate::result::{Loss, LossKind};
use crate::sampling::half_open_ns;
use crate::shm::{RecordKind, parse_crash_detail};
use crate::told::Phrase;
use crate::words::{Blame, CrashMode, Fate, Stage, Transport};

mod overdue;
mod replies;
mod said;
mod story;

pub(crate) use story::Gap;
pub use story::Story;

use replies::{error_replies, half_closed, no_path, send_failed, sent_twice, too_long, wrong_replies};
use said::{Said, count};

/// One line for each kind of loss, and one for those that waited too long.
#[must_use]
pub fn losses(story: &Story<'_>) -> Vec<Loss> {
    let mut lines: Vec<Loss> = Vec::new();
    tell(&mut lines, LossKind::Poison, poison(story));
    tell(&mut lines, LossKind::InFlight, in_flight(story));
    tell(&mut lines, LossKind::Refused, refused(story));
    tell(&mut lines, LossKind::QueueReset, queue_resets(story));
    tell(&mut lines, LossKind::SynDropped, syn_dropped(story));
    tell(&mut lines, LossKind::CutShort, cut_short(story));
    tell(&mut lines, LossKind::ClosedIdle, closed_idle(story));
    tell(&mut lines, LossKind::TooLong, too_long(story));
    tell(&mut lines, LossKind::TimedOut, overdue::timed_out(story));
    tell(&mut lines, LossKind::ErrorReply, error_replies(story));
    tell(&mut lines, LossKind::WrongReply, wrong_replies(story));
    tell(&mut lines, LossKind::Errno, unknown_errnos(story));
    tell(&mut lines, LossKind::SendFailed, send_failed(story));
    tell(&mut lines, LossKind::HalfClosed, half_closed(story));
    tell(&mut lines, LossKind::SentTwice, sent_twice(story));
    tell(&mut lines, LossKind::SentAgain, sent_again(story));
    tell(&mut lines, LossKind::QueueFull, overflow(story));
    tell(&mut lines, LossKind::NotSent, not_sent(story));
    tell(&mut lines, LossKind::Late, late(story));
    lines
}

fn tell<T: Into<Said>>(lines: &mut Vec<Loss>, kind: LossKind, said: impl IntoIterator<Item = T>) {
    lines.extend(said.into_iter().map(|said| {
        let Said { cause, said, example } = said.into();
        Loss { kind, cause, said, example }
    }));
}

fn poison(story: &Story<'_>) -> Vec<Phrase> {
    let one = |attempt: u32| count(1, " poison: attempt ").id(attempt);
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
                Some((pid, (step, CrashMode::Catch))) => one(number)
                    .text(format!(" failed at step {step}; worker "))
                    .id(pid)
                    .text(" caught the error and went on"),
                Some((pid, (step, mode))) => {
                    one(number).text(" made worker ").id(pid).text(format!(" fail ({mode} at step {step})"))
                }
                None => one(number).text(" carried the fault and got ").text(match record.outcome.status() {
                    Some(status) => format!("status {status}"),
                    None if record.outcome == Outcome::WrongReply => "an error for a reply".to_owned(),
                    None => "no reply".to_owned(),
                }),
            }
        })
        .collect()
}

fn in_flight(story: &Story<'_>) -> Vec<Phrase> {
    by_worker(story, &story.lost(Blame::InFlight, None))
        .into_iter()
        .map(|(log, lost)| match log {
            Some(log) => count(lost, " in flight: accepted by worker ")
                .id(log.pid)
                .text(", which died before it replied"),
            None => count(lost, " in flight: open when a worker died"),
        })
        .collect()
}

fn refused(story: &Story<'_>) -> Vec<Said> {
    let mut lost = story.lost(Blame::Collateral, Some(Fate::Refused));
    let mut lines = no_path(story, &mut lost);
    let slack_ns = story.slack_ns();
    let mut unexplained = lost.len();
    for Gap { from_ns, to_ns, is_seen } in story.gaps() {
        let within = |record: &ClientRecord| {
            let at_ns = record.finished.map_or(record.intended_ns, NonZeroU64::get);
            at_ns + slack_ns >= from_ns && to_ns.is_none_or(|to_ns| at_ns <= to_ns + slack_ns)
        };
        let refused = lost.iter().filter(|(_, record)| within(record)).count().min(unexplained);
        if refused == 0 {
            continue;
        }
        unexplained -= refused;
        let head = count(refused as u64, " refused: ");
        let head = match to_ns {
            Some(to_ns) if is_seen => head.text("nobody listened for ").ns(to_ns - from_ns),
            Some(to_ns) if story.records.transport == Transport::Unix => {
                head.text("one listener gave way to the next within ").ns(to_ns - from_ns)
            }
            Some(to_ns) => head.text("nobody listened for at most ").ns(to_ns - from_ns),
            None => head.text("nobody listened from ").at(story.since_start_ns(from_ns)).text(" to the end"),
        };
        lines.push(Said::after(head, story.cause(from_ns)).then(story.failed_starts(from_ns, to_ns)));
    }
    if unexplained > 0 && story.records.kernel.listeners.is_empty() {
        let head = count(unexplained as u64, " refused: nobody ever listened");
        lines.push(Said::after(head, story.why_nobody_ever_listened()));
    } else if unexplained > 0 {
        let text = " refused, although a listener was seen open at the time";
        lines.push(count(unexplained as u64, text).into());
    }
    lines
}

fn queue_resets(story: &Story<'_>) -> Vec<Said> {
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
                let closed_ns = listener.last_seen_ns.unwrap_or(listener.opened_ns);
                let what = match kept_back {
                    true => {
                        " reset half-open: they were connected and had said nothing, so that the kernel handed them \
                         to nobody (TCP_DEFER_ACCEPT); the listener (inode "
                    }
                    false => " reset in the queue: the listener (inode ",
                };
                let head = count(lost, what).id(listener.inode);
                let head = head.text(") was closed at ").at(story.since_start_ns(closed_ns));
                Said::after(head, story.cause(closed_ns))
            }
            None => {
                let why = "it was full, and the kernel was told to reset what overflows";
                count(lost, format!(" reset in the queue: {why}")).into()
            }
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

fn syn_dropped(story: &Story<'_>) -> Option<Phrase> {
    let lost = story.lost(Blame::Collateral, Some(Fate::SynDropped)).len() as u64;
    let fullest = story.records.kernel.listeners.iter().max_by_key(|listener| listener.queue_max);
    let queue = fullest.map(|listener| {
        let held = Phrase::new(": the accept queue held ").count(listener.queue_max.into());
        let held = held.text(" with a limit of ").count(listener.limit.into());
        match listener.drops {
            Some(drops) => held.text(", and that listener dropped ").count(drops.into()).text(" SYNs"),
            None => held,
        }
    });
    (lost > 0).then(|| count(lost, " never connected").then(queue.unwrap_or_default()))
}

/// Handshakes that took longer since their SYN had to be sent again: an effect of a full queue that
/// clients feel, and that no server sees.
fn sent_again(story: &Story<'_>) -> Option<Phrase> {
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
    let who = if again.len() == 1 { " connect took " } else { " connects took " };
    let took = count(again.len() as u64, who).ns(least_ns);
    let is_one = show_ns(least_ns) == show_ns(most_ns);
    let took = if is_one { took } else { took.text(" to ").ns(most_ns) };
    Some(took.text(": their SYN was dropped and sent again"))
}

/// Queues that were full, wherever somebody had to suffer for it.
fn overflow(story: &Story<'_>) -> Vec<Phrase> {
    let kernel = story.records.kernel;
    let has_dropped = |listener: &Listener| listener.drops.is_none_or(|drops| drops > 0);
    if !kernel.listeners.iter().any(has_dropped) {
        return Vec::new();
    }
    overflow::in_words(kernel, story.facts.end_ns, |ns| story.since_start_ns(ns))
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

fn cut_short(story: &Story<'_>) -> Vec<Said> {
    let mut lost = story.lost(Blame::Collateral, Some(Fate::NoReply));
    lost.extend(story.lost(Blame::Collateral, Some(Fate::Truncated)));
    let mut groups: BTreeMap<u32, Vec<&ClientRecord>> = BTreeMap::new();
    lost.retain(|(_, record)| record.outcome != Outcome::TooLong);
    for (attempt, record) in lost {
        groups.entry(attempt.worker).or_default().push(record);
    }
    let logs = story.records.workers.unwrap_or_default();
    let stamped = story.records.accepts_stamped;
    let say = |(worker, lost): (u32, Vec<&ClientRecord>)| {
        let said = cut_by(logs.get(worker as usize), &lost, stamped);
        Said::after(said, story.out_of_descriptors(&lost))
    };
    groups.into_iter().map(say).collect()
}

fn cut_by(log: Option<&WorkerLog>, lost: &[&ClientRecord], stamped: bool) -> Phrase {
    let cut = lost.len() as u64;
    let resets = lost.iter().filter(|record| record.ended == Some(Ending::Reset)).count();
    let by_reset = match resets {
        0 => Phrase::default(),
        _ if resets == lost.len() => Phrase::new(", by a reset"),
        resets => Phrase::new(", ").count(resets as u64).text(" of them by a reset"),
    };
    let after = match lost.iter().filter(|record| record.requests_answered > 0).count() {
        0 => Phrase::default(),
        _ if cut == 1 => Phrase::new("; it had got replies before"),
        sessions => Phrase::new("; ").count(sessions as u64).text(" of them had got replies before"),
    };
    let reused = match lost.iter().filter(|record| pool::was_broken(record)).count() {
        0 => Phrase::default(),
        reused if reused == lost.len() => Phrase::new("; over a connection that others had used before"),
        reused => Phrase::new("; ")
            .count(reused as u64)
            .text(" of them over a connection that others had used before"),
    };
    let after = by_reset.then(after).then(reused).then(replies::unanswered(lost));
    let Some(log) = log else { return count(cut, " closed without a complete reply").then(after) };
    // An application cannot tell whether its server closed the connection, or ended.
    if !stamped {
        let read = count(cut, " read by worker ").id(log.pid);
        return read.text(", and closed without a complete reply").then(after);
    }
    let attempts = lost.iter().map(|record| record.attempt).collect();
    let how = if closed_by_itself(log, &attempts) {
        "which closed them without a complete reply"
    } else {
        log.records.last().map_or("which ended before it replied", |last| how_it_ended(last.kind))
    };
    count(cut, " accepted by worker ").id(log.pid).text(format!(", {how}")).then(after)
}

/// What the last that a worker wrote down tells of its end.
fn how_it_ended(last: RecordKind) -> &'static str {
    match last {
        RecordKind::Exit => "which exited before it replied",
        RecordKind::Drain => "which was stopped while it drained",
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
        | RecordKind::TookOver => "which ended before it replied",
    }
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
fn closed_idle(story: &Story<'_>) -> Option<Phrase> {
    let ended = |record: &&ClientRecord| record.outcome == Outcome::ClosedIdle;
    let ended = story.records.client.iter().filter(ended).count() as u64;
    let sessions = if ended == 1 { " session" } else { " sessions" };
    let text = " ended by the server between two requests: nothing was lost, the rest needs a new connection";
    (ended > 0).then(|| count(ended, sessions).text(text))
}

fn unknown_errnos(story: &Story<'_>) -> Vec<Phrase> {
    let mut counts: BTreeMap<(i32, Stage), u64> = BTreeMap::new();
    for record in story.records.client {
        if let Outcome::Errno(errno, stage) = record.outcome {
            *counts.entry((errno, stage)).or_default() += 1;
        }
    }
    counts
        .into_iter()
        .map(|((errno, stage), ended)| {
            count(ended, format!(" of these ended with errno {errno} at stage {stage}"))
        })
        .collect()
}

fn not_sent(story: &Story<'_>) -> Vec<Phrase> {
    not_sent_causes(story.records.client)
        .into_iter()
        .map(|(cause, unsent)| {
            count(unsent, format!(" not sent: {} (not the server's fault)", cause.in_words()))
        })
        .collect()
}

fn late(story: &Story<'_>) -> Option<Said> {
    let late: Vec<(&Attempt, &ClientRecord)> = story
        .reconciled
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt, story.records.client.get(attempt.record as usize)?)))
        .filter(|(attempt, _)| service(attempt, story.deadline_ns) == Service::Late)
        .collect();
    let (attempt, record) = late.iter().max_by_key(|(attempt, _)| attempt.waited_ns)?;
    let head = count(late.len() as u64, " served late (deadline ").ns(story.deadline_ns);
    let said = head.text("): the longest took ").ns(attempt.waited_ns).then(longest_part(attempt, record));
    let records: Vec<&ClientRecord> = late.iter().map(|(_, record)| *record).collect();
    Some(Said::after(said, story.out_of_descriptors(&records)))
}

/// In which part of its life an attempt spent most of its time.
fn longest_part(attempt: &Attempt, record: &ClientRecord) -> Phrase {
    let stamps = [record.started, record.connected, attempt.accepted, record.finished];
    // Where workers keep no ledger, waiting and work cannot be told apart.
    let last = if attempt.accepted.is_none() { "once connected" } else { "with the worker" };
    let parts = ["before it was sent", "to connect", "in the queue", last];
    let mut before_ns = record.intended_ns;
    let mut spent = Vec::new();
    for (stamp, part) in stamps.into_iter().zip(parts) {
        let Some(at_ns) = stamp.map(NonZeroU64::get) else { continue };
        spent.push((at_ns.saturating_sub(before_ns), part));
        before_ns = before_ns.max(at_ns);
    }
    let longest = spent.into_iter().max_by_key(|(ns, _)| *ns);
    longest.map_or_else(Phrase::default, |(ns, part)| {
        // The client's own pauses, as in a slow post, are no wait, but pass wherever it is meanwhile.
        match ns <= attempt.waited_ns {
            true => Phrase::new(", ").ns(ns).text(format!(" of it {part}")),
            false => Phrase::new("; ").ns(ns).text(format!(" passed {part}, its own pauses included")),
        }
    })
}

#[cfg(test)]
mod tests;

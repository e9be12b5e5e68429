//! Losses in plain words: which listener, closed when, by whose death; which worker, ended how.

use std::collections::BTreeMap;

use crate::duration::show_ns;
use crate::facts::TrialFacts;
use crate::ledger::{Attempt, NO_WORKER, Reconciled, TrialRecords, WorkerLog, not_sent_causes};
use crate::outage::{Service, service};
use crate::record::{ClientRecord, Outcome};
use crate::shm::{RecordKind, parse_crash_detail};
use crate::words::{Blame, Fate, Stage};

/// A trial, as far as words for its losses need it.
#[derive(Debug, Clone, Copy)]
pub struct Story<'a> {
    /// What was written down.
    pub records: &'a TrialRecords<'a>,
    /// What came of it.
    pub reconciled: &'a Reconciled,
    /// What the runner knows.
    pub facts: &'a TrialFacts,
    /// Served later than this counts as late.
    pub deadline_ns: u64,
}

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
    lines.extend(timed_out(story));
    lines.extend(wrong_replies(story));
    lines.extend(unknown_errnos(story));
    lines.extend(not_sent(story));
    lines.extend(late(story));
    lines
}

impl<'a> Story<'a> {
    fn lost(&self, blame: Blame, fate: Option<Fate>) -> Vec<(&'a Attempt, &'a ClientRecord)> {
        self.reconciled
            .attempts
            .iter()
            .filter(|attempt| attempt.blame == Some(blame) && fate.is_none_or(|fate| attempt.fate == fate))
            .filter_map(|attempt| Some((attempt, self.records.client.get(attempt.record as usize)?)))
            .collect()
    }

    fn worker(&self, attempt: &Attempt) -> Option<&'a WorkerLog> {
        self.records.workers?.get(attempt.worker as usize)
    }

    fn since_start(&self, at_ns: u64) -> String {
        show_ns(at_ns.saturating_sub(self.facts.start_ns))
    }

    /// Times when nobody listened: from the last sight of the last listener to the first of the
    /// next, or `None` for "to the end".
    fn gaps(&self) -> Vec<(u64, Option<u64>)> {
        let listeners = &self.records.kernel.listeners;
        let mut gaps = Vec::new();
        for listener in listeners {
            let (Some(from_ns), Some(gone_ns)) = (listener.last_seen_ns, listener.gone_ns) else { continue };
            let covered = listeners.iter().any(|other| {
                other.opened_ns < gone_ns && other.gone_ns.is_none_or(|other_gone_ns| other_gone_ns > gone_ns)
            });
            if !covered {
                let next = listeners.iter().map(|l| l.opened_ns).filter(|opened| *opened >= gone_ns).min();
                gaps.push((from_ns, next));
            }
        }
        gaps.dedup();
        gaps
    }

    /// Whose end came last before an instant, with some slack for the observer's interval.
    fn cause(&self, at_ns: u64) -> String {
        let by_ns = at_ns + 3 * self.records.kernel.interval_ns.max(1_000_000);
        // A worker that nobody supervises is its own supervisor: its own records say more.
        let is_worker = |pid| self.records.workers.unwrap_or_default().iter().any(|log| log.pid == pid);
        let exits = self.facts.supervisor_exits.iter().filter(|end| !is_worker(end.pid));
        let supervisor =
            exits.map(|end| (end.at_ns, format!("after the supervisor ended with {}", end.status)));
        let workers = self.records.workers.unwrap_or_default().iter().filter_map(end_of_worker);
        let killed = self
            .records
            .deaths
            .iter()
            .map(|death| (death.at_ns, format!("after worker {} was killed from outside", death.pid)));
        let ends = supervisor.chain(workers).chain(killed).filter(|(end_ns, _)| *end_ns <= by_ns);
        ends.max_by_key(|(end_ns, _)| *end_ns).map(|(_, text)| text).unwrap_or_default()
    }
}

fn end_of_worker(log: &WorkerLog) -> Option<(u64, String)> {
    let last = log.records.last()?;
    let text = match last.kind {
        RecordKind::Crash | RecordKind::BootFailed => {
            let (step, mode) = parse_crash_detail(last.detail)?;
            format!("after worker {} died ({mode} at step {step})", log.pid)
        }
        RecordKind::Exit => format!("after worker {} exited", log.pid),
        RecordKind::BindFailed => {
            format!("after worker {} could not listen (errno {})", log.pid, last.detail)
        }
        _ => return None,
    };
    Some((last.at_ns, text))
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
                let crash = log.records.iter().rev().find(|r| r.kind == RecordKind::Crash)?;
                Some((log.pid, parse_crash_detail(crash.detail)?))
            });
            match crash {
                Some((pid, (step, mode))) => {
                    format!("1 poison: attempt {number} made worker {pid} fail ({mode} at step {step})")
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
            None => format!("{count} in flight: open when a worker was killed"),
        })
        .collect()
}

fn refused(story: &Story<'_>) -> Vec<String> {
    let lost = story.lost(Blame::Collateral, Some(Fate::Refused));
    let slack_ns = 3 * story.records.kernel.interval_ns.max(1_000_000);
    let mut unexplained = lost.len();
    let mut lines = Vec::new();
    for (from_ns, to_ns) in story.gaps() {
        let within = |record: &ClientRecord| {
            let at_ns = record.finished.map_or(record.intended_ns, std::num::NonZeroU64::get);
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
        lines.push(sentence(&[&head, &story.cause(from_ns)]));
    }
    if unexplained > 0 {
        lines.push(format!("{unexplained} refused, although a listener was seen open at the time"));
    }
    lines
}

fn queue_resets(story: &Story<'_>) -> Vec<String> {
    let lost = story.lost(Blame::Collateral, Some(Fate::QueueReset));
    let mut by_listener: BTreeMap<Option<usize>, u64> = BTreeMap::new();
    for (_, record) in &lost {
        let ended_ns = record.finished.map_or(0, std::num::NonZeroU64::get);
        let slack_ns = 3 * story.records.kernel.interval_ns.max(1_000_000);
        let closed = story.records.kernel.listeners.iter().position(|listener| {
            listener.last_seen_ns.is_some_and(|ns| ns <= ended_ns + slack_ns)
                && listener.gone_ns.is_some_and(|ns| ended_ns <= ns + slack_ns)
        });
        *by_listener.entry(closed).or_default() += 1;
    }
    by_listener
        .into_iter()
        .map(|(listener, count)| match listener.and_then(|i| story.records.kernel.listeners.get(i)) {
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
    by_worker(story, &lost)
        .into_iter()
        .map(|(log, count)| {
            let Some(log) = log else { return format!("{count} closed without a complete reply") };
            let how = match log.records.last().map(|record| record.kind) {
                Some(RecordKind::Exit) => "which exited before it replied",
                Some(RecordKind::Drain) => "which was stopped while it drained",
                Some(RecordKind::Closed) => "which closed them without a complete reply",
                Some(RecordKind::Accepted | RecordKind::Read) => "which ended before it replied",
                _ => "which did not reply",
            };
            format!("{count} accepted by worker {}, {how}", log.pid)
        })
        .collect()
}

fn timed_out(story: &Story<'_>) -> Vec<String> {
    let lost = story.lost(Blame::Collateral, Some(Fate::TimedOut));
    let stage = |wanted| lost.iter().filter(|(_, r)| r.outcome == Outcome::TimedOut(wanted)).count();
    let waiting = lost.iter().filter(|(attempt, _)| attempt.worker == NO_WORKER).count();
    let known = story.records.workers.is_some();
    let mut lines = Vec::new();
    if known && waiting > 0 {
        lines.push(format!("{waiting} timed out in the queue: connected, but nobody accepted them"));
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
    let late: Vec<u64> = story
        .reconciled
        .attempts
        .iter()
        .filter_map(|attempt| Some((attempt, story.records.client.get(attempt.record as usize)?)))
        .filter(|(attempt, record)| service(record, attempt, story.deadline_ns) == Service::Late)
        .filter_map(|(_, record)| Some(record.finished?.get() - record.intended_ns))
        .collect();
    let longest_ns = late.iter().max()?;
    let deadline = show_ns(story.deadline_ns);
    Some(format!(
        "{} served late (deadline {deadline}): the longest took {}",
        late.len(),
        show_ns(*longest_ns)
    ))
}

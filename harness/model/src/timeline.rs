//! What happened when: faults, listeners, workers and supervisor on one line of time.

use crate::duration::show_ns;
use crate::explain::errno_in_words;
use crate::facts::TrialFacts;
use crate::ledger::{TrialRecords, WorkerLog};
use crate::overflow::{self, FullSpan};
use crate::record::Listener;
use crate::result::TimelineEntry;
use crate::shm::{RecordKind, parse_crash_detail};

/// The most entries that a result holds; `events.jsonl` holds them all.
pub const ENTRIES_MAX: usize = 200;
/// The most times that a listener's queue is said to be full; its queue is drawn as well.
const FULL_MAX: usize = 8;

/// The timeline of a trial, in order of time.
#[must_use]
pub fn timeline(records: &TrialRecords<'_>, facts: &TrialFacts) -> Vec<TimelineEntry> {
    let mut entries: Vec<(u64, &str, String)> = Vec::new();
    for fault in &facts.faults {
        let text = match &fault.error {
            None => fault.text.clone(),
            Some(error) => format!("{} failed: {error}", fault.text),
        };
        entries.push((fault.at_ns, "fault", text));
        if let Some(done_ns) = fault.done_ns.filter(|done_ns| *done_ns > fault.at_ns) {
            entries.push((done_ns, "heal", format!("{}: done", fault.text)));
        }
    }
    for end in &facts.supervisor_exits {
        let text = match end.successor {
            None => format!("process {} ended with {}", end.pid, end.status),
            Some(successor) => {
                format!("process {} ended with {}; process {successor} had taken over", end.pid, end.status)
            }
        };
        entries.push((end.at_ns, "supervisor", text));
    }
    for listener in &records.kernel.listeners {
        let holders: Vec<String> = listener.holders.iter().map(u32::to_string).collect();
        let by = if holders.is_empty() { String::new() } else { format!(" by {}", holders.join(", ")) };
        entries.push((listener.opened_ns, "listener", format!("inode {} opened{by}", listener.inode)));
        if let Some(gone_ns) = listener.gone_ns {
            entries.push((gone_ns, "listener", format!("inode {} closed", listener.inode)));
        }
        entries.extend(full_entries(records, listener, facts.end_ns));
    }
    for log in records.workers.unwrap_or_default() {
        entries.extend(worker_entries(log));
    }
    // What the supervisor does when it is stopped after the load is no part of the trial.
    entries.retain(|(at_ns, _, _)| *at_ns <= facts.end_ns);
    entries.sort_by_key(|(at_ns, _, _)| *at_ns);
    let more = entries.len().saturating_sub(ENTRIES_MAX);
    let last_ns = entries.get(ENTRIES_MAX).map(|(at_ns, _, _)| *at_ns);
    entries.truncate(ENTRIES_MAX);
    if let Some(last_ns) = last_ns {
        entries.push((last_ns, "more", format!("{more} more entries; see events.jsonl")));
    }
    entries
        .into_iter()
        .map(|(at_ns, kind, text)| TimelineEntry {
            at_ns: i64::try_from(at_ns).unwrap_or(i64::MAX) - i64::try_from(facts.start_ns).unwrap_or(0),
            kind: kind.to_owned(),
            text,
        })
        .collect()
}

/// When the listener's accept queue was full, the first few times.
fn full_entries(
    records: &TrialRecords<'_>,
    listener: &Listener,
    end_ns: u64,
) -> Vec<(u64, &'static str, String)> {
    let spans = overflow::full_spans(records.kernel, listener, end_ns);
    let more = spans.len().saturating_sub(FULL_MAX);
    let entries = spans.iter().take(FULL_MAX).enumerate().map(|(index, span)| {
        let rest = match more {
            more if index + 1 == FULL_MAX && more > 0 => format!("; it was so {more} times more"),
            _ => String::new(),
        };
        let FullSpan { inode, queue_max, limit, .. } = span;
        let length = show_ns(span.length_ns());
        let text =
            format!("inode {inode}: accept queue full for {length}, {queue_max} in it, limit {limit}{rest}");
        (span.from_ns, "listener", text)
    });
    entries.collect()
}

fn worker_entries(log: &WorkerLog) -> impl Iterator<Item = (u64, &'static str, String)> + '_ {
    log.records.iter().filter_map(|record| {
        let what = match record.kind {
            RecordKind::Boot => "started".to_owned(),
            RecordKind::Ready => "is ready".to_owned(),
            RecordKind::TookOver => "took over".to_owned(),
            RecordKind::Drain => "drains".to_owned(),
            RecordKind::Exit => format!("exits with status {}", record.detail),
            RecordKind::BindFailed => format!("could not listen ({})", errno_in_words(record.detail)),
            RecordKind::BootFailed => "fails to boot".to_owned(),
            RecordKind::StoppedAccepting => "stops accepting".to_owned(),
            RecordKind::Crash => {
                let (step, mode) = parse_crash_detail(record.detail)?;
                format!("fails ({mode} at step {step})")
            }
            _ => return None,
        };
        Some((record.at_ns, "worker", format!("worker {} (generation {}) {what}", log.pid, log.generation)))
    })
}

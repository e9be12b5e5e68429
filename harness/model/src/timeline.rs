//! What happened when: faults, listeners, workers and supervisor on one line of time.

use crate::duration::show_ns;
use crate::errno::errno_in_words;
use crate::facts::{FaultFact, ProcessEnd, TrialFacts};
use crate::ledger::{TrialRecords, WorkerLog};
use crate::overflow::{self, FullSpan};
use crate::record::Listener;
use crate::result::{MomentKind, TimelineEntry, What};
use crate::shm::{RecordKind, WorkerRecord, parse_crash_detail};
use crate::watch::{Found, Watched};

/// The most entries that a result holds; `events.jsonl` holds them all.
pub const ENTRIES_MAX: usize = 200;
/// The most times that a listener's queue is said to be full; its queue is drawn as well.
const FULL_MAX: usize = 8;

/// Something that happened, in CLOCK_MONOTONIC nanoseconds.
struct Moment {
    at_ns: u64,
    kind: MomentKind,
    what: What,
    text: String,
}

impl Moment {
    const fn new(at_ns: u64, kind: MomentKind, what: What, text: String) -> Self {
        Self { at_ns, kind, what, text }
    }
}

/// The timeline of a trial, in order of time. What the watch saw come back was back after this long.
#[must_use]
pub fn timeline(
    records: &TrialRecords<'_>,
    facts: &TrialFacts,
    back_after_ns: Option<u64>,
) -> Vec<TimelineEntry> {
    let mut moments: Vec<Moment> = facts.faults.iter().flat_map(of_fault).collect();
    moments.extend(facts.supervisor_exits.iter().map(of_end));
    for listener in &records.kernel.listeners {
        moments.extend(of_listener(listener));
        moments.extend(full_entries(records, listener, facts.end_ns));
    }
    moments.extend(records.workers.unwrap_or_default().iter().flat_map(worker_entries));
    moments.extend(facts.watched.as_ref().and_then(|watched| of_watch(watched, back_after_ns)));
    // What the supervisor does when it is stopped after the load is no part of the trial.
    let end_ns = facts.story_end_ns();
    moments.retain(|moment| moment.at_ns <= end_ns);
    moments.sort_by_key(|moment| moment.at_ns);
    let more = moments.len().saturating_sub(ENTRIES_MAX);
    let last_ns = moments.get(ENTRIES_MAX).map(|moment| moment.at_ns);
    moments.truncate(ENTRIES_MAX);
    if let Some(last_ns) = last_ns {
        let text = format!("{more} more entries; see events.jsonl");
        moments.push(Moment::new(last_ns, MomentKind::More, What::More, text));
    }
    let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    moments
        .into_iter()
        .map(|Moment { at_ns, kind, what, text }| TimelineEntry {
            at_ns: signed(at_ns) - i64::try_from(facts.start_ns).unwrap_or(0),
            kind,
            what: Some(what),
            text,
        })
        .collect()
}

fn of_fault(fault: &FaultFact) -> Vec<Moment> {
    let nobody = if fault.hit_nobody { ": hit nobody" } else { "" };
    let of = fault.program.as_ref().map(|program| format!(" of {program}")).unwrap_or_default();
    let deed = format!("{}{of}{nobody}", fault.deed);
    let text = match &fault.error {
        None => deed.clone(),
        Some(error) => format!("{deed} failed: {error}"),
    };
    let struck = Moment::new(fault.at_ns, MomentKind::Fault, What::Struck, text);
    let over = |done_ns| Moment::new(done_ns, MomentKind::Heal, What::Over, format!("{deed}: done"));
    let over = fault.done_ns.filter(|done_ns| *done_ns > fault.at_ns).map(over);
    std::iter::once(struck).chain(over).collect()
}

fn of_end(end: &ProcessEnd) -> Moment {
    let text = match end.successor {
        None => format!("process {} ended with {}", end.pid, end.status),
        Some(successor) => {
            format!("process {} ended with {}; process {successor} had taken over", end.pid, end.status)
        }
    };
    Moment::new(end.at_ns, MomentKind::Supervisor, What::Ended, text)
}

/// Since when the service is back, or how long it was looked for.
fn of_watch(watched: &Watched, back_after_ns: Option<u64>) -> Option<Moment> {
    let moment = |at_ns, text| Some(Moment::new(at_ns, MomentKind::Watch, What::Watched, text));
    match &watched.found {
        Found::Back { at_ns } => moment(*at_ns, format!("back after {}", show_ns(back_after_ns?))),
        Found::NotBack { last } => {
            let last = last.as_ref().map(|last| format!(": {last}")).unwrap_or_default();
            moment(watched.ended_ns, format!("not back within {}{last}", show_ns(watched.lasted_ns())))
        }
        Found::NothingLeft => moment(watched.ended_ns, "nothing is left that could come back".to_owned()),
        Found::Unasked { .. } | Found::Interrupted => None,
    }
}

fn of_listener(listener: &Listener) -> Vec<Moment> {
    let holders: Vec<String> = listener.holders.iter().map(u32::to_string).collect();
    let by = if holders.is_empty() { String::new() } else { format!(" by {}", holders.join(", ")) };
    let moment = |at_ns, what, text| Moment::new(at_ns, MomentKind::Listener, what, text);
    let opened = moment(listener.opened_ns, What::Opened, format!("inode {} opened{by}", listener.inode));
    let closed = |gone_ns| moment(gone_ns, What::Closed, format!("inode {} closed", listener.inode));
    std::iter::once(opened).chain(listener.gone_ns.map(closed)).collect()
}

/// When the listener's accept queue was full, the first few times.
fn full_entries(records: &TrialRecords<'_>, listener: &Listener, end_ns: u64) -> Vec<Moment> {
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
        Moment::new(span.from_ns, MomentKind::Listener, What::QueueFull, text)
    });
    entries.collect()
}

fn worker_entries(log: &WorkerLog) -> impl Iterator<Item = Moment> + '_ {
    log.records.iter().filter_map(|record| {
        let (what, text) = in_words(&record)?;
        let text = format!("worker {} (generation {}) {text}", log.pid, log.generation);
        Some(Moment::new(record.at_ns, MomentKind::Worker, what, text))
    })
}

/// What a worker did, if that is rare enough to be shown.
fn in_words(record: &WorkerRecord) -> Option<(What, String)> {
    let said = |what, text: &str| Some((what, text.to_owned()));
    match record.kind {
        RecordKind::Boot => said(What::Opened, "started"),
        RecordKind::Ready => said(What::Ready, "is ready"),
        RecordKind::TookOver => said(What::TookOver, "took over"),
        RecordKind::Drain => said(What::Drains, "drains"),
        RecordKind::Exit => Some((What::Ended, format!("exits with status {}", record.detail))),
        RecordKind::BindFailed => {
            Some((What::BindFailed, format!("could not listen ({})", errno_in_words(record.detail))))
        }
        RecordKind::BootFailed => said(What::BootFailed, "fails to boot"),
        RecordKind::StoppedAccepting => said(What::StoppedAccepting, "stops accepting"),
        RecordKind::Crash => {
            let (step, mode) = parse_crash_detail(record.detail)?;
            Some((What::Crashed, format!("fails ({mode} at step {step})")))
        }
        RecordKind::Accepted
        | RecordKind::Read
        | RecordKind::Replied
        | RecordKind::Closed
        | RecordKind::AcceptFailed => None,
    }
}

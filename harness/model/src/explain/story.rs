//! A trial as its losses are told of: who listened when, who ended when, who was stuck.

use crate::custody::Exhausted;
use crate::facts::TrialFacts;
use crate::ledger::{Attempt, Reconciled, TrialRecords, WorkerLog};
use crate::record::ClientRecord;
use crate::result::{Cause, Stall, Stuck};
use crate::shm::{RecordKind, WorkerRecord, parse_crash_detail};
use crate::words::{Blame, CrashMode, Fate};

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

/// A time when nobody listened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The last sight of the last listener.
    pub(crate) from_ns: u64,
    /// The first sight of the next, or `None` for "to the end".
    pub(crate) to_ns: Option<u64>,
    /// Whether a look found nobody. Where the look that missed the one listener found the next, it was
    /// shorter than the time between two looks, and at a Unix path both may have been open side by side:
    /// a successor refuses there from its `bind` to its `listen`.
    pub(crate) is_seen: bool,
}

impl<'a> Story<'a> {
    pub(crate) fn lost(&self, blame: Blame, fate: Option<Fate>) -> Vec<(&'a Attempt, &'a ClientRecord)> {
        self.reconciled
            .attempts
            .iter()
            .filter(|attempt| attempt.blame == Some(blame) && fate.is_none_or(|fate| attempt.fate == fate))
            .filter_map(|attempt| Some((attempt, self.records.client.get(attempt.record as usize)?)))
            .collect()
    }

    pub(super) fn worker(&self, attempt: &Attempt) -> Option<&'a WorkerLog> {
        self.records.workers?.get(attempt.worker as usize)
    }

    pub(super) fn since_start_ns(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.facts.start_ns)
    }

    /// Times when nobody listened.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let listeners = &self.records.kernel.listeners;
        let mut gaps = Vec::new();
        for listener in listeners {
            let (Some(from_ns), Some(gone_ns)) = (listener.last_seen_ns, listener.gone_ns) else { continue };
            let covered = listeners.iter().any(|other| {
                other.opened_ns < gone_ns && other.gone_ns.is_none_or(|other_gone_ns| other_gone_ns > gone_ns)
            });
            if !covered {
                let to_ns = listeners.iter().map(|l| l.opened_ns).filter(|opened| *opened >= gone_ns).min();
                gaps.push(Gap { from_ns, to_ns, is_seen: to_ns != Some(gone_ns) });
            }
        }
        gaps.dedup();
        gaps
    }

    /// Whose end came last before an instant, with some slack for the observer's interval.
    pub(super) fn cause(&self, at_ns: u64) -> Option<Cause> {
        let by_ns = at_ns + self.slack_ns();
        // A worker that nobody supervises is its own supervisor: its own records say more.
        let is_worker = |pid| self.records.workers.unwrap_or_default().iter().any(|log| log.pid == pid);
        let exits =
            self.facts.supervisor_exits.iter().filter(|end| end.successor.is_none() && !is_worker(end.pid));
        let supervisor = exits.map(|end| (end.at_ns, Cause::SupervisorEnded { status: end.status }));
        let workers = self.records.workers.unwrap_or_default().iter().filter_map(end_of_worker);
        let deaths = self.records.deaths.iter();
        let killed = deaths.map(|death| (death.at_ns, Cause::WorkerKilled { pid: death.pid }));
        let ends = supervisor.chain(workers).chain(killed).filter(|(end_ns, _)| *end_ns <= by_ns);
        ends.max_by_key(|(end_ns, _)| *end_ns).map(|(_, cause)| cause)
    }

    /// The last worker that could not listen, whatever others did after it; else whose end came last.
    pub(super) fn why_nobody_ever_listened(&self) -> Option<Cause> {
        let failure = |log: &WorkerLog| {
            let record = log.records.iter().find(|record| record.kind == RecordKind::BindFailed)?;
            Some(bind_failure(log, &record))
        };
        let failed = self.records.workers.unwrap_or_default().iter().rev().find_map(failure);
        failed.or_else(|| self.cause(self.facts.end_ns))
    }
}

impl Story<'_> {
    /// How far apart two things may have been seen that belong together.
    pub(crate) fn slack_ns(&self) -> u64 {
        3 * self.records.kernel.interval_ns.max(1_000_000)
    }

    /// Who had no descriptors left while most of these attempts were under way, if anybody had.
    pub(super) fn out_of_descriptors(&self, attempts: &[&ClientRecord]) -> Option<Cause> {
        let touches = |exhausted: &Exhausted, record: &ClientRecord| {
            record.finished.is_some_and(|finished| exhausted.touches(record.intended_ns, finished.get()))
        };
        let explained =
            |exhausted: &Exhausted| attempts.iter().filter(|record| touches(exhausted, record)).count();
        let exhausted = self.records.kernel.held.exhausted.iter().max_by_key(|it| explained(it))?;
        let Exhausted { process, limit, .. } = exhausted;
        (explained(exhausted) * 2 > attempts.len()).then(|| Cause::OutOfDescriptors {
            pid: process.pid,
            name: process.name.clone(),
            limit: *limit,
        })
    }

    /// How many workers failed to boot between two instants.
    pub(super) fn failed_starts(&self, from_ns: u64, to_ns: Option<u64>) -> u64 {
        let is_failure = |record: &WorkerRecord| {
            matches!(record.kind, RecordKind::BootFailed | RecordKind::BindFailed)
                && record.at_ns + self.slack_ns() >= from_ns
                && to_ns.is_none_or(|to_ns| record.at_ns <= to_ns)
        };
        let logs = self.records.workers.unwrap_or_default();
        logs.iter().filter(|log| log.records.iter().any(|record| is_failure(&record))).count() as u64
    }

    /// Which workers live and accept nothing, and why: they do not end, so nobody starts others.
    pub(super) fn stuck_workers(&self) -> Vec<Stuck> {
        let logs = self.records.workers.unwrap_or_default().iter();
        logs.filter_map(|log| Some(Stuck { pid: log.pid, by: stall(log, self.facts.end_ns)? })).collect()
    }
}

/// Why a worker that was not told to stop accepts nothing; `None` if it does, or has ended.
fn stall(log: &WorkerLog, end_ns: u64) -> Option<Stall> {
    let before_the_end = || log.records.iter().filter(|record| record.at_ns <= end_ns);
    if log.crashed_ns().is_some() || before_the_end().any(|record| record.kind == RecordKind::Exit) {
        return None;
    }
    before_the_end().rev().find_map(|record| match record.kind {
        RecordKind::StoppedAccepting => Some(Stall::StoppedAccepting),
        RecordKind::AcceptFailed => Some(Stall::CouldNotAccept(record.detail)),
        RecordKind::Crash | RecordKind::BootFailed => {
            let (step, mode) = parse_crash_detail(record.detail)?;
            (mode == CrashMode::Hang).then_some(Stall::Hung(step))
        }
        RecordKind::Boot
        | RecordKind::Ready
        | RecordKind::Accepted
        | RecordKind::Read
        | RecordKind::Replied
        | RecordKind::Closed
        | RecordKind::Drain
        | RecordKind::Exit
        | RecordKind::BindFailed
        | RecordKind::TookOver => None,
    })
}

fn end_of_worker(log: &WorkerLog) -> Option<(u64, Cause)> {
    // A worker that cannot listen says so, and then that it exits.
    let said = log.records.iter().rev().take(2);
    if let Some(cause) = said.last().filter(|record| record.kind == RecordKind::BindFailed) {
        return Some((cause.at_ns, bind_failure(log, &cause)));
    }
    let last = log.records.last()?;
    let cause = match last.kind {
        RecordKind::Crash | RecordKind::BootFailed => {
            let (step, mode) = parse_crash_detail(last.detail).filter(|(_, mode)| mode.ends_process())?;
            Cause::WorkerDied { pid: log.pid, step, mode }
        }
        RecordKind::Exit => Cause::WorkerExited { pid: log.pid },
        RecordKind::Boot
        | RecordKind::Ready
        | RecordKind::Accepted
        | RecordKind::Read
        | RecordKind::Replied
        | RecordKind::Closed
        | RecordKind::Drain
        | RecordKind::BindFailed
        | RecordKind::AcceptFailed
        | RecordKind::StoppedAccepting
        | RecordKind::TookOver => return None,
    };
    Some((last.at_ns, cause))
}

fn bind_failure(log: &WorkerLog, record: &WorkerRecord) -> Cause {
    Cause::CouldNotListen { pid: log.pid, errno: record.detail }
}

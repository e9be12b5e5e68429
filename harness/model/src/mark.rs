//! Whether a fault was one: it may have hit nobody, or its victim may have survived it, since the server
//! caught the error. Such a fault is no evidence that a crash is harmless, so that the grade is marked.
//!
//! Only faults that are to end a worker at once are judged, or to be caught by it (mode `catch`). What a
//! worker that hangs, leaks or stops accepting does is what its mode says, and a worker that boots or drains
//! ends either way. A signal that found its process is taken to have struck: what it does is up to the
//! process, and SIGKILL cannot be survived.

use std::num::NonZeroU64;

use crate::facts::{FaultFact, TrialFacts};
use crate::ledger::{Attempt, NO_WORKER, Reconciled, TrialRecords, WorkerLog};
use crate::reason::Note;
use crate::record::ClientRecord;
use crate::scenario::{Action, Scenario};
use crate::shm::{RecordKind, WorkerRecord, parse_crash_detail};
use crate::words::{CrashMode, CrashStep, Fate, Mark};

/// How long after a victim's descriptors were closed its process may still seem to live: the kernel closes
/// them (`exit_files`) before it lets the parent know (`exit_notify`, Linux `kernel/exit.c`), and on a busy
/// machine it may be some time until it goes on.
const DYING_NS_MAX: u64 = 50_000_000;

/// How long after its crash a record of a worker still says nothing: other threads of its process may go
/// on until the signal that ends all of them has arrived.
const LAST_WORDS_NS_MAX: u64 = 10_000_000;

/// What became of whom a fault was to hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consequence {
    /// It struck: its victim ended, or the fault is not of a kind that is judged.
    Struck,
    /// Its victim lived on.
    Survived,
    /// There was no victim.
    Unhit,
    /// It cannot be told.
    NotKnown,
}

/// What became of each fault that was to end a worker, in the order in which they struck.
pub(crate) struct Consequences {
    all: Vec<Consequence>,
    /// What a reader should know of them.
    pub(crate) notes: Vec<Note>,
}

impl Consequences {
    /// Judges the faults of a trial.
    pub(crate) fn of(
        scenario: &Scenario,
        records: &TrialRecords<'_>,
        reconciled: &Reconciled,
        facts: &TrialFacts,
    ) -> Self {
        let witness = Witness { records, reconciled, facts };
        let mut found = Self { all: Vec::new(), notes: Vec::new() };
        for fault in facts.faults.iter().filter(|fault| fault.error.is_none()) {
            let Some(planned) = scenario.faults.get(fault.fault) else { continue };
            let consequence = witness.consequence(fault, &planned.action);
            found.notes.extend(note(fault, consequence));
            found.all.push(consequence);
        }
        // These were noted as they did not happen.
        let unhit = facts.notes.iter().filter(|note| is_of_nobody(note)).map(|_| Consequence::Unhit);
        found.all.extend(unhit);
        found
    }

    /// The mark of the whole trial: one that was survived outweighs one that hit nobody, and either those
    /// that struck.
    pub(crate) fn mark(&self) -> Option<Mark> {
        let any = |consequence| self.all.contains(&consequence);
        if any(Consequence::Survived) {
            Some(Mark::Survived)
        } else if any(Consequence::Unhit) {
            Some(Mark::Unhit)
        } else {
            None
        }
    }
}

/// Whether a note says that a fault had no victim.
fn is_of_nobody(note: &Note) -> bool {
    matches!(
        note,
        Note::HitNobody { .. }
            | Note::NobodyHadIt { .. }
            | Note::NobodyCame { .. }
            | Note::NeverStruck { .. }
            | Note::CallNotMade { .. }
    )
}

/// What a reader should know of a fault's consequence, where the fault itself does not say it.
fn note(fault: &FaultFact, consequence: Consequence) -> Option<Note> {
    let (number, action) = (fault.fault as u64 + 1, fault.deed.into());
    match consequence {
        Consequence::Struck => None,
        Consequence::Survived => Some(Note::Survived { fault: number, action }),
        Consequence::Unhit => Some(Note::Untaken { fault: number, action }),
        Consequence::NotKnown => Some(Note::SurvivalNotKnown { fault: number, action }),
    }
}

/// What is known of a fault's victim.
struct Witness<'a> {
    records: &'a TrialRecords<'a>,
    reconciled: &'a Reconciled,
    facts: &'a TrialFacts,
}

impl Witness<'_> {
    fn consequence(&self, fault: &FaultFact, action: &Action) -> Consequence {
        if fault.killed {
            return Consequence::Struck;
        }
        match (action, fault.poison) {
            (Action::Poison(poison), Some(attempt)) if should_be_caught_or_kill(poison.mode) => {
                self.of_poison(attempt)
            }
            (Action::Crash { step: CrashStep::Idle, mode, .. }, _) if should_be_caught_or_kill(*mode) => {
                self.of_idle(fault.at_ns)
            }
            (
                Action::Poison(_)
                | Action::Crash { .. }
                | Action::Signal { .. }
                | Action::Pause { .. }
                | Action::Control { .. },
                _,
            ) => Consequence::Struck,
        }
    }

    fn of_poison(&self, number: u32) -> Consequence {
        let Some(attempt) = self.reconciled.attempts.get(number as usize) else {
            return Consequence::NotKnown;
        };
        let client = self.records.client.get(attempt.record as usize);
        let logs = self.records.workers.unwrap_or_default();
        if let Some((log, crash)) = logs.iter().find_map(|log| Some((log, log.crash_of(number)?))) {
            return self.after(log, &crash, client);
        }
        match self.records.workers {
            _ if client.is_some_and(ClientRecord::ended_in_tls) => Consequence::Unhit,
            _ if was_never_taken(attempt, self.records.tell_accepts()) => Consequence::Unhit,
            None => self.without_ledger(attempt, client),
            Some(_) => Consequence::NotKnown,
        }
    }

    /// Of the workers that failed while they waited: one that died is enough.
    fn of_idle(&self, since_ns: u64) -> Consequence {
        let is_idle = |record: &WorkerRecord| {
            record.kind == RecordKind::Crash
                && record.at_ns >= since_ns
                && parse_crash_detail(record.detail).is_some_and(|(step, _)| step == CrashStep::Idle)
        };
        let logs = self.records.workers.unwrap_or_default().iter();
        let failed = logs.filter_map(|log| Some((log, log.records.iter().find(is_idle)?)));
        let all: Vec<Consequence> = failed.map(|(log, crash)| self.after(log, &crash, None)).collect();
        let any = |consequence| all.contains(&consequence);
        if any(Consequence::NotKnown) && !any(Consequence::Struck) {
            Consequence::NotKnown
        } else if any(Consequence::Survived) && !any(Consequence::Struck) {
            Consequence::Survived
        } else {
            // Where none failed, the conductor has noted that nobody came.
            Consequence::Struck
        }
    }

    /// What became of a worker that recorded its failure.
    fn after(&self, log: &WorkerLog, crash: &WorkerRecord, client: Option<&ClientRecord>) -> Consequence {
        let is_sign = |record: &WorkerRecord| record.kind != RecordKind::Exit;
        let last_ns = log.records.iter().rfind(is_sign).map_or(0, |record| record.at_ns);
        let lives = self.facts.alive_at_end.contains(&log.pid);
        if last_ns > crash.at_ns.saturating_add(LAST_WORDS_NS_MAX) {
            return Consequence::Survived;
        }
        if !lives {
            return Consequence::Struck;
        }
        // A worker that allocates, or whose memory is dumped, takes its time to end.
        let ended_ns = client.map_or(Some(crash.at_ns), |record| record.finished.map(NonZeroU64::get));
        match ended_ns {
            Some(ns) if last_ns > crash.at_ns || self.is_settled(ns) => Consequence::Survived,
            Some(_) | None => Consequence::NotKnown,
        }
    }

    /// Without a ledger, a victim survived if it answered completely and no process came or went.
    fn without_ledger(&self, attempt: &Attempt, client: Option<&ClientRecord>) -> Consequence {
        let facts = self.facts;
        let is_gone = |pid: &u32| !facts.alive_at_end.contains(pid);
        let has_ended = facts.supervisor_exits.iter().any(|end| end.at_ns <= facts.end_ns);
        if has_ended || facts.alive_at_start.iter().any(is_gone) {
            return Consequence::Struck;
        }
        let is_answered = matches!(attempt.fate, Fate::Served | Fate::ErrorReply | Fate::WrongReply);
        let are_the_same = facts.alive_at_start.len() == facts.alive_at_end.len();
        let finished_ns = client.and_then(|record| record.finished).map(NonZeroU64::get);
        // Whoever accepts may have a worker behind it, and answers for it where that ends.
        let nobody_ended = are_the_same && facts.gone_below == 0;
        match finished_ns {
            Some(ns) if is_answered && nobody_ended && self.is_settled(ns) => Consequence::Survived,
            Some(_) | None => Consequence::NotKnown,
        }
    }

    /// Whether a process that was ending at an instant would be gone by the load's end.
    fn is_settled(&self, ns: u64) -> bool {
        self.facts.end_ns.saturating_sub(ns) >= DYING_NS_MAX
    }
}

/// Whether a fault of this mode is to end its victim, or to be caught by it.
const fn should_be_caught_or_kill(mode: CrashMode) -> bool {
    match mode {
        CrashMode::Exit
        | CrashMode::Panic
        | CrashMode::Abort
        | CrashMode::Segv
        | CrashMode::Kill
        | CrashMode::Allocate
        | CrashMode::Catch => true,
        CrashMode::Hang | CrashMode::StopAccepting | CrashMode::LeakFds => false,
    }
}

/// Whether no worker ever had the attempt in its hands.
fn was_never_taken(attempt: &Attempt, accepts_are_told: bool) -> bool {
    match attempt.fate {
        Fate::Refused | Fate::SynDropped | Fate::QueueReset => true,
        Fate::TimedOut => accepts_are_told && attempt.worker == NO_WORKER,
        Fate::Served
        | Fate::NoReply
        | Fate::Truncated
        | Fate::ErrorReply
        | Fate::WrongReply
        | Fate::Silent
        | Fate::NotSent => false,
    }
}

#[cfg(test)]
mod tests;

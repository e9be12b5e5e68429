//! The machine-readable result, `holdline.run/1`: what `run.json` and `--export-json` hold.
//!
//! The keys that are documented do not change; others may be added. Durations are integer
//! nanoseconds and end in `_ns`. Instants end in `_ns` too and count from the start of the trial's load.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::ledger::Entry;
use crate::reason::{Note, Reason};
use crate::recovery::Recovery;
use crate::violation::Violation;
use crate::words::{Blame, Fate, Grade, Mark, Verdict};

mod advice;
mod books;
mod cost;
mod endings;
mod given;
mod kernel;
mod kinds;
mod latency;
mod loss;
mod manifest;
mod phases;
mod pool;
mod remedy;
mod sessions;
mod silent;
mod tls;
mod workers;

pub use advice::{Advice, Backlog, Need};
pub use books::BooksResult;
pub use cost::{CostMethod, CostResult};
pub use endings::EndingsResult;
pub use given::{Flaw, Given, StrayDescriptor, Wrong};
pub use kernel::{KernelResult, ListenerResult};
pub use kinds::{Check, LossKind, MomentKind, What};
pub use latency::{LatencySet, Quantiles};
pub use loss::{
    Cause, Chain, Closer, Cut, End, How, Known, Loss, Lost, LostBy, Part, Place, PoisonReply, Queue, Silence,
    Span, Stall, Stuck,
};
pub use manifest::Manifest;
pub use phases::{Phase, Phases};
pub use pool::PoolResult;
pub use remedy::{Change, DrainBasis, Remedy};
pub use sessions::SessionsResult;
pub use silent::SilentResult;
pub use tls::{CertificateResult, TlsResult};
pub use workers::{InheritanceCheck, SettledResult, WorkersResult};

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.run/1";

/// A run: a set of trials with one manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// How it came about.
    pub manifest: Manifest,
    /// Whether every planned trial ended; false while running, after Ctrl-C and after a kill.
    pub complete: bool,
    /// The trials that ended, in the order in which they ran.
    pub trials: Vec<TrialResult>,
}

/// One supervisor × one scenario × one repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialResult {
    /// Name of the supervisor.
    pub supervisor: String,
    /// What its version receipt printed, first line.
    pub supervisor_version: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// The supervisor's mark.
    pub grade: Grade,
    /// Why the grade is no evidence of what a crash does, where it is none: `survived` if the victim of any
    /// fault lived on, else `unhit` if any had no victim; `null`: every fault struck, or it is not known.
    #[serde(default)]
    pub mark: Option<Mark>,
    /// The trial against its expectations.
    pub verdict: Verdict,
    /// Expectations that did not hold, in words.
    pub violations: Vec<String>,
    /// The same as values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violated: Vec<Violation>,
    /// Expectations that did not hold, of a reference supervisor that is there to show just that: it has the grade that
    /// the scenario's `[reference]` table foresees. They fail nothing. Only in a run that names neither scenario nor
    /// supervisor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreseen: Vec<Violation>,
    /// Why it is unsupported or inconclusive, or why the supervisor is down.
    pub reason: Option<String>,
    /// The same as a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Reason>,
    /// Attempts that the load client set out to make.
    pub attempts: u64,
    /// How many attempts had each fate. Every fate is present; the sum is `attempts`.
    pub fates: BTreeMap<Fate, u64>,
    /// How many lost attempts were lost for each reason. Every blame is present.
    pub blame: BTreeMap<Blame, u64>,
    /// Collateral losses by fate; fates that have none are absent.
    pub collateral: BTreeMap<Fate, u64>,
    /// Of the lost attempts, how many were safe to retry.
    pub safe_to_retry: u64,
    /// Of the lost attempts, how many were not.
    pub ambiguous: u64,
    /// Latencies.
    pub latency: LatencySet,
    /// What became of sessions; absent where connections carry one request each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<SessionsResult>,
    /// What became of clients that asked for nothing; absent where all asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<SilentResult>,
    /// What became of a pool of connections; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<PoolResult>,
    /// How connections ended, as their clients saw it.
    #[serde(default)]
    pub endings: EndingsResult,
    /// From how many client addresses attempts were sent: as many as attempts, unless the scenario has them share
    /// some.
    #[serde(default)]
    pub client_addresses: u64,
    /// How many threads of the load client made them; absent where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_threads: Option<u32>,
    /// What became of TLS handshakes; absent where the service is spoken to without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsResult>,
    /// How servers closed connections of WebSocket, by status code (RFC 6455, section 7.4): 1005 where they named none,
    /// 1006 where they ended the connection without a close.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub close_codes: BTreeMap<u16, u64>,
    /// What the kernel counted.
    pub kernel: KernelResult,
    /// Longest runs of requests none of which was served in time.
    pub outages: Vec<Outage>,
    /// For each fault, the time from the interruption that it made (the first that was due after it and not
    /// served in time) to the first that was served in time again; `null`: nothing was interrupted, or it never
    /// came back, which `recoveries` tells apart.
    pub recovery_ns: Vec<Option<u64>>,
    /// The same as values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recoveries: Vec<Recovery>,
    /// Requests by when it was clear what became of them: before any fault, while faults made themselves felt,
    /// and after that; absent where there was no fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<Phases>,
    /// How long after the last fault the service was back, where only the watch after the load saw it; `null`:
    /// there was no watch, or the service was not back by its end.
    #[serde(default)]
    pub back_after_ns: Option<u64>,
    /// How long the service was watched after the load had ended; 0: it was not.
    #[serde(default)]
    pub watched_ns: u64,
    /// For how long it would have been at most.
    #[serde(default)]
    pub patience_ns: u64,
    /// What became of the workers.
    pub workers: WorkersResult,
    /// The versions of the worker that answered, in ascending order; empty where none was named.
    #[serde(default)]
    pub versions: Vec<Served>,
    /// What the supervisor and its workers cost the machine; absent where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostResult>,
    /// How the process that was started as the supervisor ended while the load ran, in words that
    /// fit "ended with …"; absent where it was still there at the load's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub supervisor_ended: Option<Exit>,
    /// Whether a signal had stopped the supervisor, and nobody had let it go on when all was over; absent where not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supervisor_stopped: bool,
    /// `balanced`, or the lines that are off.
    pub books: BooksResult,
    /// Those lines as values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<Entry>,
    /// One line for each kind of loss, in plain words.
    pub losses: Vec<String>,
    /// The same as values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Loss>,
    /// Faults and listener changes in order of time.
    pub timeline: Vec<TimelineEntry>,
    /// Served within the deadline, served late, and lost, over time.
    pub strip: Vec<StripBucket>,
    /// What a reader should know about how these numbers came about.
    pub notes: Vec<String>,
    /// The same as values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noted: Vec<Note>,
    /// The trial's folder, relative to the run directory.
    pub folder: String,
    /// How long the trial took, sandbox included.
    pub elapsed_ns: u64,
    /// The backlog that the load would have needed, in words, where a queue was full or nearly so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The same as a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advised: Option<Advice>,
    /// What would have prevented losses that need not have been; empty where nothing was lost, or nothing is known
    /// that would have helped. Several that name the same losses are alternatives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
    /// Collateral losses that none of these would have prevented, by fate; who was refused by a service that was to
    /// stop is not among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub without_remedy: BTreeMap<Fate, u64>,
    /// Remedies of another trial that holdline has applied in this one, to prove them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<Change>,
    /// Attempts served per second, from the load's start to the end of the last attempt, where the load
    /// is a closed loop: other loads set their own pace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throughput_per_second: Option<f64>,
}

impl RunResult {
    /// Whether a trial could not be run although its supervisor must.
    #[must_use]
    pub fn is_required_in_vain(&self, trial: &TrialResult) -> bool {
        trial.was_not_run() && self.manifest.required.contains(&trial.supervisor)
    }
}

impl TrialResult {
    /// Whether it was not run: something is missing, or the service never got ready.
    #[must_use]
    pub fn was_not_run(&self) -> bool {
        self.verdict == Verdict::Unsupported
            || matches!(self.why, Some(Reason::NotRun { .. } | Reason::NoRightReply { .. }))
    }

    /// Says why it is what it is.
    pub fn explain(&mut self, why: Reason) {
        self.reason = Some(why.to_string());
        self.why = Some(why);
    }

    /// Says what a reader should know beside.
    pub fn note(&mut self, note: Note) {
        self.notes.push(note.to_string());
        self.noted.push(note);
    }

    /// Attempts that asked and were not served.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let is_lost = |fate: &Fate| !matches!(fate, Fate::Served | Fate::Silent | Fate::NotSent);
        self.fates.iter().filter(|(fate, _)| is_lost(fate)).map(|(_, count)| count).sum()
    }

    /// The longest outage in nanoseconds, 0 if there was none.
    #[must_use]
    pub fn longest_outage_ns(&self) -> u64 {
        self.outages.iter().map(|outage| outage.end_ns.saturating_sub(outage.start_ns)).max().unwrap_or(0)
    }

    /// The recovery from each fault. Of a result that holds only times, `null` was never.
    #[must_use]
    pub fn recovered(&self) -> Vec<Recovery> {
        if !self.recoveries.is_empty() {
            return self.recoveries.clone();
        }
        let of =
            |after_ns: &Option<u64>| after_ns.map_or(Recovery::Never, |after_ns| Recovery::Back { after_ns });
        self.recovery_ns.iter().map(of).collect()
    }

    /// Whether anything was done to the system.
    #[must_use]
    pub fn had_fault(&self) -> bool {
        self.timeline.iter().any(|entry| entry.kind == MomentKind::Fault)
    }
}

/// A longest run of requests none of which was served in time. A connection that is no session is one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outage {
    /// Intended start of its first request.
    pub start_ns: u64,
    /// Intended start of the next request that was served in time, or when the watch after the load saw the
    /// service back; else the end of the trial.
    pub end_ns: u64,
    /// How many requests.
    pub attempts: u64,
}

/// A version of the worker, as far as it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Served {
    /// Which version, as its replies named it.
    pub version: u16,
    /// Attempts that it served.
    pub served: u64,
    /// Its first complete reply, from the load's start.
    pub first_ns: u64,
    /// Its last.
    pub last_ns: u64,
}

/// Something that happened at an instant of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEntry {
    /// When, from the start of the load; negative before it.
    pub at_ns: i64,
    /// What it happened to.
    pub kind: MomentKind,
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub what: Option<What>,
    /// What happened, in words.
    pub text: String,
}

/// A part of the trial's time, for drawing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StripBucket {
    /// Its beginning, from the start of the load.
    pub start_ns: u64,
    /// Requests due in it that were served in time.
    pub served: u64,
    /// Requests due in it that were served late.
    pub late: u64,
    /// Requests due in it that were lost.
    pub lost: u64,
    /// The longest accept queue in it.
    pub queue_max: u32,
}

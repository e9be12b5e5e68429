//! The machine-readable result, `holdline.run/1`: what `run.json` and `--export-json` hold.
//!
//! The keys that are documented do not change; others may be added. Durations are integer
//! nanoseconds and end in `_ns`. Instants end in `_ns` too and count from the trial's start.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::words::{Blame, Fate, Grade, Isolation, Verdict};

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.run/1";

/// A run: a set of trials with one manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// How a run came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The seed from which everything that is drawn was drawn.
    pub seed: u64,
    /// Version of holdline.
    pub holdline: String,
    /// Release of the kernel.
    pub kernel: String,
    /// CPUs that the run could use.
    pub cpus: u32,
    /// Namespaces of the trials.
    pub isolation: Isolation,
    /// Wall-clock time of the start, RFC 3339.
    pub started: String,
    /// Model of the CPU as the kernel names it.
    pub cpu_model: String,
    /// The command line, without the program's path.
    pub command: Vec<String>,
    /// Trials that were planned.
    pub planned: u32,
    /// Sysctls of the host that bear on the result.
    pub sysctls: BTreeMap<String, String>,
    /// Whether counters are the whole host's, for want of a network namespace.
    pub counters_host_wide: bool,
}

/// One supervisor × one scenario × one repetition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The trial against its expectations.
    pub verdict: Verdict,
    /// Expectations that did not hold, in words.
    pub violations: Vec<String>,
    /// Why it is unsupported or inconclusive, or why the supervisor is down.
    pub reason: Option<String>,
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
    /// What the kernel counted.
    pub kernel: KernelResult,
    /// Longest runs of attempts none of which was served in time.
    pub outages: Vec<Outage>,
    /// For each fault, the time to the first accept after it; `null`: never.
    pub recovery_ns: Vec<Option<u64>>,
    /// What became of the workers.
    pub workers: WorkersResult,
    /// `balanced`, or the lines that are off.
    pub books: String,
    /// One line for each kind of loss, in plain words.
    pub losses: Vec<String>,
    /// Faults and listener changes in order of time.
    pub timeline: Vec<TimelineEntry>,
    /// Served within the deadline, served late, and lost, over time.
    pub strip: Vec<StripBucket>,
    /// What a reader should know about how these numbers came about.
    pub notes: Vec<String>,
    /// The trial's folder, relative to the run directory.
    pub folder: String,
    /// How long the trial took, sandbox included.
    pub elapsed_ns: u64,
}

/// The latencies of a trial, each from the intended start but for `queue_wait`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySet {
    /// started − intended start.
    pub send_lag: Quantiles,
    /// connected − intended start.
    pub connect: Quantiles,
    /// accepted − connected.
    pub queue_wait: Quantiles,
    /// accepted − intended start.
    pub accept: Quantiles,
    /// finished − intended start, of served attempts.
    pub response: Quantiles,
}

impl LatencySet {
    /// Each latency with its name, in the order in which reports show them.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Quantiles); 5] {
        [
            ("send_lag", &self.send_lag),
            ("connect", &self.connect),
            ("queue_wait", &self.queue_wait),
            ("accept", &self.accept),
            ("response", &self.response),
        ]
    }
}

/// A latency's distribution. The whole of it is in the trial's `.hlog` and `.hgrm` files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many values. With 0, all others are 0 and mean nothing.
    pub count: u64,
    /// The median.
    pub p50_ns: u64,
    /// The 90th percentile.
    pub p90_ns: u64,
    /// The 99th percentile.
    pub p99_ns: u64,
    /// The 99.9th percentile.
    pub p999_ns: u64,
    /// The largest value.
    pub max_ns: u64,
    /// How the values were obtained, where there is more than one way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
}

/// What the kernel counted in a trial.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct KernelResult {
    /// `ListenOverflows`.
    pub listen_overflows: u64,
    /// `ListenDrops`.
    pub listen_drops: u64,
    /// The longest accept queue that was sampled.
    pub queue_max: u32,
    /// The limit of the last listener.
    pub queue_limit: u32,
    /// Listeners that were closed during the load.
    pub listeners_closed: u32,
    /// All counters, by the kernel's names; absent where they are the whole host's.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
    /// Median time between two looks at the listeners.
    #[serde(default)]
    pub interval_ns: u64,
}

/// A longest run of attempts none of which was served in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Intended start of its first attempt.
    pub start_ns: u64,
    /// Intended start of the next attempt that was served in time, or the end of the trial.
    pub end_ns: u64,
    /// How many attempts.
    pub attempts: u64,
}

/// What became of the workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkersResult {
    /// Workers that started, counting each incarnation.
    pub generations: u32,
    /// Workers that outlived whoever started them.
    pub orphans: u32,
    /// Descriptors that workers inherited and should not have.
    pub leaked_fds: u32,
    /// Connections accepted by each worker, in order of start.
    #[serde(default)]
    pub accepted: Vec<u64>,
    /// Whether workers kept a ledger; if not, what only a ledger could tell is not known.
    #[serde(default)]
    pub ledger: bool,
}

/// Something that happened at an instant of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When, from the start of the load; negative before it.
    pub at_ns: i64,
    /// `fault`, `heal`, `listener`, `worker` or `supervisor`.
    pub kind: String,
    /// What happened, in words.
    pub text: String,
}

/// A part of the trial's time, for drawing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StripBucket {
    /// Its beginning, from the start of the load.
    pub start_ns: u64,
    /// Attempts due in it that were served in time.
    pub served: u64,
    /// Attempts due in it that were served late.
    pub late: u64,
    /// Attempts due in it that were lost.
    pub lost: u64,
    /// The longest accept queue in it.
    pub queue_max: u32,
}

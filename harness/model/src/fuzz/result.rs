//! The machine-readable result of fuzzing, `holdline.fuzz/1`.
//!
//! The keys that are documented do not change; others may be added.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::course::Course;
use super::judge::Invariant;
use crate::result::Manifest;
use crate::stats;

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.fuzz/1";

/// What came of fuzzing a supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FuzzResult {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The seed from which all cases were drawn.
    pub seed: u64,
    /// Cases whose trial told something.
    pub cases: u64,
    /// How frequent failures can be of which none was found.
    pub bound: Bound,
    /// Failures that were seen once and not confirmed.
    pub not_reproduced: u64,
    /// Cases that failed once when there was no time left to confirm it.
    pub unconfirmed: u64,
    /// Failures that were confirmed, each cause once.
    pub failures: Vec<Failure>,
    /// Name of the supervisor.
    pub supervisor: String,
    /// How it came about.
    pub manifest: Manifest,
    /// Cases of which no trial told anything.
    pub inconclusive: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Orders of moments that were seen.
    pub orders: u64,
    /// Cases that were aimed at moments of the supervisor's story, of `cases`.
    pub aimed: u64,
    /// Trials in which the calls of the supervisor's processes were traced for moments to aim at.
    #[serde(default)]
    pub traced: u64,
    /// Cases of saved files that were tried first.
    pub saved: u64,
    /// Within what time the service had to be back, in nanoseconds.
    pub recovery_ns: u64,
    /// The same where the supervisor was asked for something, if that is longer, in nanoseconds.
    #[serde(default)]
    pub asked_ns: u64,
    /// What came of each invariant, over the cases.
    pub invariants: Vec<InvariantCount>,
    /// How long it took, in nanoseconds.
    pub elapsed_ns: u64,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

/// A bound at 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bound {
    /// The exact upper limit of the rate at which cases fail of which none failed.
    pub high: f64,
}

impl Bound {
    /// Of so many cases of which none failed.
    #[must_use]
    pub fn of(cases: u64) -> Self {
        Self { high: stats::upper_bound(0, cases, stats::CONFIDENCE) }
    }
}

/// A failure that was confirmed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What did not hold.
    pub invariant: Invariant,
    /// The file of the plainest case that fails so.
    pub scenario: String,
    /// How many faults it has.
    pub faults: u32,
    /// How often it fails.
    pub rate: FailureRate,
    /// The command that repeats it.
    pub repeat: String,
    /// What went wrong, in words.
    pub what: String,
    /// The order of moments in which it fails.
    pub order: Course,
    /// Cases that failed in the same way, this one included.
    pub seen: u64,
    /// Whether it comes from a saved file.
    pub saved: bool,
    /// Case of the exploration in which it was first seen, from 1; 0: none.
    pub found_in_case: u64,
    /// When it was first seen, from the beginning, in nanoseconds.
    pub found_after_ns: u64,
    /// How many cases were tried to make it plainer.
    pub steps: u32,
    /// Whether nothing plainer is left to be tried: false where the time for that was over.
    pub minimal: bool,
}

/// How often a case fails, with the exact interval at 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailureRate {
    /// Trials that failed.
    pub failed: u64,
    /// Trials that told something.
    pub of: u64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl FailureRate {
    /// So many of so many.
    #[must_use]
    pub fn of(failed: u64, of: u64) -> Self {
        let (low, high) = stats::interval(failed, of, stats::CONFIDENCE);
        Self { failed, of, low, high }
    }
}

/// What came of an invariant over all cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvariantCount {
    /// Which.
    pub invariant: Invariant,
    /// Cases in which it held.
    pub held: u64,
    /// Cases in which it did not.
    pub violated: u64,
    /// Cases in which that is not known.
    pub not_known: u64,
    /// Why, where it is not; the commonest reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

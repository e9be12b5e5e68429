//! What a gate comes to, `holdline.gate/1`: what `gate --export-json` writes.
//!
//! The keys that are documented do not change; others may be added.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.gate/1";

/// A run against a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What it comes to.
    pub verdict: GateVerdict,
    /// What has become worse.
    pub regressions: Vec<Finding>,
    /// What it cannot tell.
    pub undecided: Vec<Undecided>,
    /// What has become worse and is known.
    pub known: Vec<KnownFinding>,
    /// What seemed worse, and was not when it was measured again.
    pub not_confirmed: Vec<Finding>,
    /// What the baseline does not have: it is not judged.
    pub new: Vec<Pair>,
    /// What the baseline has and this run has not: it is not judged.
    pub missing: Vec<Pair>,
    /// What differs from how the baseline was made: what, then, now.
    pub warnings: Vec<Differs>,
    /// How many metrics were held against the baseline.
    pub compared: usize,
    /// How often each trial was repeated.
    pub repetitions: u32,
    /// The baseline's file.
    pub baseline: String,
}

/// What a gate comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateVerdict {
    /// Nothing has become worse.
    Pass,
    /// Something has.
    Fail,
    /// Something may have.
    Inconclusive,
}

impl fmt::Display for GateVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// A supervisor in a scenario.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the supervisor.
    pub supervisor: String,
}

/// Something that differs from how the baseline was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Differs {
    /// What.
    pub what: String,
    /// In the baseline.
    pub baseline: String,
    /// Now.
    pub now: String,
}

/// Which kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// A count, which is hard.
    Count,
    /// A time, as a multiple of the reference's.
    Time,
}

/// A count, or a multiple of the reference's time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Amount {
    /// How many.
    Count(u64),
    /// How many times the reference's.
    Ratio(f64),
}

/// Something that has become worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the supervisor.
    pub supervisor: String,
    /// Name of the metric.
    pub metric: String,
    /// Whether it is a count or a time.
    pub tier: Tier,
    /// What the baseline has.
    pub baseline: Amount,
    /// Of how many attempts or trials; absent of times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_of: Option<u64>,
    /// What was measured.
    pub measured: Amount,
    /// Of how many attempts or trials; absent of times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_of: Option<u64>,
    /// How much of it the baseline allows: attempts or trials, or the largest ratio.
    pub allowed: f64,
    /// Whether measuring it again agreed, or its one measurement suffices.
    pub confirmed: bool,
    /// The trial that shows it best: its folder in the run directory.
    pub trial: String,
    /// The command that repeats it.
    pub repeat: String,
}

/// Something that is known to be worse.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KnownFinding {
    /// What.
    #[serde(flatten)]
    pub finding: Finding,
    /// Why it is let pass.
    pub reason: String,
    /// Until when.
    pub until: String,
}

/// Something that it cannot tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Undecided {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the supervisor.
    pub supervisor: String,
    /// Name of the metric; absent where it is the trial as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Why not.
    pub because: Doubt,
}

/// Why it cannot tell, and what would let it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It was measured for the baseline, and cannot be run here.
    Unsupported {
        /// Why not.
        reason: Option<String>,
    },
    /// Its trials were inconclusive, also when they were run again.
    Inconclusive {
        /// Why the first was.
        reason: Option<String>,
    },
    /// The run ended before it.
    NotRun,
    /// The baseline has it, and no trial of the run does.
    NotMeasured,
    /// There was some of what the baseline has none of, but not more than its few attempts allow.
    FewInBaseline {
        /// How many there were.
        count: u64,
        /// Of how many.
        of: u64,
        /// So many attempts or trials without one would exclude it.
        needs: u64,
    },
    /// It seems slower than is tolerated, but may not be.
    Wide {
        /// The change since the baseline, as a ratio.
        estimate: f64,
        /// Its lower bound.
        low: f64,
        /// Its upper bound.
        high: f64,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let because = |reason: &Option<String>| reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default();
        match self {
            Self::Unsupported { reason } => write!(
                f,
                "measured for the baseline, and unsupported here{}; install it, or take it from the baseline",
                because(reason)
            ),
            Self::Inconclusive { reason } => {
                write!(
                    f,
                    "inconclusive, also when it was run again{}; a calmer machine would tell",
                    because(reason)
                )
            }
            Self::NotRun => f.write_str("not run: the run ended before it"),
            Self::NotMeasured => f.write_str("the baseline has it, and no trial of this run does"),
            Self::FewInBaseline { count, of, needs } => write!(
                f,
                "{count} of {of} here, and the baseline has none, but too few to exclude it; a baseline of {needs} without one would"
            ),
            Self::Wide { estimate, low, high } => write!(
                f,
                "{estimate:.2} times the baseline's, {low:.2} to {high:.2} at 95 %; more repetitions would tell"
            ),
        }
    }
}

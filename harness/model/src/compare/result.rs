//! The machine-readable comparison, `holdline.compare/1`: what `compare --export-json` writes.
//!
//! The keys that are documented do not change; others may be added. Intervals are at 95 %, each for itself, but
//! for those that are corrected for how many comparisons there are, which say their confidence.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Manifest;
use crate::violation::Unmeasured;
use crate::words::Grade;

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.compare/1";

/// A comparison of supervisors with a reference, or of two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// With what is compared: a supervisor, or the name of a run.
    pub reference: String,
    /// How many repetitions the reference has.
    pub repetitions: u32,
    /// Whether each repetition of a contender ran beside one of the reference.
    pub paired: bool,
    /// How many comparisons there are, which the words allow for (Holm).
    pub comparisons: usize,
    /// Ratios, in the order of scenarios and supervisors.
    pub results: Vec<Compared>,
    /// What was lost, of the reference as well.
    pub losses: Vec<Losses>,
    /// Ratios that cannot be had, and why.
    pub not_compared: Vec<NotCompared>,
    /// Trials that were left out, by what they came to.
    pub left_out: Vec<LeftOut>,
    /// What differs between two runs beside what is compared, and what else speaks against the comparison.
    pub warnings: Vec<Warning>,
    /// How the runs came about: one, or the reference's and the other.
    pub manifests: Vec<Manifest>,
}

/// An interval and what lies within it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// Its lower bound.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
}

/// The interval from which words follow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Corrected {
    /// Its lower bound.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
    /// Its confidence, as a share of 1.
    pub confidence: f64,
}

/// A supervisor against the reference in one scenario and one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the supervisor.
    pub supervisor: String,
    /// Name of the metric.
    pub metric: String,
    /// The supervisor's geometric mean as a multiple of the reference's.
    pub ratio: Interval,
    /// The reference as a multiple of itself, measured beside it in the same way; `null`: it was not.
    pub noise: Option<Interval>,
    /// What may be said of it.
    pub words: Words,
    /// The ratio's interval, corrected for how many comparisons there are: the words follow from it alone.
    pub corrected: Corrected,
    /// From how many repetitions.
    pub repetitions: usize,
    /// Median of the reference, in nanoseconds; absent for `throughput`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_ns: Option<u64>,
    /// Median of the supervisor, in nanoseconds; absent for `throughput`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median_ns: Option<u64>,
    /// Median of the reference, served per second; only for `throughput`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_per_second: Option<f64>,
    /// Median of the supervisor, served per second; only for `throughput`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
}

/// What may be said of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Words {
    /// The interval lies on the slow side of 1.
    #[serde(rename = "slower")]
    Slower,
    /// The interval lies on the fast side of 1.
    #[serde(rename = "faster")]
    Faster,
    /// The interval lies within 1/1.05 and 1.05.
    #[serde(rename = "the same within 5 %")]
    Same,
    /// None of these.
    #[serde(rename = "cannot tell")]
    CannotTell,
}

/// By how much two may differ that are called the same.
pub const SAME: f64 = 1.05;

impl Words {
    /// What an interval allows to say, of times or of rates.
    #[must_use]
    pub fn of(low: f64, high: f64, is_rate: bool) -> Self {
        let (more, less) = if is_rate { (Self::Faster, Self::Slower) } else { (Self::Slower, Self::Faster) };
        if low >= 1.0 / SAME && high <= SAME {
            Self::Same
        } else if low > 1.0 {
            more
        } else if high < 1.0 {
            less
        } else {
            Self::CannotTell
        }
    }

    /// The words themselves.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::Same => "the same within 5 %",
            Self::CannotTell => "cannot tell",
        }
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a supervisor lost in a scenario and need not have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Losses {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the supervisor.
    pub supervisor: String,
    /// Of which run, where two are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Collateral losses in all repetitions.
    pub lost: u64,
    /// Attempts that asked for something and were sent.
    pub of: u64,
    /// The rate, with its exact binomial interval.
    pub rate: Interval,
    /// Trials by grade.
    pub grades: BTreeMap<Grade, u32>,
    /// Against the reference; `null` for the reference itself.
    pub against: Option<LossRatio>,
}

/// Losses against the reference's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LossRatio {
    /// The ratio of the rates; `null`: the reference lost nothing.
    pub estimate: Option<f64>,
    /// Its exact lower bound.
    pub low: f64,
    /// Its exact upper bound; `null`: nothing bounds it.
    pub high: Option<f64>,
    /// The probability, were both rates the same, of a difference as large or larger.
    pub p: f64,
    /// What may be said of it.
    pub words: LossWords,
}

/// What may be said of losses against the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum LossWords {
    /// More of what is asked is lost.
    #[serde(rename = "loses more")]
    More,
    /// Less of what is asked is lost.
    #[serde(rename = "loses less")]
    Less,
    /// Neither lost anything.
    #[serde(rename = "neither lost any")]
    None,
    /// It may be either.
    #[serde(rename = "cannot tell")]
    CannotTell,
}

impl LossWords {
    /// The words themselves.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::More => "loses more",
            Self::Less => "loses less",
            Self::None => "neither lost any",
            Self::CannotTell => "cannot tell",
        }
    }
}

impl fmt::Display for LossWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A ratio that cannot be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotCompared {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the supervisor.
    pub supervisor: String,
    /// Name of the metric.
    pub metric: String,
    /// Whose trials did not allow it.
    pub whose: Whose,
    /// In how many of its repetitions.
    pub repetitions: usize,
    /// Why not.
    pub because: Because,
}

/// Whose trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whose {
    /// The reference's.
    Reference,
    /// The supervisor's that is compared with it.
    Supervisor,
}

/// Why a ratio cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// It was not measured.
    Unmeasured(Unmeasured),
    /// Requests were lost, and who is lost is in no latency.
    Lost,
    /// There are fewer than two repetitions, of which no interval can be had.
    TooFew,
}

/// Trials that say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the supervisor.
    pub supervisor: String,
    /// What they came to: `unsupported` or `inconclusive`.
    pub grade: Grade,
    /// How many.
    pub trials: u32,
    /// Why the first of them was.
    pub reason: Option<String>,
}

/// Something that speaks against a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "warning", rename_all = "snake_case")]
pub enum Warning {
    /// The two runs came about differently.
    Differs {
        /// What differs: `kernel`, `cpus`, or the name of a sysctl.
        what: String,
        /// What the reference's run has.
        reference: String,
        /// What the other has.
        other: String,
    },
    /// A run ended before all of its trials had.
    Incomplete {
        /// Which.
        run: String,
    },
    /// The reference differs from itself.
    Restless {
        /// In which scenario.
        scenario: String,
        /// In which metric.
        metric: String,
    },
    /// A scenario or supervisor that only one of two runs has.
    OnlyIn {
        /// Which run.
        run: String,
        /// Name of the scenario.
        scenario: String,
        /// Name of the supervisor.
        supervisor: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs { what, reference, other } => {
                write!(f, "{what} differs: {reference} for the reference, {other} for the other")
            }
            Self::Incomplete { run } => write!(f, "{run} is not complete"),
            Self::Restless { scenario, metric } => {
                write!(
                    f,
                    "in {scenario}, the reference differs from itself in {metric}: the machine was restless"
                )
            }
            Self::OnlyIn { run, scenario, supervisor } => {
                write!(f, "{supervisor} in {scenario} is in {run} alone")
            }
        }
    }
}

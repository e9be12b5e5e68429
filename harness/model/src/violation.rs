//! Expectations that a trial did not meet.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::{self, show_ns};
use crate::stats::grouped;

/// An expectation that a trial did not meet: `expected collateral = 0, measured 14`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// Of which metric.
    pub metric: String,
    /// How it was to compare.
    pub comparison: Comparison,
    /// With what.
    pub expected: u64,
    /// What these numbers count.
    pub unit: Unit,
    /// What was found.
    #[serde(flatten)]
    pub found: Found,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Things.
    Count,
    /// Nanoseconds.
    Ns,
}

/// What a trial had for a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A number.
    Measured(u64),
    /// None, and why.
    Unmeasured(Unmeasured),
}

/// How an expectation compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Comparison {
    /// Equal.
    #[serde(rename = "=")]
    Eq,
    /// Not equal.
    #[serde(rename = "!=")]
    Ne,
    /// Less.
    #[serde(rename = "<")]
    Lt,
    /// Less or equal.
    #[serde(rename = "<=")]
    Le,
    /// Greater.
    #[serde(rename = ">")]
    Gt,
    /// Greater or equal.
    #[serde(rename = ">=")]
    Ge,
}

impl Comparison {
    /// Its sign, as files write it.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// Whether it holds between what was measured and what was expected.
    #[must_use]
    pub const fn holds(self, measured: u64, expected: u64) -> bool {
        match self {
            Self::Eq => measured == expected,
            Self::Ne => measured != expected,
            Self::Lt => measured < expected,
            Self::Le => measured <= expected,
            Self::Gt => measured > expected,
            Self::Ge => measured >= expected,
        }
    }
}

impl Unmeasured {
    /// Whether a comparison holds all the same: what did not happen took no longer than any time, and what is
    /// not over has lasted for longer than so much.
    #[must_use]
    pub const fn satisfies(&self, comparison: Comparison, expected: u64) -> bool {
        match (self, comparison) {
            (Self::NotInterrupted | Self::NotWatched, Comparison::Lt | Comparison::Le) => true,
            (Self::NotOver { lasted_ns }, Comparison::Gt | Comparison::Ge | Comparison::Ne) => {
                *lasted_ns > expected
            }
            _ => false,
        }
    }
}

/// Why a trial did not measure something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Unmeasured {
    /// No attempt was a session.
    NoSession,
    /// Every attempt asked.
    NoSilent,
    /// Connections are not pooled.
    NoPool,
    /// `/proc` did not tell.
    NoProc,
    /// Listeners of Unix sockets count no drops.
    UncountedDrops,
    /// The workers kept no ledger.
    NoLedger,
    /// No worker accepted anything.
    NothingAccepted,
    /// The workers did not record what they inherited.
    NoInheritance,
    /// The service is spoken to without TLS.
    NoTls,
    /// No reply named a version.
    NoVersion,
    /// The scenario does not say for how long to wait until the service has settled.
    NotSettled,
    /// There was no fault.
    NoFault,
    /// There were workers of which no ledger and no process tells.
    UncountedOrphans,
    /// No fault interrupted anything.
    NotInterrupted,
    /// The service was not watched after the load: the load had shown how the story ends.
    NotWatched,
    /// The load sets its own pace, so that it says nothing of how much is served per second.
    NoClosedLoop,
    /// The service was not back when the watch was over.
    NeverBack {
        /// How long it was watched, in nanoseconds.
        watched_ns: u64,
    },
    /// An outage went on when the watch was over.
    NotOver {
        /// How long it had lasted by then, in nanoseconds.
        lasted_ns: u64,
    },
    /// There was one after which service was not back in time any more.
    NeverRecovered {
        /// Which, from 1.
        fault: u64,
        /// Of how many.
        of: u64,
    },
    /// No attempt came so far.
    NoLatency {
        /// The latency's name.
        latency: String,
    },
}

impl fmt::Display for Unmeasured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self {
            Self::NeverRecovered { fault, of } => {
                return write!(f, "never recovered from fault {fault} of {of}");
            }
            Self::NeverBack { watched_ns } => {
                return write!(f, "not back within {}", show_ns(*watched_ns));
            }
            Self::NotOver { lasted_ns } => {
                return write!(f, "not over after {}", show_ns(*lasted_ns));
            }
            Self::NoLatency { latency } => {
                return write!(f, "not measured: no attempt has a {} latency", latency.replace('_', " "));
            }
            Self::NoSession => "no attempt was a session",
            Self::NoSilent => "no attempt was silent",
            Self::NoPool => "connections are not pooled",
            Self::NoProc => "/proc did not tell",
            Self::UncountedDrops => "listeners of Unix sockets count no drops",
            Self::NoLedger => "the workers kept no ledger",
            Self::NothingAccepted => "no worker accepted anything",
            Self::NoInheritance => "the workers did not record what they inherited",
            Self::NoTls => "the service is spoken to without TLS",
            Self::NoVersion => "no reply named a version",
            Self::NotSettled => "[workers] has no `settle`",
            Self::NoFault => "there was no fault",
            Self::UncountedOrphans => "what becomes of the service's processes is not known",
            Self::NotInterrupted => "nothing was interrupted",
            Self::NotWatched => "the service was not watched after the load",
            Self::NoClosedLoop => "the load is no closed loop",
        };
        write!(f, "not measured: {why}")
    }
}

impl Violation {
    /// To the nanosecond where words would say the same of both times.
    fn shown(&self, measured: u64) -> String {
        match self.unit {
            Unit::Count => grouped(measured),
            Unit::Ns if show_ns(measured) == show_ns(self.expected) => duration::exact(measured),
            Unit::Ns => show_ns(measured),
        }
    }
}

impl Violation {
    /// What was found, before what was asked for: `collateral is 14, not 0`.
    #[must_use]
    pub fn as_foreseen(&self) -> String {
        let Self { metric, comparison, found, .. } = self;
        let sign = match comparison {
            Comparison::Eq => String::new(),
            Comparison::Ne | Comparison::Lt | Comparison::Le | Comparison::Gt | Comparison::Ge => {
                format!("{} ", comparison.sign())
            }
        };
        let expected = self.shown_expected();
        match found {
            Found::Measured(measured) => {
                format!("{metric} is {}, not {sign}{expected}", self.shown(*measured))
            }
            Found::Unmeasured(why) => format!("{metric} is not {sign}{expected}, {why}"),
        }
    }

    fn shown_expected(&self) -> String {
        match self.unit {
            Unit::Count => grouped(self.expected),
            Unit::Ns => show_ns(self.expected),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, comparison, found, .. } = self;
        write!(f, "expected {metric} {} {}, ", comparison.sign(), self.shown_expected())?;
        match found {
            Found::Measured(measured) => f.write_str(&format!("measured {}", self.shown(*measured))),
            Found::Unmeasured(why) => why.fmt(f),
        }
    }
}

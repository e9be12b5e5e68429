//! Expectations: what can be measured, how files write it, and whether a trial fulfils it.

use std::fmt;
use std::sync::LazyLock;

use crate::duration::{self, show_ns};
use crate::result::TrialResult;
use crate::scenario::{Comparison, Expectation, Metric};
use crate::stats::grouped;
use crate::words::{Blame, Fate, UnknownWord, nearest};

mod measure;

pub use measure::measure;

const LATENCIES: [&str; 5] = ["send_lag", "connect", "queue_wait", "accept", "response"];
const QUANTILES: [&str; 5] = ["p50", "p90", "p99", "p999", "max"];
const COUNTS: &[&str] = &[
    "attempts",
    "lost",
    "outages",
    "sessions.planned",
    "sessions.completed",
    "sessions.closed_idle",
    "sessions.cut",
    "sessions.requests_planned",
    "sessions.requests_answered",
    "kernel.listen_overflows",
    "kernel.listen_drops",
    "kernel.listener_drops",
    "kernel.queue_max",
    "kernel.queue_limit",
    "kernel.listeners_closed",
    "kernel.syn_retransmits",
    "workers.generations",
    "workers.orphans",
    "workers.leaked_fds",
    "workers.at_end",
    "workers.sharing_cgroup",
    "workers.conformance_failures",
    "versions.newest",
    "workers.starts",
    "workers.failed_starts",
    "workers.share_max",
    "supervisor.ended",
    "workers.bind_failures",
];
const TIMES: [&str; 4] = ["outage.max", "recovery.max", "versions.overlap", "cost.cpu"];

static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let count = |name: &str| Metric { name: name.to_owned(), is_time: false };
    let time = |name: &str| Metric { name: name.to_owned(), is_time: true };
    let fates = Fate::ALL.iter().map(|fate| count(fate.as_str()));
    let blames = Blame::ALL.iter().map(|blame| count(blame.as_str()));
    let latencies = LATENCIES
        .iter()
        .flat_map(|latency| QUANTILES.iter().map(move |quantile| time(&format!("{latency}.{quantile}"))));
    fates
        .chain(blames)
        .chain(COUNTS.iter().copied().map(count))
        .chain(TIMES.map(time))
        .chain(latencies)
        .collect()
});

/// Everything that an expectation can be about.
#[must_use]
pub fn metrics() -> &'static [Metric] {
    &METRICS
}

/// Finds a metric by its name; `-` and `_` are the same.
///
/// # Errors
///
/// There is no such metric.
pub fn metric(name: &str) -> Result<Metric, UnknownWord> {
    let canonical = name.replace('-', "_");
    METRICS.iter().find(|metric| metric.name == canonical).cloned().ok_or_else(|| {
        let allowed: Vec<&'static str> = METRICS.iter().map(|metric| metric.name.as_str()).collect();
        UnknownWord {
            what: "metric",
            given: name.to_owned(),
            nearest: nearest(&canonical, allowed.iter().copied()).map(str::to_owned),
            allowed,
        }
    })
}

/// Reads what a metric is compared with: `0`, `< 250ms`, `>= 1`. Without a sign: equal.
///
/// # Errors
///
/// In words that fit "…, expected …": a count where a time must be, or the other way round.
pub fn comparison(metric: &Metric, text: &str) -> Result<(Comparison, u64), String> {
    let (comparison, operand) = split_sign(text);
    let value = if metric.is_time { time(metric, operand)? } else { count(metric, operand)? };
    Ok((comparison, value))
}

fn split_sign(text: &str) -> (Comparison, &str) {
    const SIGNS: [(&str, Comparison); 7] = [
        ("==", Comparison::Eq),
        ("!=", Comparison::Ne),
        ("<=", Comparison::Le),
        (">=", Comparison::Ge),
        ("=", Comparison::Eq),
        ("<", Comparison::Lt),
        (">", Comparison::Gt),
    ];
    let text = text.trim();
    SIGNS
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?.trim())))
        .unwrap_or((Comparison::Eq, text))
}

fn time(metric: &Metric, operand: &str) -> Result<u64, String> {
    if operand.parse::<f64>().is_ok() {
        return Err(format!("{metric} is a time, `{operand}` has no unit, expected one such as \"< 250ms\""));
    }
    duration::parse(operand).map_err(|error| format!("{error}, expected a time such as \"< 250ms\""))
}

fn count(metric: &Metric, operand: &str) -> Result<u64, String> {
    operand.parse().map_err(|_| {
        let what = if duration::parse(operand).is_ok() { "a time" } else { "no number" };
        format!("{metric} is a count, `{operand}` is {what}, expected a number, or one such as \"<= 3\"")
    })
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Metric {
    /// A value of it in words: `97.2 ms`, or `5 334`.
    #[must_use]
    pub fn show(&self, value: u64) -> String {
        if self.is_time { show_ns(value) } else { grouped(value) }
    }
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

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.metric, self.comparison.sign(), self.metric.show(self.value))
    }
}

/// The expectations that a trial violates, in words: `expected collateral = 0, measured 14`.
///
/// What was not measured cannot be relied on, so that an expectation of it is violated, too; the
/// words then say why it was not.
#[must_use]
pub fn check(expectations: &[Expectation], result: &TrialResult) -> Vec<String> {
    expectations.iter().filter_map(|expectation| violation(expectation, result)).collect()
}

fn violation(expectation: &Expectation, result: &TrialResult) -> Option<String> {
    match measure(&expectation.metric, result) {
        Ok(measured) if expectation.comparison.holds(measured, expectation.value) => None,
        Ok(measured) => Some(format!("expected {expectation}, measured {}", shown(expectation, measured))),
        Err(why) => Some(format!("expected {expectation}, {why}")),
    }
}

/// In words, but to the nanosecond where the words would say the same of both times.
fn shown(expectation: &Expectation, measured: u64) -> String {
    let words = expectation.metric.show(measured);
    if expectation.metric.is_time && words == expectation.metric.show(expectation.value) {
        duration::exact(measured)
    } else {
        words
    }
}

#[cfg(test)]
mod tests;

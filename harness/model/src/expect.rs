//! Expectations: what can be measured, how files write it, and whether a trial fulfils it.

use std::fmt;

use crate::duration;
use crate::metric::{Expectation, Metric};
use crate::result::TrialResult;
use crate::violation::{Comparison, Found, Unit, Violation};

/// Reads what a metric is compared with: `0`, `< 250ms`, `>= 1`. Without a sign: equal.
///
/// # Errors
///
/// In words that fit "…, expected …": a count where a time must be, or the other way round.
pub fn comparison(metric: &Metric, text: &str) -> Result<(Comparison, u64), String> {
    let (comparison, operand) = split_sign(text);
    let value = if metric.is_time() { time(metric, operand)? } else { count(metric, operand)? };
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

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.metric, self.comparison.sign(), self.metric.show(self.value))
    }
}

/// The expectations that a trial violates: `expected collateral = 0, measured 14`.
///
/// What was not measured cannot be relied on, so that an expectation of it is violated, too; the
/// words then say why it was not. But where nothing was interrupted, and nothing had to come back, no time for
/// it is exceeded.
#[must_use]
pub fn check(expectations: &[Expectation], result: &TrialResult) -> Vec<Violation> {
    expectations.iter().filter_map(|expectation| violation(expectation, result)).collect()
}

fn violation(expectation: &Expectation, result: &TrialResult) -> Option<Violation> {
    let Expectation { metric, comparison, value: expected } = *expectation;
    let found = match metric.measure(result) {
        Ok(measured) if comparison.holds(measured, expected) => return None,
        Ok(measured) => Found::Measured(measured),
        Err(why) if why.satisfies(comparison, expected) => return None,
        Err(why) => Found::Unmeasured(why),
    };
    let unit = if metric.is_time() { Unit::Ns } else { Unit::Count };
    Some(Violation { metric: metric.name.to_owned(), comparison, expected, unit, found })
}

#[cfg(test)]
mod tests;

//! Ratios of pairs that were measured in turn.

use std::fmt;
use std::time::Duration;

/// Ratios of holdline to its peer, one of each pair.
#[derive(Debug, Clone, Default)]
pub struct Ratios {
    values: Vec<f64>,
}

impl Ratios {
    /// Adds a pair.
    pub fn add(&mut self, ours: Duration, peer: Duration) {
        self.values.push(ours.as_secs_f64() / peer.as_secs_f64().max(f64::MIN_POSITIVE));
    }

    /// The median with its interval; `None` if there is no pair.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = median_ranks(sorted.len());
        Some(Summary {
            median: middle(&sorted)?,
            low: *sorted.get(low)?,
            high: *sorted.get(high)?,
            pairs: sorted.len(),
        })
    }
}

/// The median of ratios.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The median.
    pub median: f64,
    /// Lower end of the median's interval, at 95 % or more.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// How many pairs there were.
    pub pairs: usize,
}

impl Summary {
    /// What it says about a budget. Only an interval that lies on one side of it decides.
    #[must_use]
    pub fn against(&self, budget: f64) -> &'static str {
        if self.high <= budget {
            "within"
        } else if self.low > budget {
            "above"
        } else {
            "not clearly within"
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, low, high, pairs } = self;
        write!(f, "{median:.3} ({low:.3} to {high:.3} at 95 %, {pairs} pairs)")
    }
}

/// The median of durations; zero if there is none.
#[must_use]
pub fn median(durations: &[Duration]) -> Duration {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get(sorted.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Ranks, from 0, between which the median of the whole lies at 95 % or more, whatever the
/// distribution: how many of n values lie below it is binomial, here taken as normal. With fewer
/// than six values no ranks are enough, and the outermost are taken.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and not negative")]
fn median_ranks(n: usize) -> (usize, usize) {
    let half_width = 0.5 * 1.96 * (n as f64).sqrt();
    let low = (n as f64 / 2.0 - half_width).floor().max(0.0) as usize;
    (low, n.saturating_sub(1).saturating_sub(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratios(values: &[f64]) -> Ratios {
        Ratios { values: values.to_vec() }
    }

    #[test]
    fn the_median_lies_within_its_interval() {
        let summary = ratios(&[3.0, 1.0, 2.0, 5.0, 4.0, 6.0]).summary().expect("some");
        assert_eq!((summary.median, summary.low, summary.high, summary.pairs), (3.5, 1.0, 6.0, 6));
        let hundred: Vec<f64> = (0..100).map(f64::from).collect();
        let summary = ratios(&hundred).summary().expect("some");
        assert_eq!((summary.median, summary.low, summary.high), (49.5, 40.0, 59.0));
        assert_eq!(ratios(&[]).summary(), None);
        assert_eq!(ratios(&[2.0]).summary().map(|summary| summary.median), Some(2.0));
    }

    #[test]
    fn only_a_clear_interval_decides() {
        let summary = |low, high| Summary { median: 1.1, low, high, pairs: 9 };
        assert_eq!(summary(1.0, 1.15).against(1.15), "within");
        assert_eq!(summary(1.0, 1.2).against(1.15), "not clearly within");
        assert_eq!(summary(1.16, 1.2).against(1.15), "above");
    }

    #[test]
    fn pairs_become_ratios() {
        let mut ratios = Ratios::default();
        ratios.add(Duration::from_micros(3), Duration::from_micros(2));
        assert_eq!(ratios.summary().map(|summary| summary.median), Some(1.5));
        assert_eq!(median(&[Duration::from_secs(3), Duration::from_secs(1)]), Duration::from_secs(3));
    }
}

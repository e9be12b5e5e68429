//! The ratio of two samples of times, with its interval.
//!
//! Everything is done on logarithms: the ratio is that of geometric means, so that it does not matter which of
//! two is called the reference. The interval is the wider of two, on each side:
//!
//! - Student's t, on the logarithms of the ratios of paired repetitions (of two recorded runs, which are not
//!   paired: Welch's t), widened by what the resolution of the measurement leaves open;
//! - the percentile bootstrap over repetitions, with percentiles widened for small samples as in Hesterberg,
//!   "What Teachers Should Know About the Bootstrap", The American Statistician 69 (2015), section 4.1.
//!
//! The bootstrap follows skewed ratios, of which t knows nothing; t says how little a few repetitions tell, which
//! the bootstrap does not know since it draws from nothing but them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// How often a sample is drawn anew.
pub const RESAMPLES: usize = 2_000;

/// By how much errors of few repetitions are widened, times their number. Where values cannot lie far out, as where
/// arrivals are their ruler, Student's t of few of them claims more than it knows (`tests/simulated.rs`).
const LIGHT_TAILS: f64 = 0.3;

/// What is compared: logarithms of what was measured.
#[derive(Debug, Clone, PartialEq)]
pub enum Logs {
    /// Of each repetition, the logarithm of the ratio of contender and reference.
    Paired(Vec<f64>),
    /// Of two runs that have nothing to do with each other.
    Apart {
        /// The reference's.
        reference: Vec<f64>,
        /// The contender's.
        contender: Vec<f64>,
    },
}

/// An estimated ratio, from which intervals of any confidence can be had.
#[derive(Debug, Clone)]
pub struct Estimate {
    mean: f64,
    /// Standard error of the mean, resolution included.
    error: f64,
    freedom: f64,
    /// The means of the samples drawn anew, in ascending order.
    drawn: Vec<f64>,
    /// By how much the bootstrap's percentiles are widened: √(n / (n − 1)).
    widening: f64,
}

impl Estimate {
    /// Estimates the ratio; `None` where a side has fewer than two repetitions, of which no interval can be had.
    ///
    /// `resolution` is the standard error, as a share of the values, that the measurement itself leaves however
    /// often it is repeated.
    #[must_use]
    pub fn of(logs: &Logs, resolution: f64, resamples: usize) -> Option<Self> {
        // The same numbers always give the same interval, so that what was recorded compares as it did.
        let mut random = ChaCha8Rng::seed_from_u64(0x686f_6c64);
        let (mean, variance, freedom, least) = match logs {
            Logs::Paired(ratios) => {
                let part = Part::of(ratios)?;
                (part.mean, part.variance, part.n - 1.0, part.n)
            }
            Logs::Apart { reference, contender } => {
                let (a, b) = (Part::of(reference)?, Part::of(contender)?);
                (b.mean - a.mean, a.variance + b.variance, welch(&a, &b), a.n.min(b.n))
            }
        };
        let mut drawn: Vec<f64> = (0..resamples)
            .map(|_| match logs {
                Logs::Paired(ratios) => redraw(ratios, &mut random),
                Logs::Apart { reference, contender } => {
                    redraw(contender, &mut random) - redraw(reference, &mut random)
                }
            })
            .collect();
        drawn.sort_by(f64::total_cmp);
        let error = (variance + resolution * resolution).sqrt() * (1.0 + LIGHT_TAILS / least);
        Some(Self { mean, error, freedom, drawn, widening: (least / (least - 1.0)).sqrt() })
    }

    /// The ratio itself.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.mean.exp()
    }

    /// The two-sided interval of the ratio at a confidence between 0 and 1.
    #[must_use]
    pub fn interval(&self, confidence: f64) -> (f64, f64) {
        let tail = (1.0 - confidence) / 2.0;
        let quantile = student(self.freedom).inverse_cdf(1.0 - tail);
        let reach = quantile * self.error;
        let (low, high) = self.percentiles(quantile);
        ((self.mean - reach).min(low).exp(), (self.mean + reach).max(high).exp())
    }

    /// The bootstrap's bounds for this quantile of Student's t.
    fn percentiles(&self, quantile: f64) -> (f64, f64) {
        let Some(last) = self.drawn.len().checked_sub(1) else { return (self.mean, self.mean) };
        let share = normal().cdf(-quantile * self.widening);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1 or less")]
        let index = ((share * self.drawn.len() as f64) as usize).min(last);
        (self.drawn[index], self.drawn[last - index])
    }

    /// The probability, were both the same, of what was measured or more: the larger of what the two intervals
    /// give.
    #[must_use]
    pub fn p(&self) -> f64 {
        let by_t = if self.error > 0.0 {
            two_sided(self.mean.abs() / self.error, self.freedom)
        } else if self.mean == 0.0 {
            1.0
        } else {
            0.0
        };
        by_t.max(self.p_of_bootstrap())
    }

    fn p_of_bootstrap(&self) -> f64 {
        let beyond = match self.mean.partial_cmp(&0.0) {
            Some(std::cmp::Ordering::Greater) => self.drawn.partition_point(|drawn| *drawn <= 0.0),
            Some(std::cmp::Ordering::Less) => {
                self.drawn.len() - self.drawn.partition_point(|drawn| *drawn < 0.0)
            }
            Some(std::cmp::Ordering::Equal) | None => return 1.0,
        };
        // Beyond the bootstrap's own resolution it is for Student's t to say.
        if beyond == 0 {
            return 0.0;
        }
        let share = beyond as f64 / self.drawn.len() as f64;
        two_sided((-normal().inverse_cdf(share)).max(0.0) / self.widening, self.freedom)
    }
}

/// Mean of some values, and the variance of that mean.
struct Part {
    n: f64,
    mean: f64,
    variance: f64,
}

impl Part {
    fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        if values.len() < 2 || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        // What is left of equal values by rounding is no variance.
        let squares = if values.iter().all(|value| *value == values[0]) { 0.0 } else { squares };
        Some(Self { n, mean, variance: squares / (n - 1.0) / n })
    }
}

/// The degrees of freedom of Welch, "The generalization of Student's problem when several different population
/// variances are involved", Biometrika 34 (1947).
fn welch(a: &Part, b: &Part) -> f64 {
    let least = a.n.min(b.n) - 1.0;
    let below = a.variance.powi(2) / (a.n - 1.0) + b.variance.powi(2) / (b.n - 1.0);
    if below > 0.0 { ((a.variance + b.variance).powi(2) / below).max(least) } else { least }
}

/// Welch's two-sided test of equal means; `None` where a side has fewer than two values.
pub(super) fn welch_p(a: &[f64], b: &[f64]) -> Option<f64> {
    let (a, b) = (Part::of(a)?, Part::of(b)?);
    let error = (a.variance + b.variance).sqrt();
    let apart = (a.mean - b.mean).abs();
    Some(if error > 0.0 {
        two_sided(apart / error, welch(&a, &b))
    } else if apart > 0.0 {
        0.0
    } else {
        1.0
    })
}

fn two_sided(t: f64, freedom: f64) -> f64 {
    (2.0 * student(freedom).sf(t)).min(1.0)
}

fn student(freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, freedom.max(1.0)).expect("a positive number of degrees of freedom")
}

fn normal() -> Normal {
    Normal::new(0.0, 1.0).expect("the standard normal distribution")
}

fn redraw(values: &[f64], random: &mut ChaCha8Rng) -> f64 {
    let sum: f64 = values.iter().map(|_| values[random.random_range(0..values.len())]).sum();
    sum / values.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paired(logs: &[f64]) -> Estimate {
        Estimate::of(&Logs::Paired(logs.to_vec()), 0.0, 1000).expect("repetitions")
    }

    /// Student's is 0.22 ± 2.776 × 0.1151 / √5, here 6 % wider; the largest means that can be drawn are beyond it to the right.
    #[test]
    fn it_is_students_for_few_repetitions() {
        let estimate = paired(&[0.1, 0.2, 0.4, 0.15, 0.25]);
        let (low, high) = estimate.interval(0.95);
        assert!((low.ln() - 0.068_51).abs() < 1e-4, "{}", low.ln());
        assert!((0.371_4..=0.4).contains(&high.ln()), "{}", high.ln());
        assert!((estimate.p() - 0.015_71).abs() < 1e-4, "{}", estimate.p());
    }

    #[test]
    fn equal_repetitions_are_known_to_within_the_resolution() {
        let same = paired(&[0.0; 5]);
        assert_eq!((same.interval(0.95), same.p()), ((1.0, 1.0), 1.0));
        let logs = Logs::Paired(vec![0.1; 5]);
        let coarse = Estimate::of(&logs, 0.1, 1000).expect("repetitions");
        let (low, high) = coarse.interval(0.95);
        assert!(low < 1.0 && high > 1.0 && coarse.p() > 0.3);
    }

    #[test]
    fn one_repetition_tells_nothing() {
        assert!(Estimate::of(&Logs::Paired(vec![1.0]), 0.0, 10).is_none());
        let apart = Logs::Apart { reference: vec![1.0, 2.0], contender: vec![1.0] };
        assert!(Estimate::of(&apart, 0.0, 10).is_none());
    }

    proptest! {
        #[test]
        fn intervals_hold_the_estimate_and_widen_with_confidence(
            logs in prop::collection::vec(-3.0..3.0_f64, 2..12), other in prop::collection::vec(-3.0..3.0_f64, 2..12),
        ) {
            let apart = Logs::Apart { reference: logs.clone(), contender: other };
            for logs in [Logs::Paired(logs), apart] {
                let estimate = Estimate::of(&logs, 0.01, 200).expect("repetitions");
                let ((low, high), (lower, higher)) = (estimate.interval(0.95), estimate.interval(0.999));
                let ratio = estimate.ratio();
                prop_assert!(lower <= low && low <= ratio && ratio <= high && high <= higher);
                prop_assert!((0.0..=1.0).contains(&estimate.p()));
            }
        }

        #[test]
        fn it_does_not_matter_who_is_called_the_reference(logs in prop::collection::vec(-3.0..3.0_f64, 2..12)) {
            let turned: Vec<f64> = logs.iter().map(|log| -log).collect();
            let (one, other) = (paired(&logs).interval(0.95), paired(&turned).interval(0.95));
            prop_assert!((one.0 * other.1 - 1.0).abs() < 1e-6 && (one.1 * other.0 - 1.0).abs() < 1e-6);
        }
    }
}

//! Counts of losses against each other, exactly.

use statrs::function::factorial::ln_binomial;

use super::ratio::welch_p;
use crate::stats;

/// What was lost of what was asked, in each repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Of each repetition: lost, and asked.
    pub trials: Vec<(u64, u64)>,
}

impl Counts {
    /// Lost in all repetitions.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.trials.iter().map(|(lost, _)| lost).sum()
    }

    /// Asked in all repetitions.
    #[must_use]
    pub fn of(&self) -> u64 {
        self.trials.iter().map(|(_, of)| of).sum()
    }

    fn rates(&self) -> Vec<f64> {
        let asked = self.trials.iter().filter(|(_, of)| *of > 0);
        asked.map(|(lost, of)| *lost as f64 / *of as f64).collect()
    }
}

/// The probability, were both rates of loss the same, of losses as different as these or more.
///
/// It is Fisher's exact one, or where that is larger, Welch's over repetitions: an outage loses many requests
/// at once, which Fisher's test would count as so many findings although there was but one. Of a single
/// repetition on a side it is 1, since it cannot be seen there whether losses come alone.
#[must_use]
pub(super) fn p(reference: &Counts, contender: &Counts) -> f64 {
    let Some(clustered) = welch_p(&reference.rates(), &contender.rates()) else { return 1.0 };
    fisher(reference.lost(), reference.of(), contender.lost(), contender.of()).max(clustered)
}

/// Fisher's exact test, two-sided: the sum of all tables that are no more likely than this one (Fisher,
/// "Statistical Methods for Research Workers", 5th edition, 1934, section 21.02).
#[must_use]
pub fn fisher(lost_a: u64, of_a: u64, lost_b: u64, of_b: u64) -> f64 {
    let (lost, of) = (lost_a + lost_b, of_a + of_b);
    if lost == 0 || lost == of || of_a == 0 || of_b == 0 {
        return 1.0;
    }
    let whole = ln_binomial(of, lost);
    let likelihood = |in_a: u64| ln_binomial(of_a, in_a) + ln_binomial(of_b, lost - in_a) - whole;
    // What is equally likely differs by rounding.
    let limit = likelihood(lost_a) + 1e-7;
    let tables = lost.saturating_sub(of_b)..=lost.min(of_a);
    let sum: f64 = tables.map(likelihood).filter(|table| *table <= limit).map(f64::exp).sum();
    sum.min(1.0)
}

/// The exact two-sided interval of the ratio of the contender's rate of loss to the reference's, given how many
/// were lost in all: Przyborowski and Wilenski, "Homogeneity of results in testing samples from Poisson series",
/// Biometrika 31 (1940). For rates that are not small it is wider than it need be.
///
/// The lower bound is 0 and the upper one `None`, for without bound, where nothing excludes them.
#[must_use]
pub fn rate_ratio(reference: &Counts, contender: &Counts, confidence: f64) -> (f64, Option<f64>) {
    let (k, all) = (contender.lost(), reference.lost() + contender.lost());
    if all == 0 || reference.of() == 0 || contender.of() == 0 {
        return (0.0, None);
    }
    let (low, high) = stats::interval(k, all, confidence);
    let scale = reference.of() as f64 / contender.of() as f64;
    let odds = |share: f64| (share < 1.0).then(|| share / (1.0 - share) * scale);
    (odds(low).unwrap_or(0.0), odds(high))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(trials: &[(u64, u64)]) -> Counts {
        Counts { trials: trials.to_vec() }
    }

    /// The values were found with whole numbers, by summing all tables that are no more likely.
    #[test]
    fn it_is_fishers() {
        for ((a, n, b, m), expected) in [
            ((1, 10, 11, 14), 0.002_759),
            ((0, 200, 3, 200), 0.248_1),
            ((0, 200, 14, 200), 0.000_096_458),
            ((3, 10, 3, 10), 1.0),
            ((0, 20, 0, 20), 1.0),
            ((20, 20, 0, 20), 1.451e-11),
        ] {
            let found = fisher(a, n, b, m);
            assert!((found - expected).abs() <= 2e-3 * expected, "{a}/{n} {b}/{m}: {found}");
        }
    }

    #[test]
    fn an_outage_is_one_finding() {
        let calm = counts(&[(0, 20); 10]);
        let mut once = vec![(0, 20); 9];
        once.push((10, 20));
        assert!(fisher(0, 200, 10, 200) < 0.01);
        assert!(p(&calm, &counts(&once)) > 0.3, "ten losses of one outage");
        assert!(p(&calm, &counts(&[(1, 20); 10])) < 0.01, "one loss in each of ten repetitions");
        assert_eq!(p(&counts(&[(0, 20)]), &counts(&[(14, 20)])), 1.0, "one repetition");
    }

    #[test]
    fn a_ratio_of_rates_is_bounded_where_something_bounds_it() {
        assert_eq!(rate_ratio(&counts(&[(0, 20)]), &counts(&[(0, 20)]), 0.95), (0.0, None));
        let (low, high) = rate_ratio(&counts(&[(0, 200)]), &counts(&[(14, 200)]), 0.95);
        assert!(low > 3.0 && high.is_none(), "{low} {high:?}");
        let (low, high) = rate_ratio(&counts(&[(10, 1000)]), &counts(&[(20, 1000)]), 0.95);
        assert!(low < 1.0 && high.is_some_and(|high| high > 4.0), "{low} {high:?}");
    }

    proptest! {
        #[test]
        fn fishers_probability_is_one_and_symmetric(a in 0..40_u64, b in 0..40_u64, n in 40..90_u64, m in 40..90_u64) {
            let (one, other) = (fisher(a, n, b, m), fisher(b, m, a, n));
            prop_assert!((one - other).abs() < 1e-9 && one > 0.0 && one <= 1.0, "{one} {other}");
        }
    }
}

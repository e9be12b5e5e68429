//! What a number of losses says about the rate of loss: exact binomial bounds.
//!
//! Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
//! binomial", Biometrika 26 (1934): the bounds never cover less often than they claim.

use statrs::distribution::{Beta, ContinuousCDF};

/// Confidence of the bounds that reports print.
pub const CONFIDENCE: f64 = 0.95;

/// The one-sided upper bound of a rate of which `k` cases were seen in `n`, as a share of 1.
///
/// With nothing seen (`n` = 0) it is 1: nothing is known. `confidence` is between 0 and 1.
#[must_use]
pub fn upper_bound(k: u64, n: u64, confidence: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    if k == 0 {
        // 1 − (1 − confidence)^(1/n), without the loss of digits for large n.
        return -((1.0 - confidence).ln() / n as f64).exp_m1();
    }
    beta_quantile(k as f64 + 1.0, (n - k) as f64, confidence)
}

/// The one-sided lower bound; see [`upper_bound`].
#[must_use]
pub fn lower_bound(k: u64, n: u64, confidence: f64) -> f64 {
    if k == 0 || n == 0 { 0.0 } else { 1.0 - upper_bound(n - k.min(n), n, confidence) }
}

/// The two-sided interval: each side has half of the error.
#[must_use]
pub fn interval(k: u64, n: u64, confidence: f64) -> (f64, f64) {
    let one_sided = f64::midpoint(1.0, confidence);
    (lower_bound(k, n, one_sided), upper_bound(k, n, one_sided))
}

/// The smallest number of attempts which, all served, prove that the rate of loss is at most `rate`;
/// `None` where no number does (`rate` is 0 or less, or `confidence` is not below 1).
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
pub fn trials_for(rate: f64, confidence: f64) -> Option<u64> {
    if rate.is_nan() || rate <= 0.0 || confidence.is_nan() || confidence >= 1.0 {
        return None;
    }
    if rate >= 1.0 || confidence <= 0.0 {
        return Some(1);
    }
    Some(((1.0 - confidence).ln() / (-rate).ln_1p()).ceil().max(1.0) as u64)
}

/// How many of how many, and what that says of the rate at 95 %: `0 of 5 334 (≤ 0.056 % at 95 %)`, or
/// with losses the rate and its interval, `7 of 5 334 (0.13 %, 0.053 to 0.27 %)`.
#[must_use]
pub fn loss_rate_text(k: u64, n: u64) -> String {
    let counts = format!("{} of {}", grouped(k), grouped(n));
    match (k, n) {
        (_, 0) => counts,
        (0, _) => {
            let bound = percent(upper_bound(0, n, CONFIDENCE));
            format!("{counts} (≤ {bound} at {} %)", CONFIDENCE * 100.0)
        }
        _ => {
            let (low, high) = interval(k, n, CONFIDENCE);
            let (rate, low, high) = (percent(k as f64 / n as f64), percent(low), percent(high));
            format!("{counts} ({rate}, {} to {high})", low.trim_end_matches(" %"))
        }
    }
}

/// A number in groups of three digits with spaces between: `5 334`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A share of 1 in per cent, with two significant digits: `0.056 %`. Only 1 itself is `100 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 {
        return "0 %".to_owned();
    }
    // Close to 100 the distance to 100 is what counts: 99.97, not 100.
    let distance = 100.0 - percent;
    let decimals =
        if 0.0 < distance && distance < 10.0 { -magnitude(distance) } else { 1 - magnitude(percent) };
    format!("{percent:.*} %", usize::try_from(decimals).unwrap_or(0))
}

/// The power of ten of the first digit.
#[expect(clippy::cast_possible_truncation, reason = "no f64 has a logarithm beyond 310")]
fn magnitude(value: f64) -> i32 {
    value.log10().floor() as i32
}

/// The point below which the share `p` of a Beta distribution lies.
///
/// By bisection on the distribution function rather than by the crate's own quantile, whose
/// precision is not documented.
fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    let Ok(beta) = Beta::new(a, b) else { return 1.0 };
    let (mut low, mut high) = (0.0, 1.0);
    // Halving reaches the resolution of f64 near any quantile that matters long before this.
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if beta.cdf(middle) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() < 5e-5 * expected.max(1e-3), "{value} is not {expected}");
    }

    /// The values were found without the Beta distribution: by bisection on sums of the binomial's terms.
    #[test]
    fn bounds_are_those_of_the_binomial() {
        close(upper_bound(0, 5334, 0.95), 0.000_561_47);
        close(upper_bound(0, 20, 0.95), 0.139_108);
        close(upper_bound(1, 20, 0.95), 0.216_107);
        close(lower_bound(10, 10, 0.95), 0.741_134);
        let (low, high) = interval(3, 20, 0.95);
        close(low, 0.032_071);
        close(high, 0.378_927);
        let (low, high) = interval(0, 10, 0.95);
        close(low, 0.0);
        close(high, 0.308_497);
        close(upper_bound(7, 7, 0.95), 1.0);
        close(upper_bound(0, 0, 0.95), 1.0);
    }

    #[test]
    fn a_loss_rate_is_never_bare() {
        for (k, n, text) in [
            (0, 5334, "0 of 5 334 (≤ 0.056 % at 95 %)"),
            (7, 5334, "7 of 5 334 (0.13 %, 0.053 to 0.27 %)"),
            (0, 20, "0 of 20 (≤ 14 % at 95 %)"),
            (3, 20, "3 of 20 (15 %, 3.2 to 38 %)"),
            (20, 20, "20 of 20 (100 %, 83 to 100 %)"),
            (0, 1_234_567, "0 of 1 234 567 (≤ 0.00024 % at 95 %)"),
            (0, 0, "0 of 0"),
        ] {
            assert_eq!(loss_rate_text(k, n), text);
        }
    }

    #[test]
    fn shares_show_two_digits_that_matter() {
        for (share, text) in [
            (0.0, "0 %"),
            (0.000_561, "0.056 %"),
            (0.5, "50 %"),
            (0.95, "95 %"),
            (0.999_73, "99.97 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(percent(share), text);
        }
    }

    #[test]
    fn the_sample_size_proves_the_rate() {
        assert_eq!(trials_for(0.001, 0.95), Some(2995));
        assert_eq!(trials_for(0.5, 0.95), Some(5));
        assert_eq!(trials_for(0.0, 0.95), None);
        assert_eq!(trials_for(1.0, 0.95), Some(1));
    }

    proptest! {
        #[test]
        fn the_sample_size_is_the_smallest(rate in 1e-5..0.9_f64, confidence in 0.5..0.999_f64) {
            let n = trials_for(rate, confidence).expect("a number");
            prop_assert!(upper_bound(0, n, confidence) <= rate * (1.0 + 1e-9));
            prop_assert!(n == 1 || upper_bound(0, n - 1, confidence) > rate * (1.0 - 1e-9));
        }

        #[test]
        fn intervals_hold_the_rate(n in 1..100_000_u64, share in 0.0..1.0_f64, confidence in 0.5..0.999_f64) {
            let k = (share * n as f64) as u64;
            let (low, high) = interval(k, n, confidence);
            let rate = k as f64 / n as f64;
            prop_assert!(0.0 <= low && low <= rate && rate <= high && high <= 1.0, "{low} {rate} {high}");
        }
    }
}

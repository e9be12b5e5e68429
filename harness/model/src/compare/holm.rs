//! Many comparisons at once: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
//! Journal of Statistics 6 (1979).

/// The probability with which all words of a comparison together may be wrong.
pub const ERROR: f64 = 0.05;
/// The confidence of intervals that are not corrected.
pub const CONFIDENCE: f64 = 1.0 - ERROR;

/// The confidence that each of these comparisons needs, so that all of them together err with a probability of at
/// most `error`, in the order in which they were given.
///
/// The i-th smallest probability of m is held against `error` / (m − i), from the smallest on; once one is too
/// large, it and all that are larger need the confidence of that step.
#[must_use]
pub fn confidences(probabilities: &[f64], error: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut found = vec![1.0 - error; probabilities.len()];
    let mut left = probabilities.len();
    let mut is_over = false;
    for index in order {
        found[index] = 1.0 - error / left as f64;
        is_over |= probabilities[index] > error / left as f64;
        if !is_over {
            left -= 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_step_needs_less_until_one_fails() {
        let found = confidences(&[0.04, 0.001, 0.03, 0.01], 0.05);
        let expected = [1.0 - 0.05 / 2.0, 1.0 - 0.05 / 4.0, 1.0 - 0.05 / 2.0, 1.0 - 0.05 / 3.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(confidences(&[], 0.05), Vec::<f64>::new());
        assert_eq!(confidences(&[0.5], 0.05), [0.95]);
    }

    proptest! {
        #[test]
        fn none_needs_less_than_it_would_alone_nor_more_than_bonferronis(ps in prop::collection::vec(0.0..1.0_f64, 1..30)) {
            let most = 1.0 - 0.05 / ps.len() as f64;
            prop_assert!(confidences(&ps, 0.05).iter().all(|confidence| (0.95..=most).contains(confidence)));
        }
    }
}

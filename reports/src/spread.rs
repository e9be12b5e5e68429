//! A time over several trials: its median and its range, never the worst as if it were typical.

use crate::text::duration;

/// The median and the range of a time over trials; of a single trial, all three are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread {
    pub(crate) low_ns: u64,
    pub(crate) median_ns: u64,
    pub(crate) high_ns: u64,
}

impl Spread {
    /// Of these values; `None` where there are none.
    pub(crate) fn of(values_ns: impl Iterator<Item = u64>) -> Option<Self> {
        let mut sorted: Vec<u64> = values_ns.collect();
        sorted.sort_unstable();
        let (low_ns, high_ns) = (*sorted.first()?, *sorted.last()?);
        let (lower, upper) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { low_ns, median_ns: u64::midpoint(lower, upper), high_ns })
    }

    /// `104 ms (98.1–140)`: the range, in the median's unit where it is of the same. A time of nothing is
    /// `none` in words.
    pub(crate) fn text(self, none: &str) -> String {
        let median = if self.median_ns == 0 { none.to_owned() } else { duration(self.median_ns) };
        if self.low_ns == self.high_ns {
            return median;
        }
        let (low, high) = (duration(self.low_ns), duration(self.high_ns));
        let shared = unit(&median).filter(|shared| {
            let is_shared = |text: &str| unit(text).is_none_or(|unit| unit == *shared);
            is_shared(&low) && is_shared(&high)
        });
        let bare = |text: &str| match shared {
            Some(unit) => text.strip_suffix(unit).unwrap_or(text).trim_end().to_owned(),
            None => text.to_owned(),
        };
        format!("{median} ({}–{})", bare(&low), bare(&high))
    }
}

/// The unit of a duration; `None`: it has none, as 0.
fn unit(text: &str) -> Option<&str> {
    text.split_once(' ').map(|(_, unit)| unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    #[track_caller]
    fn check(values: &[u64], expected: &str) {
        let spread = Spread::of(values.iter().copied()).expect("values");
        assert_eq!(spread.text("none"), expected);
    }

    #[test]
    fn the_unit_is_said_once_where_it_is_the_same() {
        check(&[104 * MS], "104 ms");
        check(&[104 * MS, 104 * MS], "104 ms");
        check(&[140 * MS, 98 * MS, 104 * MS], "104 ms (98.0–140)");
        check(&[900 * MS, 1_100 * MS], "1.00 s (900 ms–1.10 s)");
        check(&[0, 100 * MS, 140 * MS], "100 ms (0–140)");
        check(&[0, 0, 140 * MS], "none (0–140 ms)");
        check(&[0, 0], "none");
        assert_eq!(Spread::of(std::iter::empty()), None);
    }

    proptest! {
        #[test]
        fn the_median_lies_within_the_range(values in prop::collection::vec(any::<u64>(), 1..20)) {
            let spread = Spread::of(values.iter().copied()).expect("values");
            prop_assert!(spread.low_ns <= spread.median_ns && spread.median_ns <= spread.high_ns);
            prop_assert!(values.contains(&spread.low_ns) && values.contains(&spread.high_ns));
            let below = values.iter().filter(|value| **value < spread.median_ns).count();
            let above = values.iter().filter(|value| **value > spread.median_ns).count();
            prop_assert!(below <= values.len() / 2 && above <= values.len() / 2);
        }
    }
}

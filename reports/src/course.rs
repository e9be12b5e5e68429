//! The course of a trial: each attempt with its instants, the accept queue and the workers, as its files have them.
//!
//! A result holds what a trial came to; how it went on the way stands in the files beside it. Pages that draw it are
//! given it by whoever can read those files, and show what the result alone has where there are none.

use std::num::NonZeroI64;

use holdline_model::result::TrialResult;
use holdline_model::words::{Blame, Fate};

/// An instant that there may be none of, without room of its own for that: a page is drawn from all attempts of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At(NonZeroI64);

impl At {
    /// So many nanoseconds from the start of the load; `None` for the one number that no clock ever shows.
    #[must_use]
    pub const fn new(ns: i64) -> Option<Self> {
        // All numbers but one are others than 0 then.
        match NonZeroI64::new(ns ^ i64::MIN) {
            Some(at) => Some(Self(at)),
            None => None,
        }
    }

    /// Nanoseconds from the start of the load.
    #[must_use]
    pub const fn ns(self) -> i64 {
        self.0.get() ^ i64::MIN
    }
}

/// An attempt. Instants are nanoseconds from the start of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Its number.
    pub attempt: u32,
    /// When it was due.
    pub intended_ns: i64,
    /// When it was begun; absent: it never was.
    pub started_ns: Option<At>,
    /// When it was connected.
    pub connected_ns: Option<At>,
    /// When a worker accepted it; absent also where nobody wrote that down.
    pub accepted_ns: Option<At>,
    /// When it was answered or lost.
    pub finished_ns: Option<At>,
    /// What became of it.
    pub fate: Fate,
    /// Why it was lost; absent where it was not.
    pub blame: Option<Blame>,
    /// Whether it was served after the deadline.
    pub is_late: bool,
}

/// The length of an accept queue from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// From when, in nanoseconds from the start of the load.
    pub at_ns: i64,
    /// Connections in it.
    pub length: u32,
    /// How many it takes.
    pub limit: u32,
}

/// The life of a worker. Instants are nanoseconds from the start of the load; absent where nobody wrote them down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worker {
    /// Its process id.
    pub pid: u32,
    /// When it was first seen.
    pub from_ns: i64,
    /// When it could accept.
    pub ready_ns: Option<i64>,
    /// When it began to drain.
    pub drained_ns: Option<i64>,
    /// When it failed.
    pub crashed_ns: Option<i64>,
    /// When its process was gone.
    pub ended_ns: Option<i64>,
}

/// How a trial went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    /// Its attempts, by number.
    pub points: Vec<Point>,
    /// Its accept queue, all listeners taken together, in order of time.
    pub queue: Vec<Queue>,
    /// Its workers, in the order in which they were seen.
    pub workers: Vec<Worker>,
}

/// Gives the course of a trial, if there is one.
pub type Courses<'a> = &'a dyn Fn(&TrialResult) -> Option<Course>;

/// Where there are no files.
#[must_use]
pub fn none(_: &TrialResult) -> Option<Course> {
    None
}

impl Point {
    /// How long its client waited, from when it was due; absent where it never ended.
    #[must_use]
    pub fn waited_ns(&self) -> Option<u64> {
        self.finished_ns.map(|at| u64::try_from(at.ns() - self.intended_ns).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_point_is_as_small_as_its_instants() {
        assert!(size_of::<Point>() <= 48, "{}", size_of::<Point>());
    }

    proptest! {
        #[test]
        fn instants_are_what_they_were_made_of(ns in any::<i64>()) {
            prop_assert_eq!(At::new(ns).map(At::ns), (ns != i64::MIN).then_some(ns));
        }

        #[test]
        fn those_around_the_start_are_none_of_them_lost(ns in -3..3_i64) {
            prop_assert_eq!(At::new(ns).map(At::ns), Some(ns));
        }
    }
}

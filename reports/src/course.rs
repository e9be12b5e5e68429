//! The course of a trial: each attempt with its instants, the accept queue and the workers, as its files have them.
//!
//! A result holds what a trial came to; how it went on the way stands in the files beside it. Pages that draw it are
//! given it by whoever can read those files, and show what the result alone has where there are none.

use holdline_model::result::TrialResult;
use holdline_model::words::{Blame, Fate};

/// An attempt. Instants are nanoseconds from the start of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Its number.
    pub attempt: u32,
    /// When it was due.
    pub intended_ns: i64,
    /// When it was begun; absent: it never was.
    pub started_ns: Option<i64>,
    /// When it was connected.
    pub connected_ns: Option<i64>,
    /// When a worker accepted it; absent also where nobody wrote that down.
    pub accepted_ns: Option<i64>,
    /// When it was answered or lost.
    pub finished_ns: Option<i64>,
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
        self.finished_ns.map(|at_ns| u64::try_from(at_ns - self.intended_ns).unwrap_or(0))
    }
}

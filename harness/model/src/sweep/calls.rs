//! System calls of a life, and the places at which a process is killed.
//!
//! Runs differ: a call may come twice in one and once in another, and threads take turns as they like. So a
//! place is not known by its number but by what it is: a call of this name that follows, in its thread, one of that
//! name, the n-th of these since the life began, and the side of it. Whether a worker waits once more before its
//! request has come, for one, changes nothing of what it does after the reply.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::When;

/// A system call that a traced process made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Call {
    /// Its name, as the kernel has it: `accept4`.
    pub name: String,
    /// The how-many-th of this name since the life began, from 1.
    pub occurrence: u32,
    /// The last call before it in its thread that others can see; absent: it is not known.
    pub previous: Option<String>,
    /// The how-many-th of this name that follows one of that name, from 1.
    pub nth: u32,
    /// The process that made it.
    pub pid: u32,
    /// The thread of it.
    pub thread: u32,
    /// How many forks lie between the process that tracing began with and this one.
    pub depth: u32,
    /// When it was entered, in CLOCK_MONOTONIC nanoseconds.
    pub entered_ns: u64,
    /// When it had been made; absent: it was under way as the life ended.
    pub left_ns: Option<u64>,
    /// What it returned, negative: an error number.
    pub result: Option<i64>,
}

/// A place at which a process is killed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The call's name.
    pub call: String,
    /// The last call before it in its thread that others can see.
    pub previous: Option<String>,
    /// The how-many-th of this name that follows one of that name since the life began, from 1.
    pub nth: u32,
    /// On which side.
    pub when: When,
}

/// A place of a recorded life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// The call's number in the recorded life, from 0.
    pub index: u32,
    /// What it is.
    pub place: Place,
}

/// What nobody outside of a process can see, and what therefore leaves everything as it was for all others: a
/// kill after it is a kill before the next call. Sorted.
const INVISIBLE: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "clock_getres",
    "clock_gettime",
    "faccessat",
    "faccessat2",
    "fstat",
    "futex",
    "getcwd",
    "getegid",
    "geteuid",
    "getgid",
    "getpeername",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "getrlimit",
    "getsid",
    "getsockname",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "lseek",
    "lstat",
    "madvise",
    "membarrier",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "pread64",
    "prlimit64",
    "readlink",
    "readlinkat",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "stat",
    "statfs",
    "statx",
    "sysinfo",
    "time",
    "uname",
];

impl Call {
    /// Whether anybody outside of the process could tell whether it was made.
    #[must_use]
    pub fn is_visible(&self) -> bool {
        is_visible(&self.name)
    }
}

/// Whether anybody outside of a process could tell whether it made a call of this name.
#[must_use]
pub fn is_visible(name: &str) -> bool {
    INVISIBLE.binary_search(&name).is_err()
}

/// The calls of a life that lasts from one instant to another, in the order in which they were entered: those
/// that were under way in it at any time.
#[must_use]
pub fn within(mut calls: Vec<Call>, begin_ns: u64, end_ns: u64) -> Vec<Call> {
    calls.retain(|call| call.entered_ns < end_ns && call.left_ns.is_none_or(|left_ns| left_ns >= begin_ns));
    calls.sort_by_key(|call| call.entered_ns);
    calls
}

/// The calls up to the first connection that is accepted, with which a boot is over.
#[must_use]
pub fn until_serving(mut calls: Vec<Call>) -> Vec<Call> {
    let accepts = |call: &Call| {
        matches!(call.name.as_str(), "accept" | "accept4") && call.result.is_some_and(|result| result >= 0)
    };
    if let Some(first) = calls.iter().position(accepts) {
        calls.truncate(first);
    }
    calls
}

/// The places of a life at which a process is killed: both sides of each call that others can see, as far as they
/// lie in the life. A call that was under way as it began was entered before, and one that was under way as it
/// ended is left after it.
#[must_use]
pub fn boundaries(calls: &[Call], begin_ns: u64, end_ns: u64) -> Vec<Boundary> {
    let of = |(index, call): (u32, &Call), when| {
        let (name, previous) = (call.name.clone(), call.previous.clone());
        let place = Place { call: name, previous, nth: call.nth, when };
        Boundary { index, place }
    };
    let mut found = Vec::new();
    for (index, call) in (0..).zip(calls).filter(|(_, call)| call.is_visible()) {
        if call.entered_ns >= begin_ns {
            found.push(of((index, call), When::Before));
        }
        if call.left_ns.is_some_and(|left_ns| left_ns < end_ns) {
            found.push(of((index, call), When::After));
        }
    }
    found
}

#[cfg(test)]
impl Call {
    /// A call of the first process that came to 0, if it came back.
    pub(crate) fn example(name: &str, entered_ns: u64, left_ns: Option<u64>) -> Self {
        Self {
            name: name.to_owned(),
            occurrence: 1,
            previous: None,
            nth: 1,
            pid: 7,
            thread: 7,
            depth: 0,
            entered_ns,
            left_ns,
            result: left_ns.map(|_| 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invisible_is_sorted_so_that_it_is_found() {
        assert!(INVISIBLE.is_sorted());
        for (name, visible) in
            [("accept4", true), ("close", true), ("mmap", false), ("access", false), ("uname", false)]
        {
            assert_eq!(Call::example(name, 0, None).is_visible(), visible, "{name}");
        }
    }

    #[test]
    fn a_boot_is_over_with_the_first_connection_that_is_accepted() {
        let again = Call { result: Some(-11), ..Call::example("accept4", 2, Some(3)) };
        let calls = vec![
            Call::example("listen", 0, Some(1)),
            again,
            Call::example("accept4", 4, Some(5)),
            Call::example("read", 6, None),
        ];
        let names: Vec<String> = until_serving(calls.clone()).into_iter().map(|call| call.name).collect();
        assert_eq!(names, ["listen", "accept4"]);
        assert_eq!(until_serving(calls[..2].to_vec()).len(), 2);
    }

    #[test]
    fn a_life_has_both_sides_of_what_lies_in_it_and_one_of_what_reaches_beyond() {
        let calls = vec![
            Call::example("read", 120, Some(121)),
            Call::example("close", 60, Some(70)),
            Call::example("accept4", 70, Some(115)),
            Call::example("mmap", 122, Some(123)),
            Call::example("write", 130, Some(131)),
            Call::example("accept4", 140, None),
            Call::example("write", 201, Some(202)),
        ];
        let life = within(calls, 100, 200);
        let names: Vec<&str> = life.iter().map(|call| call.name.as_str()).collect();
        assert_eq!(names, ["accept4", "read", "mmap", "write", "accept4"]);
        let found: Vec<(u32, When)> =
            boundaries(&life, 100, 200).into_iter().map(|at| (at.index, at.place.when)).collect();
        let (before, after) = (When::Before, When::After);
        assert_eq!(found, [(0, after), (1, before), (1, after), (3, before), (3, after), (4, before)]);
    }
}

//! System calls by name, and the places at which a process can be met: on one side of one of its calls.

use std::fmt;
use std::str::FromStr as _;

use crate::words::words;

words! {
    /// On which side of a system call a process is met.
    When ("side of a call", "kebab-case") {
        /// As it enters the kernel: the call is not made.
        Before = "before",
        /// As it leaves it: the call is made, and its result not seen.
        After = "after",
    }
}

/// The name of a system call, as the kernel has it, where it is one that this knows: of x86-64 or arm64, so that a file
/// is read alike on both.
#[must_use]
pub fn known(name: &str) -> Option<&'static str> {
    let x86_64 = syscalls::x86_64::Sysno::from_str(name).map(|call| call.name());
    x86_64.or_else(|()| syscalls::aarch64::Sysno::from_str(name).map(|call| call.name())).ok()
}

/// The names of all of them, some twice.
pub fn names() -> impl Iterator<Item = &'static str> {
    let x86_64 = syscalls::x86_64::Sysno::iter().map(|call| call.name());
    x86_64.chain(syscalls::aarch64::Sysno::iter().map(|call| call.name()))
}

/// Whether a call that came to this, negative where it failed, has done something: one that looks for a child that has ended
/// may find none, and one that starts a process comes to nothing in the new one.
#[must_use]
pub fn has_done(call: &str, result: i64) -> bool {
    match call {
        "fork" | "vfork" | "clone" | "clone3" | "wait4" => result > 0,
        _ => result >= 0,
    }
}

/// One side of a call of a process, counted from some instant on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Meeting {
    /// The call.
    pub call: &'static str,
    /// The last call before it in its thread that others can see; `None`: whichever it was.
    pub following: Option<&'static str>,
    /// The how-many-th time that a thread comes there, from 1; behind a call, of those that have done something.
    pub nth: u32,
    /// On which side.
    pub side: When,
}

/// What whoever is met there does: "leaves wait4".
impl fmt::Display for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, following, nth, side } = self;
        let does = match side {
            When::Before => "enters",
            When::After => "leaves",
        };
        write!(f, "{does} {call}")?;
        if let Some(following) = following {
            write!(f, " (after {following})")?;
        }
        if *nth > 1 {
            write!(f, ", time {nth}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_known_by_their_names_on_every_machine() {
        for name in ["accept4", "wait4", "clone3", "poll", "fork", "epoll_wait"] {
            assert_eq!(known(name), Some(name));
        }
        assert_eq!((known("acept4"), known("")), (None, None));
        assert!(names().any(|name| name == "accept4"));
    }

    #[test]
    fn what_failed_or_found_nobody_has_done_nothing() {
        for (call, result, has) in [
            ("wait4", 7, true),
            ("wait4", 0, false),
            ("close", 0, true),
            ("accept4", -11, false),
            ("clone3", 0, false),
        ] {
            assert_eq!(has_done(call, result), has, "{call} {result}");
        }
    }

    #[test]
    fn a_place_is_told_as_far_as_it_is_narrowed_down() {
        let plain = Meeting { call: "wait4", following: None, nth: 1, side: When::After };
        assert_eq!(plain.to_string(), "leaves wait4");
        let narrow = Meeting { following: Some("poll"), nth: 3, side: When::Before, ..plain };
        assert_eq!(narrow.to_string(), "enters wait4 (after poll), time 3");
    }
}

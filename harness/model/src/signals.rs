//! Signals, as files name them, and what holdline knows of each.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::words::{UnknownWord, nearest};

/// Every signal that a file may name, without `SIG`, by its Linux name (signal(7)).
pub const NAMES: &[&str] = &[
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal that has a name; parsed once, where a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(&'static str);

impl Signal {
    /// SIGTERM.
    pub const TERM: Self = Self("TERM");
    /// SIGKILL.
    pub const KILL: Self = Self("KILL");
    /// SIGSTOP.
    pub const STOP: Self = Self("STOP");
    /// SIGCONT.
    pub const CONT: Self = Self("CONT");

    /// Its name, without `SIG`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// Whether a process that dies of it has crashed. TERM, INT, HUP and QUIT are requests: what is
    /// lost by them is the supervisor's or the worker's doing, and to end by them is what many do.
    #[must_use]
    pub fn is_crash(self) -> bool {
        matches!(self.0, "KILL" | "SEGV" | "ABRT" | "BUS" | "FPE" | "ILL" | "SYS")
    }

    /// Whether it stops a process until it gets SIGCONT.
    #[must_use]
    pub fn stops(self) -> bool {
        matches!(self.0, "STOP" | "TSTP" | "TTIN" | "TTOU")
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl FromStr for Signal {
    type Err = UnknownWord;

    /// A name that is not in [`NAMES`] is an error. For `SIGTERM` and `term` the nearest is `TERM`.
    fn from_str(given: &str) -> Result<Self, UnknownWord> {
        NAMES.iter().copied().find(|name| *name == given).map(Self).ok_or_else(|| {
            let upper = given.to_uppercase();
            let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
            UnknownWord {
                what: "signal",
                given: given.to_owned(),
                nearest: nearest(bare, NAMES.iter().copied()).map(str::to_owned),
                allowed: NAMES.to_vec(),
            }
        })
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Signal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_go_without_their_prefix() {
        let parse = Signal::from_str;
        assert_eq!(parse("TERM"), Ok(Signal::TERM));
        for (given, near) in [("SIGTERM", "TERM"), ("term", "TERM"), ("SIGKIL", "KILL"), ("hup", "HUP")] {
            assert_eq!(parse(given).expect_err("wrong").nearest.as_deref(), Some(near), "{given}");
        }
        assert_eq!(parse("42").expect_err("wrong").nearest, None);
    }

    #[test]
    fn what_crashes_does_not_stop_and_a_request_does_neither() {
        let all = || NAMES.iter().map(|name| Signal::from_str(name).expect("a signal"));
        assert_eq!(all().filter(|signal| signal.is_crash()).count(), 7);
        assert_eq!(all().filter(|signal| signal.stops()).count(), 4);
        assert!(!all().any(|signal| signal.is_crash() && signal.stops()));
        for request in ["TERM", "INT", "HUP", "QUIT"] {
            let signal: Signal = request.parse().expect("a signal");
            assert!(!signal.is_crash() && !signal.stops(), "{signal}");
        }
        for signal in [Signal::TERM, Signal::KILL, Signal::STOP, Signal::CONT] {
            assert_eq!(signal.name().parse(), Ok(signal));
        }
    }
}

//! In whose hands a connection was when its client's time ran out, and who had no descriptors left.
//!
//! The kernel knows both at the moment and at no other: a connection is looked at before its client lets go
//! of it, a process while it has all of its descriptors in use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::words;

/// A process of a trial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Its process id, in the trial's PID namespace.
    pub pid: u32,
    /// What it is called (`/proc/PID/comm`).
    pub name: String,
    /// Whether it is the supervisor, with processes below it.
    pub supervises: bool,
}

words! {
    /// How much of what the client had sent was read.
    Reading ("reading", "snake_case") {
        /// There was nothing to be read: the client had not sent anything of it.
        Unsent = "unsent",
        /// Nothing of the request in hand.
        Unread = "unread",
        /// Some of it.
        Part = "part",
        /// All of it.
        Read = "read",
    }
}

impl Reading {
    /// What is left unread of so many bytes that were sent says how much was read.
    #[must_use]
    pub const fn of(sent: u64, unread: u64) -> Self {
        match unread {
            0 if sent == 0 => Self::Unsent,
            0 => Self::Read,
            _ if unread < sent => Self::Part,
            _ => Self::Unread,
        }
    }
}

/// Where the server's end of a connection was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Custody {
    /// In the accept queue: established, and accepted by nobody.
    Queue,
    /// Connected for the client alone: the kernel holds a half-open handshake, since the queue was full when
    /// it was to be finished, or since the listener wants data first (`TCP_DEFER_ACCEPT`).
    HalfOpen,
    /// Accepted.
    Held {
        /// By whom, in order of process ids: the first that was found, where several share it.
        by: Process,
        /// How many other processes have it open as well.
        others: u32,
        /// How much of the request was read.
        request: Reading,
    },
    /// Accepted, and by nobody that can be looked at.
    Hidden,
    /// Closed on the server's side, or unknown there.
    Closed,
}

impl Custody {
    /// In one word, with process and reading where there are any.
    #[must_use]
    pub fn in_short(&self) -> String {
        match self {
            Self::Queue => "queue".to_owned(),
            Self::HalfOpen => "half_open".to_owned(),
            Self::Held { by, request, .. } => format!("held:{}:{}", by.pid, request.as_str()),
            Self::Hidden => "hidden".to_owned(),
            Self::Closed => "closed".to_owned(),
        }
    }
}

/// What was seen of an attempt whose time had run out, before its client let go of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InHands {
    /// Which.
    pub attempt: u32,
    /// Where it was.
    pub custody: Custody,
}

/// A process that holds a listener and had all of its descriptors in use, at each look from one to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhausted {
    /// Which.
    pub process: Process,
    /// How many descriptors it may have (the soft limit RLIMIT_NOFILE).
    pub limit: u64,
    /// The first look that found it so, in CLOCK_MONOTONIC nanoseconds.
    pub first_ns: u64,
    /// The last such look.
    pub last_ns: u64,
    /// How long it is from one look to the next, in nanoseconds: for so long before and after it may have
    /// been so as well.
    pub interval_ns: u64,
}

impl Exhausted {
    /// Whether it was so at some instant between two, as far as looks tell.
    #[must_use]
    pub const fn touches(&self, from_ns: u64, to_ns: u64) -> bool {
        self.first_ns.saturating_sub(self.interval_ns) <= to_ns && from_ns <= self.last_ns + self.interval_ns
    }
}

/// What a trial's processes held, as far as it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Attempts whose time ran out, in order of attempt.
    pub overdue: Vec<InHands>,
    /// Who had no descriptors left, in order of time.
    pub exhausted: Vec<Exhausted>,
}

impl Held {
    /// Where an attempt was when its time ran out; `None`: it was not looked at.
    #[must_use]
    pub fn custody(&self, attempt: u32) -> Option<&Custody> {
        let index = self.overdue.binary_search_by_key(&attempt, |seen| seen.attempt).ok()?;
        self.overdue.get(index).map(|seen| &seen.custody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unread_says_how_much_was_read() {
        assert_eq!(
            [Reading::of(9, 9), Reading::of(9, 4), Reading::of(9, 0)].map(Reading::as_str),
            ["unread", "part", "read"]
        );
        assert_eq!(Reading::of(0, 0), Reading::Unsent);
    }

    #[test]
    fn who_is_out_of_descriptors_is_so_between_looks() {
        let process = Process { pid: 7, name: "it".to_owned(), supervises: false };
        let exhausted = Exhausted { process, limit: 64, first_ns: 1000, last_ns: 1200, interval_ns: 100 };
        for (from_ns, to_ns, touches) in
            [(0, 899, false), (0, 900, true), (1050, 1060, true), (1300, 9000, true), (1301, 9000, false)]
        {
            assert_eq!(exhausted.touches(from_ns, to_ns), touches, "{from_ns} to {to_ns}");
        }
    }
}

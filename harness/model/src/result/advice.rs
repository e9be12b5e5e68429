//! The backlog that a load would have needed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::show_ns;
use crate::stats::grouped;

/// What the load needed, and what there was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// What it needed.
    pub need: Need,
    /// What there was.
    pub backlog: Backlog,
}

/// What would have kept the accept queue from being full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Need {
    /// Nobody accepted any more: no backlog is long enough.
    Endless,
    /// A time without an accept, in which others came.
    Stall {
        /// How many came.
        came: u64,
        /// How long it was, in nanoseconds.
        stalled_ns: u64,
        /// The backlog that holds all who waited.
        backlog: u64,
    },
    /// Attempts came faster than they were accepted, all the time: no backlog is long enough.
    TooMuch {
        /// How many came.
        came: u64,
        /// How many of them were accepted.
        accepted: u64,
        /// In how long, in nanoseconds.
        lasted_ns: u64,
    },
    /// Many came at the same time.
    AtOnce {
        /// The backlog that holds them all.
        backlog: u64,
    },
}

/// What a server listened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backlog {
    /// How many listeners there were at the same time.
    pub listeners: u64,
    /// What the scenario asks each for.
    pub asked: u32,
    /// What the kernel gave it.
    pub limit: u32,
    /// The most that the kernel gives anybody (net.core.somaxconn), if that is known.
    pub somaxconn: Option<u32>,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.need, self.backlog)
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endless => f.write_str("nobody accepted any more: no backlog is long enough for that"),
            Self::Stall { came, stalled_ns, backlog } => {
                let (rate, stalled) = (per_second(*came, *stalled_ns), show_ns(*stalled_ns));
                let backlog = grouped(*backlog);
                write!(f, "at {rate}, {stalled} without an accept need a backlog of at least {backlog}")
            }
            Self::TooMuch { came, accepted, lasted_ns } => {
                let (came, went) = (per_second(*came, *lasted_ns), per_second(*accepted, *lasted_ns));
                write!(
                    f,
                    "attempts came at {came} and were accepted at {went}: a longer backlog only makes them \
                     wait longer"
                )
            }
            Self::AtOnce { backlog } => {
                let many = grouped(*backlog);
                write!(f, "{many} wanted in at the same time, which needs a backlog of at least {many}")
            }
        }
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.listeners {
            0 | 1 => f.write_str("the listener")?,
            several => write!(f, "each of the {several} listeners")?,
        }
        let (asked, limit) = (grouped(self.asked.into()), grouped(self.limit.into()));
        if self.asked <= self.limit {
            write!(f, " had {limit}")
        } else if self.somaxconn == Some(self.limit) {
            write!(f, " asked for {asked} and had {limit}, which is what net.core.somaxconn allows")
        } else {
            write!(f, " was asked for {asked}, but listened with {limit}")
        }
    }
}

fn per_second(count: u64, ns: u64) -> String {
    let rate = count as f64 * 1e9 / ns.max(1) as f64;
    if rate < 10.0 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_in_words() {
        let (came, ns) = (600, 1_200_000_000);
        for (need, words) in [
            (Need::Endless, "nobody accepted any more: no backlog is long enough for that"),
            (
                Need::Stall { came, stalled_ns: ns, backlog: 1601 },
                "at 500/s, 1.20 s without an accept need a backlog of at least 1 601",
            ),
            (
                Need::TooMuch { came, accepted: 6, lasted_ns: ns },
                "attempts came at 500/s and were accepted at 5.0/s: a longer backlog only makes them wait longer",
            ),
            (
                Need::AtOnce { backlog: 50 },
                "50 wanted in at the same time, which needs a backlog of at least 50",
            ),
        ] {
            assert_eq!(need.to_string(), words);
        }
    }

    /// A server that gives `listen` a number of its own is not the kernel's doing.
    #[test]
    fn somaxconn_is_named_only_where_it_is_what_limits() {
        let backlog = |listeners, asked, limit, somaxconn| Backlog { listeners, asked, limit, somaxconn };
        for (backlog, words) in [
            (backlog(1, 16, 16, Some(4096)), "the listener had 16"),
            (backlog(2, 16, 128, Some(4096)), "each of the 2 listeners had 128"),
            (
                backlog(1, 4096, 128, Some(128)),
                "the listener asked for 4 096 and had 128, which is what net.core.somaxconn allows",
            ),
            (backlog(1, 4096, 128, Some(4096)), "the listener was asked for 4 096, but listened with 128"),
            (backlog(1, 4096, 128, None), "the listener was asked for 4 096, but listened with 128"),
        ] {
            assert_eq!(backlog.to_string(), words);
        }
    }
}

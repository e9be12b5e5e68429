//! What would have prevented losses, and why one thinks so.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TrialResult;
use crate::duration::show_ns;
use crate::stats::grouped;
use crate::told::{Phrase, Told};
use crate::words::{Fate, Verb};

/// A change that would have prevented collateral losses. Several that name the same losses are alternatives: one of
/// them is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remedy {
    /// What to change, with the numbers that it follows from.
    pub change: Change,
    /// The losses that it would have prevented, by fate: never one that was not collateral.
    pub prevents: BTreeMap<Fate, u64>,
    /// Both in words.
    pub text: String,
}

/// What to change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The listener is held by somebody who outlives the process that accepts: socket activation, or a supervisor
    /// that holds the socket.
    HoldListener {
        /// The longest time for which nobody listened, in nanoseconds; `null`: to the end, or nobody was refused.
        gap_ns: Option<u64>,
        /// The most that would have waited in its queue meanwhile: the backlog that it needs. `null`: nobody
        /// listened again, so that there would have been ever more.
        backlog: Option<u64>,
    },
    /// The new one is ready before the old one goes.
    StartNewFirst {
        /// What the service was asked to do.
        verb: Verb,
        /// The longest time for which nobody listened after that, in nanoseconds.
        gap_ns: u64,
    },
    /// A longer accept queue.
    Backlog {
        /// How long at least; `null`: longer than it was, but how much is not known.
        at_least: Option<u64>,
        /// How long it was.
        had: u32,
        /// net.core.somaxconn, where that does not allow it.
        somaxconn: Option<u32>,
    },
    /// net.ipv4.tcp_migrate_req = 1: what waits in the queue of a listener that closes moves to another of the same
    /// address (SO_REUSEPORT).
    MigrateRequests {
        /// How many listeners shared the address.
        listeners: u64,
    },
    /// Whoever is asked to stop takes longer, and answers what it has accepted.
    Drain {
        /// How long at least, in nanoseconds, from being asked to stop.
        at_least_ns: u64,
        /// How that is known.
        basis: DrainBasis,
    },
    /// Clients try again that for which nothing has been done.
    Retry {
        /// For how long at least, in nanoseconds, from a loss to the next that was served.
        for_at_least_ns: u64,
    },
}

/// How it is known how long a drain takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum DrainBasis {
    /// By how long the longest took that was answered: a request that was cut might have needed as long.
    LongestServed {
        /// How long that was, in nanoseconds.
        took_ns: u64,
    },
    /// By how long the last of those that were cut had still lived: it would have needed longer.
    LongestCut,
}

impl Remedy {
    /// A change that would have prevented these.
    #[must_use]
    pub fn new(change: Change, prevents: BTreeMap<Fate, u64>) -> Self {
        let mut remedy = Self { change, prevents, text: String::new() };
        remedy.text = remedy.phrase().to_string();
        remedy
    }

    /// How many losses it would have prevented.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.prevents.values().sum()
    }
}

impl Change {
    /// What it is called where there is little room.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::HoldListener { .. } => "a held listener".to_owned(),
            Self::StartNewFirst { .. } => "the new before the old goes".to_owned(),
            Self::Backlog { at_least: Some(at_least), .. } => format!("a backlog of {}", grouped(*at_least)),
            Self::Backlog { at_least: None, .. } => "a longer backlog".to_owned(),
            Self::MigrateRequests { .. } => "tcp_migrate_req".to_owned(),
            Self::Drain { at_least_ns, .. } => format!("a drain of {}", show_ns(*at_least_ns)),
            Self::Retry { .. } => "clients that try again".to_owned(),
        }
    }
}

impl TrialResult {
    /// What would have prevented its losses, a line each, and what nothing is known to prevent.
    #[must_use]
    pub fn remedies_in_words(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.remedies.iter().map(|remedy| remedy.text.clone()).collect();
        if !self.without_remedy.is_empty() {
            let losses = Phrase::new("nothing is known that would have helped: ");
            lines.push(losses.then(lost(&self.without_remedy)).to_string());
        }
        lines
    }
}

/// "13 reset in the queue and 2 refused".
fn lost(losses: &BTreeMap<Fate, u64>) -> Phrase {
    losses.iter().enumerate().fold(Phrase::default(), |said, (index, (fate, count))| {
        let said = match index {
            0 => said,
            _ if index + 1 == losses.len() => said.text(" and "),
            _ => said.text(", "),
        };
        said.count(*count).text(format!(" {}", in_words(*fate)))
    })
}

/// What became of those that were lost, in words that fit "13 …".
const fn in_words(fate: Fate) -> &'static str {
    match fate {
        Fate::Served => "served",
        Fate::Refused => "refused",
        Fate::SynDropped => "never connected",
        Fate::QueueReset => "reset in the queue",
        Fate::NoReply => "without a reply",
        Fate::Truncated => "cut within the reply",
        Fate::ErrorReply => "with an error reply",
        Fate::WrongReply => "with a wrong reply",
        Fate::TimedOut => "timed out",
        Fate::NotSent => "not sent",
        Fate::Silent => "silent",
    }
}

impl Told for Change {
    fn phrase(&self) -> Phrase {
        match self {
            Self::HoldListener { backlog, .. } => {
                let said = Phrase::new(
                    "hold the listener outside of the process that accepts (socket activation, or a supervisor that \
                     holds the socket and starts the service again)",
                );
                match backlog {
                    Some(backlog) => said.text(", with a backlog of at least ").count(*backlog),
                    None => said,
                }
            }
            Self::StartNewFirst { verb, .. } => {
                Phrase::new(format!("on {verb}, start the new before the old goes"))
            }
            Self::Backlog { at_least: Some(at_least), somaxconn, .. } => {
                let said = Phrase::new("a backlog of at least ").count(*at_least);
                match somaxconn {
                    Some(_) => said.text(", and net.core.somaxconn as large"),
                    None => said,
                }
            }
            Self::Backlog { at_least: None, had, .. } => {
                Phrase::new("a backlog of more than ").count(u64::from(*had))
            }
            Self::MigrateRequests { .. } => Phrase::new("net.ipv4.tcp_migrate_req = 1"),
            Self::Drain { at_least_ns, basis: DrainBasis::LongestServed { .. } } => {
                Phrase::new("a drain of at least ").ns(*at_least_ns)
            }
            Self::Drain { at_least_ns, basis: DrainBasis::LongestCut } => {
                Phrase::new("a drain of more than ").ns(*at_least_ns)
            }
            Self::Retry { for_at_least_ns } => {
                Phrase::new("clients that try again for at least ").ns(*for_at_least_ns)
            }
        }
    }
}

impl Told for Remedy {
    fn phrase(&self) -> Phrase {
        let said = self.change.phrase().text(": ").then(lost(&self.prevents));
        match &self.change {
            Change::HoldListener { gap_ns: Some(gap_ns), .. } => {
                said.text("; nobody listened for ").ns(*gap_ns)
            }
            Change::HoldListener { gap_ns: None, .. } if self.prevents.contains_key(&Fate::Refused) => {
                said.text("; nobody listened any more")
            }
            Change::HoldListener { gap_ns: None, .. } => {
                said.text("; the listener was closed with them in its queue")
            }
            Change::StartNewFirst { verb, gap_ns } => {
                said.text(format!("; after {verb} nobody listened for ")).ns(*gap_ns)
            }
            Change::Backlog { at_least, had, somaxconn } => {
                let said = said.text("; the queue held ").count(u64::from(*had));
                match (at_least, somaxconn) {
                    (Some(_), Some(allowed)) => {
                        said.text(", and net.core.somaxconn allows ").count(u64::from(*allowed))
                    }
                    (Some(_), None) | (None, _) => said,
                }
            }
            Change::MigrateRequests { listeners } => said
                .text("; their listener closed while others of ")
                .count(*listeners)
                .text(" listened at the same address (SO_REUSEPORT)"),
            Change::Drain { basis: DrainBasis::LongestServed { took_ns }, .. } => {
                said.text("; they were under way when it was asked to stop, and the longest that was answered took ").ns(*took_ns)
            }
            Change::Drain { basis: DrainBasis::LongestCut, .. } => {
                said.text("; they were under way when it was asked to stop, and the last was cut only then")
            }
            Change::Retry { .. } => {
                said.text("; nothing was done for them, so that they are safe to retry, and others were served after that")
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase().fmt(f)
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase().fmt(f)
    }
}

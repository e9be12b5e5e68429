//! What was lost: how many, in which way, and what came before it. The sentence is made of these values.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LossKind;
use crate::errno::errno_in_words;
use crate::exit::Exit;
use crate::said::in_quotes;
use crate::told::{Phrase, Told};
use crate::words::{CrashMode, CrashStep};

mod by;
mod how;
mod place;
mod tell;

pub use by::{Chain, LostBy};
pub use how::{Closer, Cut, End, How, Part, PoisonReply, Queue, Silence, Span};
pub use place::{Place, Stall, Stuck};

/// How much of a reply a sentence quotes.
const QUOTED_CHARS_MAX: usize = 80;

/// A kind of loss, with how many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Which.
    pub kind: LossKind,
    /// What is known of it.
    #[serde(flatten)]
    pub known: Known,
    /// What came before it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// Who of a chain of programs lost it; absent where it is just one, or where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<LostBy>,
    /// The first bytes of one of the replies, where there was one that was not the answer. What cannot be
    /// printed is escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// What is known of a loss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// How many, and how.
    Lost(Lost),
    /// A sentence with the numbers in it apart, in files that say it in words alone.
    Said(Phrase),
}

/// How many were lost, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    /// How many attempts; of a queue that was full, how often it was.
    pub count: u64,
    /// In which way.
    #[serde(flatten)]
    pub how: How,
}

impl Loss {
    /// So many that were lost in a way, for no reason that is known.
    #[must_use]
    pub fn new(count: u64, how: How) -> Self {
        Self {
            kind: how.kind(),
            known: Known::Lost(Lost { count, how }),
            cause: None,
            by: None,
            example: None,
        }
    }

    /// With what came before it, if that is known.
    #[must_use]
    pub fn after(self, cause: Option<Cause>) -> Self {
        Self { cause, ..self }
    }

    /// With who lost it, of the programs of a chain.
    #[must_use]
    pub fn of_chain(self, chain: &Chain<'_>) -> Self {
        let by = match &self.known {
            Known::Lost(lost) => LostBy::of(&lost.how, chain),
            Known::Said(_) => None,
        };
        Self { by, ..self }
    }

    /// With the first bytes of a reply, escaped, if any were kept.
    #[must_use]
    pub fn quoting(self, example: Option<String>) -> Self {
        Self { example, ..self }
    }
}

/// What made a listener close, or nobody listen or accept: whose end or failure came last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Cause {
    /// The supervisor ended.
    SupervisorEnded {
        /// How, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
    },
    /// A fault killed a worker.
    WorkerKilled {
        /// The worker's process id.
        pid: u32,
    },
    /// A worker crashed as it was told.
    WorkerDied {
        /// The worker's process id.
        pid: u32,
        /// Where.
        step: CrashStep,
        /// How.
        mode: CrashMode,
    },
    /// A worker exited of its own will.
    WorkerExited {
        /// The worker's process id.
        pid: u32,
    },
    /// A process that holds the listener had all of its descriptors in use.
    OutOfDescriptors {
        /// Its process id.
        pid: u32,
        /// What it is called.
        name: String,
        /// How many descriptors it may have.
        limit: u64,
    },
    /// A worker could not listen.
    CouldNotListen {
        /// The worker's process id.
        pid: u32,
        /// The errno of `bind` or `listen`.
        errno: u64,
    },
}

impl Told for Cause {
    fn phrase(&self) -> Phrase {
        let after_worker = |pid: u32| Phrase::new("after worker ").id(pid);
        match self {
            Self::SupervisorEnded { status } => {
                Phrase::new(format!("after the supervisor ended with {status}"))
            }
            Self::WorkerKilled { pid } => after_worker(*pid).text(" was killed from outside"),
            Self::WorkerDied { pid, step, mode } => {
                after_worker(*pid).text(format!(" died ({mode} at step {step})"))
            }
            Self::WorkerExited { pid } => after_worker(*pid).text(" exited"),
            Self::OutOfDescriptors { pid, name, limit } => {
                let who = Phrase::new("while process ").id(*pid).text(format!(" ({name}) had all of its "));
                who.count(*limit).text(" descriptors in use")
            }
            Self::CouldNotListen { pid, errno } => {
                after_worker(*pid).text(format!(" could not listen ({})", errno_in_words(*errno)))
            }
        }
    }
}

impl Told for Loss {
    fn phrase(&self) -> Phrase {
        let lost = match &self.known {
            Known::Said(phrase) => return phrase.clone(),
            Known::Lost(lost) => lost,
        };
        let cause = self.cause.as_ref().map(Told::phrase).unwrap_or_default();
        let by = self.by.as_ref().map(LostBy::in_words).unwrap_or_default();
        let phrase = lost.how.begin(lost.count).and(cause).then(lost.how.end()).text(by);
        match &self.example {
            Some(example) => phrase.text(format!(": {}", in_quotes(example, QUOTED_CHARS_MAX))),
            None => phrase,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase().fmt(f)
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase().fmt(f)
    }
}

#[cfg(test)]
mod tests;

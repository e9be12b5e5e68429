//! Why a trial has the mark that it has, and what a reader should know of it: each reason and each note
//! is a value, whose Display is the sentence that reports print.

mod note;
mod remedy;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, NotAsked};
use crate::deed::Deed;
use crate::duration::show_ns;
use crate::hindrance::Hindrance;
use crate::lack::Lack;
use crate::ledger::books::Entry;
use crate::mishap::{FullFolder, Mishap};
use crate::record::NotSent;
use crate::told::{Phrase, Told};
use crate::wire::{CONTENT_BYTES_MAX, HEAD_BYTES_MAX, LOOKED_BYTES_MAX};
use crate::worded::Worded;

pub use note::Note;
pub use remedy::Remedy;

/// Why a trial is unsupported, inconclusive or down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// The supervisor, or this machine, cannot do what is asked.
    Lacks {
        /// What is missing.
        what: Lack,
    },
    /// The trial could not be run to its end.
    NotRun {
        /// What failed, and the remedy.
        what: Worded<Mishap>,
        /// The folder of the trial's own into which nothing more fits, if that is why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        full: Option<FullFolder>,
    },
    /// It was interrupted.
    Interrupted,
    /// It was interrupted while it was watched whether the service comes back.
    WatchInterrupted,
    /// No attempt was made at all.
    NoAttempt,
    /// The service was late, or lost requests, before any fault.
    BeforeFault {
        /// Requests that were late before any fault.
        late: u64,
        /// Requests that were lost before any fault.
        lost: u64,
        /// All that were sent.
        of: u64,
    },
    /// The service listened, and gave not one right reply before the load.
    NoRightReply {
        /// What was asked.
        asked: String,
        /// How often.
        times: u32,
        /// What came of it the last time; absent where no reply came before the time to get ready was over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Answer>,
        /// What to write into the description.
        remedy: Remedy,
    },
    /// Client, workers and kernel do not agree.
    BooksOff {
        /// The lines that are off.
        lines: Vec<Entry>,
    },
    /// The load client was late.
    SendLag {
        /// 99th percentile of the send lag, in nanoseconds.
        p99_ns: u64,
        /// What the scenario allows, in nanoseconds.
        max_ns: u64,
    },
    /// Nothing was served any more.
    NeverServed {
        /// How many attempts were due.
        attempts: u64,
        /// Whether there had been a fault.
        after_fault: bool,
    },
    /// The service did not come back within the scenario's patience.
    NotBack {
        /// For how long it was watched after the load, in nanoseconds.
        patience_ns: u64,
        /// What came of the last request; absent where none was made to its end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Answer>,
    },
    /// The supervisor has ended, and no process is left that could listen.
    NothingLeft,
    /// Whether the service comes back cannot be told: it could not be asked.
    Unasked {
        /// Why; absent in files that say it in words alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<NotAsked>,
    },
    /// The load client could not send for want of something of its own.
    NotSent {
        /// What it had none left of.
        cause: NotSent,
        /// How many attempts.
        attempts: u64,
    },
    /// Replies were longer than what the load client reads.
    TooLong {
        /// How many attempts.
        attempts: u64,
    },
    /// A fault could not be injected.
    FaultFailed {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was to be done.
        action: Worded<Deed>,
        /// Why it could not.
        error: Worded<Hindrance>,
    },
    /// The supervisor did not come to the call at which a fault was to strike.
    CallNotMade {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was to be done.
        action: Worded<Deed>,
        /// Where, in words: "leaves wait4".
        call: String,
    },
    /// A fault was due after the load had ended.
    FaultNeverDue {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was to be done.
        action: Worded<Deed>,
    },
    /// An attempt that was to carry a fault was not sent.
    PoisonNotSent {
        /// Which attempt.
        attempt: u32,
    },
    /// Whether a fault hit anybody cannot be told. Only in files of older versions.
    Undecided {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was to be done.
        action: Worded<Deed>,
        /// Why it cannot be told.
        why: String,
    },
}

impl Told for Reason {
    fn phrase(&self) -> Phrase {
        match self {
            Self::Lacks { what } => what.phrase(),
            Self::NotRun { what, full: None } => Phrase::new(what.to_string()),
            Self::NotRun { what, full: Some(full) } => Phrase::new(format!("{full}; {what}")),
            Self::Interrupted => Phrase::new("interrupted before the load had ended"),
            Self::WatchInterrupted => {
                Phrase::new("interrupted while it was watched whether the service comes back")
            }
            Self::NoAttempt => Phrase::new("no attempt was made"),
            Self::NoRightReply { asked, times, answer, remedy } => Phrase::new("asked ")
                .count(u64::from(*times))
                .text(format!(" times for {asked}, the service gave no right reply, so that nothing is graded; the last time: {}. {remedy}", came(answer.as_ref()))),
            Self::BeforeFault { late, lost, of } => before_fault(*late, *lost, *of),
            Self::BooksOff { lines } => {
                let all = lines.iter().enumerate().map(|(index, line)| (index > 0, line.phrase()));
                let join =
                    |so_far: Phrase, (more, line)| so_far.text(if more { "; " } else { "" }).then(line);
                all.fold(Phrase::new("the books do not balance: "), join)
            }
            Self::SendLag { p99_ns, max_ns } => {
                let head = "the load client did not keep up: 99 % of attempts began within ";
                Phrase::new(head).ns(*p99_ns).text(" of their time, the scenario allows ").ns(*max_ns)
            }
            Self::NeverServed { attempts, after_fault } => {
                let when = if *after_fault { " after the last fault" } else { "" };
                Phrase::new("none of the ").count(*attempts).text(format!(" attempts{when} was served"))
            }
            Self::NotBack { patience_ns, answer } => {
                let answer = answer.as_ref().map(|answer| format!(": {answer}")).unwrap_or_default();
                let phrase = Phrase::new("not back within ").text(show_ns(*patience_ns));
                phrase.text(" of the load's end").text(answer)
            }
            Self::NothingLeft => Phrase::new("gone for good: nothing is left that could come back"),
            Self::Unasked { cause } => {
                let why = |cause: &NotAsked| format!(": the request could not be made: {cause}");
                let why = cause.as_ref().map(why).unwrap_or_default();
                Phrase::new("whether the service comes back cannot be told").text(why)
            }
            Self::NotSent { cause, attempts } => {
                let phrase = Phrase::default().count(*attempts);
                phrase.text(format!(" attempts were not sent: {}", cause.in_words()))
            }
            Self::TooLong { attempts } => {
                let reads =
                    format!(
                        "{} MiB, a head of {} KiB, or {} KiB in which it looks for what a reply is to hold",
                        CONTENT_BYTES_MAX >> 20,
                        HEAD_BYTES_MAX >> 10,
                        LOOKED_BYTES_MAX >> 10
                    );
                let phrase =
                    Phrase::default().count(*attempts).text(" attempts got a reply that is longer than ");
                phrase.text(format!("what holdline reads of one ({reads})"))
            }
            Self::FaultFailed { fault, action, error } => {
                Phrase::new(format!("fault {fault} ({action}) could not be injected: {error}"))
            }
            Self::FaultNeverDue { fault, action } => Phrase::new(format!(
                "fault {fault} ({action}) never struck: the load ended before it was due"
            )),
            Self::CallNotMade { fault, action, call } => note::never_made(*fault, action, call),
            Self::PoisonNotSent { attempt } => {
                Phrase::new("the poison of attempt ").id(*attempt).text(" could not be sent")
            }
            Self::Undecided { fault, action, why } => Phrase::new(format!("fault {fault} ({action}): {why}")),
        }
    }
}

/// What came of a request, if anything did.
fn came(answer: Option<&Answer>) -> String {
    let nothing = || "no reply came before the time to get ready was over".to_owned();
    answer.map_or_else(nothing, Answer::to_string)
}

/// "18 of 200 were late before any fault".
fn before_fault(late: u64, lost: u64, of: u64) -> Phrase {
    let said = Phrase::default();
    let said = match (late, lost) {
        (0, _) => said.count(lost).text(" of ").count(of).text(" were lost"),
        (_, 0) => said.count(late).text(" of ").count(of).text(" were late"),
        (_, _) => said.count(lost).text(" of ").count(of).text(" were lost and ").count(late).text(" late"),
    };
    said.text(" before any fault")
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase().fmt(f)
    }
}

#[cfg(test)]
mod tests;

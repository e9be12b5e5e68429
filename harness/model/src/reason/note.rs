//! What a reader should know of a trial, whatever its mark.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::deed::Deed;
use crate::duration::show_ns;
use crate::exit::Exit;
use crate::hindrance::Hindrance;
use crate::mishap::{FullFolder, LeftRunning};
use crate::told::{Phrase, Told};
use crate::worded::Worded;
use crate::words::CrashStep;

/// What a reader should know of how a trial went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    /// Without a network namespace, counters are of everybody.
    HostCounters,
    /// Nothing more fits into a folder of the trial's own.
    Full(FullFolder),
    /// From the trial's process came what was no message.
    Strangers {
        /// How many lines.
        lines: u64,
    },
    /// The supervisor had to be killed in the end.
    Killed {
        /// For how long it was waited, in seconds.
        limit_s: u64,
        /// Why it could not be asked to stop, if so.
        error: Option<Worded<Hindrance>>,
    },
    /// The supervisor died of being asked to stop.
    DiedOfStop {
        /// How it ended, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
    },
    /// Processes that a signal had stopped, and nobody let go on.
    StoodStopped {
        /// Their process ids, the supervisor's first.
        pids: Vec<u32>,
        /// Whether the supervisor is among them.
        supervises: bool,
    },
    /// A program behind the front ended while the load ran.
    ProgramEnded {
        /// What it is called.
        program: String,
        /// How it ended, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
        /// When, in nanoseconds from the start of the load, as far as looks show it.
        at_ns: u64,
    },
    /// A program behind the front could not be stopped after the trial, or not in time, and was killed.
    ProgramKilled {
        /// What it is called.
        program: String,
    },
    /// The supervisor ended while the load ran, and left others behind.
    LeftBehind {
        /// How it ended, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
        /// What to do about that.
        hint: Worded<LeftRunning>,
    },
    /// A fault found no victim.
    HitNobody {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was done.
        action: Worded<Deed>,
    },
    /// The service has no request that crashes a worker, so that whoever had the attempt was killed.
    KilledInstead {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was to happen.
        action: Worded<Deed>,
        /// The attempt.
        attempt: u32,
        /// The process.
        pid: u32,
        /// Whether it was the supervisor itself.
        supervises: bool,
    },
    /// Whoever had the attempt was to be killed, and nobody had it.
    NobodyHadIt {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was to happen.
        action: Worded<Deed>,
        /// The attempt.
        attempt: u32,
    },
    /// A fault that an attempt carried came to no worker.
    Untaken {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was done.
        action: Worded<Deed>,
    },
    /// A fault's victim lived on.
    Survived {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was done.
        action: Worded<Deed>,
    },
    /// Whether a fault's victim lived on cannot be told.
    SurvivalNotKnown {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was done.
        action: Worded<Deed>,
    },
    /// A fault that waits in workers found none.
    NobodyCame {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was to happen.
        action: Worded<Deed>,
        /// Where none came.
        step: CrashStep,
    },
    /// A fault that waits for another.
    NeverStruck {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was to be done.
        action: Worded<Deed>,
        /// The fault that was not over, from 1.
        waited_for: u64,
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
    /// The supervisor was held at a call until a fault had struck, and did nothing meanwhile.
    StoodStill {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What was done.
        action: Worded<Deed>,
    },
    /// What a supervisor was asked for was not done: it was killed before.
    AskFailed {
        /// Which fault of the scenario, from 1.
        fault: u64,
        /// What it was asked for.
        action: Worded<Deed>,
        /// The fault that killed it, from 1.
        killed: u64,
        /// What whoever asked was told.
        error: Worded<Hindrance>,
    },
}

impl Told for Note {
    fn phrase(&self) -> Phrase {
        match self {
            Self::HostCounters => {
                Phrase::new("no isolation: the kernel's counters are the whole host's and were not checked")
            }
            Self::Full(full) => Phrase::new(full.to_string()),
            Self::Strangers { lines } => Phrase::default()
                .count(*lines)
                .text(" lines that were no messages came from the trial's process"),
            Self::Killed { limit_s, error } => {
                let asked = match error {
                    None => "of being asked to".to_owned(),
                    Some(error) => format!("of a stop that failed: {error}"),
                };
                Phrase::new(format!("the supervisor did not stop within {limit_s} s {asked}; it was killed"))
            }
            Self::DiedOfStop { status } => {
                Phrase::new(format!("the supervisor ended with {status} when it was asked to stop"))
            }
            Self::StoodStopped { pids, supervises } => stood_stopped(pids, *supervises),
            Self::ProgramEnded { program, status, at_ns } => {
                Phrase::new(format!("{program} ended with {status} at {}", show_ns(*at_ns)))
            }
            Self::ProgramKilled { program } => {
                Phrase::new(format!("{program} did not stop when it was asked to; it was killed"))
            }
            Self::LeftBehind { status, hint } => {
                Phrase::new(format!("the supervisor ended with {status} while the load ran{hint}"))
            }
            Self::HitNobody { fault, action } => {
                Phrase::new(format!("fault {fault} ({action}) hit nobody: no such process ran"))
            }
            Self::KilledInstead { fault, action, attempt, pid, supervises } => {
                let alone = if *supervises {
                    ", and was the supervisor itself, which nobody starts again"
                } else {
                    ""
                };
                Phrase::new(format!("fault {fault} ({action}): the service has no request that crashes a worker, so that process "))
                    .id(*pid)
                    .text(" was killed, which had attempt ")
                    .id(*attempt)
                    .text(alone)
            }
            Self::NobodyHadIt { fault, action, attempt } => {
                Phrase::new(format!("fault {fault} ({action}) hit nobody: no process had accepted attempt "))
                    .id(*attempt)
            }
            Self::Untaken { fault, action } => {
                Phrase::new(format!("fault {fault} ({action}) hit nobody: no worker took the attempt"))
            }
            Self::Survived { fault, action } => Phrase::new(format!(
                "fault {fault} ({action}) was survived: the server caught the error, and no process ended"
            )),
            Self::SurvivalNotKnown { fault, action } => {
                Phrase::new(format!("fault {fault} ({action}): whether the worker survived it is not known"))
            }
            Self::NobodyCame { fault, action, step } => {
                Phrase::new(format!("fault {fault} ({action}) hit nobody: no worker came to its {step}"))
            }
            Self::NeverStruck { fault, action, waited_for } => {
                Phrase::new(format!("fault {fault} ({action}) never struck: fault {waited_for} was not over"))
            }
            Self::CallNotMade { fault, action, call } => never_made(*fault, action, call),
            Self::StoodStill { fault, action } => Phrase::new(format!(
                "the supervisor was held at a call until fault {fault} ({action}) had struck"
            )),
            Self::AskFailed { fault, action, killed, error } => Phrase::new(format!(
                "fault {fault} ({action}) was not done: fault {killed} killed the supervisor before ({error})"
            )),
        }
    }
}

fn stood_stopped(pids: &[u32], supervises: bool) -> Phrase {
    let [first, others @ ..] = pids else { return Phrase::default() };
    let phrase = match supervises {
        true => Phrase::new("the supervisor (process ").id(*first).text(")"),
        false => Phrase::new("process ").id(*first),
    };
    let phrase = match others {
        [] => phrase,
        others => phrase.text(" and ").count(others.len() as u64).text(" others"),
    };
    phrase.text(" stood stopped by a signal in the end, and would until CONT comes")
}

/// Of a fault at whose call the supervisor did not come by.
pub(super) fn never_made(fault: u64, action: &Worded<Deed>, call: &str) -> Phrase {
    Phrase::new(format!(
        "fault {fault} ({action}) never struck: the supervisor did not come to where it {call}"
    ))
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase().fmt(f)
    }
}

//! What a fault does to the system.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::{Action, Target};
use crate::signals::Signal;
use crate::words::{CrashMode, CrashStep, Verb};

/// What a fault does, or was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "deed", rename_all = "snake_case")]
pub enum Deed {
    /// A request lets a worker fail.
    Poison {
        /// The attempt that carries it; absent: none has yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
        /// Where the worker fails.
        step: CrashStep,
        /// How.
        mode: CrashMode,
    },
    /// The process is killed that has an attempt, in place of poison.
    KillHolder {
        /// The attempt.
        attempt: u32,
        /// The process.
        pid: u32,
        /// Where the worker was to fail.
        step: CrashStep,
        /// How.
        mode: CrashMode,
    },
    /// Workers fail as they boot.
    FailStarts {
        /// How many.
        times: u32,
        /// How.
        mode: CrashMode,
    },
    /// A worker fails that no request tells to.
    FailWorker {
        /// Where.
        step: CrashStep,
        /// How.
        mode: CrashMode,
    },
    /// A signal is sent.
    Signal {
        /// To whom.
        to: Target,
        /// Which.
        #[schemars(with = "String")]
        signal: Signal,
    },
    /// Somebody is stopped for a while.
    Pause {
        /// Who.
        whom: Target,
        /// For how long, in nanoseconds; absent: to the end of the load.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_ns: Option<u64>,
    },
    /// The supervisor is asked for something.
    Ask {
        /// For what.
        verb: Verb,
        /// For how many workers, where it is about that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workers: Option<u32>,
    },
}

impl From<&Action> for Deed {
    fn from(action: &Action) -> Self {
        match *action {
            Action::Poison(poison) => Self::Poison { attempt: None, step: poison.step, mode: poison.mode },
            Action::Crash { step: CrashStep::Boot, mode, times } => Self::FailStarts { times, mode },
            Action::Crash { step, mode, times: _ } => Self::FailWorker { step, mode },
            Action::Signal { to, signal } => Self::Signal { to, signal },
            Action::Pause { whom, for_ns } => Self::Pause { whom, for_ns },
            Action::Control { verb, workers } => Self::Ask { verb, workers },
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whom = |target: Target| match target {
            Target::Worker => "a worker",
            Target::Workers => "every worker",
            Target::Supervisor => "the supervisor",
        };
        match *self {
            Self::Poison { attempt: None, step, mode } => write!(f, "poison ({mode} at step {step})"),
            Self::Poison { attempt: Some(attempt), step, mode } => {
                write!(f, "attempt {attempt} carries poison ({mode} at step {step})")
            }
            Self::KillHolder { attempt, pid, step, mode } => write!(
                f,
                "attempt {attempt}: process {pid}, which had it, was killed in place of poison ({mode} at step {step})"
            ),
            Self::FailStarts { times, mode } => write!(f, "the next {times} starts fail ({mode})"),
            Self::FailWorker { step, mode } => write!(f, "a worker fails ({mode} at step {step})"),
            Self::Signal { to, signal } => write!(f, "{signal} to {}", whom(to)),
            Self::Pause { whom: target, for_ns: Some(ns) } => {
                write!(f, "{} is paused for {:?}", whom(target), Duration::from_nanos(ns))
            }
            Self::Pause { whom: target, for_ns: None } => write!(f, "{} is paused", whom(target)),
            Self::Ask { verb, workers: Some(count) } => write!(f, "{verb} to {count} workers"),
            Self::Ask { verb, workers: None } => verb.fmt(f),
        }
    }
}

//! What hindered something that was to be done to a system under test.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::log_tail::LogTail;
use crate::signals::Signal;
use crate::words::Verb;

/// Why a fault could not be injected, or a supervisor not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "hindrance", rename_all = "snake_case")]
pub enum Hindrance {
    /// The supervisor has no such verb.
    NoVerb {
        /// Which.
        verb: Verb,
    },
    /// Its description says that it cannot.
    Unsupported {
        /// Why, in the description's words.
        reason: String,
    },
    /// There is nobody to send a signal to.
    NoProcess {
        /// Which signal.
        #[schemars(with = "String")]
        signal: Signal,
    },
    /// A process, or a group of them, could not be signalled.
    NotSignalled {
        /// Which signal.
        #[schemars(with = "String")]
        signal: Signal,
        /// The process, or the group's leader.
        pid: u32,
        /// Whether a group was meant.
        group: bool,
        /// What the kernel said.
        error: String,
    },
    /// A worker could not be told that it is meant.
    NotTold {
        /// The worker's process id.
        pid: u32,
        /// What the kernel said.
        error: String,
    },
    /// A process is not known to be the trial's.
    Foreign {
        /// Its process id.
        pid: u32,
    },
    /// Workers are known by the listener that they hold, and none beneath a supervisor that runs holds it.
    NoneHolds,
    /// Whoever has accepted an attempt cannot be looked at.
    Hidden {
        /// Which.
        attempt: u32,
    },
    /// No descriptor was left for looking who has an attempt.
    NoDescriptor,
    /// A command failed.
    Command {
        /// Its words.
        command: String,
        /// How.
        #[serde(flatten)]
        problem: CommandProblem,
    },
    /// A file names no process that could be signalled.
    PidFile {
        /// Its path.
        path: String,
        /// What is wrong with it.
        #[serde(flatten)]
        problem: PidFileProblem,
    },
    /// What holdline itself needed for it failed.
    Own {
        /// What failed, as holdline's error says it.
        error: String,
    },
}

/// How a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum CommandProblem {
    /// It could not be started.
    NotStarted {
        /// What the kernel said.
        error: String,
    },
    /// It did not end in time, and was killed.
    Late {
        /// How long it may take, in seconds.
        limit_s: u64,
    },
    /// It says that it failed.
    Failed {
        /// How it ended, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
        /// The end of what it and others before it wrote.
        log: LogTail,
    },
}

/// What is wrong with a file that is to name a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum PidFileProblem {
    /// It cannot be read.
    Unreadable {
        /// What the kernel said.
        error: String,
    },
    /// It holds no number.
    NoNumber,
    /// It holds the number of no supervisor.
    NoSupervisor,
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoVerb { verb } => write!(f, "this supervisor has no `{verb}`"),
            Self::Unsupported { reason } => write!(f, "not supported: {reason}"),
            Self::NoProcess { signal } => write!(f, "there is no process to send SIG{signal} to"),
            Self::NotSignalled { signal, pid, group, error } => {
                let group = if *group { " group" } else { "" };
                write!(f, "failed to send SIG{signal} to process{group} {pid}: {error}")
            }
            Self::NotTold { pid, error } => write!(f, "failed to signal worker {pid}: {error}"),
            Self::Foreign { pid } => write!(f, "process {pid} is not a descendant of holdline"),
            Self::NoneHolds => f.write_str(
                "no process beneath the supervisor holds its listener, by which its workers are known",
            ),
            Self::Hidden { attempt } => {
                write!(f, "whoever has accepted attempt {attempt} cannot be seen")
            }
            Self::NoDescriptor => f.write_str("no descriptor was left to look for whoever has the attempt"),
            Self::Command { command, problem } => match problem {
                CommandProblem::NotStarted { error } => write!(f, "failed to start `{command}`: {error}"),
                CommandProblem::Late { limit_s } => write!(f, "`{command}` did not end within {limit_s} s"),
                CommandProblem::Failed { status, log } => {
                    write!(f, "`{command}` ended with {status}{log}")
                }
            },
            Self::PidFile { path, problem } => match problem {
                PidFileProblem::Unreadable { error } => write!(f, "failed to read {path}: {error}"),
                PidFileProblem::NoNumber => write!(f, "{path} holds no process id"),
                PidFileProblem::NoSupervisor => write!(f, "{path} holds no process id of a supervisor"),
            },
            Self::Own { error } => f.write_str(error),
        }
    }
}

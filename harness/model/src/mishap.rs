//! Why a trial could not be run to its end.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::log_tail::LogTail;
use crate::wire::Address;

/// Why a trial could not be run to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "mishap", rename_all = "snake_case")]
pub enum Mishap {
    /// The supervisor ended before it was ready.
    Ended {
        /// The program behind the front that it is about; absent: it is the supervisor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        /// How, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
        /// What it left running, and what to do about it; absent where nothing was left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<LeftRunning>,
        /// What it needs of a machine, in the words of its description.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needs: Option<String>,
        /// The end of its log.
        log: LogTail,
    },
    /// It was not ready in time.
    NotReady {
        /// The program behind the front that it is about; absent: it is the supervisor.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        /// How long it may take, in nanoseconds.
        limit_ns: u64,
        /// What was still missing.
        missing: NotThere,
        /// What it needs of a machine, in the words of its description.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        needs: Option<String>,
        /// The end of its log.
        log: LogTail,
    },
    /// The trial did not end, and was killed.
    Endless {
        /// How long it may take, in seconds.
        limit_s: u64,
    },
    /// The trial's process ended without a result.
    Died {
        /// How, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
        /// What it wrote to standard error.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        wrote: String,
    },
    /// holdline itself could not do something.
    Own {
        /// What, why, and the remedy, as holdline's error says it.
        error: String,
    },
}

/// What is missing of a service that is not ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum NotThere {
    /// A listener.
    Listener {
        /// Where.
        #[schemars(with = "String")]
        address: Address,
        /// Where else there are some; empty also where others' would be among them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(with = "Vec<String>")]
        elsewhere: Vec<Address>,
    },
    /// Workers that can accept.
    Workers {
        /// Where there is a listener.
        #[schemars(with = "String")]
        address: Address,
        /// How many can.
        ready: u64,
        /// How many should.
        wanted: u64,
    },
}

/// What to do about a supervisor that has ended and left processes running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "remedy", rename_all = "snake_case")]
pub enum LeftRunning {
    /// It must stay in the foreground, or say by a pid-file who it is now.
    StayInForeground,
    /// Its pid-file must name one of those.
    NameOneInPidFile {
        /// The pid-file, as its description names it.
        pid_file: String,
    },
}

/// A folder of the trial's own into which nothing more fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FullFolder {
    /// What it is called.
    pub folder: String,
    /// How much it has room for, in mebibytes.
    pub size_mib: u32,
    /// And how many files.
    pub files: u32,
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let need = |needs: &Option<String>| {
            needs.as_ref().map_or_else(String::new, |needs| format!("; it needs {needs}"))
        };
        match self {
            Self::Ended { program, status, left, needs, log } => {
                let who = program.as_deref().unwrap_or("the supervisor");
                write!(f, "{who} ended with {status} before it was ready")?;
                if let Some(left) = left {
                    left.fmt(f)?;
                }
                write!(f, "{}{log}", need(needs))
            }
            Self::NotReady { program, limit_ns, missing, needs, log } => {
                let who = program.as_deref().unwrap_or("the supervisor");
                let limit = Duration::from_nanos(*limit_ns);
                write!(f, "{who} was not ready within {limit:?}: {missing}{}{log}", need(needs))
            }
            Self::Endless { limit_s } => {
                write!(f, "the trial did not end within {limit_s} s and was killed")
            }
            Self::Died { status, wrote } if wrote.is_empty() => {
                write!(f, "the trial's process ended with {status}")
            }
            Self::Died { status, wrote } => write!(f, "the trial's process ended with {status}: {wrote}"),
            Self::Own { error } => f.write_str(error),
        }
    }
}

impl fmt::Display for NotThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener { address, elsewhere } if elsewhere.is_empty() => {
                write!(f, "nobody listens at {address}")
            }
            Self::Listener { address, elsewhere } => {
                let elsewhere: Vec<String> = elsewhere.iter().map(Address::to_string).collect();
                write!(
                    f,
                    "nobody listens at {address}, but at {}: let the service listen at `{{address}}` (its parts are `{{host}}` \
                     and `{{port}}`), or name its port in the scenario, `[listen] port`",
                    elsewhere.join(" and ")
                )
            }
            Self::Workers { address, ready, wanted } => {
                write!(f, "{address} has a listener, but only {ready} of {wanted} workers can accept")
            }
        }
    }
}

/// Goes on from what is said of its end.
impl fmt::Display for LeftRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(", and left processes running: ")?;
        match self {
            Self::StayInForeground => f.write_str(
                "it must stay in the foreground, so tell it not to daemonise, or name its `pid-file` in \
                 supervisor.toml",
            ),
            Self::NameOneInPidFile { pid_file } => write!(f, "its pid-file {pid_file} names none of them"),
        }
    }
}

impl fmt::Display for FullFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, size_mib, files } = self;
        write!(
            f,
            "nothing more fits into the trial's own {folder}, which has room for {size_mib} MiB and {files} files"
        )
    }
}

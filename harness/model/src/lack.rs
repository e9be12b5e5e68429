//! What a supervisor or this machine lacks for a trial: each lack is a value, whose Display is the sentence
//! that reports print.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::told::{Phrase, Told};
use crate::wire::Protocol;
use crate::words::{CrashMode, Transport, Verb};

/// Why a trial is unsupported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "lack", rename_all = "snake_case")]
pub enum Lack {
    /// The supervisor cannot listen on a transport.
    Transport {
        /// Which.
        transport: Transport,
    },
    /// It runs fewer workers than are asked for.
    Workers {
        /// How many are asked for.
        wanted: u32,
        /// How many it can run.
        most: u32,
    },
    /// It cannot be scaled so far.
    Scale {
        /// To how many workers it is to be scaled.
        wanted: u32,
        /// How many it can run.
        most: u32,
    },
    /// It must be started by root.
    Root,
    /// Its workers speak something else.
    Protocol {
        /// What they speak.
        spoken: Protocol,
        /// What is asked for.
        asked: Protocol,
    },
    /// Its workers do not speak TLS.
    Tls,
    /// Its workers are ours, which expect no header of the PROXY protocol.
    Proxy,
    /// It has no such control action.
    Verb {
        /// Which.
        verb: Verb,
        /// Why not, in the words of its description, if it says.
        reason: Option<String>,
    },
    /// It is a single process: there is no worker to be hit.
    WorkerToHit,
    /// None of its programs is the one that a fault is aimed at.
    Target {
        /// Which is meant.
        program: String,
        /// Those that it has, the front first; empty: it is described as one.
        programs: Vec<String>,
    },
    /// Its workers do not fail at what they cannot understand.
    Poison,
    /// It has no request that crashes a worker, and a worker that is killed does not fail like this.
    PoisonMode {
        /// How the worker is to fail.
        mode: CrashMode,
    },
    /// It has requests of its own, and the scenario sends bodies of zeros.
    Bodies,
    /// Its workers are its own, and cannot be told to fail.
    Crash,
    /// Its workers are applications, which a server stands before.
    Application {
        /// What they cannot do.
        what: ApplicationLack,
    },
    /// It cannot run its workers as another user.
    OtherUsers,
    /// An ordinary user has no other users in a sandbox.
    RootForUsers,
    /// This machine has no user of that name.
    User {
        /// The name.
        name: String,
    },
    /// This machine's list of users cannot be asked.
    Users {
        /// For this name.
        name: String,
        /// Why not.
        error: String,
    },
    /// Its program counts as not installed.
    Program(Missing),
}

/// What an application beneath a server cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApplicationLack {
    /// Fail when its connection is accepted.
    Accept,
    /// Keep the server around it from accepting.
    StopAccepting,
    /// Fail while it is idle.
    Idle,
    /// Fail when its worker drains.
    Drain,
    /// Die at once when its worker is to end.
    DieAtOnce,
}

/// Why a supervisor counts as not installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// The program.
    pub program: String,
    /// What its version command did, if there is one; `None`: it is not there.
    pub problem: Option<VersionProblem>,
    /// The command that installs it.
    pub install: Option<String>,
}

/// What is wrong with a version command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum VersionProblem {
    /// It cannot be run.
    NotRun {
        /// The command, as far as it is short.
        command: String,
        /// Why not.
        error: String,
    },
    /// It did not end, and was killed.
    Endless {
        /// The command, as far as it is short.
        command: String,
        /// How long it had, in seconds.
        limit_s: u64,
    },
    /// It failed.
    Failed {
        /// The command, as far as it is short.
        command: String,
        /// How it ended, in words that fit "ended with …".
        #[schemars(with = "String")]
        status: Exit,
        /// The first line that it wrote.
        said: Option<String>,
    },
}

impl Told for Lack {
    fn phrase(&self) -> Phrase {
        match self {
            Self::Transport { transport } => Phrase::new(format!("it cannot listen on {transport}")),
            Self::Workers { wanted, most } => {
                let workers = if *most == 1 { "worker" } else { "workers" };
                Phrase::new(format!("it runs at most {most} {workers}, and the scenario asks for {wanted}"))
            }
            Self::Scale { wanted, most } => {
                Phrase::new(format!("it runs at most {most} workers, and is to be scaled to {wanted}"))
            }
            Self::Root => Phrase::new("it must be started by root"),
            Self::Protocol { spoken, asked } => {
                let (spoken, asked) = (spoken.as_str(), asked.as_str());
                Phrase::new(format!("its workers speak {spoken}, and the scenario asks for {asked}"))
            }
            Self::Tls => Phrase::new(
                "its workers do not speak TLS, and the scenario asks for it; where a proxy above them does, its \
                 description says so by `[tls]`",
            ),
            Self::Proxy => Phrase::new(
                "its workers are holdline's, which expect no PROXY header: only services that bring their own do",
            ),
            Self::Verb { verb, reason: None } => Phrase::new(format!("it has no `{verb}`")),
            Self::Verb { verb, reason: Some(reason) } => Phrase::new(format!("it has no `{verb}`: {reason}")),
            Self::WorkerToHit => {
                Phrase::new("it is a single process, which serves by itself: there is no worker to be hit")
            }
            Self::Target { program, programs } if programs.is_empty() => {
                Phrase::new(format!("it is described as one program, and a fault is aimed at `{program}`"))
            }
            Self::Target { program, programs } => {
                let programs = programs.join(", ");
                Phrase::new(format!(
                    "none of its programs ({programs}) is `{program}`, which a fault is aimed at"
                ))
            }
            Self::Poison => Phrase::new(
                "its workers do not fail at what they cannot understand, so that no request can crash one",
            ),
            Self::PoisonMode { mode } => Phrase::new(format!(
                "it has no [poison], and a worker that is killed instead does not fail by mode {mode}"
            )),
            Self::Bodies => {
                Phrase::new("the scenario sends bodies of zeros, and its [request] says what is sent to it")
            }
            Self::Crash => {
                Phrase::new("its workers are its own and cannot be told to fail at boot, idle or drain")
            }
            Self::Application { what } => Phrase::new(what.in_words()),
            Self::OtherUsers => Phrase::new("it cannot run its workers as another user"),
            Self::RootForUsers => Phrase::new(
                "workers cannot run as another user: of the users of this machine an ordinary user has just \
                 one in a sandbox; run holdline as root",
            ),
            Self::User { name } => Phrase::new(format!("this machine has no user `{name}`")),
            Self::Users { name, error } => {
                Phrase::new(format!("this machine's list of users cannot be asked for `{name}`: {error}"))
            }
            Self::Program(missing) => Phrase::new(missing.to_string()),
        }
    }
}

impl ApplicationLack {
    const fn in_words(self) -> &'static str {
        match self {
            Self::Accept => "its application is called once a request has come, and cannot fail at accept",
            Self::StopAccepting => "its application cannot keep the server around it from accepting",
            Self::Idle => "its application is called only for requests, and cannot fail while it is idle",
            Self::Drain => "its application is not told that its worker drains, and cannot fail then",
            Self::DieAtOnce => "how its workers end is up to the server: they cannot be told to die at once",
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase().fmt(f)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Some(problem) => problem.fmt(f)?,
            None => write!(f, "{} is not installed", self.program)?,
        }
        // What hangs is there: to install it is no remedy.
        let hangs = matches!(self.problem, Some(VersionProblem::Endless { .. }));
        match &self.install {
            Some(install) if !hangs => write!(f, "; install it with: {install}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for VersionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRun { command, error } => write!(f, "`{command}` cannot be run: {error}"),
            Self::Endless { command, limit_s } => {
                write!(f, "`{command}` did not end within {limit_s} s and was killed")
            }
            Self::Failed { command, status, said: None } => write!(f, "`{command}` ended with {status}"),
            Self::Failed { command, status, said: Some(said) } => {
                write!(f, "`{command}` ended with {status}: {said}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_installed_is_named_with_its_remedy() {
        let missing = |problem, install: Option<&str>| Missing {
            program: "circusd".to_owned(),
            problem,
            install: install.map(str::to_owned),
        };
        assert_eq!(missing(None, None).to_string(), "circusd is not installed");
        assert_eq!(
            missing(None, Some("pip install circus")).to_string(),
            "circusd is not installed; install it with: pip install circus"
        );
        let command = || "circusd --version".to_owned();
        let failed = |said: Option<&str>| VersionProblem::Failed {
            command: command(),
            status: Exit::Status(1),
            said: said.map(str::to_owned),
        };
        assert_eq!(failed(None).to_string(), "`circusd --version` ended with status 1");
        let said = missing(Some(failed(Some("no module"))), Some("x")).to_string();
        assert_eq!(said, "`circusd --version` ended with status 1: no module; install it with: x");
    }

    #[test]
    fn how_a_version_command_ended_is_read_in_the_words_of_older_files() {
        let text = r#"{"problem":"failed","command":"x","status":"exit status: 1","said":null}"#;
        let problem: VersionProblem = serde_json::from_str(text).expect("a problem");
        let command = "x".to_owned();
        assert_eq!(problem, VersionProblem::Failed { command, status: Exit::Status(1), said: None });
    }

    #[test]
    fn lacks_are_read_back_as_they_were_written() {
        let endless = VersionProblem::Endless { command: "x".to_owned(), limit_s: 10 };
        for lack in [
            Lack::Transport { transport: Transport::Unix },
            Lack::Root,
            Lack::Target { program: "php".to_owned(), programs: vec!["nginx".to_owned()] },
            Lack::Application { what: ApplicationLack::DieAtOnce },
            Lack::Verb { verb: Verb::Reload, reason: Some("by design".to_owned()) },
            Lack::Program(Missing { program: "x".to_owned(), problem: Some(endless), install: None }),
        ] {
            let json = serde_json::to_string(&lack).expect("JSON");
            assert_eq!(serde_json::from_str::<Lack>(&json).expect("a lack"), lack, "{json}");
        }
    }
}

//! Supervisors: how a program under test is started, asked and stopped. These types hold only what
//! is valid: [`parse`] makes them from files, and says what is wrong with a file that cannot be one.

// A new word must be seen wherever words are told apart: no wildcard swallows it.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod control;
pub mod file;
mod names;
mod program;
mod validate;

pub use program::{Front, Program};
pub use validate::parse;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::service::Service;
use crate::signals::Signal;
use crate::tls::Tls;
pub use crate::wire::Protocol;
use crate::words::{Grade, Transport, Verb};

/// How long a program may take to be ready where its description says nothing.
pub const READY_NS_DEFAULT: u64 = 10_000_000_000;

/// A supervisor under test, as data.
#[derive(Debug, Clone, PartialEq)]
pub struct Supervisor {
    /// Its name.
    pub name: String,
    /// What it is, in a line.
    pub about: String,
    /// Whether it is one of the reference supervisors, which run where no other is named.
    pub reference: bool,
    /// Command that proves that it is installed and prints its version; empty: part of holdline.
    pub version: Vec<String>,
    /// Command that installs it; shown where it is missing.
    pub install: Option<String>,
    /// What it can run.
    pub runs: Vec<Runs>,
    /// The kind of worker it runs where `--worker` names none.
    pub worker: WorkerKind,
    /// What its workers speak.
    pub protocol: Protocol,
    /// How the load client speaks TLS to it; `None`: it does not.
    pub tls: Option<Tls>,
    /// Whether a request that makes no sense can make its workers fail.
    pub poison: bool,
    /// What it understands, where that is no squares.
    pub service: Service,
    /// Who holds the listener, and how workers get it.
    pub socket: Socket,
    /// Transports that it can listen on.
    pub transports: Vec<Transport>,
    /// Fewest workers that its strategy needs.
    pub workers_min: u32,
    /// Most workers that it can run.
    pub workers_max: u32,
    /// The command that starts it, in the foreground.
    pub start: Vec<String>,
    /// When it counts as ready.
    pub ready: Ready,
    /// How it is stopped.
    pub stop: Control,
    /// The program that has the service's address.
    pub front: Front,
    /// Programs that run behind it, in the order in which they are started, before it.
    pub programs: Vec<Program>,
    /// Files that are rendered into the trial's folder before it starts, by name.
    pub files: BTreeMap<String, TemplateFile>,
    /// What it can be asked to do.
    pub control: BTreeMap<Verb, Control>,
    /// Fixed paths that it insists on; each gets an empty tmpfs of the trial's own.
    pub private: Vec<String>,
    /// Environment variables; values may have placeholders.
    pub env: BTreeMap<String, String>,
    /// Grades that it is expected to get, by scenario.
    pub expected: BTreeMap<String, Grade>,
    /// A trap that users should know of.
    pub trap: Option<String>,
    /// The backlog that it listens with unless told otherwise, in words.
    pub backlog_default: Option<String>,
    /// How long it waits, unless told otherwise, until it starts a dead worker again, in words.
    pub restart_delay_default: Option<String>,
    /// Whether it must be started by the machine's own root, without a user namespace.
    pub needs_root: bool,
    /// What else it needs of a machine, in a few words.
    pub needs: Option<String>,
    /// The file in which it keeps its process id, relative to the trial's folder or absolute: it may replace
    /// itself by another process. `None`: it is the process that was started, to the end.
    pub pid_file: Option<String>,
    /// Whether it can run its workers as another user than its own, `{user}`.
    pub can_drop: bool,
    /// Whether it is a single process, which serves by itself and has no worker for a fault to hit.
    pub single_process: bool,
    /// Whether it takes a worker more or a worker less, and no number: whoever scales it counts from what is there. What
    /// that comes to is not known where something else brings or ends workers meanwhile.
    pub scales_by_one: bool,
}

impl Supervisor {
    /// The program behind the front that has this name.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// The names of its programs, the front first; empty where it is just one.
    #[must_use]
    pub fn programs(&self) -> Vec<String> {
        let behind = self.programs.iter().map(|program| &program.name);
        let front = (!self.programs.is_empty()).then_some(&self.front.name);
        front.into_iter().chain(behind).cloned().collect()
    }
}

/// What a supervisor can run.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Runs {
    /// Any command.
    Command,
    /// A Python WSGI application.
    Wsgi,
    /// A Python ASGI application.
    Asgi,
    /// A Ruby Rack application.
    Rack,
    /// A Node.js program.
    Node,
    /// It brings its own workers.
    Itself,
}

/// Whether a worker is the server's own process with an application of ours in it.
pub(crate) fn runs_applications(runs: &[Runs]) -> bool {
    !runs.iter().any(|runs| matches!(runs, Runs::Command | Runs::Itself))
}

/// The kinds of worker that holdline brings for supervisors that run any command.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerKind {
    /// The worker that is part of holdline.
    Rust,
    /// The same in Python.
    Python,
    /// An ordinary asyncio server with the same faults, which survives an error in one request.
    Asyncio,
}

/// Who holds the listener, and how workers get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Who holds it.
    pub holder: Holder,
    /// How workers get it.
    pub passing: Passing,
}

/// Who holds the listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Holder {
    /// The supervisor: it outlives a worker.
    Supervisor,
    /// Each worker binds its own.
    Worker,
}

/// How a worker gets its listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Passing {
    /// It binds the address itself, with SO_REUSEADDR.
    Bind,
    /// It binds the address itself, without SO_REUSEADDR.
    BindNoReuseAddr,
    /// It binds the address itself, with SO_REUSEADDR and SO_REUSEPORT.
    BindReusePort,
    /// Standard input.
    Stdin,
    /// A descriptor whose number the description writes behind `{worker}`.
    FdArgument,
    /// `LISTEN_FDS`, with `LISTEN_PID` and `LISTEN_FDNAMES` checked (sd_listen_fds).
    ListenFds,
    /// `LISTEN_FDS` where `LISTEN_PID` names another process, as beneath a shell loop.
    ListenFdsAnyPid,
    /// `SERVER_STARTER_PORT` (Server::Starter).
    ServerStarter,
    /// `WERKZEUG_SERVER_FD`.
    Werkzeug,
    /// `LISTEN_FD` (catflap).
    ListenFd,
    /// One accepted connection on standard input and output (inetd `nowait`).
    Connection,
    /// SCM_RIGHTS over the Unix socket whose path the description writes behind `{worker}`.
    Receive,
    /// The supervisor's own way; the worker is told nothing.
    Own,
}

/// When a supervisor counts as ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// A listener at the address must be seen through sock_diag.
    pub listening: bool,
    /// As many workers as asked for must have recorded that they can accept.
    pub workers: bool,
    /// Whether the service must have given a right reply.
    pub reply: Reply,
    /// The path that is asked for instead of what attempts ask for.
    pub request: Option<String>,
    /// That many spare workers must be ready as well.
    pub spares: u32,
    /// How long it may take, in nanoseconds.
    pub timeout_ns: u64,
}

/// Whether a service is asked a request, outside of all counts, to tell that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// Never.
    Never,
    /// Where a request is a GET, which does nothing to a service.
    WhereGet,
    /// Always.
    Always,
}

/// How a supervisor is asked to do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// A command, with placeholders. It must end with status 0.
    Command(Vec<String>),
    /// A signal.
    Signal {
        /// Which.
        signal: Signal,
        /// To whom.
        to: SignalTo,
    },
    /// Not possible, and why.
    Unsupported(String),
}

/// Whom a control signal goes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalTo {
    /// The process that was started.
    Supervisor,
    /// That process and all of its process group.
    Group,
    /// Every worker.
    Workers,
    /// The process whose id is in this file, relative to the trial's folder.
    PidFile(String),
    /// The program behind the front that has this name.
    Program(String),
}

/// A file that is rendered before the supervisor starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFile {
    /// The template's path, relative to the description's folder.
    pub template: String,
    /// The template in its place where the service listens on a Unix socket.
    pub unix: Option<String>,
    /// Whether the file is made executable.
    pub executable: bool,
}

impl TemplateFile {
    /// The template for a transport.
    #[must_use]
    pub fn for_transport(&self, transport: Transport) -> &str {
        match (transport, &self.unix) {
            (Transport::Unix, Some(template)) => template,
            _ => &self.template,
        }
    }
}

#[cfg(test)]
mod tests;

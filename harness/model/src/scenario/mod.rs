//! Scenarios: what happens to a supervisor. These types hold only what is valid: [`parse`] makes
//! them from files, and says what is wrong with a file that cannot be one.

// A new word must be seen wherever words are told apart: no wildcard swallows it.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

pub mod arrivals;
mod at_call;
mod connection;
mod faults;
pub mod file;
mod load;
mod validate;

pub use validate::parse;

use std::collections::BTreeMap;

use crate::metric::{Expectation, Kind};
use crate::service::Service;
use crate::signals::Signal;
use crate::syscall::Meeting;
use crate::tls::Tls;
use crate::wire::{Address, Clients, Poison, Protocol, ProxyVersion};
use crate::words::{CrashMode, CrashStep, Grade, Transport, Verb};

/// What happens in a trial: listener, workers, load, faults, expectations.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its stable name.
    pub name: String,
    /// The question it answers.
    pub asks: String,
    /// A paragraph that explains it; may be empty.
    pub about: String,
    /// What each grade means here.
    pub means: BTreeMap<Grade, String>,
    /// Whether it runs only where it is named, not as one of `all` or of a pattern.
    pub opt_in: bool,
    /// What reference supervisors get here.
    pub reference: Reference,
    /// The listening socket.
    pub listen: Listen,
    /// The workers.
    pub workers: Workers,
    /// The load.
    pub load: Load,
    /// How the load client speaks TLS, in place of what the supervisor's description says.
    pub tls: Option<Tls>,
    /// What services understand, where it is not what their descriptions say.
    pub service: Service,
    /// What is done to the system.
    pub faults: Vec<Fault>,
    /// What must hold at the end.
    pub expect: Vec<Expectation>,
    /// Sysctls of the trial's namespaces, by dotted name.
    pub sysctls: BTreeMap<String, String>,
    /// Whether connections that nobody has accepted are sampled also where workers keep a ledger.
    pub sample_accepts: bool,
}

impl Scenario {
    /// Whether times are what it is about: how much is served where clients set the pace, or an expectation of a time.
    /// A neighbour on the machine would be measured with it.
    #[must_use]
    pub fn measures_times(&self) -> bool {
        let is_time = |expected: &Expectation| matches!(expected.metric.kind, Kind::Quantile | Kind::Time);
        matches!(self.load.arrivals, Arrivals::Closed { .. }) || self.expect.iter().any(is_time)
    }
}

/// What reference supervisors get in a scenario. The tests hold it against measured trials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    /// The grades that each may get, by name: one, or several where the kernel's choice or chance
    /// decides.
    pub grades: BTreeMap<String, Vec<Grade>>,
    /// Why the grades tell no supervisor from another, where they do not.
    pub alike: Option<String>,
}

/// The listening socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// What carries the connections.
    pub transport: Transport,
    /// The backlog that is asked for, at least 1.
    pub backlog: u32,
    /// The port; drawn by holdline where the scenario names none.
    pub port: Option<u16>,
    /// The address of a Unix socket; in the trial's folder where the scenario names none.
    pub path: Option<Address>,
}

/// The workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// How many, at least 1.
    pub count: u32,
    /// How long a worker takes to boot, from the start of its process, in nanoseconds.
    pub boot_ns: u64,
    /// How long a worker works on each request, in nanoseconds.
    pub work_ns: u64,
    /// What a worker does on TERM.
    pub drain: Drain,
    /// For how long it is waited after the load until there are as many workers as there should be, in
    /// nanoseconds; `None`: not at all, and it is not looked at.
    pub settle_ns: Option<u64>,
    /// Limit of open descriptors of a worker; `None`: inherited.
    pub nofile: Option<u64>,
    /// Limit of the memory that a worker takes, in bytes; `None`: inherited.
    pub memory_bytes: Option<u64>,
    /// The user that workers run as; `None`: the supervisor's.
    pub user: Option<User>,
}

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// By name.
    Name(String),
    /// By id.
    Id(u32),
}

/// What a worker does on TERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drain {
    /// Accepts nothing more, answers the requests that have begun to arrive, closes sessions that are
    /// idle, exits.
    Graceful,
    /// Accepts nothing more, and goes on answering open sessions until their clients end them.
    Patient,
    /// Dies at once.
    None,
}

/// The load.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// When attempts are due.
    pub arrivals: Arrivals,
    /// When no more attempts are due.
    pub until: Until,
    /// Time-outs of an attempt.
    pub timeouts: Timeouts,
    /// Served later than this after the intended start: delayed. In nanoseconds.
    pub deadline_ns: u64,
    /// For how long the service is watched after the load where it is not back, in nanoseconds; 0: not at all.
    pub patience_ns: u64,
    /// How many client addresses attempts share; `None`: each has one of its own.
    pub clients: Option<Clients>,
    /// Most connections in flight; beyond it attempts are `not_sent`.
    pub in_flight_max: u32,
    /// How many threads of the load client make the attempts, at least 1. A closed loop has as many clients or more,
    /// and a pool as many idle connections or more; one after the other, attempts have one.
    pub threads: u32,
    /// Beyond this send lag (99th percentile), the trial is inconclusive. In nanoseconds.
    pub send_lag_max_ns: u64,
    /// What is spoken; `None`: whatever the supervisor's workers speak.
    pub protocol: Option<Protocol>,
    /// The header of the PROXY protocol in front of the first byte.
    pub proxy: Option<ProxyVersion>,
    /// What an attempt does with its connection.
    pub connection: Connection,
}

/// What an attempt does with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Requests on a connection, one after the other, at least 1.
    pub requests: u16,
    /// Whether they are all sent at once, before any reply came.
    pub pipeline: bool,
    /// From a reply to the next request, in nanoseconds; the connection is idle in between.
    pub gap_ns: u64,
    /// Pause between the end of the handshake and the first byte, in nanoseconds: a client that
    /// connects before it has anything to ask.
    pub connect_pause_ns: u64,
    /// Whether it asks for nothing at all, and leaves when its time is over.
    pub silent: bool,
    /// Pause after the first half of each request, in nanoseconds: a slow writer.
    pub send_pause_ns: u64,
    /// Pause between the end of each request and the first look for its reply, in nanoseconds: a
    /// slow reader.
    pub read_pause_ns: u64,
    /// Length of each request's body; with 0 there is none. HTTP only.
    pub body_bytes: u32,
    /// Whether the client ends its side of the connection behind the last request (`shutdown`).
    pub half_close: bool,
    /// The pool from which attempts take connections that others have opened, and to which they give them.
    pub pool: Option<Pool>,
    /// Only every n-th attempt is like this, counted from 1, and all others are one-shot; at least 1.
    pub every: u32,
}

/// A pool of connections, as keep-alive clients have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// The most idle connections that it keeps, at least 1.
    pub idle_max: u32,
    /// After how many nanoseconds of idleness the client itself does not use a connection again; `None`: it does.
    pub idle_timeout_ns: Option<u64>,
    /// Whether what fails on a connection that was used before is sent once more, over a fresh one.
    pub retry: bool,
}

/// When attempts are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// Each is due this many nanoseconds after the previous one ended, the first at once.
    Sequential {
        /// The pause, in nanoseconds.
        gap_ns: u64,
    },
    /// This many clients, each of which begins again as soon as its attempt ended.
    Closed {
        /// How many clients, at least 1.
        clients: u32,
    },
    /// Evenly spaced.
    Constant {
        /// Attempts per second, above 0.
        per_second: f64,
    },
    /// Exponentially distributed pauses, drawn from the seed.
    Poisson {
        /// Mean attempts per second, above 0.
        per_second: f64,
    },
    /// A rate that changes linearly over the load's duration.
    Ramp {
        /// Attempts per second at the beginning, at least 0.
        from_per_second: f64,
        /// Attempts per second at the end, at least 0.
        to_per_second: f64,
    },
    /// Several at once, again and again.
    Burst {
        /// How many at once, at least 1.
        size: u32,
        /// Nanoseconds from one burst to the next.
        every_ns: u64,
    },
}

/// When no more attempts are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After this many.
    Attempts(u32),
    /// After this many nanoseconds.
    Elapsed(u64),
}

/// Time-outs of an attempt, each counted from `started`, in nanoseconds. In a session, those for the
/// reply hold for each request, counted from its own beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the handshake.
    pub connect_ns: u64,
    /// For the first byte of the reply.
    pub first_byte_ns: u64,
    /// For the whole request.
    pub total_ns: u64,
}

/// Something done to the system.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// When.
    pub at: Trigger,
    /// What.
    pub action: Action,
    /// The program that is meant, where a service is several; `None`: the one that has its address.
    pub target: Option<String>,
}

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trigger {
    /// With the attempt of this number, from 0: just before it is sent.
    Attempt(u32),
    /// This many nanoseconds after the load's start. 0 for a boot fault: before the supervisor starts.
    Elapsed(u64),
    /// When this share of the load, 0 to 1, is due.
    Fraction(f64),
    /// This many nanoseconds after the fault with this index has been completed.
    After {
        /// Index of the other fault, smaller than this one's.
        fault: usize,
        /// Nanoseconds after its completion.
        delay_ns: u64,
    },
    /// At a system call of the supervisor, which stands still there until the fault has struck.
    Call(AtCall),
}

/// A system call of the supervisor at which a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtCall {
    /// Index of the fault, smaller than this one's, from whose strike on calls are counted; `None`: from the load's start.
    pub since: Option<usize>,
    /// Where the supervisor is met.
    pub meeting: Meeting,
    /// Whether a trial in which the supervisor does not come there tells something all the same.
    pub optional: bool,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The attempt that is due carries poison; its step is one that requests carry.
    Poison(Poison),
    /// Workers are told to fail at a step that no request carries (boot, idle, drain).
    Crash {
        /// Boot, idle or drain.
        step: CrashStep,
        /// How.
        mode: CrashMode,
        /// How many starts fail (boot); 1 for the others.
        times: u32,
    },
    /// A signal is sent.
    Signal {
        /// To whom.
        to: Target,
        /// Which.
        signal: Signal,
    },
    /// SIGSTOP, and after a while SIGCONT.
    Pause {
        /// Whom.
        whom: Target,
        /// For how long, in nanoseconds; `None`: to the end of the load.
        for_ns: Option<u64>,
    },
    /// The supervisor is asked to do something.
    Control {
        /// What.
        verb: Verb,
        /// For `scale`: how many workers.
        workers: Option<u32>,
    },
}

/// Whom a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The worker that has been accepting the longest.
    Worker,
    /// Every worker.
    Workers,
    /// The supervisor.
    Supervisor,
}

#[cfg(test)]
mod tests;

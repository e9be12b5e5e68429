//! A trial's files with those remedies in them that holdline can apply by itself.
//!
//! Files are changed as values of TOML, so that comments go: what comes of it is run and not kept. What a change
//! would need that is not holdline's to give is said as an obstacle.

mod held;

use std::fmt;

use toml::{Table, Value};

use crate::result::Change;
use crate::scenario::{Drain, Scenario};
use crate::supervisor::Supervisor;
use crate::support;

/// What net.core.somaxconn is where nobody has set it (Linux 5.4): what is beyond it needs more.
const SOMAXCONN: u64 = 4096;

/// A trial that is to be run again.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Its scenario, and the text that says it.
    pub scenario: (&'a Scenario, &'a str),
    /// Its supervisor, and the text that says it.
    pub supervisor: (&'a Supervisor, &'a str),
    /// Whether it has namespaces of its own, in which sysctls can be set.
    pub has_namespaces: bool,
    /// Whether one of the description's templates has `{backlog}`.
    pub templates_have_backlog: bool,
}

/// What came of applying changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The scenario's text.
    pub scenario: String,
    /// The description's text.
    pub supervisor: String,
    /// The changes that are in them; without any, the texts mean what they meant.
    pub changes: Vec<Change>,
    /// Those that are not, and why.
    pub refused: Vec<Refused>,
}

/// A change that holdline cannot make by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Which.
    pub change: Change,
    /// What it would need.
    pub obstacle: Obstacle,
}

/// Why holdline cannot make a change by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The backlog is not handed to it.
    NoBacklog,
    /// By how much is not known.
    NoNumber,
    /// Sysctls are the machine's here.
    NoNamespace,
    /// How long it drains is its own affair.
    OwnDrain,
    /// How it is replaced is its own affair.
    OwnReplacement,
    /// What clients do is theirs.
    Clients,
    /// No supervisor can be put above it.
    NotAbove,
    /// Beneath another supervisor it could not be told which of its processes a fault means.
    WhichProcess,
    /// It was seen not to take a listener that is handed to it.
    NotTaken,
    /// The files cannot be changed.
    Files,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBacklog => "its command does not say {backlog}, so that the backlog is its own to choose",
            Self::NoNumber => "by how much is not known",
            Self::NoNamespace => "the sysctl is the machine's where there is no sandbox",
            Self::OwnDrain => "how long it goes on after it was asked to stop is its own to choose",
            Self::OwnReplacement => "how it is replaced is decided by whoever does it",
            Self::Clients => "it is for clients, or the proxy in front, to do",
            Self::NotAbove => "a supervisor of holdline's can only stand above a service that is started as it is, by any user",
            Self::WhichProcess => "the fault means one of its workers, which beneath another supervisor cannot be told",
            Self::NotTaken => "it takes no listener by LISTEN_FDS, as was seen",
            Self::Files => "the files cannot be changed",
        })
    }
}

/// Applies what can be applied.
#[must_use]
pub fn apply(trial: &Trial<'_>, changes: &[Change]) -> Applied {
    let (scenario, supervisor) = (trial.scenario.1, trial.supervisor.1);
    let (Ok(scenario_table), Ok(supervisor_table)) = (scenario.parse(), supervisor.parse()) else {
        let refused =
            changes.iter().map(|change| Refused { change: change.clone(), obstacle: Obstacle::Files });
        return Applied {
            scenario: scenario.to_owned(),
            supervisor: supervisor.to_owned(),
            changes: Vec::new(),
            refused: refused.collect(),
        };
    };
    let mut files = Files { trial, scenario: scenario_table, supervisor: supervisor_table, is_held: false };
    let (mut made, mut refused) = (Vec::new(), Vec::new());
    for change in changes {
        let change = roomy(change);
        match files.make(&change) {
            Ok(()) => made.push(change),
            Err(obstacle) => refused.push(Refused { change, obstacle }),
        }
    }
    Applied {
        scenario: files.scenario.to_string(),
        supervisor: files.supervisor.to_string(),
        changes: made,
        refused,
    }
}

/// A change whose backlog is a quarter longer than was needed: another time, it takes somewhat longer until it is
/// accepted again.
fn roomy(change: &Change) -> Change {
    let longer = |backlog: u64| backlog + backlog.div_ceil(4);
    match change {
        Change::HoldListener { gap_ns, backlog } => {
            Change::HoldListener { gap_ns: *gap_ns, backlog: backlog.map(longer) }
        }
        Change::Backlog { at_least, had, somaxconn } => {
            Change::Backlog { at_least: at_least.map(longer), had: *had, somaxconn: *somaxconn }
        }
        Change::StartNewFirst { .. }
        | Change::MigrateRequests { .. }
        | Change::Drain { .. }
        | Change::Retry { .. } => change.clone(),
    }
}

/// The files as values.
struct Files<'a> {
    trial: &'a Trial<'a>,
    scenario: Table,
    supervisor: Table,
    /// Whether a supervisor of holdline's holds the listener by now.
    is_held: bool,
}

impl Files<'_> {
    fn make(&mut self, change: &Change) -> Result<(), Obstacle> {
        match change {
            Change::HoldListener { backlog, .. } => {
                held::hold(self)?;
                self.is_held = true;
                self.raise_backlog(backlog.unwrap_or(0));
                Ok(())
            }
            Change::Backlog { at_least, somaxconn, .. } => self.longer_queue(*at_least, *somaxconn),
            Change::MigrateRequests { .. } => self.sysctl("net.ipv4.tcp_migrate_req", 1),
            Change::Drain { .. } => self.drain(),
            Change::StartNewFirst { .. } => Err(Obstacle::OwnReplacement),
            Change::Retry { .. } => Err(Obstacle::Clients),
        }
    }

    /// A longer queue needs both: that the service asks for it, and that the kernel allows it. Where only the kernel
    /// did not, a service that has asked for more already has it then.
    fn longer_queue(&mut self, at_least: Option<u64>, somaxconn: Option<u32>) -> Result<(), Obstacle> {
        let at_least = at_least.ok_or(Obstacle::NoNumber)?;
        if !self.takes_backlog() && somaxconn.is_none() {
            return Err(Obstacle::NoBacklog);
        }
        if somaxconn.is_some() || at_least > SOMAXCONN {
            self.sysctl("net.core.somaxconn", at_least)?;
        }
        self.raise_backlog(at_least);
        Ok(())
    }

    fn takes_backlog(&self) -> bool {
        let supervisor = self.trial.supervisor.0;
        let says = |text: &String| text.contains("{backlog}");
        let is_said = supervisor.start.iter().any(says) || supervisor.env.values().any(says);
        self.is_held || is_said || self.trial.templates_have_backlog || support::stamps_accepts(supervisor)
    }

    fn raise_backlog(&mut self, at_least: u64) {
        let now = u64::from(self.trial.scenario.0.listen.backlog);
        let most = u64::try_from(*crate::bounds::BACKLOG.end()).unwrap_or(u64::MAX);
        let listen = table_of(&mut self.scenario, "listen");
        let before = listen.get("backlog").and_then(Value::as_integer).and_then(|it| u64::try_from(it).ok());
        let backlog = at_least.max(before.unwrap_or(now)).min(most);
        listen.insert("backlog".to_owned(), integer(backlog));
    }

    fn sysctl(&mut self, name: &str, value: u64) -> Result<(), Obstacle> {
        if !self.trial.has_namespaces {
            return Err(Obstacle::NoNamespace);
        }
        table_of(&mut self.scenario, "sysctl").insert(name.to_owned(), integer(value));
        Ok(())
    }

    /// Of workers that are holdline's own, it is known how they drain.
    fn drain(&mut self) -> Result<(), Obstacle> {
        let (scenario, supervisor) = (self.trial.scenario.0, self.trial.supervisor.0);
        if !support::keeps_ledger(supervisor) || scenario.workers.drain != Drain::None {
            return Err(Obstacle::OwnDrain);
        }
        table_of(&mut self.scenario, "workers").insert("drain".to_owned(), text("graceful"));
        Ok(())
    }
}

/// The table of this name, which is made where there is none.
fn table_of<'t>(in_table: &'t mut Table, key: &str) -> &'t mut Table {
    let entry = in_table.entry(key).or_insert_with(|| Value::Table(Table::new()));
    if !entry.is_table() {
        *entry = Value::Table(Table::new());
    }
    entry.as_table_mut().expect("it was just made one")
}

fn integer(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[cfg(test)]
mod tests;

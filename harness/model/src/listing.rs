//! What there is to run, as values: what `holdline list --json` prints, `holdline.list/1`.
//!
//! Keys do not change; others may be added. A part that was not asked for is absent.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arrivals::Extent;
use crate::conductor::faults_in_words;
use crate::plan::estimated_ns;
use crate::scenario::Scenario;
use crate::supervisor::{Control, Holder, Passing, Protocol, Runs, Supervisor};
use crate::words::{Grade, Transport, Verb};

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.list/1";

/// Scenarios, supervisors, or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listing {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Scenarios of the catalogue, by name; absent where they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenarios: Option<Vec<ListedScenario>>,
    /// Supervisors of the catalogue, those of holdline's own first; absent where they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisors: Option<Vec<ListedSupervisor>>,
}

/// A scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListedScenario {
    /// Its name, by which `holdline run` takes it.
    pub name: String,
    /// The question that it answers.
    pub asks: String,
    /// What it is about, in a paragraph; may be empty.
    pub about: String,
    /// Where its file stands in holdline's repository; `holdline show NAME --file` prints it.
    pub file: String,
    /// Whether it runs only where it is named, not as one of `all` or of a pattern.
    pub opt_in: bool,
    /// What carries its connections.
    pub transport: Transport,
    /// The backlog that is asked for.
    pub backlog: u32,
    /// How many workers there are.
    pub workers: u32,
    /// Attempts of one trial; `null`: not known before it runs.
    pub attempts: Option<u64>,
    /// About how long one trial takes, from the length of its load.
    pub estimated_ns: u64,
    /// What is done to the system, in words.
    pub faults: Vec<String>,
    /// What each grade means here.
    pub means: BTreeMap<Grade, String>,
    /// The grades that supervisors of holdline's own may get.
    pub reference: BTreeMap<String, Vec<Grade>>,
}

/// A supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListedSupervisor {
    /// Its name, by which `--supervisor` takes it.
    pub name: String,
    /// What it is, in a line.
    pub about: String,
    /// Where its file stands in holdline's repository; `holdline show NAME --file` prints it.
    pub file: String,
    /// Whether it is one of holdline's own, which run where no other is named.
    pub reference: bool,
    /// What it can run.
    pub runs: Vec<Runs>,
    /// What its workers speak.
    pub protocol: Protocol,
    /// Who holds the listener.
    pub holder: Holder,
    /// How workers get it.
    pub passing: Passing,
    /// What it can listen on.
    pub transports: Vec<Transport>,
    /// What it can be asked to do.
    pub control: Vec<Verb>,
    /// The command that installs it; `null`: it is part of holdline, or the description does not say.
    pub install: Option<String>,
    /// What else it needs of a machine, in a few words.
    pub needs: Option<String>,
    /// Whether it must be started by the machine's own root.
    pub needs_root: bool,
    /// Grades that its description expects, by scenario.
    pub expected: BTreeMap<String, Grade>,
}

impl ListedScenario {
    /// A scenario, and where its file stands.
    #[must_use]
    pub fn new(scenario: &Scenario, file: &str) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of attempts")]
        let attempts = Extent::of(&scenario.load).attempts_planned.map(|planned| planned as u64);
        Self {
            name: scenario.name.clone(),
            asks: scenario.asks.clone(),
            about: scenario.about.trim().to_owned(),
            file: file.to_owned(),
            opt_in: scenario.opt_in,
            transport: scenario.listen.transport,
            backlog: scenario.listen.backlog,
            workers: scenario.workers.count,
            attempts,
            estimated_ns: estimated_ns(scenario),
            faults: faults_in_words(scenario),
            means: scenario.means.clone(),
            reference: scenario.reference.grades.clone(),
        }
    }
}

impl ListedSupervisor {
    /// A supervisor, and where its file stands.
    #[must_use]
    pub fn new(supervisor: &Supervisor, file: &str) -> Self {
        let can = |verb: &Verb| match supervisor.control.get(verb) {
            Some(Control::Command(_) | Control::Signal { .. }) => true,
            Some(Control::Unsupported(_)) | None => false,
        };
        Self {
            name: supervisor.name.clone(),
            about: supervisor.about.clone(),
            file: file.to_owned(),
            reference: supervisor.reference,
            runs: supervisor.runs.clone(),
            protocol: supervisor.protocol,
            holder: supervisor.socket.holder,
            passing: supervisor.socket.passing,
            transports: supervisor.transports.clone(),
            control: Verb::ALL.iter().copied().filter(can).collect(),
            install: supervisor.install.clone(),
            needs: supervisor.needs.clone(),
            needs_root: supervisor.needs_root,
            expected: supervisor.expected.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_listed_with_what_its_file_says() {
        let text = "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"10ms\" }\nattempts = 20\n\
                    [[fault]]\nat = \"50ms\"\nsignal = { to = \"worker\", name = \"KILL\" }\n";
        let scenario = crate::scenario::parse(text, "x").expect("right");
        let listed = ListedScenario::new(&scenario, "scenarios/x.toml");
        assert_eq!((listed.attempts, listed.faults.len(), listed.opt_in), (Some(20), 1, false));
        // As long as its load, and what every trial takes.
        assert!((200_000_000..1_000_000_000).contains(&listed.estimated_ns), "{}", listed.estimated_ns);
        let closed = text
            .replace("{ sequential = \"10ms\" }", "{ closed = 4 }")
            .replace("attempts = 20", "duration = \"1s\"");
        let closed = crate::scenario::parse(&closed, "x").expect("right");
        assert_eq!(ListedScenario::new(&closed, "x").attempts, None);
    }

    #[test]
    fn what_a_supervisor_says_that_it_cannot_is_no_control() {
        let text = "name = \"x\"\nabout = \"x\"\nsocket = { holder = \"supervisor\", passing = \"stdin\" }\n\
                    start = [\"x\", \"{worker}\"]\n[control]\nrestart = [\"x\"]\nscale = { unsupported = \"it cannot\" }\n";
        let supervisor = crate::supervisor::parse(text, "x").expect("right");
        let listed = ListedSupervisor::new(&supervisor, "x");
        assert_eq!(listed.control, [Verb::Restart]);
        assert_eq!((listed.install, listed.needs_root), (None, false));
    }
}

//! What is held against what: the trials of a reference and of a contender in one scenario.

use std::collections::{BTreeMap, BTreeSet};

use crate::result::{RunResult, TrialResult};
use crate::words::Grade;

/// Trials of one supervisor in one scenario, by repetition, those alone that say something.
pub(super) type Trials<'a> = BTreeMap<u32, &'a TrialResult>;

/// One supervisor against the reference in one scenario.
#[derive(Debug, Clone)]
pub(super) struct Contest<'a> {
    pub(super) scenario: &'a str,
    /// The contender's name.
    pub(super) supervisor: &'a str,
    pub(super) reference: Trials<'a>,
    pub(super) contender: Trials<'a>,
    /// The reference once more, where it was measured twice.
    pub(super) again: Option<Trials<'a>>,
}

/// The trials of a run by scenario and supervisor.
pub(super) struct Table<'a> {
    cells: BTreeMap<(&'a str, &'a str), Vec<&'a TrialResult>>,
    /// In order of the scenarios' first trials of the first repetition.
    pub(super) scenarios: Vec<&'a str>,
    pub(super) supervisors: Vec<&'a str>,
}

impl<'a> Table<'a> {
    pub(super) fn of(run: &'a RunResult) -> Self {
        let mut cells: BTreeMap<_, Vec<&TrialResult>> = BTreeMap::new();
        for trial in &run.trials {
            cells.entry((trial.scenario.as_str(), trial.supervisor.as_str())).or_default().push(trial);
        }
        let supervisors: BTreeSet<&str> = cells.keys().map(|(_, supervisor)| *supervisor).collect();
        let mut scenarios: Vec<&str> = Vec::new();
        for trial in &run.trials {
            if !scenarios.contains(&trial.scenario.as_str()) {
                scenarios.push(&trial.scenario);
            }
        }
        Self { cells, scenarios, supervisors: supervisors.into_iter().collect() }
    }

    pub(super) fn has(&self, scenario: &str, supervisor: &str) -> bool {
        self.cells.contains_key(&(scenario, supervisor))
    }

    pub(super) fn all<'s>(&'s self, scenario: &'s str, supervisor: &'s str) -> &'s [&'a TrialResult] {
        self.cells.get(&(scenario, supervisor)).map_or(&[], Vec::as_slice)
    }

    /// Those that say something of the supervisor.
    pub(super) fn conclusive(&self, scenario: &str, supervisor: &str) -> Trials<'a> {
        let conclusive = self.all(scenario, supervisor).iter().filter(|trial| is_conclusive(trial));
        conclusive.map(|trial| (trial.repetition, *trial)).collect()
    }
}

/// Whether a trial says something of its supervisor.
pub(super) fn is_conclusive(trial: &TrialResult) -> bool {
    match trial.grade {
        Grade::Held | Grade::Delayed | Grade::Lossy | Grade::Down => true,
        Grade::Unsupported | Grade::Inconclusive => false,
    }
}

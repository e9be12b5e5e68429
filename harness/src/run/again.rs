//! A trial once more, with the remedies that holdline can apply by itself.

use holdline_model::remedies::{self, Applied, Obstacle, Refused};
use holdline_model::result::{Change, TrialResult};
use holdline_model::supervisor::Supervisor;
use holdline_model::words::Isolation;

use super::{Plan, RunError};
use crate::catalogue::{self, ScenarioEntry, SupervisorEntry};

/// What is put behind the name of a supervisor whose trial has remedies in it.
const REMEDIED: &str = "~remedied";

/// A trial that is to be run once more.
#[derive(Debug)]
pub struct Again {
    /// The plan of this one trial; `None`: no remedy can be applied.
    pub plan: Option<Plan>,
    /// Remedies that are not in it, and why.
    pub refused: Vec<Refused>,
}

impl Plan {
    /// A trial of this plan once more, with those of its remedies that can be applied. Its supervisor is called as
    /// before, with `~remedied` behind it. `takes_listener`: whether the service may take a listener that is handed to
    /// it; `false` where it was seen not to.
    ///
    /// # Errors
    ///
    /// As [`Plan::with_trials`].
    pub fn again(&self, trial: &TrialResult, takes_listener: bool) -> Result<Again, RunError> {
        let changes = trial.remedies.iter().map(|remedy| remedy.change.clone());
        let (changes, in_vain): (Vec<Change>, Vec<Change>) =
            changes.partition(|change| takes_listener || !matches!(change, Change::HoldListener { .. }));
        let mut again = self.with_changes(trial, changes)?;
        let not_taken = |change| Refused { change, obstacle: Obstacle::NotTaken };
        again.refused.extend(in_vain.into_iter().map(not_taken));
        Ok(again)
    }

    fn with_changes(&self, trial: &TrialResult, changes: Vec<Change>) -> Result<Again, RunError> {
        let planned = self.trials.iter().find(|planned| {
            planned.supervisor == trial.supervisor
                && planned.scenario == trial.scenario
                && planned.repetition == trial.repetition
        });
        let entries = self.scenarios.get(&trial.scenario).zip(self.supervisors.get(&trial.supervisor));
        let (Some(planned), Some((scenario, supervisor))) = (planned, entries) else {
            return Ok(Again { plan: None, refused: all_refused(changes) });
        };
        let applied = self.applied(scenario, supervisor, &changes);
        if applied.changes.is_empty() {
            return Ok(Again { plan: None, refused: applied.refused });
        }
        let name = format!("{}{REMEDIED}", supervisor.supervisor.name);
        let Some((scenario, supervisor)) = entries_of(&applied, scenario, supervisor, &name) else {
            return Ok(Again { plan: None, refused: all_refused(changes) });
        };
        let trials = vec![holdline_model::plan::TrialPlan { supervisor: name.clone(), ..planned.clone() }];
        let plan = self.with_entries(scenario, supervisor, trials)?;
        Ok(Again { plan: Some(plan), refused: applied.refused })
    }

    fn applied(&self, scenario: &ScenarioEntry, supervisor: &SupervisorEntry, changes: &[Change]) -> Applied {
        let transport = scenario.scenario.listen.transport;
        let trial = remedies::Trial {
            scenario: (&scenario.scenario, &scenario.text),
            supervisor: (&supervisor.supervisor, &supervisor.text),
            has_namespaces: self.isolation == Isolation::Full,
            templates_have_backlog: catalogue::templates_have(supervisor, transport, "{backlog}"),
        };
        remedies::apply(&trial, changes)
    }
}

/// The entries with what was applied; `None`: they mean nothing any more.
fn entries_of(
    applied: &Applied,
    scenario: &ScenarioEntry,
    supervisor: &SupervisorEntry,
    name: &str,
) -> Option<(ScenarioEntry, SupervisorEntry)> {
    let folder = scenario.folder.clone();
    let scenario = ScenarioEntry::parse(applied.scenario.clone(), scenario.origin.clone()).ok()?;
    let (origin, source) = (supervisor.origin.clone(), supervisor.source.clone());
    let entry = SupervisorEntry::parse(applied.supervisor.clone(), origin, source).ok()?;
    let supervisor = Supervisor { name: name.to_owned(), ..entry.supervisor };
    let supervisor = SupervisorEntry { supervisor, applied: applied.changes.clone(), ..entry };
    Some((ScenarioEntry { folder, ..scenario }, supervisor))
}

fn all_refused(changes: Vec<Change>) -> Vec<Refused> {
    changes.into_iter().map(|change| Refused { change, obstacle: Obstacle::Files }).collect()
}

//! A run's plan as it is recorded, `plan.json` (`holdline.plan/1`): what `run.json` does not hold and what it takes to
//! end a run that was interrupted, or to run again what did not pass.
//!
//! Keys do not change; others may be added.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::TrialPlan;
use crate::reason::Reason;
use crate::result::{RunResult, TrialResult};
use crate::supervisor::WorkerKind;
use crate::words::Verdict;

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.plan/1";

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanFile {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The worker that runs under supervisors that can run any; `null`: each runs its own.
    pub worker: Option<WorkerKind>,
    /// Whether reference supervisors may fail as the scenarios' `[reference]` tables foresee it.
    #[serde(default)]
    pub excuses_reference: bool,
    /// The scenarios.
    pub scenarios: Vec<PlannedFile>,
    /// The supervisors.
    pub supervisors: Vec<PlannedFile>,
    /// The trials, in the order in which they run.
    pub trials: Vec<TrialPlan>,
}

/// The file of a scenario or a supervisor, as it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedFile {
    /// How it is called in this run.
    pub name: String,
    /// How the file was named.
    pub origin: String,
    /// Where it is on disk; `null`: it is part of holdline.
    pub file: Option<PathBuf>,
    /// Its text.
    pub text: String,
}

/// A result that is none of the plan's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("repetition {repetition} of {scenario} with {supervisor} has a result, and is not planned")]
pub struct NotOfPlan {
    /// Its scenario.
    pub scenario: String,
    /// Its supervisor.
    pub supervisor: String,
    /// Its repetition, from 1.
    pub repetition: u32,
}

/// What tells trials of a run apart.
type Key<'a> = (&'a str, &'a str, u32);

fn key_of_plan(trial: &TrialPlan) -> Key<'_> {
    (&trial.scenario, &trial.supervisor, trial.repetition)
}

fn key_of_result(trial: &TrialResult) -> Key<'_> {
    (&trial.scenario, &trial.supervisor, trial.repetition)
}

/// The places in a plan of the trials that have a result.
#[must_use]
pub fn places(planned: &[TrialPlan], results: &[TrialResult]) -> BTreeSet<usize> {
    let there: BTreeSet<Key<'_>> = results.iter().map(key_of_result).collect();
    let has_result = |(_, trial): &(usize, &TrialPlan)| there.contains(&key_of_plan(trial));
    planned.iter().enumerate().filter(has_result).map(|(place, _)| place).collect()
}

/// What remains valid of a run that was interrupted, in the order of its plan: everything but the trial that was cut
/// short, and those with which remedies were to be proven.
///
/// # Errors
///
/// There is a result of what was not planned.
pub fn kept(planned: &[TrialPlan], run: RunResult) -> Result<RunResult, NotOfPlan> {
    let places: BTreeMap<Key<'_>, usize> =
        planned.iter().enumerate().map(|(place, trial)| (key_of_plan(trial), place)).collect();
    let mut trials: BTreeMap<usize, TrialResult> = BTreeMap::new();
    for trial in run.trials.into_iter().filter(|trial| trial.applied.is_empty()) {
        let Some(place) = places.get(&key_of_result(&trial)) else {
            let TrialResult { scenario, supervisor, repetition, .. } = trial;
            return Err(NotOfPlan { scenario, supervisor, repetition: repetition + 1 });
        };
        if !was_cut(&trial) {
            trials.insert(*place, trial);
        }
    }
    let complete = trials.len() == planned.len();
    Ok(RunResult { trials: trials.into_values().collect(), complete, ..run })
}

/// Whether the user ended the run while this trial was on.
#[must_use]
pub fn was_cut(trial: &TrialResult) -> bool {
    matches!(trial.why, Some(Reason::Interrupted | Reason::WatchInterrupted))
}

/// Whether a trial did not pass, and is run again where one asks for that: what failed, what must run and could not,
/// and what is inconclusive, since nobody has seen it pass.
#[must_use]
pub fn did_not_pass(run: &RunResult, trial: &TrialResult) -> bool {
    // What a remedy makes of a trial is no verdict on what it is.
    trial.applied.is_empty()
        && match trial.verdict {
            Verdict::Fail | Verdict::Inconclusive => true,
            Verdict::Pass | Verdict::Unsupported => run.is_required_in_vain(trial),
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::RunPlan;
    use crate::result::Manifest;
    use crate::summary::{TrialName, not_run};
    use crate::words::Grade;

    fn planned() -> Vec<TrialPlan> {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        RunPlan::new(&names(&["a", "b"]), &names(&["x", "y"]), 2, 1, None).trials
    }

    fn result(trial: &TrialPlan, why: Reason) -> TrialResult {
        let name = TrialName {
            supervisor: trial.supervisor.clone(),
            supervisor_version: String::new(),
            scenario: trial.scenario.clone(),
            repetition: trial.repetition,
            folder: format!("trials/{}", trial.index),
            applied: Vec::new(),
        };
        not_run(&name, why)
    }

    fn run_of(trials: Vec<TrialResult>) -> RunResult {
        let manifest = Manifest { planned: 8, ..Manifest::example() };
        RunResult { schema: crate::result::SCHEMA.to_owned(), manifest, complete: false, trials }
    }

    fn whole() -> Reason {
        Reason::NotRun { what: crate::worded::Worded::Words("x".to_owned()), full: None }
    }

    #[test]
    fn what_was_cut_short_is_run_again_and_what_is_not_planned_is_refused() {
        let planned = planned();
        let cut = |index: usize, why| result(&planned[index], why);
        let run =
            run_of(vec![cut(0, whole()), cut(1, Reason::Interrupted), cut(2, Reason::WatchInterrupted)]);
        let kept = kept(&planned, run.clone()).expect("planned");
        assert_eq!(places(&planned, &kept.trials), BTreeSet::from([0]));
        assert!(!kept.complete);
        let refused = super::kept(&planned[1..], run).expect_err("not planned");
        assert_eq!(
            (refused.scenario.as_str(), refused.supervisor.as_str(), refused.repetition),
            ("x", "a", 1)
        );
    }

    #[test]
    fn what_did_not_pass_is_what_nobody_has_seen_pass() {
        let planned = planned();
        let mut trial = result(&planned[0], whole());
        let mut run = run_of(Vec::new());
        for (verdict, again) in [
            (Verdict::Pass, false),
            (Verdict::Fail, true),
            (Verdict::Inconclusive, true),
            (Verdict::Unsupported, false),
        ] {
            trial.verdict = verdict;
            trial.grade = Grade::Held;
            trial.why = None;
            assert_eq!(did_not_pass(&run, &trial), again, "{verdict}");
        }
        run.manifest.required.push("a".to_owned());
        assert!(did_not_pass(&run, &trial), "it must run, and is unsupported");
    }

    proptest! {
        #[test]
        fn what_is_kept_is_in_the_order_of_the_plan(order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(), count in 0..=8_usize) {
            let planned = planned();
            let trials = order[..count].iter().map(|index| result(&planned[*index], whole())).collect();
            let kept = kept(&planned, run_of(trials)).expect("planned");
            let mut expected = order[..count].to_vec();
            expected.sort_unstable();
            let folders: Vec<String> = kept.trials.iter().map(|trial| trial.folder.clone()).collect();
            prop_assert_eq!(folders, expected.iter().map(|index| format!("trials/{index}")).collect::<Vec<_>>());
            prop_assert_eq!(places(&planned, &kept.trials).into_iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(kept.complete, count == 8);
        }
    }
}

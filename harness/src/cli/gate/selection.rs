//! What a gate runs: what is gated, and the reference beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use holdline_model::gate::{GateResult, Runs, Tier};
use holdline_model::plan::{RunPlan, TrialPlan};
use holdline_model::result::RunResult;
use holdline_model::template::shell_words;

use super::super::args::GateArgs;
use super::super::measure;
use crate::catalogue::{self, ScenarioEntry, SupervisorEntry};
use crate::exit::Failure;
use crate::run::Plan;

/// Against whom times are measured: the first that is not gated itself.
const REFERENCES: [&str; 3] = ["held-socket", "inherited-fd", "prefork"];

/// Everything that is run: what is gated, and the reference beside it.
pub(super) struct Selection {
    scenarios: Vec<ScenarioEntry>,
    pub(super) supervisors: Vec<SupervisorEntry>,
    pub(super) gated: BTreeSet<String>,
    pub(super) reference: String,
    /// As they were named, for the command that repeats something.
    words: BTreeMap<String, String>,
    pub(super) scenario_words: Vec<String>,
    pub(super) supervisor_words: Vec<String>,
}

impl Selection {
    pub(super) fn of(
        args: &GateArgs,
        scenarios: &[OsString],
        supervisors: &[OsString],
        reference: Option<&str>,
    ) -> Result<Self, Failure> {
        let text =
            |words: &[OsString]| words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let scenario_words: Vec<String> = text(scenarios);
        let supervisor_words: Vec<String> = text(supervisors);
        let scenarios = catalogue::select_scenarios(scenarios)?;
        let mut entries = catalogue::select_supervisors(supervisors)?;
        let gated: BTreeSet<String> = entries.iter().map(|entry| entry.supervisor.name.clone()).collect();
        let wanted = args.reference.as_deref().or(reference);
        let free = || REFERENCES.into_iter().find(|name| !gated.contains(*name));
        let wanted = wanted.or_else(free).unwrap_or(REFERENCES[0]);
        let found = catalogue::select_supervisors(&[wanted])?;
        let Some(entry) = found.into_iter().next() else {
            return Err(Failure::nothing(format!("no supervisor matches `{wanted}`")));
        };
        let reference = entry.supervisor.name.clone();
        if !gated.contains(&reference) {
            entries.push(entry);
        }
        let mut words = BTreeMap::new();
        for entry in &scenarios {
            words.insert(entry.scenario.name.clone(), word_for(&entry.scenario.name, &entry.origin));
        }
        for entry in &entries {
            words.insert(entry.supervisor.name.clone(), word_for(&entry.supervisor.name, &entry.origin));
        }
        Ok(Self {
            scenarios,
            supervisors: entries,
            gated,
            reference,
            words,
            scenario_words,
            supervisor_words,
        })
    }

    pub(super) fn scenario_names(&self) -> Vec<String> {
        self.scenarios.iter().map(|entry| entry.scenario.name.clone()).collect()
    }

    pub(super) fn plan(&self, args: &GateArgs, trials: Vec<TrialPlan>) -> Result<Plan, Failure> {
        let plan =
            Plan::new(self.scenarios.clone(), self.supervisors.clone(), trials, measure::options(&args.run))?;
        Ok(plan.with_reference(self.reference.clone()))
    }

    /// All trials, contenders of a block side by side.
    pub(super) fn trials(&self, args: &GateArgs, repetitions: u32) -> Vec<TrialPlan> {
        let names: Vec<String> = self.supervisors.iter().map(|entry| entry.supervisor.name.clone()).collect();
        // What is gated is gated as a whole: a part of the repetitions would be another gate.
        RunPlan::interleaved(&names, &self.scenario_names(), repetitions, args.run.trial.seed, None).trials
    }

    pub(super) fn runs<'a>(
        &'a self,
        first: &'a RunResult,
        again: Option<&'a RunResult>,
        scenarios: &'a BTreeSet<String>,
    ) -> Runs<'a> {
        Runs { first, again, gated: &self.gated, scenarios, reference: &self.reference }
    }

    /// Fills in the command that repeats each finding.
    pub(super) fn tell_how_to_repeat(&self, result: &mut GateResult, seed: u64) {
        let repetitions = result.repetitions;
        let known = result.known.iter_mut().map(|known| &mut known.finding);
        for finding in result.regressions.iter_mut().chain(&mut result.not_confirmed).chain(known) {
            let word = |name: &String| self.words.get(name).unwrap_or(name).clone();
            let mut words = match finding.tier {
                Tier::Count => vec!["run".to_owned(), word(&finding.scenario)],
                Tier::Time => vec![
                    "compare".to_owned(),
                    word(&finding.scenario),
                    "-s".to_owned(),
                    word(&self.reference),
                ],
            };
            words.extend(["-s".to_owned(), word(&finding.supervisor)]);
            words.extend(["-r".to_owned(), repetitions.to_string(), "--seed".to_owned(), seed.to_string()]);
            finding.repeat = format!("holdline {}", shell_words(&words));
        }
    }
}

/// What is embedded is found by its name, and everything else by its path.
fn word_for(name: &str, origin: &str) -> String {
    let is_embedded = origin.starts_with("scenarios/") || origin.starts_with("fixtures/supervisors/");
    if is_embedded && !Path::new(origin).exists() {
        name.to_owned()
    } else {
        path_word(name, origin, is_embedded)
    }
}

fn path_word(name: &str, origin: &str, is_embedded: bool) -> String {
    match (is_embedded, origin.starts_with(['.', '/'])) {
        (true, _) => name.to_owned(),
        (false, true) => origin.to_owned(),
        (false, false) => format!("./{origin}"),
    }
}

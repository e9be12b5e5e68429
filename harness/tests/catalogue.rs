//! The catalogue as a matrix: every scenario over the ten reference supervisors, each cell held
//! against the grade that the scenario's file names for it.
//!
//! A test for each scenario; one trial at a time, since trials that run together make each other's
//! generators lag. The whole matrix takes some 20 minutes, so that a plain test run measures one or two
//! scenarios of each family, and shows the others as ignored:
//!
//! ```sh
//! cargo test -p holdline --test catalogue -- --include-ignored
//! ```

mod common;

use std::process::ExitCode;

use common::{Place, lagged, read_result};
use holdline::catalogue::{self, ScenarioEntry};
use holdline_model::result::TrialResult;
use holdline_model::scenario::Scenario;
use holdline_model::words::Grade;
use libtest_mimic::{Arguments, Failed, Trial};

/// What a plain test run measures.
const QUICK: [&str; 8] = [
    "backlog-overflow",
    "backlog/16",
    "crash",
    "crash-under-load",
    "restart",
    "standby",
    "supervisor-killed",
    "upgrade",
];

/// How often a cell is measured again if the load client could not keep up.
const RETRIES: usize = 2;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let scenarios = catalogue::scenarios().expect("the catalogue's own files are right");
    let tests = scenarios.into_iter().filter(is_measured).map(test).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// A scenario without a table has nothing to be held against.
fn is_measured(entry: &ScenarioEntry) -> bool {
    !entry.scenario.reference.grades.is_empty()
}

fn test(entry: ScenarioEntry) -> Trial {
    let name = format!("catalogue::{}", entry.scenario.name);
    let is_long = entry.scenario.opt_in || !QUICK.contains(&entry.scenario.name.as_str());
    Trial::test(name, move || hold_against_table(&entry.scenario)).with_ignored_flag(is_long)
}

fn hold_against_table(scenario: &Scenario) -> Result<(), Failed> {
    let mut trials = run(&scenario.name, &[])?;
    if trials.len() != scenario.reference.grades.len() {
        return Err(format!("{} trials, expected {}", trials.len(), scenario.reference.grades.len()).into());
    }
    for trial in &mut trials {
        retry_while_lagging(trial)?;
    }
    let mut wrong: Vec<String> = trials.iter().filter_map(|trial| fault(scenario, trial)).collect();
    wrong.extend(undecided(scenario, &trials));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Runs a scenario over some supervisors, or, if none is named, over the reference supervisors.
fn run(scenario: &str, supervisors: &[&str]) -> Result<Vec<TrialResult>, Failed> {
    let place = Place::new();
    let mut arguments =
        vec!["run", scenario, "--out", "out", "--export-json", "result.json", "--show-progress", "none"];
    arguments.extend(supervisors.iter().flat_map(|name| ["-s", name]));
    let output = place.holdline(&arguments).output()?;
    let path = place.path("result.json");
    if !path.exists() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(read_result(&path).trials)
}

fn retry_while_lagging(trial: &mut TrialResult) -> Result<(), Failed> {
    for _ in 0..RETRIES {
        if !lagged(trial) {
            break;
        }
        let again = run(&trial.scenario, &[&trial.supervisor])?;
        *trial = again.into_iter().next().ok_or("the trial was not run again")?;
    }
    Ok(())
}

/// What is wrong with a cell, with what a reader needs to see why.
fn fault(scenario: &Scenario, trial: &TrialResult) -> Option<String> {
    let TrialResult { supervisor, grade, .. } = trial;
    let Some(allowed) = scenario.reference.grades.get(supervisor) else {
        return Some(format!("{supervisor} is {grade}, and not in the table"));
    };
    if !allowed.contains(grade) {
        let words: Vec<&str> = allowed.iter().map(|grade| grade.as_str()).collect();
        let reason = trial.reason.iter().chain(&trial.losses).map(|line| format!("\n    {line}"));
        let why: String = reason.collect();
        return Some(format!("{supervisor} is {grade}, the table says {}{why}", words.join(" or ")));
    }
    let is_off = *grade != Grade::Unsupported && trial.books != "balanced";
    is_off.then(|| format!("{supervisor}: the books do not balance: {}", trial.books))
}

/// A scenario in which all supervisors get the same mark measures nothing, unless it says why.
fn undecided(scenario: &Scenario, trials: &[TrialResult]) -> Option<String> {
    let mut grades: Vec<Grade> =
        trials.iter().map(|trial| trial.grade).filter(|grade| *grade != Grade::Unsupported).collect();
    grades.dedup();
    match (&grades[..], &scenario.reference.alike) {
        ([], _) => Some("no supervisor supports it".to_owned()),
        ([grade], None) => Some(format!("it tells nobody from anybody: all are {grade}")),
        _ => None,
    }
}

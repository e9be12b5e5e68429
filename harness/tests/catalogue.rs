//! The catalogue as a matrix: every scenario over the ten reference supervisors, each cell held
//! against the grade that the scenario's file names for it.
//!
//! A test for each scenario. Several run side by side, since a trial mostly waits; the few that load
//! the machine themselves run alone, and first, so that nobody has to be waited for. Cells in which nobody comes back
//! wait out their scenario's patience, and do so together. A neighbour may make a load client lag, or requests wait: so a cell
//! that differs from the table beside others is measured again alone, up to three times, and that counts.
//! Books that do not balance are never excused.
//!
//! The article's own minute of booting is ignored unless it is asked for:
//!
//! ```sh
//! cargo test -p holdline --test catalogue -- --include-ignored
//! ```

mod common;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/room.rs"]
mod room;

use std::panic::resume_unwind;
use std::process::ExitCode;

use holdline::catalogue::{self, ScenarioEntry};
use holdline_model::result::TrialResult;
use holdline_model::scenario::Scenario;
use holdline_model::words::Grade;
use libtest_mimic::{Arguments, Failed, Trial};
use machine::{SIDE_BY_SIDE, alone, beside_others, settle, trials};
use room::Room;

/// Scenarios that use all of the machine that they can get, or compare times.
const ALONE: [&str; 4] = ["throughput", "throughput-five", "unix-vs-tcp/tcp", "unix-vs-tcp/unix"];

/// Where nobody comes back, a trial has little to do for a moment, and then nothing for the scenario's patience. So
/// many of these may wait beside the tests that go on.
static WAITING: Room = Room::of(SIDE_BY_SIDE);

/// How often a cell that differs is measured again, alone.
const RETRIES: usize = 3;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // These trials have little to do: most of their time they wait for clocks.
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(2 * SIDE_BY_SIDE));
    let mut scenarios = catalogue::scenarios().expect("the catalogue's own files are right");
    scenarios.sort_by_key(|entry| !is_alone(&entry.scenario));
    let tests = scenarios.into_iter().filter(is_measured).map(test).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}

fn is_alone(scenario: &Scenario) -> bool {
    ALONE.contains(&scenario.name.as_str())
}

/// A scenario without a table has nothing to be held against.
fn is_measured(entry: &ScenarioEntry) -> bool {
    !entry.scenario.reference.grades.is_empty()
}

fn test(entry: ScenarioEntry) -> Trial {
    let is_long = entry.scenario.opt_in;
    let name = format!("catalogue::{}", entry.scenario.name);
    Trial::test(name, move || hold_against_table(&entry.scenario)).with_ignored_flag(is_long)
}

fn hold_against_table(scenario: &Scenario) -> Result<(), Failed> {
    let supervisors = catalogue::select_supervisors(&[] as &[&str])?;
    let names: Vec<&str> = supervisors.iter().map(|entry| entry.supervisor.name.as_str()).collect();
    if let Some(stray) = scenario.reference.grades.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(format!("{stray} is in the table, and no reference supervisor").into());
    }
    let mut trials = match is_alone(scenario) {
        // All of them at once: whoever is to be alone waits until all others have ended.
        true => {
            let _alone = alone();
            trials(&[&scenario.name], &names)
        }
        false => cells(scenario, &names),
    }?;
    for trial in &mut trials {
        settle(trial, RETRIES, |trial| differs(scenario, trial).is_some())?;
    }
    let mut wrong: Vec<String> = trials.iter().filter_map(|trial| fault(scenario, trial)).collect();
    wrong.extend(undecided(scenario, &trials));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// One after the other; beside them those in which nobody comes back.
fn cells(scenario: &Scenario, supervisors: &[&str]) -> Result<Vec<TrialResult>, Failed> {
    let grades = &scenario.reference.grades;
    let stays_down = |name: &&str| grades.get(*name).is_some_and(|grades| grades == &[Grade::Down]);
    let (waiting, others): (Vec<&str>, Vec<&str>) = supervisors.iter().copied().partition(stays_down);
    let measure = |name: &str| {
        let _beside = beside_others();
        cell(scenario, name)
    };
    std::thread::scope(|scope| {
        let wait = |name| {
            scope.spawn(move || {
                let _place = WAITING.enter();
                measure(name)
            })
        };
        let waiting: Vec<_> = waiting.into_iter().map(wait).collect();
        let others: Vec<_> = others.into_iter().map(measure).collect();
        let waiting =
            waiting.into_iter().map(|cell| cell.join().unwrap_or_else(|panic| resume_unwind(panic)));
        others.into_iter().chain(waiting).collect()
    })
}

/// Each cell is a run of its own, so that one that must be alone waits for a trial, and not for ten.
fn cell(scenario: &Scenario, supervisor: &str) -> Result<TrialResult, Failed> {
    let trial = trials(&[&scenario.name], &[supervisor])?.pop();
    Ok(trial.ok_or_else(|| format!("{supervisor}: there was no trial"))?)
}

/// What is wrong with a cell, with what a reader needs to see why.
fn fault(scenario: &Scenario, trial: &TrialResult) -> Option<String> {
    unbalanced(trial).or_else(|| differs(scenario, trial))
}

fn unbalanced(trial: &TrialResult) -> Option<String> {
    let TrialResult { supervisor, grade, books, .. } = trial;
    let is_off = *grade != Grade::Unsupported && !books.is_balanced();
    is_off.then(|| format!("{supervisor}: the books do not balance: {books}"))
}

/// How a cell differs from the table; not where its books are off, which no second trial mends.
fn differs(scenario: &Scenario, trial: &TrialResult) -> Option<String> {
    let TrialResult { supervisor, grade, .. } = trial;
    let Some(allowed) = scenario.reference.grades.get(supervisor) else {
        return Some(format!("{supervisor} is {grade}, and not in the table"));
    };
    if unbalanced(trial).is_some() || allowed.contains(grade) {
        return None;
    }
    let words: Vec<&str> = allowed.iter().map(|grade| grade.as_str()).collect();
    let reason = trial.reason.iter().chain(&trial.losses).map(|line| format!("\n    {line}"));
    let why: String = reason.collect();
    Some(format!("{supervisor} is {grade}, the table says {}{why}", words.join(" or ")))
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

//! Services of several programs: faults are aimed at one by its name, and what is lost is told of whom it was lost by.

use holdline_model::reason::Note;
use holdline_model::result::{LossKind, LostBy};
use holdline_model::words::Blame;
use libtest_mimic::{Failed, Trial};

use crate::told::{Told, run, test};

/// Beneath `fixtures/chains`, a description of the catalogue.
const PHP: &str = "../supervisors/php-fpm/supervisor";

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("a-backend-that-is-killed-is-named", "balanced", one_that_is_killed_is_named),
        test("what-a-backends-workers-had-is-lost-by-it", PHP, what_workers_had_is_lost_by_their_program),
    ]
}

/// The backend's end is told with its name, and the front goes on. A 503 says nothing of who lost it.
fn one_that_is_killed_is_named() -> Result<(), Failed> {
    let told = run("backend-gone", "balanced")?;
    let named = |note: &Note| match note {
        Note::ProgramEnded { program, .. } => Some(program.clone()),
        _ => None,
    };
    let ended: Vec<String> = told.trial.noted.iter().filter_map(named).collect();
    check(&told, ended == ["one"] && told.trial.supervisor_ended.is_none())
}

/// nginx lives on and answers 502, and php-fpm starts others in their place.
fn what_workers_had_is_lost_by_their_program() -> Result<(), Failed> {
    let told = run("php-workers-killed", PHP)?;
    let in_flight = told.trial.blame.get(&Blame::InFlight).copied().unwrap_or_default();
    let by = LostBy::Behind { front: "nginx".to_owned(), programs: vec!["php-fpm".to_owned()] };
    let mut lost = told.trial.causes.iter().filter(|loss| loss.kind == LossKind::InFlight);
    let is_theirs = lost.next().is_some_and(|loss| loss.by == Some(by)) && lost.next().is_none();
    check(&told, in_flight > 0 && told.trial.collateral.is_empty() && is_theirs)
}

fn check(told: &Told, holds: bool) -> Result<(), Failed> {
    let trial = &told.trial;
    let known = || format!("{}: {:?} {:?} {:?}", trial.grade, trial.why, trial.causes, trial.noted);
    if holds { Ok(()) } else { Err(known().into()) }
}

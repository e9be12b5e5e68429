//! A fact about a supervisor, held against a trial: counts, causes and whether a listener was closed, never a
//! duration.

use holdline::catalogue;
use holdline_model::result::TrialResult;
use holdline_model::supervisor::Supervisor;
use holdline_model::words::{Fate, Grade};
use libtest_mimic::{Failed, Trial};

use super::machine::{beside_others, settle, trials};
use super::real;

/// How often a fact that does not hold is measured again, alone.
const RETRIES: usize = 2;

/// Something that is true of a supervisor.
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) supervisor: &'static str,
    pub(crate) scenario: &'static str,
    pub(crate) holds: fn(&TrialResult) -> Result<(), String>,
}

/// The tests of facts.
///
/// One that does not hold beside others is measured again alone, and that counts. Books that do not balance are never
/// excused.
pub(crate) fn tests(group: &str, facts: &'static [Fact]) -> Vec<Trial> {
    facts.iter().map(|fact| test(group, fact)).collect()
}

fn test(group: &str, fact: &'static Fact) -> Trial {
    Trial::ignorable_test(format!("{group}::{}", fact.name), || {
        real::if_installed(&named(fact.supervisor)?, || {
            let measured = {
                let _beside = beside_others();
                trials(&[fact.scenario], &[fact.supervisor])
            };
            let mut trial = measured?.pop().ok_or("there was no trial")?;
            settle(&mut trial, RETRIES, |trial| is_balanced(trial).is_ok() && (fact.holds)(trial).is_err())?;
            let held = is_balanced(&trial).and_then(|()| (fact.holds)(&trial));
            held.map_err(|wrong| explained(&trial, &wrong).into())
        })
    })
}

/// The description of this name.
pub(crate) fn named(name: &str) -> Result<Supervisor, Failed> {
    let mut entries = catalogue::supervisors()?.into_iter().map(|entry| entry.supervisor);
    entries
        .find(|supervisor| supervisor.name == name)
        .ok_or_else(|| format!("no supervisor is named {name}").into())
}

fn is_balanced(trial: &TrialResult) -> Result<(), String> {
    let books = &trial.books;
    if books.is_balanced() { Ok(()) } else { Err(format!("the books do not balance: {books}")) }
}

/// What is wrong, with what a reader needs to see why.
fn explained(trial: &TrialResult, wrong: &str) -> String {
    let lines: String =
        trial.reason.iter().chain(&trial.losses).map(|line| format!("\n    {line}")).collect();
    format!("{wrong}{lines}")
}

fn count(trial: &TrialResult, fate: Fate) -> u64 {
    trial.fates.get(&fate).copied().unwrap_or(0)
}

pub(crate) fn closes_its_listener(trial: &TrialResult) -> Result<(), String> {
    let closed = trial.kernel.listeners_closed;
    if closed > 0 { Ok(()) } else { Err("no listener was closed".to_owned()) }
}

/// The same socket to the end, so that nobody was refused, and nobody reset in its queue.
pub(crate) fn keeps_its_listener(trial: &TrialResult) -> Result<(), String> {
    let closed = trial.kernel.listeners_closed;
    if closed > 0 {
        return Err(format!("{closed} listeners were closed"));
    }
    exactly(trial, Fate::Refused, 0)?;
    exactly(trial, Fate::QueueReset, 0)
}

pub(crate) fn exactly(trial: &TrialResult, fate: Fate, expected: u64) -> Result<(), String> {
    match count(trial, fate) {
        found if found == expected => Ok(()),
        found => Err(format!("{found} attempts were {fate}, not {expected}")),
    }
}

pub(crate) fn some(trial: &TrialResult, fate: Fate) -> Result<(), String> {
    if count(trial, fate) > 0 { Ok(()) } else { Err(format!("no attempt was {fate}")) }
}

pub(crate) fn is_graded(trial: &TrialResult, grade: Grade) -> Result<(), String> {
    if trial.grade == grade { Ok(()) } else { Err(format!("it is {}, not {grade}", trial.grade)) }
}

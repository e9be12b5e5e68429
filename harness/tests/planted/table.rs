//! The tables of planted services, held against what runs say.

use std::sync::{Mutex, PoisonError};

use holdline_model::result::TrialResult;
use holdline_model::words::{Fate, word_of};
use serde_json::Value;

use crate::planted::{Planted, once, run};

const README: &str = include_str!("../../../fixtures/planted/README.md");
/// Of a value that is not known, or of which there is nothing to be told.
const UNKNOWN: &str = "–";

/// What a table says of one service: its name, the scenario's, the grade, and what else the table has.
type Line = Vec<String>;

/// The lines of the table whose head begins like this, without what each service does.
fn table(head: &str) -> Vec<Line> {
    let lines = README.lines().skip_while(|line| !line.starts_with(head)).skip(2);
    let lines = lines.take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            let mut said: Line = cells.map(|cell| cell.trim_matches([' ', '`']).to_owned()).collect();
            said.pop().expect("what it does");
            said
        })
        .collect()
}

/// What is told of one whose fault, or whose end, is what counts: mark, why, and whether the watch saw it back.
fn told(trial: &TrialResult) -> Line {
    let why = serde_json::to_value(&trial.why).expect("JSON");
    let kind = why.get("kind").and_then(Value::as_str).unwrap_or(UNKNOWN).to_owned();
    let mark = trial.mark.map_or_else(|| UNKNOWN.to_owned(), |mark| word_of(&mark));
    let back = if trial.back_after_ns.is_some() { "yes" } else { UNKNOWN };
    vec![mark, kind, back.to_owned()]
}

/// What is told of one whose requests are what counts: attempts served, lost and safe to retry, and what is counted
/// of connections.
fn counted(trial: &TrialResult) -> Line {
    let attempts = [trial.fates[&Fate::Served], trial.lost(), trial.safe_to_retry];
    attempts.iter().map(u64::to_string).chain([counts(trial)]).collect()
}

fn counts(trial: &TrialResult) -> String {
    let pool = trial.pool.iter().flat_map(|pool| {
        let all = [
            ("broken", pool.broken),
            ("retried", pool.retried),
            ("retried_lost", pool.retried_lost),
            ("closed_idle", pool.closed_idle),
            ("reset_idle", pool.reset_idle),
            ("told_idle", pool.told_idle),
            ("announced", pool.announced),
            ("expired", pool.expired),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    });
    let at_once = trial.sessions.iter().flat_map(|sessions| {
        [("answered", sessions.requests_answered), ("unanswered", sessions.requests_lost)]
    });
    let words: Vec<String> = pool.chain(at_once).map(|(name, count)| format!("{name} {count}")).collect();
    if words.is_empty() { UNKNOWN.to_owned() } else { words.join(", ") }
}

/// Runs it, until what is measured is conclusive if it is to be.
fn planted(service: &str, scenario: &str, grade: &str) -> Planted {
    match grade {
        "inconclusive" => once(scenario, service, &[]),
        _ => run(scenario, service, &[]),
    }
}

/// How many services of a table are measured at once: beside the tests of other modules, which are as many.
const AT_ONCE: usize = 3;

#[track_caller]
fn check(head: &str, said: fn(&TrialResult) -> Line) {
    let lines = table(head);
    assert!(lines.len() > 5, "the table is read");
    let measure = |line: &Line| -> Line {
        let [service, scenario, grade, ..] = &line[..] else { panic!("{line:?}") };
        let trial = planted(service, scenario, grade).trial;
        let begin = [service.clone(), scenario.clone(), word_of(&trial.grade)];
        begin.into_iter().chain(said(&trial)).collect()
    };
    let mut measured: Vec<Line> = vec![Line::new(); lines.len()];
    let next = Mutex::new(lines.iter().zip(&mut measured));
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((line, place)) = take() {
                    *place = measure(line);
                }
            });
        }
    });
    assert_eq!(lines, measured);
}

#[test]
fn it_says_what_runs_say() {
    check("| service | scenario | grade | mark |", told);
}

#[test]
fn it_says_what_runs_count() {
    check("| service | scenario | grade | served |", counted);
}

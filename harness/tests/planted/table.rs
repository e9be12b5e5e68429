//! The table of planted services, held against what runs say.

use holdline_model::result::TrialResult;
use holdline_model::words::word_of;
use serde_json::Value;

use crate::planted::{Planted, once, run};

const README: &str = include_str!("../../../fixtures/planted/README.md");

/// What the table says of one service: its name, the scenario's, grade, mark, why, and whether the watch saw it
/// back.
type Line = [String; 6];

fn table() -> Vec<Line> {
    let lines = README.lines().skip_while(|line| !line.starts_with("| service | scenario |")).skip(2);
    let lines = lines.take_while(|line| line.starts_with('|'));
    lines
        .map(|line| {
            let cells = line.trim_matches('|').split('|');
            let cells: Vec<String> = cells.map(|cell| cell.trim_matches([' ', '`']).to_owned()).collect();
            let [said @ .., _about] = <[String; 7]>::try_from(cells).expect("seven cells");
            said
        })
        .collect()
}

/// The same of a trial.
fn said([service, scenario, ..]: &Line, trial: &TrialResult) -> Line {
    let why = serde_json::to_value(&trial.why).expect("JSON");
    let kind = why.get("kind").and_then(Value::as_str).unwrap_or("–").to_owned();
    let mark = trial.mark.map_or_else(|| "–".to_owned(), |mark| word_of(&mark));
    let back = if trial.back_after_ns.is_some() { "yes" } else { "–" };
    [service.clone(), scenario.clone(), word_of(&trial.grade), mark, kind, back.to_owned()]
}

/// Runs it, until what is measured is conclusive if it is to be.
fn planted([service, scenario, grade, ..]: &Line) -> Planted {
    match grade.as_str() {
        "inconclusive" => once(scenario, service, &[]),
        _ => run(scenario, service, &[]),
    }
}

#[test]
fn it_says_what_runs_say() {
    let lines = table();
    assert!(lines.len() > 5, "the table is read");
    let runs: Vec<Line> = lines.iter().map(|line| said(line, &planted(line).trial)).collect();
    assert_eq!(lines, runs);
}

//! Each crash step × mode.

use std::collections::BTreeMap;

use holdline_model::result::TrialResult;
use holdline_model::support;
use holdline_model::sweep::steps::{Cell, cells, patient_scenario, scenario};
use holdline_model::sweep::{CellResult, Costs, SweepTarget, verdict};
use holdline_model::words::Grade;

use super::passes::{Passes, Wanted};
use super::{Request, SweepError};
use crate::catalogue::ScenarioEntry;

/// The cells of a request, as far as it is known before anything is started which of them can be tried.
pub(super) struct Chosen {
    /// Those that can, and the scenario of each.
    pub(super) possible: Vec<(Cell, ScenarioEntry)>,
    /// Those that cannot, and why.
    impossible: Vec<(Cell, String)>,
}

/// The cells of the request's targets that are tried here.
pub(super) fn chosen(request: &Request) -> Result<Chosen, SweepError> {
    let all = cells(&request.targets).into_iter();
    let is_here = |(index, cell): &(u32, Cell)| request.is_here(*index, &cell.scenario_name());
    let is_root = nix::unistd::geteuid().is_root();
    let mut chosen = Chosen { possible: Vec::new(), impossible: Vec::new() };
    for cell in (0..).zip(all).filter(is_here).map(|(_, cell)| cell) {
        if let Some(reason) = cell.impossible() {
            chosen.impossible.push((cell, reason.to_string()));
            continue;
        }
        match scenario(cell, &request.supervisor.supervisor) {
            Err(lack) => chosen.impossible.push((cell, lack.to_string())),
            Ok(text) => {
                let entry = ScenarioEntry::parse(text, format!("the scenario {}", cell.scenario_name()))?;
                // What can be known beforehand needs no trial.
                match support::lack(&request.supervisor.supervisor, &entry.scenario, is_root) {
                    Some(lack) => chosen.impossible.push((cell, lack.to_string())),
                    None => chosen.possible.push((cell, entry)),
                }
            }
        }
    }
    Ok(chosen)
}

/// Tries all cells of the request's targets.
pub(super) fn sweep(request: &Request, passes: &mut Passes<'_>) -> Result<Vec<CellResult>, SweepError> {
    let Chosen { possible, impossible } = chosen(request)?;
    let mut results: Vec<(Cell, CellResult)> =
        impossible.into_iter().map(|(cell, reason)| (cell, untried(cell, reason))).collect();
    let (whose, scenarios): (Vec<Cell>, Vec<Wanted>) =
        possible.into_iter().map(|(cell, entry)| (cell, Wanted::new(entry, None))).unzip();
    let mut trials = passes.until_they_say_something(&scenarios, passes.calm_ns() + TYPICAL_NS, says)?;
    again_with_patience(request, passes, &whose, &mut trials)?;
    // Where it was interrupted, some have no trial.
    let tried =
        whose.into_iter().zip(&trials).filter_map(|(cell, trials)| Some((cell, judged(cell, trials)?)));
    results.extend(tried);
    results.sort_by_key(|(cell, _)| *cell);
    let results: Vec<CellResult> = results.into_iter().map(|(_, result)| result).collect();
    if !passes.is_interrupted() && results.iter().all(|cell| cell.grade == Grade::Unsupported) {
        let reason = results.iter().find_map(|cell| cell.reason.clone()).unwrap_or_default();
        let supervisor = request.supervisor.supervisor.name.clone();
        return Err(SweepError::Unsupported { supervisor, reason });
    }
    Ok(results)
}

/// Whether a trial says something.
fn says(trial: &TrialResult) -> bool {
    trial.grade != Grade::Inconclusive
}

/// Tries once more, with more patience, where clients gave up or the service was not back though a process had ended that
/// whoever watches it could replace: a supervisor may look for it every few seconds only.
fn again_with_patience(
    request: &Request,
    passes: &mut Passes<'_>,
    cells: &[Cell],
    trials: &mut [Vec<TrialResult>],
) -> Result<(), SweepError> {
    let mut hasty = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        let worst = trials.get(index).and_then(verdict::worst);
        if cell.target == SweepTarget::Worker
            && cell.mode.ends_process()
            && worst.is_some_and(verdict::was_hasty)
        {
            let text = patient_scenario(*cell, &request.supervisor.supervisor);
            let text = text.map_err(|lack| SweepError::Unsupported {
                supervisor: request.supervisor.supervisor.name.clone(),
                reason: lack.to_string(),
            })?;
            let entry = ScenarioEntry::parse(text, format!("the scenario {}", cell.scenario_name()))?;
            hasty.push((index, Wanted::new(entry, None)));
        }
    }
    let (whose, wanted): (Vec<usize>, Vec<Wanted>) = hasty.into_iter().unzip();
    let came = passes.until_they_say_something(&wanted, passes.calm_ns() + PATIENT_NS, says)?;
    for (index, anew) in whose.into_iter().zip(came) {
        // Interrupted meanwhile, what was seen before counts.
        if anew.iter().any(says) {
            trials[index] = anew;
        }
    }
    Ok(())
}

/// By how much one that is waited for with patience is longer.
const PATIENT_NS: u64 = 5_000_000_000;

/// By how much a trial in which somebody fails is longer than one in which nobody does: some wait for the end of
/// the patience.
const TYPICAL_NS: u64 = 1_000_000_000;

/// A cell that is not tried, and why.
fn untried(cell: Cell, reason: String) -> CellResult {
    CellResult {
        target: cell.target,
        step: cell.step,
        mode: cell.mode,
        grade: Grade::Unsupported,
        mark: None,
        costs: Costs::NotKnown,
        lost: 0,
        fates: BTreeMap::new(),
        own_fate: None,
        blame: BTreeMap::new(),
        trials: 0,
        inconclusive: 0,
        reason: Some(reason),
    }
}

/// What the trials of a cell come to.
fn judged(cell: Cell, trials: &[TrialResult]) -> Option<CellResult> {
    let worst = verdict::worst(trials)?;
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let doubtful = trials.iter().filter(|trial| trial.grade == Grade::Inconclusive);
    Some(CellResult {
        target: cell.target,
        step: cell.step,
        mode: cell.mode,
        grade: worst.grade,
        mark: worst.mark,
        costs: verdict::costs(worst),
        lost: worst.collateral.values().sum(),
        fates: worst.collateral.clone(),
        own_fate: verdict::own_fate(worst),
        blame: worst.blame.clone(),
        trials: count(trials.len()),
        inconclusive: count(doubtful.count()),
        reason: worst.reason.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    /// The catalogue tells single cells of the table as scenarios of their own, with what they mean.
    #[test]
    fn cells_are_the_crash_steps_of_the_catalogue() {
        let entries = catalogue::scenarios().expect("the catalogue");
        let supervisors = catalogue::supervisors().expect("the catalogue");
        let held =
            supervisors.iter().find(|entry| entry.supervisor.name == "held-socket").expect("held-socket");
        let mut compared = 0;
        for cell in cells(&[SweepTarget::Worker]).into_iter().filter(|cell| cell.step.is_carried_by_request())
        {
            let name = format!("crash-steps/{}-{}", cell.step, cell.mode);
            let Some(entry) = entries.iter().find(|entry| entry.scenario.name == name) else { continue };
            let text = scenario(cell, &held.supervisor).expect("it can");
            let mine = ScenarioEntry::parse(text, name.clone()).expect("a scenario").scenario;
            let theirs = &entry.scenario;
            assert_eq!(
                (mine.load.arrivals, mine.load.until),
                (theirs.load.arrivals, theirs.load.until),
                "{name}"
            );
            assert_eq!(mine.load.timeouts, theirs.load.timeouts, "{name}");
            assert_eq!(mine.load.deadline_ns, theirs.load.deadline_ns, "{name}");
            assert_eq!(mine.workers, theirs.workers, "{name}");
            let what = |scenario: &holdline_model::scenario::Scenario| {
                scenario.faults.iter().map(|fault| fault.action.clone()).collect::<Vec<_>>()
            };
            assert_eq!(what(&mine), what(theirs), "{name}");
            compared += 1;
        }
        assert!(compared >= 7, "only {compared}");
    }
}

//! What a comparison of several scenarios comes to: a row for each supervisor, a column for each scenario.

use holdline_model::compare::{Comparison, Losses};
use holdline_model::stats::percent;
use holdline_model::words::Grade;

use super::grades;
use crate::ratios::Ratios;
use crate::rows::unique;
use crate::text::{counted, plain};

/// The matrix of grades, each with the share that was lost; `None` where there is one scenario, whose tables say it.
pub(super) fn overview(comparison: &Comparison) -> Option<Ratios> {
    // Two runs are told apart in their own table.
    if comparison.losses.iter().any(|losses| losses.run.is_some()) {
        return None;
    }
    let named = comparison.losses.iter().map(|l| (l.scenario.as_str(), l.supervisor.as_str()));
    let left = comparison.left_out.iter().map(|l| (l.scenario.as_str(), l.supervisor.as_str()));
    let scenarios = unique(named.clone().chain(left.clone()).map(|(scenario, _)| scenario));
    let mut supervisors = unique(named.chain(left).map(|(_, supervisor)| supervisor));
    if scenarios.len() < 2 {
        return None;
    }
    // The reference stands first, and its second trials are its own.
    let again = holdline_model::compare::again(&comparison.reference);
    supervisors.retain(|name| *name != again);
    supervisors.sort_by_key(|name| *name != comparison.reference);
    let row = |supervisor: &&str| {
        let cells = scenarios.iter().map(|scenario| cell(comparison, scenario, supervisor));
        std::iter::once(plain(supervisor)).chain(cells).collect()
    };
    let heads = std::iter::once("supervisor").chain(scenarios.iter().copied()).map(plain).collect::<Vec<_>>();
    Some(Ratios {
        title: "what it comes to".to_owned(),
        note: format!(
            "the grades of {}, and the share lost that need not have been",
            counted(comparison.repetitions.into(), "repetition")
        ),
        names: heads.len(),
        heads,
        rows: supervisors.iter().map(row).collect(),
    })
}

fn cell(comparison: &Comparison, scenario: &str, supervisor: &str) -> String {
    let is_it = |l: &&Losses| l.scenario == scenario && l.supervisor == supervisor;
    let losses = comparison.losses.iter().find(is_it);
    match losses.filter(|losses| losses.grades.keys().any(|grade| !is_silent(*grade))) {
        Some(losses) if losses.lost > 0 => {
            format!("{}, {}", grades(&losses.grades), percent(losses.rate.estimate))
        }
        Some(losses) => grades(&losses.grades),
        None => {
            let left = comparison.left_out.iter();
            let mut of_it = left.filter(|left| left.scenario == scenario && left.supervisor == supervisor);
            of_it.next().map_or_else(|| "–".to_owned(), |left| left.grade.to_string())
        }
    }
}

fn is_silent(grade: Grade) -> bool {
    matches!(grade, Grade::Unsupported | Grade::Inconclusive)
}

#[cfg(test)]
mod tests {
    use holdline_model::compare::{QUANTITIES, within};

    use super::*;
    use crate::sample;

    #[test]
    fn the_matrix_has_every_supervisor_once_and_needs_two_scenarios() {
        let mut run = sample::repeated();
        let reference = run.trials.last().expect("trials").supervisor.clone();
        let comparison = within(&run, &reference, &QUANTITIES);
        assert_eq!(overview(&comparison), None, "one scenario has its own tables");
        let mut others = run.trials.clone();
        others.iter_mut().for_each(|trial| trial.scenario = "another".to_owned());
        run.trials.extend(others);
        let comparison = within(&run, &reference, &QUANTITIES);
        let matrix = overview(&comparison).expect("two scenarios");
        assert_eq!(matrix.heads.len(), 3);
        assert_eq!(matrix.rows[0][0], reference);
        let mut names: Vec<&String> = matrix.rows.iter().map(|row| &row[0]).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
        for losses in comparison.losses.iter().filter(|losses| losses.lost > 0) {
            let row = matrix.rows.iter().find(|row| row[0] == losses.supervisor).expect("its row");
            assert!(row.iter().any(|cell| cell.ends_with(&percent(losses.rate.estimate))), "{row:?}");
        }
    }
}

//! The top of the page: what failed, what each supervisor came to, and the grades with their numbers.

use holdline_model::result::{LossKind, RunResult, TrialResult};
use holdline_model::words::{Grade, Verdict};
use serde::Serialize;

use super::Mark;
use crate::prose::{self, Line, NO_TRIALS};
use crate::rows::{Row, Section, Split, supervisors};
use crate::text::{count, counted, duration, plain, share};

/// So many lines stand open under a heading; the rest is folded away.
const OPEN: usize = 12;

/// A number that sums the run up.
#[derive(Debug, Serialize)]
pub(super) struct Tile {
    name: &'static str,
    value: String,
    about: String,
}

/// A grade with its number, and the trial that it leads to.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    pub(super) mark: Mark,
    /// The grade in words, where the label is a number.
    word: String,
    /// The trial, if it is on the page.
    detail: Option<usize>,
}

/// A row of the matrix: the cells of each scenario, empty where it has no trial.
#[derive(Debug, Serialize)]
pub(super) struct MatrixRow {
    name: String,
    cells: Vec<Vec<Cell>>,
}

/// What a supervisor came to.
#[derive(Debug, Serialize)]
pub(super) struct Sentence {
    name: String,
    mark: Mark,
    text: String,
    /// The trial that shows it best, if it is on the page.
    detail: Option<usize>,
}

/// Lines of which the first are open.
#[derive(Debug, Serialize)]
pub(super) struct Folded {
    open: Vec<(String, String)>,
    folded: Vec<(String, String)>,
}

impl Folded {
    pub(super) fn of(lines: Vec<Line>) -> Option<Self> {
        let mut open: Vec<(String, String)> =
            lines.into_iter().map(|line| (line.who, plain(&line.text))).collect();
        // A single one that is folded away takes as much room as itself.
        let folded = if open.len() > OPEN + 1 { open.split_off(OPEN) } else { Vec::new() };
        (!open.is_empty()).then_some(Self { open, folded })
    }
}

/// How many trials met their expectations.
pub(super) fn headline(run: &RunResult) -> String {
    let of = |verdict: Verdict| run.trials.iter().filter(|trial| trial.verdict == verdict).count();
    let foreseen = prose::how_many_as_foreseen(run);
    let all = counted(run.trials.len() as u64, "trial");
    match (run.trials.len(), of(Verdict::Pass), of(Verdict::Fail)) {
        (0, ..) => format!("N{}", &NO_TRIALS[1..]),
        (n, passed, 0) if foreseen > 0 => {
            let met = passed - foreseen;
            let rest = if n == passed { "" } else { ", the rest could not be judged" };
            format!("{met} of {all} met their expectations, {foreseen} failed as foreseen{rest}")
        }
        (1, 1, _) => "The trial met its expectations".to_owned(),
        (1, _, 1) => "The trial did not meet its expectations".to_owned(),
        (n, passed, _) if n == passed => format!("All {all} met their expectations"),
        (_, passed, 0) => format!("{passed} of {all} met their expectations, the rest could not be judged"),
        (_, _, failed) => format!("{failed} of {all} did not meet their expectations"),
    }
}

/// `pass`, `fail` or `unknown`.
pub(super) fn tone(run: &RunResult) -> &'static str {
    if run.trials.iter().any(|trial| trial.verdict == Verdict::Fail) || prose::has_required_in_vain(run) {
        "fail"
    } else if run.complete && !run.trials.is_empty() && run.trials.iter().all(|t| t.verdict == Verdict::Pass)
    {
        "pass"
    } else {
        "unknown"
    }
}

/// Where a run was cut short: how much of it there is.
pub(super) fn incomplete(run: &RunResult) -> Option<String> {
    let planned = run.manifest.planned;
    (!run.complete).then(|| {
        format!(
            "{} of {} ended",
            count(run.trials.len() as u64),
            counted(u64::from(planned), "planned trial")
        )
    })
}

/// What the run came to in a few numbers.
pub(super) fn tiles(run: &RunResult) -> Vec<Tile> {
    let splits = || run.trials.iter().map(Split::of);
    let attempts: u64 = run.trials.iter().map(|trial| trial.attempts).sum();
    let sent = attempts.saturating_sub(splits().map(Split::unasked).sum());
    let collateral: u64 = splits().map(Split::collateral).sum();
    let longest =
        run.trials.iter().max_by_key(|trial| trial.longest_outage_ns()).filter(|t| t.longest_outage_ns() > 0);
    let elapsed = run.trials.iter().fold(0_u64, |sum, trial| sum.saturating_add(trial.elapsed_ns));
    vec![
        Tile {
            name: "Trials",
            value: count(run.trials.len() as u64),
            about: format!("{}, {}", counted(supervisors(run).len() as u64, "supervisor"), duration(elapsed)),
        },
        Tile {
            name: "Attempts",
            value: count(attempts),
            about: format!("{} served", count(splits().map(|split| split.served).sum())),
        },
        Tile { name: "Collateral losses", value: count(collateral), about: share(collateral, sent) },
        Tile {
            name: "Longest outage",
            value: longest.map_or_else(|| "none".to_owned(), |trial| duration(trial.longest_outage_ns())),
            about: longest.map_or_else(String::new, |trial| prose::who(run, trial)),
        },
    ]
}

/// A sentence for each supervisor, those that lost most first.
pub(super) fn sentences(run: &RunResult, detail: &impl Fn(&TrialResult) -> Option<usize>) -> Vec<Sentence> {
    let mut all: Vec<(u64, Sentence)> = supervisors(run)
        .into_iter()
        .map(|name| {
            let trials: Vec<&TrialResult> = run.trials.iter().filter(|t| t.supervisor == name).collect();
            (trials.iter().map(|trial| collateral(trial)).sum(), sentence(run, name, &trials, detail))
        })
        .collect();
    all.sort_by_key(|(lost, _)| std::cmp::Reverse(*lost));
    all.into_iter().map(|(_, sentence)| sentence).collect()
}

fn sentence(
    run: &RunResult,
    name: &str,
    trials: &[&TrialResult],
    detail: &impl Fn(&TrialResult) -> Option<usize>,
) -> Sentence {
    // The worst of its trials, which shows best why.
    let worst = trials.iter().max_by_key(|trial| (severity(trial.grade), collateral(trial), late(trial)));
    let worst = worst.copied().unwrap_or(trials[0]);
    let graded = trials.iter().filter(|trial| trial.attempts > 0);
    let (lost, waited, sent) = graded.fold((0, 0, 0), |(lost, waited, sent), trial| {
        (lost + collateral(trial), waited + late(trial), sent + trial.attempts)
    });
    let longest =
        trials.iter().max_by_key(|trial| trial.longest_outage_ns()).filter(|t| t.longest_outage_ns() > 0);
    let mut parts = Vec::new();
    if sent > 0 {
        parts.push(match lost {
            0 => format!("lost none of {}", count(sent)),
            lost => format!("lost {} of {}", count(lost), count(sent)),
        });
    }
    parts.extend((waited > 0).then(|| format!("{} late", count(waited))));
    parts.extend(longest.map(|trial| {
        let at = match prose::has_many_scenarios(run) {
            true => format!(" in {}", plain(&trial.scenario)),
            false => String::new(),
        };
        format!("longest outage {}{at}", duration(trial.longest_outage_ns()))
    }));
    let cause = cause(worst).map(|cause| format!(". {}", crate::markdown::capital(&cause)));
    Sentence {
        name: plain(name),
        mark: Mark::new(worst.grade, prose::grade(worst)),
        text: format!("{}{}", parts.join(", "), cause.unwrap_or_default())
            .trim_start_matches(". ")
            .to_owned(),
        detail: detail(worst),
    }
}

/// Why the worst trial is what it is: what was lost to the supervisor, or else its reason.
fn cause(trial: &TrialResult) -> Option<String> {
    match trial.grade {
        Grade::Lossy | Grade::Delayed | Grade::Down => {
            let mut lost = prose::lost_in(trial).into_iter();
            let (_, told) = lost.find(|(kind, _)| *kind != Some(LossKind::Poison))?;
            Some(plain(&told.to_string()))
        }
        Grade::Unsupported | Grade::Inconclusive => trial.reason.as_deref().map(|reason| {
            let reason = plain(reason);
            reason.lines().next().unwrap_or_default().to_owned()
        }),
        Grade::Held => None,
    }
}

fn severity(grade: Grade) -> u8 {
    match grade {
        Grade::Down => 5,
        Grade::Lossy => 4,
        Grade::Delayed => 3,
        Grade::Inconclusive => 2,
        Grade::Held => 1,
        Grade::Unsupported => 0,
    }
}

fn collateral(trial: &TrialResult) -> u64 {
    Split::of(trial).collateral()
}

/// Requests that were served after the deadline.
fn late(trial: &TrialResult) -> u64 {
    trial.strip.iter().map(|bucket| bucket.late).sum()
}

/// The grades of all supervisors in all scenarios.
pub(super) fn matrix(
    run: &RunResult,
    sections: &[Section<'_>],
    detail: &impl Fn(&TrialResult) -> Option<usize>,
) -> Vec<MatrixRow> {
    let cell = |section: &Section<'_>, name: &str| {
        section
            .rows
            .iter()
            .find(|row| row.supervisor == name)
            .map(|row| cells(row, detail))
            .unwrap_or_default()
    };
    supervisors(run)
        .into_iter()
        .map(|name| MatrixRow {
            name: plain(name),
            cells: sections.iter().map(|section| cell(section, name)).collect(),
        })
        .collect()
}

/// A label for each grade of a row: its number where it has one, and of how many trials where there are several.
fn cells(row: &Row<'_>, detail: &impl Fn(&TrialResult) -> Option<usize>) -> Vec<Cell> {
    let of = |(grade, word): (Grade, String)| {
        let trials: Vec<&TrialResult> =
            row.trials.iter().copied().filter(|trial| trial.grade == grade).collect();
        let number = match grade {
            Grade::Lossy | Grade::Down => range(&trials, collateral).map(|lost| format!("{lost} lost")),
            Grade::Delayed => range(&trials, late).map(|late| format!("{late} late")),
            Grade::Held | Grade::Unsupported | Grade::Inconclusive => None,
        };
        let times = if row.is_repeated() { format!(" {}×", trials.len()) } else { String::new() };
        let text = number.map_or_else(|| word.clone(), |number| format!("{number}{times}"));
        Cell { mark: Mark::new(grade, text), word, detail: trials.first().and_then(|trial| detail(trial)) }
    };
    row.grade_parts().into_iter().map(of).collect()
}

/// `12`, or `12–15` where trials differ; `None` where it is none in all.
fn range(trials: &[&TrialResult], of: fn(&TrialResult) -> u64) -> Option<String> {
    let low = trials.iter().map(|trial| of(trial)).min()?;
    let high = trials.iter().map(|trial| of(trial)).max().filter(|high| *high > 0)?;
    Some(if low == high { count(low) } else { format!("{}–{}", count(low), count(high)) })
}

#[cfg(test)]
mod tests {
    use holdline_model::result::{Known, Loss};
    use holdline_model::told::{Phrase, Told};

    use super::*;
    use crate::rows::sections;
    use crate::sample;

    fn nowhere(_: &TrialResult) -> Option<usize> {
        None
    }

    #[test]
    fn whoever_lost_most_stands_first_with_its_cause() {
        let run = sample::default_run();
        let all = sentences(&run, &nowhere);
        assert_eq!(all.len(), 10);
        let lost: Vec<u64> = all
            .iter()
            .map(|sentence| run.trials.iter().filter(|t| t.supervisor == sentence.name).map(collateral).sum())
            .collect();
        assert!(lost.is_sorted_by(|before, after| before >= after), "{lost:?}");
        assert!(all[0].text.contains("refused"), "{:?}", all[0]);
        assert!(all.iter().all(|sentence| !sentence.text.contains("poison")), "{all:?}");
    }

    #[test]
    fn cells_have_numbers_and_the_word_beside() {
        let run = sample::varied();
        let rows = matrix(&run, &sections(&run), &nowhere);
        let lossy = rows.iter().flat_map(|row| row.cells.iter().flatten()).find(|cell| cell.word == "lossy");
        assert!(lossy.is_some_and(|cell| cell.mark.text.ends_with(" lost")), "{lossy:?}");
        let of_none = sample::run(vec![sample::held("prefork", "crash")]);
        assert_eq!(cells(&sections(&of_none)[0].rows[0], &nowhere)[0].mark.text, "held");
    }

    /// Whatever the words are: what is known of a loss is its kind.
    #[test]
    fn a_cause_is_the_first_loss_that_no_fault_carried() {
        let loss = |kind, text: &str| Loss {
            kind,
            known: Known::Said(Phrase::new(text)),
            cause: None,
            by: None,
            example: None,
        };
        let mut trial = sample::default_run().trials.swap_remove(0);
        trial.causes =
            vec![loss(LossKind::Poison, "1 that carried it"), loss(LossKind::Refused, "3 refused")];
        trial.losses = trial.causes.iter().map(|loss| loss.phrase().to_string()).collect();
        assert_eq!((trial.grade, cause(&trial).as_deref()), (Grade::Down, Some("3 refused")));
    }

    #[test]
    fn a_long_list_is_folded() {
        let line = |n: usize| Line { who: format!("s{n}"), text: "lost".to_owned() };
        let folded =
            |n: usize| Folded::of((0..n).map(line).collect()).map(|all| (all.open.len(), all.folded.len()));
        assert_eq!([0, 1, 13, 14].map(folded), [None, Some((1, 0)), Some((13, 0)), Some((12, 2))]);
    }
}

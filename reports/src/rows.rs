//! One row for each supervisor in each scenario: what every report shows in its table.
//!
//! Repetitions are merged. Counts are summed, so that a row still adds up to its attempts; of grades it is
//! said how many trials had each, of times the median and the range.

use holdline_model::result::{Quantiles, RunResult, TrialResult};
use holdline_model::words::{Blame, Fate, Grade, Mark};

use crate::spread::Spread;

/// The merged trials of one supervisor in one scenario.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row<'a> {
    /// Name of the supervisor.
    pub(crate) supervisor: &'a str,
    /// Its trials, in the order in which they ran; never empty.
    pub(crate) trials: Vec<&'a TrialResult>,
    /// Attempts of all trials.
    pub(crate) attempts: u64,
    /// Attempts by what became of them.
    pub(crate) split: Split,
    /// The grades of its trials: those of most trials first, of as many the worse; never empty.
    pub(crate) grades: Vec<Graded>,
    /// The longest outage of each trial; `None` where nothing was attempted.
    pub(crate) outage: Option<Spread>,
    /// Accept latencies; `None` where none was measured.
    pub(crate) accept: Option<Accept>,
}

/// A grade with its mark, and how many trials had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Graded {
    pub(crate) grade: Grade,
    pub(crate) mark: Option<Mark>,
    pub(crate) trials: usize,
}

/// Attempts by what became of them. The sum is the number of attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Split {
    /// Answered correctly and completely.
    pub(crate) served: u64,
    /// Lost because they carried the fault.
    pub(crate) poison: u64,
    /// Lost in the hands of the worker that crashed.
    pub(crate) in_flight: u64,
    /// Collateral: nobody was listening.
    pub(crate) refused: u64,
    /// Collateral: connected, never accepted, then reset.
    pub(crate) queue_reset: u64,
    /// Collateral of any other fate.
    pub(crate) other: u64,
    /// Connected and asked for nothing, as they were meant to.
    pub(crate) silent: u64,
    /// Never sent, for reasons of the load client.
    pub(crate) not_sent: u64,
}

/// Each quantile of the accept latency over trials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) p50: Spread,
    pub(crate) p99: Spread,
    pub(crate) max: Spread,
}

/// The rows of one scenario.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Section<'a> {
    /// Name of the scenario.
    pub(crate) scenario: &'a str,
    /// Its rows, in the order in which their supervisors first ran.
    pub(crate) rows: Vec<Row<'a>>,
}

/// The sections of a run, in the order in which their scenarios first ran.
pub(crate) fn sections(run: &RunResult) -> Vec<Section<'_>> {
    unique(run.trials.iter().map(|trial| trial.scenario.as_str()))
        .into_iter()
        .map(|scenario| {
            let trials: Vec<&TrialResult> = run.trials.iter().filter(|t| t.scenario == scenario).collect();
            let rows = unique(trials.iter().map(|trial| trial.supervisor.as_str()))
                .into_iter()
                .map(|name| Row::new(name, trials.iter().copied().filter(|t| t.supervisor == name).collect()))
                .collect();
            Section { scenario, rows }
        })
        .collect()
}

/// The supervisors of a run, in the order in which they first ran.
pub(crate) fn supervisors(run: &RunResult) -> Vec<&str> {
    unique(run.trials.iter().map(|trial| trial.supervisor.as_str()))
}

/// The values without repetition, in order of first appearance.
pub(crate) fn unique<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = std::collections::BTreeSet::new();
    values.filter(|value| seen.insert(*value)).collect()
}

impl<'a> Row<'a> {
    /// Merges `trials`, of which there is at least one.
    fn new(supervisor: &'a str, trials: Vec<&'a TrialResult>) -> Self {
        let attempts = trials.iter().map(|trial| trial.attempts).sum();
        let ran = trials.iter().filter(|trial| trial.attempts > 0);
        Self {
            supervisor,
            attempts,
            split: trials.iter().map(|trial| Split::of(trial)).fold(Split::default(), Split::plus),
            grades: distribution(&trials),
            outage: Spread::of(ran.map(|trial| trial.longest_outage_ns())),
            accept: Accept::of(&trials),
            trials,
        }
    }

    /// Whether it has several trials.
    pub(crate) fn is_repeated(&self) -> bool {
        self.trials.len() > 1
    }

    /// Its grades, each with its words: `held 19 of 20`, `delayed 1`.
    pub(crate) fn grade_parts(&self) -> Vec<(Grade, String)> {
        let all = self.trials.len();
        let part = |(index, graded): (usize, &Graded)| {
            let words = graded.grade.marked(graded.mark);
            let text = match index {
                _ if all == 1 => words,
                0 => format!("{words} {} of {all}", graded.trials),
                _ => format!("{words} {}", graded.trials),
            };
            match self.back_after(graded) {
                Some(after) => (graded.grade, format!("{text}, back after {}", after.text("0"))),
                None => (graded.grade, text),
            }
        };
        self.grades.iter().enumerate().map(part).collect()
    }

    /// How long after the last fault the service was back in those of its trials that have this grade, where
    /// only the watch saw it.
    fn back_after(&self, graded: &Graded) -> Option<Spread> {
        let same = self.trials.iter().filter(|trial| graded.is_of(trial));
        Spread::of(same.filter_map(|trial| trial.back_after_ns))
    }

    /// Its grades in words, the most frequent first.
    pub(crate) fn grade_text(&self) -> String {
        let parts: Vec<String> = self.grade_parts().into_iter().map(|(_, text)| text).collect();
        parts.join(GRADES_APART)
    }
}

impl Graded {
    /// Whether a trial has this grade and mark.
    fn is_of(&self, trial: &TrialResult) -> bool {
        (self.grade, self.mark) == (trial.grade, trial.mark)
    }
}

/// What stands between the grades of a row.
pub(crate) const GRADES_APART: &str = ", ";

/// How many trials had each grade and mark.
fn distribution(trials: &[&TrialResult]) -> Vec<Graded> {
    let mut all: Vec<Graded> = Vec::new();
    for trial in trials {
        match all.iter_mut().find(|one| one.is_of(trial)) {
            Some(known) => known.trials += 1,
            None => all.push(Graded { grade: trial.grade, mark: trial.mark, trials: 1 }),
        }
    }
    all.sort_by_key(|one| (std::cmp::Reverse(one.trials), std::cmp::Reverse(severity(one.grade)), one.mark));
    all
}

/// Fates that share a column, which holds their collateral losses.
const OTHER: [Fate; 6] =
    [Fate::SynDropped, Fate::NoReply, Fate::Truncated, Fate::ErrorReply, Fate::WrongReply, Fate::TimedOut];

impl Split {
    /// The split of one trial.
    pub(crate) fn of(trial: &TrialResult) -> Self {
        let fate = |fate: Fate| trial.fates.get(&fate).copied().unwrap_or(0);
        let blame = |blame: Blame| trial.blame.get(&blame).copied().unwrap_or(0);
        let collateral = |fate: Fate| trial.collateral.get(&fate).copied().unwrap_or(0);
        Self {
            served: fate(Fate::Served),
            poison: blame(Blame::Poison),
            in_flight: blame(Blame::InFlight),
            refused: collateral(Fate::Refused),
            queue_reset: collateral(Fate::QueueReset),
            other: OTHER.map(collateral).iter().sum(),
            silent: fate(Fate::Silent),
            not_sent: fate(Fate::NotSent),
        }
    }

    fn plus(self, more: Self) -> Self {
        Self {
            served: self.served + more.served,
            poison: self.poison + more.poison,
            in_flight: self.in_flight + more.in_flight,
            refused: self.refused + more.refused,
            queue_reset: self.queue_reset + more.queue_reset,
            other: self.other + more.other,
            silent: self.silent + more.silent,
            not_sent: self.not_sent + more.not_sent,
        }
    }

    /// Losses that are the supervisor's failing.
    pub(crate) fn collateral(self) -> u64 {
        self.refused + self.queue_reset + self.other
    }

    /// Losses that a crash makes unavoidable.
    pub(crate) fn unavoidable(self) -> u64 {
        self.poison + self.in_flight
    }

    /// All of it; equal to the attempts if the books balance.
    pub(crate) fn sum(self) -> u64 {
        self.served + self.unavoidable() + self.collateral() + self.unasked()
    }

    /// Those whose asking nobody saw: not sent, or silent.
    pub(crate) fn unasked(self) -> u64 {
        self.silent + self.not_sent
    }
}

impl Accept {
    fn of(trials: &[&TrialResult]) -> Option<Self> {
        let measured: Vec<&Quantiles> =
            trials.iter().map(|trial| &trial.latency.accept).filter(|accept| accept.count > 0).collect();
        let spread = |of: fn(&Quantiles) -> u64| Spread::of(measured.iter().map(|accept| of(accept)));
        Some(Self {
            p50: spread(|accept| accept.p50_ns)?,
            p99: spread(|accept| accept.p99_ns)?,
            max: spread(|accept| accept.max_ns)?,
        })
    }
}

/// How bad a grade is. A loss that was seen is a fact, whatever became of other repetitions; one that could
/// not be judged tells more of the supervisor than one that was merely slow does.
fn severity(grade: Grade) -> u8 {
    match grade {
        Grade::Held => 0,
        Grade::Delayed => 1,
        Grade::Unsupported => 2,
        Grade::Inconclusive => 3,
        Grade::Lossy => 4,
        Grade::Down => 5,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample;

    #[test]
    fn repetitions_become_one_row() {
        let run = sample::repeated();
        let sections = sections(&run);
        assert_eq!(sections.len(), 1);
        let row = &sections[0].rows[0];
        assert_eq!((row.supervisor, row.trials.len(), row.attempts), ("restart-loop", 3, 60));
        assert_eq!(row.grade_text(), "lossy 2 of 3, held 1");
        assert_eq!(row.split.sum(), 60);
    }

    #[test]
    fn grades_are_counted_with_their_marks() {
        let mut trials = vec![sample::held("x", "crash"); 4];
        trials[1].mark = Some(Mark::Survived);
        trials[2].grade = Grade::Delayed;
        trials[3].grade = Grade::Down;
        let run = sample::run(trials);
        let text = |run: &RunResult| sections(run)[0].rows[0].grade_text();
        assert_eq!(text(&run), "down 1 of 4, delayed 1, held 1, held (survived) 1");
        assert_eq!(text(&sample::run(run.trials[1..2].to_vec())), "held (survived)");
        let twice = vec![sample::held("x", "crash"); 2];
        assert_eq!(text(&sample::run(twice)), "held 2 of 2");
    }

    #[test]
    fn times_are_medians_with_their_range() {
        let run = sample::repeated();
        let row = &sections(&run)[0].rows[0];
        assert_eq!(row.outage.map(|outage| outage.text("none")).as_deref(), Some("100 ms (0–140)"));
    }

    proptest! {
        #[test]
        fn a_row_sums_to_its_attempts(run in sample::any_run()) {
            let mut attempts = 0;
            for row in sections(&run).iter().flat_map(|section| &section.rows) {
                prop_assert_eq!(row.split.sum(), row.attempts);
                let graded: usize = row.grades.iter().map(|graded| graded.trials).sum();
                prop_assert_eq!(graded, row.trials.len());
                attempts += row.attempts;
            }
            prop_assert_eq!(attempts, run.trials.iter().map(|trial| trial.attempts).sum::<u64>());
        }
    }
}

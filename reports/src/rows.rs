//! One row for each supervisor in each scenario: what every report shows in its table.
//!
//! Repetitions are merged. Counts are summed, so that a row still adds up to its attempts; of
//! grades and times the worst is kept, since a user meets the worst too.

use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::{Blame, Fate, Grade};

use crate::text::duration;

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
    /// The worst grade.
    pub(crate) grade: Grade,
    /// How many trials had that grade.
    pub(crate) grade_trials: usize,
    /// The longest outage of any trial; `None` where nothing was attempted.
    pub(crate) outage_ns_max: Option<u64>,
    /// The worst accept latencies of any trial; `None` where none was measured.
    pub(crate) accept: Option<Accept>,
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

/// The worst of each quantile of the accept latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
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
        let grade = worst(trials.iter().map(|trial| trial.grade));
        let attempts = trials.iter().map(|trial| trial.attempts).sum();
        Self {
            supervisor,
            attempts,
            split: trials.iter().map(|trial| Split::of(trial)).fold(Split::default(), Split::plus),
            grade,
            grade_trials: trials.iter().filter(|trial| trial.grade == grade).count(),
            outage_ns_max: (attempts > 0)
                .then(|| trials.iter().map(|trial| longest_outage_ns(trial)).max().unwrap_or(0)),
            accept: trials.iter().filter_map(|trial| Accept::of(trial)).reduce(Accept::worse),
            trials,
        }
    }

    /// The grade, and in how many repetitions where they differ: `lossy 1/3`.
    pub(crate) fn grade_text(&self) -> String {
        let grade = if self.grade_trials == self.trials.len() {
            self.grade.to_string()
        } else {
            format!("{} {}/{}", self.grade, self.grade_trials, self.trials.len())
        };
        match self.back_after_ns() {
            Some(after_ns) => format!("{grade}, back after {}", duration(after_ns)),
            None => grade,
        }
    }

    /// How long after the last fault the service was back, where only the watch saw it; of several trials the
    /// longest. A service that is down in another one is not back.
    fn back_after_ns(&self) -> Option<u64> {
        let is_down = self.grade == Grade::Down;
        self.trials.iter().filter_map(|trial| trial.back_after_ns).max().filter(|_| !is_down)
    }
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
    fn of(trial: &TrialResult) -> Option<Self> {
        let accept = &trial.latency.accept;
        (accept.count > 0).then_some(Self {
            p50_ns: accept.p50_ns,
            p99_ns: accept.p99_ns,
            max_ns: accept.max_ns,
        })
    }

    fn worse(self, other: Self) -> Self {
        Self {
            p50_ns: self.p50_ns.max(other.p50_ns),
            p99_ns: self.p99_ns.max(other.p99_ns),
            max_ns: self.max_ns.max(other.max_ns),
        }
    }
}

/// The longest outage of a trial, 0 if there was none.
pub(crate) fn longest_outage_ns(trial: &TrialResult) -> u64 {
    trial.outages.iter().map(|outage| outage.end_ns.saturating_sub(outage.start_ns)).max().unwrap_or(0)
}

/// The worst of several grades.
///
/// A loss that was seen is a fact, whatever became of other repetitions; one that could not be
/// judged tells more of the supervisor than one that was merely slow does.
pub(crate) fn worst(grades: impl Iterator<Item = Grade>) -> Grade {
    let severity = |grade: &Grade| match grade {
        Grade::Held => 0,
        Grade::Delayed => 1,
        Grade::Unsupported => 2,
        Grade::Inconclusive => 3,
        Grade::Lossy => 4,
        Grade::Down => 5,
    };
    grades.max_by_key(severity).unwrap_or(Grade::Inconclusive)
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
        assert_eq!(row.grade_text(), "lossy 2/3");
        assert_eq!(row.split.sum(), 60);
    }

    #[test]
    fn a_loss_outweighs_what_could_not_be_told() {
        use Grade::{Delayed, Down, Held, Inconclusive, Lossy};
        assert_eq!(worst([Held, Inconclusive, Lossy].into_iter()), Lossy);
        assert_eq!(worst([Down, Lossy].into_iter()), Down);
        assert_eq!(worst([Delayed, Inconclusive].into_iter()), Inconclusive);
    }

    proptest! {
        #[test]
        fn a_row_sums_to_its_attempts(run in sample::any_run()) {
            let mut attempts = 0;
            for row in sections(&run).iter().flat_map(|section| &section.rows) {
                prop_assert_eq!(row.split.sum(), row.attempts);
                attempts += row.attempts;
            }
            prop_assert_eq!(attempts, run.trials.iter().map(|trial| trial.attempts).sum::<u64>());
        }
    }
}

//! Failures of reference supervisors that are there to show just these.

use holdline_model::result::{Loss, RunResult, TrialResult};

use super::{Line, lines, told};

/// What it means that an expectation failed as foreseen: term and meaning.
const MEANING: (&str, &str) = (
    "as foreseen",
    "a reference supervisor that is there to show just this; it fails nothing unless scenarios or supervisors are named",
);

/// Whether it did not meet its expectations, and is there to show just that.
pub(super) fn failed_as_foreseen(trial: &TrialResult) -> bool {
    !trial.foreseen.is_empty()
}

/// How many such trials there are.
pub(crate) fn how_many_as_foreseen(run: &RunResult) -> usize {
    run.trials.iter().filter(|trial| failed_as_foreseen(trial)).count()
}

/// Expectations that did not hold, as it was foreseen.
pub(crate) fn foreseen(run: &RunResult) -> Vec<Line> {
    lines(run, |trial| told::<Loss, ()>(&foreseen_of(trial), &[], |_| ()))
}

/// The same, of one trial.
pub(crate) fn foreseen_of(trial: &TrialResult) -> Vec<String> {
    trial.foreseen.iter().map(|violation| format!("as foreseen: {}", violation.as_foreseen())).collect()
}

/// What the words mean, where they are said.
pub(super) fn legend(run: &RunResult) -> Option<(&'static str, &'static str)> {
    run.trials.iter().any(failed_as_foreseen).then_some(MEANING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prose::{expectations, violations};
    use crate::sample;

    #[test]
    fn what_failed_as_foreseen_is_no_failure() {
        let run = sample::foreseen();
        assert_eq!(
            expectations(&run),
            "6 of 10 trials met the scenario's expectations; 1 did not, as foreseen: bare; \
             3 did not: restart-loop, backoff, reuse-port"
        );
        let lines = foreseen(&run);
        assert_eq!((lines[0].who.as_str(), lines.len()), ("bare", 1));
        assert_eq!(lines[0].text, "as foreseen: collateral is 14, not 0");
        assert!(violations(&run).iter().all(|line| line.who != "bare"));
        assert_eq!(legend(&run), Some(MEANING));
        assert_eq!(legend(&sample::default_run()), None);
    }
}

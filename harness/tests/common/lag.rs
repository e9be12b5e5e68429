//! Trials that holdline itself declines to judge because the machine was too busy.

use holdline_model::result::TrialResult;
use holdline_model::words::Grade;

/// Whether a trial may be tried again: the machine was so busy with other tests that the generator
/// lagged, and holdline then rightly refuses to judge.
pub(crate) fn lagged(trial: &TrialResult) -> bool {
    let says_so = |reason: &String| reason.contains("did not keep up");
    trial.grade == Grade::Inconclusive && trial.reason.as_ref().is_some_and(says_so)
}

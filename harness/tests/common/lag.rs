//! Trials that holdline itself declines to judge because the machine was too busy.

use holdline_model::reason::Reason;
use holdline_model::result::TrialResult;

/// Whether a trial may be tried again: the machine was so busy with other tests that the generator
/// lagged, and holdline then rightly refuses to judge.
pub(crate) fn lagged(trial: &TrialResult) -> bool {
    matches!(trial.why, Some(Reason::SendLag { .. }))
}

//! What was lost, and whether that is more than the reference lost.

use std::collections::BTreeMap;

use super::contest::is_conclusive;
use super::exact::{self, Counts, rate_ratio};
use super::holm::CONFIDENCE;
use super::quantity::{asked, collateral};
use super::result::{Interval, LossRatio, LossWords, Losses};

use crate::result::TrialResult;
use crate::stats;

/// What these trials of a supervisor lost; `None` where none of them says anything.
pub(super) fn of(
    scenario: &str,
    supervisor: &str,
    run: Option<&str>,
    trials: &[&TrialResult],
) -> Option<Losses> {
    let counts = counts(trials);
    if counts.trials.is_empty() {
        return None;
    }
    let (lost, of) = (counts.lost(), counts.of());
    let (low, high) = stats::interval(lost, of, CONFIDENCE);
    let estimate = if of > 0 { lost as f64 / of as f64 } else { 0.0 };
    let mut grades = BTreeMap::new();
    for trial in trials {
        *grades.entry(trial.grade).or_insert(0) += 1;
    }
    Some(Losses {
        scenario: scenario.to_owned(),
        supervisor: supervisor.to_owned(),
        run: run.map(str::to_owned),
        lost,
        of,
        rate: Interval { estimate, low, high },
        grades,
        against: None,
    })
}

/// The same, against those of the reference.
pub(super) fn against(
    scenario: &str,
    supervisor: &str,
    run: Option<&str>,
    reference: &[&TrialResult],
    trials: &[&TrialResult],
) -> Option<Losses> {
    let (theirs, own) = (counts(reference), counts(trials));
    let losses = of(scenario, supervisor, run, trials)?;
    if theirs.trials.is_empty() {
        return Some(losses);
    }
    let (low, high) = rate_ratio(&theirs, &own, CONFIDENCE);
    let rate = |counts: &Counts| counts.lost() as f64 / counts.of().max(1) as f64;
    let against = LossRatio {
        estimate: (theirs.lost() > 0).then(|| rate(&own) / rate(&theirs)),
        low,
        high,
        p: exact::p(&theirs, &own),
        words: if theirs.lost() + own.lost() == 0 { LossWords::None } else { LossWords::CannotTell },
    };
    // Which side it is on is kept until it is known whether that is more than chance.
    let words = match (against.words, rate(&own) > rate(&theirs)) {
        (LossWords::None, _) => LossWords::None,
        (_, true) => LossWords::More,
        (_, false) => LossWords::Less,
    };
    Some(Losses { against: Some(LossRatio { words, ..against }), ..losses })
}

/// Says of each which is compared whether it may be said, at these confidences, one for each that lost anything.
pub(super) fn say(losses: &mut [Losses], confidences: &[f64]) {
    let compared = losses.iter_mut().filter_map(|losses| losses.against.as_mut());
    let in_doubt = compared.filter(|against| against.words != LossWords::None);
    for (against, confidence) in in_doubt.zip(confidences) {
        if against.p > 1.0 - confidence {
            against.words = LossWords::CannotTell;
        }
    }
}

fn counts(trials: &[&TrialResult]) -> Counts {
    let conclusive = trials.iter().filter(|trial| is_conclusive(trial));
    Counts { trials: conclusive.map(|trial| (collateral(trial), asked(trial))).collect() }
}

//! The ratio of one quantity in one contest, and why there may be none.

use super::contest::{Contest, Trials};
use super::holm::CONFIDENCE;
use super::quantity::{Quantity, lost_nothing};
use super::ratio::{Estimate, Logs, RESAMPLES};
use super::result::{Because, Compared, Corrected, Interval, NotCompared, Whose, Words};
use crate::violation::Unmeasured;

/// An estimated ratio, and what is said beside it.
pub(super) struct Estimated {
    pub(super) estimate: Estimate,
    pub(super) noise: Option<Estimate>,
    repetitions: usize,
    reference: f64,
    contender: f64,
}

impl Contest<'_> {
    /// The ratio of a quantity; `None` where the scenario does not have it at all.
    pub(super) fn estimate(
        &self,
        quantity: &Quantity,
        paired: bool,
    ) -> Result<Estimated, Option<NotCompared>> {
        let not = |whose, because, repetitions| {
            Some(NotCompared {
                scenario: self.scenario.to_owned(),
                supervisor: self.supervisor.to_owned(),
                metric: quantity.name.to_owned(),
                whose,
                repetitions,
                because,
            })
        };
        let (reference, contender) =
            (Values::of(quantity, &self.reference), Values::of(quantity, &self.contender));
        if reference.is_no_question() || contender.is_no_question() {
            return Err(None);
        }
        for (whose, values) in [(Whose::Reference, &reference), (Whose::Supervisor, &contender)] {
            if let Some((because, repetitions)) = &values.lacking {
                return Err(not(whose, because.clone(), *repetitions));
            }
        }
        let (logs, resolution, repetitions) = Values::logs(&reference, &contender, paired);
        let estimate = Estimate::of(&logs, resolution, RESAMPLES)
            .ok_or_else(|| not(Whose::Supervisor, Because::TooFew, repetitions))?;
        let again = self.again.as_ref().map(|again| Values::of(quantity, again));
        let noise = match again {
            Some(again) => Values::logs(&reference, &again, true),
            None => reference.against_itself(),
        };
        let noise = Estimate::of(&noise.0, noise.1, RESAMPLES);
        Ok(Estimated {
            estimate,
            noise,
            repetitions,
            reference: reference.median(),
            contender: contender.median(),
        })
    }
}

fn interval(estimate: &Estimate) -> Interval {
    let (low, high) = estimate.interval(CONFIDENCE);
    Interval { estimate: estimate.ratio(), low, high }
}

impl Estimated {
    pub(super) fn said(&self, contest: &Contest<'_>, quantity: &Quantity, confidence: f64) -> Compared {
        let (low, high) = self.estimate.interval(confidence);
        let time = |value: f64| (!quantity.is_rate).then_some(whole(value));
        let rate = |value: f64| quantity.is_rate.then_some(value);
        Compared {
            scenario: contest.scenario.to_owned(),
            supervisor: contest.supervisor.to_owned(),
            metric: quantity.name.to_owned(),
            ratio: interval(&self.estimate),
            noise: self.noise.as_ref().map(interval),
            words: Words::of(low, high, quantity.is_rate),
            corrected: Corrected { low, high, confidence },
            repetitions: self.repetitions,
            reference_ns: time(self.reference),
            median_ns: time(self.contender),
            reference_per_second: rate(self.reference),
            per_second: rate(self.contender),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time in nanoseconds")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// What the repetitions of one supervisor measured.
struct Values {
    /// By repetition: the value, and to within how much.
    values: Vec<(u32, f64, f64)>,
    /// Why it cannot be compared, and in how many repetitions.
    lacking: Option<(Because, usize)>,
}

impl Values {
    fn of(quantity: &Quantity, trials: &Trials<'_>) -> Self {
        let (mut values, mut lost, mut unmeasured) = (Vec::new(), 0, Vec::new());
        for (repetition, trial) in trials {
            if quantity.of_served && !lost_nothing(trial) {
                lost += 1;
                continue;
            }
            match quantity.measure(trial) {
                Ok(value) => values.push((*repetition, value, quantity.resolution_of(trial))),
                Err(why) => unmeasured.push(why),
            }
        }
        // Repetitions that were measured because they went well say nothing of those that did not.
        let lacking = match (unmeasured.len(), lost) {
            (count @ 1.., _) => Some((Because::Unmeasured(unmeasured.swap_remove(0)), count)),
            (0, count @ 1..) => Some((Because::Lost, count)),
            (0, 0) => None,
        };
        Self { values, lacking }
    }

    /// Whether the scenario is not about it.
    fn is_no_question(&self) -> bool {
        match &self.lacking {
            Some((Because::Unmeasured(Unmeasured::NoFault | Unmeasured::NoClosedLoop), _)) => true,
            Some((Because::Unmeasured(_) | Because::Lost | Because::TooFew, _)) | None => false,
        }
    }

    fn median(&self) -> f64 {
        let mut sorted: Vec<f64> = self.values.iter().map(|(_, value, _)| *value).collect();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => 0.0,
            n => f64::midpoint(sorted[(n - 1) / 2], sorted[n / 2]),
        }
    }

    /// To within which share the values are known, as a standard error of their mean: errors of rounding are
    /// spread evenly, and may be the same in all repetitions.
    fn resolution(&self) -> f64 {
        let shares = self.values.iter().map(|(_, value, within)| within / value / 12_f64.sqrt());
        shares.sum::<f64>() / self.values.len().max(1) as f64
    }

    /// Logarithms, resolution, and how many repetitions.
    fn logs(reference: &Self, contender: &Self, paired: bool) -> (Logs, f64, usize) {
        let logs = if paired {
            let pairs = contender.values.iter().filter_map(|(repetition, value, _)| {
                let (_, beside, _) = reference.values.iter().find(|(other, _, _)| other == repetition)?;
                Some((value / beside).ln())
            });
            Logs::Paired(pairs.collect())
        } else {
            let of = |values: &Self| values.values.iter().map(|(_, value, _)| value.ln()).collect();
            Logs::Apart { reference: of(reference), contender: of(contender) }
        };
        let count = match &logs {
            Logs::Paired(pairs) => pairs.len(),
            Logs::Apart { reference, contender } => reference.len().min(contender.len()),
        };
        (logs, reference.resolution().hypot(contender.resolution()), count)
    }

    /// Every other repetition against the one after it.
    fn against_itself(&self) -> (Logs, f64, usize) {
        let pairs: Vec<f64> = self.values.chunks_exact(2).map(|pair| (pair[1].1 / pair[0].1).ln()).collect();
        let count = pairs.len();
        (Logs::Paired(pairs), self.resolution() * 2_f64.sqrt(), count)
    }
}

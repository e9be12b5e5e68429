//! What is compared as a ratio, in one table.

use crate::metric;
use crate::result::TrialResult;
use crate::sampling::Method;
use crate::violation::Unmeasured;

/// Something of which the ratio of two supervisors says which is slower.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    /// Its name, that of a metric but for `throughput`.
    pub name: &'static str,
    /// Whether much of it is fast; of times, little is.
    pub is_rate: bool,
    /// Whether it is known of those alone who were not lost, so that losing the slow ones would make it better.
    pub of_served: bool,
    /// To within how much it is measured: nanoseconds, or of a rate a share. What is smaller counts as so much.
    resolution: f64,
}

/// Listeners are looked at each millisecond, and arrivals are paced to within less.
const OF_TRIAL_NS: f64 = 1e6;
/// Stamps are by the same clock; what lies between two system calls is some microseconds.
const OF_STAMPS_NS: f64 = 1e3;
/// A closed loop counts thousands.
const OF_RATE: f64 = 1e-3;

/// Everything that is compared as a ratio.
pub const QUANTITIES: [Quantity; 7] = [
    Quantity { name: "outage.max", is_rate: false, of_served: false, resolution: OF_TRIAL_NS },
    Quantity { name: "recovery.max", is_rate: false, of_served: false, resolution: OF_TRIAL_NS },
    Quantity { name: "accept.p50", is_rate: false, of_served: true, resolution: OF_STAMPS_NS },
    Quantity { name: "accept.p99", is_rate: false, of_served: true, resolution: OF_STAMPS_NS },
    Quantity { name: "response.p50", is_rate: false, of_served: true, resolution: OF_STAMPS_NS },
    Quantity { name: "response.p99", is_rate: false, of_served: true, resolution: OF_STAMPS_NS },
    Quantity { name: THROUGHPUT, is_rate: true, of_served: false, resolution: OF_RATE },
];

const THROUGHPUT: &str = "throughput";

impl Quantity {
    /// The quantity of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        QUANTITIES.into_iter().find(|quantity| quantity.name == name)
    }

    /// What a trial measured: nanoseconds, or served per second.
    ///
    /// # Errors
    ///
    /// Why it was not measured.
    pub fn measure(&self, trial: &TrialResult) -> Result<f64, Unmeasured> {
        if self.name == THROUGHPUT {
            // Other loads than closed ones set their own pace.
            return trial.throughput_per_second.filter(|rate| *rate > 0.0).ok_or(Unmeasured::NoClosedLoop);
        }
        let Ok(metric) = metric::metric(self.name) else { return Err(Unmeasured::NoClosedLoop) };
        match metric.measure(trial) {
            Ok(ns) => Ok((ns as f64).max(self.resolution_of(trial))),
            // Nothing took any time.
            Err(Unmeasured::NotInterrupted) => Ok(self.resolution_of(trial)),
            Err(why) => Err(why),
        }
    }

    /// To within how much a trial measured it, in its own unit.
    #[must_use]
    pub fn resolution_of(&self, trial: &TrialResult) -> f64 {
        if self.is_rate {
            return self.resolution * trial.throughput_per_second.unwrap_or(0.0);
        }
        match trial.latency.accept.how {
            Some(Method::Sampled { resolution_ns, .. }) if self.name.starts_with("accept.") => {
                (resolution_ns as f64).max(self.resolution)
            }
            Some(Method::Sampled { .. } | Method::Stamped | Method::ByRequest) | None => self.resolution,
        }
    }
}

/// Attempts that asked for something and were sent.
#[must_use]
pub fn asked(trial: &TrialResult) -> u64 {
    use crate::words::Fate;
    let of = |fate| trial.fates.get(&fate).copied().unwrap_or(0);
    trial.attempts.saturating_sub(of(Fate::Silent) + of(Fate::NotSent))
}

/// Attempts that a supervisor lost and need not have.
#[must_use]
pub fn collateral(trial: &TrialResult) -> u64 {
    trial.blame.get(&crate::words::Blame::Collateral).copied().unwrap_or(0)
}

/// Whether all that did not carry the fault itself was served.
#[must_use]
pub fn lost_nothing(trial: &TrialResult) -> bool {
    let poison = trial.blame.get(&crate::words::Blame::Poison).copied().unwrap_or(0);
    trial.lost() <= poison
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_but_throughput_is_a_time_of_the_table_of_metrics() {
        for quantity in QUANTITIES.iter().filter(|quantity| quantity.name != THROUGHPUT) {
            assert!(metric::metric(quantity.name).expect("a metric").is_time(), "{}", quantity.name);
            assert!(!quantity.is_rate);
        }
        assert!(Quantity::named(THROUGHPUT).is_some_and(|quantity| quantity.is_rate));
        assert!(Quantity::named("collateral").is_none());
    }
}

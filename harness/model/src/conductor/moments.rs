//! When a scenario's faults are due, once it is known when the load starts and how long it is.

use crate::scenario::arrivals::{Extent, Schedule};
use crate::scenario::{Action, AtCall, Fault, Scenario, Trigger, Until};
use crate::words::CrashStep;

/// When a fault is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the supervisor starts.
    BeforeStart,
    /// With this attempt, just before it sets out.
    Attempt(u32),
    /// At an instant, in CLOCK_MONOTONIC nanoseconds.
    At(u64),
    /// A while after another fault is over.
    After {
        /// The other's index.
        fault: usize,
        /// How long after it, in nanoseconds.
        delay_ns: u64,
    },
    /// At a call of the supervisor.
    Call(AtCall),
}

/// When each fault of a scenario is due, in their order, and until when faults may be waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moments {
    /// For each fault.
    pub due: Vec<Moment>,
    /// Start of the load, in CLOCK_MONOTONIC nanoseconds.
    pub start_ns: u64,
    /// When the load is over at the earliest. A schedule that is fixed lasts until its next attempt
    /// would be due, so that faults can strike after the last attempt.
    pub last_ns: u64,
}

impl Moments {
    /// Of a load that starts at `start_ns`.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the file's limits"
    )]
    pub fn of(scenario: &Scenario, schedule: &Schedule, start_ns: u64) -> Self {
        let due = scenario.faults.iter().map(|fault| moment(fault, scenario, schedule, start_ns)).collect();
        let length_ns = Extent::of(&scenario.load).end_ns_min as u64;
        Self { due, start_ns, last_ns: start_ns.saturating_add(length_ns) }
    }
}

/// Whether a fault is armed before the supervisor starts.
#[must_use]
pub fn strikes_before_start(fault: &Fault) -> bool {
    matches!((&fault.at, &fault.action), (Trigger::Elapsed(0), Action::Crash { step: CrashStep::Boot, .. }))
}

fn moment(fault: &Fault, scenario: &Scenario, schedule: &Schedule, start_ns: u64) -> Moment {
    if strikes_before_start(fault) {
        return Moment::BeforeStart;
    }
    match fault.at {
        Trigger::Attempt(number) => Moment::Attempt(number),
        Trigger::Fraction(share) => place_of(share, scenario, schedule, start_ns),
        Trigger::Elapsed(ns) => Moment::At(start_ns.saturating_add(ns)),
        Trigger::After { fault, delay_ns } => Moment::After { fault, delay_ns },
        Trigger::Call(at) => Moment::Call(at),
    }
}

/// Where a share of the load falls: at an attempt where their number is known, else at an instant.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count that is itself exact in an f64"
)]
fn place_of(share: f64, scenario: &Scenario, schedule: &Schedule, start_ns: u64) -> Moment {
    // 0.57 of 200 is 114, and not what is just below it in binary.
    let of = |count: u64| (share * count as f64 * (1.0 + f64::EPSILON)).floor() as u64;
    let attempt = |count: u64| {
        let last = count.saturating_sub(1);
        Moment::Attempt(u32::try_from(of(count).min(last)).unwrap_or(u32::MAX))
    };
    match (schedule, scenario.load.until) {
        (Schedule::Fixed(offsets), _) => attempt(offsets.len() as u64),
        (Schedule::Sequential { .. } | Schedule::Closed { .. }, Until::Attempts(count)) => {
            attempt(count.into())
        }
        (Schedule::Sequential { .. } | Schedule::Closed { .. }, Until::Elapsed(ns)) => {
            Moment::At(start_ns.saturating_add(of(ns)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_load_falls_on_the_attempt_that_it_says() {
        let text =
            "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { constant = \"100/s\" }\nduration = \"2s\"\n";
        let scenario = crate::scenario::parse(text, "x.toml").expect("a scenario");
        let schedule = Schedule::Fixed((0..200).map(|attempt| attempt * 10_000_000).collect());
        for percent in 0..100 {
            let place = place_of(f64::from(percent) / 100.0, &scenario, &schedule, 7);
            assert_eq!(place, Moment::Attempt(2 * percent), "{percent} %");
        }
    }

    #[test]
    fn boot_faults_at_the_very_beginning_come_before_the_supervisor() {
        let text = "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { constant = \"100/s\" }\nduration = \"2s\"\n\
                    [[fault]]\nat = \"0s\"\ncrash = { step = \"boot\", mode = \"exit\" }\n\
                    [[fault]]\nat = \"1s\"\ncontrol = \"restart\"\n\
                    [[fault]]\nat = { after = 1, delay = \"5ms\" }\nsignal = { to = \"worker\", name = \"KILL\" }\n";
        let scenario = crate::scenario::parse(text, "x.toml").expect("a scenario");
        let moments = Moments::of(&scenario, &Schedule::Fixed(vec![0, 1]), 1_000);
        let after = Moment::After { fault: 1, delay_ns: 5_000_000 };
        assert_eq!(moments.due, [Moment::BeforeStart, Moment::At(1_000_001_000), after]);
        assert_eq!(moments.last_ns, 2_000_001_000);
    }
}

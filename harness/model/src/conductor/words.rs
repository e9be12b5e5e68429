//! Faults in words.

use crate::duration::show_ns;
use crate::scenario::{Action, Scenario, Target, Trigger};
use crate::words::CrashStep;

/// What a fault does, in words.
#[must_use]
pub fn action_in_words(action: &Action) -> String {
    let whom = |target: Target| match target {
        Target::Worker => "a worker",
        Target::Workers => "every worker",
        Target::Supervisor => "the supervisor",
    };
    match action {
        Action::Poison(poison) => format!("poison ({} at step {})", poison.mode, poison.step),
        Action::Crash { step: CrashStep::Boot, mode, times } => {
            format!("the next {times} starts fail ({mode})")
        }
        Action::Crash { step, mode, .. } => format!("a worker fails ({mode} at step {step})"),
        Action::Signal { to, signal } => format!("{signal} to {}", whom(*to)),
        Action::Pause { whom: target, for_ns: Some(ns) } => {
            format!("{} is paused for {:?}", whom(*target), std::time::Duration::from_nanos(*ns))
        }
        Action::Pause { whom: target, for_ns: None } => format!("{} is paused", whom(*target)),
        Action::Control { verb, workers: Some(count) } => format!("{verb} to {count} workers"),
        Action::Control { verb, workers: None } => verb.to_string(),
    }
}

/// A scenario's faults in words, with when they strike.
#[must_use]
pub fn faults_in_words(scenario: &Scenario) -> Vec<String> {
    let when = |trigger: Trigger| match trigger {
        Trigger::Attempt(number) => format!("with attempt {number}"),
        Trigger::Elapsed(0) => "from the start".to_owned(),
        Trigger::Elapsed(ns) => format!("after {}", show_ns(ns)),
        Trigger::Fraction(share) => format!("at {:.0} % of the load", share * 100.0),
        Trigger::After { fault, delay_ns } => format!("{} after fault {}", show_ns(delay_ns), fault + 1),
    };
    let faults = scenario.faults.iter();
    faults.map(|fault| format!("{}: {}", when(fault.at), action_in_words(&fault.action))).collect()
}

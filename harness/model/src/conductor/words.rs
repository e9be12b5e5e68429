//! Faults in words.

use crate::deed::Deed;
use crate::duration::show_ns;
use crate::scenario::{AtCall, Scenario, Trigger};

/// A scenario's faults in words, with when they strike.
#[must_use]
pub fn faults_in_words(scenario: &Scenario) -> Vec<String> {
    let when = |trigger: Trigger| match trigger {
        Trigger::Attempt(number) => format!("with attempt {number}"),
        Trigger::Elapsed(0) => "from the start".to_owned(),
        Trigger::Elapsed(ns) => format!("after {}", show_ns(ns)),
        Trigger::Fraction(share) => format!("at {:.0} % of the load", share * 100.0),
        Trigger::After { fault, delay_ns } => format!("{} after fault {}", show_ns(delay_ns), fault + 1),
        Trigger::Call(AtCall { since: None, meeting, .. }) => format!("as the supervisor {meeting}"),
        Trigger::Call(AtCall { since: Some(fault), meeting, .. }) => {
            format!("as the supervisor {meeting}, since fault {}", fault + 1)
        }
    };
    let faults = scenario.faults.iter();
    let of = |target: &Option<String>| target.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
    faults
        .map(|fault| format!("{}: {}{}", when(fault.at), Deed::from(&fault.action), of(&fault.target)))
        .collect()
}

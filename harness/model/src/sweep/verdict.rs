//! What a trial shows of the place at which somebody crashed.

use std::collections::BTreeMap;

use super::Costs;
use crate::reason::Reason;
use crate::result::TrialResult;
use crate::words::{Blame, Fate, Grade};

/// What a crash cost.
#[must_use]
pub fn costs(trial: &TrialResult) -> Costs {
    let any = |fates: &[Fate]| fates.iter().any(|fate| trial.collateral.get(fate).is_some_and(|n| *n > 0));
    match trial.grade {
        Grade::Unsupported | Grade::Inconclusive => Costs::NotKnown,
        Grade::Down => Costs::Service,
        Grade::Held | Grade::Delayed | Grade::Lossy => {
            if any(&[Fate::Refused, Fate::QueueReset]) {
                Costs::Listener
            } else if any(Fate::ALL) {
                Costs::Others
            } else if own_fate(trial).is_some() {
                Costs::Connection
            } else {
                Costs::Nothing
            }
        }
    }
}

/// Whether more patience might have shown something else: clients gave up, or the service was not back, and not because
/// nothing is left that could come back.
#[must_use]
pub fn was_hasty(trial: &TrialResult) -> bool {
    let gave_up = trial.collateral.get(&Fate::TimedOut).is_some_and(|n| *n > 0);
    gave_up || (trial.grade == Grade::Down && trial.why != Some(Reason::NothingLeft))
}

/// What became of the request that carried the fault, or was in the hands of who crashed; `None`: it was served, or
/// there was none.
#[must_use]
pub fn own_fate(trial: &TrialResult) -> Option<Fate> {
    let of = |blame| trial.blame.get(&blame).copied().unwrap_or(0);
    if of(Blame::Poison) + of(Blame::InFlight) == 0 {
        return None;
    }
    let is_own = |fate: &&Fate| {
        let count = |fates: &BTreeMap<Fate, u64>| fates.get(fate).copied().unwrap_or(0);
        count(&trial.fates) > count(&trial.collateral)
    };
    lost_fates().find(is_own).copied()
}

/// The worst that a request met with: its own fate first, then that of others.
#[must_use]
pub fn fate(trial: &TrialResult) -> Option<Fate> {
    if matches!(trial.grade, Grade::Unsupported | Grade::Inconclusive) {
        return None;
    }
    let of_others = || lost_fates().find(|fate| trial.collateral.get(fate).is_some_and(|n| *n > 0)).copied();
    Some(own_fate(trial).or_else(of_others).unwrap_or(Fate::Served))
}

fn lost_fates() -> impl Iterator<Item = &'static Fate> {
    Fate::ALL.iter().filter(|fate| !matches!(fate, Fate::Served | Fate::Silent | Fate::NotSent))
}

/// The order of grades, from the best to the worst; those that say nothing come last.
#[must_use]
pub const fn severity(grade: Grade) -> u8 {
    match grade {
        Grade::Held => 0,
        Grade::Delayed => 1,
        Grade::Lossy => 2,
        Grade::Down => 3,
        Grade::Inconclusive => 4,
        Grade::Unsupported => 5,
    }
}

/// The trial that counts among those of one place: the worst of those that say anything.
#[must_use]
pub fn worst<'a>(trials: impl IntoIterator<Item = &'a TrialResult>) -> Option<&'a TrialResult> {
    let says = |trial: &TrialResult| !matches!(trial.grade, Grade::Inconclusive | Grade::Unsupported);
    let lost = |trial: &TrialResult| trial.collateral.values().sum::<u64>();
    let key = |trial: &&TrialResult| (says(trial), severity(trial.grade), lost(trial), trial.lost());
    trials.into_iter().max_by_key(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{TrialName, not_run};

    fn trial(
        grade: Grade,
        poison: u64,
        in_flight: u64,
        own: &[Fate],
        collateral: &[(Fate, u64)],
    ) -> TrialResult {
        let name = TrialName {
            supervisor: "s".to_owned(),
            supervisor_version: String::new(),
            scenario: "x".to_owned(),
            repetition: 0,
            folder: String::new(),
            applied: Vec::new(),
        };
        let mut trial = not_run(&name, Reason::NoAttempt);
        trial.grade = grade;
        trial.collateral = collateral.iter().copied().collect();
        trial.fates = trial.collateral.clone();
        for fate in own {
            *trial.fates.entry(*fate).or_default() += 1;
        }
        *trial.fates.entry(Fate::Served).or_default() += 5;
        trial.blame = [(Blame::Poison, poison), (Blame::InFlight, in_flight)].into();
        trial
    }

    #[track_caller]
    fn check(trial: &TrialResult, expected: Costs, expected_fate: Option<Fate>) {
        assert_eq!((costs(trial), fate(trial)), (expected, expected_fate));
    }

    #[test]
    fn what_is_lost_with_the_listener_outweighs_others_and_these_the_own_connection() {
        check(&trial(Grade::Held, 0, 0, &[], &[]), Costs::Nothing, Some(Fate::Served));
        check(&trial(Grade::Delayed, 1, 0, &[Fate::NoReply], &[]), Costs::Connection, Some(Fate::NoReply));
        let with_others = trial(Grade::Lossy, 0, 1, &[Fate::Truncated], &[(Fate::TimedOut, 1)]);
        check(&with_others, Costs::Others, Some(Fate::Truncated));
        let refused = trial(Grade::Lossy, 0, 1, &[Fate::NoReply], &[(Fate::Refused, 3), (Fate::NoReply, 1)]);
        check(&refused, Costs::Listener, Some(Fate::NoReply));
        check(
            &trial(Grade::Lossy, 0, 0, &[], &[(Fate::QueueReset, 1)]),
            Costs::Listener,
            Some(Fate::QueueReset),
        );
        check(&trial(Grade::Down, 0, 0, &[], &[(Fate::Refused, 1)]), Costs::Service, Some(Fate::Refused));
        check(&trial(Grade::Inconclusive, 1, 0, &[Fate::NoReply], &[]), Costs::NotKnown, None);
    }

    #[test]
    fn only_who_gave_up_or_may_come_back_was_judged_in_haste() {
        let (lossy, down) = (Grade::Lossy, Grade::Down);
        assert!(was_hasty(&trial(lossy, 1, 0, &[Fate::NoReply], &[(Fate::TimedOut, 3)])));
        assert!(!was_hasty(&trial(lossy, 1, 0, &[Fate::NoReply], &[(Fate::Refused, 3)])));
        assert!(!was_hasty(&trial(Grade::Delayed, 1, 0, &[Fate::TimedOut], &[])));
        let mut gone = trial(down, 1, 0, &[Fate::NoReply], &[(Fate::Refused, 3)]);
        assert!(was_hasty(&gone));
        gone.why = Some(Reason::NothingLeft);
        assert!(!was_hasty(&gone));
    }

    #[test]
    fn the_worst_that_says_anything_counts() {
        let of = |grade| trial(grade, 0, 0, &[], &[]);
        let all = [of(Grade::Held), of(Grade::Inconclusive), of(Grade::Lossy), of(Grade::Delayed)];
        assert_eq!(worst(&all).map(|trial| trial.grade), Some(Grade::Lossy));
        assert_eq!(worst(&all[1..2]).map(|trial| trial.grade), Some(Grade::Inconclusive));
        assert_eq!(worst(&all[..0]), None);
    }
}

//! Faults that are aimed at moments of the supervisor's own story: at what it did after another fault, before and
//! after, down to microseconds.

use proptest::prelude::*;
use proptest::sample::select;

use super::ability::Abilities;
use super::case::{Case, Strike, When};
use super::draw::{self, STRIKES_MAX, action, delay};
use super::story::{Beat, Story};
use crate::scenario::Action;

/// How far from a moment a fault is aimed at most, and how close at least, in nanoseconds.
const OFF_NS: (u64, u64) = (1_000, 5_000_000);

/// A moment after a fault, and how long after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    /// The fault's place in the case.
    fault: usize,
    /// From the fault to the moment, in nanoseconds.
    after_ns: u64,
}

/// The moments that followed the faults of a case, as far as another fault can be timed by them.
fn targets(case: &Case, story: &Story) -> Vec<Target> {
    let mut targets = Vec::new();
    for (fault, strike) in case.strikes.iter().enumerate() {
        // What comes after a pause counts from its end.
        if matches!(strike.action, Action::Pause { .. }) {
            continue;
        }
        let Some(struck_at) = story.struck_at(fault) else { continue };
        let later = story.moments.iter().filter(|moment| moment.at_ns > struck_at);
        let moments = later.filter(|moment| !matches!(moment.beat, Beat::Start | Beat::Struck | Beat::End));
        targets.extend(moments.filter_map(|moment| {
            let after_ns = u64::try_from(moment.at_ns - struck_at).ok()?;
            Some(Target { fault, after_ns })
        }));
    }
    targets
}

/// A case with one more fault that is aimed at a moment of its story, or with one that is aimed anew; `None`: its
/// story has no such moment.
pub(super) fn aimed(case: &Case, story: &Story, abilities: &Abilities) -> Option<BoxedStrategy<Case>> {
    let targets = targets(case, story);
    if targets.is_empty() {
        return None;
    }
    let (base, is_full) = (case.clone(), case.strikes.len() >= STRIKES_MAX);
    let off = (any::<bool>(), prop_oneof![1 => Just(0), 6 => delay(OFF_NS.0, OFF_NS.1)]);
    let drawn = (select(targets), off, action(abilities), any::<bool>());
    let aim = move |(target, (is_before, off_ns), action, anew): (Target, (bool, u64), Action, bool)| {
        let delay_ns =
            if is_before { target.after_ns.saturating_sub(off_ns) } else { target.after_ns + off_ns };
        let mut strikes = base.strikes.clone();
        // What follows the moment was another story's.
        if is_full || anew {
            strikes.truncate(target.fault + 1);
        }
        let when = When::After { back: strikes.len() - target.fault, delay_ns: delay_ns / 1000 * 1000 };
        strikes.push(Strike { when, action });
        Case { strikes, around: base.around.clone() }.tidy()
    };
    Some(drawn.prop_map(aim).boxed())
}

/// A case in which one of the faults strikes at another time, or is another one.
pub(super) fn varied(case: &Case, abilities: &Abilities) -> BoxedStrategy<Case> {
    let base = case.clone();
    let places = 0..case.strikes.len().max(1);
    let drawn = (places, draw::when(abilities), action(abilities), any::<bool>());
    drawn
        .prop_map(move |(place, when, action, is_time)| {
            let mut case = base.clone();
            if let Some(strike) = case.strikes.get_mut(place) {
                if is_time {
                    strike.when = when;
                } else {
                    strike.action = action;
                }
            }
            case.tidy()
        })
        .boxed()
}

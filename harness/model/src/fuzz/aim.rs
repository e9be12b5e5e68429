//! Faults that are aimed at moments of the supervisor's own story: before and after them, down to microseconds, and
//! between two that follow each other, however long or short that is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::ability::Abilities;
use super::act::Act;
use super::case::{Case, Strike, When};
use super::draw::{self, STRIKES_MAX, action, delay};
use super::story::{Beat, Story};
use crate::scenario::{Action, Arrivals};

/// How far from a moment a fault is aimed at most, and how close at least, in nanoseconds.
const OFF_NS: (u64, u64) = (1_000, 5_000_000);

/// What a moment is, whoever tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    /// Ledger, kernel or the ends of processes.
    Beat(Beat),
    /// A call of the supervisor's processes.
    Act(Act),
}

/// Two moments that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    /// The fault's place in the case that their times count from; `None`: the load's start.
    fault: Option<usize>,
    /// From it to the first of them, in nanoseconds.
    from_ns: u64,
    /// From it to the second.
    to_ns: u64,
}

/// Where a fault is aimed.
#[derive(Debug, Clone, Copy)]
enum Aim {
    /// At so many thousandths of the way from the first moment to the second.
    Between(u64),
    /// So long after the first.
    After(u64),
    /// So long before the second.
    Before(u64),
}

/// The gaps of a story, as far as a fault can be timed by them, by what stands at their two ends.
fn gaps(case: &Case, story: &Story) -> BTreeMap<(Mark, Mark), Vec<Gap>> {
    let mut instants: Vec<(i64, i64, Mark)> = story
        .moments
        .iter()
        .map(|moment| (moment.at_ns, moment.at_ns, Mark::Beat(moment.beat)))
        .chain(story.done.iter().map(|done| (done.from_ns, done.to_ns, Mark::Act(done.act))))
        .collect();
    instants.sort_by_key(|(_, to_ns, _)| *to_ns);
    let anchors = anchors(case, story);
    let mut gaps: BTreeMap<(Mark, Mark), Vec<Gap>> = BTreeMap::new();
    for pair in instants.windows(2) {
        let [(_, begin_ns, first), (end_ns, _, second)] = pair else { continue };
        let Some((at_ns, fault)) = anchors.iter().rfind(|(at_ns, _)| at_ns <= begin_ns) else { continue };
        let since = |ns: i64| u64::try_from(ns - at_ns).unwrap_or(0);
        let (from_ns, to_ns) = (since(*begin_ns), since(*end_ns).max(since(*begin_ns)));
        gaps.entry((*first, *second)).or_default().push(Gap { fault: *fault, from_ns, to_ns });
    }
    gaps
}

/// The instants that others can count from, in order: those at which faults struck, and the load's start where the load
/// is the same each time.
fn anchors(case: &Case, story: &Story) -> Vec<(i64, Option<usize>)> {
    let is_regular = match case.around.arrivals {
        Arrivals::Constant { .. } | Arrivals::Burst { .. } | Arrivals::Ramp { .. } => true,
        Arrivals::Poisson { .. } | Arrivals::Sequential { .. } | Arrivals::Closed { .. } => false,
    };
    let faults = case.strikes.iter().enumerate().filter_map(|(fault, strike)| {
        // What comes after a pause counts from its end.
        let is_pause = matches!(strike.action, Action::Pause { .. });
        Some((story.struck_at(fault).filter(|_| !is_pause)?, Some(fault)))
    });
    let mut anchors: Vec<_> = is_regular.then_some((0, None)).into_iter().chain(faults).collect();
    anchors.sort_unstable();
    anchors
}

/// A case with one more fault that is aimed at moments of its story, or with one that is aimed anew; `None`: its
/// story has none. Every pair of moments that follow each other is as likely as any other, however often it comes.
pub(super) fn aimed(case: &Case, story: &Story, abilities: &Abilities) -> Option<BoxedStrategy<Case>> {
    let kinds: Vec<Vec<Gap>> = gaps(case, story).into_values().collect();
    if kinds.is_empty() {
        return None;
    }
    let base = case.clone();
    let gap = select(kinds).prop_flat_map(select);
    let drawn = (gap, aim(), action(abilities), any::<bool>());
    let aimed = move |(gap, aim, action, anew): (Gap, Aim, Action, bool)| {
        let mut strikes = base.strikes.clone();
        // What follows the moment was another story's.
        if anew || strikes.len() >= STRIKES_MAX {
            strikes.truncate(gap.fault.map_or(0, |fault| fault + 1));
        }
        // What counts from no fault at all counts from the load's start.
        let back = gap.fault.map_or(strikes.len() + 1, |fault| strikes.len() - fault);
        let when = When::After { back, delay_ns: delay_ns(gap, aim) / 1000 * 1000 };
        strikes.push(Strike { when, action });
        Case { strikes, around: base.around.clone() }.tidy()
    };
    Some(drawn.prop_map(aimed).boxed())
}

fn aim() -> impl Strategy<Value = Aim> {
    let off = || prop_oneof![1 => Just(0), 6 => delay(OFF_NS.0, OFF_NS.1)];
    prop_oneof![
        2 => (0..=1000_u64).prop_map(Aim::Between),
        1 => off().prop_map(Aim::After),
        1 => off().prop_map(Aim::Before),
    ]
}

const fn delay_ns(gap: Gap, aim: Aim) -> u64 {
    match aim {
        Aim::Between(permille) => gap.from_ns + (gap.to_ns - gap.from_ns) / 1000 * permille,
        Aim::After(ns) => gap.from_ns + ns,
        Aim::Before(ns) => gap.to_ns.saturating_sub(ns),
    }
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

//! Faults that are aimed at moments of the supervisor's own story: before and after them, down to microseconds, and
//! between two that follow each other, however long or short that is.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::ability::Abilities;
use super::act::Act;
use super::case::{Case, Strike, When};
use super::draw::{self, action, delay};
use super::story::{Beat, Story, deed};
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

/// A fault that is aimed at two moments of a story.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    between: (Mark, Mark),
    gap: Gap,
    aim: Aim,
    action: Action,
}

/// What a shot tries: two of a kind differ in no more than some time between the same two moments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    /// What was done before.
    behind: Option<String>,
    between: (Mark, Mark),
    deed: String,
}

impl Shot {
    pub(super) fn kind(&self, case: &Case) -> Kind {
        let behind = self.gap.fault.and_then(|fault| case.strikes.get(fault));
        Kind {
            behind: behind.map(|strike| deed(&strike.action)),
            between: self.between,
            deed: deed(&self.action),
        }
    }

    /// The shot with the faults of its case up to the one that its time counts from: as they strike in that case, or, so
    /// long after what came before, as they did in its story. `None`: some of them did not strike, or not one after
    /// the other, or it counts from the load's start, which comes once.
    pub(super) fn volley(&self, case: &Case, story: &Story, rest_ns: Option<u64>) -> Option<Vec<Strike>> {
        let faults = self.gap.fault.map_or(0, |fault| fault + 1);
        let mut strikes = case.strikes.get(..faults)?.to_vec();
        if let Some(rest_ns) = rest_ns {
            let mut before = None;
            for (fault, strike) in strikes.iter_mut().enumerate() {
                let struck_ns = story.struck_at(fault)?;
                let since_ns =
                    before.map_or(Some(rest_ns), |before: i64| u64::try_from(struck_ns - before).ok());
                strike.when = When::After { back: 1, delay_ns: since_ns? / 1000 * 1000 };
                before = Some(struck_ns);
            }
            before?;
        }
        let when = When::After { back: 1, delay_ns: delay_ns(self.gap, self.aim) / 1000 * 1000 };
        strikes.push(Strike { when, action: self.action.clone() });
        Some(strikes)
    }
}

/// Faults that are aimed at moments of a case's story; `None`: it has none. Every pair of moments that follow each other
/// is as likely as any other, however often it comes.
pub(super) fn shots(case: &Case, story: &Story, abilities: &Abilities) -> Option<BoxedStrategy<Shot>> {
    let kinds: Vec<((Mark, Mark), Vec<Gap>)> = gaps(case, story).into_iter().collect();
    if kinds.is_empty() {
        return None;
    }
    let place = select(kinds).prop_flat_map(|(between, gaps)| (Just(between), select(gaps)));
    let drawn = (place, aim(), action(abilities));
    Some(drawn.prop_map(|((between, gap), aim, action)| Shot { between, gap, aim, action }).boxed())
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

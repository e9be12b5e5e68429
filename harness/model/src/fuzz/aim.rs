//! Faults that are aimed at moments of the supervisor's own story: before and after them, down to microseconds, and
//! between two that follow each other, however long or short that is; and at its calls themselves, where it is held until
//! they have struck: see [`super::meet`].

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use super::ability::Abilities;
use super::act::Act;
use super::anchors::anchors;
use super::case::{Case, Strike, When};
use super::course::{Deed, deed};
use super::draw::{self, action, delay};
use super::meet::{self, Spotted};
use super::story::{Beat, Story};
use crate::scenario::{Action, Target};
use crate::syscall::Meeting;

/// How far from a moment a fault is aimed at most, and how close at least, in nanoseconds.
const OFF_NS: (u64, u64) = (1_000, 5_000_000);

/// Moments that are closer to each other than this, in nanoseconds, are one to whoever aims.
const APART_NS: i64 = 10_000;

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

/// The gaps of a story, as far as a fault can be timed by them, by what stands at their two ends. What the supervisor's
/// processes do is one sequence, and what ledger and kernel tell is another: what another process does, or is seen to have
/// done a while later, lies between two of the supervisor's calls by chance.
fn gaps(case: &Case, story: &Story) -> BTreeMap<(Mark, Mark), Vec<Gap>> {
    let anchors = anchors(case, story);
    let mut gaps: BTreeMap<(Mark, Mark), Vec<Gap>> = BTreeMap::new();
    for instants in [told(story), traced(story)] {
        for pair in apart(instants).windows(2) {
            let [(begin_ns, first), (end_ns, second)] = pair else { continue };
            let Some((at_ns, fault)) = anchors.iter().rfind(|(at_ns, _)| at_ns <= begin_ns) else { continue };
            let since = |ns: i64| u64::try_from(ns - at_ns).unwrap_or(0);
            let gap = Gap { fault: *fault, from_ns: since(*begin_ns), to_ns: since(*end_ns) };
            gaps.entry((*first, *second)).or_default().push(gap);
        }
    }
    gaps
}

/// What ledger and kernel tell.
fn told(story: &Story) -> Vec<(i64, Mark)> {
    story.moments.iter().map(|moment| (moment.at_ns, Mark::Beat(moment.beat))).collect()
}

/// What the supervisor's processes did, as calls began and ended, and the faults between; nothing, where they were not
/// traced.
fn traced(story: &Story) -> Vec<(i64, Mark)> {
    if story.done.is_empty() {
        return Vec::new();
    }
    let calls =
        story.done.iter().flat_map(|done| [done.from_ns, done.to_ns].map(|ns| (ns, Mark::Act(done.act))));
    let faults = story.moments.iter().filter(|moment| moment.beat == Beat::Struck);
    calls.chain(faults.map(|moment| (moment.at_ns, Mark::Beat(moment.beat)))).collect()
}

/// These in order, without those that no fault can be aimed apart from the one before.
fn apart(mut instants: Vec<(i64, Mark)>) -> Vec<(i64, Mark)> {
    instants.sort_by_key(|(at_ns, _)| *at_ns);
    instants.dedup_by(|next, kept| next.0 - kept.0 < APART_NS);
    instants
}

/// Where a shot is aimed.
#[derive(Debug, Clone)]
enum Spot {
    /// At some time between two moments that follow each other, or near them.
    Near { between: (Mark, Mark), gap: Gap, aim: Aim },
    /// At a call.
    Call(Spotted),
}

/// A fault that is aimed at a moment of a story.
#[derive(Debug, Clone)]
pub(super) struct Shot {
    spot: Spot,
    action: Action,
}

/// Where shots of a kind are aimed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Near((Mark, Mark)),
    /// The how-many-th time it is does not matter.
    Call(Meeting),
}

/// What a shot tries: two of a kind differ in no more than some time between the same two moments, and in what had brought
/// these about: what a supervisor does about a worker's end is the same, be it one that it asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    place: Place,
    deed: Deed,
}

impl Kind {
    /// When it is its turn again, having been tried so often: a supervisor that is asked for something, or whose worker
    /// ends, has something to do, and comes twice as often as one that has not.
    pub(super) const fn is_due_after(&self, tried: u32) -> u32 {
        let has_to_act = matches!(self.deed, Deed::WorkerEnds | Deed::StartFails | Deed::Asked(_));
        if has_to_act { tried + 1 } else { 2 * (tried + 1) }
    }
}

impl Shot {
    pub(super) fn kind(&self) -> Kind {
        let place = match &self.spot {
            Spot::Near { between, .. } => Place::Near(*between),
            Spot::Call(spotted) => Place::Call(Meeting { nth: 1, ..spotted.meeting }),
        };
        Kind { place, deed: deed(&self.action) }
    }

    /// How long it is from the first of the two moments to the second, in nanoseconds; none, where the supervisor is
    /// held.
    pub(super) const fn window_ns(&self) -> u64 {
        match &self.spot {
            Spot::Near { gap, .. } => gap.to_ns - gap.from_ns,
            Spot::Call(_) => 0,
        }
    }

    /// The fault that it counts from, and when it strikes.
    fn strikes(&self) -> (Option<usize>, When) {
        match &self.spot {
            Spot::Near { gap, aim, .. } => {
                (gap.fault, When::After { back: 1, delay_ns: delay_ns(*gap, *aim) / 1000 * 1000 })
            }
            Spot::Call(Spotted { since, meeting, about_ns }) => {
                (*since, When::AtCall { back: 1, meeting: *meeting, about_ns: *about_ns })
            }
        }
    }

    /// The shot with the faults of its case up to the one that it counts from: as they strike in that case, or, so
    /// long after what came before, as they did in its story. `None`: some of them did not strike, or not one after
    /// the other, or it counts from the load's start, which comes once.
    pub(super) fn volley(&self, case: &Case, story: &Story, rest_ns: Option<u64>) -> Option<Vec<Strike>> {
        let (since, when) = self.strikes();
        let faults = since.map_or(0, |fault| fault + 1);
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
        strikes.push(Strike { when, action: self.action.clone() });
        Some(strikes)
    }
}

/// Faults that are aimed at moments of a case's story; `None`: it has none. Every pair of moments that follow each other
/// is as likely as any other, however often it comes, and so is every call.
pub(super) fn shots(case: &Case, story: &Story, abilities: &Abilities) -> Option<BoxedStrategy<Shot>> {
    let mut spots: Vec<BoxedStrategy<Spot>> = Vec::new();
    let kinds: Vec<((Mark, Mark), Vec<Gap>)> = gaps(case, story).into_iter().collect();
    if !kinds.is_empty() {
        let place = select(kinds).prop_flat_map(|(between, gaps)| (Just(between), select(gaps)));
        let near = (place, aim()).prop_map(|((between, gap), aim)| Spot::Near { between, gap, aim });
        spots.push(near.boxed());
    }
    let calls: Vec<Vec<Spotted>> = meet::spotted(case, story).into_values().collect();
    if !calls.is_empty() {
        spots.push(select(calls).prop_flat_map(select).prop_map(Spot::Call).boxed());
    }
    if spots.is_empty() {
        return None;
    }
    let shot = |(spot, action)| Shot { spot, action };
    Some((Union::new(spots), prompt(abilities)).prop_map(shot).boxed())
}

/// What is done at the instant for which it is ordered, each kind as often as any other that matters as much. Poison
/// strikes when a worker comes to its step, which is nobody's aim; and by which signal a worker dies is all the same to a
/// supervisor.
fn prompt(abilities: &Abilities) -> BoxedStrategy<Action> {
    let mut kinds: Vec<(u32, BoxedStrategy<Action>)> = Vec::new();
    let to = |whom: Target| {
        let is_it = move |action: &&Action| matches!(action, Action::Signal { to, .. } if *to == whom);
        abilities.signals.iter().filter(is_it).cloned().collect::<Vec<_>>()
    };
    let mut add = |weight: u32, actions: Vec<Action>| {
        if !actions.is_empty() {
            kinds.push((weight, select(actions).boxed()));
        }
    };
    add(4, to(Target::Worker));
    add(2, to(Target::Workers));
    add(1, abilities.harmless.clone());
    if !abilities.pauses.is_empty() {
        kinds.push((1, draw::pause(abilities)));
    }
    if !abilities.verbs.is_empty() {
        kinds.push((4, draw::control(abilities)));
    }
    if kinds.is_empty() { action(abilities) } else { Union::new_weighted(kinds).boxed() }
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

//! What is plainer than a case: fewer faults, rounder times, smaller loads, plainer surroundings. A strategy that
//! gives the case itself, and whose tree leads to what is plainer.

use proptest::strategy::{BoxedStrategy, Strategy};

use super::ability::Abilities;
use super::case::{Case, Session, Strike, Surroundings, When, lasts_ns};
use super::given::Given;
use crate::scenario::{Action, Arrivals, Drain};
use crate::words::CrashStep;

/// What a time is rounded to, the roundest first: in nanoseconds.
const ROUND_NS: [u64; 9] =
    [100_000_000, 50_000_000, 10_000_000, 5_000_000, 1_000_000, 500_000, 100_000, 10_000, 1_000];
/// And a share of the load, in thousandths.
const ROUND_SHARES: [u64; 4] = [500, 250, 100, 50];
/// A rate that is low, and one that is not: attempts per second.
const RATES: [f64; 3] = [100.0, 200.0, 500.0];
/// The shortest load that is tried, and longer ones, in nanoseconds.
const LENGTHS_NS: [u64; 4] = [20_000_000, 50_000_000, 100_000_000, 200_000_000];

/// The case, and what is plainer: first all that is dispensable goes.
pub(super) fn plainer(case: &Case, abilities: &Abilities) -> BoxedStrategy<Case> {
    let strikes: Vec<_> = case.strikes.iter().map(|strike| self::strike(strike, abilities)).collect();
    let all = case.strikes.clone();
    // A case that fails without any fault is not one of faults.
    let assemble = move |(strikes, around): (Vec<Option<Strike>>, Surroundings)| Case {
        strikes: kept(&all, strikes, around.length_ns),
        around,
    };
    (strikes, around(&case.around, abilities)).prop_map(assemble).boxed()
}

/// Those of all that are left, when they struck before: one that counted from what has gone counts from whatever that
/// counted from, for as much longer.
fn kept(all: &[Strike], left: Vec<Option<Strike>>, length_ns: u64) -> Vec<Strike> {
    let places: Vec<bool> = left.iter().map(Option::is_some).collect();
    let between = |from: usize, to: usize| places[from..to].iter().filter(|place| **place).count();
    let moved = |index: usize, back: usize, mut delay_ns: u64| {
        let mut anchor = index.checked_sub(back.max(1));
        while let Some(other) = anchor {
            if places[other] {
                return When::After { back: between(other, index), delay_ns };
            }
            delay_ns += lasts_ns(&all[other].action);
            anchor = match all[other].when {
                When::After { back, delay_ns: before_ns } => {
                    delay_ns += before_ns;
                    other.checked_sub(back.max(1))
                }
                When::AtCall { back, about_ns, .. } => {
                    delay_ns += about_ns;
                    other.checked_sub(back.max(1))
                }
                When::Share(share) => {
                    delay_ns += length_ns / 1000 * u64::from(share);
                    None
                }
            };
        }
        When::After { back: index + 1, delay_ns }
    };
    let left = left.into_iter().enumerate();
    let moved = left.filter_map(|(index, strike)| {
        let strike = strike?;
        let when = match strike.when {
            When::After { back, delay_ns } => moved(index, back, delay_ns),
            // The calls that it makes for whatever is left.
            When::AtCall { back, meeting, about_ns } => {
                let mut anchors = (0..index.saturating_sub(back.max(1) - 1)).rev();
                let anchor = anchors.find(|other| places[*other]);
                let back = anchor.map_or(index + 1, |anchor| between(anchor, index));
                When::AtCall { back, meeting, about_ns }
            }
            share @ When::Share(_) => share,
        };
        Some(Strike { when, ..strike })
    });
    moved.collect()
}

fn strike(strike: &Strike, abilities: &Abilities) -> impl Strategy<Value = Option<Strike>> + use<> {
    let stays = Given::new(true, [false]);
    let parts = (stays, action(&strike.action, abilities), when(strike.when));
    parts.prop_map(|(stays, action, when)| stays.then_some(Strike { when, action }))
}

fn when(when: When) -> Given<When> {
    let plainer: Vec<When> = match when {
        // Whether it has to be at that very call.
        When::AtCall { back, about_ns, .. } => {
            let times = [0, about_ns / 1_000 * 1_000];
            times.into_iter().map(|delay_ns| When::After { back, delay_ns }).collect()
        }
        When::Share(share) => rounder(u64::from(share), &ROUND_SHARES)
            .filter_map(|share| u16::try_from(share).ok().map(When::Share))
            .collect(),
        When::After { back, delay_ns } => {
            let rounder = std::iter::once(0).chain(rounder(delay_ns, &ROUND_NS));
            rounder.map(|delay_ns| When::After { back, delay_ns }).collect()
        }
    };
    Given::new(when, plainer)
}

/// The nearest multiples of these, but for 0 and what is no rounder.
fn rounder(value: u64, units: &[u64]) -> impl Iterator<Item = u64> {
    let nearest = units.iter().map(move |unit| (value + unit / 2) / unit * unit);
    nearest.filter(move |rounded| *rounded > 0 && *rounded != value)
}

/// What is plainer than a fault of its kind: the plainest of its kind, and the plainest of all.
fn action(action: &Action, abilities: &Abilities) -> Given<Action> {
    let kill = abilities.plainest().cloned();
    let plainer: Vec<Action> = match action {
        Action::Signal { to, .. } => {
            let same = abilities.signals.iter().filter(|other| is_to(other, *to)).take(1).cloned();
            kill.into_iter().chain(same).collect()
        }
        Action::Poison(poison) => {
            let is_same_step =
                |other: &&Action| matches!(other, Action::Poison(it) if it.step == poison.step);
            let same = abilities.poisons.iter().find(is_same_step).cloned();
            kill.into_iter().chain(abilities.poisons.first().cloned()).chain(same).collect()
        }
        Action::Crash { step: CrashStep::Boot, mode, times } => {
            let of = |times| Action::Crash { step: CrashStep::Boot, mode: *mode, times };
            kill.into_iter().chain((1..*times).map(of)).collect()
        }
        Action::Crash { .. } => kill.into_iter().collect(),
        Action::Pause { whom, for_ns } => {
            let shorter = for_ns.iter().flat_map(|ns| rounder(*ns, &ROUND_NS).collect::<Vec<_>>());
            shorter.map(|ns| Action::Pause { whom: *whom, for_ns: Some(ns) }).collect()
        }
        Action::Control { .. } => Vec::new(),
    };
    Given::new(action.clone(), plainer)
}

fn is_to(action: &Action, target: crate::scenario::Target) -> bool {
    matches!(action, Action::Signal { to, .. } if *to == target)
}

fn around(around: &Surroundings, abilities: &Abilities) -> BoxedStrategy<Surroundings> {
    let plainest = abilities.plainest_around(around.length_ns);
    let listen = (
        Given::new(around.transport, [plainest.transport]),
        Given::new(around.backlog, [plainest.backlog]),
        Given::new(around.session, [None, around.session.map(|it| Session { requests: 2, ..it })]),
    );
    let workers = (
        Given::new(around.workers, abilities.workers.clone()),
        Given::new(around.boot_ns, times(around.boot_ns)),
        Given::new(around.work_ns, times(around.work_ns)),
        Given::new(around.drain, [Drain::Graceful]),
    );
    let load = (
        Given::new(around.arrivals, loads(around.arrivals)),
        Given::new(around.length_ns, LENGTHS_NS.into_iter().filter(|ns| *ns < around.length_ns)),
    );
    (listen, workers, load)
        .prop_map(|(listen, workers, load)| Surroundings {
            transport: listen.0,
            backlog: listen.1,
            session: listen.2,
            workers: workers.0,
            boot_ns: workers.1,
            work_ns: workers.2,
            drain: workers.3,
            arrivals: load.0,
            length_ns: load.1,
        })
        .boxed()
}

/// Nothing at all, and what is rounder.
fn times(ns: u64) -> Vec<u64> {
    std::iter::once(0).chain(rounder(ns, &ROUND_NS)).collect()
}

/// Evenly spaced and sparse is plainest.
fn loads(arrivals: Arrivals) -> Vec<Arrivals> {
    let even = RATES.into_iter().map(|per_second| Arrivals::Constant { per_second });
    match arrivals {
        Arrivals::Constant { per_second } => {
            let lower = RATES.into_iter().filter(|rate| *rate < per_second);
            lower.map(|per_second| Arrivals::Constant { per_second }).collect()
        }
        Arrivals::Poisson { .. }
        | Arrivals::Burst { .. }
        | Arrivals::Sequential { .. }
        | Arrivals::Closed { .. }
        | Arrivals::Ramp { .. } => even.collect(),
    }
}

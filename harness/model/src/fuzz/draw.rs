//! Strategies that draw a case as a value.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Union};

use super::ability::Abilities;
use super::case::{Case, Session, Strike, Surroundings, When};
use crate::scenario::{Action, Arrivals, Drain};
use crate::words::{CrashStep, Verb};

/// The most faults of a case that is drawn.
const STRIKES_MAX: usize = 5;
/// The shortest load, and the longest: what a supervisor takes to restart a worker decides.
const LENGTH_NS: (u64, u64) = (30_000_000, 3_000_000_000);
/// The longest that a worker takes to boot, in milliseconds: enough that something can happen meanwhile.
const BOOT_MS_MAX: u64 = 25;
/// The longest that a worker works on a request, in microseconds.
const WORK_US_MAX: u64 = 3_000;
/// The longest pause, in microseconds.
const PAUSE_US_MAX: u64 = 30_000;
/// The most starts that fail.
const TIMES_MAX: u32 = 3;

/// Cases of what a supervisor can do, whose faults strike close to each other as often as not: from one to the next,
/// evenly over the orders of magnitude.
pub(super) fn cases(abilities: &Abilities) -> BoxedStrategy<Case> {
    with(when(abilities).boxed(), abilities)
}

/// The same, all of whose times are drawn uniformly over the load.
pub(super) fn uniform_cases(abilities: &Abilities) -> BoxedStrategy<Case> {
    with(share().boxed(), abilities)
}

fn with(when: BoxedStrategy<When>, abilities: &Abilities) -> BoxedStrategy<Case> {
    let strike = (when, action(abilities)).prop_map(|(when, action)| Strike { when, action });
    let strikes = prop::collection::vec(strike, 1..=STRIKES_MAX);
    (strikes, around(abilities)).prop_map(|(strikes, around)| Case { strikes, around }.tidy()).boxed()
}

fn share() -> impl Strategy<Value = When> + use<> {
    (0..=900_u16).prop_map(When::Share)
}

pub(super) fn when(abilities: &Abilities) -> impl Strategy<Value = When> + use<> {
    let longest_ns = (2 * abilities.pace_ns).clamp(20_000_000, LENGTH_NS.1);
    let after = (1..=2_usize, delay(1_000, longest_ns));
    prop_oneof![
        2 => share(),
        3 => after.prop_map(|(back, delay_ns)| When::After { back, delay_ns }),
    ]
}

/// A time in whole microseconds, evenly over the orders of magnitude.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the given bounds")]
pub(super) fn delay(from_ns: u64, to_ns: u64) -> impl Strategy<Value = u64> {
    let (from, to) = ((from_ns as f64).ln(), (to_ns as f64).ln());
    (from..to).prop_map(|power| (power.exp() / 1000.0).round() as u64 * 1000)
}

/// What is done: the commonest of deaths most often, everything else now and then.
pub(super) fn action(abilities: &Abilities) -> BoxedStrategy<Action> {
    let mut all: Vec<(u32, BoxedStrategy<Action>)> = Vec::new();
    let mut add = |weight: u32, actions: &[Action]| {
        if !actions.is_empty() {
            all.push((weight, select(actions.to_vec()).boxed()));
        }
    };
    add(6, &abilities.signals);
    add(6, &abilities.poisons);
    add(1, &abilities.harmless);
    let crashes = abilities.crashes.clone();
    if !crashes.is_empty() {
        let times = (select(crashes), 1..=TIMES_MAX).prop_map(|(action, times)| with_times(action, times));
        all.push((3, times.boxed()));
    }
    if !abilities.pauses.is_empty() {
        all.push((2, pause(abilities)));
    }
    if !abilities.verbs.is_empty() {
        all.push((5, control(abilities)));
    }
    Union::new_weighted(all).boxed()
}

/// A pause of somebody who can be stopped; there is one at least.
pub(super) fn pause(abilities: &Abilities) -> BoxedStrategy<Action> {
    let pause = (select(abilities.pauses.clone()), 1..=PAUSE_US_MAX);
    pause.prop_map(|(whom, us)| Action::Pause { whom, for_ns: Some(us * 1000) }).boxed()
}

/// Something that is asked of the supervisor, which can do one thing at least.
pub(super) fn control(abilities: &Abilities) -> BoxedStrategy<Action> {
    let control =
        |(verb, workers)| Action::Control { verb, workers: (verb == Verb::Scale).then_some(workers) };
    (select(abilities.verbs.clone()), abilities.workers.clone()).prop_map(control).boxed()
}

fn with_times(action: Action, times: u32) -> Action {
    match action {
        Action::Crash { step: CrashStep::Boot, mode, .. } => {
            Action::Crash { step: CrashStep::Boot, mode, times }
        }
        Action::Crash { .. }
        | Action::Poison(_)
        | Action::Signal { .. }
        | Action::Pause { .. }
        | Action::Control { .. } => action,
    }
}

fn around(abilities: &Abilities) -> impl Strategy<Value = Surroundings> + use<> {
    let shortest_ns = abilities.pace_ns.clamp(LENGTH_NS.0, LENGTH_NS.1);
    let lengths_ms = shortest_ns / 1_000_000..=(2 * shortest_ns).min(LENGTH_NS.1) / 1_000_000;
    let own = if abilities.obeys { 1 } else { 0 };
    let workers = (abilities.workers.clone(), 0..=BOOT_MS_MAX * own, 0..=WORK_US_MAX * own, drain(abilities));
    // Slow workers are the exception: most of what happens, happens at once.
    let workers = (workers, 0..3_u8, 0..3_u8).prop_map(|((count, boot, work, drain), slow, busy)| {
        (count, if slow == 0 { boot } else { boot / 8 }, if busy == 0 { work } else { 0 }, drain)
    });
    let listen = (select(weighted(&abilities.transports)), select(vec![128, 16, 512]));
    (listen, workers, (arrivals(), lengths_ms, session())).prop_map(|(listen, workers, load)| Surroundings {
        transport: listen.0,
        backlog: listen.1,
        workers: workers.0,
        boot_ns: workers.1 * 1_000_000,
        work_ns: workers.2 * 1_000,
        drain: workers.3,
        arrivals: load.0,
        length_ns: load.1 * 1_000_000,
        session: load.2,
    })
}

/// The first as often as all others together.
fn weighted<T: Clone>(all: &[T]) -> Vec<T> {
    let first = all.first().into_iter().cycle().take(all.len().saturating_sub(1).max(1));
    first.chain(all.iter().skip(1)).cloned().collect()
}

fn drain(abilities: &Abilities) -> impl Strategy<Value = Drain> + use<> {
    // One that dies at once loses what it has in hand, which is what it was told to do.
    select(if abilities.obeys { vec![Drain::Graceful, Drain::Patient] } else { vec![Drain::Graceful] })
}

fn arrivals() -> impl Strategy<Value = Arrivals> {
    prop_oneof![
        4 => (2..=20_u32).prop_map(|rate| Arrivals::Constant { per_second: f64::from(rate * 50) }),
        3 => (2..=20_u32).prop_map(|rate| Arrivals::Poisson { per_second: f64::from(rate * 50) }),
        2 => (2..=10_u32, 5..=20_u64)
            .prop_map(|(size, every_ms)| Arrivals::Burst { size, every_ns: every_ms * 1_000_000 }),
        1 => (1..=5_u64).prop_map(|ms| Arrivals::Sequential { gap_ns: ms * 1_000_000 }),
    ]
}

fn session() -> impl Strategy<Value = Option<Session>> {
    let session = (2..=5_u16, 1..=8_u64);
    let session = session.prop_map(|(requests, ms)| Some(Session { requests, gap_ns: ms * 1_000_000 }));
    prop_oneof![5 => Just(None), 1 => session]
}

//! One fault of a trial: one value with one state.

use super::aim::Aim;
use super::event::{Hit, Order};
use super::moments::Moment;
use crate::scenario::{self, Action, AtCall, Target};
use crate::words::CrashStep;

/// How far a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its moment has not come, which is this instant if it is known.
    Waits(Option<u64>),
    /// The load thread strikes with it, or says when it is due.
    WithLoad,
    /// It strikes when the supervisor comes to a call.
    WithCall,
    /// Its moment has come, and who there is to be hit is being looked at.
    Aims {
        /// When it came.
        at_ns: u64,
    },
    /// It is ordered, and what became of it is not known yet.
    Due {
        /// When its moment came.
        at_ns: u64,
    },
    /// It has struck, and something is to be undone: at this instant, if one is set.
    Lasts {
        /// When, in CLOCK_MONOTONIC nanoseconds.
        until_ns: Option<u64>,
    },
    /// Its undoing is ordered.
    Heals,
    /// It is over for good.
    Final(End),
}

/// How a fault ends. Each ends in exactly one of these ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It struck, and what lasted is undone.
    Over,
    /// It could not be injected, or what was asked for failed.
    Failed,
    /// There was nobody whom it could have struck.
    HitNobody,
    /// The trial ended before it was due.
    NeverStruck,
}

/// A fault and how far it is.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) action: Action,
    pub(super) state: State,
    /// The program that is meant; `None`: the one that has the service's address.
    pub(super) program: Option<String>,
    /// The fault that it waits for, as long as that is not over, and how long after it.
    pub(super) after: Option<(usize, u64)>,
    /// The call at which it strikes, if it is one.
    pub(super) at_call: Option<AtCall>,
    /// Whether it was injected in part only, so that what struck is undone.
    pub(super) has_failed: bool,
    /// The attempt whose worker is to be killed in place of poison.
    pub(super) victim: Option<u32>,
}

impl Fault {
    /// A fault that is due at a moment.
    pub(super) fn new(planned: &scenario::Fault, moment: Moment) -> Self {
        let action = &planned.action;
        let is_poison = matches!(action, Action::Poison(_));
        let (state, after) = match moment {
            Moment::BeforeStart => (State::Lasts { until_ns: None }, None),
            Moment::Attempt(_) => (State::WithLoad, None),
            Moment::At(_) if is_poison => (State::WithLoad, None),
            Moment::At(at_ns) => (State::Waits(Some(at_ns)), None),
            Moment::After { fault, delay_ns } => (State::Waits(None), Some((fault, delay_ns))),
            Moment::Call(_) => (State::WithCall, None),
        };
        let at_call = match moment {
            Moment::Call(at_call) => Some(at_call),
            Moment::BeforeStart | Moment::Attempt(_) | Moment::At(_) | Moment::After { .. } => None,
        };
        let program = planned.target.clone();
        Self { action: action.clone(), state, program, after, at_call, has_failed: false, victim: None }
    }

    /// Who is looked at before it is injected; `None`: it is aimed at nobody in particular.
    pub(super) const fn target(&self) -> Option<Target> {
        match self.action {
            Action::Signal { to, .. } => Some(to),
            Action::Pause { whom, .. } => Some(whom),
            // An idle worker must be told that it is meant.
            Action::Crash { step: CrashStep::Idle, .. } => Some(Target::Worker),
            Action::Poison(_) | Action::Crash { .. } | Action::Control { .. } => None,
        }
    }

    /// The order that injects it; poison goes with an attempt.
    pub(super) fn order(&self, fault: usize, aim: Aim) -> Option<Order> {
        let Aim { among, each } = aim;
        Some(match self.action {
            Action::Poison(_) => return None,
            Action::Crash { step, mode, times } => Order::Arm { fault, step, mode, times, among },
            Action::Signal { to, signal } => Order::Signal { fault, to, signal, among, each },
            Action::Pause { whom, .. } => Order::Pause { fault, whom, among, each },
            Action::Control { verb, workers } => {
                Order::Ask { fault, verb, workers, program: self.program.clone() }
            }
        })
    }

    /// Whether it stops processes, which go on when it is undone.
    pub(super) fn stops(&self) -> bool {
        match self.action {
            Action::Signal { signal, .. } => signal.stops(),
            Action::Pause { .. } => true,
            Action::Poison(_) | Action::Crash { .. } | Action::Control { .. } => false,
        }
    }

    /// When it next does something by itself.
    pub(super) const fn wake_at(&self) -> Option<u64> {
        match self.state {
            State::Waits(at_ns) => at_ns,
            State::Lasts { until_ns } => until_ns,
            State::WithLoad
            | State::WithCall
            | State::Aims { .. }
            | State::Due { .. }
            | State::Heals
            | State::Final(_) => None,
        }
    }

    /// Takes in what became of the order that injected it, which was given at `ordered_ns`.
    pub(super) fn answered(&mut self, hit: Hit, ordered_ns: u64) {
        self.state = match hit {
            Hit::Nobody => State::Final(End::HitNobody),
            Hit::Failed => State::Final(End::Failed),
            Hit::Struck => self.lasting(ordered_ns),
        };
    }

    fn lasting(&self, ordered_ns: u64) -> State {
        match self.action {
            Action::Signal { signal, .. } if !signal.stops() => State::Final(End::Over),
            Action::Poison(_) => State::Final(End::Over),
            Action::Pause { for_ns, .. } => {
                State::Lasts { until_ns: for_ns.map(|ns| ordered_ns.saturating_add(ns)) }
            }
            Action::Signal { .. } | Action::Crash { .. } | Action::Control { .. } => {
                State::Lasts { until_ns: None }
            }
        }
    }

    /// Whether those that follow it may count from its strike, and not from its undoing.
    pub(super) const fn is_over_at_once(&self) -> bool {
        match self.action {
            Action::Poison(_) | Action::Signal { .. } => true,
            Action::Crash { step, .. } => matches!(step, CrashStep::Idle),
            Action::Pause { .. } | Action::Control { .. } => false,
        }
    }

    /// Whether a control verb is under way.
    pub(super) const fn is_asking(&self) -> bool {
        matches!((&self.action, self.state), (Action::Control { .. }, State::Lasts { .. }))
    }
}

//! The course of one fault: it is due, aimed, answered, undone, and over, and those that wait for it are due.

use super::aim::{Aim, Sighting, aim};
use super::event::{Hit, Order, Why};
use super::fault::{End, State};
use super::{Conductor, ordinal};
use crate::deed::Deed;
use crate::hindrance::Hindrance;
use crate::ledger::InjectedDeath;
use crate::reason::Note;
use crate::scenario::{Action, Target};

impl Conductor {
    pub(super) fn strike(&mut self, index: usize, now_ns: u64) -> Option<Order> {
        let fault = &mut self.faults[index];
        if let Some(whom) = fault.target() {
            fault.state = State::Aims { at_ns: now_ns };
            return Some(Order::Look { fault: index, whom, program: fault.program.clone() });
        }
        let order = fault.order(index, Aim::default())?;
        fault.state = State::Due { at_ns: now_ns };
        Some(order)
    }

    /// Aims at those who are seen. Nobody is ordered to be hit as well, so that it is said that nobody was.
    pub(super) fn sighted(&mut self, index: usize, seen: &Sighting) -> Vec<Order> {
        let Some(fault) = self.faults.get_mut(index) else { return Vec::new() };
        let (State::Aims { at_ns }, Some(whom)) = (fault.state, fault.target()) else { return Vec::new() };
        match aim(whom, seen) {
            Ok(aim) => {
                fault.state = State::Due { at_ns };
                fault.order(index, aim).into_iter().collect()
            }
            Err(error) => {
                fault.state = State::Final(End::Failed);
                let deed = Deed::from(&fault.action);
                self.note_fault(index, at_ns, deed, Some(error));
                Vec::new()
            }
        }
    }

    /// Orders the undoing of a fault, if it lasts.
    pub(super) fn heal(&mut self, index: usize, why: Why) -> Option<Order> {
        let fault = self.faults.get_mut(index)?;
        if !matches!(fault.state, State::Lasts { .. }) {
            return None;
        }
        fault.state = State::Heals;
        Some(Order::Heal { fault: index, why, resume: self.pauses.release(index) })
    }

    pub(super) fn attempt_due(&mut self, index: usize, at_ns: u64) -> Vec<Order> {
        let is_with_load = self.faults.get(index).is_some_and(|fault| fault.state == State::WithLoad);
        if self.ended || !is_with_load { Vec::new() } else { self.strike(index, at_ns).into_iter().collect() }
    }

    /// The supervisor stands at the call of a fault. It is let go without one when nobody is to be hit any more.
    pub(super) fn call_reached(&mut self, index: usize, at_ns: u64) -> Vec<Order> {
        let is_with_call = self.faults.get(index).is_some_and(|fault| fault.state == State::WithCall);
        let is_late = self.ended || self.stop_asked || self.load_ended;
        if is_late || !is_with_call { Vec::new() } else { self.strike(index, at_ns).into_iter().collect() }
    }

    /// For a while the supervisor did nothing, through no fault of its own.
    pub(super) fn call_left(&mut self, index: usize) {
        if let Some(fault) = self.faults.get(index) {
            let action = Deed::from(&fault.action).into();
            self.notes.push(Note::StoodStill { fault: ordinal(index), action });
        }
    }

    pub(super) fn poisoned(
        &mut self,
        index: usize,
        attempt: u32,
        at_ns: u64,
        deed: Deed,
        error: Option<Hindrance>,
    ) -> Vec<Order> {
        let Some(fault) = self.faults.get_mut(index).filter(|fault| fault.state == State::WithLoad) else {
            return Vec::new();
        };
        fault.state = State::Final(if error.is_some() { End::Failed } else { End::Over });
        self.note_fault(index, at_ns, deed, error);
        if let Some(fact) = self.facts.last_mut() {
            fact.poison = Some(attempt);
        }
        self.completed(index, at_ns)
    }

    pub(super) fn signalled(&mut self, index: usize, pid: u32, at_ns: u64) {
        let action = self.faults.get(index).map(|fault| &fault.action);
        let Some(Action::Signal { to, signal }) = action else { return };
        if !signal.is_crash() {
            return;
        }
        self.deaths.push(InjectedDeath { pid, at_ns, had: None });
        if *to == Target::Supervisor {
            self.killed.push((index, at_ns));
        }
    }

    pub(super) fn answered(
        &mut self,
        index: usize,
        hit: Hit,
        pids: &[u32],
        at_ns: u64,
        error: Option<Hindrance>,
    ) -> Vec<Order> {
        let Some(fault) = self.faults.get_mut(index) else { return Vec::new() };
        let State::Due { at_ns: ordered_ns } = fault.state else { return Vec::new() };
        fault.answered(hit, ordered_ns);
        let stops = fault.stops();
        if stops {
            self.pauses.hold(index, pids);
        }
        if stops && hit == Hit::Failed && !pids.is_empty() {
            // Those that it could stop go on as soon as it is known who else stops them.
            (fault.state, fault.has_failed) = (State::Lasts { until_ns: Some(at_ns) }, true);
        }
        let is_over_at_once = fault.is_over_at_once();
        let deed = Deed::from(&fault.action);
        let victim = fault.victim;
        if hit == Hit::Nobody {
            let (fault, action) = (ordinal(index), deed.into());
            self.notes.push(match victim {
                Some(attempt) => Note::NobodyHadIt { fault, action, attempt },
                None => Note::HitNobody { fault, action },
            });
        }
        self.note_fault(index, ordered_ns, deed, error);
        if let Some(fact) = self.facts.last_mut() {
            fact.poison = victim;
            fact.hit_nobody = hit == Hit::Nobody;
        }
        match hit {
            Hit::Struck if is_over_at_once => self.completed(index, at_ns),
            Hit::Nobody => self.completed(index, at_ns),
            Hit::Struck | Hit::Failed => Vec::new(),
        }
    }

    pub(super) fn armed_struck(&mut self, index: usize) -> Vec<Order> {
        match self.faults.get_mut(index) {
            Some(fault) if !self.ended && matches!(fault.action, Action::Crash { .. }) => {
                self.heal(index, Why::HasStruck).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn control_done(&mut self, index: usize, at_ns: u64, error: Option<Hindrance>) -> Vec<Order> {
        let Some(fault) = self.faults.get_mut(index).filter(|fault| fault.is_asking()) else {
            return Vec::new();
        };
        fault.state = State::Final(if error.is_some() { End::Failed } else { End::Over });
        if let Some(fact) = self.facts.iter_mut().find(|fact| fact.fault == index) {
            fact.done_ns = Some(at_ns);
            fact.error = error;
        }
        self.completed(index, at_ns)
    }

    pub(super) fn healed(&mut self, index: usize, at_ns: u64, unused: bool) -> Vec<Order> {
        let Some(fault) = self.faults.get_mut(index).filter(|fault| fault.state == State::Heals) else {
            return Vec::new();
        };
        if fault.has_failed {
            fault.state = State::Final(End::Failed);
            return Vec::new();
        }
        fault.state = State::Final(if unused { End::HitNobody } else { End::Over });
        if let (true, Action::Crash { step, .. }) = (unused, &fault.action) {
            let action = Deed::from(&fault.action).into();
            self.notes.push(Note::NobodyCame { fault: ordinal(index), action, step: *step });
        }
        if let Some(fact) = self.facts.iter_mut().find(|fact| fact.fault == index) {
            fact.done_ns = Some(at_ns);
        }
        self.completed(index, at_ns)
    }

    /// Sets the moments of those that waited for a fault that is over now. Poison is handed out with its
    /// instant at once, so that it goes with the very first attempt from then on.
    pub(super) fn completed(&mut self, index: usize, at_ns: u64) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.ended {
            return orders;
        }
        for (follower, fault) in self.faults.iter_mut().enumerate() {
            let Some((after, delay_ns)) = fault.after.filter(|_| fault.state == State::Waits(None)) else {
                continue;
            };
            if after != index {
                continue;
            }
            fault.after = None;
            let due_ns = at_ns.saturating_add(delay_ns);
            if matches!(fault.action, Action::Poison(_)) {
                fault.state = State::WithLoad;
                orders.push(Order::HandOut { fault: follower, due_ns });
            } else {
                fault.state = State::Waits(Some(due_ns));
            }
        }
        orders
    }
}

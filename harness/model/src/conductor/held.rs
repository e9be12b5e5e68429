//! Attempts whose worker is killed in place of poison.

use super::fault::{End, Fault, State};
use super::{Conductor, Order, ordinal};
use crate::deed::Deed;
use crate::ledger::InjectedDeath;
use crate::reason::Note;
use crate::scenario::Action;

impl Conductor {
    /// Whoever comes to have this attempt will be killed.
    pub(super) fn held_back(&mut self, index: usize, attempt: u32, at_ns: u64) {
        let is_poison =
            |fault: &&mut Fault| fault.state == State::WithLoad && matches!(fault.action, Action::Poison(_));
        if let Some(fault) = self.faults.get_mut(index).filter(is_poison) {
            fault.state = State::Due { at_ns };
            fault.victim = Some(attempt);
        }
    }

    pub(super) fn holder_killed(
        &mut self,
        index: usize,
        attempt: u32,
        pid: u32,
        supervises: bool,
        at_ns: u64,
    ) -> Vec<Order> {
        let is_meant =
            |fault: &&mut Fault| fault.victim == Some(attempt) && matches!(fault.state, State::Due { .. });
        let Some(fault) = self.faults.get_mut(index).filter(is_meant) else { return Vec::new() };
        let Action::Poison(poison) = fault.action else { return Vec::new() };
        fault.state = State::Final(End::Over);
        let action = Deed::from(&fault.action).into();
        self.deaths.push(InjectedDeath { pid, at_ns, had: Some(attempt) });
        let deed = Deed::KillHolder { attempt, pid, step: poison.step, mode: poison.mode };
        self.note_fault(index, at_ns, deed, None);
        if let Some(fact) = self.facts.last_mut() {
            fact.poison = Some(attempt);
            fact.killed = true;
        }
        let fault = ordinal(index);
        self.notes.push(Note::KilledInstead { fault, action, attempt, pid, supervises });
        self.completed(index, at_ns)
    }
}

//! Decides what happens in a trial: it is told events with their instants, answers with orders, and says
//! when it next wants to be woken. It reads no clock and does nothing itself, so that any order of events
//! can be tested with values; the harness watches, and does what it is told. Events and orders together
//! are the log of a trial, `events.jsonl`.
//!
//! ```text
//! Waits ──▶ Aims ──▶ Due ──▶ Lasts ──▶ Heals ──▶ Final(Over | Failed)
//!   │        ├──────▶ ├──▶ Final(Over | Failed | HitNobody)
//!   ├▶ WithLoad ──▶ Aims or Due, or Final(Over) where the attempt carried it
//!   ├▶ WithCall ──▶ Aims or Due
//!   └──────────▶ Final(NeverStruck), when the trial ends
//! ```
//!
//! Whom a fault hits is chosen here ([`aim`]): it is looked who there is, and the order names them. So is who
//! goes on when a pause is over ([`pauses`]). Whoever carries out an order chooses nobody.
//!
//! Once the load has ended and no fault is due or under way, what is counted is counted; and where it is not
//! known how the story ends, the service is watched: see [`watch`].

mod account;
mod aim;
mod course;
mod event;
mod fault;
mod held;
mod moments;
mod pauses;
mod watch;
mod words;

pub use aim::{KnownBy, SeenWorker, Sighting, Standing};
pub use event::{Event, Hit, Order, SCHEMA, Why};
pub use fault::{End, State};
pub use moments::{Moment, Moments, strikes_before_start};
pub use words::faults_in_words;

use crate::deed::Deed;
use crate::exit::Exit;
use crate::facts::{FaultFact, ProcessEnd};
use crate::hindrance::Hindrance;
use crate::ledger::InjectedDeath;
use crate::mishap::LeftRunning;
use crate::reason::Note;
use crate::scenario::{Action, Scenario};
use crate::watch::{Found, LastRequest};

use self::fault::Fault;
use self::pauses::Pauses;
use self::watch::Watch;

/// Decides what happens in a trial while its load runs.
#[derive(Debug)]
pub struct Conductor {
    faults: Vec<Fault>,
    pauses: Pauses,
    moments: Moments,
    facts: Vec<FaultFact>,
    exits: Vec<ProcessEnd>,
    deaths: Vec<InjectedDeath>,
    /// The faults that killed a supervisor, or one that was about to take over, and when.
    killed: Vec<(usize, u64)>,
    notes: Vec<Note>,
    load_ended: bool,
    /// The last request that was due of the load.
    last: Option<LastRequest>,
    watch: Watch,
    stop_asked: bool,
    ended: bool,
}

impl Conductor {
    /// Of a scenario whose faults are due at these moments.
    #[must_use]
    pub fn new(scenario: &Scenario, moments: Moments) -> Self {
        let faults = scenario.faults.iter().zip(&moments.due);
        let mut conductor = Self {
            faults: faults.map(|(fault, moment)| Fault::new(fault, *moment)).collect(),
            pauses: Pauses::default(),
            facts: Vec::new(),
            exits: Vec::new(),
            deaths: Vec::new(),
            killed: Vec::new(),
            notes: Vec::new(),
            load_ended: false,
            last: None,
            watch: Watch::new(scenario.load.patience_ns),
            stop_asked: false,
            ended: false,
            moments,
        };
        let start_ns = conductor.moments.start_ns;
        for fault in 0..conductor.faults.len() {
            if conductor.moments.due[fault] == Moment::BeforeStart {
                let deed = Deed::from(&conductor.faults[fault].action);
                conductor.note_fault(fault, start_ns, deed, None);
            }
        }
        conductor
    }

    /// Whether the user has asked for an early end.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.stop_asked
    }

    /// How far each fault is, in the scenario's order.
    pub fn states(&self) -> impl Iterator<Item = State> {
        self.faults.iter().map(|fault| fault.state)
    }

    /// The faults that are armed now, in which workers are to be watched for having come to them.
    pub fn armed(&self) -> impl Iterator<Item = usize> {
        let is_armed = |fault: &Fault| {
            matches!((&fault.action, fault.state), (Action::Crash { .. }, State::Lasts { .. }))
        };
        self.faults.iter().enumerate().filter(move |(_, fault)| is_armed(fault)).map(|(index, _)| index)
    }

    /// When it wants to be woken, in CLOCK_MONOTONIC nanoseconds; `None`: only by events.
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        if self.ended {
            return None;
        }
        self.fault_at().into_iter().chain(self.watch.wake_at()).min()
    }

    /// When the next fault strikes or is undone, as far as that is a matter of time, in CLOCK_MONOTONIC nanoseconds.
    #[must_use]
    pub fn fault_at(&self) -> Option<u64> {
        if self.ended {
            return None;
        }
        let waits = self.faults.iter().filter(|fault| self.may_strike(fault) && self.may_heal(fault));
        waits.filter_map(Fault::wake_at).min()
    }

    /// Whether a fault that waits for an instant may still strike: not once the user has asked to stop, nor
    /// when the load is over.
    fn may_strike(&self, fault: &Fault) -> bool {
        !((self.stop_asked || !self.watch.is_awaited()) && matches!(fault.state, State::Waits(_)))
    }

    /// Whether what a fault does may be undone: while another is about to stop processes, it is not known who
    /// of those that this one stops stays stopped.
    fn may_heal(&self, fault: &Fault) -> bool {
        let is_stopping = |other: &Fault| other.stops() && matches!(other.state, State::Due { .. });
        !(fault.stops() && matches!(fault.state, State::Lasts { .. }) && self.faults.iter().any(is_stopping))
    }

    /// Whether the service is watched, which ends when nothing is left that could come back.
    #[must_use]
    pub const fn is_watching(&self) -> bool {
        self.watch.goes_on()
    }

    /// Whether nothing is left to be waited for: the load is over, what is counted was ordered to be, and the
    /// service is not watched any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.watch.is_over()
    }

    /// Whether the load has ended, no fault is being injected, no control verb is under way, and no fault is due
    /// within its length.
    fn is_load_over(&self) -> bool {
        let is_due = |fault: &Fault| {
            matches!(fault.state, State::Waits(Some(at_ns)) if at_ns <= self.moments.last_ns)
                && self.may_strike(fault)
        };
        let is_under_way = |fault: &Fault| {
            fault.is_asking() || matches!(fault.state, State::Aims { .. } | State::Due { .. })
        };
        self.load_ended && !self.faults.iter().any(|fault| is_under_way(fault) || is_due(fault))
    }

    /// Orders what is due by now.
    pub fn wake(&mut self, now_ns: u64) -> Vec<Order> {
        let mut orders = Vec::new();
        if self.ended {
            return orders;
        }
        for index in 0..self.faults.len() {
            match self.faults[index].state {
                State::Waits(Some(at_ns)) if at_ns <= now_ns && self.may_strike(&self.faults[index]) => {
                    orders.extend(self.strike(index, now_ns));
                }
                State::Lasts { until_ns: Some(until_ns) }
                    if until_ns <= now_ns && self.may_heal(&self.faults[index]) =>
                {
                    let why = if self.faults[index].has_failed { Why::Failed } else { Why::TimeOver };
                    orders.extend(self.heal(index, why));
                }
                State::Waits(_)
                | State::WithLoad
                | State::WithCall
                | State::Aims { .. }
                | State::Due { .. }
                | State::Lasts { .. }
                | State::Heals
                | State::Final(_) => {}
            }
        }
        orders.extend(self.after_the_load(now_ns));
        orders
    }

    /// What comes once the load is over: first of all what is counted is counted, so that nothing of the watch
    /// is among it.
    fn after_the_load(&mut self, now_ns: u64) -> Option<Order> {
        if !self.watch.is_awaited() {
            return self.watch.wake(now_ns);
        }
        if !self.is_load_over() {
            return None;
        }
        let is_needed = !self.stop_asked && !self.is_end_known();
        self.watch.decide(now_ns, is_needed);
        Some(Order::Count)
    }

    /// Whether the load has shown how the story ends: the last request was served, and due after all that was
    /// done to the system.
    fn is_end_known(&self) -> bool {
        let struck = self.facts.iter().filter(|fact| fact.error.is_none());
        match struck.map(|fact| fact.at_ns).max() {
            Some(last_fault_ns) => self.last.is_some_and(|last| last.served && last.due_ns > last_fault_ns),
            // Nothing was done to it, but it may have ended all by itself. Who never served cannot come back.
            None => self.last.is_none_or(|last| last.served || !last.any_served),
        }
    }

    /// Takes in what happened, and answers with what is to be done about it.
    pub fn tell(&mut self, at_ns: u64, event: &Event) -> Vec<Order> {
        match event {
            Event::AttemptDue { fault, .. } => self.attempt_due(*fault, at_ns),
            Event::CallReached { fault, .. } => self.call_reached(*fault, at_ns),
            Event::CallLeft { fault, .. } => {
                self.call_left(*fault);
                Vec::new()
            }
            Event::Sighted { fault, seen } => self.sighted(*fault, seen),
            Event::Poisoned { fault, attempt, step, mode, error } => {
                let deed = Deed::Poison { attempt: Some(*attempt), step: *step, mode: *mode };
                self.poisoned(*fault, *attempt, at_ns, deed, error.clone())
            }
            Event::HeldBack { fault, attempt } => {
                self.held_back(*fault, *attempt, at_ns);
                Vec::new()
            }
            Event::HolderKilled { fault, attempt, pid, supervises } => {
                self.holder_killed(*fault, *attempt, *pid, *supervises, at_ns)
            }
            Event::Signalled { fault, pid } => {
                self.signalled(*fault, *pid, at_ns);
                Vec::new()
            }
            Event::Fault { fault, hit, pids, error } => {
                self.answered(*fault, *hit, pids, at_ns, error.clone())
            }
            Event::ArmedStruck { fault } => self.armed_struck(*fault),
            Event::ControlDone { fault, error } => self.control_done(*fault, at_ns, error.clone()),
            Event::Healed { fault, unused } => self.healed(*fault, at_ns, *unused),
            Event::SupervisorEnded { pid, status, successor, hint } => {
                self.supervisor_ended(*pid, at_ns, *status, *successor, hint.clone());
                Vec::new()
            }
            Event::StopAsked => self.stop(at_ns),
            Event::LoadEnded { last } => {
                self.load_ended = true;
                self.last = *last;
                Vec::new()
            }
            Event::Answered { answer } => {
                self.watch.answered(at_ns, answer);
                Vec::new()
            }
            Event::NothingLeft => {
                self.watch.end(at_ns, Found::NothingLeft);
                Vec::new()
            }
            Event::SetUp { .. }
            | Event::SupervisorStarted { .. }
            | Event::ProgramStarted { .. }
            | Event::ProgramReady { .. }
            | Event::ProgramEnded { .. }
            | Event::Ready
            | Event::NotReady { .. }
            | Event::Denied
            | Event::LoadStarted
            | Event::ListenerOpened { .. }
            | Event::ListenerHeld { .. }
            | Event::ListenerClosed { .. }
            | Event::Worker { .. }
            | Event::WorkerEnded { .. }
            | Event::TrialEnded { .. }
            | Event::HungKilled { .. }
            | Event::Stopped { .. } => Vec::new(),
        }
    }

    /// Ends the trial: everything that lasts is to be undone, and nothing is ordered after this.
    pub fn end(&mut self) -> Vec<Order> {
        if std::mem::replace(&mut self.ended, true) {
            return Vec::new();
        }
        let mut orders = Vec::new();
        if self.watch.is_awaited() {
            // The trial ends before its load.
            self.watch.decide(self.moments.start_ns, false);
            orders.push(Order::Count);
        }
        for index in 0..self.faults.len() {
            match self.faults[index].state {
                State::Waits(_)
                | State::WithLoad
                | State::WithCall
                | State::Aims { .. }
                | State::Due { .. } => {
                    self.faults[index].state = State::Final(End::NeverStruck);
                }
                State::Lasts { .. } => orders.extend(self.heal(index, Why::TrialEnds)),
                State::Heals | State::Final(_) => {}
            }
        }
        orders
    }

    fn supervisor_ended(
        &mut self,
        pid: u32,
        at_ns: u64,
        status: Exit,
        successor: Option<u32>,
        hint: Option<LeftRunning>,
    ) {
        if let Some(hint) = hint {
            self.notes.push(Note::LeftBehind { status, hint: hint.into() });
        }
        self.exits.push(ProcessEnd { pid, at_ns, status, successor });
    }

    fn stop(&mut self, at_ns: u64) -> Vec<Order> {
        if self.ended || std::mem::replace(&mut self.stop_asked, true) {
            return Vec::new();
        }
        self.watch.end(at_ns, Found::Interrupted);
        if self.load_ended { Vec::new() } else { vec![Order::StopLoad] }
    }

    fn note_fault(&mut self, fault: usize, at_ns: u64, deed: Deed, error: Option<Hindrance>) {
        let program = self.faults.get(fault).and_then(|fault| fault.program.clone());
        let fact = FaultFact { program, error, ..FaultFact::new(fault, at_ns, deed) };
        self.facts.push(fact);
    }
}

/// The number by which people call the fault with this index.
fn ordinal(fault: usize) -> u64 {
    fault as u64 + 1
}

#[cfg(test)]
mod tests;

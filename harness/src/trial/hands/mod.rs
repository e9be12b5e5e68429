//! Does what the conductor orders. Each deed that lasts gives back its undoing as a guard: it is undone
//! when that is ordered, and when the hands are dropped, whatever became of the trial.

mod arm;
pub(super) mod ask;
pub(super) mod hindered;
mod pause;
pub(super) mod seize;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Release};

use holdline_contract::clock::now_ns;
use holdline_contract::control::{ControlError, ControlPage, send_idle_signal};
use holdline_model::conductor::{Event, Hit, Order, strikes_before_start};
use holdline_model::hindrance::Hindrance;
use holdline_model::scenario::Scenario;
use holdline_model::signals::Signal;
use holdline_model::words::CrashStep;
use nix::errno::Errno;
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;

use super::cast::{Cast, Companion};
use super::ends::{self, Reached};
use super::place::Place;
use super::record::Told;
use super::sight::{Sight, SightError};
use crate::proc;
use crate::trace::Page;
use arm::Armed;
use ask::{AskError, Asked, Asking};
use hindered::{not_signalled, own};
use pause::Paused;

/// A fault that could not be injected.
#[derive(Debug, thiserror::Error)]
enum DeedError {
    /// A process is not known to be the trial's.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// A process could not be signalled.
    #[error("failed to send SIG{signal} to process {pid}")]
    Signal {
        /// The signal.
        signal: Signal,
        /// The process.
        pid: Pid,
        /// What the kernel said.
        source: io::Error,
    },
    /// A worker could not be told that it is meant.
    #[error("failed to signal worker {pid}")]
    Worker {
        /// The worker.
        pid: Pid,
        /// What the kernel said.
        source: Errno,
    },
    /// Workers could not be armed.
    #[error(transparent)]
    Arm(#[from] ControlError),
    /// The supervisor could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl DeedError {
    /// As a value that is recorded.
    fn hindrance(&self) -> Hindrance {
        match self {
            Self::Sight(SightError::Foreign(pid)) => Hindrance::Foreign { pid: proc::number(*pid) },
            Self::Sight(error) => own(error),
            Self::Signal { signal, pid, source } => not_signalled(*signal, *pid, false, source),
            Self::Worker { pid, source } => {
                Hindrance::NotTold { pid: proc::number(*pid), error: source.to_string() }
            }
            Self::Arm(error) => own(error),
            Self::Ask(error) => error.hindrance(),
        }
    }
}

/// The hands of a trial.
pub(super) struct Hands {
    undos: BTreeMap<usize, Undo>,
    /// Where the load thread looks for the instants of poison that follows another fault.
    instants: BTreeMap<usize, Arc<AtomicU64>>,
    control: Arc<ControlPage>,
    sender: UnboundedSender<Told>,
    /// The fault that whoever traces makes.
    left_to_tracer: Option<usize>,
    /// Where whoever holds the supervisor at calls is told what has struck.
    page: Option<Arc<Page>>,
}

/// What undoes a fault.
#[must_use = "dropping it undoes the fault"]
enum Undo {
    Paused(Paused),
    Armed(Armed),
    Asked(Asked),
}

/// What came of a deed.
struct Deed {
    hit: Hit,
    /// The processes that it struck at once.
    pids: Vec<Pid>,
    /// Its undoing, if something of it lasts.
    undo: Option<Undo>,
    /// Why it could not be done, or not to its end.
    error: Option<DeedError>,
}

impl Deed {
    fn struck(pids: Vec<Pid>, undo: Option<Undo>) -> Self {
        Self { hit: Hit::Struck, pids, undo, error: None }
    }

    /// All whom it was aimed at had ended.
    const fn of_nobody() -> Self {
        Self { hit: Hit::Nobody, pids: Vec::new(), undo: None, error: None }
    }

    fn failed(error: impl Into<DeedError>) -> Self {
        Self { hit: Hit::Failed, pids: Vec::new(), undo: None, error: Some(error.into()) }
    }
}

impl Hands {
    pub(super) fn new(
        control: Arc<ControlPage>,
        instants: BTreeMap<usize, Arc<AtomicU64>>,
        sender: UnboundedSender<Told>,
    ) -> Self {
        Self { undos: BTreeMap::new(), instants, control, sender, left_to_tracer: None, page: None }
    }

    /// Leaves a fault to whoever traces, and says what came of it.
    pub(super) fn leave_to_tracer(&mut self, fault: usize) {
        self.left_to_tracer = Some(fault);
    }

    /// Tells whoever holds the supervisor at calls, by this page, what strikes. Starts that fail from the very beginning have
    /// struck already.
    pub(super) fn tells_tracer(&mut self, page: Option<Arc<Page>>, scenario: &Scenario) {
        self.page = page;
        for (index, _) in scenario.faults.iter().enumerate().filter(|(_, fault)| strikes_before_start(fault))
        {
            self.strikes(index);
        }
    }

    /// A fault strikes now: the supervisor's calls may be counted from here.
    pub(super) fn strikes(&self, fault: usize) {
        if let Some(page) = &self.page {
            page.strikes(fault);
        }
    }

    /// It has struck: the supervisor goes on, where it was held for it.
    fn has_been_injected(&self, fault: usize) {
        if let Some(page) = &self.page {
            page.let_go(fault);
        }
    }

    /// Takes charge of a failure of starts that was armed before the supervisor was started.
    pub(super) fn take_charge(&mut self, fault: usize, step: CrashStep, times: u32) {
        let armed = Armed::of(Arc::clone(&self.control), step, times);
        self.undos.insert(fault, Undo::Armed(armed));
    }

    /// Does what is ordered, and says what came of it.
    pub(super) fn carry_out(
        &mut self,
        order: Order,
        place: &mut Place,
        sight: &Sight,
        cast: Cast<'_>,
    ) -> Vec<Told> {
        let injects = match order {
            Order::Signal { fault, .. }
            | Order::Pause { fault, .. }
            | Order::Arm { fault, .. }
            | Order::Ask { fault, .. } => Some(fault),
            Order::StopLoad
            | Order::Count
            | Order::Request
            | Order::HandOut { .. }
            | Order::Look { .. }
            | Order::Heal { .. } => None,
        };
        if let Some(fault) = injects {
            self.strikes(fault);
        }
        let told = self.done(order, place, sight, cast);
        // What is asked by a command reaches the supervisor only once that has run.
        if let Some(fault) = injects.filter(|fault| !self.is_asking(*fault)) {
            self.has_been_injected(fault);
        }
        told
    }

    fn done(&mut self, order: Order, place: &mut Place, sight: &Sight, cast: Cast<'_>) -> Vec<Told> {
        match order {
            // The loop that has the load does these.
            Order::StopLoad | Order::Count | Order::Request => Vec::new(),
            Order::HandOut { fault, due_ns } => {
                if let Some(instant) = self.instants.get(&fault) {
                    instant.store(due_ns, Release);
                }
                Vec::new()
            }
            Order::Look { fault, whom, program } => {
                let behind = program.and_then(|program| cast.behind.get(&program));
                let seen = behind.map_or_else(|| sight.seen(whom, cast.front.pid()), Companion::seen);
                vec![(now_ns(), Event::Sighted { fault, seen })]
            }
            Order::Heal { fault, resume, .. } => vec![self.heal(fault, &resume)],
            Order::Signal { fault, .. } if self.left_to_tracer == Some(fault) => Vec::new(),
            Order::Signal { fault, signal, among, each, .. } => {
                self.signal(fault, signal, (&among, each), sight)
            }
            Order::Pause { fault, among, each, .. } => {
                self.signal(fault, Signal::STOP, (&among, each), sight)
            }
            Order::Arm { fault, step, mode, times, among } => {
                let arm = || self.control.arm(step, mode, times);
                let deed = self.arm(step, times, arm, &among, sight);
                vec![self.answer(fault, deed.unwrap_or_else(Deed::failed))]
            }
            Order::Ask { fault, verb, workers, program } => {
                let asking = Asking { fault, verb, workers, program };
                let asked = Asked::begin(asking, place, sight, cast, self.sender.clone());
                let deed = asked.map(|asked| Deed::struck(Vec::new(), Some(Undo::Asked(asked))));
                vec![self.answer(fault, deed.unwrap_or_else(Deed::failed))]
            }
        }
    }

    /// Whether workers have come to what this fault has armed, as often as they should.
    pub(super) fn has_struck(&self, fault: usize) -> bool {
        matches!(self.undos.get(&fault), Some(Undo::Armed(armed)) if armed.has_struck())
    }

    /// Forgets the guard of a control verb that has ended by itself.
    pub(super) fn is_done(&mut self, fault: usize) {
        self.undos.remove(&fault);
        self.has_been_injected(fault);
    }

    /// Whether a command that asks the supervisor for something is under way.
    fn is_asking(&self, fault: usize) -> bool {
        matches!(self.undos.get(&fault), Some(Undo::Asked(_)))
    }

    fn answer(&mut self, fault: usize, deed: Deed) -> Told {
        self.answer_at(now_ns(), fault, deed)
    }

    /// The same, of what was done at this instant.
    fn answer_at(&mut self, at_ns: u64, fault: usize, deed: Deed) -> Told {
        let Deed { hit, pids, undo, error } = deed;
        if let Some(undo) = undo {
            self.undos.insert(fault, undo);
        }
        let pids = pids.into_iter().map(proc::number).collect();
        let error = error.as_ref().map(DeedError::hindrance);
        (at_ns, Event::Fault { fault, hit, pids, error })
    }

    /// Signals each of these, or the first that still runs. What it has stopped stays stopped until that is
    /// undone, also where another cannot be signalled.
    fn signal(&mut self, fault: usize, signal: Signal, aim: (&[u32], bool), sight: &Sight) -> Vec<Told> {
        let (among, each) = aim;
        let mut told = Vec::new();
        let mut paused = Paused::default();
        let mut reached = Vec::new();
        let mut error = sight.prove_own(&pids_of(among)).err().map(DeedError::from);
        for pid in pids_of(among) {
            if error.is_some() || (!each && !reached.is_empty()) {
                break;
            }
            // Before it is sent: who has it may be gone, and a client know of it, before this goes on.
            let at_ns = now_ns();
            match ends::send(pid, signal) {
                Ok(Reached::Gone) => {}
                Ok(Reached::Yes) => {
                    told.push((at_ns, Event::Signalled { fault, pid: proc::number(pid) }));
                    reached.push(pid);
                    if signal.stops() {
                        paused.add(pid);
                    }
                }
                Err(source) => error = Some(DeedError::Signal { signal, pid, source }),
            }
        }
        let undo = (signal.stops() && !reached.is_empty()).then_some(Undo::Paused(paused));
        let deed = match error {
            Some(error) => Deed { pids: reached, undo, ..Deed::failed(error) },
            None if reached.is_empty() => Deed::of_nobody(),
            None => Deed::struck(reached, undo),
        };
        // What comes after it counts from when it struck, and not from when this was scheduled again.
        let at_ns = told.last().map_or_else(now_ns, |(at_ns, _)| *at_ns);
        told.push(self.answer_at(at_ns, fault, deed));
        told
    }

    /// Arms workers. An idle one must be told that it is meant: before it is, it is known to be there.
    fn arm(
        &self,
        step: CrashStep,
        times: u32,
        arm: impl FnOnce() -> Result<(), ControlError>,
        among: &[u32],
        sight: &Sight,
    ) -> Result<Deed, DeedError> {
        let is_idle = step == CrashStep::Idle;
        let workers = pids_of(among);
        sight.prove_own(&workers)?;
        if is_idle && workers.is_empty() {
            return Ok(Deed::of_nobody());
        }
        arm()?;
        let armed = Undo::Armed(Armed::of(Arc::clone(&self.control), step, times));
        if !is_idle {
            return Ok(Deed::struck(Vec::new(), Some(armed)));
        }
        // A zombie takes signals without a sign that they do nothing any more.
        for worker in workers.into_iter().filter(|worker| proc::is_alive(*worker)) {
            match send_idle_signal(worker) {
                Ok(()) => return Ok(Deed::struck(vec![worker], Some(armed))),
                Err(Errno::ESRCH) => {}
                Err(source) => return Err(DeedError::Worker { pid: worker, source }),
            }
        }
        Ok(Deed::of_nobody())
    }

    fn heal(&mut self, fault: usize, resume: &[u32]) -> Told {
        let mut unused = false;
        match self.undos.remove(&fault) {
            Some(Undo::Paused(paused)) => paused.resume(resume),
            Some(Undo::Armed(armed)) => unused = armed.is_unused(),
            Some(Undo::Asked(asked)) => drop(asked),
            None => {}
        }
        (now_ns(), Event::Healed { fault, unused })
    }
}

/// The processes that an order names.
fn pids_of(numbers: &[u32]) -> Vec<Pid> {
    numbers.iter().copied().filter_map(proc::numbered).collect()
}

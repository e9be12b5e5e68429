//! Does what the conductor orders. Each deed that lasts gives back its undoing as a guard: it is undone
//! when that is ordered, and when the hands are dropped, whatever became of the trial.

mod arm;
pub(super) mod ask;
mod pause;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Release};

use holdline_contract::clock::now_ns;
use holdline_contract::control::{ControlError, ControlPage, send_idle_signal};
use holdline_model::conductor::{Event, Hit, Order};
use holdline_model::scenario::Target;
use holdline_model::signals::Signal;
use holdline_model::words::CrashStep;
use nix::errno::Errno;
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;

use super::ends::{self, Reached};
use super::place::Place;
use super::process::Supervised;
use super::record::Told;
use super::sight::{Sight, SightError};
use crate::causes::in_full;
use crate::proc;
use arm::Armed;
use ask::{AskError, Asked};
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
    /// It is not known who the workers are.
    #[error("no process beneath the supervisor holds its listener, by which its workers are known")]
    NoneKnown,
}

/// The hands of a trial.
pub(super) struct Hands {
    undos: BTreeMap<usize, Undo>,
    /// Where the load thread looks for the instants of poison that follows another fault.
    instants: BTreeMap<usize, Arc<AtomicU64>>,
    control: Arc<ControlPage>,
    sender: UnboundedSender<Told>,
}

/// What undoes a fault.
#[must_use = "dropping it undoes the fault"]
enum Undo {
    Paused(Paused),
    Armed(Armed),
    Asked(Asked),
}

/// A deed: the processes that it struck at once, and its undoing if it lasts. `None`: all whom it was
/// aimed at had ended.
type Deed = Option<(Vec<Pid>, Option<Undo>)>;

impl Hands {
    pub(super) fn new(
        control: Arc<ControlPage>,
        instants: BTreeMap<usize, Arc<AtomicU64>>,
        sender: UnboundedSender<Told>,
    ) -> Self {
        Self { undos: BTreeMap::new(), instants, control, sender }
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
        supervised: &Supervised,
    ) -> Vec<Told> {
        match order {
            // The loop that has the load does these.
            Order::StopLoad | Order::Count | Order::Request => Vec::new(),
            Order::HandOut { fault, due_ns } => {
                if let Some(instant) = self.instants.get(&fault) {
                    instant.store(due_ns, Release);
                }
                Vec::new()
            }
            Order::Heal { fault, .. } => vec![self.heal(fault)],
            Order::Signal { fault, to, signal } => {
                let mut told = Vec::new();
                let deed = self.signal(fault, to, signal, sight, supervised, &mut told);
                told.push(self.answer(fault, deed));
                told
            }
            Order::Pause { fault, whom } => {
                let mut told = Vec::new();
                let deed = self.signal(fault, whom, Signal::STOP, sight, supervised, &mut told);
                told.push(self.answer(fault, deed));
                told
            }
            Order::Arm { fault, step, mode, times } => {
                let arm = || self.control.arm(step, mode, times);
                let deed = self.arm(step, times, arm, sight, supervised);
                vec![self.answer(fault, deed)]
            }
            Order::Ask { fault, verb, workers } => {
                let asked = Asked::begin(fault, verb, workers, place, sight, supervised, self.sender.clone());
                let deed =
                    asked.map(|asked| Some((Vec::new(), Some(Undo::Asked(asked))))).map_err(DeedError::from);
                vec![self.answer(fault, deed)]
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
    }

    fn answer(&mut self, fault: usize, deed: Result<Deed, DeedError>) -> Told {
        let (hit, pids, error) = match deed {
            Ok(Some((pids, undo))) => {
                if let Some(undo) = undo {
                    self.undos.insert(fault, undo);
                }
                (Hit::Struck, pids, None)
            }
            Ok(None) => (Hit::Nobody, Vec::new(), None),
            Err(error) => (Hit::Failed, Vec::new(), Some(in_full(&error))),
        };
        let pids = pids.into_iter().map(proc::number).collect();
        (now_ns(), Event::Fault { fault, hit, pids, error })
    }

    fn signal(
        &self,
        fault: usize,
        to: Target,
        signal: Signal,
        sight: &Sight,
        supervised: &Supervised,
        told: &mut Vec<Told>,
    ) -> Result<Deed, DeedError> {
        let mut reached = Vec::new();
        // Taken into charge first: if one of several cannot be stopped, the others are resumed.
        let mut paused = Paused::default();
        let meant = how_many(to);
        for pid in aim(to, sight, supervised)? {
            if reached.len() == meant {
                break;
            }
            match ends::send(pid, signal) {
                Ok(Reached::Gone) => {}
                Ok(Reached::Yes) => {
                    told.push((now_ns(), Event::Signalled { fault, pid: proc::number(pid) }));
                    reached.push(pid);
                    if signal.stops() {
                        paused.add(pid);
                    }
                }
                Err(source) => return Err(DeedError::Signal { signal, pid, source }),
            }
        }
        if reached.is_empty() {
            return Ok(None);
        }
        Ok(Some((reached, signal.stops().then_some(Undo::Paused(paused)))))
    }

    /// Arms workers. An idle one must be told that it is meant: before it is, it is known to be there.
    fn arm(
        &self,
        step: CrashStep,
        times: u32,
        arm: impl FnOnce() -> Result<(), ControlError>,
        sight: &Sight,
        supervised: &Supervised,
    ) -> Result<Deed, DeedError> {
        let is_idle = step == CrashStep::Idle;
        let workers = if is_idle { aim(Target::Worker, sight, supervised)? } else { Vec::new() };
        if is_idle && workers.is_empty() {
            return Ok(None);
        }
        arm()?;
        let armed = Armed::of(Arc::clone(&self.control), step, times);
        if !is_idle {
            return Ok(Some((Vec::new(), Some(Undo::Armed(armed)))));
        }
        // A zombie takes signals without a sign that they do nothing any more.
        for worker in workers.into_iter().filter(|worker| proc::is_alive(*worker)) {
            match send_idle_signal(worker) {
                Ok(()) => return Ok(Some((vec![worker], Some(Undo::Armed(armed))))),
                Err(Errno::ESRCH) => {}
                Err(source) => return Err(DeedError::Worker { pid: worker, source }),
            }
        }
        Ok(None)
    }

    fn heal(&mut self, fault: usize) -> Told {
        let mut unused = false;
        match self.undos.remove(&fault) {
            Some(Undo::Paused(mut paused)) => {
                let others = self.undos.values().filter_map(|undo| match undo {
                    Undo::Paused(other) => Some(other),
                    Undo::Armed(_) | Undo::Asked(_) => None,
                });
                paused.leave_to(others);
            }
            Some(Undo::Armed(armed)) => unused = armed.is_unused(),
            Some(Undo::Asked(asked)) => drop(asked),
            None => {}
        }
        (now_ns(), Event::Healed { fault, unused })
    }
}

/// How many processes a fault is meant for.
const fn how_many(target: Target) -> usize {
    match target {
        Target::Worker | Target::Supervisor => 1,
        Target::Workers => usize::MAX,
    }
}

/// The processes that a fault may hit, as far as they run and are ours, those that it is meant for first:
/// one that ends just now leaves its place to the next.
fn aim(target: Target, sight: &Sight, supervised: &Supervised) -> Result<Vec<Pid>, DeedError> {
    let supervisor = supervised.pid();
    let (pids, aims_at_workers) = match target {
        Target::Supervisor => {
            (Some(supervisor).filter(|pid| proc::is_alive(*pid)).into_iter().collect(), false)
        }
        Target::Worker | Target::Workers => (sight.worker_pids(supervisor), true),
    };
    sight.prove_own(&pids)?;
    if pids.is_empty() && aims_at_workers && sight.is_blind() && proc::is_alive(supervisor) {
        return Err(DeedError::NoneKnown);
    }
    Ok(pids)
}

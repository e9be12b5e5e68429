//! What is seen of a trial while it runs: listeners, workers, and orphans that init has adopted. Workers
//! that keep a ledger and those that are only seen below the supervisor have one face here.

use std::collections::BTreeSet;
use std::io;

use holdline_contract::clock::now_ns;
use holdline_contract::ledger::{self, LedgerError};
use holdline_model::conductor::{Event, KnownBy, SeenWorker, Sighting, Standing};
use holdline_model::scenario::Target;
use holdline_model::shm::{RecordKind, WorkerRecord};
use holdline_model::support;
use holdline_model::words::Isolation;
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;

use super::ends;
use super::ledgered::Ledgered;
use super::place::Place;
use super::record::Told;
use super::seen;
use super::watch::{LedgerWatch, WatchError};
use crate::kernel::accepts::AcceptSampler;
use crate::kernel::custody::CustodyWatch;
use crate::kernel::observer::{INTERVAL, Observer, ObserverError};
use crate::kernel::pace::Pace;
use crate::kernel::tested::Processes;
use crate::kernel::timeline::ListenerEvent;
use crate::proc;
use crate::sandbox::{Adopted, Inside};

/// A trial could not be watched.
#[derive(Debug, thiserror::Error)]
pub(super) enum SightError {
    /// The kernel could not be observed.
    #[error(transparent)]
    Observer(#[from] ObserverError),
    /// What workers record could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Their folder could not be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A process is not known to be the trial's.
    #[error("process {0} is not a descendant of holdline")]
    Foreign(Pid),
    /// What init has to say could not be read.
    #[error("failed to ask what init has adopted")]
    Adopted(#[source] io::Error),
}

/// What watches a trial.
pub(super) struct Sight {
    pub(super) inside: Inside,
    pub(super) observer: Observer,
    /// Where workers keep no ledger, or the scenario asks for it.
    pub(super) accepts: Option<AcceptSampler>,
    pub(super) workers: Ledgered,
    /// Orphans that init has adopted and that have ended.
    pub(super) adopted: Vec<Adopted>,
    /// Whether a worker may not listen where it has to, for want of privilege.
    pub(super) is_denied: bool,
    keeps_ledger: bool,
    has_user: bool,
    /// The service's listeners that are open, by inode.
    listeners: BTreeSet<u32>,
    /// Workers whose ends are waited for.
    followed: BTreeSet<Pid>,
    sender: UnboundedSender<Told>,
}

impl Sight {
    /// Begins to watch a place in which nothing has been started yet.
    pub(super) fn open(
        place: &Place,
        inside: Inside,
        sender: UnboundedSender<Told>,
    ) -> Result<(Self, LedgerWatch), SightError> {
        let address = &place.workspace.values.address;
        let told = sender.clone();
        let observer = Observer::start(address.clone(), INTERVAL, move |event| {
            let _ = told.send(told_of(event));
        })?;
        let accepts = support::samples_accepts(&place.supervisor, &place.scenario)
            .then(|| AcceptSampler::start(address.clone(), Pace::of_machine()))
            .transpose()?;
        let watch = LedgerWatch::on(&ledger::folder(&place.workspace.home))?;
        let sight = Self {
            inside,
            observer,
            accepts,
            workers: Ledgered::follow(&place.workspace.home),
            adopted: Vec::new(),
            is_denied: false,
            keeps_ledger: support::keeps_ledger(&place.supervisor),
            has_user: place.scenario.workers.user.is_some(),
            listeners: BTreeSet::new(),
            followed: BTreeSet::new(),
            sender,
        };
        Ok((sight, watch))
    }

    /// Has what is counted and measured count from now on, as the load is about to begin.
    pub(super) fn begin(&self) -> Result<(), ObserverError> {
        if let Some(accepts) = &self.accepts {
            accepts.begin();
        }
        self.observer.begin()
    }

    /// Begins to watch in whose hands connections are whose time runs out.
    pub(super) fn watch_custody(&self, place: &Place, supervisor: Pid) -> Result<CustodyWatch, SightError> {
        Ok(CustodyWatch::start(place.workspace.values.address.clone(), self.tested(supervisor))?)
    }

    /// The processes under test, for those who look at what they hold.
    pub(super) fn tested(&self, supervisor: Pid) -> impl Processes + use<> {
        Tested { init: self.inside.init(), is_alone: self.is_exclusive(), supervisor }
    }

    /// Whether the namespaces are this trial's own.
    pub(super) fn is_exclusive(&self) -> bool {
        self.inside.level == Isolation::Full
    }

    /// Whether workers keep no ledger, so that they are known only by the listener that they hold.
    pub(super) fn is_blind(&self) -> bool {
        !self.keeps_ledger
    }

    /// Takes note of what was told.
    pub(super) fn note(&mut self, event: &Event) {
        match event {
            Event::ListenerOpened { inode, .. } => {
                self.listeners.insert(*inode);
            }
            Event::ListenerClosed { inode } => {
                self.listeners.remove(inode);
            }
            _ => {}
        }
    }

    /// Reads what workers have recorded since the last time, but for single connections, and follows new
    /// ones to their ends.
    pub(super) fn look(&mut self) -> Result<Vec<Told>, SightError> {
        let told: Vec<Told> = self.workers.poll()?.iter().map(told_by).collect();
        for (_, event) in &told {
            self.is_denied |= self.has_user && is_denial(event);
        }
        let new: Vec<Pid> = self.workers.all().filter(|pid| !self.followed.contains(pid)).collect();
        for pid in new {
            self.followed.insert(pid);
            let sender = self.sender.clone();
            tokio::spawn(async move {
                ends::ended(pid).await;
                let _ = sender.send((now_ns(), Event::WorkerEnded { pid: proc::number(pid) }));
            });
        }
        Ok(told)
    }

    /// Who there is to be hit by a fault that means this. Workers are looked for only where they are meant.
    pub(super) fn seen(&self, whom: Target, supervisor: Pid) -> Sighting {
        let ready = |pid| SeenWorker { pid: proc::number(pid), standing: Standing::Ready };
        let workers = match (whom, self.keeps_ledger) {
            (Target::Supervisor, _) => Vec::new(),
            (Target::Worker | Target::Workers, true) => self.workers.seen(),
            (Target::Worker | Target::Workers, false) => {
                self.worker_pids(supervisor).into_iter().map(ready).collect()
            }
        };
        Sighting {
            supervisor: proc::is_alive(supervisor).then(|| proc::number(supervisor)),
            workers,
            known_by: if self.keeps_ledger { KnownBy::Ledger } else { KnownBy::Listener },
        }
    }

    /// The workers that live, the oldest first.
    ///
    /// Workers that keep no ledger are known by what makes a worker: they descend from the supervisor and
    /// hold the service's listener.
    pub(super) fn worker_pids(&self, supervisor: Pid) -> Vec<Pid> {
        if self.keeps_ledger {
            return self.workers.pids();
        }
        seen::of(supervisor, &self.listeners, |pid| self.inside.owns(pid))
    }

    /// The processes of all workers that live, also of those that leave.
    pub(super) fn alive(&self, supervisor: Pid) -> Vec<u32> {
        let known = match self.keeps_ledger {
            true => self.workers.all().filter(|pid| proc::is_alive(*pid)).collect(),
            false => self.worker_pids(supervisor),
        };
        known.into_iter().map(proc::number).collect()
    }

    /// The processes below the supervisor, and orphans with those below them; nobody where workers keep a ledger, which
    /// tells what became of them.
    pub(super) fn below(&self, supervisor: Pid) -> Result<BTreeSet<Pid>, SightError> {
        if !self.is_blind() {
            return Ok(BTreeSet::new());
        }
        let orphans = self.inside.adopted_now().map_err(SightError::Adopted)?;
        let mut below = proc::descendants(supervisor);
        for orphan in orphans.into_iter().filter(|pid| *pid != supervisor) {
            below.extend(proc::descendants(orphan));
            below.insert(orphan);
        }
        Ok(below)
    }

    /// How many workers can accept.
    pub(super) fn accepting(&self, supervisor: Pid) -> u32 {
        let count = if self.keeps_ledger { self.workers.ready() } else { self.worker_pids(supervisor).len() };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Without a PID namespace, a process id may belong to anybody: only descendants are signalled.
    pub(super) fn prove_own(&self, pids: &[Pid]) -> Result<(), SightError> {
        if self.is_exclusive() {
            return Ok(());
        }
        match pids.iter().find(|pid| !self.inside.owns(**pid)) {
            Some(pid) => Err(SightError::Foreign(*pid)),
            None => Ok(()),
        }
    }

    /// The trial's processes that a signal stopped.
    pub(super) fn stopped(&self) -> Vec<u32> {
        let pids = self.inside.processes().into_iter();
        pids.filter(|pid| proc::is_stopped(*pid)).map(proc::number).collect()
    }

    /// The processes of the trial that hold the service's listener; `None`: somebody holds it and cannot be
    /// seen.
    pub(super) fn holders(&self) -> Option<Vec<Pid>> {
        let holders = seen::holding(&self.listeners, |pid| self.inside.owns(pid));
        (self.listeners.is_empty() || !holders.is_empty()).then_some(holders)
    }

    /// Workers that init had to adopt, dead or alive. Where they keep no ledger: processes that hold the
    /// listener, and are neither the supervisor nor below it.
    pub(super) fn orphaned_workers(&mut self, supervisor: Pid) -> Result<Option<Vec<Pid>>, SightError> {
        if self.is_blind() {
            let is_lost = |pid: &Pid| *pid != supervisor && !proc::descends_from(*pid, supervisor);
            return Ok(self.holders().map(|holders| holders.into_iter().filter(is_lost).collect()));
        }
        self.note_adoptions()?;
        let alive = self.inside.adopted_now().map_err(SightError::Adopted)?;
        let workers: BTreeSet<Pid> = self.workers.all().collect();
        let adopted = self.adopted.iter().map(|adopted| adopted.pid).chain(alive);
        Ok(Some(adopted.filter(|pid| workers.contains(pid)).collect()))
    }

    /// Reads which orphans have ended.
    pub(super) fn note_adoptions(&mut self) -> Result<(), SightError> {
        self.adopted.extend(self.inside.adoptions.drain().map_err(SightError::Adopted)?);
        Ok(())
    }
}

/// The processes under test.
struct Tested {
    init: Pid,
    /// Whether there are no others in the PID namespace, but for init and this one.
    is_alone: bool,
    supervisor: Pid,
}

impl Processes for Tested {
    fn all(&self) -> Vec<Pid> {
        let mut all =
            if self.is_alone { proc::all() } else { proc::descendants(self.init).into_iter().collect() };
        all.retain(|pid| *pid != self.init && *pid != Pid::this());
        all
    }

    fn supervisor(&self) -> Pid {
        self.supervisor
    }
}

fn told_of(event: ListenerEvent) -> Told {
    match event {
        ListenerEvent::Opened { at_ns, inode, limit } => (at_ns, Event::ListenerOpened { inode, limit }),
        ListenerEvent::Held { inode, holders } => (now_ns(), Event::ListenerHeld { inode, holders }),
        ListenerEvent::Closed { inode, gone_ns, .. } => (gone_ns, Event::ListenerClosed { inode }),
    }
}

fn told_by(record: &WorkerRecord) -> Told {
    let WorkerRecord { pid, generation, kind, detail, at_ns, .. } = *record;
    (at_ns, Event::Worker { pid, generation, kind, detail })
}

fn is_denial(event: &Event) -> bool {
    matches!(event, Event::Worker { kind: RecordKind::BindFailed, detail, .. } if *detail == libc::EACCES as u64)
}

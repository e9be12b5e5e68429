//! What a trial is played with: the place, what watches it, and its log.

use std::io;
use std::process::ExitStatus;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
use holdline_model::mishap::Mishap;
use holdline_model::reason::Reason;
use holdline_model::result::TrialResult;
use holdline_model::summary;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::TrialSpec;
use super::cast::Companions;
use super::place::{Place, PlaceError};
use super::process::Supervised;
use super::record::{EventLog, Told};
use super::sight::{Sight, SightError};
use super::watch::LedgerWatch;
use crate::causes::in_full;
use crate::proc;
use crate::sandbox::Inside;

/// A trial that could not be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum StageError {
    /// Its place could not be prepared.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It could not be watched.
    #[error(transparent)]
    Sight(#[from] SightError),
    /// What happens could not be written down.
    #[error("failed to create events.jsonl")]
    Events(#[source] io::Error),
}

/// Why a supervisor never got ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotReady {
    /// It ended, or took too long.
    #[error("{0}")]
    Failed(Mishap),
    /// Its place could not be prepared for being asked.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It could not be watched.
    #[error(transparent)]
    Sight(#[from] SightError),
}

impl From<NotReady> for Mishap {
    fn from(why: NotReady) -> Self {
        match why {
            NotReady::Failed(failure) => failure,
            NotReady::Place(error) => Self::Own { error: in_full(&error) },
            NotReady::Sight(error) => Self::Own { error: in_full(&error) },
        }
    }
}

/// A trial that is set up.
pub(super) struct Stage {
    pub(super) spec: TrialSpec,
    pub(super) place: Place,
    pub(super) sight: Sight,
    /// The programs behind the supervisor.
    pub(super) companions: Companions,
    pub(super) log: EventLog,
    pub(super) ledgers: LedgerWatch,
    pub(super) sender: UnboundedSender<Told>,
    pub(super) told: UnboundedReceiver<Told>,
    /// When it began, in CLOCK_MONOTONIC nanoseconds.
    pub(super) began_ns: u64,
}

impl Stage {
    pub(super) fn set_up(spec: TrialSpec, inside: Inside) -> Result<Self, StageError> {
        let began_ns = now_ns();
        let place = Place::prepare(&spec, &inside)?;
        let mut log = EventLog::create(&spec.folder, began_ns).map_err(StageError::Events)?;
        let (sender, told) = unbounded_channel();
        let (sight, ledgers) = Sight::open(&place, inside, sender.clone())?;
        let address = place.workspace.values.address.clone();
        log.event(now_ns(), &Event::SetUp { address });
        let companions = Companions::default();
        Ok(Self { spec, place, sight, companions, log, ledgers, sender, told, began_ns })
    }

    pub(super) fn start_supervisor(&mut self) -> Result<Supervised, StageError> {
        let (supervised, command) = self.place.start_supervisor()?;
        let pid = proc::number(supervised.pid());
        self.log.event(now_ns(), &Event::SupervisorStarted { pid, command });
        Ok(supervised)
    }

    /// The result of a trial whose supervisor never got ready.
    pub(super) fn give_up(mut self, reason: Reason) -> TrialResult {
        self.log.event(now_ns(), &Event::NotReady { reason: reason.clone() });
        self.sight.observer.finish(false).ok();
        let elapsed_ns = now_ns() - self.began_ns;
        summary::not_ready(&self.spec.name, reason, elapsed_ns)
    }

    /// Why there is no supervisor any more that could get ready, and what to do about it.
    pub(super) fn ended_early(&self, status: ExitStatus) -> NotReady {
        let left = self.place.left_running(&self.sight.inside);
        let (needs, log) = (self.place.supervisor.needs.clone(), self.place.log_tail());
        NotReady::Failed(Mishap::Ended { program: None, status: proc::exit_of(status), left, needs, log })
    }

    /// Writes down something that happened, and takes note of it.
    pub(super) fn note(&mut self, (at_ns, event): &Told) {
        self.log.event(*at_ns, event);
        self.sight.note(event);
    }

    /// Writes down what workers have recorded, and what else was told, since the last time.
    pub(super) fn look(&mut self) -> Result<(), SightError> {
        for told in self.sight.look()? {
            self.note(&told);
        }
        while let Ok(told) = self.told.try_recv() {
            self.note(&told);
        }
        Ok(())
    }
}

//! What a trial is played with: the place, what watches it, and its log.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
use holdline_model::exit::Exit;
use holdline_model::reason::Reason;
use holdline_model::result::TrialResult;
use holdline_model::summary;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::TrialSpec;
use super::place::{Place, PlaceError};
use super::process::{Supervised, exit_of};
use super::record::{EventLog, Told};
use super::sight::{Sight, SightError};
use super::watch::LedgerWatch;
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
    /// It ended.
    #[error("the supervisor ended with {status} before it was ready{hint}")]
    Ended {
        /// How.
        status: Exit,
        /// What to do about it, what it needs, and the end of its log.
        hint: String,
    },
    /// It took too long.
    #[error("the supervisor was not ready within {limit:?}: {lack}{hint}")]
    Late {
        /// How long it may take.
        limit: Duration,
        /// What it lacked.
        lack: String,
        /// What it needs, and the end of its log.
        hint: String,
    },
    /// Its place could not be prepared for being asked.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// It could not be watched.
    #[error(transparent)]
    Sight(#[from] SightError),
}

/// A trial that is set up.
pub(super) struct Stage {
    pub(super) spec: TrialSpec,
    pub(super) place: Place,
    pub(super) sight: Sight,
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
        Ok(Self { spec, place, sight, log, ledgers, sender, told, began_ns })
    }

    pub(super) fn start_supervisor(&mut self) -> Result<Supervised, StageError> {
        let (supervised, command) = self.place.start_supervisor()?;
        let pid = proc::number(supervised.pid());
        self.log.event(now_ns(), &Event::SupervisorStarted { pid, command });
        Ok(supervised)
    }

    /// The result of a trial whose supervisor never got ready.
    pub(super) fn give_up(mut self, reason: Reason) -> TrialResult {
        self.log.event(now_ns(), &Event::NotReady { reason: reason.to_string() });
        self.sight.observer.finish(false).ok();
        let elapsed_ns = now_ns() - self.began_ns;
        summary::not_ready(&self.spec.name, reason, elapsed_ns)
    }

    /// Why there is no supervisor any more that could get ready, and what to do about it.
    pub(super) fn ended_early(&self, status: ExitStatus) -> NotReady {
        let (hint, needs) = (self.place.hint_of_background(&self.sight.inside), self.place.hint_of_needs());
        let tail = self.place.log_quoted();
        NotReady::Ended { status: exit_of(status), hint: format!("{hint}{needs}{tail}") }
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

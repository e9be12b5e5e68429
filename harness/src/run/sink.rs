//! What a run tells, and whoever listens.

use std::error::Error;

use holdline_model::plan::TrialPlan;
use holdline_model::result::{RunResult, TrialResult};

use crate::sandbox::Notice;
use crate::trial::outer::LoadProgress;

/// Why a sink could not take an event.
pub type SinkError = Box<dyn Error + Send + Sync>;

/// Something that happened in a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// The run begins.
    RunBegan {
        /// Its result, which has no trial yet, unless it goes on after it was interrupted.
        so_far: &'a RunResult,
        /// What the user has to be told of the isolation.
        notice: Option<&'a Notice>,
    },
    /// A trial begins.
    TrialBegan {
        /// Which.
        plan: &'a TrialPlan,
    },
    /// A trial's load goes on.
    Load {
        /// Which trial.
        plan: &'a TrialPlan,
        /// How far it is.
        load: LoadProgress,
    },
    /// A trial ended.
    TrialEnded {
        /// Its result.
        trial: &'a TrialResult,
        /// The run's result, with this trial.
        so_far: &'a RunResult,
    },
    /// A trial ended in doubt beside others: it begins once more, alone, after all of them.
    TrialPostponed {
        /// Which.
        plan: &'a TrialPlan,
    },
    /// The user asked for the end: the trial ends with what was measured, and it is the last.
    Interrupted,
    /// The run is over, be it that an error ended it.
    RunEnded {
        /// Its result.
        so_far: &'a RunResult,
    },
}

/// Somebody who is told what happens in a run, in order: a run directory, progress, a comparison.
///
/// A closure that takes events is one, too.
pub trait Sink {
    /// Takes an event.
    ///
    /// # Errors
    ///
    /// If it cannot, which ends the run: what is not recorded need not be measured.
    fn take(&mut self, event: &Event<'_>) -> Result<(), SinkError>;
}

impl<F: FnMut(&Event<'_>) -> Result<(), SinkError>> Sink for F {
    fn take(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        self(event)
    }
}

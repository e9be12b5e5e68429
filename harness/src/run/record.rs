//! The sink that keeps a run in its directory.

use std::path::Path;
use std::time::Instant;

use holdline_model::planned::PlanFile;
use holdline_model::result::RunResult;

use super::recorded::{PLAN_JSON, to_text};
use super::{Event, Sink, SinkError};
use crate::rundir::{RunDir, RunDirError};

/// Between two saves of the result passes at least so many times what the first of them took. A
/// result grows with its trials, so that saving it after each would end up taking longer than they do.
const SAVE_PAUSE: u32 = 10;

/// Keeps a run's result in its directory, written anew as trials end.
#[derive(Debug)]
pub struct Recorder {
    dir: RunDir,
    /// The plan, where it is to be kept.
    plan: Option<String>,
    /// When the result is due to be saved again.
    save_due: Instant,
}

impl Recorder {
    /// Records in this directory.
    #[must_use]
    pub fn new(dir: RunDir) -> Self {
        Self { dir, plan: None, save_due: Instant::now() }
    }

    /// Keeps the plan as well, so that the run can be gone on with.
    #[must_use]
    pub fn keeping(self, plan: &PlanFile) -> Self {
        Self { plan: Some(to_text(plan)), ..self }
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves nothing of a run that did not begin.
    pub fn discard(self) {
        self.dir.discard();
    }

    fn save(&mut self, result: &RunResult) -> Result<(), RunDirError> {
        let began = Instant::now();
        self.dir.save(result)?;
        let ended = Instant::now();
        self.save_due = ended + (ended - began) * SAVE_PAUSE;
        Ok(())
    }
}

impl Sink for Recorder {
    fn take(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        match event {
            Event::RunBegan { so_far, .. } => {
                if let Some(plan) = &self.plan {
                    self.dir.write(PLAN_JSON, plan.as_bytes())?;
                }
                self.save(so_far)?;
                self.dir.publish()?;
            }
            Event::TrialEnded { so_far, .. } if Instant::now() >= self.save_due => {
                self.save(so_far)?;
            }
            Event::RunEnded { so_far } => {
                self.save(so_far)?;
            }
            Event::TrialBegan { .. }
            | Event::Load { .. }
            | Event::TrialEnded { .. }
            | Event::TrialPostponed { .. }
            | Event::Interrupted => {}
        }
        Ok(())
    }
}

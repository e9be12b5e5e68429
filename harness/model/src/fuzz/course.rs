//! The course of a story: the order of its moments as far as it tells one cause of a failure from another. Two cases
//! that fail in the same course fail for the same cause.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::story::{Beat, Story};
use crate::scenario::{Action, Target};
use crate::words::{CrashStep, Verb};

/// What was done, as far as a supervisor can tell it apart: by which fault a worker ended it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Workers ended.
    WorkerEnds,
    /// Starts were to fail.
    StartFails,
    /// Workers were stopped for a while.
    WorkerPauses,
    /// The supervisor was stopped for a while.
    SupervisorPauses,
    /// The supervisor got a signal.
    SupervisorIsSignalled,
    /// It was asked for something.
    #[serde(untagged)]
    Asked(Verb),
}

/// A fault in the course of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Whether a worker had ended or begun, and none was ready since.
    pub amid_restart: bool,
    /// What was done.
    pub deed: Deed,
}

/// In which order faults struck, and whether the supervisor was just restarting a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Course(Vec<Step>);

impl Course {
    /// Of a story in which these were the faults.
    #[must_use]
    pub fn of(story: &Story, actions: &[Action]) -> Self {
        let (mut amid_restart, mut steps) = (false, Vec::new());
        for moment in &story.moments {
            match moment.beat {
                Beat::Died | Beat::Began | Beat::Drains | Beat::Leaves | Beat::Fails | Beat::BootFailed => {
                    amid_restart = true;
                }
                Beat::Ready | Beat::TookOver => amid_restart = false,
                Beat::Struck => {
                    let action = moment.fault.and_then(|fault| actions.get(fault));
                    steps.extend(action.map(|action| Step { amid_restart, deed: deed(action) }));
                }
                Beat::Start
                | Beat::Over
                | Beat::Opened
                | Beat::Held
                | Beat::Closed
                | Beat::Ended
                | Beat::End => {}
            }
        }
        Self(steps)
    }

    /// Whether this one is in another, with more around it: all its faults come there, in this order.
    #[must_use]
    pub fn is_in(&self, other: &Self) -> bool {
        let mut rest = other.0.iter();
        !self.0.is_empty() && self.0.iter().all(|step| rest.any(|other| other == step))
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Step { amid_restart, deed }) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            let amid = if *amid_restart { " amid a restart" } else { "" };
            match deed {
                Deed::WorkerEnds => write!(f, "{comma}a worker ends{amid}")?,
                Deed::StartFails => write!(f, "{comma}starts are to fail{amid}")?,
                Deed::WorkerPauses => write!(f, "{comma}a worker pauses{amid}")?,
                Deed::SupervisorPauses => write!(f, "{comma}the supervisor pauses{amid}")?,
                Deed::SupervisorIsSignalled => write!(f, "{comma}the supervisor gets a signal{amid}")?,
                Deed::Asked(verb) => write!(f, "{comma}{verb}{amid}")?,
            }
        }
        Ok(())
    }
}

/// What a fault does, as far as a supervisor can tell.
pub(super) fn deed(action: &Action) -> Deed {
    match action {
        Action::Signal { to: Target::Supervisor, .. } => Deed::SupervisorIsSignalled,
        Action::Signal { to: Target::Worker | Target::Workers, .. } | Action::Poison(_) => Deed::WorkerEnds,
        Action::Crash { step: CrashStep::Boot, .. } => Deed::StartFails,
        Action::Crash { .. } => Deed::WorkerEnds,
        Action::Pause { whom: Target::Supervisor, .. } => Deed::SupervisorPauses,
        Action::Pause { whom: Target::Worker | Target::Workers, .. } => Deed::WorkerPauses,
        Action::Control { verb, .. } => Deed::Asked(*verb),
    }
}

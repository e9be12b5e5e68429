//! One trial: from its specification to its result.
//!
//! [`outer`] runs in the process that the user started. It writes a [`TrialSpec`], starts
//! `holdline __trial`, and reads [`Message`]s. [`runner`] runs in that process, inside the sandbox,
//! and does everything else. What is recorded is written by the inner process, straight into the
//! trial's folder, so that it is there whatever becomes of the outer one.

pub mod outer;
pub mod runner;

mod alarm;
mod asking;
mod cast;
mod collect;
mod cost;
mod counted;
mod ends;
mod files;
mod hands;
mod hint;
mod hooks;
mod inheritance;
mod lead;
mod ledgered;
mod load_thread;
mod log;
mod messages;
mod nested;
mod orders;
mod paths;
mod place;
mod process;
mod programs;
mod reach;
mod ready;
mod record;
mod replies;
mod seen;
mod settle;
mod sight;
mod stage;
mod stop;
mod story;
mod tracing;
mod user;
mod watch;
mod workspace;

use std::io::Write;
use std::path::PathBuf;

use holdline_model::lack::Lack;
use holdline_model::mishap::{FullFolder, Mishap};
use holdline_model::result::TrialResult;
use holdline_model::summary::TrialName;
use holdline_model::supervisor::WorkerKind;
use holdline_model::sweep::calls::Place;
use holdline_model::sweep::life::Follow;
use holdline_model::wire::Address;
use serde::{Deserialize, Serialize};

use crate::sandbox::SandboxSpec;

pub(crate) use self::tracing::TRACING_NEEDS;
pub use self::tracing::{CALLS_JSON, TraceError};

/// Everything that the inner process must know.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrialSpec {
    /// Which trial it is.
    pub name: TrialName,
    /// The seed of everything that is drawn.
    pub seed: u64,
    /// The scenario's file.
    pub scenario: FileText,
    /// The scenario's folder; absolute.
    #[serde(default)]
    pub scenario_folder: Option<PathBuf>,
    /// The supervisor's description.
    pub supervisor: FileText,
    /// The description's folder.
    pub source: SourceSpec,
    /// Which worker it runs.
    pub worker: WorkerKind,
    /// The sandbox.
    pub sandbox: SandboxSpec,
    /// The trial's folder in the run directory; absolute.
    pub folder: PathBuf,
    /// The holdline executable.
    pub executable: PathBuf,
    /// Whose system calls are followed while the load runs, if anybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceSpec>,
    /// Where a service runs already that is put under load. Who is started as the supervisor then only stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Address>,
    /// Whether a reference supervisor may fail as the scenario's `[reference]` table foresees it.
    #[serde(default)]
    pub excuses_reference: bool,
}

/// Whose system calls are followed in a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSpec {
    /// Whose.
    pub follow: Follow,
    /// From when on, in nanoseconds from the load's start.
    pub begin_ns: u64,
    /// Until when.
    pub end_ns: u64,
    /// Where a process is to be killed; `None`: calls are written down.
    pub kill: Option<Place>,
    /// The fault of the scenario that stands for this kill, which nobody else makes; `None`: it is only watched what
    /// they do, and where that is not permitted, it is not.
    pub fault: Option<usize>,
}

impl TraceSpec {
    /// A supervisor and its children are watched until so many nanoseconds from the load's start.
    pub(crate) const fn watch(end_ns: u64) -> Self {
        Self { follow: Follow::SUPERVISOR, begin_ns: 0, end_ns, kill: None, fault: None }
    }
}

/// A file's text and its name for messages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileText {
    /// The text.
    pub text: String,
    /// The name.
    pub origin: String,
}

/// Where a description's folder is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceSpec {
    /// In the executable, under this name.
    Embedded(String),
    /// On disk; absolute.
    Folder(PathBuf),
}

/// What the inner process tells the outer one, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// How far the load is.
    Progress {
        /// Attempts that have ended.
        finished: u64,
        /// Attempts that were lost, as the client sees it.
        lost: u64,
        /// Attempts in all, if the schedule knows.
        planned: Option<u64>,
    },
    /// The trial ended with this result.
    Done(Box<TrialResult>),
    /// The trial could not be run, or not be recorded.
    Failed {
        /// What failed, and the remedy.
        mishap: Mishap,
        /// The folder of the trial's own into which nothing more fits, if that is why.
        full: Option<FullFolder>,
        /// Whether every other trial would fail in the same way, such as on a full disk.
        fatal: bool,
    },
}

impl Message {
    /// Sends it, from the inner process; whether anybody still listens.
    fn tell(&self) -> bool {
        let Ok(mut line) = serde_json::to_string(self) else { return false };
        line.push('\n');
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_ok()
    }
}

/// Why this machine cannot run a scenario's workers as the user that it names; `None`: it can, or
/// the scenario names none.
#[must_use]
pub fn lack_of_user(scenario: &holdline_model::scenario::Scenario) -> Option<Lack> {
    scenario.workers.user.as_ref().and_then(|user| user::identity(user).err())
}

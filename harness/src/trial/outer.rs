//! The outer side of a trial: starts the process in which it runs, listens to it, and ends it.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use holdline_model::arrivals::Extent;
use holdline_model::file::FileError;
use holdline_model::mishap::{FullFolder, Mishap};
use holdline_model::reason::Note;
use holdline_model::result::TrialResult;
use holdline_model::{scenario, supervisor};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::hands::ask::CONTROL_LIMIT;
use super::messages::{self, Messages};
use super::stop::STOP_LIMIT;
use super::{Message, TrialSpec};
use crate::proc;
use crate::sandbox::Lifeline;

/// For everything in a trial that is not bounded by the scenario, on a machine that is very busy.
const SLACK: Duration = Duration::from_secs(120);

/// A trial's process that could not be started, or not be waited for.
#[derive(Debug, thiserror::Error)]
pub enum OuterError {
    /// A file of the trial is wrong.
    #[error(transparent)]
    File(#[from] FileError),
    /// What the trial is to be has no form as JSON.
    #[error("failed to write the trial's specification as JSON")]
    Json(#[from] serde_json::Error),
    /// That could not be written.
    #[error("failed to write {}", .path.display())]
    Spec {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing to talk over.
    #[error("failed to create sockets")]
    Sockets(#[source] io::Error),
    /// The kernel refuses a process.
    #[error("failed to start {}", .executable.display())]
    Start {
        /// What was to be started.
        executable: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be waited for.
    #[error("failed to wait for the trial")]
    Wait(#[source] io::Error),
}

/// How a trial ended, as the outer process sees it.
#[derive(Debug)]
pub enum Ended {
    /// With a result.
    Result(Box<TrialResult>),
    /// Without: it could not be run, or its process died.
    Failed {
        /// What failed, and the remedy.
        mishap: Mishap,
        /// The folder of the trial's own into which nothing more fits, if that is why.
        full: Option<FullFolder>,
        /// Whether every other trial would fail in the same way.
        fatal: bool,
        /// What else a reader should know.
        notes: Vec<Note>,
    },
}

impl Ended {
    /// Without a result, for a reason that is this trial's alone.
    const fn failed(mishap: Mishap) -> Self {
        Self::Failed { mishap, full: None, fatal: false, notes: Vec::new() }
    }

    /// Says that something came that was no message.
    fn with_strangers(mut self, lines: u64) -> Self {
        if lines > 0 {
            let note = Note::Strangers { lines };
            match &mut self {
                Self::Result(result) => result.note(note),
                Self::Failed { notes, .. } => notes.push(note),
            }
        }
        self
    }
}

/// How far a trial's load is.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoadProgress {
    /// Attempts that have ended.
    pub finished: u64,
    /// Attempts that were lost, as the client sees it.
    pub lost: u64,
    /// Attempts in all, if the schedule knows.
    pub planned: Option<u64>,
}

/// Runs a trial. When `stop` becomes true, its load ends early and is summed up as it is.
///
/// # Errors
///
/// If its process cannot even be started.
pub async fn run(
    spec: &TrialSpec,
    mut stop: watch::Receiver<bool>,
    mut progress: impl FnMut(LoadProgress),
) -> Result<Ended, OuterError> {
    let path = spec.folder.join("spec.json");
    let json = serde_json::to_vec_pretty(spec)?;
    std::fs::write(&path, json).map_err(|source| OuterError::Spec { path: path.clone(), source })?;
    let (mut lifeline, input) = Lifeline::new().map_err(OuterError::Sockets)?;
    let (out, output) = messages::channel().map_err(OuterError::Sockets)?;
    let (errors, error_output) = messages::channel().map_err(OuterError::Sockets)?;
    let mut child = spawn(spec, &path, [input, output, error_output])?;
    let errors = tokio::spawn(messages::errors(errors));
    let mut messages = Messages::new(out);
    let limit = longest(spec)?;
    let too_long = tokio::time::sleep(limit);
    tokio::pin!(too_long);
    let mut ended = None;
    let mut asked = false;
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Ok(Some(Message::Progress { finished, lost, planned })) => {
                    progress(LoadProgress { finished, lost, planned });
                }
                Ok(Some(Message::Done(result))) => ended = Some(Ended::Result(result)),
                Ok(Some(Message::Failed { mishap, full, fatal })) => {
                    ended = Some(Ended::Failed { mishap, full, fatal, notes: Vec::new() });
                }
                // An error is how the kernel tells that the process died with something unread.
                Ok(None) | Err(_) => break,
            },
            () = &mut too_long => {
                // Dropping the child and the lifeline ends the sandbox with everything in it.
                return Ok(Ended::failed(Mishap::Endless { limit_s: limit.as_secs() }));
            }
            changed = stop.changed(), if !asked => {
                asked = true;
                if changed.is_ok() && *stop.borrow() {
                    lifeline.ask_to_stop();
                }
            }
        }
    }
    let status = child.wait().await.map_err(OuterError::Wait)?;
    lifeline.release();
    let _ = std::fs::remove_file(&path);
    Ok(match ended {
        Some(ended) => ended.with_strangers(messages.strangers()),
        None => {
            let wrote = errors.await.unwrap_or_default();
            Ended::failed(Mishap::Died { status: proc::exit_of(status), wrote })
        }
    })
}

/// Longer than a trial can take if all is well: its load at the longest, its faults, the watch, and
/// stopping.
fn longest(spec: &TrialSpec) -> Result<Duration, FileError> {
    let scenario = scenario::parse(&spec.scenario.text, &spec.scenario.origin)?;
    let supervisor = supervisor::parse(&spec.supervisor.text, &spec.supervisor.origin)?;
    let faults = u32::try_from(scenario.faults.len()).unwrap_or(u32::MAX);
    let load = Duration::from_nanos(scenario.load.timeouts.total_ns)
        + Duration::from_secs_f64(Extent::of(&scenario.load).end_ns_max / 1e9);
    let ready = Duration::from_nanos(supervisor.ready.timeout_ns);
    let watch = Duration::from_nanos(scenario.load.patience_ns);
    Ok(ready + load + watch + CONTROL_LIMIT.saturating_mul(faults) + STOP_LIMIT + SLACK)
}

/// In a process group of its own, so that Ctrl-C reaches holdline alone.
fn spawn(spec: &TrialSpec, path: &Path, streams: [OwnedFd; 3]) -> Result<Child, OuterError> {
    let [input, output, errors] = streams.map(Stdio::from);
    Command::new(&spec.executable)
        .arg("__trial")
        .arg(path)
        .stdin(input)
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| OuterError::Start { executable: spec.executable.clone(), source })
}

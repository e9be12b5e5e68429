//! The process in which a trial runs: it goes into the sandbox, plays the trial, and says how it went.

use std::error::Error;
use std::io;
use std::path::Path;

use holdline_model::mishap::{FullFolder, Mishap};
use holdline_model::reason::{Note, Reason};

use super::paths::{PathError, to};
use super::story::StoryError;
use super::{Message, TraceError, TrialSpec, reach, story};
use crate::causes::{causes, in_full};
use crate::load::{DESCRIPTORS_MIN, LoadError};
use crate::sandbox::{self, SandboxError};

/// A trial that could not be run.
#[derive(Debug, thiserror::Error)]
enum RunnerError {
    /// Its specification could not be read.
    #[error(transparent)]
    Spec(#[from] PathError),
    /// Or is none.
    #[error("failed to understand the trial's specification")]
    Syntax(#[from] serde_json::Error),
    /// The sandbox cannot be had.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The runtime cannot be had.
    #[error("failed to start the trial's runtime")]
    Runtime(#[source] io::Error),
    /// The trial could not be played to its end.
    #[error(transparent)]
    Story(#[from] Box<StoryError>),
}

/// Runs the trial of a specification, and says on standard output how it went.
///
/// Returns the process's exit status: 0 if a message was sent.
pub fn main(spec: &Path) -> u8 {
    let message = match run(spec) {
        Ok(message) => message,
        Err(error) => failed(&error, None, is_fatal(&error)),
    };
    u8::from(!message.tell())
}

/// Whether every other trial would fail in the same way.
fn is_fatal(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        // One that is too low for many client threads may do for a load that has fewer.
        let is_limit = cause.downcast_ref::<LoadError>().is_some_and(
            |error| matches!(error, LoadError::TooFewDescriptors { limit, .. } if *limit < DESCRIPTORS_MIN),
        );
        is_limit
            || cause.downcast_ref::<TraceError>().is_some_and(TraceError::is_fatal)
            || cause.downcast_ref::<io::Error>().is_some_and(|error| {
                matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::FileTooLarge
                        | io::ErrorKind::ReadOnlyFilesystem
                )
            })
    })
}

fn run(spec: &Path) -> Result<Message, RunnerError> {
    let text = std::fs::read_to_string(spec).map_err(to("read", spec))?;
    let mut spec: TrialSpec = serde_json::from_str(&text)?;
    keep_inherited_descriptors_from_children();
    spec.sandbox.reach.extend(reach::of(&spec));
    let inside = sandbox::enter(&spec.sandbox)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunnerError::Runtime)?;
    let work = spec.sandbox.work.clone();
    let level = inside.level;
    let told = runtime.block_on(story::play(spec, inside));
    let Some(full) = sandbox::full_folder(level, &work) else { return Ok(told.map_err(Box::new)?) };
    Ok(match told {
        Ok(message) => with_full_folder(message, full),
        Err(error) => failed(&error, Some(full), false),
    })
}

fn failed(error: &(dyn Error + 'static), full: Option<FullFolder>, fatal: bool) -> Message {
    Message::Failed { mishap: Mishap::Own { error: in_full(error) }, full, fatal }
}

/// Says that a folder of the trial's own is full, which is what ailed a supervisor that did not get ready.
fn with_full_folder(message: Message, folder: FullFolder) -> Message {
    match message {
        Message::Done(mut result) => {
            match result.why.take() {
                Some(Reason::NotRun { what, full: _ }) => {
                    result.explain(Reason::NotRun { what, full: Some(folder) });
                }
                why => {
                    result.why = why;
                    result.note(Note::Full(folder));
                }
            }
            Message::Done(result)
        }
        Message::Failed { mishap, full: _, fatal } => Message::Failed { mishap, full: Some(folder), fatal },
        progress @ Message::Progress { .. } => progress,
    }
}

/// Descriptors that whoever started holdline left open, such as a build tool's, must not look like
/// something that a supervisor under test leaked to its workers.
fn keep_inherited_descriptors_from_children() {
    // SAFETY: this only sets a flag on descriptors and closes none. It fails on kernels before 5.11,
    // which have no such flag; the descriptors are then passed on as the user passed them.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}

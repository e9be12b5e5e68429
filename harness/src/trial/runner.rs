//! The process in which a trial runs: it goes into the sandbox, plays the trial, and says how it went.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Message, TrialSpec, reach, story};
use crate::load::LoadError;
use crate::sandbox;

/// Runs the trial of a specification, and says on standard output how it went.
///
/// Returns the process's exit status: 0 if a message was sent.
pub fn main(spec: &Path) -> u8 {
    let message = match run(spec) {
        Ok(message) => message,
        Err(error) => Message::Failed { fatal: is_fatal(&error), reason: format!("{error:#}") },
    };
    u8::from(!message.tell())
}

/// Whether every other trial would fail in the same way.
fn is_fatal(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let is_limit = cause
            .downcast_ref::<LoadError>()
            .is_some_and(|error| matches!(error, LoadError::TooFewDescriptors(_)));
        is_limit
            || cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
                matches!(
                    error.kind(),
                    std::io::ErrorKind::StorageFull
                        | std::io::ErrorKind::QuotaExceeded
                        | std::io::ErrorKind::FileTooLarge
                        | std::io::ErrorKind::ReadOnlyFilesystem
                )
            })
    })
}

fn run(spec: &Path) -> Result<Message> {
    let text = std::fs::read_to_string(spec).with_context(|| format!("failed to read {}", spec.display()))?;
    let mut spec: TrialSpec =
        serde_json::from_str(&text).context("failed to understand the trial's specification")?;
    keep_inherited_descriptors_from_children();
    spec.sandbox.reach.extend(reach::of(&spec));
    let inside = sandbox::enter(&spec.sandbox)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the trial's runtime")?;
    let work = spec.sandbox.work.clone();
    let level = inside.level;
    let told = runtime.block_on(story::play(spec, inside));
    let Some(shortage) = sandbox::shortage(level, &work) else { return told };
    Ok(match told {
        Ok(message) => with_shortage(message, shortage),
        Err(error) => Message::Failed { reason: format!("{error:#}; {shortage}"), fatal: false },
    })
}

/// Says that a folder of the trial's own is full, which is what ailed a supervisor that did not get ready.
fn with_shortage(message: Message, shortage: String) -> Message {
    match message {
        Message::Done(mut result) => {
            match &mut result.reason {
                Some(reason) => *reason = format!("{shortage}; {reason}"),
                None => result.notes.push(shortage),
            }
            Message::Done(result)
        }
        Message::Failed { reason, fatal } => {
            Message::Failed { reason: format!("{reason}; {shortage}"), fatal }
        }
        progress @ Message::Progress { .. } => progress,
    }
}

/// Descriptors that whoever started holdline left open, such as a build tool's, must not look like
/// something that a supervisor under test leaked to its workers.
fn keep_inherited_descriptors_from_children() {
    // SAFETY: this only sets a flag on descriptors and closes none. It fails on kernels before 5.11,
    // which have no such flag; the descriptors are then passed on as the user passed them.
    unsafe { libc::close_range(3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
}

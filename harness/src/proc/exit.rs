//! How a process ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use holdline_model::exit::Exit;
use nix::sys::signal::Signal;

/// How a process ended.
pub(crate) fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(code),
        (_, Some(number)) => named(number).map_or(Exit::Numbered(number), Exit::Signal),
        // Stopped or resumed, which is no end.
        _ => Exit::Unknown,
    }
}

/// The signal of a number, if it has a name.
fn named(number: i32) -> Option<holdline_model::signals::Signal> {
    Signal::try_from(number).ok()?.as_str().strip_prefix("SIG")?.parse().ok()
}

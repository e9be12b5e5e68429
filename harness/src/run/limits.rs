//! What this process must have for a run, and the limits that would end one in the middle.

use std::fs::File;

use libc::c_int;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::RunError;
use crate::load;

/// Descriptors that this process has open at the same time, and some to spare. What a trial's load needs
/// is [`load::check_nofile`]'s to say.
const DESCRIPTORS: u64 = 40;
/// What is started without input or output has this instead.
const NULL: &str = "/dev/null";

/// Whether limits, and what is mounted, allow a run at all.
///
/// # Errors
///
/// A limit is too low, or there is no `/proc` or no `/dev/null`, as in a root with holdline alone in it.
pub fn check() -> Result<(), RunError> {
    std::env::current_exe().map_err(RunError::Executable)?;
    File::options().read(true).write(true).open(NULL).map_err(RunError::Null)?;
    load::check_nofile(1)?;
    // A limit that cannot be asked for is none.
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((u64::MAX, u64::MAX));
    if limit < DESCRIPTORS {
        return Err(RunError::Descriptors { limit, needed: DESCRIPTORS });
    }
    Ok(())
}

/// Makes SIGXFSZ harmless: a write beyond the limit of file sizes is then an error that names the file
/// (EFBIG) instead of the end of this process (setrlimit(2)). What is executed later has its default action again, which it would not
/// have if the signal were ignored (execve(2)).
pub(crate) fn survive_file_size_limit() {
    extern "C" fn nothing(_: c_int) {}
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing, which is safe at any instant.
    let _ = unsafe { sigaction(Signal::SIGXFSZ, &action) };
}

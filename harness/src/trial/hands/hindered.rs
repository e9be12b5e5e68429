//! What hindered a deed, as a value that is recorded.

use std::error::Error;

use holdline_model::hindrance::Hindrance;
use holdline_model::signals::Signal;
use nix::unistd::Pid;

use crate::causes::in_full;
use crate::proc;

/// What holdline itself could not do.
pub(in crate::trial) fn own(error: &(dyn Error + 'static)) -> Hindrance {
    Hindrance::Own { error: in_full(error) }
}

/// A process that could not be signalled, or the group that it leads.
pub(super) fn not_signalled(signal: Signal, pid: Pid, group: bool, error: &dyn Error) -> Hindrance {
    Hindrance::NotSignalled { signal, pid: proc::number(pid), group, error: error.to_string() }
}

//! The processes under test, as those see them who look at what they hold.

use holdline_model::custody::Process;
use nix::unistd::Pid;

use crate::proc;

/// The processes of a trial that may have a connection.
pub trait Processes: Send + 'static {
    /// Those that belong to what is under test.
    fn all(&self) -> Vec<Pid>;

    /// The process that is the supervisor.
    fn supervisor(&self) -> Pid;
}

/// A process by name and role; one that is gone has no name any more.
pub(super) fn process(pid: Pid, processes: &impl Processes) -> Process {
    let is_supervisor = pid == processes.supervisor();
    Process {
        pid: proc::number(pid),
        name: proc::name(pid).ok().flatten().unwrap_or_else(|| "?".to_owned()),
        supervises: is_supervisor
            && proc::children(pid).ok().flatten().is_some_and(|below| !below.is_empty()),
    }
}

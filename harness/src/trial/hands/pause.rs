//! Processes that are stopped, until the guard is dropped.

use holdline_model::signals::Signal;
use nix::unistd::Pid;

use crate::proc;
use crate::trial::ends;

/// Stopped processes; dropping it resumes them.
#[derive(Debug, Default)]
#[must_use = "dropping it resumes the processes"]
pub(super) struct Paused {
    pids: Vec<Pid>,
}

impl Paused {
    /// Takes charge of a process that a signal has stopped.
    pub(super) fn add(&mut self, pid: Pid) {
        self.pids.push(pid);
    }

    /// Resumes these of them, and leaves the others to whom they are stopped by, too.
    pub(super) fn resume(mut self, pids: &[u32]) {
        self.pids.retain(|pid| pids.contains(&proc::number(*pid)));
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // One that was killed while it was stopped may have left its id to another process.
        for pid in self.pids.iter().filter(|pid| proc::is_stopped(**pid)) {
            let _ = ends::send(*pid, Signal::CONT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    fn stopped() -> (Child, Pid) {
        let child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = proc::numbered(child.id()).expect("a process");
        ends::send(pid, Signal::STOP).expect("a signal");
        while !proc::is_stopped(pid) {
            std::thread::yield_now();
        }
        (child, pid)
    }

    #[test]
    fn what_is_not_to_go_on_stays_stopped_until_another_guard_is_dropped() {
        let (mut child, pid) = stopped();
        let (mut first, mut second) = (Paused::default(), Paused::default());
        first.add(pid);
        second.add(pid);
        first.resume(&[]);
        assert!(proc::is_stopped(pid));
        drop(second);
        while proc::is_stopped(pid) {
            std::thread::yield_now();
        }
        child.kill().expect("a signal");
        child.wait().expect("a status");
    }
}

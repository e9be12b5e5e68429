//! Processes that are stopped, until the guard is dropped.

use holdline_model::signals::Signal;
use nix::unistd::Pid;

use crate::proc;
use crate::trial::ends;

/// Stopped processes; dropping it resumes them.
#[derive(Debug, Default)]
#[must_use = "dropping it resumes the processes"]
pub(super) struct Paused {
    processes: Vec<Stopped>,
}

/// A process that was sent a signal that stops it.
#[derive(Debug)]
struct Stopped {
    pid: Pid,
    /// When it started, in clock ticks: another that has its id later did not start then.
    started_ticks: Option<u64>,
}

impl Stopped {
    fn is_still(&self) -> bool {
        started_ticks(self.pid).is_some_and(|started| Some(started) == self.started_ticks)
    }
}

fn started_ticks(pid: Pid) -> Option<u64> {
    proc::stat(pid).ok().flatten().map(|stat| stat.started_ticks)
}

impl Paused {
    /// Takes charge of a process that a signal has stopped.
    pub(super) fn add(&mut self, pid: Pid) {
        self.processes.push(Stopped { pid, started_ticks: started_ticks(pid) });
    }

    /// Resumes these of them, and leaves the others to whom they are stopped by, too.
    pub(super) fn resume(mut self, pids: &[u32]) {
        self.processes.retain(|process| pids.contains(&proc::number(process.pid)));
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // One that was killed while it was stopped may have left its id to another process. And one that has not
        // run since may yet be about to stop, which SIGCONT takes back (signal(7), prepare_signal in
        // kernel/signal.c): whether it is seen to be stopped says nothing.
        for process in self.processes.iter().filter(|process| process.is_still()) {
            let _ = ends::send(process.pid, Signal::CONT);
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

    /// A process that runs on another processor stops only when it next enters the kernel.
    #[test]
    fn one_that_has_not_stopped_yet_goes_on() {
        let mut child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh");
        let pid = proc::numbered(child.id()).expect("a process");
        let ticks = || proc::stat(pid).expect("a look").expect("a process").own_ticks;
        for _ in 0..20 {
            let mut paused = Paused::default();
            ends::send(pid, Signal::STOP).expect("a signal");
            paused.add(pid);
            drop(paused);
            let before = ticks();
            while ticks() == before {
                assert!(!proc::is_stopped(pid), "it stopped after it was resumed");
                std::thread::yield_now();
            }
        }
        child.kill().expect("a signal");
        child.wait().expect("a status");
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

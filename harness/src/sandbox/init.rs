//! Stage 0 and init: the two processes that stand between the outer process and the runner.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Pid, getpid, getppid, setsid};

use super::adoption::{self, Reporter};
use super::error::{SandboxError, Step};
use super::mounts::Plan;
use super::process::{self, Ended, Reaped};
use super::sysctl::Sysctl;
use super::{Inside, Isolation, SandboxSpec, lifeline, network, tree};

/// What init is to set up, checked as far as that can be done outside.
#[derive(Debug)]
pub(super) struct Setup {
    level: Isolation,
    plan: Plan,
    sysctls: Vec<Sysctl>,
    /// Whether what descends from it is killed at its end, where no namespace sees to that.
    kills: bool,
}

impl Setup {
    /// Changes nothing.
    pub(super) fn check(spec: &SandboxSpec) -> Result<Self, SandboxError> {
        if spec.isolation == Isolation::None {
            let private = spec.private.first().map(|path| format!("private directory `{}`", path.display()));
            let sysctl = spec.sysctls.keys().next().map(|name| format!("sysctl `{name}`"));
            if let Some(what) = private.or(sysctl) {
                return Err(SandboxError::NeedsFull { what });
            }
        }
        let sysctls = Sysctl::check(&spec.sysctls)?;
        let kills = spec.isolation == Isolation::None && !spec.leaves_behind;
        Ok(Self { level: spec.isolation, plan: Plan::check(spec)?, sysctls, kills })
    }

    /// Returns whether there are addresses for IPv6 clients.
    fn build(&self) -> Result<bool, SandboxError> {
        self.plan.mount()?;
        let client_v6 = network::bring_up()?;
        self.sysctls.iter().try_for_each(Sysctl::set)?;
        Ok(client_v6)
    }
}

/// Forks init, which forks the runner, where this returns; this process waits for init to end.
pub(super) fn start(setup: &Setup, lifeline: Option<lifeline::End>) -> Result<Inside, SandboxError> {
    let (link, link_writer) = process::pipe()?;
    let (ending_reader, ending) = process::pipe()?;
    match process::fork()? {
        ForkResult::Parent { child } => {
            drop(ending);
            wait_for_init(setup.kills, child, &link_writer, ending_reader)
        }
        ForkResult::Child => {
            drop(link_writer);
            drop(ending_reader);
            become_init(setup, Ties { link, lifeline }, ending)
        }
    }
}

/// Stage 0 from here on. While it lives it holds the writing end of init's link.
fn wait_for_init(kills: bool, init: Pid, link: &PipeWriter, mut ending: PipeReader) -> ! {
    process::ignore_terminal();
    process::close_all_but(&[link.as_fd(), ending.as_fd()]);
    let ended = process::reap_one(init);
    if kills {
        // Those that init did not live to kill.
        tree::kill_descendants();
    }
    let mut status = [0; 4];
    match (ending.read_exact(&mut status), ended) {
        (Ok(()), _) => process::end_like(i32::from_ne_bytes(status)),
        (Err(_), Some(Ended { status, .. })) => process::end_like(status),
        (Err(_), None) => process::exit_now(process::KILLED),
    }
}

/// What init's life depends on.
#[derive(Debug)]
struct Ties {
    /// To stage 0.
    link: PipeReader,
    /// To the outer process.
    lifeline: Option<lifeline::End>,
}

impl Ties {
    fn are_cut(&self) -> bool {
        lifeline::is_cut(self.link.as_fd()) || self.lifeline.as_ref().is_some_and(lifeline::End::is_cut)
    }
}

fn become_init(setup: &Setup, ties: Ties, ending: PipeWriter) -> Result<Inside, SandboxError> {
    // Fails for a session's leader only, which a new process is not.
    let _ = setsid();
    match setup.level {
        Isolation::Full => process::die_with_parent()?,
        // It must live to kill the others, so it goes by the ties alone.
        Isolation::None => process::become_subreaper()?,
    }
    if ties.are_cut() {
        process::exit_now(process::KILLED);
    }
    let client_v6 = if setup.level == Isolation::Full { setup.build()? } else { false };
    let (adoptions, reporter) = adoption::channel()?;
    let (mask, signals) = watch_children()?;
    let init = getpid();
    match process::fork()? {
        ForkResult::Parent { child } => {
            drop(adoptions);
            Init { kills: setup.kills, runner: child, ties, signals, reporter, ending }.run()
        }
        ForkResult::Child => {
            restore(&mask)?;
            if setup.level == Isolation::None {
                process::die_with_parent()?;
                if getppid() != init {
                    process::exit_now(process::KILLED);
                }
            }
            Ok(Inside { level: setup.level, adoptions, client_v6, init })
        }
    }
}

/// Blocks `SIGCHLD` and makes it readable. Returns the signal mask as it was.
fn watch_children() -> Result<(SigSet, SignalFd), SandboxError> {
    let refused = |errno| SandboxError::refused(Step::Signals, errno);
    let children = SigSet::from(Signal::SIGCHLD);
    let mask = children.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(refused)?;
    let signals =
        SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(refused)?;
    Ok((mask, signals))
}

/// A caller may have had `SIGCHLD` blocked; supervisors would inherit that and wait for ever.
fn restore(mask: &SigSet) -> Result<(), SandboxError> {
    let mut mask = *mask;
    mask.remove(Signal::SIGCHLD);
    mask.thread_set_mask().map_err(|errno| SandboxError::refused(Step::Signals, errno))
}

/// PID 1 of the sandbox, or what stands in for it.
struct Init {
    kills: bool,
    runner: Pid,
    ties: Ties,
    signals: SignalFd,
    reporter: Reporter,
    ending: PipeWriter,
}

impl Init {
    fn run(mut self) -> ! {
        process::ignore_broken_pipes();
        self.close_others();
        loop {
            if let Some(status) = self.reap() {
                self.finish(Some(status));
            }
            if self.wait() {
                self.finish(None);
            }
            while let Ok(Some(_)) = self.signals.read_signal() {}
            // Those under test may signal the runner as well. What it could not send meanwhile counts as its
            // own failing.
            process::continue_if_stopped(self.runner);
            self.reporter.tell_lost();
        }
    }

    fn close_others(&self) {
        let mut keep =
            vec![self.ties.link.as_fd(), self.signals.as_fd(), self.reporter.as_fd(), self.ending.as_fd()];
        keep.extend(self.ties.lifeline.as_ref().map(AsFd::as_fd));
        process::close_all_but(&keep);
    }

    /// Reaps whatever has ended. Returns the runner's status if it was among them.
    fn reap(&mut self) -> Option<i32> {
        while let Reaped::Child(ended) = process::reap_any() {
            if ended.pid == self.runner {
                return Some(ended.status);
            }
            self.reporter.report(ended);
        }
        None
    }

    /// Waits until there is something to do. Returns whether a tie has been cut.
    fn wait(&self) -> bool {
        let nothing = PollFlags::empty();
        let mut fds = vec![
            PollFd::new(self.ties.link.as_fd(), nothing),
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
        ];
        if let Some(lifeline) = &self.ties.lifeline {
            fds.push(PollFd::new(lifeline.as_fd(), nothing));
        }
        if self.reporter.has_untold() {
            fds.push(PollFd::new(self.reporter.as_fd(), PollFlags::POLLOUT));
        }
        let _ = poll(&mut fds, PollTimeout::NONE);
        self.ties.are_cut()
    }

    /// Ends the sandbox, as the runner ended if it did.
    fn finish(&mut self, status: Option<i32>) -> ! {
        if let Some(status) = status {
            // PID 1 cannot be killed by a signal of its own, so stage 0 is told.
            let _ = self.ending.write_all(&status.to_ne_bytes());
        }
        if self.kills {
            tree::kill_descendants();
        }
        process::exit_now(
            status.map_or(process::KILLED, |status| process::shell_code(ExitStatus::from_raw(status))),
        )
    }
}

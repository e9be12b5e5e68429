//! What the sandbox needs of processes: forking, dying with a parent, ending as another one ended.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, kill, raise, sigaction, sigprocmask,
};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{ForkResult, Pid};

use super::error::{SandboxError, Step};

/// The status of a process that ended because an outer one did: as a shell reports `SIGKILL`.
pub(super) const KILLED: i32 = 128 + libc::SIGKILL;

/// A child that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) pid: Pid,
    /// As `wait(2)` encodes it.
    pub(super) status: i32,
}

/// What a look at the children found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaped {
    Child(Ended),
    /// There are children, and all are alive.
    NoneYet,
    /// There are no children.
    Childless,
}

/// Fails unless the calling process has one thread only.
pub(super) fn assert_single_threaded() -> Result<(), SandboxError> {
    let tasks = std::fs::read_dir("/proc/self/task").map_err(SandboxError::Proc)?;
    match tasks.count() {
        1 => Ok(()),
        count => Err(SandboxError::Threads { count }),
    }
}

/// Forks. The child has a single thread, as its parent must have.
pub(super) fn fork() -> Result<ForkResult, SandboxError> {
    // SAFETY: `enter` has checked that this process has one thread only, so no lock can be held by a
    // thread that the child lacks. `probe`, which cannot check, keeps its child to system calls,
    // `/proc` files and allocation, for which glibc makes forking safe.
    unsafe { nix::unistd::fork() }.map_err(|errno| SandboxError::refused(Step::Fork, errno))
}

/// A pipe between processes of a trial. Neither end is inherited by what they execute.
pub(super) fn pipe() -> Result<(PipeReader, PipeWriter), SandboxError> {
    io::pipe().map_err(|error| SandboxError::refused(Step::Pipe, errno_of(&error)))
}

/// The errno of an error that came from a system call.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Ends this process without running destructors, which belong to the process that it came from.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` has no preconditions and does not return.
    unsafe { libc::_exit(code) }
}

/// Ends this process as another ended whose status is given: with its code, or by its signal.
pub(super) fn end_like(status: i32) -> ! {
    let status = ExitStatus::from_raw(status);
    if let Some(signal) = status.signal() {
        die_by(signal);
    }
    exit_now(shell_code(status));
}

/// The status as a shell would put it: the exit code, or 128 plus the signal's number.
pub(super) fn shell_code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(KILLED)
}

/// Comes back if the signal is not one that nix knows, such as a real-time signal.
fn die_by(signal: i32) {
    let Ok(signal) = Signal::try_from(signal) else { return };
    // The core that is of interest is that of the process which failed, not of this one.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = set_action(signal, SigHandler::SigDfl);
    let _ = sigprocmask(SigmaskHow::SIG_UNBLOCK, Some(&SigSet::from(signal)), None);
    let _ = raise(signal);
}

/// Has the kernel kill this process when its parent ends (`PR_SET_PDEATHSIG`).
///
/// To be called after whatever changes credentials, which can undo it; and to be followed by a check
/// that the parent is still there.
pub(super) fn die_with_parent() -> Result<(), SandboxError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|errno| SandboxError::refused(Step::Signals, errno))
}

/// Keeps this process, and those that it forks, from being looked into by those under test: attaching to it
/// (ptrace(2)), its memory, its descriptors (pidfd_getfd(2)). Their root has no `CAP_SYS_PTRACE` in the user
/// namespace that this process was executed in (`ptrace_may_access` in kernel/ptrace.c), unless it is the
/// machine's. What is executed can be looked into again.
///
/// To be called after whatever changes credentials or namespaces, which can undo it.
pub(super) fn hide() -> Result<(), SandboxError> {
    prctl::set_dumpable(false).map_err(|errno| SandboxError::refused(Step::Signals, errno))
}

/// Lets a child go on if a signal has stopped it. Returns whether one had.
pub(super) fn continue_if_stopped(child: Pid) -> bool {
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WNOHANG;
    let stopped = matches!(waitid(Id::Pid(child), flags), Ok(WaitStatus::Stopped(..)));
    stopped && kill(child, Signal::SIGCONT).is_ok()
}

/// Makes orphaned descendants children of this process.
pub(super) fn become_subreaper() -> Result<(), SandboxError> {
    prctl::set_child_subreaper(true).map_err(|errno| SandboxError::refused(Step::Signals, errno))
}

/// What a caller ignored, those would ignore that are started here: one that ignored `SIGCHLD` would have its children
/// reaped by the kernel, unseen, and beneath `nohup`, or behind a shell's `&`, a service would not hear `SIGHUP`, or
/// `SIGINT` and `SIGQUIT`, by which it is to be asked for something.
pub(super) fn default_signals() -> Result<(), SandboxError> {
    let asked_by =
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2];
    for signal in asked_by.into_iter().chain([Signal::SIGCHLD]) {
        set_action(signal, SigHandler::SigDfl)
            .map_err(|errno| SandboxError::refused(Step::Signals, errno))?;
    }
    Ok(())
}

/// Leaves what the terminal sends to the outer process, which alone decides what Ctrl-C means.
pub(super) fn ignore_terminal() {
    for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
        let _ = set_action(signal, SigHandler::SigIgn);
    }
}

/// Writing to a process that no longer reads must not end this one.
pub(super) fn ignore_broken_pipes() {
    let _ = set_action(Signal::SIGPIPE, SigHandler::SigIgn);
}

fn set_action(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler is the default action or to ignore, so no code of ours runs in a signal.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// Reaps one child that has ended, if there is one.
///
/// Not through nix, whose `WaitStatus` cannot express a real-time signal and drops the child's status
/// in favour of an error.
pub(super) fn reap_any() -> Reaped {
    reap(Pid::from_raw(-1), libc::WNOHANG)
}

/// Waits for the child `pid` to end; none if it is not a child.
pub(super) fn reap_one(pid: Pid) -> Option<Ended> {
    match reap(pid, 0) {
        Reaped::Child(ended) => Some(ended),
        Reaped::NoneYet | Reaped::Childless => None,
    }
}

/// As waitpid(2) takes them: a process id of -1 stands for any child.
fn reap(which: Pid, options: i32) -> Reaped {
    let mut status = 0;
    loop {
        // SAFETY: `status` is a valid place for an int during the call.
        let pid = unsafe { libc::waitpid(which.as_raw(), &raw mut status, options | libc::__WALL) };
        match pid {
            0 => return Reaped::NoneYet,
            1.. => return Reaped::Child(Ended { pid: Pid::from_raw(pid), status }),
            _ if Errno::last() == Errno::EINTR => {}
            _ => return Reaped::Childless,
        }
    }
}

/// Closes every descriptor from 3 up except those given.
///
/// Stage 0 and init would otherwise hold copies of descriptors whose closing by the runner means
/// something to whoever is at the other end. Kernels before 5.9 lack the call and keep the copies.
pub(super) fn close_all_but(keep: &[BorrowedFd<'_>]) {
    let mut keep: Vec<u32> = keep.iter().filter_map(|fd| u32::try_from(fd.as_raw_fd()).ok()).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep {
        if fd > first {
            close_range(first, fd - 1);
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: callers never return to code that owns one of these descriptors: they end in `_exit`.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_as_a_shell_puts_it() {
        for (raw, code) in [(0, 0), (7 << 8, 7), (255 << 8, 255), (libc::SIGKILL, 137), (64, 192)] {
            assert_eq!(shell_code(ExitStatus::from_raw(raw)), code, "{raw:#x}");
        }
    }

    #[test]
    fn what_is_stopped_goes_on_and_what_runs_is_left_alone() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = crate::proc::numbered(child.id()).expect("a pid");
        assert!(!continue_if_stopped(pid));
        kill(pid, Signal::SIGSTOP).expect("a signal");
        while !crate::proc::is_stopped(pid) {
            std::thread::yield_now();
        }
        assert!(continue_if_stopped(pid));
        assert!(!crate::proc::is_stopped(pid));
        child.kill().expect("a signal");
        child.wait().expect("a status");
    }

    #[test]
    fn a_test_has_threads() {
        assert!(matches!(assert_single_threaded(), Err(SandboxError::Threads { count: 2.. })));
    }
}

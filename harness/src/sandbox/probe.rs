//! Whether full isolation can be had here, and processes traced, found out by trying.

use std::fmt;
use std::io::{Read, Write};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, pause};

use super::Isolation;
use super::error::{SandboxError, Step};
use super::{mounts, namespaces, network, process};

/// What the user asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IsolationChoice {
    /// Full where the kernel allows it, else none, and the results say so
    #[default]
    Auto,
    /// User, network, PID, mount, IPC and UTS namespaces; an error where they are refused
    Full,
    /// No namespaces: counters are host-wide, sysctls stay as they are
    None,
}

/// What the user has to be told about the isolation that was chosen.
#[derive(Debug)]
pub struct Notice {
    /// Why there is no isolation.
    pub cause: SandboxError,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = &self.cause;
        write!(f, "running without isolation, so counters and ports are shared with the host: {cause}")
    }
}

/// Settles which isolation trials run with.
///
/// # Errors
///
/// Fails if full isolation was asked for and cannot be had.
pub fn choose(choice: IsolationChoice) -> Result<(Isolation, Option<Notice>), SandboxError> {
    match choice {
        IsolationChoice::None => Ok((Isolation::None, None)),
        IsolationChoice::Full => probe().map(|()| (Isolation::Full, None)),
        IsolationChoice::Auto => match probe() {
            Ok(()) => Ok((Isolation::Full, None)),
            Err(cause) => Ok((Isolation::None, Some(Notice { cause }))),
        },
    }
}

/// Tries whether full isolation can be had: a child process goes through the steps and ends.
///
/// May be called while other threads run.
///
/// # Errors
///
/// [`SandboxError::Refused`] names the first step that fails, and a remedy if one is known.
pub fn probe() -> Result<(), SandboxError> {
    try_out(|| {
        process::default_signals()?;
        namespaces::create(None, false)?;
        try_out(|| mounts::mount_proc().and_then(|()| network::bring_up()).map(drop))
    })
}

/// Tries whether a process of a trial may follow the system calls of another one (ptrace(2)): in a sandbox, where one can
/// be had. `isolation` says whether it can.
///
/// May be called while other threads run.
///
/// # Errors
///
/// [`SandboxError::Refused`] of the step [`Step::Trace`], or of one before.
pub fn probe_tracing(isolation: Isolation) -> Result<(), SandboxError> {
    try_out(|| {
        if isolation == Isolation::Full {
            process::default_signals()?;
            namespaces::create(None, false)?;
        }
        try_out(trace_a_child)
    })
}

fn trace_a_child() -> Result<(), SandboxError> {
    match process::fork()? {
        ForkResult::Child => {
            // Whoever is killed for an attempt to trace leaves nobody behind.
            let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
            loop {
                pause();
            }
        }
        ForkResult::Parent { child } => {
            let seized = ptrace::seize(child, ptrace::Options::empty());
            let _ = kill(child, Signal::SIGKILL);
            process::reap_one(child);
            seized.map_err(|errno| SandboxError::refused(Step::Trace, errno))
        }
    }
}

/// Does something in a child process: in the first of new namespaces, that is PID 1 of them.
fn try_out(deed: impl FnOnce() -> Result<(), SandboxError>) -> Result<(), SandboxError> {
    let (mut reader, mut writer) = process::pipe()?;
    match process::fork()? {
        ForkResult::Child => {
            drop(reader);
            if let Err(error) = deed() {
                let _ = writer.write_all(&encode(&error));
            }
            process::exit_now(0)
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut report = Vec::new();
            let read = reader.read_to_end(&mut report);
            let ended = process::reap_one(child);
            read.map_err(|error| SandboxError::refused(Step::Pipe, process::errno_of(&error)))?;
            match decode(&report) {
                Some((step, errno)) => Err(SandboxError::refused(step, errno)),
                // A seccomp filter that kills rather than refuses leaves no report.
                None if ended.is_some_and(|ended| ended.status != 0) => {
                    Err(SandboxError::refused(Step::Unshare, Errno::EPERM))
                }
                None => Ok(()),
            }
        }
    }
}

fn encode(error: &SandboxError) -> [u8; 5] {
    let (step, errno) = match error {
        SandboxError::Refused(refusal) => (refusal.step, refusal.errno),
        _ => (Step::Proc, Errno::EIO),
    };
    let [a, b, c, d] = (errno as i32).to_ne_bytes();
    [step as u8, a, b, c, d]
}

fn decode(report: &[u8]) -> Option<(Step, Errno)> {
    let [step, errno @ ..] = report else { return None };
    let errno = <[u8; 4]>::try_from(errno).ok()?;
    Some((*Step::ALL.get(usize::from(*step))?, Errno::from_raw(i32::from_ne_bytes(errno))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_the_pipe() {
        for step in Step::ALL {
            let error = SandboxError::refused(*step, Errno::EACCES);
            assert_eq!(decode(&encode(&error)), Some((*step, Errno::EACCES)));
        }
        assert_eq!(decode(&[]), None);
    }

    #[test]
    fn no_isolation_is_always_to_be_had() {
        let (isolation, notice) = choose(IsolationChoice::None).expect("a choice");
        assert_eq!(isolation, Isolation::None);
        assert!(notice.is_none());
    }

    #[test]
    fn auto_says_why_it_settles_for_less() {
        let (isolation, notice) = choose(IsolationChoice::Auto).expect("a choice");
        assert_eq!(isolation == Isolation::None, notice.is_some());
        let notice = Notice { cause: SandboxError::refused(Step::Unshare, Errno::ENOSPC) };
        assert!(notice.to_string().contains("user.max_user_namespaces"), "{notice}");
    }
}

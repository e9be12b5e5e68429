//! Being told when a process ends, and signalling none but it, by descriptors that stand for a process:
//! pidfd_open(2), pidfd_send_signal(2). A process id may be another process's by now; a descriptor not.

use std::io;
use std::os::fd::OwnedFd;

use holdline_model::signals::Signal;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

use crate::proc;
use crate::waitable::readable;

/// Whether a signal reached its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// It did.
    Yes,
    /// The process has ended, whether or not its parent has noticed.
    Gone,
}

/// Sends a signal to a process.
///
/// # Errors
///
/// What the kernel says, but for a process that has ended already: that is no error.
pub(super) fn send(pid: Pid, signal: Signal) -> io::Result<Reached> {
    let sent = match open(pid) {
        // A zombie takes signals without a sign that they do nothing any more.
        Ok(_) if !proc::is_alive(pid) => return Ok(Reached::Gone),
        Ok(fd) => pidfd_send_signal(&fd, rustix_signal(signal)).map_err(io::Error::from),
        // Kernels before 5.3, a filter of system calls, or no descriptor to be had.
        Err(error) if !is_gone(&error) => kill(pid, nix_signal(signal)).map_err(io::Error::from),
        Err(error) => Err(error),
    };
    match sent {
        Ok(()) => Ok(Reached::Yes),
        Err(error) if is_gone(&error) => Ok(Reached::Gone),
        Err(error) => Err(error),
    }
}

/// Waits until a process has ended; at once if it has already. Where the kernel gives no descriptor for
/// it, looks now and then.
pub(super) async fn ended(pid: Pid) {
    match open(pid).and_then(readable) {
        Ok(fd) => drop(fd.readable().await),
        Err(error) if is_gone(&error) => {}
        Err(_) => {
            while proc::is_alive(pid) {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
}

fn open(pid: Pid) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid.as_raw());
    let pid = pid.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::ESRCH as i32)
}

/// The signal as nix has it.
pub(super) fn nix_signal(signal: Signal) -> nix::sys::signal::Signal {
    let name = format!("SIG{signal}");
    name.parse().expect("a signal that has a name is one that Linux has")
}

fn rustix_signal(signal: Signal) -> rustix::process::Signal {
    let number = nix_signal(signal) as i32;
    rustix::process::Signal::from_named_raw(number).expect("a signal that has a name has its number")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use holdline_model::signals::NAMES;

    use super::*;

    #[test]
    fn every_name_is_a_signal_of_the_kernel() {
        for name in NAMES {
            let signal: Signal = name.parse().expect("a signal");
            assert_eq!(rustix_signal(signal).as_raw(), nix_signal(signal) as i32, "{name}");
        }
    }

    #[tokio::test]
    async fn a_process_that_ended_is_gone_also_while_nobody_has_waited_for_it() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = proc::numbered(child.id()).expect("a process");
        assert_eq!(send(pid, Signal::KILL).expect("sent"), Reached::Yes);
        ended(pid).await;
        assert_eq!(send(pid, Signal::KILL).expect("no error"), Reached::Gone);
        child.wait().expect("a status");
        assert_eq!(send(pid, Signal::TERM).expect("no error"), Reached::Gone);
        ended(pid).await;
    }
}

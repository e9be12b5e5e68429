//! Ending the process tree below a process.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::process::{self, Reaped};
use crate::proc;

/// How often to look for survivors, and how long to leave the kernel in between. What is still there
/// after 20 s cannot be killed (state D), and waiting for it would hold up the run.
const ROUNDS_MAX: u32 = 10_000;
const ROUND: Duration = Duration::from_millis(2);

/// Kills everything that descends from this process, a child subreaper, and nothing else; and reaps
/// it.
///
/// Orphans become children of a subreaper, so when it has no children left, it has no descendants.
pub(super) fn kill_descendants() {
    for _ in 0..ROUNDS_MAX {
        loop {
            match process::reap_any() {
                Reaped::Child(_) => {}
                Reaped::NoneYet => break,
                Reaped::Childless => return,
            }
        }
        kill_once();
        sleep(ROUND);
    }
}

/// A PID can pass to a stranger between being read and being used, but a pidfd cannot. So: what was a
/// descendant before its pidfd was opened, and still is afterwards, is what the pidfd refers to.
fn kill_once() {
    let descendants = || proc::descendants(Pid::this());
    let held: Vec<(Pid, OwnedFd)> =
        descendants().into_iter().filter_map(|pid| Some((pid, pidfd_open(pid).ok()?))).collect();
    let still = descendants();
    for (pid, pidfd) in held {
        if still.contains(&pid) {
            // What has ended in the meantime is not an error.
            let _ = pidfd_kill(&pidfd);
        }
    }
}

fn pidfd_open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) })?;
    let fd = i32::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just opened this descriptor, close-on-exec, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn pidfd_kill(pidfd: &OwnedFd) -> nix::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null siginfo is allowed: pidfd_send_signal(2).
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), libc::SIGKILL, none, 0) };
    Errno::result(sent).map(drop)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_is_killed_by_its_pidfd() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = proc::numbered(child.id()).expect("a pid");
        let pidfd = pidfd_open(pid).expect("a pidfd");
        pidfd_kill(&pidfd).expect("a signal");
        assert!(!child.wait().expect("a status").success());
        assert_eq!(pidfd_kill(&pidfd), Err(Errno::ESRCH));
    }
}

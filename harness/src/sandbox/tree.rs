//! The process tree below a process, as `/proc` shows it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;

use super::process::{self, Reaped};

/// How often to look for survivors, and how long to leave the kernel in between. What is still there
/// after 20 s cannot be killed (state D), and waiting for it would hold up the run.
const ROUNDS_MAX: u32 = 10_000;
const ROUND: Duration = Duration::from_millis(2);

/// The children of a process, in no particular order.
///
/// # Errors
///
/// Fails if there is no such process.
pub(super) fn children_of(pid: i32) -> io::Result<Vec<i32>> {
    let mut children = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // Either the task has ended and its children have moved, or there is no CONFIG_PROC_CHILDREN.
        let Ok(text) = fs::read_to_string(task?.path().join("children")) else {
            return scan_for_children(pid);
        };
        children.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    Ok(children)
}

/// Whether a process descends from another, by following its parents.
pub(crate) fn descends_from(pid: i32, ancestor: i32) -> bool {
    let mut at = pid;
    // Parents can change while they are read, but a tree deeper than this is none of ours.
    for _ in 0..1000 {
        match parent_of(at) {
            Some(parent) if parent == ancestor => return true,
            Some(parent) if parent > 1 => at = parent,
            _ => return false,
        }
    }
    false
}

/// The parent of a process, the fourth field of its `stat`. The second, the command in parentheses,
/// may hold any character, proc(5).
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

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
    let held: Vec<(i32, OwnedFd)> =
        descendants().into_iter().filter_map(|pid| Some((pid, pidfd_open(pid).ok()?))).collect();
    let still = descendants();
    for (pid, pidfd) in held {
        if still.contains(&pid) {
            // What has ended in the meantime is not an error.
            let _ = pidfd_kill(&pidfd);
        }
    }
}

fn descendants() -> BTreeSet<i32> {
    descendants_of(nix::unistd::getpid().as_raw())
}

/// Everything that descends from a process, as far as it stays while it is looked for.
pub(super) fn descendants_of(ancestor: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut open = vec![ancestor];
    while let Some(pid) = open.pop() {
        // A process that has just ended has no children any more: they are ours or its ancestor's.
        for child in children_of(pid).unwrap_or_default() {
            if found.insert(child) {
                open.push(child);
            }
        }
    }
    found
}

fn scan_for_children(parent: i32) -> io::Result<Vec<i32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        if parent_in_stat(&stat) == Some(parent) {
            children.push(pid);
        }
    }
    Ok(children)
}

/// The fourth field of `/proc/PID/stat`; the second is a name in parentheses that may hold anything.
fn parent_in_stat(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: the call takes two integers and touches no memory of ours.
    let fd = Errno::result(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
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
    fn a_child_is_found_both_ways_and_killed_by_its_pidfd() {
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep");
        let pid = i32::try_from(child.id()).expect("a pid");
        let own = nix::unistd::getpid().as_raw();
        assert!(children_of(own).expect("children").contains(&pid));
        assert!(scan_for_children(own).expect("children").contains(&pid));
        assert!(descendants().contains(&pid));
        let pidfd = pidfd_open(pid).expect("a pidfd");
        pidfd_kill(&pidfd).expect("a signal");
        assert!(!child.wait().expect("a status").success());
        assert_eq!(pidfd_kill(&pidfd), Err(Errno::ESRCH));
        assert!(children_of(pid).is_err());
    }

    #[test]
    fn a_name_cannot_pose_as_a_field() {
        assert_eq!(parent_in_stat("12 (a) S 1 (b) R 34 12 12 0"), Some(34));
        assert_eq!(parent_in_stat("12 (a"), None);
    }
}

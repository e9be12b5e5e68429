//! The workers of a supervisor whose workers keep no ledger, as far as `/proc` shows them.
//!
//! A worker is a process that descends from the supervisor and holds the service's listener: what
//! makes it one is that it can accept. So a server of a single process has no workers, and neither has
//! one that accepts for its children and hands each of them a connection.

use std::collections::BTreeSet;

use nix::unistd::Pid;

use crate::kernel::holders;
use crate::proc;

/// Process ids of a supervisor's workers, the oldest first. Once the supervisor has ended they are
/// orphans: then all that hold the listener and of which `is_ours` says that they are the trial's.
pub(super) fn of(supervisor: Pid, listeners: &BTreeSet<u32>, is_ours: impl Fn(Pid) -> bool) -> Vec<Pid> {
    let runs = proc::is_alive(supervisor);
    holding(listeners, |pid| if runs { proc::descends_from(pid, supervisor) } else { is_ours(pid) })
}

/// Process ids of all that hold the listener and of which `is_ours` says that they are meant, the oldest first.
pub(super) fn holding(listeners: &BTreeSet<u32>, is_ours: impl Fn(Pid) -> bool) -> Vec<Pid> {
    let inodes: Vec<u32> = listeners.iter().copied().collect();
    let holding: BTreeSet<u32> = holders::scan(&inodes).into_values().flatten().collect();
    let mut seen: Vec<(u64, Pid)> = holding
        .into_iter()
        .filter_map(proc::numbered)
        .filter(|pid| is_ours(*pid))
        // One that is gone by now is no worker any more.
        .filter_map(|pid| Some((proc::stat(pid).ok()??.started_ticks, pid)))
        .collect();
    seen.sort_unstable();
    seen.into_iter().map(|(_, pid)| pid).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::fs::MetadataExt;
    use std::process::{Child, Command};

    use super::*;

    /// A child that has a descriptor as standard input, or nothing.
    fn child(stdin: Option<OwnedFd>) -> Child {
        let mut command = Command::new("sleep");
        command.arg("1000");
        if let Some(fd) = stdin {
            command.stdin(fd);
        }
        command.spawn().expect("sleep")
    }

    #[test]
    fn heirs_are_descendants_that_hold_the_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let path = format!("/proc/self/fd/{}", listener.as_raw_fd());
        let inode = u32::try_from(fs::metadata(path).expect("a descriptor").ino()).expect("an inode");
        let mut children = [
            child(Some(listener.try_clone().expect("a descriptor").into())),
            child(None),
            child(Some(listener.try_clone().expect("a descriptor").into())),
        ];
        let pids = children.each_ref().map(|child| proc::numbered(child.id()).expect("a process"));
        let listeners = BTreeSet::from([inode]);
        let found = of(Pid::this(), &listeners, |_| false);
        let nowhere = of(Pid::this(), &BTreeSet::new(), |_| true);
        let below_child = of(pids[0], &listeners, |_| true);
        let never_a_pid = Pid::from_raw(i32::MAX);
        let orphans = of(never_a_pid, &listeners, |pid| pid == pids[2]);
        for child in &mut children {
            child.kill().expect("a signal");
            child.wait().expect("a status");
        }
        // Other tests start processes meanwhile, which hold all our sockets until they call `exec`.
        let ours: Vec<Pid> = found.into_iter().filter(|pid| pids.contains(pid)).collect();
        assert_eq!(ours, [pids[0], pids[2]]);
        assert_eq!(orphans, [pids[2]]);
        assert!(nowhere.is_empty());
        assert!(below_child.is_empty(), "{below_child:?}");
    }
}

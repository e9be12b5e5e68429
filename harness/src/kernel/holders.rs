//! Which processes hold a socket.
//!
//! The kernel keeps no list of them, so that every process's descriptors are read. A socket that a
//! process held only between two scans is not found; nor is one in a process whose descriptors
//! we may not read (`PTRACE_MODE_READ`, see proc_pid_fd(5)).

use std::collections::BTreeMap;

use crate::proc;

/// The processes that hold the socket with this inode, by the ids that `/proc` gives them here.
#[must_use]
pub fn holders(inode: u32) -> Vec<u32> {
    scan(&[inode]).remove(&inode).unwrap_or_default()
}

/// The processes that hold each of these sockets, from one pass over `/proc`; sockets that nobody
/// holds are left out. A pass takes in the order of a microsecond for each open descriptor.
#[must_use]
pub fn scan(inodes: &[u32]) -> BTreeMap<u32, Vec<u32>> {
    let mut holders: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for process in proc::all() {
        let pid = proc::number(process);
        for inode in proc::sockets(process) {
            let held = holders.get(&inode).is_some_and(|pids| pids.last() == Some(&pid));
            if inodes.contains(&inode) && !held {
                holders.entry(inode).or_default().push(pid);
            }
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::TcpListener;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::fs::MetadataExt;
    use std::process::{self, Command};

    use super::*;

    fn inode(socket: &impl AsRawFd) -> u32 {
        let metadata = fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap();
        u32::try_from(metadata.ino()).unwrap()
    }

    /// Other tests start processes meanwhile, which hold all our sockets until they call `exec`.
    fn holds(inode: u32) -> usize {
        holders(inode).iter().filter(|pid| **pid == process::id()).count()
    }

    #[test]
    fn a_process_is_named_once_for_as_long_as_it_has_the_socket_open() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = inode(&socket);
        assert_eq!(holds(inode), 1);
        let twice = socket.try_clone().unwrap();
        assert_eq!(holds(inode), 1);
        drop(socket);
        assert_eq!(holds(inode), 1);
        drop(twice);
        assert_eq!(holds(inode), 0);
    }

    #[test]
    fn an_heir_is_found() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let inode = inode(&socket);
        let mut child = Command::new("sleep").arg("600").stdin(OwnedFd::from(socket)).spawn().unwrap();
        let found = scan(&[inode, 1]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found[&inode].contains(&child.id()), "{found:?}");
        assert!(!found.contains_key(&1));
    }
}

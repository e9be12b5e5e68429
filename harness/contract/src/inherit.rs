//! What a worker was given at its start, as it wrote it down: descriptors, environment, identity.
//! The worker looks and writes; what it means for a trial is judged elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use holdline_model::wire::Address;
use serde::{Deserialize, Serialize};

/// What a worker was given: the file `inherit-<pid>.json` of its home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inheritance {
    /// The worker's process id.
    pub pid: u32,
    /// Which incarnation of the worker it is, from 1.
    pub generation: u32,
    /// Whoever started it, or has adopted it.
    pub parent_pid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its real group.
    pub gid: u32,
    /// Its command line.
    pub argv: Vec<String>,
    /// Its working folder.
    pub cwd: PathBuf,
    /// The lines of /proc/self/cgroup.
    pub cgroup: Vec<String>,
    /// Open descriptors, in order of number, before the worker opened any itself.
    pub descriptors: Vec<Descriptor>,
    /// Those that it was not told of: not 0 to 2, not the listener, not for readiness.
    pub unexpected: Vec<RawFd>,
    /// The variables by which listeners are passed, as far as they are set.
    pub env: BTreeMap<String, String>,
    /// The names in `LISTEN_FDNAMES`.
    pub listen_fd_names: Vec<String>,
    /// Whether `LISTEN_PID` names this process; `None`: it is not set.
    pub listen_pid_matches: Option<bool>,
    /// The listener as found; `None`: the worker opens it itself, or it has none.
    pub listener: Option<ListenerFound>,
}

/// What every worker of a home was given, in no particular order. Workers that write no such file
/// are left out.
///
/// # Errors
///
/// A file that cannot be read or understood.
pub fn read_all(home: &Path) -> io::Result<Vec<Inheritance>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(home)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("inherit-") && name.ends_with(".json") {
            found.push(serde_json::from_str(&fs::read_to_string(&path)?)?);
        }
    }
    Ok(found)
}

/// An open descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Its number.
    pub fd: RawFd,
    /// What it refers to, as /proc names it: `socket:[123]`, `/dev/null` …
    pub target: String,
    /// Whether FD_CLOEXEC is set. It cannot be on an inherited one.
    pub cloexec: bool,
    /// Whether O_NONBLOCK is set.
    pub nonblocking: bool,
}

/// A listener as its worker found it, before it changed anything. Its backlog is not known to
/// `getsockopt`: ask sock_diag by inode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerFound {
    /// Its descriptor.
    pub fd: RawFd,
    /// Its inode.
    pub inode: u64,
    /// Where it is bound, if that is an address of ours.
    pub address: Option<Address>,
    /// Whether it listens (SO_ACCEPTCONN).
    pub listening: bool,
    /// SO_REUSEADDR.
    pub reuse_addr: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// TCP_DEFER_ACCEPT, in seconds; `None` for other sockets than TCP.
    pub defer_accept_s: Option<i32>,
    /// O_NONBLOCK.
    pub nonblocking: bool,
}

impl Inheritance {
    /// Whether a descriptor was open when this process started. The numbers of those that were not
    /// may since belong to files of the worker's own.
    #[must_use]
    pub fn has(&self, fd: RawFd) -> bool {
        self.descriptors.iter().any(|found| found.fd == fd)
    }

    /// Writes it into a worker home.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn write(&self, home: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        let path = home.join(format!("inherit-{}.json", self.pid));
        // Readers see either nothing or all of it.
        let new = path.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(&new, &path)
    }
}

//! The trial's own user, mount, PID, IPC, UTS and network namespaces.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write as _};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{ForkResult, Pid, getegid, geteuid, getpid, sethostname};

use super::error::{SandboxError, Step};
use super::process;

/// All but the user namespace.
const NAMESPACES: CloneFlags = CloneFlags::CLONE_NEWNS
    .union(CloneFlags::CLONE_NEWPID)
    .union(CloneFlags::CLONE_NEWIPC)
    .union(CloneFlags::CLONE_NEWUTS)
    .union(CloneFlags::CLONE_NEWNET);

/// `/etc/hosts` knows it, so programs that look up their own name get an answer without DNS, which
/// the sandbox lacks.
const HOSTNAME: &str = "localhost";

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;

/// How many places the connection table of network namespaces has that are created from here:
/// Documentation/networking/ip-sysctl.rst.
const CHILD_TABLE: &str = "/proc/sys/net/ipv4/tcp_child_ehash_entries";

/// The most half-open connections of all listeners together.
const HALF_OPEN_MAX: &str = "/proc/sys/net/ipv4/tcp_max_syn_backlog";
/// The most connections in TIME_WAIT.
const TIME_WAIT_MAX: &str = "/proc/sys/net/ipv4/tcp_max_tw_buckets";
/// How many connections may be in TIME_WAIT beside a small table. The end of a connection that closes first
/// beyond that is gone at once. Whoever closed it does not notice, since to it the connection was closed
/// already, nor does a server that binds the port anew, since those within the limit still hold it; the
/// other end's FIN is answered by a reset, which nobody reads and `OutRsts` counts.
const TIME_WAIT_PLACES: u32 = 256;

/// Moves this process into new namespaces. The PID namespace is entered by its next child, which
/// becomes PID 1 there. With `real_root` users stay those of the machine.
pub(super) fn create(connection_table: Option<u32>, real_root: bool) -> Result<(), SandboxError> {
    if real_root {
        leave(NAMESPACES)?;
    } else {
        create_with_users()?;
    }
    if let Some(places) = connection_table {
        size_connection_table(places)?;
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(|errno| SandboxError::refused(Step::Propagation, errno))?;
    sethostname(HOSTNAME).map_err(|errno| SandboxError::refused(Step::Hostname, errno))
}

fn create_with_users() -> Result<(), SandboxError> {
    let all = NAMESPACES.union(CloneFlags::CLONE_NEWUSER);
    match Mapper::if_privileged()? {
        Some(mapper) => {
            leave(all)?;
            mapper.map()
        }
        None => {
            let (uid, gid) = (geteuid(), getegid());
            leave(all)?;
            // Without this, an ordinary user may not map a group: user_namespaces(7).
            write_map("setgroups", "deny")?;
            write_map("uid_map", &format!("0 {uid} 1"))?;
            write_map("gid_map", &format!("0 {gid} 1"))
        }
    }
}

fn leave(namespaces: CloneFlags) -> Result<(), SandboxError> {
    unshare(namespaces).map_err(|errno| SandboxError::refused(Step::Unshare, errno))
}

/// The table's size is inherited from the network namespace that a new one is created from, so that it
/// takes one that asks for the size and another that has it. The first goes as it is left.
///
/// With the size come smaller limits (`tcp_set_hashinfo` and `tcp_sk_init` in net/ipv4/tcp_ipv4.c). That of
/// half-open connections is what a server may notice, so that it stays what it was; that of connections in
/// TIME_WAIT is lowered on purpose, since each of them is one more to walk past.
fn size_connection_table(places: u32) -> Result<(), SandboxError> {
    let half_open = fs::read_to_string(HALF_OPEN_MAX);
    if fs::write(CHILD_TABLE, format!("{places}\n")).is_err() {
        // Before Linux 6.1, or with a read-only /proc/sys: the machine's table serves as well.
        return Ok(());
    }
    leave(CloneFlags::CLONE_NEWNET)?;
    for (file, value) in [(HALF_OPEN_MAX, half_open), (TIME_WAIT_MAX, Ok(format!("{TIME_WAIT_PLACES}\n")))] {
        // What could be read can be written as well, now that the one above could.
        value.and_then(|value| fs::write(file, value)).map_err(SandboxError::Proc)?;
    }
    Ok(())
}

/// A process that stays behind in the caller's user namespace, where root may map any id; what has
/// left may map its own only.
struct Mapper {
    pid: Pid,
    go: PipeWriter,
    outcome: PipeReader,
}

impl Mapper {
    /// Starts a mapper if this process may map ids other than its own.
    fn if_privileged() -> Result<Option<Self>, SandboxError> {
        let status = fs::read_to_string("/proc/self/status").map_err(SandboxError::Proc)?;
        if !geteuid().is_root() || !has_capabilities(&status, &[CAP_SETUID, CAP_SETGID]) {
            return Ok(None);
        }
        let (wait, go) = process::pipe()?;
        let (outcome, report) = process::pipe()?;
        let mapped = getpid();
        match process::fork()? {
            ForkResult::Parent { child } => Ok(Some(Self { pid: child, go, outcome })),
            ForkResult::Child => {
                drop(go);
                map_when_told(mapped, wait, report)
            }
        }
    }

    fn map(self) -> Result<(), SandboxError> {
        let Self { pid, mut go, mut outcome } = self;
        let mut errno = [0; 4];
        let answer = go.write_all(&[1]).and_then(|()| outcome.read_exact(&mut errno));
        process::reap_one(pid);
        match (answer, i32::from_ne_bytes(errno)) {
            (Ok(()), 0) => Ok(()),
            (Ok(()), errno) => Err(SandboxError::refused(Step::Map, Errno::from_raw(errno))),
            (Err(_), _) => Err(SandboxError::refused(Step::Map, Errno::EPIPE)),
        }
    }
}

/// The mapper's life: it ends without a word if the process to be mapped does before saying go.
fn map_when_told(mapped: Pid, mut wait: PipeReader, mut report: PipeWriter) -> ! {
    if wait.read_exact(&mut [0]).is_ok() {
        let outcome = map_all(mapped);
        let errno = outcome.err().map_or(0, |error| process::errno_of(&error) as i32);
        let _ = report.write_all(&errno.to_ne_bytes());
    }
    process::exit_now(0)
}

/// Maps every id that exists here to itself, so that supervisors can drop privileges.
fn map_all(mapped: Pid) -> io::Result<()> {
    for file in ["uid_map", "gid_map"] {
        let own = fs::read_to_string(format!("/proc/self/{file}"))?;
        fs::write(format!("/proc/{mapped}/{file}"), identity_map(&own))?;
    }
    Ok(())
}

/// The map from each id that `own`, the map of this process's own namespace, knows to itself.
fn identity_map(own: &str) -> String {
    let mut map = String::new();
    for line in own.lines() {
        let mut fields = line.split_ascii_whitespace();
        if let (Some(inside), Some(_), Some(count)) = (fields.next(), fields.next(), fields.next()) {
            let _ = writeln!(map, "{inside} {inside} {count}");
        }
    }
    map
}

fn has_capabilities(status: &str, wanted: &[u32]) -> bool {
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    wanted.iter().all(|capability| effective & (1 << capability) != 0)
}

fn write_map(file: &str, text: &str) -> Result<(), SandboxError> {
    fs::write(format!("/proc/self/{file}"), text)
        .map_err(|error| SandboxError::refused(Step::Map, process::errno_of(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_that_exists_is_mapped_to_itself() {
        assert_eq!(identity_map("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity_map("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
        assert_eq!(identity_map(""), "");
    }

    #[test]
    fn capabilities_are_read_from_the_status() {
        let status = "CapPrm:\t0\nCapEff:\t00000000000000c0\n";
        assert!(has_capabilities(status, &[CAP_SETUID, CAP_SETGID]));
        assert!(!has_capabilities("CapEff:\t0000000000000080\n", &[CAP_SETUID, CAP_SETGID]));
        assert!(!has_capabilities("", &[CAP_SETUID]));
    }
}

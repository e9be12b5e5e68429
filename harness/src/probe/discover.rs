//! Finds out on what a command listens: starts it in a sandbox, and reads from `/proc/net` which listeners the
//! processes below it open. Nothing connects to them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::kernel::holders;
use crate::proc;
use crate::sandbox::{self, Isolation, Lifeline, SandboxSpec, WorkFolder};

/// How long a command may take until it listens.
const LIMIT: Duration = Duration::from_secs(30);
/// How long it is waited for more listeners once there is one, and for processes that accept.
const SETTLED: Duration = Duration::from_millis(700);
const APART: Duration = Duration::from_millis(10);
/// How many lines of what the command wrote are quoted.
const QUOTED_LINES: usize = 8;

/// What is to be started.
#[derive(Debug, Serialize, Deserialize)]
pub struct DiscoverSpec {
    /// The sandbox.
    sandbox: SandboxSpec,
    /// The command.
    command: Vec<String>,
    /// Where it is started.
    folder: PathBuf,
    /// Where what it writes goes.
    log: PathBuf,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Discovered {
    /// It listens.
    Listens {
        /// On TCP addresses, as they are bound.
        tcp: BTreeSet<SocketAddr>,
        /// On the paths of Unix sockets; abstract ones begin with `@`.
        unix: BTreeSet<String>,
        /// Whether a process below it holds a listener.
        has_workers: bool,
    },
    /// It has ended before it listened, or while it was looked at.
    Ended {
        /// How.
        status: String,
        /// Whether it left others behind that listen.
        left_behind: bool,
    },
    /// It opened no listener in time.
    Silent,
}

/// Why nothing could be discovered.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The program cannot be started.
    #[error("failed to start `{program}`: {error}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        error: String,
    },
    /// Something of holdline's own.
    #[error("failed to look for the command's listeners: {0}")]
    Own(String),
}

/// Starts a command in a sandbox, looks at what it opens, and ends it.
///
/// # Errors
///
/// It cannot be started, or holdline could not look.
pub fn discover(
    command: &[String],
    folder: &Path,
    isolation: Isolation,
    reach: Vec<PathBuf>,
) -> Result<(Discovered, String), DiscoverError> {
    let own = |error: io::Error| DiscoverError::Own(error.to_string());
    let work = WorkFolder::create().map_err(|error| DiscoverError::Own(error.to_string()))?;
    let kept = tempfile::tempdir().map_err(own)?;
    let log = kept.path().join("log");
    let spec = DiscoverSpec {
        sandbox: SandboxSpec {
            isolation,
            work: work.path().to_owned(),
            private: Vec::new(),
            sysctls: Default::default(),
            real_root: false,
            connection_table: None,
            keep: vec![kept.path().to_owned()],
            reach,
            lifeline: Some(0),
        },
        command: command.to_vec(),
        folder: folder.to_owned(),
        log: log.clone(),
    };
    let path = kept.path().join("spec.json");
    fs::write(&path, serde_json::to_vec(&spec).map_err(io::Error::other).map_err(own)?).map_err(own)?;
    let (lifeline, end) = Lifeline::new().map_err(own)?;
    let output = Command::new(std::env::current_exe().map_err(own)?)
        .arg("__discover")
        .arg(&path)
        .stdin(Stdio::from(end))
        .output()
        .map_err(own)?;
    drop(lifeline);
    let said = String::from_utf8_lossy(&output.stdout);
    let found: Result<Discovered, String> = serde_json::from_str(&said).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        DiscoverError::Own(format!("its process ended with {}: {}", output.status, errors.trim()))
    })?;
    let program = command.first().cloned().unwrap_or_default();
    let found = found.map_err(|error| DiscoverError::Start { program, error })?;
    let bytes = fs::read(&log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = lines[lines.len().saturating_sub(QUOTED_LINES)..].iter().map(|line| format!("\n    | {line}"));
    Ok((found, tail.collect()))
}

/// The inner process: prints what it found, as JSON.
pub fn main(path: &Path) -> u8 {
    match inner(path) {
        Ok(found) => {
            println!("{}", serde_json::to_string(&found).unwrap_or_default());
            0
        }
        Err(error) => {
            eprintln!("{error}");
            1
        }
    }
}

fn inner(path: &Path) -> Result<Result<Discovered, String>, Box<dyn std::error::Error>> {
    let spec: DiscoverSpec = serde_json::from_slice(&fs::read(path)?)?;
    let inside = sandbox::enter(&spec.sandbox)?;
    let log = fs::File::create(&spec.log)?;
    let Some((program, arguments)) = spec.command.split_first() else { return Err("no command".into()) };
    let started = Command::new(program)
        .args(arguments)
        .current_dir(&spec.folder)
        .env("TMPDIR", &spec.sandbox.work)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let found = look(&mut child, inside.init());
    let _ = child.kill();
    Ok(Ok(found?))
}

fn look(child: &mut Child, init: Pid) -> io::Result<Discovered> {
    let began = Instant::now();
    let pid = proc::numbered(child.id()).ok_or_else(|| io::Error::other("no process id"))?;
    let (mut known, mut since) = (None, Instant::now());
    loop {
        let mut ours = proc::descendants(init);
        ours.remove(&Pid::this());
        let seen = listeners(pid, &ours);
        if let Some(status) = child.try_wait()? {
            return Ok(Discovered::Ended { status: status.to_string(), left_behind: seen.is_some() });
        }
        if seen != known {
            (known, since) = (seen, Instant::now());
        }
        match &known {
            Some(found) if since.elapsed() >= SETTLED => return Ok(found.clone()),
            None if began.elapsed() >= LIMIT => return Ok(Discovered::Silent),
            Some(_) | None => std::thread::sleep(APART),
        }
    }
}

/// What these processes listen on; `None`: nothing.
fn listeners(command: Pid, ours: &BTreeSet<Pid>) -> Option<Discovered> {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    let tcp: Vec<(SocketAddr, u32)> =
        [read("tcp"), read("tcp6")].iter().flat_map(|table| table.lines().filter_map(tcp_listener)).collect();
    let unix: Vec<(String, u32)> = read("unix").lines().filter_map(unix_listener).collect();
    let inodes: Vec<u32> = tcp.iter().map(|(_, inode)| *inode).chain(unix.iter().map(|(_, i)| *i)).collect();
    if inodes.is_empty() {
        return None;
    }
    let held = holders::scan(&inodes);
    let by = |inode: &u32| {
        let pids = held.get(inode).into_iter().flatten().filter_map(|pid| proc::numbered(*pid));
        pids.filter(|pid| ours.contains(pid)).collect::<Vec<_>>()
    };
    let tcp_ours: BTreeSet<SocketAddr> =
        tcp.iter().filter(|(_, inode)| !by(inode).is_empty()).map(|(address, _)| *address).collect();
    let unix_ours: BTreeSet<String> =
        unix.iter().filter(|(_, inode)| !by(inode).is_empty()).map(|(path, _)| path.clone()).collect();
    let of_tcp: Vec<u32> = tcp.iter().map(|(_, inode)| *inode).collect();
    let has_workers = of_tcp.iter().any(|inode| by(inode).iter().any(|pid| *pid != command));
    let is_any = !tcp_ours.is_empty() || !unix_ours.is_empty();
    is_any.then_some(Discovered::Listens { tcp: tcp_ours, unix: unix_ours, has_workers })
}

/// A line of `/proc/net/tcp` or `tcp6` (proc_net(5)) that is a listener, and its inode.
fn tcp_listener(line: &str) -> Option<(SocketAddr, u32)> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let words: Vec<[u8; 4]> = (0..address.len() / 8)
        .filter_map(|index| u32::from_str_radix(address.get(8 * index..8 * index + 8)?, 16).ok())
        // Each word is a number of this machine, whose bytes are in network order.
        .map(u32::to_ne_bytes)
        .collect();
    let ip = match words.as_slice() {
        [v4] => IpAddr::from(*v4),
        [_, _, _, _] => IpAddr::from(<[u8; 16]>::try_from(words.concat()).ok()?),
        _ => return None,
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), inode))
}

/// A line of `/proc/net/unix` that is a listener for streams, and its inode.
fn unix_listener(line: &str) -> Option<(String, u32)> {
    const ACCEPTS: &str = "00010000";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [_, _, _, ACCEPTS, "0001", _, inode, path] = fields.as_slice() else { return None };
    Some(((*path).to_owned(), inode.parse().ok()?))
}

/// Whether clients on loopback of this family reach a listener.
pub fn is_reached_by(bound: SocketAddr, v6: bool) -> bool {
    match (bound.ip(), v6) {
        (IpAddr::V4(ip), false) => ip == Ipv4Addr::LOCALHOST || ip.is_unspecified(),
        // One that is bound to all of IPv6 takes IPv4, too, unless it was told not to.
        (IpAddr::V6(ip), false) => ip.is_unspecified(),
        (IpAddr::V6(ip), true) => ip == Ipv6Addr::LOCALHOST || ip.is_unspecified(),
        (IpAddr::V4(_), true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_tables() {
        let v4 = "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0";
        assert_eq!(tcp_listener(v4), Some(("127.0.0.1:8000".parse().expect("an address"), 4711)));
        let v6 = "   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 12 1";
        assert_eq!(tcp_listener(v6), Some(("[::1]:80".parse().expect("an address"), 12)));
        assert_eq!(tcp_listener(&v4.replace(" 0A ", " 01 ")), None);
        assert_eq!(tcp_listener("  sl  local_address rem_address   st tx_queue rx_queue"), None);
        let unix = "0000000000000000: 00000002 00000000 00010000 0001 01 4712 /run/web.sock";
        assert_eq!(unix_listener(unix), Some(("/run/web.sock".to_owned(), 4712)));
        assert_eq!(unix_listener(&unix.replace("00010000", "00000000")), None);
    }

    #[test]
    fn loopback_reaches_what_is_bound_to_it_or_to_all() {
        let reached = |bound: &str, v6| is_reached_by(bound.parse().expect("an address"), v6);
        assert!(reached("127.0.0.1:1", false) && reached("0.0.0.0:1", false) && reached("[::]:1", false));
        assert!(reached("[::1]:1", true) && reached("[::]:1", true));
        assert!(!reached("[::1]:1", false) && !reached("10.0.0.1:1", false) && !reached("0.0.0.0:1", true));
    }
}

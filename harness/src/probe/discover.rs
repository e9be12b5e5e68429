//! Finds out on what a command listens: starts it in a sandbox, and asks the kernel which listeners the processes
//! below it hold. Nothing connects to them.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use holdline_model::wire::Address;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::listeners::Bound;
use super::tail::{self, Tail};
use crate::kernel::diag::{Diag, DiagError};
use crate::kernel::holders;
use crate::kernel::listening::Listening;
use crate::proc;
use crate::sandbox::{self, Inside, Isolation, Lifeline, SandboxSpec, WorkFolder};

/// How long it is waited for more listeners once there is one, and for processes that accept.
const SETTLED: Duration = Duration::from_millis(700);
/// How long a process that a command has left behind may take until it listens.
const LEFT_BEHIND: Duration = Duration::from_secs(2);
const APART: Duration = Duration::from_millis(10);

/// What is to be started.
#[derive(Debug, Serialize, Deserialize)]
pub struct DiscoverSpec {
    /// The sandbox.
    sandbox: SandboxSpec,
    /// The command.
    command: Vec<String>,
    /// Where it is started.
    folder: PathBuf,
    /// How long it may take until it listens.
    limit: Duration,
}

/// What a command did, and the last that it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovered {
    /// What it did.
    pub found: Found,
    /// The last lines that it wrote.
    pub wrote: Vec<String>,
    /// Where it was to leave temporary files: another place than in any trial.
    #[serde(default)]
    pub temporary: PathBuf,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// It listens.
    Listens(BTreeSet<Bound>),
    /// It has ended before it listened, or while it was looked at.
    Ended {
        /// How.
        status: String,
        /// Processes that it has left behind, by name and process id.
        left: Vec<String>,
    },
    /// It opened no listener in time.
    Silent,
    /// It could not be started.
    NotStarted {
        /// Why.
        error: String,
    },
}

/// Why nothing could be discovered.
#[derive(Debug, thiserror::Error)]
#[error("failed to look for the command's listeners: {0}")]
pub struct DiscoverError(String);

/// Starts a command in a sandbox, looks at what it opens, and ends it.
///
/// # Errors
///
/// Holdline could not look.
pub fn discover(
    command: &[String],
    folder: &Path,
    isolation: Isolation,
    reach: Vec<PathBuf>,
    limit: Duration,
) -> Result<Discovered, DiscoverError> {
    let own = |error: io::Error| DiscoverError(error.to_string());
    let work = WorkFolder::create().map_err(|error| DiscoverError(error.to_string()))?;
    let kept = tempfile::tempdir().map_err(own)?;
    let spec = DiscoverSpec {
        sandbox: SandboxSpec {
            isolation,
            work: work.path().to_owned(),
            work_mib: 0,
            private: Vec::new(),
            sysctls: Default::default(),
            real_root: false,
            connection_table: None,
            keep: vec![kept.path().to_owned()],
            reach,
            lifeline: Some(0),
            leaves_behind: false,
        },
        command: command.to_vec(),
        folder: folder.to_owned(),
        limit,
    };
    let path = kept.path().join("spec.json");
    std::fs::write(&path, serde_json::to_vec(&spec).map_err(io::Error::other).map_err(own)?).map_err(own)?;
    let (lifeline, end) = Lifeline::new().map_err(own)?;
    let output = Command::new(std::env::current_exe().map_err(own)?)
        .arg("__discover")
        .arg(&path)
        .stdin(Stdio::from(end))
        .output()
        .map_err(own)?;
    drop(lifeline);
    let said = String::from_utf8_lossy(&output.stdout);
    let discovered: Discovered = serde_json::from_str(&said).map_err(|_| {
        let errors = String::from_utf8_lossy(&output.stderr);
        DiscoverError(format!("its process ended with {}: {}", output.status, errors.trim()))
    })?;
    Ok(Discovered { temporary: work.path().to_owned(), ..discovered })
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

fn inner(path: &Path) -> Result<Discovered, Box<dyn std::error::Error>> {
    let spec: DiscoverSpec = serde_json::from_slice(&std::fs::read(path)?)?;
    let inside = sandbox::enter(&spec.sandbox)?;
    let (tail, writer) = Tail::begin()?;
    let errors = tail::copy(&writer)?;
    let mut child = match start(&spec, tail::copy(&writer)?.into(), errors.into()) {
        Ok(child) => child,
        Err(error) => {
            return Ok(Discovered {
                found: Found::NotStarted { error: error.to_string() },
                wrote: Vec::new(),
                temporary: PathBuf::new(),
            });
        }
    };
    drop(writer);
    let found = Search { spec: &spec, inside: &inside, diag: Diag::open()? }.look(&mut child);
    let _ = child.kill();
    let _ = child.wait();
    let found = found?;
    if let Found::Listens(listeners) = &found {
        remove_sockets(listeners);
    }
    Ok(Discovered { found, wrote: tail.lines(), temporary: PathBuf::new() })
}

/// Starts the command where nobody can be asked anything: there is nothing to read, and no terminal.
fn start(spec: &DiscoverSpec, output: Stdio, errors: Stdio) -> io::Result<Child> {
    let (program, arguments) =
        spec.command.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&spec.folder)
        .env("TMPDIR", &spec.sandbox.work)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    let in_a_session_of_its_own = || nix::unistd::setsid().map(drop).map_err(io::Error::from);
    // SAFETY: between fork and exec it calls setsid(2) alone, which is async-signal-safe.
    unsafe { command.pre_exec(in_a_session_of_its_own) };
    command.spawn()
}

/// The files of Unix sockets, which nobody removes who is killed.
fn remove_sockets(listeners: &BTreeSet<Bound>) {
    listeners.iter().filter_map(|bound| bound.address.file()).for_each(super::remove_socket);
}

/// The search for a command's listeners.
struct Search<'a> {
    spec: &'a DiscoverSpec,
    inside: &'a Inside,
    diag: Diag,
}

impl Search<'_> {
    fn look(&mut self, child: &mut Child) -> io::Result<Found> {
        let began = Instant::now();
        let pid = proc::numbered(child.id()).ok_or_else(|| io::Error::other("no process id"))?;
        let (mut known, mut since) = (BTreeSet::new(), Instant::now());
        loop {
            let seen = self.listeners(pid).map_err(io::Error::other)?;
            if let Some(status) = child.try_wait()? {
                return Ok(Found::Ended { status: status.to_string(), left: self.left_behind() });
            }
            if seen != known {
                (known, since) = (seen, Instant::now());
            }
            match known.is_empty() {
                false if since.elapsed() >= SETTLED => return Ok(Found::Listens(known)),
                true if began.elapsed() >= self.spec.limit => return Ok(Found::Silent),
                false | true => std::thread::sleep(APART),
            }
        }
    }

    /// The processes that go on after the command has ended, once they have had time to end as well.
    fn left_behind(&self) -> Vec<String> {
        let began = Instant::now();
        loop {
            let left = self.ours();
            if left.is_empty() || began.elapsed() >= LEFT_BEHIND {
                let named = |pid: Pid| {
                    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
                    Some(format!("`{}` (process {pid})", name.trim()))
                };
                return left.into_iter().filter_map(named).collect();
            }
            std::thread::sleep(APART);
        }
    }

    /// The command and all that it has started.
    fn ours(&self) -> BTreeSet<Pid> {
        let mut ours = proc::descendants(self.inside.init());
        ours.remove(&Pid::this());
        ours.retain(|pid| proc::is_alive(*pid));
        ours
    }

    /// What these processes listen on.
    fn listeners(&mut self, command: Pid) -> Result<BTreeSet<Bound>, DiagError> {
        let mut all = self.diag.listening_tcp()?;
        match self.diag.listening_unix() {
            Ok(unix) => all.extend(unix),
            // Not every kernel tells of Unix sockets; a port is enough.
            Err(_) if !all.is_empty() => {}
            Err(error) => return Err(error),
        }
        let ours = self.ours();
        let inodes: Vec<u32> = all.iter().map(|listening| listening.inode).collect();
        let held = if inodes.is_empty() { Default::default() } else { holders::scan(&inodes) };
        let bound = |listening: &Listening| {
            let pids = held.get(&listening.inode)?.iter().filter_map(|pid| proc::numbered(*pid));
            let pids: Vec<Pid> = pids.filter(|pid| ours.contains(pid)).collect();
            Some(Bound {
                address: absolute(&listening.address, *pids.first()?, &self.spec.folder),
                ipv6_only: listening.ipv6_only,
                is_below: pids.iter().any(|pid| *pid != command),
            })
        };
        // Listeners of the same address, by SO_REUSEPORT, are one.
        let mut listeners: BTreeSet<Bound> = all.iter().filter_map(bound).collect();
        let below: Vec<Bound> = listeners.iter().filter(|bound| bound.is_below).cloned().collect();
        listeners.retain(|it| it.is_below || !below.iter().any(|other| other.address == it.address));
        Ok(listeners)
    }
}

/// An address whose path, if it has one, begins at the root: a relative one begins where the process is that holds
/// the socket.
fn absolute(address: &Address, holder: Pid, folder: &Path) -> Address {
    match address {
        Address::Unix(path) if path.is_relative() && !address.is_abstract() => {
            let cwd = std::fs::read_link(format!("/proc/{holder}/cwd"));
            let joined = cwd.unwrap_or_else(|_| folder.to_owned()).join(path);
            // Without the dots in between.
            Address::Unix(joined.components().collect())
        }
        Address::Unix(_) | Address::Tcp(_) => address.clone(),
    }
}

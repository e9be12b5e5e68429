//! The private place in which one trial runs.
//!
//! The outer `holdline` starts a process for each trial, and that process calls [`enter`]. Three
//! processes come out of it:
//!
//! ```text
//! outer            holds the write end of the lifeline, owns the work folder
//! └─ stage 0       the process that called `enter`; waits, and ends as the runner ended
//!    └─ init       PID 1 of the sandbox: reaps, counts orphans, ends with the runner
//!       └─ runner  PID 2: here `enter` returns, and here the trial takes place
//! ```
//!
//! Invariant: no process of a trial outlives any of these four. With full isolation the kernel sees
//! to it, since the end of PID 1 kills its whole PID namespace. Without isolation init and stage 0
//! are child subreapers that kill what descends from them, and only that.
//!
//! This module starts no supervisor and knows nothing of scenarios. It needs a single-threaded
//! caller, because only such a process can enter a user namespace (`unshare(2)`).

mod adoption;
mod cgroups;
mod error;
mod init;
mod lifeline;
mod mounts;
mod namespaces;
mod network;
mod own;
mod probe;
mod process;
mod sysctl;
mod tmpfs;
mod tree;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use holdline_model::mishap::FullFolder;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::proc;

pub use holdline_model::words::Isolation;

pub use self::adoption::{Adopted, Adoptions};
pub use self::error::{Refusal, SandboxError, Step};
pub use self::lifeline::{Lifeline, leave};
pub use self::probe::{IsolationChoice, Notice, choose, probe, probe_tracing};
pub use self::work::{WorkFolder, sweep_stale};

/// What a trial's sandbox is like. It travels to the trial's process as part of its orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// Whether the trial has namespaces of its own.
    pub isolation: Isolation,
    /// The trial's work folder, which exists: the [`WorkFolder`] of the outer process. With full
    /// isolation a tmpfs covers it inside the sandbox.
    pub work: PathBuf,
    /// How much is written there beside what a trial of any length writes, in MiB: there is so much more room.
    #[serde(default)]
    pub work_mib: u32,
    /// Directories that appear empty inside, each with a tmpfs of its own. Needs full isolation.
    #[serde(default)]
    pub private: Vec<PathBuf>,
    /// Sysctls of the sandbox's network namespace, by dotted name. Needs full isolation.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Whether root stays the machine's own, with all that it may do: there is no user namespace then. For
    /// supervisors that the kernel denies what they need in any other. Needs root and full isolation.
    #[serde(default)]
    pub real_root: bool,
    /// About how many connections the network namespace's own table of them has places for, so that
    /// listing them does not take a walk over the table of the whole machine. Needs full isolation and
    /// Linux 6.1; where it cannot be had, the machine's table is used.
    #[serde(default)]
    pub connection_table: Option<u32>,
    /// Paths that no private directory may hide, such as the run directory. The executable, `/proc`
    /// and `/dev` are always among them.
    #[serde(default)]
    pub keep: Vec<PathBuf>,
    /// Paths of the host that stay in sight although they are below `/tmp`, `/var/tmp` or `/dev/shm`, of which
    /// a trial with full isolation has its own. What must be kept is always among them.
    #[serde(default)]
    pub reach: Vec<PathBuf>,
    /// The descriptor on which stage 0 inherits the reading end of a [`Lifeline`], 0 for standard
    /// input. Without one, an outer process that dies before stage 0 has asked the kernel to be told
    /// of that goes unnoticed.
    #[serde(default)]
    pub lifeline: Option<RawFd>,
    /// Whether what the trial has started goes on without it, but for the supervisor: a trial of a service that runs
    /// already may have been told to start it anew. Without isolation only.
    #[serde(default)]
    pub leaves_behind: bool,
}

/// What the runner has once it is inside.
#[derive(Debug)]
pub struct Inside {
    /// The isolation in force.
    pub level: Isolation,
    /// Reports of orphans that ended.
    pub adoptions: Adoptions,
    /// Whether clients can use addresses from
    /// [`CLIENT_V6_PREFIX`](holdline_model::wire::CLIENT_V6_PREFIX), bound with `IPV6_FREEBIND`.
    pub client_v6: bool,
    init: Pid,
}

impl Inside {
    /// Whether a process belongs to this trial: whether it descends from its init.
    #[must_use]
    pub fn owns(&self, pid: Pid) -> bool {
        proc::descends_from(pid, self.init)
    }

    /// The process that adopts the trial's orphans.
    #[must_use]
    pub fn init(&self) -> Pid {
        self.init
    }

    /// The trial's processes other than init: the runner, the supervisor and all that they started.
    #[must_use]
    pub fn processes(&self) -> BTreeSet<Pid> {
        proc::descendants(self.init)
    }

    /// The orphans that init has now: its children other than the runner, in ascending order.
    ///
    /// # Errors
    ///
    /// Fails if `/proc` cannot be read.
    pub fn adopted_now(&self) -> io::Result<Vec<Pid>> {
        let children = proc::children(self.init).map_err(io::Error::other)?;
        let mut orphans = children.unwrap_or_default();
        orphans.retain(|pid| *pid != Pid::this());
        orphans.sort_unstable();
        orphans.dedup();
        Ok(orphans)
    }
}

/// Which of a trial's own directories is full by now, and what there is room for.
/// To be asked inside, where they are.
#[must_use]
pub fn full_folder(level: Isolation, work: &Path) -> Option<FullFolder> {
    (level == Isolation::Full).then(|| own::full_folder(work)).flatten()
}

/// Builds the sandbox and goes inside.
///
/// Returns `Ok` in one process only, the runner. That process may have another PID and parent than
/// the caller, but has its standard streams, descriptors, environment and working directory;
/// `SIGCHLD` has its default action there and PID 2 is in a session without a terminal, so that
/// Ctrl-C reaches the outer process alone. Where it fails, it returns `Err` in one process only: the
/// one in which it failed. That process should say so and exit; its status reaches the outer process
/// just as the runner's would.
///
/// The kernel takes the end of the *thread* that started this process for the end of its parent
/// (`PR_SET_PDEATHSIG` in prctl(2)), so the outer process starts trials from a thread that outlives
/// them, such as its main thread.
///
/// # Errors
///
/// See [`SandboxError`]. What can be checked is checked before anything is done.
pub fn enter(spec: &SandboxSpec) -> Result<Inside, SandboxError> {
    process::assert_single_threaded()?;
    let lifeline = spec.lifeline.map(lifeline::End::adopt).transpose()?;
    let outer = nix::unistd::getppid();
    let setup = init::Setup::check(spec)?;
    process::default_signals()?;
    match spec.isolation {
        Isolation::Full => namespaces::create(spec.connection_table, spec.real_root)?,
        Isolation::None => {
            process::become_subreaper()?;
            work::mark(&spec.work)?;
        }
    }
    process::hide()?;
    process::die_with_parent()?;
    if nix::unistd::getppid() != outer || lifeline.as_ref().is_some_and(lifeline::End::is_cut) {
        process::exit_now(process::KILLED);
    }
    init::start(&setup, lifeline)
}

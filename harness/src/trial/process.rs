//! The supervisor as an owned process: in a process group of its own, killed and reaped on drop.

use std::io;
use std::num::ParseIntError;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use holdline_model::exit::Exit;
use holdline_model::log_tail::LogTail;
use holdline_model::secrets::Secrets;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::log::{BoundedLog, tail};
use super::paths::{PathError, to};
use super::user::Identity;
use super::workspace::Workspace;
use crate::proc;

/// How often the log of a control command is looked at.
const LOG_CUTS: Duration = Duration::from_millis(10);

/// A command that could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// It has no words.
    #[error("the command is empty")]
    Empty,
    /// Its log cannot be written.
    #[error(transparent)]
    Log(#[from] PathError),
    /// The kernel refuses it.
    #[error("failed to start `{command}`")]
    Spawn {
        /// Its words.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It was started, and cannot be told apart from others.
    #[error("`{command}` has no process id")]
    NoPid {
        /// Its words.
        command: String,
    },
}

/// A control command that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// It could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It could not be waited for.
    #[error("failed to wait for `{command}`")]
    Wait {
        /// Its words.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long.
    #[error("`{command}` did not end within {} s", .limit.as_secs())]
    Late {
        /// Its words.
        command: String,
        /// How long it may take.
        limit: Duration,
    },
    /// It says that it failed.
    #[error("`{command}` ended with {status}{log}")]
    Failed {
        /// Its words.
        command: String,
        /// How it ended.
        status: Exit,
        /// The end of its log.
        log: LogTail,
    },
}

/// A file that names no process that could be a supervisor.
#[derive(Debug, thiserror::Error)]
pub(super) enum PidFileError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] PathError),
    /// It holds something else.
    #[error("{} holds no process id", .path.display())]
    NoNumber {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ParseIntError,
    },
    /// It holds the number of no supervisor.
    #[error("{} holds no process id of a supervisor", .path.display())]
    NoSupervisor {
        /// The file.
        path: PathBuf,
    },
}

/// A supervisor that was started.
#[derive(Debug)]
pub(super) struct Supervised {
    child: Child,
    pid: Pid,
    log: BoundedLog,
    /// Where it keeps its process id, if it may replace itself by another process.
    pid_file: Option<PathBuf>,
}

impl Supervised {
    /// Starts the supervisor's command, as another user than ours if one is given. Its output goes
    /// to `log`.
    pub(super) fn start(
        words: &[String],
        env: &[(String, String)],
        workspace: &Workspace,
        log: &Path,
        pid_file: Option<PathBuf>,
        user: Option<Identity>,
    ) -> Result<Self, StartError> {
        let log = BoundedLog::open(log)?;
        let mut command = command(words, env, workspace)?;
        if let Some(user) = user {
            command.as_std_mut().uid(user.uid).gid(user.gid);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(log.writer()?)
            .stderr(log.writer()?)
            .process_group(0)
            .spawn()
            .map_err(|source| StartError::Spawn { command: words.join(" "), source })?;
        let pid = child.id().and_then(proc::numbered);
        let pid = pid.ok_or_else(|| StartError::NoPid { command: words.join(" ") })?;
        Ok(Self { child, pid, log, pid_file })
    }

    /// The process that was started.
    pub(super) fn started(&self) -> Pid {
        self.pid
    }

    /// The process that is the supervisor now: the one that was started, unless its file names
    /// another that runs.
    pub(super) fn pid(&self) -> Pid {
        self.successor_of(self.pid).unwrap_or(self.pid)
    }

    /// The process that took over from the one with this id, if one did and it still runs.
    pub(super) fn successor_of(&self, pid: Pid) -> Option<Pid> {
        let named = read_pid(self.pid_file.as_deref()?).ok()?;
        (named != pid && proc::is_alive(named)).then_some(named)
    }

    /// Whether it may replace itself by another process.
    pub(super) fn has_pid_file(&self) -> bool {
        self.pid_file.is_some()
    }

    /// Whether the process that was started ended because another has taken over.
    pub(super) fn was_replaced(&self, status: ExitStatus) -> bool {
        status.success() && self.successor_of(self.pid).is_some()
    }

    /// Whether it has ended, and no other has taken over.
    pub(super) fn has_ended_alone(&mut self) -> Option<ExitStatus> {
        self.has_ended().filter(|status| !self.was_replaced(*status))
    }

    /// Whether one that ended like this may have another that takes over: it may still be writing the pid-file.
    pub(super) fn may_be_replaced(&self, status: ExitStatus) -> bool {
        self.pid_file.is_some() && status.success()
    }

    /// Waits for its end; may be cancelled.
    pub(super) async fn wait(&mut self) -> ExitStatus {
        match self.child.wait().await {
            Ok(status) => status,
            // Nobody else can have reaped it; should it happen, it is certainly gone.
            Err(_) => std::os::unix::process::ExitStatusExt::from_raw(0),
        }
    }

    /// Keeps its log from filling the disk. To be called now and then.
    pub(super) fn cut_log(&mut self) {
        self.log.cut();
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // A group whose leader is reaped may still have members; without any, this is ESRCH.
        let _ = killpg(self.pid, Signal::SIGKILL);
        let _ = self.child.start_kill();
    }
}

/// A command in the trial's environment: its own TMPDIR and HOME, so that nothing is left in the
/// user's and no trial finds what another one left; the work folder as current directory.
pub(super) fn command(
    words: &[String],
    env: &[(String, String)],
    workspace: &Workspace,
) -> Result<Command, StartError> {
    let Some((program, arguments)) = words.split_first() else { return Err(StartError::Empty) };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(&workspace.dir)
        .env("TMPDIR", workspace.dir.join("tmp"))
        .env("HOME", workspace.dir.join("home"))
        .envs(env.iter().map(|(key, value)| (key, value)))
        .kill_on_drop(true);
    Ok(command)
}

/// Runs a command to its end, bounded in time. Its output goes to `log`.
pub(super) async fn run_command(
    mut command: Command,
    words: &str,
    log: &Path,
    secrets: &Secrets,
    limit: Duration,
) -> Result<(), CommandError> {
    let mut bounded = BoundedLog::open(log).map_err(StartError::Log)?;
    let words = || words.to_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(bounded.writer().map_err(StartError::Log)?)
        .stderr(bounded.writer().map_err(StartError::Log)?)
        .spawn()
        .map_err(|source| StartError::Spawn { command: words(), source })?;
    let ended = tokio::time::timeout(limit, async {
        loop {
            tokio::select! {
                status = child.wait() => return status,
                () = tokio::time::sleep(LOG_CUTS) => bounded.cut(),
            }
        }
    });
    let status = match ended.await {
        Ok(status) => status.map_err(|source| CommandError::Wait { command: words(), source })?,
        Err(_) => return Err(CommandError::Late { command: words(), limit }),
    };
    if !status.success() {
        let (status, log) = (proc::exit_of(status), tail(log, secrets));
        return Err(CommandError::Failed { command: words(), status, log });
    }
    Ok(())
}

/// The process id in a file.
pub(super) fn read_pid(path: &Path) -> Result<Pid, PidFileError> {
    let text = std::fs::read_to_string(path).map_err(to("read", path))?;
    let number = text.trim().parse::<u32>();
    let number = number.map_err(|source| PidFileError::NoNumber { path: path.to_owned(), source })?;
    // 0 and 1 would be the whole group, or init.
    let pid = proc::numbered(number).filter(|_| number > 1);
    pid.ok_or_else(|| PidFileError::NoSupervisor { path: path.to_owned() })
}

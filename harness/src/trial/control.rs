//! Asking a supervisor to do something: a command, or a signal to a named process.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use holdline_model::supervisor::{Control, SignalTo};
use holdline_model::template;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::process::{command, run_command};
use super::workspace::Workspace;

/// How long a control command may take.
pub(super) const CONTROL_LIMIT: Duration = Duration::from_secs(30);
/// How long a supervisor may take to stop.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(10);
/// How long one is given to be seen dead that could not be asked to stop.
pub(super) const DEATH_LIMIT: Duration = Duration::from_secs(1);

/// What a control action needs, prepared so that it can run while the trial goes on.
#[derive(Debug)]
pub(super) enum Prepared {
    /// A command, and its text for messages.
    Command(Box<tokio::process::Command>, String, PathBuf),
    /// A signal to these processes; a negative one is a group.
    Signal(Signal, Vec<Pid>),
}

/// Turns a description's control entry into what will be done.
pub(super) fn prepare(
    control: &Control,
    env: &[(String, String)],
    workspace: &Workspace,
    supervisor: Pid,
    workers: &[u32],
    log: &Path,
) -> Result<Prepared> {
    match control {
        Control::Unsupported(reason) => bail!("not supported: {reason}"),
        Control::Command(words) => {
            let words = template::command(words, &workspace.values)?;
            let text = words.join(" ");
            Ok(Prepared::Command(Box::new(command(&words, env, workspace)?), text, log.to_owned()))
        }
        Control::Signal { signal, to } => {
            let signal = parse_signal(signal)?;
            let targets = match to {
                SignalTo::Supervisor => vec![supervisor],
                SignalTo::Group => vec![Pid::from_raw(-supervisor.as_raw())],
                SignalTo::Workers => workers.iter().filter_map(|pid| pid_of(*pid)).collect(),
                SignalTo::PidFile(file) => vec![read_pid(&workspace.dir.join(file))?],
            };
            Ok(Prepared::Signal(signal, targets))
        }
    }
}

impl Prepared {
    /// Does it.
    pub(super) async fn run(self) -> Result<()> {
        match self {
            Self::Command(command, text, log) => run_command(*command, &text, &log, CONTROL_LIMIT).await,
            Self::Signal(signal, targets) => {
                if targets.is_empty() {
                    bail!("there is no process to send {signal} to");
                }
                for target in targets {
                    send(signal, target).with_context(|| format!("failed to send {signal} to {target}"))?;
                }
                Ok(())
            }
        }
    }
}

fn send(signal: Signal, target: Pid) -> nix::Result<()> {
    match target.as_raw() {
        group if group < -1 => killpg(Pid::from_raw(-group), signal),
        process if process > 1 => kill(target, signal),
        // 0, 1 and -1 would reach holdline itself, init, or everything.
        _ => Err(nix::errno::Errno::EPERM),
    }
}

/// The signal with this name, with or without `SIG`.
pub(super) fn parse_signal(name: &str) -> Result<Signal> {
    let full = if name.starts_with("SIG") { name.to_owned() } else { format!("SIG{name}") };
    Signal::from_str(&full).map_err(|_| anyhow::anyhow!("`{name}` is not a signal"))
}

/// A worker's process id as the kernel takes it.
pub(super) fn pid_of(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// The process id in a file.
pub(super) fn read_pid(path: &Path) -> Result<Pid> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    let pid: u32 = text.trim().parse().with_context(|| format!("{} holds no process id", path.display()))?;
    pid_of(pid).with_context(|| format!("{} holds no process id of a supervisor", path.display()))
}

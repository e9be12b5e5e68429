//! Asking a supervisor to do something: a command, or a signal to a named process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
use holdline_model::hindrance::{CommandProblem, Hindrance, PidFileProblem};
use holdline_model::secrets::Secrets;
use holdline_model::signals::Signal;
use holdline_model::supervisor::{Control, SignalTo};
use holdline_model::template::{self, TemplateError};
use holdline_model::words::Verb;
use nix::errno::Errno;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::hindered::{not_signalled, own};
use crate::trial::cast::{Cast, Companion};
use crate::trial::ends::{self, Reached, nix_signal};
use crate::trial::place::Place;
use crate::trial::process::{CommandError, PidFileError, StartError, command, read_pid, run_command};
use crate::trial::record::Told;
use crate::trial::sight::Sight;
use crate::trial::workspace::WorkspaceError;

/// How long a control command may take.
pub(in crate::trial) const CONTROL_LIMIT: Duration = Duration::from_secs(30);

/// A supervisor that could not be asked.
#[derive(Debug, thiserror::Error)]
pub(in crate::trial) enum AskError {
    /// It is not known how.
    #[error("this supervisor has no `{0}`")]
    NoVerb(Verb),
    /// It is known that it cannot be asked.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Its files could not be rendered.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The command could not be rendered.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The command could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The command failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// It is not known which process to signal.
    #[error(transparent)]
    PidFile(#[from] PidFileError),
    /// There is none.
    #[error("there is no process to send SIG{0} to")]
    NoProcess(Signal),
    /// A process could not be signalled.
    #[error("failed to send SIG{signal} to process {pid}")]
    Process {
        /// The signal.
        signal: Signal,
        /// The process.
        pid: Pid,
        /// What the kernel said.
        source: io::Error,
    },
    /// A group of processes could not be signalled.
    #[error("failed to send SIG{signal} to process group {leader}")]
    Group {
        /// The signal.
        signal: Signal,
        /// Its leader.
        leader: Pid,
        /// What the kernel said.
        source: Errno,
    },
}

impl AskError {
    /// As a value that is recorded.
    pub(in crate::trial) fn hindrance(&self) -> Hindrance {
        match self {
            Self::NoVerb(verb) => Hindrance::NoVerb { verb: *verb },
            Self::Unsupported(reason) => Hindrance::Unsupported { reason: reason.clone() },
            Self::Workspace(error) => own(error),
            Self::Template(error) => own(error),
            Self::Start(error) | Self::Command(CommandError::Start(error)) => not_started(error),
            Self::Command(CommandError::Wait { .. }) => own(self),
            Self::Command(CommandError::Late { command, limit }) => {
                of_command(command, CommandProblem::Late { limit_s: limit.as_secs() })
            }
            Self::Command(CommandError::Failed { command, status, log }) => {
                of_command(command, CommandProblem::Failed { status: *status, log: log.clone() })
            }
            Self::PidFile(error) => of_pid_file(error),
            Self::NoProcess(signal) => Hindrance::NoProcess { signal: *signal },
            Self::Process { signal, pid, source } => not_signalled(*signal, *pid, false, source),
            Self::Group { signal, leader, source } => not_signalled(*signal, *leader, true, source),
        }
    }
}

fn not_started(error: &StartError) -> Hindrance {
    match error {
        StartError::Spawn { command, source } => {
            of_command(command, CommandProblem::NotStarted { error: source.to_string() })
        }
        StartError::Empty | StartError::Log(_) | StartError::NoPid { .. } => own(error),
    }
}

fn of_command(command: &str, problem: CommandProblem) -> Hindrance {
    Hindrance::Command { command: command.to_owned(), problem }
}

fn of_pid_file(error: &PidFileError) -> Hindrance {
    let of = |path: &Path, problem| Hindrance::PidFile { path: path.display().to_string(), problem };
    match error {
        PidFileError::Read(error) => {
            of(&error.path, PidFileProblem::Unreadable { error: error.source.to_string() })
        }
        PidFileError::NoNumber { path, .. } => of(path, PidFileProblem::NoNumber),
        PidFileError::NoSupervisor { path } => of(path, PidFileProblem::NoSupervisor),
    }
}

/// A verb that is under way; dropping it kills its command.
#[derive(Debug)]
#[must_use = "dropping it ends what is under way"]
pub(super) struct Asked {
    task: JoinHandle<()>,
}

/// What is asked for.
pub(super) struct Asking {
    /// By which fault.
    pub(super) fault: usize,
    pub(super) verb: Verb,
    /// How many workers, for `scale`.
    pub(super) workers: Option<u32>,
    /// Of which program; `None`: of the one that has the service's address.
    pub(super) program: Option<String>,
}

impl Asked {
    /// Asks for a verb. Its end is told to `sender`.
    pub(super) fn begin(
        asking: Asking,
        place: &mut Place,
        sight: &Sight,
        cast: Cast<'_>,
        sender: UnboundedSender<Told>,
    ) -> Result<Self, AskError> {
        let Asking { fault, verb, workers, program } = asking;
        let supervisor = &place.supervisor;
        // The front has a name as well, and may have verbs of its own beside those of the whole service.
        let companion = program.as_ref().and_then(|program| cast.behind.get(program));
        let control = match companion {
            Some(companion) => companion.control(verb).cloned(),
            None if verb == Verb::Stop => Some(supervisor.stop.clone()),
            None if program.is_some() => supervisor.front.control.get(&verb).cloned(),
            None => supervisor.control.get(&verb).cloned(),
        };
        let control = control.ok_or(AskError::NoVerb(verb))?;
        if let Some(count) = workers {
            place.workspace.values.workers = count;
            place.workspace.render()?;
        }
        if verb == Verb::Upgrade {
            place.workspace.upgrade_worker()?;
        }
        let prepared = prepare(&control, place, sight, cast, program.as_deref())?;
        let task = tokio::spawn(async move {
            let error = prepared.run().await.err().map(|error| error.hindrance());
            let _ = sender.send((now_ns(), Event::ControlDone { fault, error }));
        });
        Ok(Self { task })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a control action needs, prepared so that it can run while the trial goes on.
#[derive(Debug)]
pub(in crate::trial) enum Prepared {
    /// A command, and its text for messages.
    Command(Box<tokio::process::Command>, String, PathBuf, Arc<Secrets>),
    /// A signal to these processes.
    Signal(Signal, Vec<Pid>),
    /// A signal to a process group.
    Group(Signal, Pid),
}

/// Turns a control entry into what will be done: the description's own, or that of one of its programs.
pub(in crate::trial) fn prepare(
    control: &Control,
    place: &Place,
    sight: &Sight,
    cast: Cast<'_>,
    of: Option<&str>,
) -> Result<Prepared, AskError> {
    match control {
        Control::Unsupported(reason) => Err(AskError::Unsupported(reason.clone())),
        Control::Command(words) => {
            let words = template::command(words, &place.workspace.values)?;
            let text = words.join(" ");
            let (log, secrets) = (place.control_log(), Arc::clone(&place.secrets));
            Ok(Prepared::Command(
                Box::new(command(&words, &place.env, &place.workspace)?),
                text,
                log,
                secrets,
            ))
        }
        Control::Signal { signal, to } => {
            let companion = of.and_then(|program| cast.behind.get(program));
            let supervisor = companion.map_or(cast.front, |companion| &companion.process).pid();
            Ok(match to {
                SignalTo::Supervisor => Prepared::Signal(*signal, vec![supervisor]),
                SignalTo::Group => Prepared::Group(*signal, supervisor),
                SignalTo::Workers => {
                    let workers =
                        companion.map_or_else(|| sight.worker_pids(supervisor), Companion::children);
                    Prepared::Signal(*signal, workers)
                }
                SignalTo::Program(name) => {
                    let named = cast.behind.get(name).map(|companion| companion.process.pid());
                    Prepared::Signal(*signal, named.into_iter().collect())
                }
                SignalTo::PidFile(file) => {
                    Prepared::Signal(*signal, vec![read_pid(&place.workspace.dir.join(file))?])
                }
            })
        }
    }
}

impl Prepared {
    /// Does it.
    pub(in crate::trial) async fn run(self) -> Result<(), AskError> {
        match self {
            Self::Command(command, text, log, secrets) => {
                Ok(run_command(*command, &text, &log, &secrets, CONTROL_LIMIT).await?)
            }
            Self::Signal(signal, targets) => {
                // Those that end just now need no signal any more; if all have, nobody was asked.
                let mut reached = 0;
                for target in &targets {
                    let sent = ends::send(*target, signal).map_err(|source| AskError::Process {
                        signal,
                        pid: *target,
                        source,
                    })?;
                    reached += u32::from(sent == Reached::Yes);
                }
                if reached == 0 {
                    return Err(AskError::NoProcess(signal));
                }
                Ok(())
            }
            Self::Group(signal, leader) => killpg(leader, nix_signal(signal))
                .map_err(|source| AskError::Group { signal, leader, source }),
        }
    }
}

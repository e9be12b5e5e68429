//! Asking a supervisor to do something: a command, or a signal to a named process.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
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

use crate::causes::in_full;
use crate::trial::ends::{self, Reached, nix_signal};
use crate::trial::place::Place;
use crate::trial::process::{
    CommandError, PidFileError, StartError, Supervised, command, read_pid, run_command,
};
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

/// A verb that is under way; dropping it kills its command.
#[derive(Debug)]
#[must_use = "dropping it ends what is under way"]
pub(super) struct Asked {
    task: JoinHandle<()>,
}

impl Asked {
    /// Asks for a verb. Its end is told to `sender`.
    pub(super) fn begin(
        fault: usize,
        verb: Verb,
        workers: Option<u32>,
        place: &mut Place,
        sight: &Sight,
        supervised: &Supervised,
        sender: UnboundedSender<Told>,
    ) -> Result<Self, AskError> {
        let control = if verb == Verb::Stop {
            Some(place.supervisor.stop.clone())
        } else {
            place.supervisor.control.get(&verb).cloned()
        };
        let control = control.ok_or(AskError::NoVerb(verb))?;
        if let Some(count) = workers {
            place.workspace.values.workers = count;
            place.workspace.render()?;
        }
        if verb == Verb::Upgrade {
            place.workspace.upgrade_worker()?;
        }
        let prepared = prepare(&control, place, sight, supervised)?;
        let task = tokio::spawn(async move {
            let error = prepared.run().await.err().map(|error| in_full(&error));
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

/// Turns a description's control entry into what will be done.
pub(in crate::trial) fn prepare(
    control: &Control,
    place: &Place,
    sight: &Sight,
    supervised: &Supervised,
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
            let supervisor = supervised.pid();
            Ok(match to {
                SignalTo::Supervisor => Prepared::Signal(*signal, vec![supervisor]),
                SignalTo::Group => Prepared::Group(*signal, supervisor),
                SignalTo::Workers => Prepared::Signal(*signal, sight.worker_pids(supervisor)),
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

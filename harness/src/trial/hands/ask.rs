//! Asking a supervisor to do something: a command, or a signal to a named process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use holdline_contract::clock::now_ns;
use holdline_model::conductor::Event;
use holdline_model::signals::Signal;
use holdline_model::supervisor::{Control, SignalTo};
use holdline_model::template;
use holdline_model::words::Verb;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use crate::trial::ends::{self, Reached, nix_signal};
use crate::trial::place::Place;
use crate::trial::process::{Supervised, command, read_pid, run_command};
use crate::trial::record::Told;
use crate::trial::sight::Sight;

/// How long a control command may take.
pub(in crate::trial) const CONTROL_LIMIT: Duration = Duration::from_secs(30);

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
    ) -> Result<Self> {
        let control = if verb == Verb::Stop {
            Some(place.supervisor.stop.clone())
        } else {
            place.supervisor.control.get(&verb).cloned()
        };
        let control = control.with_context(|| format!("this supervisor has no `{verb}`"))?;
        if let Some(count) = workers {
            place.workspace.values.workers = count;
            place.workspace.render()?;
        }
        if verb == Verb::Upgrade {
            place.workspace.upgrade_worker()?;
        }
        let prepared = prepare(&control, place, sight, supervised)?;
        let task = tokio::spawn(async move {
            let error = prepared.run().await.err().map(|error| format!("{error:#}"));
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
    Command(Box<tokio::process::Command>, String, PathBuf),
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
) -> Result<Prepared> {
    match control {
        Control::Unsupported(reason) => bail!("not supported: {reason}"),
        Control::Command(words) => {
            let words = template::command(words, &place.workspace.values)?;
            let text = words.join(" ");
            let log = place.folder.join("control.log");
            Ok(Prepared::Command(Box::new(command(&words, &place.env, &place.workspace)?), text, log))
        }
        Control::Signal { signal, to } => {
            let supervisor = supervised.pid();
            Ok(match to {
                SignalTo::Supervisor => Prepared::Signal(*signal, vec![supervisor]),
                SignalTo::Group => Prepared::Group(*signal, supervisor),
                SignalTo::Workers => Prepared::Signal(*signal, sight.worker_pids(supervisor)),
                SignalTo::PidFile(file) => {
                    Prepared::Signal(*signal, vec![pid_in(&place.workspace.dir, file)?])
                }
            })
        }
    }
}

fn pid_in(dir: &Path, file: &str) -> Result<Pid> {
    read_pid(&dir.join(file))
}

impl Prepared {
    /// Does it.
    pub(in crate::trial) async fn run(self) -> Result<()> {
        match self {
            Self::Command(command, text, log) => run_command(*command, &text, &log, CONTROL_LIMIT).await,
            Self::Signal(signal, targets) => {
                // Those that end just now need no signal any more; if all have, nobody was asked.
                let mut reached = 0;
                for target in &targets {
                    let sent = ends::send(*target, signal);
                    let sent =
                        sent.with_context(|| format!("failed to send SIG{signal} to process {target}"))?;
                    reached += u32::from(sent == Reached::Yes);
                }
                if reached == 0 {
                    bail!("there is no process to send SIG{signal} to");
                }
                Ok(())
            }
            Self::Group(signal, leader) => killpg(leader, nix_signal(signal))
                .with_context(|| format!("failed to send SIG{signal} to process group {leader}")),
        }
    }
}

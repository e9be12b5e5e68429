//! Where a trial takes place: its scenario and description, the work folder in which the supervisor finds
//! its configuration, and the environment of what is started there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdline_model::file::FileError;
use holdline_model::log_tail::LogTail;
use holdline_model::mishap::LeftRunning;
use holdline_model::scenario::{self, Action, Scenario};
use holdline_model::secrets::Secrets;
use holdline_model::service::{FillProblem, Origin};
use holdline_model::supervisor::{self, Program, Supervisor};
use holdline_model::support;
use holdline_model::template;
use holdline_model::wire::Script;
use holdline_model::words::Transport;

use super::TrialSpec;
use super::log;
use super::paths::PathError;
use super::process::{StartError, Supervised};
use super::workspace::{Workspace, WorkspaceError};
use crate::load::{Asker, LoadError};
use crate::outside;
use crate::sandbox::Inside;
use crate::tls::{Folders, TlsClient, TlsError};

/// A place that could not be prepared, or in which something could not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// A file is wrong.
    #[error(transparent)]
    File(#[from] Box<FileError>),
    /// IPv6 clients have no addresses of their own here.
    #[error("IPv6 has one loopback address, so attempts could not be told apart; run with --isolation full")]
    NoV6,
    /// It cannot be asked as its files say.
    #[error(transparent)]
    Fill(#[from] FillProblem),
    /// The work folder could not be filled.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// The supervisor could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The service cannot be asked.
    #[error("failed to get ready to ask the service")]
    Asker(#[source] LoadError),
    /// A program does not listen at an address.
    #[error("`{address}`, where {program} is to listen, is neither host:port nor a path")]
    NoAddress {
        /// What it is called.
        program: String,
        /// What its description says.
        address: String,
    },
    /// It cannot be spoken to over TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The names of logs in a trial's folder.
const SUPERVISOR_LOG: &str = "supervisor.log";
const CONTROL_LOG: &str = "control.log";

/// Logs that are kept where they may show secrets.
pub(super) struct Logs {
    from: PathBuf,
    to: PathBuf,
    secrets: Arc<Secrets>,
    names: Vec<String>,
}

impl Logs {
    /// Copies them, without the secrets, to where the trial's other files are.
    pub(super) fn let_out(&self) -> Result<(), PathError> {
        if self.from == self.to {
            return Ok(());
        }
        for name in &self.names {
            let Ok(bytes) = std::fs::read(self.from.join(name)) else { continue };
            let to = self.to.join(name);
            std::fs::write(&to, self.secrets.hidden(&bytes, true)).map_err(super::paths::to("write", &to))?;
        }
        Ok(())
    }
}

/// A place that is prepared.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) scenario: Scenario,
    pub(super) supervisor: Supervisor,
    pub(super) workspace: Workspace,
    pub(super) env: Vec<(String, String)>,
    /// What is said to the service.
    pub(super) script: Arc<Script>,
    /// What nothing may show of it.
    pub(super) secrets: Arc<Secrets>,
    /// Where what the supervisor and its commands write goes, while they run.
    logs: PathBuf,
    /// The trial's folder in the run directory.
    pub(super) folder: PathBuf,
    /// Where the files are that `[tls]` names.
    folders: Folders,
}

impl Place {
    /// Prepares the work folder, and arms the failures that strike before the supervisor starts.
    pub(super) fn prepare(spec: &TrialSpec, inside: &Inside) -> Result<Self, PlaceError> {
        let scenario = scenario::parse(&spec.scenario.text, &spec.scenario.origin).map_err(Box::new)?;
        let supervisor =
            supervisor::parse(&spec.supervisor.text, &spec.supervisor.origin).map_err(Box::new)?;
        if scenario.listen.transport == Transport::Tcp6 && !inside.client_v6 {
            return Err(PlaceError::NoV6);
        }
        let workspace = Workspace::prepare(spec, &scenario, &supervisor)?;
        let env = workspace.environment(&supervisor)?;
        let early =
            scenario.faults.iter().filter(|fault| holdline_model::conductor::strikes_before_start(fault));
        for fault in early {
            if let Action::Crash { step, mode, times } = fault.action {
                workspace.control.arm(step, mode, times).map_err(WorkspaceError::from)?;
            }
        }
        let source = workspace.values.source.clone();
        let folders = Folders {
            description: Some(PathBuf::from(&source)),
            embedded: None,
            scenario: spec.scenario_folder.clone(),
            made: Some(workspace.dir.clone()),
        };
        let file = |origin, path: &str| match origin {
            Origin::Scenario => outside::body_in(spec.scenario_folder.as_deref(), path),
            Origin::Description => outside::body_in(Some(Path::new(&source)), path),
        };
        let (script, secrets) = outside::script(&supervisor, &scenario, &file)?;
        // What may show a secret goes with the trial, unless it is let out without it.
        let logs = if secrets.is_empty() { &spec.folder } else { &workspace.dir }.clone();
        let (script, secrets) = (Arc::new(script), Arc::new(secrets));
        Ok(Self {
            scenario,
            supervisor,
            workspace,
            env,
            script,
            secrets,
            logs,
            folder: spec.folder.clone(),
            folders,
        })
    }

    /// Starts the supervisor, and gives its command line.
    pub(super) fn start_supervisor(&self) -> Result<(Supervised, Vec<String>), PlaceError> {
        let words = template::command(&self.supervisor.start, &self.workspace.values)
            .map_err(WorkspaceError::from)?;
        let pid_file = self.supervisor.pid_file.as_ref().map(|file| self.workspace.dir.join(file));
        // One that cannot drop privileges never has any.
        let user = self.workspace.user.filter(|_| !self.supervisor.can_drop);
        let log = self.supervisor_log();
        let process = Supervised::start(&words, &self.env, &self.workspace, &log, pid_file, user)?;
        Ok((process, words))
    }

    /// Starts a program behind the front, and gives its command line.
    pub(super) fn start_program(&self, program: &Program) -> Result<(Supervised, Vec<String>), PlaceError> {
        let words =
            template::command(&program.start, &self.workspace.values).map_err(WorkspaceError::from)?;
        let pid_file = program.pid_file.as_ref().map(|file| self.workspace.dir.join(file));
        let log = self.program_log(&program.name);
        let process = Supervised::start(&words, &self.env, &self.workspace, &log, pid_file, None)?;
        Ok((process, words))
    }

    /// Where the output of a program behind the front goes.
    fn program_log(&self, program: &str) -> PathBuf {
        self.logs.join(format!("{program}.log"))
    }

    /// The end of its log, to append to why something went wrong.
    pub(super) fn program_log_tail(&self, program: &str) -> LogTail {
        log::tail(&self.program_log(program), &self.secrets)
    }

    /// Where the supervisor's output goes.
    pub(super) fn supervisor_log(&self) -> PathBuf {
        self.logs.join(SUPERVISOR_LOG)
    }

    /// Where the output of control commands goes.
    pub(super) fn control_log(&self) -> PathBuf {
        self.logs.join(CONTROL_LOG)
    }

    /// The end of the supervisor's log, to append to why something went wrong.
    pub(super) fn log_tail(&self) -> LogTail {
        log::tail(&self.supervisor_log(), &self.secrets)
    }

    /// What lets logs into the trial's folder once nobody writes to them any more.
    pub(super) fn logs(&self) -> Logs {
        let (from, to) = (self.logs.clone(), self.folder.clone());
        let programs = self.supervisor.programs.iter().map(|program| format!("{}.log", program.name));
        let names = [SUPERVISOR_LOG, CONTROL_LOG].map(str::to_owned).into_iter().chain(programs).collect();
        Logs { from, to, secrets: Arc::clone(&self.secrets), names }
    }

    /// How many workers must be able to accept before the load may begin.
    pub(super) fn workers_wanted(&self) -> usize {
        (self.workspace.values.workers + self.supervisor.ready.spares) as usize
    }

    /// Asks the service, outside of all counts: what its description says, or else what attempts ask it.
    pub(super) fn asker(&self) -> Result<Asker, PlaceError> {
        let protocol = support::protocol(&self.supervisor, &self.scenario);
        let asker = Asker::new(&self.workspace.values.address, protocol, &self.script, &self.scenario.load)
            .map_err(PlaceError::Asker)?;
        let asker = asker.for_path(self.supervisor.ready.request.as_deref()).hiding(&self.secrets);
        Ok(asker.over(self.tls()?))
    }

    /// How the load client speaks TLS to the service; `None`: it does not. To be asked once the service listens,
    /// which may make the files for it.
    pub(super) fn tls(&self) -> Result<Option<TlsClient>, TlsError> {
        let Some(tls) = support::tls(&self.supervisor, &self.scenario) else { return Ok(None) };
        let alpn = support::alpn(&tls, support::protocol(&self.supervisor, &self.scenario));
        Ok(Some(TlsClient::new(&tls, &alpn, &self.folders)?))
    }

    /// What to do about a supervisor that has left a daemon behind; `None`: it has left nobody.
    pub(super) fn left_running(&self, inside: &Inside) -> Option<LeftRunning> {
        inside.adopted_now().is_ok_and(|left| !left.is_empty()).then(|| match &self.supervisor.pid_file {
            None => LeftRunning::StayInForeground,
            Some(file) => LeftRunning::NameOneInPidFile { pid_file: file.clone() },
        })
    }
}

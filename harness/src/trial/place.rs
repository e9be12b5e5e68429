//! Where a trial takes place: its scenario and description, the work folder in which the supervisor finds
//! its configuration, and the environment of what is started there.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use holdline_model::scenario::{self, Action, Scenario};
use holdline_model::supervisor::{self, Supervisor};
use holdline_model::support;
use holdline_model::template;
use holdline_model::words::Transport;

use super::TrialSpec;
use super::process::Supervised;
use super::workspace::Workspace;
use crate::load::Asker;
use crate::sandbox::Inside;
use crate::tls::{Folders, TlsClient};

/// A place that is prepared.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) scenario: Scenario,
    pub(super) supervisor: Supervisor,
    pub(super) workspace: Workspace,
    pub(super) env: Vec<(String, String)>,
    /// The trial's folder in the run directory.
    pub(super) folder: PathBuf,
    /// Where the files are that `[tls]` names.
    folders: Folders,
}

impl Place {
    /// Prepares the work folder, and arms the failures that strike before the supervisor starts.
    pub(super) fn prepare(spec: &TrialSpec, inside: &Inside) -> Result<Self> {
        let scenario = scenario::parse(&spec.scenario.text, &spec.scenario.origin)?;
        let supervisor = supervisor::parse(&spec.supervisor.text, &spec.supervisor.origin)?;
        if scenario.listen.transport == Transport::Tcp6 && !inside.client_v6 {
            return Err(anyhow!(
                "IPv6 has one loopback address, so attempts could not be told apart; run with --isolation full"
            ));
        }
        let workspace = Workspace::prepare(spec, &scenario, &supervisor)?;
        let env = workspace.environment(&supervisor)?;
        let early =
            scenario.faults.iter().filter(|fault| holdline_model::conductor::strikes_before_start(fault));
        for fault in early {
            if let Action::Crash { step, mode, times } = fault.action {
                workspace.control.arm(step, mode, times)?;
            }
        }
        let folders = Folders {
            description: Some(PathBuf::from(&workspace.values.source)),
            embedded: None,
            scenario: spec.scenario_folder.clone(),
            made: Some(workspace.dir.clone()),
        };
        Ok(Self { scenario, supervisor, workspace, env, folder: spec.folder.clone(), folders })
    }

    /// Starts the supervisor, and gives its command line.
    pub(super) fn start_supervisor(&self) -> Result<(Supervised, Vec<String>)> {
        let words = template::command(&self.supervisor.start, &self.workspace.values)?;
        let pid_file = self.supervisor.pid_file.as_ref().map(|file| self.workspace.dir.join(file));
        // One that cannot drop privileges never has any.
        let user = self.workspace.user.filter(|_| !self.supervisor.can_drop);
        let log = self.supervisor_log();
        let process = Supervised::start(&words, &self.env, &self.workspace, &log, pid_file, user)?;
        Ok((process, words))
    }

    /// Where the supervisor's output goes.
    pub(super) fn supervisor_log(&self) -> PathBuf {
        self.folder.join("supervisor.log")
    }

    /// How many workers must be able to accept before the load may begin.
    pub(super) fn workers_wanted(&self) -> usize {
        (self.workspace.values.workers + self.supervisor.ready.spares) as usize
    }

    /// Asks the service what attempts ask it, outside of all counts.
    pub(super) fn asker(&self) -> Result<Asker> {
        let protocol = support::protocol(&self.supervisor, &self.scenario);
        let asker = Asker::new(&self.workspace.values.address, protocol, &self.scenario.load)
            .context("failed to get ready to ask the service")?;
        Ok(asker.over(self.tls()?))
    }

    /// How the load client speaks TLS to the service; `None`: it does not. To be asked once the service listens,
    /// which may make the files for it.
    pub(super) fn tls(&self) -> Result<Option<TlsClient>> {
        let Some(tls) = support::tls(&self.supervisor, &self.scenario) else { return Ok(None) };
        let alpn = support::alpn(&tls, support::protocol(&self.supervisor, &self.scenario));
        Ok(Some(TlsClient::new(&tls, &alpn, &self.folders)?))
    }

    /// What the supervisor needs of a machine, in words to append to why it did not get ready.
    pub(super) fn hint_of_needs(&self) -> String {
        self.supervisor.needs.as_ref().map_or_else(String::new, |needs| format!("; it needs {needs}"))
    }

    /// What to do about a supervisor that has left a daemon behind.
    pub(super) fn hint_of_background(&self, inside: &Inside) -> String {
        if !inside.adopted_now().is_ok_and(|left| !left.is_empty()) {
            return String::new();
        }
        let remedy = match &self.supervisor.pid_file {
            None => {
                "it must stay in the foreground, so tell it not to daemonise, or name its `pid-file` in \
                 supervisor.toml"
            }
            Some(file) => &format!("its pid-file {file} names none of them"),
        };
        format!(", and left processes running: {remedy}")
    }
}

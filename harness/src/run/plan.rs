//! From what is valid to what will run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use holdline_model::plan::{Partition, RunPlan, TrialPlan};
use holdline_model::supervisor::WorkerKind;
use holdline_model::support;

use super::{RunError, limits};
use crate::catalogue::{self, ScenarioEntry, Source, SupervisorEntry};
use crate::sandbox::{self, Isolation, IsolationChoice, Notice};
use crate::tls::{Folders, TlsClient};

/// What all trials of a run have in common.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Which worker runs under supervisors that can run any; else each runs its own.
    pub worker: Option<WorkerKind>,
    /// Namespaces of each trial.
    pub isolation: IsolationChoice,
}

/// What a user asked for, valid: every file was read and is right, and nothing was started.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Scenarios, no two of the same name.
    pub scenarios: Vec<ScenarioEntry>,
    /// Supervisors, no two of the same name.
    pub supervisors: Vec<SupervisorEntry>,
    /// How often each trial is repeated.
    pub repetitions: u32,
    /// The part of the trials that runs here.
    pub partition: Option<Partition>,
    /// Those of the supervisors that must run, by name.
    pub required: Vec<String>,
    /// What all trials have in common.
    pub options: Options,
}

impl RunRequest {
    /// Plans every supervisor × every scenario × every repetition.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`].
    pub fn plan(self) -> Result<Plan, RunError> {
        let supervisors: Vec<String> = self.supervisors.iter().map(|e| e.supervisor.name.clone()).collect();
        let scenarios: Vec<String> = self.scenarios.iter().map(|e| e.scenario.name.clone()).collect();
        let plan =
            RunPlan::new(&supervisors, &scenarios, self.repetitions, self.options.seed, self.partition);
        let required = self.required;
        Ok(Plan { required, ..Plan::new(self.scenarios, self.supervisors, plan.trials, self.options)? })
    }
}

/// What will run: trials in their order, and everything that they need.
#[derive(Debug)]
pub struct Plan {
    pub(super) scenarios: BTreeMap<String, ScenarioEntry>,
    pub(super) supervisors: BTreeMap<String, SupervisorEntry>,
    pub(super) trials: Vec<TrialPlan>,
    pub(super) required: Vec<String>,
    pub(super) seed: u64,
    pub(super) worker: Option<WorkerKind>,
    pub(super) isolation: Isolation,
    pub(super) notice: Option<Notice>,
    pub(super) executable: PathBuf,
}

impl Plan {
    /// A plan of these trials, in this order, each of a scenario and a supervisor of these.
    ///
    /// # Errors
    ///
    /// There is no trial, one names what is not there, a template is missing or wrong, a path is not
    /// UTF-8, or the isolation that was asked for cannot be had.
    pub fn new(
        scenarios: Vec<ScenarioEntry>,
        supervisors: Vec<SupervisorEntry>,
        trials: Vec<TrialPlan>,
        options: Options,
    ) -> Result<Self, RunError> {
        let scenarios: BTreeMap<_, _> =
            scenarios.into_iter().map(|entry| (entry.scenario.name.clone(), entry)).collect();
        let supervisors: BTreeMap<_, _> =
            supervisors.into_iter().map(|entry| (entry.supervisor.name.clone(), entry)).collect();
        check(&scenarios, &supervisors, &trials)?;
        let executable = std::env::current_exe().map_err(RunError::Executable)?;
        utf8(&executable, "holdline's own executable", "move it")?;
        limits::check()?;
        let (isolation, notice) = choose(options.isolation)?;
        let Options { seed, worker, .. } = options;
        let required = Vec::new();
        Ok(Self { scenarios, supervisors, trials, required, seed, worker, isolation, notice, executable })
    }

    /// The same plan, run by another holdline than the program that this is part of.
    #[must_use]
    pub fn with_executable(self, executable: PathBuf) -> Self {
        Self { executable, ..self }
    }

    /// The isolation that trials have.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// What the user has to be told of it.
    #[must_use]
    pub fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }
}

/// The isolation that can be had. Where not even a process can be, there is no run.
fn choose(choice: IsolationChoice) -> Result<(Isolation, Option<Notice>), RunError> {
    match sandbox::choose(choice)? {
        (_, Some(Notice { cause })) if cause.is_lack_of_processes() => Err(cause.into()),
        chosen => Ok(chosen),
    }
}

/// Finds whatever is wrong before anything is started.
fn check(
    scenarios: &BTreeMap<String, ScenarioEntry>,
    supervisors: &BTreeMap<String, SupervisorEntry>,
    trials: &[TrialPlan],
) -> Result<(), RunError> {
    if trials.is_empty() {
        return Err(RunError::Empty);
    }
    let lack = |what, name: &str| RunError::NotPlanned { what, name: name.to_owned() };
    let mut placed = BTreeSet::new();
    for trial in trials {
        let scenario = scenarios.get(&trial.scenario).ok_or_else(|| lack("scenario", &trial.scenario))?;
        let supervisor =
            supervisors.get(&trial.supervisor).ok_or_else(|| lack("supervisor", &trial.supervisor))?;
        let transport = scenario.scenario.listen.transport;
        if placed.insert((&trial.supervisor, transport.as_str())) {
            catalogue::check_templates(supervisor, transport)?;
        }
        check_tls(supervisor, scenario)?;
        if let Source::Folder(path) = &supervisor.source {
            utf8(path, "the supervisor's folder", "give it another name")?;
        }
    }
    Ok(())
}

/// Reads the files that `[tls]` names, unless the service makes them itself.
fn check_tls(supervisor: &SupervisorEntry, scenario: &ScenarioEntry) -> Result<(), RunError> {
    let Some(tls) = support::tls(&supervisor.supervisor, &scenario.scenario) else { return Ok(()) };
    let (description, embedded) = match &supervisor.source {
        Source::Folder(folder) => (Some(folder.clone()), None),
        Source::Embedded(dir) => (None, Some(*dir)),
    };
    let folders = Folders { description, embedded, scenario: scenario.folder.clone(), made: None };
    if folders.hold_all(&tls) {
        let origin = if scenario.scenario.tls.is_some() { &scenario.origin } else { &supervisor.origin };
        TlsClient::new(&tls, &[], &folders)
            .map_err(|error| RunError::Tls { origin: origin.clone(), error })?;
    }
    Ok(())
}

/// Fails unless the path is UTF-8, as all is that a trial's processes are told.
pub(super) fn utf8(path: &Path, what: &'static str, remedy: &'static str) -> Result<(), RunError> {
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(RunError::NotUtf8 { what, path: path.to_owned(), remedy }),
    }
}

//! From what is valid to what will run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use holdline_model::lack::Lack;
use holdline_model::plan::{Partition, RunPlan, TrialPlan, estimated_ns};
use holdline_model::planned::places;
use holdline_model::result::RunResult;
use holdline_model::scenario::Scenario;
use holdline_model::supervisor::{Supervisor, WorkerKind};
use holdline_model::support;
use holdline_model::wire::Address;

use super::{RunError, limits};
use crate::catalogue::{self, ScenarioEntry, Source, SupervisorEntry};
use crate::sandbox::{self, Isolation, IsolationChoice, Notice};
use crate::tls::{Folders, TlsClient};
use crate::trial::{self, TraceSpec};

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
        let (required, partition) = (self.required, self.partition);
        Ok(Plan::new(self.scenarios, self.supervisors, plan.trials, self.options)?
            .with_required(required)
            .with_partition(partition))
    }
}

/// What will run: trials in their order, and everything that they need.
#[derive(Debug)]
pub struct Plan {
    pub(super) scenarios: BTreeMap<String, ScenarioEntry>,
    pub(super) supervisors: BTreeMap<String, SupervisorEntry>,
    pub(super) trials: Vec<TrialPlan>,
    pub(super) required: Vec<String>,
    pub(super) reference: Option<String>,
    pub(super) partition: Option<Partition>,
    pub(super) seed: u64,
    pub(super) worker: Option<WorkerKind>,
    pub(super) isolation: Isolation,
    pub(super) notice: Option<Notice>,
    pub(super) executable: PathBuf,
    pub(super) traces: BTreeMap<String, TraceSpec>,
    /// The service that runs already, which trials put under load.
    pub(super) attached: Option<Address>,
    /// So many trials, from the first on, must run for those that follow to be of use.
    pub(super) vital: usize,
    /// What of it has been measured already.
    pub(super) so_far: Option<RunResult>,
    /// How many trials run side by side, and whether those that measure times do, too.
    pub(super) jobs: u32,
    pub(super) times_beside: bool,
    /// Whether reference supervisors may fail as the scenarios' `[reference]` tables foresee it.
    pub(super) excuses_reference: bool,
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
        Ok(Self {
            scenarios,
            supervisors,
            trials,
            required: Vec::new(),
            reference: None,
            partition: None,
            seed,
            worker,
            isolation,
            notice,
            executable,
            traces: BTreeMap::new(),
            attached: None,
            vital: 0,
            so_far: None,
            jobs: 1,
            times_beside: false,
            excuses_reference: false,
        })
    }

    /// Other trials, of these scenarios and the same supervisors: nothing is found out anew that all trials have in
    /// common.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`], but for the isolation.
    pub fn with_trials(
        &self,
        scenarios: Vec<ScenarioEntry>,
        trials: Vec<TrialPlan>,
    ) -> Result<Self, RunError> {
        let scenarios: BTreeMap<_, _> =
            scenarios.into_iter().map(|entry| (entry.scenario.name.clone(), entry)).collect();
        self.of(scenarios, self.supervisors.clone(), trials)
    }

    /// Trials of this scenario and this supervisor, with all else as it is.
    pub(super) fn with_entries(
        &self,
        scenario: ScenarioEntry,
        supervisor: SupervisorEntry,
        trials: Vec<TrialPlan>,
    ) -> Result<Self, RunError> {
        let scenarios = [(scenario.scenario.name.clone(), scenario)].into();
        let supervisors = [(supervisor.supervisor.name.clone(), supervisor)].into();
        self.of(scenarios, supervisors, trials)
    }

    fn of(
        &self,
        scenarios: BTreeMap<String, ScenarioEntry>,
        supervisors: BTreeMap<String, SupervisorEntry>,
        trials: Vec<TrialPlan>,
    ) -> Result<Self, RunError> {
        check(&scenarios, &supervisors, &trials)?;
        Ok(Self {
            scenarios,
            supervisors,
            trials,
            required: self.required.clone(),
            reference: self.reference.clone(),
            partition: self.partition,
            seed: self.seed,
            worker: self.worker,
            isolation: self.isolation,
            // Who is to be told of it has been.
            notice: None,
            executable: self.executable.clone(),
            traces: self.traces.clone(),
            attached: self.attached.clone(),
            vital: 0,
            so_far: None,
            jobs: self.jobs,
            times_beside: self.times_beside,
            excuses_reference: self.excuses_reference,
        })
    }

    /// The same plan, run by another holdline than the program that this is part of.
    #[must_use]
    pub fn with_executable(self, executable: PathBuf) -> Self {
        Self { executable, ..self }
    }

    /// The same plan, in which these supervisors must run.
    #[must_use]
    pub fn with_required(self, required: Vec<String>) -> Self {
        Self { required, ..self }
    }

    /// The same plan, in which the others are compared with this supervisor.
    #[must_use]
    pub fn with_reference(self, reference: String) -> Self {
        Self { reference: Some(reference), ..self }
    }

    /// The same plan, which is this part of a whole.
    #[must_use]
    pub fn with_partition(self, partition: Option<Partition>) -> Self {
        Self { partition, ..self }
    }

    /// The same plan, of which this has been measured already: these trials do not run again, and the run goes on
    /// as it began.
    #[must_use]
    pub fn resumed(self, so_far: RunResult) -> Self {
        Self { so_far: Some(so_far), ..self }
    }

    /// The same plan, of which so many trials run side by side; those of scenarios that measure times only where
    /// `times_beside`.
    #[must_use]
    pub fn side_by_side(self, jobs: u32, times_beside: bool) -> Self {
        Self { jobs: jobs.max(1), times_beside, ..self }
    }

    /// The same plan, in which reference supervisors may fail as the scenarios' `[reference]` tables foresee it, or not.
    #[must_use]
    pub fn excusing_reference(self, excuses_reference: bool) -> Self {
        Self { excuses_reference, ..self }
    }

    /// The trials, in their order.
    #[must_use]
    pub fn trials(&self) -> &[TrialPlan] {
        &self.trials
    }

    /// The trials that run, with their places in the plan: all that have no result yet.
    pub fn due(&self) -> impl Iterator<Item = (usize, &TrialPlan)> {
        let there = self.so_far.as_ref().map(|run| places(&self.trials, &run.trials)).unwrap_or_default();
        self.trials.iter().enumerate().filter(move |(place, _)| !there.contains(place))
    }

    /// What a trial lacks, as far as that is known before anything is started: it is then not run.
    #[must_use]
    pub fn lack(&self, trial: &TrialPlan) -> Option<Lack> {
        let scenario = &self.scenarios[&trial.scenario].scenario;
        lack_known_before(&self.supervisors[&trial.supervisor].supervisor, scenario)
    }

    /// About how long a trial takes, in nanoseconds: none where it is known that it is not run.
    #[must_use]
    pub fn estimated_ns(&self, trial: &TrialPlan) -> u64 {
        match self.lack(trial) {
            Some(_) => 0,
            None => estimated_ns(&self.scenarios[&trial.scenario].scenario),
        }
    }

    /// About how long all that are due take, side by side as far as they may be.
    #[must_use]
    pub fn estimated_in_all_ns(&self) -> u64 {
        let (mut alone_ns, mut beside_ns) = (0_u64, 0_u64);
        for (_, trial) in self.due() {
            let sum_ns = if self.is_alone(trial) { &mut alone_ns } else { &mut beside_ns };
            *sum_ns = sum_ns.saturating_add(self.estimated_ns(trial));
        }
        alone_ns.saturating_add(beside_ns / u64::from(self.jobs.max(1)))
    }

    /// Whether a trial is to have the machine for itself.
    pub(super) fn is_alone(&self, trial: &TrialPlan) -> bool {
        self.jobs < 2 || (!self.times_beside && self.scenarios[&trial.scenario].scenario.measures_times())
    }

    /// The same plan, in which system calls are followed in the trials of these scenarios.
    #[must_use]
    pub fn with_traces(self, traces: BTreeMap<String, TraceSpec>) -> Self {
        Self { traces, ..self }
    }

    /// The same plan, which puts a service under load that runs already: nothing of it is started or stopped.
    #[must_use]
    pub fn with_attached(self, address: Address) -> Self {
        Self { attached: Some(address), ..self }
    }

    /// The same plan, which ends where one of the first so many trials could not be run.
    #[must_use]
    pub fn ending_without_the_first(self, vital: usize) -> Self {
        Self { vital, ..self }
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

/// What a supervisor, or this machine, lacks for a scenario, of what is known without starting anything.
pub(super) fn lack_known_before(supervisor: &Supervisor, scenario: &Scenario) -> Option<Lack> {
    let is_root = nix::unistd::geteuid().is_root();
    support::lack(supervisor, scenario, is_root).or_else(|| trial::lack_of_user(scenario))
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
    let (mut placed, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for trial in trials {
        let scenario = scenarios.get(&trial.scenario).ok_or_else(|| lack("scenario", &trial.scenario))?;
        let supervisor =
            supervisors.get(&trial.supervisor).ok_or_else(|| lack("supervisor", &trial.supervisor))?;
        let transport = scenario.scenario.listen.transport;
        if placed.insert((&trial.supervisor, transport.as_str())) {
            catalogue::check_templates(supervisor, transport)?;
        }
        if asked.insert((&trial.supervisor, &trial.scenario)) {
            catalogue::check_requests(scenario, supervisor)?;
            check_tls(supervisor, scenario)?;
        }
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

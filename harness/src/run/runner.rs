//! Runs a plan: trials one after the other, or in several lanes, each handed to the sinks as it ends.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use futures_util::future::try_join_all;
use holdline_model::arrivals::ledger_bytes;
use holdline_model::lack::Lack;
use holdline_model::plan::TrialPlan;
use holdline_model::planned::places;
use holdline_model::reason::Reason;
use holdline_model::result::{Manifest, RunResult, SCHEMA, TrialResult};
use holdline_model::summary::{TrialName, not_run};
use holdline_model::words::Grade;
use holdline_model::{sampling, support};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{RwLock, watch};

use super::plan::{lack_known_before, utf8};
use super::{Event, Plan, RunError, Sink};
use crate::catalogue::{ScenarioEntry, Source, SupervisorEntry};
use crate::manifest::manifest;
use crate::receipt;
use crate::rundir::trial_folder;
use crate::sandbox::{self, SandboxSpec, WorkFolder};
use crate::trial::outer;
use crate::trial::{FileText, SourceSpec, TrialSpec};

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// What came of it.
    pub result: RunResult,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

/// Runs a plan, and keeps its trials' files.
#[derive(Debug, Clone, Copy)]
pub struct Runner<'a> {
    plan: &'a Plan,
    folder: &'a Path,
}

impl<'a> Runner<'a> {
    /// Will run this plan, with the files of its trials below this folder, which is an absolute path.
    ///
    /// # Errors
    ///
    /// The folder's path is not UTF-8, or folders for temporary files cannot be made.
    pub fn new(plan: &'a Plan, folder: &'a Path) -> Result<Self, RunError> {
        work_folder()?;
        utf8(folder, "the run directory", "name another with --out")?;
        Ok(Self { plan, folder })
    }

    /// Runs every trial. SIGINT and SIGTERM end the run after the trial that is on, which is summed up
    /// as it is; a second one ends it at once.
    ///
    /// # Errors
    ///
    /// No other trial could be run, or a sink failed. Sinks are told of the run's end all the same.
    pub fn run(&self, sinks: &mut [&mut dyn Sink]) -> Result<Ended, RunError> {
        sandbox::sweep_stale();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Runtime)?;
        let sinks = Sinks(RefCell::new(sinks));
        let mut result = self.begun();
        let began = Event::RunBegan { so_far: &result, notice: self.plan.notice() };
        sinks.tell(&began)?;
        let interrupted = runtime.block_on(self.until_interrupted(&mut result, &sinks));
        drop(runtime);
        let told = sinks.tell(&Event::RunEnded { so_far: &result });
        let interrupted = interrupted?;
        told?;
        Ok(Ended { result, interrupted })
    }

    /// The result before the first trial that runs here.
    fn begun(&self) -> RunResult {
        let planned = u32::try_from(self.plan.trials.len()).unwrap_or(u32::MAX);
        let now = manifest(self.plan.seed, self.plan.isolation, planned);
        if let Some(so_far) = &self.plan.so_far {
            let mut run = so_far.clone();
            run.manifest.resumed.push(now.started);
            return run;
        }
        let manifest = Manifest {
            required: self.plan.required.clone(),
            reference: self.plan.reference.clone(),
            partition: self.plan.partition.map(|partition| partition.to_string()),
            jobs: self.plan.jobs,
            ..now
        };
        RunResult { schema: SCHEMA.to_owned(), manifest, complete: false, trials: Vec::new() }
    }

    /// Whether it was interrupted.
    async fn until_interrupted(
        &self,
        result: &mut RunResult,
        sinks: &Sinks<'_, '_>,
    ) -> Result<bool, RunError> {
        let mut interrupts = Interrupts::new()?;
        let (stop, stopped) = watch::channel(false);
        let trials = self.trials(result, sinks, &stopped);
        tokio::pin!(trials);
        let mut asked = false;
        loop {
            tokio::select! {
                done = &mut trials => return done.map(|()| asked),
                () = interrupts.next() => {}
            }
            if asked {
                return Err(RunError::InterruptedTwice);
            }
            asked = true;
            sinks.tell(&Event::Interrupted)?;
            let _ = stop.send(true);
        }
    }

    /// Runs trials in as many lanes as the plan has. Those that measure times have the machine for themselves.
    async fn trials(
        &self,
        result: &mut RunResult,
        sinks: &Sinks<'_, '_>,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        let there = places(&self.plan.trials, &result.trials);
        // Whoever is to be alone would hold up all others in their midst: they come last.
        let (alone, beside): (Vec<_>, Vec<_>) = self
            .plan
            .due()
            .map(|(index, plan)| Due { index, plan, alone: self.plan.is_alone(plan) })
            .partition(|due| due.alone);
        let shared = Shared {
            due: RefCell::new(beside.into_iter().chain(alone).collect()),
            so_far: RefCell::new((result, there)),
            machine: RwLock::new(()),
        };
        let lanes = (0..self.plan.jobs.max(1)).map(|_| self.lane(&shared, sinks, stop));
        try_join_all(lanes).await.map(|_| ())
    }

    async fn lane(
        &self,
        shared: &Shared<'_, 'a>,
        sinks: &Sinks<'_, '_>,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        while let Some(due) = shared.next().filter(|_| !*stop.borrow()) {
            let trial = self.in_its_place(due, shared, sinks, stop).await?;
            // It may have waited until the run was to end, or is to be measured again.
            let Some(trial) = trial else { continue };
            let is_over = due.index < self.plan.vital && trial.was_not_run();
            shared.keep(due.index, trial, self.plan.trials.len(), *stop.borrow(), sinks)?;
            if is_over {
                shared.due.borrow_mut().clear();
            }
        }
        Ok(())
    }

    /// A trial beside others, or alone where it measures times. One that is in doubt beside others is due once more,
    /// alone and last: in their midst it would hold them up.
    async fn in_its_place(
        &self,
        due: Due<'a>,
        shared: &Shared<'_, 'a>,
        sinks: &Sinks<'_, '_>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Option<TrialResult>, RunError> {
        let Due { index, plan, alone } = due;
        let (_beside, _alone) = match alone {
            false => (Some(shared.machine.read().await), None),
            true => (None, Some(shared.machine.write().await)),
        };
        if *stop.borrow() {
            return Ok(None);
        }
        sinks.tell(&Event::TrialBegan { plan })?;
        let trial = self.trial(index, plan, sinks, stop.clone()).await?;
        if alone || trial.grade != Grade::Inconclusive || trial.was_not_run() || *stop.borrow() {
            return Ok(Some(trial));
        }
        sinks.tell(&Event::TrialPostponed { plan })?;
        shared.due.borrow_mut().push_back(Due { alone: true, ..due });
        Ok(None)
    }

    async fn trial(
        &self,
        index: usize,
        plan: &TrialPlan,
        sinks: &Sinks<'_, '_>,
        stop: watch::Receiver<bool>,
    ) -> Result<TrialResult, RunError> {
        let supervisor = &self.plan.supervisors[&plan.supervisor];
        let scenario = &self.plan.scenarios[&plan.scenario];
        let folder = format!("{index:04}-{}-{}", plan.scenario.replace('/', "-"), plan.supervisor);
        let mut name = TrialName {
            supervisor: plan.supervisor.clone(),
            supervisor_version: String::new(),
            scenario: plan.scenario.clone(),
            repetition: plan.repetition,
            folder: trial_folder(self.folder, &folder)?,
            applied: supervisor.applied.clone(),
        };
        match receipt_or_lack(supervisor, scenario).await {
            Err(what) => return Ok(not_run(&name, Reason::Lacks { what })),
            Ok(version) => name.supervisor_version = version,
        }
        let work = work_folder()?;
        let spec = self.spec(name.clone(), plan.seed, scenario, supervisor, &work);
        let mut failed = None;
        let ended = outer::run(&spec, stop, |load| {
            failed = failed.take().or(sinks.tell(&Event::Load { plan, load }).err());
        });
        let ended = ended.await.map_err(RunError::not_started)?;
        if let Some(error) = failed {
            return Err(error);
        }
        match ended {
            outer::Ended::Result(result) => Ok(*result),
            outer::Ended::Failed { mishap, full, fatal, notes } => {
                let reason = Reason::NotRun { what: mishap.into(), full };
                if fatal {
                    return Err(RunError::Fatal(reason.to_string()));
                }
                let mut result = not_run(&name, reason);
                notes.into_iter().for_each(|note| result.note(note));
                Ok(result)
            }
        }
    }

    fn spec(
        &self,
        name: TrialName,
        seed: u64,
        scenario: &ScenarioEntry,
        supervisor: &SupervisorEntry,
        work: &WorkFolder,
    ) -> TrialSpec {
        let folder = self.folder.join(&name.folder);
        TrialSpec {
            name,
            seed,
            scenario: FileText { text: scenario.text.clone(), origin: scenario.origin.clone() },
            supervisor: FileText { text: supervisor.text.clone(), origin: supervisor.origin.clone() },
            scenario_folder: scenario.folder.clone(),
            source: match &supervisor.source {
                Source::Embedded(dir) => SourceSpec::Embedded(dir.path().display().to_string()),
                Source::Folder(path) => SourceSpec::Folder(path.clone()),
            },
            worker: self.plan.worker.unwrap_or(supervisor.supervisor.worker),
            sandbox: SandboxSpec {
                isolation: self.plan.isolation,
                work: work.path().to_owned(),
                work_mib: u32::try_from(ledger_bytes(&scenario.scenario.load) >> 20).unwrap_or(u32::MAX),
                private: supervisor.supervisor.private.iter().map(PathBuf::from).collect(),
                sysctls: scenario.scenario.sysctls.clone(),
                real_root: supervisor.supervisor.needs_root,
                connection_table: support::samples_accepts(&supervisor.supervisor, &scenario.scenario)
                    .then(|| sampling::connection_table(&scenario.scenario.load)),
                keep: vec![self.folder.to_owned()],
                reach: Vec::new(),
                lifeline: Some(0),
                leaves_behind: self.plan.attached.is_some(),
            },
            folder,
            executable: self.plan.executable.clone(),
            trace: self.plan.traces.get(&scenario.scenario.name).cloned(),
            attached: self.plan.attached.clone(),
            excuses_reference: self.plan.excuses_reference,
        }
    }
}

/// A trial that is to run.
#[derive(Debug, Clone, Copy)]
struct Due<'p> {
    /// Its place in the plan.
    index: usize,
    plan: &'p TrialPlan,
    /// Whether it has the machine for itself.
    alone: bool,
}

/// What the lanes of a run have in common. They take turns, so that nothing is held while another looks at it.
struct Shared<'r, 'p> {
    /// The trials that nobody has begun, and those that are to be measured again.
    due: RefCell<VecDeque<Due<'p>>>,
    /// The result, and which trials it has.
    so_far: RefCell<(&'r mut RunResult, BTreeSet<usize>)>,
    /// Held shared by trials that may have neighbours, exclusively by those that may not.
    machine: RwLock<()>,
}

impl<'p> Shared<'_, 'p> {
    fn next(&self) -> Option<Due<'p>> {
        self.due.borrow_mut().pop_front()
    }

    /// Adds a trial to the result, in its place, and tells of it.
    fn keep(
        &self,
        index: usize,
        trial: TrialResult,
        planned: usize,
        is_stopped: bool,
        sinks: &Sinks<'_, '_>,
    ) -> Result<(), RunError> {
        let (result, there) = &mut *self.so_far.borrow_mut();
        // Where some were there before, it may come between them.
        let is_last = there.last().is_none_or(|last| *last < index);
        let at = if is_last { result.trials.len() } else { there.range(..index).count() };
        there.insert(index);
        result.trials.insert(at, trial);
        result.complete = there.len() == planned && !is_stopped;
        sinks.tell(&Event::TrialEnded { trial: &result.trials[at], so_far: result })
    }
}

/// The supervisor's version, or why it cannot run this scenario here.
async fn receipt_or_lack(supervisor: &SupervisorEntry, scenario: &ScenarioEntry) -> Result<String, Lack> {
    if let Some(lack) = lack_known_before(&supervisor.supervisor, &scenario.scenario) {
        return Err(lack);
    }
    receipt::version(&supervisor.supervisor).await.map_err(Lack::Program)
}

fn work_folder() -> Result<WorkFolder, RunError> {
    let work = WorkFolder::create().map_err(|error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
        RunError::Temporary { error: format!("{error}{cause}").into() }
    })?;
    utf8(work.path(), "the folder for temporary files", "name another with TMPDIR")?;
    Ok(work)
}

/// The signals by which users end a run.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn new() -> Result<Self, RunError> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(RunError::Signals)?,
            terminate: signal(SignalKind::terminate()).map_err(RunError::Signals)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Those who are told, in their order.
struct Sinks<'s, 'd>(RefCell<&'s mut [&'d mut dyn Sink]>);

impl Sinks<'_, '_> {
    /// Tells all of them, also where one fails; the first failure is what counts.
    fn tell(&self, event: &Event<'_>) -> Result<(), RunError> {
        let mut failed = None;
        for sink in self.0.borrow_mut().iter_mut() {
            if let Err(error) = sink.take(event) {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(RunError::Sink(error)))
    }
}

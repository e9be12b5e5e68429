//! Runs trials of cases, several side by side, and reads their stories.
//!
//! What is asked of a case is counts and not times, so that trials may share the machine; one in which the load
//! client lagged is inconclusive, and is repeated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use holdline_model::fuzz::Story;
use holdline_model::plan::{TrialPlan, trial_seed};
use holdline_model::result::{Manifest, TrialResult};
use holdline_model::scenario::Until;

use super::interrupt::Interrupts;
use super::lanes::{self, Lanes};
use crate::catalogue::{ScenarioEntry, SupervisorEntry};
use crate::run::{Options, Plan, RunError, Runner};
use crate::sandbox::Isolation;
use crate::trace::Traced;
use crate::trial::{CALLS_JSON, TraceSpec};

/// A trial that is to be run.
#[derive(Debug, Clone)]
pub(super) struct Job {
    /// Of what.
    pub(super) scenario: ScenarioEntry,
    /// Which repetition of it.
    pub(super) repetition: u32,
    /// Whether the calls of the supervisor's processes are told in its story, as far as that is permitted.
    pub(super) traced: bool,
}

impl Job {
    /// A trial of a scenario.
    pub(super) const fn new(scenario: ScenarioEntry, repetition: u32) -> Self {
        Self { scenario, repetition, traced: false }
    }
}

/// A trial that was run.
#[derive(Debug)]
pub(super) struct Done {
    /// The number of its job, in the order in which they were begun.
    pub(super) job: usize,
    /// What came of it.
    pub(super) trial: TrialResult,
    /// Its story.
    pub(super) story: Story,
    /// Whether the supervisor's processes were traced.
    pub(super) is_traced: bool,
    /// How the run came about of which it is.
    pub(super) manifest: Manifest,
}

/// Trials that run side by side.
pub(super) type Trials<'scope, 'env> = Lanes<'scope, 'env, Job, Done>;

/// Where trials are run.
#[derive(Debug)]
pub(super) struct Lab<'a> {
    supervisor: &'a SupervisorEntry,
    seed: u64,
    /// A plan of nothing that is run: what all trials have in common.
    plan: Plan,
    lanes: usize,
    folder: &'a Path,
    interrupts: Interrupts,
    /// When the budget is over: no trial begins after it.
    until: Option<Instant>,
}

impl<'a> Lab<'a> {
    /// For trials of a supervisor, with their files below this folder.
    pub(super) fn new(
        supervisor: &'a SupervisorEntry,
        options: Options,
        lanes: usize,
        (folder, executable): (&'a Path, Option<&PathBuf>),
        (interrupts, first): (Interrupts, ScenarioEntry),
    ) -> Result<Self, RunError> {
        let trial = trial(supervisor, options.seed, &Job::new(first.clone(), 0));
        let plan = Plan::new(vec![first], vec![supervisor.clone()], vec![trial], options)?;
        let plan = match executable {
            Some(executable) => plan.with_executable(executable.clone()),
            None => plan,
        };
        Ok(Self {
            supervisor,
            seed: options.seed,
            plan,
            lanes: lanes.max(1),
            folder,
            interrupts,
            until: None,
        })
    }

    /// How many trials run side by side.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// From now on so many trials run side by side.
    pub(super) fn runs_side_by_side(&mut self, lanes: usize) {
        self.lanes = lanes.max(1);
    }

    /// The isolation that trials have.
    pub(super) fn isolation(&self) -> Isolation {
        self.plan.isolation()
    }

    /// What the user has to be told of the isolation.
    pub(super) fn notice(&self) -> Option<String> {
        self.plan.notice().map(ToString::to_string)
    }

    /// Whether the user has asked for the end.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupts.came()
    }

    /// From now on no trial begins after this instant.
    pub(super) fn ends_at(&mut self, until: Option<Instant>) {
        self.until = until;
    }

    /// When the budget is over, if there is one.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether the budget is over.
    pub(super) fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    /// Whether no more trials are run: the budget is over, or the user has asked for the end.
    pub(super) fn is_over(&self) -> bool {
        self.is_late() || self.is_interrupted()
    }

    /// Runs these, side by side; those that were not begun when the budget was over, or the user asked for the end,
    /// are not run, and those that were on when the user did are not among what is given back.
    pub(super) fn run(&self, jobs: &[Job]) -> Result<Vec<Done>, RunError> {
        self.run_and_keep(jobs, None)
    }

    /// The same, with the trials' folders kept below this one.
    pub(super) fn run_and_keep(&self, jobs: &[Job], keep: Option<&Path>) -> Result<Vec<Done>, RunError> {
        let mut done = self.side_by_side(keep, |lanes| {
            let (mut jobs, mut done) = (jobs.iter(), Vec::new());
            loop {
                while lanes.have_room()
                    && !self.is_over()
                    && let Some(job) = jobs.next()
                {
                    lanes.begin(job.clone());
                }
                match lanes.next()? {
                    Some(ended) => done.push(ended),
                    None => return Ok::<_, RunError>(done),
                }
            }
        })?;
        done.sort_by_key(|done| done.job);
        Ok(done)
    }

    /// Has trials begun and waited for while others run, with their folders kept below this one, if it is named; gives
    /// back what `body` does, once all have ended.
    pub(super) fn side_by_side<T, E: From<RunError>>(
        &self,
        keep: Option<&Path>,
        body: impl FnOnce(&mut Trials<'_, '_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let one = |lane: usize, number: usize, job: &Job| self.one(lane, number, job, keep);
        let made = lanes::with(self.lanes, &one, body);
        if self.interrupts.came_twice() {
            return Err(RunError::InterruptedTwice.into());
        }
        made
    }

    fn one(
        &self,
        lane: usize,
        index: usize,
        job: &Job,
        keep: Option<&Path>,
    ) -> Result<Option<Done>, RunError> {
        let folder = self.folder.join(format!("lane-{lane}"));
        let plan = self
            .plan
            .with_trials(vec![job.scenario.clone()], vec![trial(self.supervisor, self.seed, job)])?
            .with_traces(if job.traced { traces(&job.scenario) } else { BTreeMap::new() });
        let mut ended = Runner::new(&plan, &folder)?.run(&mut [])?;
        let Some(mut trial) = ended.result.trials.pop() else { return Ok(None) };
        let files = folder.join(&trial.folder);
        let story = Story::read(&std::fs::read_to_string(files.join("events.jsonl")).unwrap_or_default());
        let traced = std::fs::read(files.join(CALLS_JSON)).ok();
        let traced: Option<Traced> = traced.and_then(|text| serde_json::from_slice(&text).ok());
        let is_traced = traced.is_some();
        let story = story.with_calls(&traced.unwrap_or_default().calls);
        if let Some(keep) = keep {
            let name = format!("{}-{}", job.scenario.scenario.name, job.repetition);
            if std::fs::create_dir_all(keep).and_then(|()| std::fs::rename(&files, keep.join(&name))).is_ok()
            {
                let folder = keep.strip_prefix(self.folder).unwrap_or(keep).join(name);
                trial.folder = folder.to_string_lossy().into_owned();
            }
        }
        // What is left of it is of no use to anybody.
        let _ = std::fs::remove_dir_all(&folder);
        let done = Done { job: index, trial, story, is_traced, manifest: ended.result.manifest };
        Ok((!ended.interrupted).then_some(done))
    }
}

/// How the supervisor's processes are watched while the load of this scenario runs.
fn traces(scenario: &ScenarioEntry) -> BTreeMap<String, TraceSpec> {
    let end_ns = match scenario.scenario.load.until {
        Until::Elapsed(ns) => ns,
        Until::Attempts(_) => return BTreeMap::new(),
    };
    [(scenario.scenario.name.clone(), TraceSpec::watch(end_ns))].into()
}

/// The trial of a job: the same that `holdline run` makes of its scenario.
fn trial(supervisor: &SupervisorEntry, seed: u64, job: &Job) -> TrialPlan {
    let (supervisor, scenario) = (&supervisor.supervisor.name, &job.scenario.scenario.name);
    TrialPlan {
        index: job.repetition,
        supervisor: supervisor.clone(),
        scenario: scenario.clone(),
        repetition: job.repetition,
        seed: trial_seed(seed, supervisor, scenario, job.repetition),
    }
}

//! Trials in passes, all of which end up in one run: the first, and those that said nothing again.

use std::path::PathBuf;
use std::time::Instant;

use holdline_model::plan::{TrialPlan, trial_seed};
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::sweep::life::Life;
use holdline_model::sweep::steps;
use holdline_model::words::Grade;

use super::{Request, SweepError};
use crate::catalogue::ScenarioEntry;
use crate::run::{Event, Plan, Runner, Sink, SinkError};
use crate::rundir::RunDir;
use crate::trial::TraceSpec;

/// How often what said nothing is tried at most.
pub(super) const TRIES: u32 = 3;

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Whether the supervisor serves where nothing is done to it.
    Calm,
    /// A life, whose system calls are recorded.
    Recording {
        /// Which.
        life: Life,
    },
    /// So many trials, each of which takes about so long.
    Places {
        /// How many.
        trials: u32,
        /// About how long each takes, in nanoseconds; 0: not known.
        each_ns: u64,
    },
    /// So many trials again that said nothing.
    Again {
        /// How many.
        trials: u32,
    },
}

/// Is told of each pass, and gives who is to be told of its trials.
pub type Watcher<'a> = &'a mut dyn FnMut(Stage) -> Box<dyn Sink>;

/// The passes of a sweep.
pub(super) struct Passes<'a> {
    request: &'a Request,
    keeper: Keeper,
    watcher: Watcher<'a>,
    /// How long a trial in which nothing was done took.
    calm_ns: u64,
    interrupted: bool,
}

/// A trial that is to be run.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) scenario: ScenarioEntry,
    /// Whose system calls are followed in it.
    pub(super) trace: Option<TraceSpec>,
    /// How many trials of it there have been.
    pub(super) repetition: u32,
}

impl Wanted {
    /// The first trial of a scenario.
    pub(super) fn new(scenario: ScenarioEntry, trace: Option<TraceSpec>) -> Self {
        Self { scenario, trace, repetition: 0 }
    }

    fn again(&self, repetition: u32) -> Self {
        Self { repetition, ..self.clone() }
    }
}

impl<'a> Passes<'a> {
    /// Begins with a trial in which nothing is done.
    pub(super) fn begin(
        request: &'a Request,
        dir: &RunDir,
        watcher: Watcher<'a>,
    ) -> Result<Self, SweepError> {
        let keeper = Keeper { dir: dir.clone(), run: None, pass: 0, due: Instant::now() };
        let mut passes = Self { request, keeper, watcher, calm_ns: 0, interrupted: false };
        passes.calm()?;
        Ok(passes)
    }

    fn calm(&mut self) -> Result<(), SweepError> {
        let name = self.request.supervisor.supervisor.name.clone();
        let wanted = Wanted::new(calm_scenario(self.request)?, None);
        let mut reason = String::new();
        for repetition in 0..TRIES {
            let stage = if repetition == 0 { Stage::Calm } else { Stage::Again { trials: 1 } };
            let trials = self.run(stage, vec![wanted.again(repetition)])?;
            let Some(trial) = trials.first() else { return Err(SweepError::Interrupted) };
            reason = trial.reason.clone().unwrap_or_else(|| format!("it is {}", trial.grade));
            match trial.grade {
                Grade::Unsupported => return Err(SweepError::Unsupported { supervisor: name, reason }),
                Grade::Held | Grade::Delayed | Grade::Lossy => {
                    self.calm_ns = trial.elapsed_ns;
                    return Ok(());
                }
                Grade::Down | Grade::Inconclusive => {}
            }
            if self.interrupted {
                return Err(SweepError::Interrupted);
            }
        }
        Err(SweepError::NotUp { supervisor: name, reason })
    }

    /// How long a trial in which nothing was done took, in nanoseconds.
    pub(super) const fn calm_ns(&self) -> u64 {
        self.calm_ns
    }

    /// The run directory, which trials' folders count from.
    pub(super) fn dir(&self) -> PathBuf {
        self.keeper.dir.path().to_owned()
    }

    /// Whether the user has asked for the end.
    pub(super) const fn is_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Runs a pass. Where it is interrupted, fewer trials come back.
    pub(super) fn run(&mut self, stage: Stage, wanted: Vec<Wanted>) -> Result<Vec<TrialResult>, SweepError> {
        if wanted.is_empty() || self.interrupted {
            return Ok(Vec::new());
        }
        let options = self.request.options;
        let supervisor = &self.request.supervisor;
        let trials: Vec<TrialPlan> = (0..)
            .zip(&wanted)
            .map(|(index, wanted)| trial(self.request, index, &wanted.scenario, wanted.repetition))
            .collect();
        let count = trials.len();
        let traced = |wanted: &Wanted| Some((wanted.scenario.scenario.name.clone(), wanted.trace.clone()?));
        let traces = wanted.iter().filter_map(traced).collect();
        let scenarios = wanted.into_iter().map(|wanted| wanted.scenario).collect();
        let plan = Plan::new(scenarios, vec![supervisor.clone()], trials, options)?.with_traces(traces);
        let folder = self.keeper.begin_pass()?;
        let mut sink = (self.watcher)(stage);
        let ended = Runner::new(&plan, &folder)?.run(&mut [&mut self.keeper, sink.as_mut()])?;
        self.interrupted |= ended.interrupted;
        let run = self.keeper.run.as_ref();
        let all = run.map_or(&[][..], |run| &run.trials);
        Ok(all[all.len().saturating_sub(ended.result.trials.len().min(count))..].to_vec())
    }

    /// Runs what is wanted, and what said nothing again, until each has said something as often as the request
    /// asks for, or there is no patience left. What comes back are the trials of each.
    pub(super) fn until_they_say_something(
        &mut self,
        places: &[Wanted],
        each_ns: u64,
        says: impl Fn(&TrialResult) -> bool,
    ) -> Result<Vec<Vec<TrialResult>>, SweepError> {
        let mut all: Vec<Vec<TrialResult>> = vec![Vec::new(); places.len()];
        for round in 0..TRIES {
            let mut wanted = Vec::new();
            let mut whose = Vec::new();
            for (index, place) in places.iter().enumerate() {
                let has =
                    u32::try_from(all[index].iter().filter(|trial| says(trial)).count()).unwrap_or(u32::MAX);
                for _ in has..self.request.repetitions {
                    let before = whose.iter().filter(|other| **other == index).count() + all[index].len();
                    let repetition = u32::try_from(before).unwrap_or(u32::MAX);
                    wanted.push(place.again(repetition));
                    whose.push(index);
                }
            }
            let trials = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
            let stage = if round == 0 { Stage::Places { trials, each_ns } } else { Stage::Again { trials } };
            let came = self.run(stage, wanted)?;
            for (index, trial) in whose.into_iter().zip(came) {
                all[index].push(trial);
            }
        }
        Ok(all)
    }

    /// All trials, as one run.
    pub(super) fn into_run(self) -> RunResult {
        let interrupted = self.interrupted;
        let mut run = self.keeper.run.expect("the calm trial has run");
        run.complete = !interrupted;
        run
    }
}

/// The scenario in which nothing is done.
pub(super) fn calm_scenario(request: &Request) -> Result<ScenarioEntry, SweepError> {
    let text = steps::calm_scenario(&request.supervisor.supervisor);
    Ok(ScenarioEntry::parse(text, "the calm scenario of a sweep".to_owned())?)
}

/// A trial of the request's supervisor in a scenario.
pub(super) fn trial(request: &Request, index: u32, scenario: &ScenarioEntry, repetition: u32) -> TrialPlan {
    let supervisor = request.supervisor.supervisor.name.clone();
    let scenario = scenario.scenario.name.clone();
    let seed = trial_seed(request.options.seed, &supervisor, &scenario, repetition);
    TrialPlan { index, supervisor, scenario, repetition, seed }
}

/// Keeps the trials of all passes in one `run.json`.
struct Keeper {
    dir: RunDir,
    run: Option<RunResult>,
    pass: u32,
    /// When the result is due to be saved again.
    due: Instant,
}

/// Between two saves passes at least so many times what the first of them took.
const SAVE_PAUSE: u32 = 10;

impl Keeper {
    /// The folder of the next pass.
    fn begin_pass(&mut self) -> Result<PathBuf, SweepError> {
        self.pass += 1;
        Ok(self.dir.path().join(self.folder()))
    }

    /// Trials of different passes have the same numbers, so that each pass has a folder of its own.
    fn folder(&self) -> String {
        format!("pass-{}", self.pass)
    }

    fn save(&mut self) -> Result<(), SinkError> {
        let Some(run) = &self.run else { return Ok(()) };
        let began = Instant::now();
        self.dir.save(run)?;
        let ended = Instant::now();
        self.due = ended + (ended - began) * SAVE_PAUSE;
        Ok(())
    }
}

impl Sink for Keeper {
    fn take(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        match event {
            Event::RunBegan { so_far, .. } => match &mut self.run {
                Some(run) => run.manifest.planned += so_far.manifest.planned,
                None => {
                    self.run = Some((*so_far).clone());
                    self.save()?;
                    self.dir.publish()?;
                }
            },
            Event::TrialEnded { trial, .. } => {
                let folder = format!("{}/{}", self.folder(), trial.folder);
                if let Some(run) = &mut self.run {
                    run.trials.push(TrialResult { folder, ..(*trial).clone() });
                }
                if Instant::now() >= self.due {
                    self.save()?;
                }
            }
            Event::RunEnded { .. } => self.save()?,
            Event::TrialBegan { .. }
            | Event::Load { .. }
            | Event::TrialPostponed { .. }
            | Event::Interrupted => {}
        }
        Ok(())
    }
}

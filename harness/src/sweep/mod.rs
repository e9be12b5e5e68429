//! A sweep: each crash step × mode, or each system call of a life, a fresh trial each.
//!
//! ```text
//! Request ── calm trial: it comes up, and loses nothing by itself
//!    ├── steps.rs     a trial for each cell of the table
//!    └── syscalls.rs  a traced trial for each life, then one for each side of each of its calls
//!           passes.rs  runs trials in passes, those that said nothing again, and keeps them all in one run
//! ```
//!
//! What is tried, and what a trial shows, is decided in `holdline_model::sweep`. Nothing here prints.

mod error;
mod passes;
mod steps;
mod syscalls;

use holdline_model::plan::Partition;
use holdline_model::result::RunResult;
use holdline_model::sweep::windows::windows;
use holdline_model::sweep::{SCHEMA, SweepResult, SweepTarget};

pub use self::error::SweepError;
use self::passes::Passes;
pub use self::passes::{Stage, Watcher};
use crate::catalogue::SupervisorEntry;
use crate::run::{Options, Plan};
use crate::rundir::RunDir;

/// What is swept.
#[derive(Debug)]
pub struct Request {
    /// Who is tried.
    pub supervisor: SupervisorEntry,
    /// Who is to crash.
    pub targets: Vec<SweepTarget>,
    /// How many trials of each place must say something.
    pub repetitions: u32,
    /// The part of the places that is tried here.
    pub partition: Option<Partition>,
    /// What all trials have in common.
    pub options: Options,
}

impl Request {
    /// Whether the place of this index, tried in this scenario, belongs to the part that is tried here.
    fn is_here(&self, index: u32, scenario: &str) -> bool {
        let supervisor = &self.supervisor.supervisor.name;
        self.partition.is_none_or(|partition| partition.contains(index, supervisor, scenario, 0))
    }
}

/// A sweep that was made.
#[derive(Debug)]
pub struct Swept {
    /// What it found.
    pub sweep: SweepResult,
    /// All its trials, as a run.
    pub run: RunResult,
    /// Whether the user ended it early.
    pub interrupted: bool,
}

/// Tries each crash step × mode.
///
/// # Errors
///
/// The supervisor does not come up or can be tried at no place, or its trials cannot be run.
pub fn steps(request: &Request, dir: &RunDir, watcher: Watcher<'_>) -> Result<Swept, SweepError> {
    let mut passes = Passes::begin(request, dir, watcher)?;
    let cells = steps::sweep(request, &mut passes)?;
    Ok(finished(request, passes, |sweep| sweep.cells = cells))
}

/// Kills at each side of each system call of the targets' lives, at most so many places of each life.
///
/// # Errors
///
/// As [`steps()`], and if tracing is not permitted.
pub fn syscalls(
    request: &Request,
    most: u32,
    dir: &RunDir,
    watcher: Watcher<'_>,
) -> Result<Swept, SweepError> {
    let mut passes = Passes::begin(request, dir, watcher)?;
    let map = syscalls::sweep(request, most, &mut passes)?;
    Ok(finished(request, passes, |sweep| {
        sweep.windows = windows(&map.boundaries);
        sweep.lives = map.lives;
        sweep.boundaries = map.boundaries;
    }))
}

/// The trials that a sweep has, as far as that is known before it begins, in their order: one in which nothing is done,
/// and those of each crash step × mode; of system calls, those in which lives are recorded.
///
/// # Errors
///
/// A scenario that is made for the supervisor is wrong, or its files are.
pub fn planned(request: &Request, syscalls: bool) -> Result<Plan, SweepError> {
    let (rest, repetitions) = if syscalls {
        (syscalls::lives(request)?, 1)
    } else {
        let cells = steps::chosen(request)?.possible;
        (cells.into_iter().map(|(_, entry)| entry).collect(), request.repetitions)
    };
    let calm = passes::calm_scenario(request)?;
    let of_rest = rest.iter().flat_map(|entry| (0..repetitions).map(move |repetition| (entry, repetition)));
    let trials = (0..)
        .zip([(&calm, 0)].into_iter().chain(of_rest))
        .map(|(index, (entry, repetition))| passes::trial(request, index, entry, repetition))
        .collect();
    let scenarios = rest.iter().chain([&calm]).cloned().collect();
    Ok(Plan::new(scenarios, vec![request.supervisor.clone()], trials, request.options)?)
}

/// What was found, as far as it came.
fn finished(request: &Request, passes: Passes<'_>, fill: impl FnOnce(&mut SweepResult)) -> Swept {
    let interrupted = passes.is_interrupted();
    let run = passes.into_run();
    let version =
        run.trials.iter().map(|trial| &trial.supervisor_version).find(|version| !version.is_empty());
    let mut sweep = SweepResult {
        schema: SCHEMA.to_owned(),
        manifest: run.manifest.clone(),
        supervisor: request.supervisor.supervisor.name.clone(),
        supervisor_version: version.cloned().unwrap_or_default(),
        complete: !interrupted,
        partial: request.partition.is_some(),
        cells: Vec::new(),
        lives: Vec::new(),
        boundaries: Vec::new(),
        windows: Vec::new(),
    };
    fill(&mut sweep);
    Swept { sweep, run, interrupted }
}

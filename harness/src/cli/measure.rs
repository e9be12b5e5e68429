//! Running a plan for a verb: its directory, its exports, progress, and what the user is told before and after.

use std::path::Path;

use holdline_model::plan::Partition;
use holdline_reports::text::{counted, roughly};

use super::args::{ExportArgs, RunArgs, ShowProgress};
use super::progress::Progress;
use super::terminal::say;
use crate::exit::Failure;
use crate::export::{Exports, Format, Texts};
use crate::run::{Ended, Options, Plan, Recorder, Runner};
use crate::rundir::RunDir;

/// Where a verb's results go, opened before anything is measured.
pub(super) struct Places {
    pub(super) dir: RunDir,
    pub(super) exports: Exports,
}

impl Places {
    /// Opens the run directory and the exports; leaves nothing where one of them cannot be had.
    pub(super) fn open(out: Option<&Path>, exports: &ExportArgs) -> Result<Self, Failure> {
        let dir = run_dir(out)?;
        match Exports::open(exports.wanted(), Some(dir.path())) {
            Ok(exports) => Ok(Self { dir, exports }),
            Err(error) => {
                dir.discard();
                Err(error.into())
            }
        }
    }
}

fn run_dir(out: Option<&Path>) -> Result<RunDir, Failure> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    Ok(match out {
        Some(path) => RunDir::create(path)?,
        None => RunDir::create_default(&time)?,
    })
}

/// The part of the trials that runs here: as typed, else as an indexed Job of Kubernetes says in the environment.
pub(super) fn partition(given: Option<Partition>) -> Result<Option<Partition>, Failure> {
    let of_job = |name| std::env::var(name).ok();
    match (given, of_job("JOB_COMPLETION_INDEX"), of_job("JOB_COMPLETIONS")) {
        (Some(partition), _, _) => Ok(Some(partition)),
        (None, Some(index), Some(completions)) => {
            let part = Partition::of_job(&index, &completions);
            part.map(Some).ok_or_else(|| {
                Failure::usage(format!(
                    "JOB_COMPLETION_INDEX={index} of JOB_COMPLETIONS={completions} is no part: the index counts from 0"
                ))
            })
        }
        (None, None, _) | (None, _, None) => Ok(None),
    }
}

/// What a run's trials have in common.
pub(super) fn options(args: &RunArgs) -> Options {
    Options { seed: args.trial.seed, worker: args.worker, isolation: args.trial.isolation }
}

/// Runs a plan, and records it in this directory.
pub(super) fn record(plan: &Plan, dir: RunDir, shown: ShowProgress) -> Result<(RunDir, Ended), Failure> {
    recorded(plan, Recorder::new(dir), shown, None)
}

/// The same, with the plan itself, so that it can be gone on with where it is interrupted; and says before the first
/// trial how much there is to do beside this, if it is to.
pub(super) fn record_with_plan(
    plan: &Plan,
    dir: RunDir,
    shown: ShowProgress,
    beside: Option<&str>,
) -> Result<(RunDir, Ended), Failure> {
    recorded(plan, Recorder::new(dir).keeping(&plan.to_file()), shown, beside)
}

fn recorded(
    plan: &Plan,
    mut recorder: Recorder,
    shown: ShowProgress,
    beside: Option<&str>,
) -> Result<(RunDir, Ended), Failure> {
    let path = recorder.path().to_owned();
    let runner = match Runner::new(plan, &path) {
        Ok(runner) => runner,
        Err(error) => {
            recorder.discard();
            return Err(error.into());
        }
    };
    if let Some(beside) = beside {
        announce(plan, beside, shown);
    }
    let mut progress = Progress::of(plan, shown);
    let ended = runner.run(&mut [&mut recorder, &mut progress])?;
    Ok((recorder.dir().clone(), ended))
}

/// Runs a plan of which nothing is kept: what is done for the first time takes longer. Whether it was
/// interrupted.
pub(super) fn warm_up(plan: &Plan, args: &RunArgs) -> Result<bool, Failure> {
    let place = tempfile::tempdir().map_err(|error| {
        Failure::environment(format!("failed to create a temporary directory: {error}; TMPDIR names another"))
    })?;
    let path = place.path().canonicalize().map_err(Failure::environment)?;
    let mut progress = Progress::of(plan, args.trial.show_progress);
    let ended = Runner::new(plan, &path)?.run(&mut [&mut progress])?;
    Ok(ended.interrupted)
}

/// Says how much there is to do, and how long it takes about; nothing, where no progress is to be shown.
pub(super) fn announce(plan: &Plan, beside: &str, shown: ShowProgress) {
    if shown != ShowProgress::None {
        say(&estimate(plan, beside));
    }
}

/// How many trials there are, and how long they take about.
pub(super) fn estimate(plan: &Plan, beside: &str) -> String {
    let total_ns = plan.estimated_in_all_ns();
    let trials = counted(plan.due().count() as u64, "trial");
    format!("{trials}{beside}, about {} (estimated from the lengths of their loads)", roughly(total_ns))
}

/// Writes a run's reports into its directory, where its result is already.
pub(super) fn write_reports(dir: &RunDir, texts: &Texts<'_>) -> Result<(), Failure> {
    write_reports_but(dir, texts, &[])
}

/// The same without these, which a verb renders in its own way.
pub(super) fn write_reports_but(dir: &RunDir, texts: &Texts<'_>, own: &[Format]) -> Result<(), Failure> {
    for format in Format::all().filter(|format| *format != Format::Json && !own.contains(format)) {
        dir.write(format.file(), texts.of(format)?.as_bytes())?;
    }
    Ok(())
}

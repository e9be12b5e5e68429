//! `holdline sweep`: from what was typed to the table of crash steps, or the map of system calls.

use std::time::Duration;

use holdline_model::sweep::{SweepResult, SweepTarget};
use holdline_model::words::Grade;
use holdline_reports::sweep as report;

use super::args::SweepArgs;
use super::dry;
use super::measure::{self, Places};
use super::progress::Progress;
use super::terminal::{self, print, say};
use crate::catalogue::{self, SupervisorEntry};
use crate::exit::{self, Failure};
use crate::export::{ExportError, Exports, Format, Texts};
use crate::run::{Options, Sink};
use crate::rundir::RunDir;
use crate::sweep::{self, Request, Stage, Swept};

/// The result's file in the run directory.
const SWEEP_JSON: &str = "sweep.json";
/// Its report for people.
const SWEEP_MD: &str = "sweep.md";

/// Sweeps what the arguments name.
pub(super) fn main(args: &SweepArgs) -> Result<u8, Failure> {
    let request = request(args)?;
    if args.run.dry_run {
        let then = match args.syscalls {
            false => "those that say nothing run again".to_owned(),
            true => format!(
                "then a trial for each place of a life that was recorded, at most {} of each: how many is known then",
                args.boundaries_max
            ),
        };
        return dry::show(&sweep::planned(&request, args.syscalls)?, "", &then);
    }
    let Places { dir, exports } = Places::open(args.run.trial.out.as_deref(), &args.run.trial.exports)?;
    let shown = args.run.trial.show_progress;
    let mut watcher = |stage| -> Box<dyn Sink> {
        if let Some(what) = announced(stage) {
            say(&what);
        }
        Box::new(Progress::new(shown))
    };
    let swept = if args.syscalls {
        sweep::syscalls(&request, args.boundaries_max, &dir, &mut watcher)?
    } else {
        sweep::steps(&request, &dir, &mut watcher)?
    };
    finish(args, &dir, exports, &swept)?;
    Ok(exit_code(&swept.sweep))
}

/// What was typed, made valid: files are read, and nothing is started.
fn request(args: &SweepArgs) -> Result<Request, Failure> {
    if !args.run.scenarios.is_empty() {
        return Err(Failure::usage("a sweep makes its own scenarios: name none"));
    }
    if args.run.supervisors.is_empty() {
        return Err(Failure::usage(
            "name the supervisor to sweep with -s; `holdline list supervisors` has them",
        ));
    }
    let mut supervisors = catalogue::select_supervisors(&args.run.supervisors)?;
    catalogue::required(&args.run.require, &supervisors)?;
    let count = supervisors.len();
    let (Some(supervisor), None) = (supervisors.pop(), supervisors.pop()) else {
        return Err(Failure::usage(format!(
            "-s names {count} supervisors, and a sweep is over one: name one, and run a sweep for each"
        )));
    };
    let run = &args.run;
    Ok(Request {
        targets: targets(args, &supervisor),
        supervisor,
        repetitions: run.repetitions.unwrap_or(1),
        partition: measure::partition(run.partition)?,
        options: Options { seed: run.trial.seed, worker: run.worker, isolation: run.trial.isolation },
    })
}

/// A supervisor that is not holdline's own is swept where that is asked for.
fn targets(args: &SweepArgs, supervisor: &SupervisorEntry) -> Vec<SweepTarget> {
    match args.target {
        Some(target) => vec![target],
        None if supervisor.supervisor.reference && !args.syscalls => SweepTarget::ALL.to_vec(),
        None => vec![SweepTarget::Worker],
    }
}

/// What a user is told before a pass begins.
fn announced(stage: Stage) -> Option<String> {
    match stage {
        Stage::Calm => None,
        Stage::Recording { life } => Some(format!("recording the system calls of a life: {life}")),
        Stage::Places { trials, each_ns } => {
            let all = Duration::from_nanos(each_ns) * trials;
            Some(format!("{trials} trials, about {} s", all.as_secs().max(1)))
        }
        Stage::Again { trials: 0 } => None,
        Stage::Again { trials } => Some(format!("{trials} said nothing: again")),
    }
}

/// Writes what was found, and prints it, also where a file cannot be written.
fn finish(args: &SweepArgs, dir: &RunDir, exports: Exports, swept: &Swept) -> Result<(), Failure> {
    let takes_stdout = exports.take_stdout();
    let texts = Texts::new(|format| rendered(format, swept, dir));
    let reported = write_reports(dir, swept, &texts);
    let exported = exports.write(&texts, print);
    if !takes_stdout {
        let style = terminal::style(args.run.trial.color);
        print(&report::terminal(&swept.sweep, &style))?;
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    if swept.interrupted {
        say("interrupted: what was found until then is shown");
    }
    reported.and(exported)
}

fn write_reports(dir: &RunDir, swept: &Swept, texts: &Texts<'_>) -> Result<(), Failure> {
    dir.save(&swept.run)?;
    dir.write(SWEEP_JSON, texts.of(Format::Json)?.as_bytes())?;
    dir.write(SWEEP_MD, texts.of(Format::Markdown)?.as_bytes())?;
    for format in [Format::Html, Format::Junit] {
        dir.write(format.file(), texts.of(format)?.as_bytes())?;
    }
    Ok(())
}

/// JSON and Markdown tell of the sweep; a page and JUnit of its trials, a case each.
fn rendered(format: Format, swept: &Swept, dir: &RunDir) -> Result<String, ExportError> {
    match format {
        Format::Json => Ok(json(&swept.sweep)),
        Format::Markdown => Ok(report::markdown(&swept.sweep)),
        Format::Html | Format::Junit | Format::Hyperfine | Format::Benchmark => {
            format.render(&swept.run, Some(dir.path()))
        }
    }
}

fn json(sweep: &SweepResult) -> String {
    let mut text = serde_json::to_string_pretty(sweep).expect("results are representable as JSON");
    text.push('\n');
    text
}

/// A table was made, unless some of it says nothing.
fn exit_code(sweep: &SweepResult) -> u8 {
    let is_doubtful = |grade: Grade| grade == Grade::Inconclusive;
    let any_cell = sweep.cells.iter().any(|cell| is_doubtful(cell.grade));
    // A place that did not come again is said to be so, and no fault of the machine's.
    let any_boundary = sweep.boundaries.iter().any(|at| at.reached && is_doubtful(at.grade));
    if any_cell || any_boundary || !sweep.complete { exit::INCONCLUSIVE } else { exit::PASS }
}

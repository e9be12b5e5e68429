//! `holdline run`: from what was typed to trials, and what they come to.

use std::path::Path;

use holdline_model::reason::Reason;
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Verdict;
use holdline_reports::{Style, summary_line, table};

use super::args::RunArgs;
use super::progress::Progress;
use super::terminal::{self, print, say};
use crate::catalogue;
use crate::exit::{self, Failure};
use crate::export::{Exports, Format};
use crate::run::{Options, Recorder, RunRequest, Runner};
use crate::rundir::RunDir;

/// Runs what the arguments select.
pub(super) fn main(args: &RunArgs) -> Result<u8, Failure> {
    let plan = request(args)?.plan()?;
    let dir = run_dir(args.out.as_deref())?;
    let exports = match Exports::open(args.exports.wanted(), Some(dir.path())) {
        Ok(exports) => exports,
        Err(error) => {
            dir.discard();
            return Err(error.into());
        }
    };
    let mut recorder = Recorder::new(dir);
    let path = recorder.path().to_owned();
    let runner = match Runner::new(&plan, &path) {
        Ok(runner) => runner,
        Err(error) => {
            recorder.discard();
            return Err(error.into());
        }
    };
    let mut progress = Progress::new(args.show_progress);
    let ended = runner.run(&mut [&mut recorder, &mut progress])?;
    finish(args, recorder.dir(), exports, &ended.result)?;
    if ended.interrupted {
        say(&format!("interrupted: {}", summary_line(&ended.result)));
    }
    Ok(exit_code(&ended.result))
}

/// What was typed, made valid: files are read, and nothing is started.
fn request(args: &RunArgs) -> Result<RunRequest, Failure> {
    let supervisors = catalogue::select_supervisors(&args.supervisors)?;
    Ok(RunRequest {
        scenarios: catalogue::select_scenarios(&args.scenarios)?,
        required: catalogue::required(&args.require, &supervisors)?,
        supervisors,
        repetitions: args.repetitions,
        partition: args.partition,
        options: Options { seed: args.seed, worker: args.worker, isolation: args.isolation },
    })
}

fn run_dir(out: Option<&Path>) -> Result<RunDir, Failure> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    Ok(match out {
        Some(path) => RunDir::create(path)?,
        None => RunDir::create_default(&time)?,
    })
}

/// Writes reports and exports, and prints the table, which shows also where a file cannot be written.
fn finish(args: &RunArgs, dir: &RunDir, exports: Exports, result: &RunResult) -> Result<(), Failure> {
    let takes_stdout = exports.take_stdout();
    let reported = write_reports(dir, result);
    let exported = exports.write(result, print);
    if !takes_stdout {
        let style = Style { color: terminal::wants_color(args.color), width: terminal::width() };
        print(&table::terminal(result, &style))?;
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    reported.and(exported)
}

/// Writes the run directory's reports; its result is there already.
fn write_reports(dir: &RunDir, result: &RunResult) -> Result<(), Failure> {
    for format in Format::all().filter(|format| *format != Format::Json) {
        dir.write(format.file(), format.render(result)?.as_bytes())?;
    }
    Ok(())
}

/// Failures first: what failed has failed, whatever else is in doubt. A service that is asked for what it does
/// not serve is a wrong description. Then what must run and could not, which no repetition mends as it may a
/// doubt.
fn exit_code(run: &RunResult) -> u8 {
    let any = |verdict| run.trials.iter().any(|trial| trial.verdict == verdict);
    let is_wrongly_asked = |trial: &TrialResult| matches!(trial.why, Some(Reason::NoRightReply { .. }));
    if any(Verdict::Fail) {
        exit::FAILED
    } else if run.trials.iter().any(is_wrongly_asked) {
        exit::USAGE
    } else if run.trials.iter().any(|trial| run.is_required_in_vain(trial)) {
        exit::NOTHING_SELECTED
    } else if any(Verdict::Inconclusive) || !run.complete {
        exit::INCONCLUSIVE
    } else if any(Verdict::Pass) {
        exit::PASS
    } else {
        exit::NOTHING_SELECTED
    }
}

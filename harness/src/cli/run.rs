//! `holdline run`: from what was typed to trials, and what they come to.

use holdline_model::reason::Reason;
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Verdict;
use holdline_reports::{Style, summary_line, table};

use super::args::{RunArgs, RunVerbArgs};
use super::measure::{self, Places};
use super::prove::{self, Proof};
use super::terminal::{self, print, say};
use crate::catalogue;
use crate::exit::{self, Failure};
use crate::export::Exports;
use crate::run::RunRequest;
use crate::rundir::RunDir;

/// Runs what the arguments select.
pub(super) fn main(RunVerbArgs { run: args, prove_remedy }: &RunVerbArgs) -> Result<u8, Failure> {
    let plan = request(args)?.plan()?;
    let Places { dir, exports } = Places::open(args.out.as_deref(), &args.exports)?;
    let (dir, mut ended) = measure::record(&plan, dir, args.show_progress)?;
    let proofs = match prove_remedy {
        true => prove::prove(&plan, &dir, &mut ended, args.show_progress, false)?,
        false => Vec::new(),
    };
    finish(args, &dir, exports, &ended.result, &proofs)?;
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
        repetitions: args.repetitions.unwrap_or(1),
        partition: measure::partition(args)?,
        options: measure::options(args),
    })
}

/// Writes reports and exports, and prints the table, which shows also where a file cannot be written.
fn finish(
    args: &RunArgs,
    dir: &RunDir,
    exports: Exports,
    result: &RunResult,
    proofs: &[Proof],
) -> Result<(), Failure> {
    let takes_stdout = exports.take_stdout();
    let reported = measure::write_reports(dir, result);
    let exported = exports.write(|format| format.render(result), print);
    if !takes_stdout {
        let style = Style { color: terminal::wants_color(args.color), width: terminal::width() };
        print(&table::terminal(result, &style))?;
        print(&prove::in_words(proofs, style.width))?;
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    reported.and(exported)
}

/// Failures first: what failed has failed, whatever else is in doubt. A service that is asked for what it does
/// not serve is a wrong description. Then what must run and could not, which no repetition mends as it may a
/// doubt.
pub(super) fn exit_code(run: &RunResult) -> u8 {
    // What a remedy makes of a trial is no verdict on what it is.
    let trials = || run.trials.iter().filter(|trial| trial.applied.is_empty());
    let any = |verdict| trials().any(|trial| trial.verdict == verdict);
    let is_wrongly_asked = |trial: &TrialResult| matches!(trial.why, Some(Reason::NoRightReply { .. }));
    if any(Verdict::Fail) {
        exit::FAILED
    } else if trials().any(is_wrongly_asked) {
        exit::USAGE
    } else if trials().any(|trial| run.is_required_in_vain(trial)) {
        exit::NOTHING_SELECTED
    } else if any(Verdict::Inconclusive) || !run.complete {
        exit::INCONCLUSIVE
    } else if any(Verdict::Pass) {
        exit::PASS
    } else {
        exit::NOTHING_SELECTED
    }
}

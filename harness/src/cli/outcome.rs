//! What a run comes to: its reports, what is printed, and the exit code.

use holdline_model::reason::Reason;
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Verdict;
use holdline_reports::{summary_line, table};

use super::args::RunArgs;
use super::measure;
use super::terminal::{self, print, say};
use crate::exit::{self, Failure};
use crate::export::{Exports, Texts};
use crate::run::Ended;
use crate::rundir::RunDir;

/// Writes reports and exports, and prints the table with what is to stand behind it, which shows also where a file
/// cannot be written.
pub(super) fn conclude(
    args: &RunArgs,
    dir: &RunDir,
    exports: Exports,
    result: &RunResult,
    behind: &str,
) -> Result<(), Failure> {
    let takes_stdout = exports.take_stdout();
    let texts = Texts::of_run(result, Some(dir.path()));
    let reported = measure::write_reports(dir, &texts);
    let exported = exports.write(&texts, print);
    if !takes_stdout {
        let style = terminal::style(args.trial.color);
        print(&table::terminal(result, &style))?;
        print(behind)?;
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    reported.and(exported)
}

/// Says how far an interrupted run came, and how it is ended. Returns the exit code.
pub(super) fn end(ended: &Ended, dir: &RunDir) -> u8 {
    if ended.interrupted {
        say(&format!("interrupted: {}", summary_line(&ended.result)));
        say(&format!("`holdline run --resume {}` runs the rest", dir.path().display()));
    }
    exit_code(&ended.result)
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

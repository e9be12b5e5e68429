//! `holdline report`: a run's report again, from its recorded files.

use holdline_reports::table;

use super::args::ReportArgs;
use super::terminal::{self, print};
use crate::exit::{self, Failure};
use crate::export::{Exports, Texts};
use crate::rundir;

/// Prints the report of a run directory, and writes it in other formats.
pub(super) fn main(args: &ReportArgs) -> Result<u8, Failure> {
    let run = rundir::load(&args.dir).map_err(Failure::usage)?;
    let exports = Exports::open(args.exports.wanted(), args.dir.canonicalize().ok().as_deref())?;
    let takes_stdout = exports.take_stdout();
    exports.write(&Texts::of_run(&run, args.dir.is_dir().then_some(args.dir.as_path())), print)?;
    if takes_stdout {
        return Ok(exit::PASS);
    }
    let style = terminal::style(args.color);
    let mut text = table::terminal(&run, &style);
    if args.trials {
        for trial in &run.trials {
            text.push('\n');
            text.push_str(&table::trial(trial, &style));
        }
    }
    print(&text)?;
    Ok(exit::PASS)
}

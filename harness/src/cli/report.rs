//! `holdline report`: a run's report again, from its recorded files.

use holdline_reports::{Style, table};

use super::args::ReportArgs;
use super::{print, terminal_width, wants_color};
use crate::exit::{self, Failure};
use crate::rundir;

/// Prints the report of a run directory.
pub(super) fn main(args: &ReportArgs) -> Result<u8, Failure> {
    let run = rundir::load(&args.dir).map_err(Failure::usage)?;
    let style = Style { color: wants_color(args.color), width: terminal_width() };
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

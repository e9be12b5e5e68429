//! `holdline run`: from what was typed to trials, and what they come to.

use super::args::{RunArgs, RunCommandArgs};
use super::measure::{self, Places};
use super::outcome::{conclude, end};
use super::{again, dry};
use crate::catalogue;
use crate::exit::Failure;
use crate::run::{Plan, RunRequest};

/// Runs what the arguments select, or what was recorded.
pub(super) fn main(args: &RunCommandArgs) -> Result<u8, Failure> {
    match (&args.resume, &args.failed) {
        (Some(dir), _) => again::resume(&args.run, dir),
        (None, Some(dir)) => run(&args.run, &again::failed(args, dir)?),
        (None, None) => run(&args.run, &request(&args.run)?.plan()?),
    }
}

fn run(args: &RunArgs, plan: &Plan) -> Result<u8, Failure> {
    if args.dry_run {
        return dry::show(plan, "", "");
    }
    let Places { dir, exports } = Places::open(args.out.as_deref(), &args.exports)?;
    let progress = measure::announced(plan, "", args.show_progress);
    let (dir, ended) = measure::record_with_plan(plan, dir, progress)?;
    conclude(args, &dir, exports, &ended.result)?;
    Ok(end(&ended, &dir))
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

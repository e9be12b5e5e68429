//! `holdline run`: from what was typed to trials, and what they come to.

use super::args::{RunArgs, RunCommandArgs};
use super::measure::{self, Places};
use super::outcome::{conclude, end};
use super::{again, dry, jobs, prove, terminal};
use crate::catalogue;
use crate::exit::Failure;
use crate::run::{Plan, RunRequest};

/// Runs what the arguments select, or what was recorded.
pub(super) fn main(args: &RunCommandArgs) -> Result<u8, Failure> {
    match (&args.resume, &args.failed) {
        (Some(dir), _) => again::resume(args, dir),
        (None, Some(dir)) => run(args, again::failed(args, dir)?),
        (None, None) => {
            let plan = request(&args.run)?.plan()?;
            run(args, plan.excusing_reference(is_showcase(&args.run)))
        }
    }
}

/// Whether nothing is put under test: the run then shows what each strategy costs, and one that loses on purpose fails
/// nothing.
fn is_showcase(args: &RunArgs) -> bool {
    args.scenarios.is_empty() && args.supervisors.is_empty()
}

fn run(command: &RunCommandArgs, plan: Plan) -> Result<u8, Failure> {
    let RunCommandArgs { run: args, prove_remedy, jobs: asked, .. } = command;
    if args.dry_run {
        return dry::show(&plan, "", "");
    }
    let Places { dir, exports } = Places::open(args.trial.out.as_deref(), &args.trial.exports)?;
    let plan = match jobs::side_by_side(plan, *asked, args.trial.isolation) {
        Ok(plan) => plan,
        Err(failure) => {
            dir.discard();
            return Err(failure);
        }
    };
    let (dir, mut ended) = measure::record_with_plan(&plan, dir, args.trial.show_progress, Some(""))?;
    let proofs = match prove_remedy {
        true => prove::prove(&plan, &dir, &mut ended, args.trial.show_progress, false)?,
        false => Vec::new(),
    };
    conclude(args, &dir, exports, &ended.result, &prove::in_words(&proofs, terminal::width()))?;
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
        partition: measure::partition(args.partition)?,
        options: measure::options(args),
    })
}

//! `--jobs`: how many trials run side by side, as far as this machine measures as exactly as one after the other.

use holdline_reports::text::counted;

use super::args::{JOBS_MAX, Jobs, RunCommandArgs};
use super::terminal::say;
use crate::calibrate;
use crate::exit::Failure;
use crate::run::Plan;

/// The plan, with as many trials side by side as were asked for and as planted servers allow: so many of these at the
/// same time must report exactly what was planted, else half as many are tried.
pub(super) fn side_by_side(plan: Plan, args: &RunCommandArgs) -> Result<Plan, Failure> {
    let wanted = match args.jobs {
        None => return Ok(plan),
        // Trials wait for most of their time.
        Some(Jobs::Auto) => {
            let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            u32::try_from(2 * processors).unwrap_or(JOBS_MAX).min(JOBS_MAX)
        }
        Some(Jobs::Number(number)) => number,
    };
    // Beside nobody else, nothing has to be shown.
    let due = u32::try_from(plan.due().count()).unwrap_or(u32::MAX);
    let mut jobs = wanted.min(due).max(1);
    while jobs > 1 && !calibrate::is_right_side_by_side(args.run.trial.isolation, jobs)? {
        say(&format!("note: {jobs} planted servers side by side are not measured exactly here"));
        jobs /= 2;
    }
    if jobs > 1 {
        let trials = counted(jobs.into(), "trial");
        say(&format!("{trials} side by side: planted servers are measured exactly so"));
    } else if wanted > 1 && due > 1 {
        say("note: trials run one after the other");
    }
    Ok(plan.side_by_side(jobs, args.jobs_for_times))
}

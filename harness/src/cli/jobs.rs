//! `--jobs`: how many trials run side by side, as far as this machine measures as exactly as one after the other.

use holdline_reports::text::counted;

use super::args::{JOBS_MAX, Jobs, JobsArgs};
use super::terminal::say;
use crate::calibrate;
use crate::exit::Failure;
use crate::run::Plan;
use crate::sandbox::IsolationChoice;

/// The plan, with as many trials side by side as were asked for and as planted servers allow.
pub(super) fn side_by_side(plan: Plan, asked: JobsArgs, isolation: IsolationChoice) -> Result<Plan, Failure> {
    let jobs = allowed(&plan, asked, isolation)?;
    Ok(plan.side_by_side(jobs, asked.jobs_for_times))
}

/// How many trials of this plan run side by side: so many planted servers at the same time must report exactly what was
/// planted, else half as many are tried. Says what came of it.
pub(super) fn allowed(plan: &Plan, asked: JobsArgs, isolation: IsolationChoice) -> Result<u32, Failure> {
    let wanted = match asked.jobs {
        None => return Ok(1),
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
    while jobs > 1 && !calibrate::is_right_side_by_side(isolation, jobs)? {
        say(&format!("note: {jobs} planted servers side by side are not measured exactly here"));
        jobs /= 2;
    }
    if jobs > 1 {
        let trials = counted(jobs.into(), "trial");
        say(&format!("{trials} side by side: planted servers are measured exactly so"));
    } else if wanted > 1 && due > 1 {
        say("note: trials run one after the other");
    }
    Ok(jobs)
}

//! Trials that share the machine: what differs beside others from what is expected is measured alone.

#[path = "neighbours.rs"]
mod neighbours;

use holdline_model::result::TrialResult;
use libtest_mimic::Failed;

pub(crate) use self::neighbours::{alone, beside_others};
use super::common::{Place, read_result};

/// How many tests run side by side.
pub(crate) const SIDE_BY_SIDE: usize = 6;

/// Runs scenarios over supervisors; over the reference supervisors where none is named.
pub(crate) fn trials(scenarios: &[&str], supervisors: &[&str]) -> Result<Vec<TrialResult>, Failed> {
    let place = Place::new();
    let options = ["--out", "out", "--export-json", "result.json", "--show-progress", "none"];
    let mut arguments = [&["run"], scenarios, &options].concat();
    arguments.extend(supervisors.iter().flat_map(|name| ["-s", name]));
    let output = place.holdline(&arguments).output()?;
    let path = place.path("result.json");
    if !path.exists() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(read_result(&path).trials)
}

/// Measures a trial again as long as it is in doubt, so many times at most, with nobody beside it.
pub(crate) fn settle(
    trial: &mut TrialResult,
    times: usize,
    is_in_doubt: impl Fn(&TrialResult) -> bool,
) -> Result<(), Failed> {
    for _ in 0..times {
        if !is_in_doubt(trial) {
            break;
        }
        let _alone = alone();
        let again = trials(&[&trial.scenario], &[&trial.supervisor])?;
        *trial = again.into_iter().next().ok_or("the trial was not run again")?;
    }
    Ok(())
}

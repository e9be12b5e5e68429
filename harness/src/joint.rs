//! What all trials of a supervisor in a scenario measured, as one distribution: their histograms, added.
//!
//! Only files of a run directory are read and written. A trial's own files stay as they are.

use std::io;
use std::path::{Path, PathBuf};

use holdline_model::result::{RunResult, TrialResult};
use holdline_reports::hdr::{Log, hgrm};

use crate::rundir::{RunDir, RunDirError};

/// The folder of a run directory in which they are.
const FOLDER: &str = "joint";
/// A trial's histogram log, and the joint one.
const LOG: &str = "latency.hlog";

/// A trial's histogram log that is in no joint one.
#[derive(Debug)]
pub struct LeftOut {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// Writes a log and percentile distributions for each supervisor in each scenario that has several trials. Returns what
/// could not be added.
///
/// # Errors
///
/// The run directory cannot be written to.
pub fn write(dir: &RunDir, run: &RunResult) -> Result<Vec<LeftOut>, RunDirError> {
    let mut left_out = Vec::new();
    for (index, trials) in groups(run).into_iter().filter(|trials| trials.len() > 1).enumerate() {
        let mut sum: Option<Log> = None;
        for trial in trials.iter().filter(|trial| was_measured(trial)) {
            let path = dir.path().join(&trial.folder).join(LOG);
            let added = read(&path).and_then(|log| match &mut sum {
                None => {
                    sum = Some(log);
                    Ok(())
                }
                Some(sum) => sum.add(log).map_err(|error| error.to_string()),
            });
            if let Err(why) = added {
                left_out.push(LeftOut { path, why });
            }
        }
        let (Some(sum), Some(first)) = (sum, trials.first()) else { continue };
        let folder = format!("{FOLDER}/{index:04}-{}-{}", first.scenario.replace('/', "-"), first.supervisor);
        keep(dir, &folder, &sum)?;
    }
    Ok(left_out)
}

fn keep(dir: &RunDir, folder: &str, sum: &Log) -> Result<(), RunDirError> {
    let path = dir.path().join(folder);
    let fail = |error| RunDirError::Write { path: path.clone(), error };
    std::fs::create_dir_all(&path).map_err(fail)?;
    let log = sum.write().map_err(|error| fail(io::Error::other(error)))?;
    dir.write(&format!("{folder}/{LOG}"), &log)?;
    for latencies in &sum.latencies {
        dir.write(&format!("{folder}/{}.hgrm", latencies.name), hgrm(&latencies.histogram).as_bytes())?;
    }
    Ok(())
}

/// The trials of each supervisor in each scenario, in the order in which these come first.
fn groups(run: &RunResult) -> Vec<Vec<&TrialResult>> {
    let mut groups: Vec<Vec<&TrialResult>> = Vec::new();
    for trial in &run.trials {
        let is_its = |group: &&mut Vec<&TrialResult>| {
            group[0].scenario == trial.scenario && group[0].supervisor == trial.supervisor
        };
        match groups.iter_mut().find(is_its) {
            Some(group) => group.push(trial),
            None => groups.push(vec![trial]),
        }
    }
    groups
}

/// What was not run has no files.
fn was_measured(trial: &TrialResult) -> bool {
    trial.latency.named().iter().any(|(_, quantiles)| quantiles.count > 0)
}

fn read(path: &Path) -> Result<Log, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    Log::read(&text).map_err(|error| error.to_string())
}

//! `holdline run --resume` and `--failed`: going on with what was recorded, and running again what did not pass.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use holdline_model::plan::{TrialPlan, trial_seed};
use holdline_model::planned::{PlanFile, did_not_pass, kept};
use holdline_model::result::{Manifest, RunResult, TrialResult};
use holdline_model::words::Isolation;
use holdline_reports::text::counted;

use super::args::{RunArgs, RunCommandArgs};
use super::outcome::{conclude, end, exit_code};
use super::terminal::say;
use super::{dry, jobs, measure};
use crate::catalogue::{self, ScenarioEntry, SelectError, SupervisorEntry};
use crate::exit::{self, Failure};
use crate::export::Exports;
use crate::manifest;
use crate::run::{Files, Options, Plan, RecordedError, read_plan, scenarios_of, supervisors_of};
use crate::rundir::{self, RUN_JSON, RunDir};
use crate::sandbox::IsolationChoice;

/// Ends the run in a directory: what has no result yet is run.
pub(super) fn resume(command: &RunCommandArgs, dir: &Path) -> Result<u8, Failure> {
    let args = &command.run;
    let dir = run_directory(dir)?;
    // Nobody else may write to it from here on.
    let kept_in = RunDir::reopen(&dir)?;
    let run = rundir::load(&dir).map_err(Failure::usage)?;
    check_version(&run.manifest, &dir)?;
    let file = read_plan(&dir)?;
    let kept = kept(&file.trials, run)
        .map_err(|error| Failure::usage(format!("{} is of another plan: {error}", dir.display())))?;
    tell_differences(&kept.manifest);
    if kept.complete {
        let trials = counted(kept.trials.len() as u64, "trial");
        say(&format!("note: nothing to resume: {} is complete, with {trials}", dir.display()));
        if args.dry_run {
            return Ok(exit::PASS);
        }
        let exports = Exports::open(args.trial.exports.wanted(), Some(kept_in.path()))?;
        kept_in.save(&kept)?;
        return conclude(args, &kept_in, exports, &kept, "").map(|()| exit_code(&kept));
    }
    let plan = plan_of(&file, &kept.manifest)?.resumed(kept);
    if args.dry_run {
        return dry::show(&plan, "", "");
    }
    let exports = Exports::open(args.trial.exports.wanted(), Some(kept_in.path()))?;
    let plan = jobs::side_by_side(plan, command.jobs, args.trial.isolation)?;
    let (dir, ended) = measure::record_with_plan(&plan, kept_in, args.trial.show_progress, Some(" to go"))?;
    conclude(args, &dir, exports, &ended.result, "")?;
    Ok(end(&ended, &dir))
}

/// The whole plan, of the files that it was made of.
fn plan_of(file: &PlanFile, manifest: &Manifest) -> Result<Plan, Failure> {
    let isolation = match manifest.isolation {
        Isolation::Full => IsolationChoice::Full,
        Isolation::None => IsolationChoice::None,
    };
    let options = Options { seed: manifest.seed, worker: file.worker, isolation };
    let scenarios = scenarios_of(file, Files::AsTheyWere)?;
    let supervisors = supervisors_of(file, Files::AsTheyWere)?;
    Ok(Plan::new(scenarios, supervisors, file.trials.clone(), options)?
        .excusing_reference(file.excuses_reference))
}

/// The folder for which its `run.json` may stand.
fn folder_of(path: &Path) -> &Path {
    match path.file_name() {
        Some(name) if name == RUN_JSON && path.is_file() => {
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
        }
        Some(_) | None => path,
    }
}

fn run_directory(path: &Path) -> Result<PathBuf, Failure> {
    let folder = folder_of(path);
    if !folder.join(RUN_JSON).is_file() {
        return Err(Failure::usage(format!(
            "{} is no run directory: it has no {RUN_JSON}; name one that a run made, as holdline-out/latest",
            path.display()
        )));
    }
    Ok(folder.to_owned())
}

/// Results of two versions do not belong into one run.
fn check_version(manifest: &Manifest, dir: &Path) -> Result<(), Failure> {
    let own = env!("CARGO_PKG_VERSION");
    if manifest.holdline == own {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} was begun by holdline {}, and this is {own}: go on with that version, or begin a run anew",
        dir.display(),
        manifest.holdline
    )))
}

/// Says what has changed about the machine since the run began.
fn tell_differences(then: &Manifest) {
    let now = manifest::manifest(then.seed, then.isolation, then.planned).facts();
    for (what, then) in then.facts() {
        let now = now.get(&what).cloned().unwrap_or_else(|| "not known".to_owned());
        if now != then {
            say(&format!("note: {what} differs: {then} when the run began, {now} now"));
        }
    }
}

/// The plan of what did not pass in a recorded run.
pub(super) fn failed(args: &RunCommandArgs, dir: &Path) -> Result<Plan, Failure> {
    let run = rundir::load(dir).map_err(Failure::usage)?;
    let again: Vec<&TrialResult> = run.trials.iter().filter(|trial| did_not_pass(&run, trial)).collect();
    if again.is_empty() {
        return Err(Failure::nothing(format!(
            "nothing is selected: no trial of {} failed or was inconclusive",
            dir.display()
        )));
    }
    let file = match read_plan(folder_of(dir)) {
        Ok(file) => Some(file),
        // Names of the catalogue need none.
        Err(RecordedError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let scenarios = scenarios(&args.run, file.as_ref(), &again)?;
    let supervisors = supervisors(&args.run, file.as_ref(), &again)?;
    let trials = trials(&run, file.as_ref(), &again, &scenarios, &supervisors);
    if trials.is_empty() {
        return Err(Failure::nothing(format!(
            "nothing is selected: of what did not pass in {} there is no trial of these scenarios and supervisors",
            dir.display()
        )));
    }
    let required = match args.run.require.as_slice() {
        [] => run.manifest.required.clone(),
        words => catalogue::required(words, &supervisors)?,
    };
    let is_there = |name: &String| supervisors.iter().any(|entry| entry.supervisor.name == *name);
    let required: Vec<String> = required.into_iter().filter(is_there).collect();
    let worker = file.as_ref().and_then(|file| file.worker);
    let options = Options { seed: run.manifest.seed, worker, isolation: args.run.trial.isolation };
    let excuses_reference = file.as_ref().is_some_and(|file| file.excuses_reference);
    Ok(Plan::new(scenarios, supervisors, trials, options)?
        .with_required(required)
        .excusing_reference(excuses_reference))
}

/// As typed; else those of the plan, as their files are now; else of the catalogue.
fn scenarios(
    args: &RunArgs,
    file: Option<&PlanFile>,
    again: &[&TrialResult],
) -> Result<Vec<ScenarioEntry>, Failure> {
    let names: BTreeSet<&str> = again.iter().map(|trial| trial.scenario.as_str()).collect();
    match (args.scenarios.as_slice(), file) {
        ([], Some(file)) => {
            let planned = file.scenarios.iter().filter(|planned| names.contains(planned.name.as_str()));
            let file = PlanFile { scenarios: planned.cloned().collect(), ..file.clone() };
            Ok(scenarios_of(&file, Files::AsTheyAre)?)
        }
        ([], None) => {
            let names: Vec<&str> = names.into_iter().collect();
            catalogue::select_scenarios(&names).map_err(not_in_catalogue)
        }
        (words, _) => Ok(catalogue::select_scenarios(words)?),
    }
}

fn supervisors(
    args: &RunArgs,
    file: Option<&PlanFile>,
    again: &[&TrialResult],
) -> Result<Vec<SupervisorEntry>, Failure> {
    let names: BTreeSet<&str> = again.iter().map(|trial| trial.supervisor.as_str()).collect();
    match (args.supervisors.as_slice(), file) {
        ([], Some(file)) => {
            let planned = file.supervisors.iter().filter(|planned| names.contains(planned.name.as_str()));
            let file = PlanFile { supervisors: planned.cloned().collect(), ..file.clone() };
            Ok(supervisors_of(&file, Files::AsTheyAre)?)
        }
        ([], None) => {
            let names: Vec<&str> = names.into_iter().collect();
            catalogue::select_supervisors(&names).map_err(not_in_catalogue)
        }
        (words, _) => Ok(catalogue::select_supervisors(words)?),
    }
}

/// A run that was recorded without its plan names files that nobody can find any more.
fn not_in_catalogue(error: SelectError) -> Failure {
    match error {
        SelectError::Unknown { what, name, .. } => Failure::usage(format!(
            "{what} `{name}` of the recorded run is not in the catalogue: name its file as well, as `--failed DIR ./mine.toml -s ./my-service`"
        )),
        error => error.into(),
    }
}

/// The trials that run again, with the repetitions and seeds that they had, in their order.
fn trials(
    run: &RunResult,
    file: Option<&PlanFile>,
    again: &[&TrialResult],
    scenarios: &[ScenarioEntry],
    supervisors: &[SupervisorEntry],
) -> Vec<TrialPlan> {
    let is_selected = |trial: &&&TrialResult| {
        scenarios.iter().any(|entry| entry.scenario.name == trial.scenario)
            && supervisors.iter().any(|entry| entry.supervisor.name == trial.supervisor)
    };
    let recorded = |trial: &TrialResult| {
        let is_same = |planned: &&TrialPlan| {
            (&planned.scenario, &planned.supervisor, planned.repetition)
                == (&trial.scenario, &trial.supervisor, trial.repetition)
        };
        file.and_then(|file| file.trials.iter().find(is_same)).map(|planned| planned.seed)
    };
    let plan = |(index, trial): (u32, &&TrialResult)| {
        let TrialResult { supervisor, scenario, repetition, .. } = trial;
        let drawn = || trial_seed(run.manifest.seed, supervisor, scenario, *repetition);
        let seed = recorded(trial).unwrap_or_else(drawn);
        let (supervisor, scenario) = (supervisor.clone(), scenario.clone());
        TrialPlan { index, supervisor, scenario, repetition: *repetition, seed }
    };
    (0..).zip(again.iter().filter(is_selected)).map(plan).collect()
}

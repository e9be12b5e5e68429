//! `holdline gate`: a run against a baseline, or a baseline from a run.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use holdline_model::gate::{
    BASELINE_SCHEMA, Baseline, Day, GateResult, GateVerdict, Judged, Line, MadeWith, Pair, Policy,
    PolicyFile, judge, lines,
};
use holdline_model::plan::TrialPlan;
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Grade;
use holdline_reports::gate as reports;
use holdline_reports::junit::JunitError;
use holdline_reports::text::counted;

use self::selection::Selection;
use super::args::GateArgs;
use super::dry;
use super::measure::{self, Places};
use super::terminal::{self, print, say};
use crate::catalogue;
use crate::exit::{self, Failure};
use crate::export::{ExportError, Exports, Format, Texts};
use crate::recorded;
use crate::rundir::RunDir;

mod selection;
mod target;

/// How often each trial is repeated where nobody says; of a baseline three times as often, so that it excludes a
/// single loss.
const REPETITIONS: u32 = 5;
const REPETITIONS_OF_BASELINE: u32 = 15;
/// What may come after the trials of a plan.
const IN_DOUBT: &str = "those that leave something in doubt run again";
/// How often what is in doubt is measured again.
const ROUNDS: u32 = 2;

/// Gates, or makes what is gated against.
pub(super) fn main(args: &GateArgs) -> Result<u8, Failure> {
    if args.run.partition.is_some() {
        return Err(Failure::usage(
            "--partition: a gate needs all repetitions; give each machine scenarios of its own",
        ));
    }
    match (&args.save_baseline, &args.baseline) {
        (Some(path), _) => save(args, path),
        (None, Some(path)) => hold(args, path),
        (None, None) => {
            Err(Failure::usage("gate takes --baseline FILE, or --save-baseline FILE to make one"))
        }
    }
}

/// Runs what is selected. Where it was recorded, and what came of it.
fn measured(
    args: &GateArgs,
    selection: &Selection,
    dir: RunDir,
    repetitions: u32,
) -> Result<(RunDir, RunResult), Failure> {
    let plan = selection.plan(args, selection.trials(args, repetitions))?;
    let required = catalogue::required(&args.run.require, &selection.supervisors)?;
    let plan = plan.with_required(required);
    measure::announce(&plan, "", args.run.trial.show_progress);
    let (dir, ended) = measure::record(&plan, dir, args.run.trial.show_progress)?;
    Ok((dir, ended.result))
}

/// Measures these again, beside the reference.
fn again(
    args: &GateArgs,
    selection: &Selection,
    dir: &RunDir,
    round: u32,
    pairs: &BTreeSet<Pair>,
    repetitions: u32,
) -> Result<RunResult, Failure> {
    let is_doubtful = |trial: &TrialPlan| {
        let of_scenario = |pair: &&Pair| pair.scenario == trial.scenario;
        let mut of_scenario = pairs.iter().filter(of_scenario);
        of_scenario.clone().any(|pair| pair.supervisor == trial.supervisor)
            || (trial.supervisor == selection.reference && of_scenario.next().is_some())
    };
    // Other arrivals than those that were drawn before.
    let offset = repetitions * round;
    let all = selection.trials(args, repetitions + offset);
    let trials: Vec<TrialPlan> = all
        .into_iter()
        .filter(|trial| trial.repetition >= offset && is_doubtful(trial))
        .map(|trial| TrialPlan { repetition: trial.repetition - offset, ..trial })
        .collect();
    let names: Vec<String> =
        pairs.iter().map(|pair| format!("{} in {}", pair.supervisor, pair.scenario)).collect();
    say(&format!("in doubt, and measured again: {}", names.join(", ")));
    let folder = RunDir::create(&dir.path().join(format!("again-{round}")))?;
    let plan = selection.plan(args, trials)?;
    let (folder, ended) = measure::record(&plan, folder, args.run.trial.show_progress)?;
    measure::write_reports(&folder, &Texts::of_run(&ended.result, Some(folder.path())))?;
    let mut result = ended.result;
    for trial in &mut result.trials {
        trial.folder = format!("again-{round}/{}", trial.folder);
    }
    Ok(result)
}

/// A run and what was measured again, as one.
fn joined(first: Option<RunResult>, next: RunResult) -> RunResult {
    let Some(mut joined) = first else { return next };
    let offset = joined.trials.iter().map(|trial| trial.repetition + 1).max().unwrap_or(0);
    for mut trial in next.trials {
        trial.repetition += offset;
        joined.trials.push(trial);
    }
    joined.complete &= next.complete;
    joined
}

fn save(args: &GateArgs, path: &Path) -> Result<u8, Failure> {
    target::check(path)?;
    // What is wrong with it is found now, and not when somebody gates.
    policy_beside(path)?;
    let selection = Selection::of(args, &args.run.scenarios, &args.run.supervisors, None)?;
    let repetitions = args.run.repetitions.unwrap_or(REPETITIONS_OF_BASELINE);
    if args.run.dry_run {
        return dry::show(&selection.plan(args, selection.trials(args, repetitions))?, "", IN_DOUBT);
    }
    let places = Places::open(args.run.trial.out.as_deref(), &args.run.trial.exports)?;
    let (dir, run) = measured(args, &selection, places.dir, repetitions)?;
    measure::write_reports(&dir, &Texts::of_run(&run, Some(dir.path())))?;
    let doubtful = inconclusive(&run, &selection.gated);
    let run = if doubtful.is_empty() || !run.complete {
        run
    } else {
        joined(Some(run), again(args, &selection, &dir, 1, &doubtful, repetitions)?)
    };
    let takes_stdout = places.exports.take_stdout();
    places.exports.write(&Texts::of_run(&run, Some(dir.path())), print)?;
    if !run.complete {
        return Err(Failure {
            code: exit::INCONCLUSIVE,
            error: "interrupted: no baseline is written".into(),
        });
    }
    let baseline = baseline_of(&selection, &run, repetitions, PolicyFile::default());
    let lacking = without_lines(&run, &selection.gated, &baseline.metrics);
    for (pair, grade, reason) in &lacking {
        say(&format!("{} in {} is {grade}: {reason}", pair.supervisor, pair.scenario));
    }
    if baseline.metrics.is_empty() {
        let is_doubtful = lacking.iter().any(|(_, grade, _)| *grade == Grade::Inconclusive);
        let code = if is_doubtful { exit::INCONCLUSIVE } else { exit::NOTHING_SELECTED };
        return Err(Failure { code, error: "nothing was measured: no baseline is written".into() });
    }
    if lacking.iter().any(|(_, grade, _)| *grade == Grade::Inconclusive) {
        return Err(Failure {
            code: exit::INCONCLUSIVE,
            error: "inconclusive, also when run again: no baseline is written".into(),
        });
    }
    target::write(path, &baseline.text())?;
    if !takes_stdout {
        let of = counted(baseline.metrics.len() as u64, "metric");
        print(&format!("baseline of {of}: {}\nrun directory: {}\n", path.display(), dir.path().display()))?;
    }
    Ok(exit::PASS)
}

fn baseline_of(selection: &Selection, run: &RunResult, repetitions: u32, policy: PolicyFile) -> Baseline {
    let made_with = MadeWith::of(
        &run.manifest,
        repetitions,
        &selection.reference,
        selection.scenario_words.clone(),
        selection.supervisor_words.clone(),
    );
    let metrics = lines(run, &selection.reference, &selection.gated);
    Baseline { schema: BASELINE_SCHEMA.to_owned(), made_with, policy, metrics }
}

fn inconclusive(run: &RunResult, gated: &BTreeSet<String>) -> BTreeSet<Pair> {
    let doubtful =
        run.trials.iter().filter(|t| gated.contains(&t.supervisor) && t.grade == Grade::Inconclusive);
    doubtful.map(|t| Pair { scenario: t.scenario.clone(), supervisor: t.supervisor.clone() }).collect()
}

/// What was to be measured and has no line, and why.
fn without_lines(run: &RunResult, gated: &BTreeSet<String>, lines: &[Line]) -> Vec<(Pair, Grade, String)> {
    let mut found: BTreeMap<Pair, (Grade, String)> = BTreeMap::new();
    for trial in run.trials.iter().filter(|trial| gated.contains(&trial.supervisor)) {
        let has = |line: &Line| line.scenario == trial.scenario && line.supervisor == trial.supervisor;
        if !lines.iter().any(has) {
            let pair = Pair { scenario: trial.scenario.clone(), supervisor: trial.supervisor.clone() };
            found.insert(pair, (trial.grade, trial.reason.clone().unwrap_or_default()));
        }
    }
    found.into_iter().map(|(pair, (grade, reason))| (pair, grade, reason)).collect()
}

fn hold(args: &GateArgs, path: &Path) -> Result<u8, Failure> {
    let baseline = target::read(path)?;
    let policy = policy(args, path, &baseline)?;
    if args.update_baseline {
        target::check(path)?;
    }
    let selection = selected(args, &baseline)?;
    let scenarios: BTreeSet<String> = selection.scenario_names().into_iter().collect();
    let is_common =
        |line: &Line| selection.gated.contains(&line.supervisor) && scenarios.contains(&line.scenario);
    if !baseline.metrics.iter().any(is_common) {
        return Err(Failure::usage(format!(
            "{} is a baseline of other scenarios or supervisors: nothing that is selected is in it",
            path.display()
        )));
    }
    let usual = if args.update_baseline { baseline.made_with.repetitions } else { REPETITIONS };
    let repetitions = args.run.repetitions.unwrap_or(usual);
    if args.run.dry_run {
        return dry::show(&selection.plan(args, selection.trials(args, repetitions))?, "", IN_DOUBT);
    }
    let places = Places::open(args.run.trial.out.as_deref(), &args.run.trial.exports)?;
    let (dir, first) = measured(args, &selection, places.dir, repetitions)?;
    // The page is the gate's own, with the run beneath, once it is known what it comes to.
    let of_run = Texts::of_run(&first, Some(dir.path()));
    measure::write_reports_but(&dir, &of_run, &[Format::Html])?;
    let mut repeated: Option<RunResult> = None;
    let mut judged = judge(&baseline, &selection.runs(&first, None, &scenarios), &policy);
    for round in 1..=ROUNDS {
        if judged.doubtful.is_empty() || !first.complete || repeated.as_ref().is_some_and(|run| !run.complete)
        {
            break;
        }
        let next = again(args, &selection, &dir, round, &judged.doubtful, repetitions)?;
        repeated = Some(joined(repeated, next));
        judged = judge(&baseline, &selection.runs(&first, repeated.as_ref(), &scenarios), &policy);
    }
    let Judged { mut result, .. } = judged;
    result.repetitions = repetitions;
    result.baseline = path.display().to_string();
    selection.tell_how_to_repeat(&mut result, args.run.trial.seed);
    let texts = texts(&result, &first, &dir);
    for (name, format) in
        [("gate.json", Format::Json), ("gate.md", Format::Markdown), (Format::Html.file(), Format::Html)]
    {
        dir.write(name, texts.of(format)?.as_bytes())?;
    }
    show(args, places.exports, &texts, &result, &dir)?;
    if args.update_baseline {
        let all = repeated.map_or(first.clone(), |next| joined(Some(first.clone()), next));
        return update(args, path, &selection, &baseline, &result, &all, repetitions);
    }
    Ok(exit_code(&result, &first))
}

/// What the arguments select; where they say nothing, what the baseline was made of.
fn selected(args: &GateArgs, baseline: &Baseline) -> Result<Selection, Failure> {
    let or = |typed: &[OsString], made: &[String]| -> Vec<OsString> {
        if typed.is_empty() { made.iter().map(OsString::from).collect() } else { typed.to_vec() }
    };
    let scenarios = or(&args.run.scenarios, &baseline.made_with.scenarios);
    let supervisors = or(&args.run.supervisors, &baseline.made_with.supervisors);
    let reference = Some(baseline.made_with.reference.as_str());
    Selection::of(args, &scenarios, &supervisors, reference)
}

fn policy(args: &GateArgs, path: &Path, baseline: &Baseline) -> Result<Policy, Failure> {
    let today = jiff::Zoned::now().strftime("%Y-%m-%d").to_string();
    let today = Day::try_from(today).map_err(Failure::environment)?;
    let files = policy_beside(path)?.into_iter().chain([baseline.policy.clone()]).collect();
    Ok(Policy { tolerance: args.tolerance, files, today })
}

/// `gate.toml` beside the baseline.
fn policy_beside(path: &Path) -> Result<Option<PolicyFile>, Failure> {
    let file: PathBuf = path.with_file_name("gate.toml");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(Failure::environment(format!("failed to read {}: {error}", file.display())));
        }
    };
    let parsed = toml::from_str(&text);
    parsed.map(Some).map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

/// What it comes to as a page, with the run beneath.
fn page(result: &GateResult, run: &RunResult, dir: &RunDir) -> Result<String, ExportError> {
    let course = |trial: &TrialResult| recorded::course(dir.path(), &trial.folder);
    let failed = |why: String| ExportError::Render { option: Format::Html.option(), why };
    reports::html(result, run, &course).map_err(|error| failed(error.to_string()))
}

/// What it comes to in each format.
fn texts<'a>(result: &'a GateResult, run: &'a RunResult, dir: &'a RunDir) -> Texts<'a> {
    Texts::new(move |format| match format {
        Format::Json => Ok(reports::json(result)),
        Format::Markdown => Ok(reports::markdown(result)),
        Format::Html => page(result, run, dir),
        Format::Hyperfine | Format::Benchmark => format.render(run, Some(dir.path())),
        Format::Junit => {
            let failed =
                |why: JunitError| ExportError::Render { option: format.option(), why: why.to_string() };
            reports::junit(result, run).map_err(failed)
        }
    })
}

/// Writes exports and prints what it comes to.
fn show(
    args: &GateArgs,
    exports: Exports,
    texts: &Texts<'_>,
    result: &GateResult,
    dir: &RunDir,
) -> Result<(), Failure> {
    let takes_stdout = exports.take_stdout();
    let exported = exports.write(texts, print);
    if !takes_stdout {
        let style = terminal::style(args.run.trial.color);
        print(&reports::terminal(result, style))?;
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    exported
}

/// Writes the baseline anew, unless something has become worse and nobody said that this is meant.
fn update(
    args: &GateArgs,
    path: &Path,
    selection: &Selection,
    old: &Baseline,
    result: &GateResult,
    run: &RunResult,
    repetitions: u32,
) -> Result<u8, Failure> {
    match result.verdict {
        GateVerdict::Fail if !args.allow_regression => {
            say("the baseline stays as it is: --allow-regression would write what has become worse into it");
            return Ok(exit::FAILED);
        }
        GateVerdict::Inconclusive if !args.allow_regression => {
            say("the baseline stays as it is, since it cannot be told whether something has become worse");
            return Ok(exit::INCONCLUSIVE);
        }
        GateVerdict::Pass | GateVerdict::Fail | GateVerdict::Inconclusive => {}
    }
    let mut new = baseline_of(selection, run, repetitions, old.policy.clone());
    // What was not run stays as it was.
    let ran = |line: &&Line| {
        new.metrics.iter().any(|own| own.scenario == line.scenario && own.supervisor == line.supervisor)
    };
    let kept: Vec<Line> = old.metrics.iter().filter(|line| !ran(line)).cloned().collect();
    new.metrics.extend(kept);
    if !args.run.scenarios.is_empty() || !args.run.supervisors.is_empty() {
        new.made_with.scenarios.clone_from(&old.made_with.scenarios);
        new.made_with.supervisors.clone_from(&old.made_with.supervisors);
    }
    new.sort();
    let changes = reports::changes(old, &new);
    say(&changes);
    target::write(path, &new.text())?;
    Ok(exit::PASS)
}

fn exit_code(result: &GateResult, run: &RunResult) -> u8 {
    let in_vain = run.trials.iter().any(|trial| run.is_required_in_vain(trial));
    match result.verdict {
        GateVerdict::Fail => exit::FAILED,
        GateVerdict::Pass | GateVerdict::Inconclusive if in_vain => exit::NOTHING_SELECTED,
        GateVerdict::Inconclusive => exit::INCONCLUSIVE,
        GateVerdict::Pass => exit::PASS,
    }
}

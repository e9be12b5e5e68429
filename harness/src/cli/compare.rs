//! `holdline compare`: supervisors side by side, or what was recorded of them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use holdline_model::arrivals::Extent;
use holdline_model::compare::{self, CONFIDENCE, Comparison, Named, QUANTITIES, Quantity};
use holdline_model::plan::RunPlan;
use holdline_model::result::RunResult;
use holdline_model::stats::trials_for;
use holdline_model::supervisor::Supervisor;
use holdline_model::words::{Grade, nearest};
use holdline_reports::compare as reports;
use holdline_reports::text::{count, counted};

use super::args::CompareArgs;
use super::measure::{self, Places};
use super::terminal::{self, print, say};
use super::{dry, jobs};
use crate::catalogue::{self, ScenarioEntry, SupervisorEntry};
use crate::exit::{self, Failure};
use crate::export::{ExportError, Exports, Format, Texts};
use crate::run::Plan;
use crate::rundir::{self, RUN_JSON, RunDir};

/// How often each trial is repeated where nobody says.
const REPETITIONS: u32 = 10;
/// As many repetitions as `--prove` may ask for.
const REPETITIONS_MAX: u64 = 100_000;

/// Compares what the arguments name.
pub(super) fn main(args: &CompareArgs) -> Result<u8, Failure> {
    let quantities = quantities(&args.metric)?;
    match recorded(args)? {
        Some(runs) => compare_recorded(args, &runs, &quantities),
        None => compare_anew(args, &quantities),
    }
}

fn quantities(names: &[String]) -> Result<Vec<Quantity>, Failure> {
    if names.is_empty() {
        return Ok(QUANTITIES.to_vec());
    }
    let all = || QUANTITIES.iter().map(|quantity| quantity.name);
    let find = |name: &String| {
        let canonical = name.replace('-', "_");
        Quantity::named(&canonical).ok_or_else(|| {
            let hint =
                nearest(&canonical, all()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            let all: Vec<&str> = all().collect();
            Failure::usage(format!(
                "--metric `{name}` is not compared{hint}\n  these are: {}",
                all.join(", ")
            ))
        })
    };
    names.iter().map(find).collect()
}

/// A recorded run, and how it is called.
struct Recorded {
    name: String,
    run: RunResult,
}

/// The recorded runs that are to be compared; `None` where scenarios are.
fn recorded(args: &CompareArgs) -> Result<Option<Vec<Recorded>>, Failure> {
    let plain = args.run.scenarios.iter().map(|word| (None, word.clone()));
    let named: Vec<(Option<String>, OsString)> =
        args.named.iter().map(|given| split(given)).collect::<Result<_, _>>()?;
    let words: Vec<(Option<String>, OsString)> =
        plain.chain(named.into_iter().filter(|(_, word)| is_run(word))).collect();
    let of_runs = words.iter().filter(|(_, word)| is_run(word)).count();
    if of_runs == 0 {
        return Ok(None);
    }
    if let Some((_, other)) = words.iter().find(|(_, word)| !is_run(word)) {
        let other = Path::new(other).display();
        return Err(Failure::usage(format!("`{other}` is no recorded run, and cannot be compared with one")));
    }
    if args.run.dry_run {
        return Err(Failure::usage("--dry-run: nothing is run where recorded runs are compared"));
    }
    if of_runs > 2 || !args.run.supervisors.is_empty() || args.prove.is_some() {
        return Err(Failure::usage(
            "recorded runs are compared as they are: name one or two of them, without --supervisor or --prove",
        ));
    }
    let load = |(name, word): (Option<String>, OsString)| -> Result<Recorded, Failure> {
        let run = rundir::load(Path::new(&word)).map_err(Failure::usage)?;
        Ok(Recorded { name: name.unwrap_or_else(|| Path::new(&word).display().to_string()), run })
    };
    words.into_iter().map(load).collect::<Result<_, _>>().map(Some)
}

/// Whether a word names a recorded run: its folder, or the file in it. A folder that holds a description is a
/// supervisor, and a name that the catalogue has is what the catalogue has.
fn is_run(word: &OsStr) -> bool {
    let path = Path::new(word);
    path.join(RUN_JSON).is_file() || (path.is_file() && path.extension().is_some_and(|end| end == "json"))
}

/// `NAME=WORD`.
fn split(given: &OsStr) -> Result<(Option<String>, OsString), Failure> {
    let bytes = given.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').filter(|at| *at > 0 && at + 1 < bytes.len());
    let name = at.and_then(|at| std::str::from_utf8(&bytes[..at]).ok());
    let (Some(at), Some(name)) = (at, name) else {
        let given = Path::new(given).display();
        return Err(Failure::usage(format!(
            "--as `{given}`: write NAME=SUPERVISOR, as old=./old/supervisor.toml"
        )));
    };
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(is_fit) {
        return Err(Failure::usage(format!(
            "--as `{name}=…`: a name has letters, digits, hyphens, underscores and dots alone"
        )));
    }
    Ok((Some(name.to_owned()), OsStr::from_bytes(&bytes[at + 1..]).to_owned()))
}

fn compare_recorded(args: &CompareArgs, runs: &[Recorded], quantities: &[Quantity]) -> Result<u8, Failure> {
    let exports = Exports::open(args.run.trial.exports.wanted(), None)?;
    let comparison = match runs {
        [one] => {
            let reference = reference_within(args, &one.run)?;
            compare::within(&one.run, &reference, quantities)
        }
        [one, other] => {
            let named = |recorded: &'_ Recorded| recorded.name.clone();
            let (name, other_name) = (named(one), named(other));
            let reference = Named { name: &name, run: &one.run };
            compare::between(reference, Named { name: &other_name, run: &other.run }, quantities).ok_or_else(
                || {
                    Failure::usage(format!(
                        "{name} and {other_name} have no trial in common: no scenario with the same supervisor"
                    ))
                },
            )?
        }
        _ => return Err(Failure::usage("name one or two recorded runs")),
    };
    show(args, exports, &comparison, &runs[runs.len() - 1].run)?;
    Ok(exit_code(&comparison, &[]))
}

/// With which supervisor of a recorded run the others are compared.
fn reference_within(args: &CompareArgs, run: &RunResult) -> Result<String, Failure> {
    let names = || run.trials.iter().map(|trial| trial.supervisor.as_str());
    let first = names().next().ok_or_else(|| Failure::usage("the run has no trials to compare"))?;
    let Some(wanted) = args.reference.as_ref().or(run.manifest.reference.as_ref()) else {
        return Ok(first.to_owned());
    };
    if names().all(|name| name != wanted) {
        let hint = nearest(wanted, names()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
        return Err(Failure::usage(format!("--reference `{wanted}`: the run has no such supervisor{hint}")));
    }
    Ok(wanted.clone())
}

/// What is run side by side.
struct Contenders {
    entries: Vec<SupervisorEntry>,
    reference: String,
}

fn contenders(args: &CompareArgs) -> Result<Contenders, Failure> {
    let mut entries = match (args.run.supervisors.as_slice(), args.named.as_slice()) {
        ([], [_, ..]) => Vec::new(),
        (words, _) => catalogue::select_supervisors(words)?,
    };
    for given in &args.named {
        let (name, word) = split(given)?;
        let mut found = catalogue::select_supervisors(&[word])?;
        let (Some(name), Some(entry), true) = (name, found.pop(), found.is_empty()) else {
            let given = Path::new(given).display();
            return Err(Failure::usage(format!("--as `{given}` is several supervisors; name one of them")));
        };
        entries.push(called(entry, name));
    }
    let names: Vec<String> = entries.iter().map(|entry| entry.supervisor.name.clone()).collect();
    if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        return Err(Failure::usage(format!(
            "two are called `{}`; name one of them otherwise with --as",
            twice.1
        )));
    }
    let reference = match &args.reference {
        None => names.first().cloned().ok_or_else(|| Failure::nothing("no supervisor is selected"))?,
        Some(name) if names.contains(name) => name.clone(),
        Some(name) => {
            // Whoever is the reference takes part.
            let found = catalogue::select_supervisors(&[name])?;
            let Some(entry) = found.into_iter().next() else {
                return Err(Failure::nothing(format!("no supervisor matches `{name}`")));
            };
            let name = entry.supervisor.name.clone();
            if !names.contains(&name) {
                entries.insert(0, entry);
            }
            name
        }
    };
    if entries.len() < 2 {
        return Err(Failure::usage(format!(
            "there is nothing to compare {reference} with: name another supervisor with -s, or one under another name with --as"
        )));
    }
    Ok(Contenders { entries, reference })
}

/// The same supervisor under another name.
fn called(entry: SupervisorEntry, name: String) -> SupervisorEntry {
    SupervisorEntry { supervisor: Supervisor { name, ..entry.supervisor }, ..entry }
}

fn compare_anew(args: &CompareArgs, quantities: &[Quantity]) -> Result<u8, Failure> {
    let Contenders { mut entries, reference } = contenders(args)?;
    let scenarios = catalogue::select_scenarios(&args.run.scenarios)?;
    let required = catalogue::required(&args.run.require, &entries)?;
    let repetitions = repetitions(args, &scenarios)?;
    if let Some(again) = entries.iter().find(|entry| entry.supervisor.name == reference).cloned() {
        entries.push(called(again, compare::again(&reference)));
    }
    let names: Vec<String> = entries.iter().map(|entry| entry.supervisor.name.clone()).collect();
    let asked: Vec<String> = scenarios.iter().map(|entry| entry.scenario.name.clone()).collect();
    let plan_of = |repetitions, partition| {
        let trials = RunPlan::interleaved(&names, &asked, repetitions, args.run.trial.seed, partition).trials;
        Plan::new(scenarios.clone(), entries.clone(), trials, measure::options(&args.run))
    };
    let partition = measure::partition(args.run.partition)?;
    let plan = plan_of(repetitions, partition)?.with_partition(partition);
    let plan = plan.with_required(required.clone()).with_reference(reference.clone());
    // The reference's second trials need no warming up.
    let first: Vec<String> = names[..names.len() - 1].to_vec();
    let warm = RunPlan::interleaved(&first, &asked, 1, args.run.trial.seed, None).trials;
    let warm = Plan::new(scenarios.clone(), entries.clone(), warm, measure::options(&args.run))?;
    let beside = format!(" after {} to warm up", counted(warm.trials().len() as u64, "trial"));
    if args.run.dry_run {
        return dry::show(&plan, &beside, "");
    }
    let places = Places::open(args.run.trial.out.as_deref(), &args.run.trial.exports)?;
    let (plan, interrupted) = match warmed_up(args, plan, warm, &beside) {
        Ok(warmed) => warmed,
        Err(error) => {
            places.dir.discard();
            return Err(error);
        }
    };
    if interrupted {
        places.dir.discard();
        return Err(Failure {
            code: exit::INCONCLUSIVE,
            error: "interrupted before anything was measured".into(),
        });
    }
    let (dir, ended) = measure::record_with_plan(&plan, places.dir, args.run.trial.show_progress, None)?;
    if ended.interrupted {
        let dir = dir.path().display();
        say(&format!(
            "`holdline run --resume {dir}` runs the rest, and `holdline compare {dir}` then compares"
        ));
    }
    let comparison = compare::within(&ended.result, &reference, quantities);
    let reported = measure::write_reports(&dir, &Texts::of_run(&ended.result, Some(dir.path())));
    let written = reported.and_then(|()| write_comparison(&dir, &comparison));
    let takes_stdout = places.exports.take_stdout();
    let shown = show(args, places.exports, &comparison, &ended.result);
    if !takes_stdout {
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    written.and(shown)?;
    let in_vain: Vec<&str> = required
        .iter()
        .map(String::as_str)
        .filter(|name| {
            let mut trials = ended.result.trials.iter().filter(|trial| trial.supervisor == *name);
            trials.any(|trial| ended.result.is_required_in_vain(trial))
        })
        .collect();
    Ok(exit_code(&comparison, &in_vain))
}

/// The plan, with as many trials side by side as are to be, after what is run to warm up, which keeps nothing; and
/// whether the user ended that.
fn warmed_up(args: &CompareArgs, plan: Plan, warm: Plan, beside: &str) -> Result<(Plan, bool), Failure> {
    let trial = &args.run.trial;
    let jobs = jobs::allowed(&plan, args.jobs, trial.isolation)?;
    let plan = plan.side_by_side(jobs, args.jobs.jobs_for_times);
    measure::announce(&plan, beside, trial.show_progress);
    let warm = warm.side_by_side(jobs, args.jobs.jobs_for_times);
    let interrupted = measure::warm_up(&warm, &args.run)?;
    Ok((plan, interrupted))
}

/// How often each trial is repeated; where a rate is to be proven, as often as that takes in the scenario with the
/// fewest attempts.
fn repetitions(args: &CompareArgs, scenarios: &[ScenarioEntry]) -> Result<u32, Failure> {
    let Some(rate) = args.prove else { return Ok(args.run.repetitions.unwrap_or(REPETITIONS)) };
    let attempts = trials_for(rate, CONFIDENCE).filter(|_| rate < 1.0).ok_or_else(|| {
        Failure::usage(format!(
            "--prove {rate}: a rate lies between 0 and 1, as 1e-4 for one in ten thousand"
        ))
    })?;
    let mut most = 0;
    for entry in scenarios {
        let planned = Extent::of(&entry.scenario.load).attempts_planned.filter(|planned| *planned >= 1.0);
        let planned = planned.ok_or_else(|| {
            let name = &entry.scenario.name;
            Failure::usage(format!(
                "--prove: how many attempts {name} makes is not known before it runs; say how often to repeat it with -r"
            ))
        })?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of attempts")]
        let planned = planned as u64;
        most = most.max(attempts.div_ceil(planned));
    }
    if most > REPETITIONS_MAX {
        return Err(Failure::usage(format!(
            "--prove {rate} takes {} attempts of each supervisor, and {} repetitions of this scenario; name one with more attempts, or a larger rate",
            count(attempts),
            count(most)
        )));
    }
    let repetitions = u32::try_from(most).unwrap_or(u32::MAX).max(2);
    say(&format!(
        "to prove a loss of at most {rate} at 95 % takes {} attempts of each supervisor without a loss: {} of each trial",
        count(attempts),
        counted(repetitions.into(), "repetition")
    ));
    Ok(repetitions)
}

fn write_comparison(dir: &RunDir, comparison: &Comparison) -> Result<(), Failure> {
    dir.write("compare.json", reports::json(comparison).as_bytes())?;
    dir.write("compare.md", reports::markdown(comparison).as_bytes())?;
    Ok(())
}

/// Writes exports and prints the table. Verdicts are those of the run.
fn show(
    args: &CompareArgs,
    exports: Exports,
    comparison: &Comparison,
    run: &RunResult,
) -> Result<(), Failure> {
    let takes_stdout = exports.take_stdout();
    let render = |format: Format| -> Result<String, ExportError> {
        match format {
            Format::Json => Ok(reports::json(comparison)),
            Format::Markdown => Ok(reports::markdown(comparison)),
            Format::Html => Ok(reports::html(comparison)),
            Format::Junit | Format::Hyperfine | Format::Benchmark => format.render(run, None),
        }
    };
    let exported = exports.write(&Texts::new(render), print);
    if !takes_stdout {
        let style = terminal::style(args.run.trial.color);
        print(&reports::terminal(comparison, style))?;
    }
    exported
}

/// A comparison has no verdict: it fails only where there is nothing to compare.
fn exit_code(comparison: &Comparison, in_vain: &[&str]) -> u8 {
    let incomplete =
        comparison.warnings.iter().any(|warning| matches!(warning, compare::Warning::Incomplete { .. }));
    let compared = comparison.losses.iter().any(|losses| losses.against.is_some());
    let doubtful = comparison.left_out.iter().any(|left| left.grade == Grade::Inconclusive);
    if !in_vain.is_empty() {
        exit::NOTHING_SELECTED
    } else if incomplete || (doubtful && !compared) {
        exit::INCONCLUSIVE
    } else if !compared {
        exit::NOTHING_SELECTED
    } else {
        exit::PASS
    }
}

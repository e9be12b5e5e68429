//! `holdline fuzz`: from what was typed to cases, and what they come to.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdline_model::plan::Partition;
use holdline_model::result::TrialResult;
use holdline_reports::fuzz as report;
use indicatif::ProgressBar;

use super::args::{FuzzArgs, ShowProgress};
use super::measure::{self, Places};
use super::terminal::{self, print, say};
use crate::catalogue::{self, SupervisorEntry};
use crate::exit::{self, Failure};
use crate::export::{ExportError, Exports, Format, Texts};
use crate::fuzz::{self, FuzzError, FuzzRequest, Fuzzed, Status, Watcher};
use crate::recorded;
use crate::run::Options;
use crate::rundir::RunDir;

/// How long it is fuzzed where neither time nor cases are limited.
const BUDGET: Duration = Duration::from_secs(60);
/// In less, no case comes to its end.
const BUDGET_MIN: Duration = Duration::from_secs(1);
/// How often progress is told where there is no terminal.
const LINES: Duration = Duration::from_secs(5);

/// Fuzzes what the arguments select.
pub(super) fn main(args: &FuzzArgs) -> Result<u8, Failure> {
    refuse_what_only_runs_take(args)?;
    let (supervisor, word) = supervisor(args)?;
    catalogue::required(&args.require, std::slice::from_ref(&supervisor))?;
    let partition = measure::partition(args.partition)?;
    let (budget, cases) = (budget(args)?, cases(args, partition)?);
    let mut saved = match &args.save {
        Some(folder) => fuzz::read_saved(folder, &supervisor)?,
        None => Vec::new(),
    };
    if let Some(partition) = partition {
        let mut index = 0..;
        let supervisor = &supervisor.supervisor.name;
        saved.retain(|saved| {
            let scenario = &saved.entry.scenario.name;
            index.next().is_some_and(|index| partition.contains(index, supervisor, scenario, 0))
        });
    }
    let Places { dir, exports } = Places::open(args.trial.out.as_deref(), &args.trial.exports)?;
    let keep_word = args.save.clone().unwrap_or_else(|| shown(args.trial.out.as_deref(), dir.path()));
    let keep = keep_word.canonicalize().unwrap_or_else(|_| dir.path().to_owned());
    let request = FuzzRequest {
        supervisor,
        word,
        options: Options { seed: args.trial.seed, worker: args.worker, isolation: args.trial.isolation },
        cases,
        budget,
        aimed: args.aimed,
        partition,
        fail_fast: args.fail_fast,
        shrinking: args.shrink,
        invariants: invariants(args),
        recovery: args.recovery,
        lanes: lanes(args),
        calibrates: args.lanes.is_none(),
        saved,
        keep,
        keep_word,
        folder: dir.path().to_owned(),
        executable: None,
    };
    let mut progress = Progress::new(args.trial.show_progress, &request.supervisor.supervisor.name);
    let fuzzed = fuzz::fuzz(&request, &mut progress);
    progress.finish();
    let fuzzed = match fuzzed {
        Ok(fuzzed) => fuzzed,
        Err(error) => {
            // Only an empty directory goes: what was kept stays.
            dir.discard();
            return Err(error.into());
        }
    };
    finish(args, &dir, exports, &fuzzed)?;
    Ok(exit_code(&fuzzed))
}

/// What a user of `run` may type, and why it is none of fuzzing.
fn refuse_what_only_runs_take(args: &FuzzArgs) -> Result<(), Failure> {
    let why = match args {
        FuzzArgs { scenarios, .. } if !scenarios.is_empty() => {
            "fuzzing draws its own scenarios: name none; those in the folder of --save are tried first"
        }
        FuzzArgs { repeated: Some(_), .. } => {
            "-r: a case runs once, and what fails is repeated until it is known how often; --cases says how many"
        }
        FuzzArgs { dry: true, .. } => {
            "--dry-run: which cases there are depends on what comes of those before; --cases 1 runs a single one"
        }
        FuzzArgs { .. } => return Ok(()),
    };
    Err(Failure::usage(why))
}

/// The one supervisor that is fuzzed, and the word for it.
fn supervisor(args: &FuzzArgs) -> Result<(SupervisorEntry, String), Failure> {
    let mut found = catalogue::select_supervisors(&args.supervisors)?;
    let words = || {
        let words: Vec<_> =
            args.supervisors.iter().map(|word| format!("`{}`", word.to_string_lossy())).collect();
        words.join(", ")
    };
    let count = found.len();
    match (found.pop(), args.supervisors.last()) {
        (Some(supervisor), Some(given)) if count == 1 => {
            let word = match catalogue::is_path(given) {
                true => given.to_string_lossy().into_owned(),
                false => supervisor.supervisor.name.clone(),
            };
            Ok((supervisor, word))
        }
        _ => Err(Failure::usage(format!(
            "-s {} names {count} supervisors, and one is fuzzed at a time: name one, and fuzz each",
            words()
        ))),
    }
}

/// How many cases are tried here: the share of this part.
fn cases(args: &FuzzArgs, partition: Option<Partition>) -> Result<Option<u64>, Failure> {
    let Some(cases) = args.cases else { return Ok(None) };
    match partition.map_or(cases, |partition| partition.share(cases)) {
        0 => Err(Failure::nothing(ShareOfNothing(cases))),
        share => Ok(Some(share)),
    }
}

/// There are fewer cases than parts.
#[derive(Debug, thiserror::Error)]
#[error("--partition: of {0} cases none is left for this part; give --cases more")]
struct ShareOfNothing(u64);

fn budget(args: &FuzzArgs) -> Result<Option<Duration>, Failure> {
    match (args.budget, args.cases) {
        (Some(budget), _) if budget < BUDGET_MIN => Err(Failure::usage(format!(
            "--budget {budget:?} is too short for a single case; give it {BUDGET_MIN:?} or more"
        ))),
        (Some(budget), _) => Ok(Some(budget)),
        (None, Some(_)) => Ok(None),
        (None, None) => Ok(Some(BUDGET)),
    }
}

fn invariants(args: &FuzzArgs) -> Vec<holdline_model::fuzz::Invariant> {
    use holdline_model::fuzz::Invariant;
    let is_wanted = |it: &&Invariant| args.invariants.is_empty() || args.invariants.contains(it);
    Invariant::ALL.iter().filter(is_wanted).copied().collect()
}

/// As many as there are processors: what is judged are counts, and what lags is repeated.
fn lanes(args: &FuzzArgs) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    args.lanes.map_or(processors, |lanes| usize::try_from(lanes).unwrap_or(processors))
}

/// The run directory as the user would write it.
fn shown(out: Option<&Path>, path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    out.map(Path::to_owned).or(below).unwrap_or_else(|| path.to_owned())
}

fn finish(args: &FuzzArgs, dir: &RunDir, exports: Exports, fuzzed: &Fuzzed) -> Result<(), Failure> {
    let render = |format: Format| -> Result<String, ExportError> {
        let fail = |why: String| ExportError::Render { option: format.option(), why };
        match format {
            Format::Json => {
                let mut text =
                    serde_json::to_string_pretty(&fuzzed.result).map_err(|error| fail(error.to_string()))?;
                text.push('\n');
                Ok(text)
            }
            Format::Markdown => Ok(report::markdown(&fuzzed.result)),
            Format::Junit => {
                report::junit(&fuzzed.result, &fuzzed.evidence).map_err(|error| fail(error.to_string()))
            }
            Format::Html => {
                let course = |trial: &TrialResult| recorded::course(dir.path(), &trial.folder);
                let page = report::html(&fuzzed.result, &fuzzed.evidence, &course);
                page.map_err(|error| fail(error.to_string()))
            }
            Format::Hyperfine | Format::Benchmark => format.render(&fuzzed.evidence, Some(dir.path())),
        }
    };
    let takes_stdout = exports.take_stdout();
    let texts = Texts::new(render);
    let reported = write_reports(dir, fuzzed, &texts);
    let exported = exports.write(&texts, print);
    if !takes_stdout {
        let style = terminal::style(args.trial.color);
        print(&report::terminal(&fuzzed.result, &style))?;
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    reported.and(exported)
}

/// `fuzz.json` and the reports; where there are trials that failed, `run.json` of these, so that `holdline report`
/// shows them.
fn write_reports(dir: &RunDir, fuzzed: &Fuzzed, texts: &Texts<'_>) -> Result<(), Failure> {
    dir.save(&fuzzed.evidence)?;
    dir.publish()?;
    dir.write("fuzz.json", texts.of(Format::Json)?.as_bytes())?;
    for format in [Format::Markdown, Format::Html, Format::Junit] {
        dir.write(format.file(), texts.of(format)?.as_bytes())?;
    }
    Ok(())
}

fn exit_code(fuzzed: &Fuzzed) -> u8 {
    let result = &fuzzed.result;
    if !result.failures.is_empty() {
        exit::FAILED
    } else if result.interrupted
        || result.unconfirmed > 0
        || result.cases == 0
        || result.inconclusive > result.cases
    {
        exit::INCONCLUSIVE
    } else {
        exit::PASS
    }
}

/// How far it is, on standard error.
struct Progress {
    bar: Option<ProgressBar>,
    is_silent: bool,
    supervisor: String,
    told: Instant,
}

impl Progress {
    fn new(how: ShowProgress, supervisor: &str) -> Self {
        let is_bar = match how {
            ShowProgress::None | ShowProgress::Counter => false,
            ShowProgress::Bar => true,
            ShowProgress::Auto => std::io::stderr().is_terminal(),
        };
        Self {
            bar: (is_bar && super::progress::can_start_thread()).then(super::progress::spinner),
            is_silent: how == ShowProgress::None,
            supervisor: supervisor.to_owned(),
            told: Instant::now(),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, status: &Status) -> String {
        let Status { cases, faults, orders, failures, .. } = status;
        let left = match (status.left, status.cases_left) {
            (Some(left), _) => format!(", {} s left", left.as_secs()),
            (None, Some(cases)) => format!(", {cases} cases left"),
            (None, None) => String::new(),
        };
        let failed = if *failures > 0 { format!(", {failures} failures") } else { String::new() };
        format!(
            "{}: {cases} cases, {faults} faults, {orders} orders of moments, {:.0} cases/min{failed}{left}",
            self.supervisor,
            status.cases_per_minute()
        )
    }
}

impl Watcher for Progress {
    fn status(&mut self, status: &Status) {
        match &self.bar {
            Some(bar) => bar.set_message(self.line(status)),
            None if !self.is_silent && self.told.elapsed() >= LINES => {
                self.told = Instant::now();
                say(&self.line(status));
            }
            None => {}
        }
    }

    fn say(&mut self, what: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(what)),
            None => say(what),
        }
    }
}

impl From<FuzzError> for Failure {
    fn from(error: FuzzError) -> Self {
        match error {
            FuzzError::Run(error) => error.into(),
            FuzzError::Unsupported { .. } | FuzzError::Nothing(_) => Self::nothing(error),
            FuzzError::NeverUp { is_wrongly_asked: false, .. } | FuzzError::NoTime { .. } => {
                Self { code: exit::INCONCLUSIVE, error: error.into() }
            }
            FuzzError::NeverUp { is_wrongly_asked: true, .. }
            | FuzzError::NotAFolder(_)
            | FuzzError::SavedWrong(_)
            | FuzzError::SavedUnsupported { .. } => Self::usage(error),
            FuzzError::Folder { .. } | FuzzError::Keep { .. } | FuzzError::Drawn(_) => {
                Self::environment(error)
            }
        }
    }
}

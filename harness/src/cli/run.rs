//! `holdline run`: trials one after the other, and what they come to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, anyhow};
use holdline_model::plan::{RunPlan, TrialPlan};
use holdline_model::result::{RunResult, SCHEMA, TrialResult};
use holdline_model::summary::{TrialName, not_run};
use holdline_model::support;
use holdline_model::words::{Grade, Isolation, Verdict};
use holdline_reports::{Style, html, junit, markdown, summary_line, table};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::args::RunArgs;
use super::progress::Progress;
use super::{print, terminal_width, wants_color};
use crate::catalogue::{self, ScenarioEntry, SelectError, Source, SupervisorEntry};
use crate::exit::{self, Failure};
use crate::load;
use crate::manifest::manifest;
use crate::receipt;
use crate::rundir::{RunDir, RunDirError, to_json, write_atomically};
use crate::sandbox::{self, SandboxSpec, WorkFolder};
use crate::trial::outer::{self, Ended};
use crate::trial::{self, FileText, SourceSpec, TrialSpec};

/// The exit code of a process that SIGINT ended, as shells show it.
const INTERRUPTED: u8 = 130;

/// Where connections are sampled, the table of them has this many places: few enough to be walked in
/// some 15 µs, and enough for what a trial leaves in TIME_WAIT.
const CONNECTION_TABLE: u32 = 1 << 14;
/// Between two saves of the result passes at least so many times what the first of them took. A
/// result grows with its trials, so that saving it after each would end up taking longer than they do.
const SAVE_PAUSE: u32 = 10;

/// Runs what the arguments select.
pub(super) fn main(args: &RunArgs) -> Result<u8, Failure> {
    let selection = Selection::make(args)?;
    if selection.plan.trials.is_empty() {
        return Err(Failure::nothing(anyhow!("nothing is selected: this slice of the trials is empty")));
    }
    load::check_nofile().context("failed to prepare the load client").map_err(Failure::environment)?;
    let (isolation, notice) = sandbox::choose(args.isolation.into()).map_err(Failure::environment)?;
    let dir = run_dir(args.out.as_deref())?;
    sandbox::sweep_stale();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::environment(anyhow!("failed to start the runtime: {error}")))?;
    let progress = Progress::new(args.show_progress, selection.plan.trials.len() as u64);
    if let Some(notice) = notice {
        progress.say(&format!("note: {notice}"));
    }
    let mut run = Run::new(args, selection, isolation, dir)?;
    let interrupted = runtime.block_on(run.trials(&progress));
    progress.finish();
    drop(runtime);
    let saved = run.save();
    let interrupted = interrupted?;
    saved?;
    run.finish(args, interrupted)
}

/// What was selected.
struct Selection {
    scenarios: BTreeMap<String, ScenarioEntry>,
    supervisors: BTreeMap<String, SupervisorEntry>,
    plan: RunPlan,
}

impl Selection {
    fn make(args: &RunArgs) -> Result<Self, Failure> {
        let failure = |error: SelectError| match error {
            SelectError::NoMatch { .. } => Failure::nothing(error),
            _ => Failure::usage(error),
        };
        let scenarios = catalogue::select_scenarios(&args.scenarios).map_err(failure)?;
        let supervisors = catalogue::select_supervisors(&args.supervisors).map_err(failure)?;
        let names = |words: Vec<&String>| words.into_iter().cloned().collect::<Vec<String>>();
        let plan = RunPlan::new(
            &names(supervisors.iter().map(|entry| &entry.supervisor.name).collect()),
            &names(scenarios.iter().map(|entry| &entry.scenario.name).collect()),
            args.repetitions,
            args.seed,
            args.partition,
        );
        Ok(Self {
            scenarios: scenarios.into_iter().map(|entry| (entry.scenario.name.clone(), entry)).collect(),
            supervisors: supervisors
                .into_iter()
                .map(|entry| (entry.supervisor.name.clone(), entry))
                .collect(),
            plan,
        })
    }
}

fn run_dir(out: Option<&Path>) -> Result<RunDir, Failure> {
    let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let dir = match out {
        Some(path) => RunDir::create(path),
        None => RunDir::create_default(&time),
    };
    dir.map_err(|error| match error {
        RunDirError::Occupied(_) => Failure::usage(error),
        _ => Failure::environment(error),
    })
}

/// A run in progress.
struct Run {
    selection: Selection,
    isolation: Isolation,
    dir: RunDir,
    result: RunResult,
    /// By name, or why it counts as not installed.
    receipts: BTreeMap<String, Result<String, String>>,
    executable: PathBuf,
    worker: Option<holdline_model::supervisor::WorkerKind>,
    /// When the result is due to be saved again.
    save_due: Instant,
}

impl Run {
    fn new(args: &RunArgs, selection: Selection, isolation: Isolation, dir: RunDir) -> Result<Self, Failure> {
        let executable = std::env::current_exe().map_err(|error| {
            Failure::environment(anyhow!("failed to find holdline's own executable: {error}"))
        })?;
        let planned = u32::try_from(selection.plan.trials.len()).unwrap_or(u32::MAX);
        let result = RunResult {
            schema: SCHEMA.to_owned(),
            manifest: manifest(args.seed, isolation, planned),
            complete: false,
            trials: Vec::new(),
        };
        let mut run = Self {
            selection,
            isolation,
            dir,
            result,
            receipts: BTreeMap::new(),
            executable,
            worker: args.worker.map(Into::into),
            save_due: Instant::now(),
        };
        run.save()?;
        Ok(run)
    }

    fn save(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        self.dir.save(&self.result).map_err(Failure::environment)?;
        let ended = Instant::now();
        self.save_due = ended + (ended - began) * SAVE_PAUSE;
        Ok(())
    }

    /// Runs every trial. Returns whether it was interrupted; the result so far is always saved.
    async fn trials(&mut self, progress: &Progress) -> Result<bool, Failure> {
        let fail = |error: std::io::Error| Failure::environment(anyhow!("failed to handle signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
        let (stop, stopped) = watch::channel(false);
        let trials = self.all_trials(progress, &stopped);
        tokio::pin!(trials);
        let mut asked = false;
        loop {
            tokio::select! {
                done = &mut trials => return done.map(|()| asked),
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                return Err(Failure {
                    code: INTERRUPTED,
                    error: anyhow!("interrupted twice; what had been recorded is kept"),
                });
            }
            asked = true;
            progress.say("interrupted: ending this trial and writing the report; once more to stop at once");
            let _ = stop.send(true);
        }
    }

    async fn all_trials(&mut self, progress: &Progress, stop: &watch::Receiver<bool>) -> Result<(), Failure> {
        let trials = self.selection.plan.trials.clone();
        for (index, plan) in trials.iter().enumerate() {
            if *stop.borrow() {
                return Ok(());
            }
            let title = format!("{} × {}", plan.supervisor, plan.scenario);
            progress.begin(&title);
            let result = self.trial(index, plan, progress, &title, stop.clone()).await?;
            progress.end(index + 1, trials.len(), &title, &result);
            self.result.trials.push(result);
            self.result.complete = index + 1 == trials.len() && !*stop.borrow();
            if Instant::now() >= self.save_due {
                self.save()?;
            }
        }
        Ok(())
    }

    async fn trial(
        &mut self,
        index: usize,
        plan: &TrialPlan,
        progress: &Progress,
        title: &str,
        stop: watch::Receiver<bool>,
    ) -> Result<TrialResult, Failure> {
        let supervisor = self.selection.supervisors[&plan.supervisor].clone();
        let scenario = self.selection.scenarios[&plan.scenario].clone();
        let folder = format!("{index:04}-{}-{}", plan.scenario.replace('/', "-"), plan.supervisor);
        let folder = self.dir.trial_folder(&folder).map_err(Failure::environment)?;
        let mut name = TrialName {
            supervisor: plan.supervisor.clone(),
            supervisor_version: String::new(),
            scenario: plan.scenario.clone(),
            repetition: plan.repetition,
            folder,
        };
        let worker = self.worker.unwrap_or(supervisor.supervisor.worker);
        let is_root = nix::unistd::geteuid().is_root();
        if let Some(reason) = support::lack(&supervisor.supervisor, &scenario.scenario, is_root) {
            return Ok(not_run(&name, Grade::Unsupported, reason));
        }
        if let Some(reason) = trial::lack_of_user(&scenario.scenario) {
            return Ok(not_run(&name, Grade::Unsupported, reason));
        }
        match self.receipt(&supervisor).await {
            Err(reason) => return Ok(not_run(&name, Grade::Unsupported, reason)),
            Ok(version) => name.supervisor_version = version,
        }
        let work = WorkFolder::create().map_err(Failure::environment)?;
        let spec = self.spec(name.clone(), plan.seed, &scenario, &supervisor, worker, &work);
        let ended = outer::run(&spec, stop, |load| progress.load(title, load)).await;
        match ended.map_err(Failure::environment)? {
            Ended::Result(result) => Ok(*result),
            Ended::Failed { reason, fatal: false } => Ok(not_run(&name, Grade::Inconclusive, reason)),
            Ended::Failed { reason, fatal: true } => Err(Failure::environment(anyhow!(reason))),
        }
    }

    async fn receipt(&mut self, entry: &SupervisorEntry) -> Result<String, String> {
        if let Some(receipt) = self.receipts.get(&entry.supervisor.name) {
            return receipt.clone();
        }
        let receipt = receipt::version(&entry.supervisor).await.map_err(|missing| missing.to_string());
        self.receipts.insert(entry.supervisor.name.clone(), receipt.clone());
        receipt
    }

    fn spec(
        &self,
        name: TrialName,
        seed: u64,
        scenario: &ScenarioEntry,
        supervisor: &SupervisorEntry,
        worker: holdline_model::supervisor::WorkerKind,
        work: &WorkFolder,
    ) -> TrialSpec {
        let folder = self.dir.path().join(&name.folder);
        TrialSpec {
            name,
            seed,
            scenario: FileText { text: scenario.text.clone(), origin: scenario.origin.clone() },
            supervisor: FileText { text: supervisor.text.clone(), origin: supervisor.origin.clone() },
            source: match &supervisor.source {
                Source::Embedded(dir) => SourceSpec::Embedded(dir.path().display().to_string()),
                Source::Folder(path) => SourceSpec::Folder(path.clone()),
            },
            worker,
            sandbox: SandboxSpec {
                isolation: self.isolation,
                work: work.path().to_owned(),
                private: supervisor.supervisor.private.iter().map(PathBuf::from).collect(),
                sysctls: scenario.scenario.sysctls.clone(),
                real_root: supervisor.supervisor.needs_root,
                connection_table: support::samples_accepts(&supervisor.supervisor, &scenario.scenario)
                    .then_some(CONNECTION_TABLE),
                keep: vec![self.dir.path().to_owned()],
                lifeline: Some(0),
            },
            folder,
            executable: self.executable.clone(),
        }
    }

    /// Writes the reports, prints the table, and says how it went.
    fn finish(&self, args: &RunArgs, interrupted: bool) -> Result<u8, Failure> {
        let style = Style { color: wants_color(args.color), width: terminal_width() };
        self.write_reports(args).map_err(Failure::environment)?;
        if !exports_to_stdout(args) {
            print(&table::terminal(&self.result, &style))?;
            print(&format!("run directory: {}\n", self.dir.path().display()))?;
        }
        if interrupted {
            eprintln!("interrupted: {}", summary_line(&self.result));
        }
        Ok(exit_code(&self.result))
    }

    fn write_reports(&self, args: &RunArgs) -> anyhow::Result<()> {
        let (html, markdown) = (html::html(&self.result)?, markdown::markdown(&self.result));
        let (junit, json) = (junit::junit(&self.result)?, to_json(&self.result));
        self.dir.write("report.html", html.as_bytes())?;
        self.dir.write("report.md", markdown.as_bytes())?;
        self.dir.write("junit.xml", junit.as_bytes())?;
        let exports = [
            (&args.export_json, &json),
            (&args.export_html, &html),
            (&args.export_markdown, &markdown),
            (&args.junit, &junit),
        ];
        for (path, text) in exports {
            match path {
                Some(path) if path == Path::new("-") => {
                    print(text).map_err(|failure| failure.error)?;
                }
                Some(path) => write_atomically(path, text.as_bytes()).context("failed to export")?,
                None => {}
            }
        }
        Ok(())
    }
}

/// Whether standard output belongs to an export, and so not to the table.
fn exports_to_stdout(args: &RunArgs) -> bool {
    [&args.export_json, &args.export_html, &args.export_markdown, &args.junit]
        .iter()
        .any(|path| path.as_deref() == Some(Path::new("-")))
}

/// Failures first: what failed has failed, whatever else is in doubt.
fn exit_code(run: &RunResult) -> u8 {
    let any = |verdict| run.trials.iter().any(|trial| trial.verdict == verdict);
    if any(Verdict::Fail) {
        exit::FAILED
    } else if any(Verdict::Inconclusive) || !run.complete {
        exit::INCONCLUSIVE
    } else if any(Verdict::Pass) {
        exit::PASS
    } else {
        exit::NOTHING_SELECTED
    }
}

//! Trials in tests written in Rust: a scenario on a supervisor, run by the `holdline` executable, judged by
//! `assert_held`, with the report's text as the message of a failure.
//!
//! ```no_run
//! use holdline::testing::{Error, Trial};
//!
//! #[test]
//! # fn doctest() {}
//! fn a_restart_loses_nobody() -> Result<(), Error> {
//!     Trial::of("restart").on("./web/supervisor.toml").run()?.assert_held();
//!     Ok(())
//! }
//! ```
//!
//! The executable is the one that `HOLDLINE_BIN` names, else one that lies beside the test (as where holdline
//! is built in the same workspace), else the first on `PATH`. It does not run trials in the test's own process:
//! a trial makes namespaces and signals processes, which a process with threads must not do to itself.
//!
//! Paths are relative to the working directory, which for `cargo test` is the package's root.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};

use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::{Grade, Mark, Verdict};

/// Which executable to run, where it is not beside the test and not the first on `PATH`.
pub const HOLDLINE_BIN: &str = "HOLDLINE_BIN";

/// Trials to run: scenarios, each on every supervisor, so many times.
#[derive(Debug, Clone)]
#[must_use = "nothing is measured until it is run"]
pub struct Trial {
    scenarios: Vec<OsString>,
    supervisors: Vec<OsString>,
    options: Vec<OsString>,
}

/// What was measured.
#[derive(Debug)]
#[must_use = "nothing is asserted until it is asked"]
pub struct Measured {
    result: RunResult,
    report: String,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no `holdline` executable.
    #[error(
        "no `holdline` executable: {HOLDLINE_BIN} is not set, none is beside this test, and none is on PATH; \
         install it with `cargo install --path harness` in holdline's repository, or name one by {HOLDLINE_BIN}"
    )]
    NoExecutable,
    /// What `HOLDLINE_BIN` names is none.
    #[error("{HOLDLINE_BIN} names {0}, which is not a file")]
    NotAFile(PathBuf),
    /// The executable could not be started, or its result could not be read.
    #[error("failed to run {program}")]
    Io {
        /// The executable.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended without a result: a wrong file, or a machine on which no trial can run.
    #[error("{program} ended with {status}:\n{said}")]
    Refused {
        /// The executable.
        program: PathBuf,
        /// How it ended; the exit codes are those of the command line.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// Its result is not one that this version reads.
    #[error("the result of {program} is not one that this version reads; is it another version of holdline?")]
    Foreign {
        /// The executable.
        program: PathBuf,
        /// Where it differs.
        source: serde_json::Error,
    },
}

impl Trial {
    /// A trial of this scenario: a name of the catalogue, a pattern, or the path of a file.
    pub fn of(scenario: impl Into<OsString>) -> Self {
        Self { scenarios: vec![scenario.into()], supervisors: Vec::new(), options: Vec::new() }
    }

    /// And of this scenario.
    pub fn and_of(mut self, scenario: impl Into<OsString>) -> Self {
        self.scenarios.push(scenario.into());
        self
    }

    /// On this supervisor: a name of the catalogue, a pattern, or the path of a `supervisor.toml`. Without any,
    /// the reference supervisors are measured.
    pub fn on(mut self, supervisor: impl Into<OsString>) -> Self {
        self.supervisors.push(supervisor.into());
        self
    }

    /// So many times each.
    pub fn repetitions(self, count: u32) -> Self {
        self.option("--repetitions", count.to_string())
    }

    /// What is drawn is drawn from this seed.
    pub fn seed(self, seed: u64) -> Self {
        self.option("--seed", seed.to_string())
    }

    /// Keeps the run directory, which must not exist yet or be empty. Without it, nothing is kept.
    pub fn keep(self, folder: impl Into<OsString>) -> Self {
        self.option("--out", folder)
    }

    /// Any other option of `holdline run`.
    pub fn option(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.options.extend([name.into(), value.into()]);
        self
    }

    /// Runs them, one after the other, and waits.
    ///
    /// # Errors
    ///
    /// There is no executable, it refused (a wrong file, an unknown name, no permission), or nothing came of it.
    /// What could not be measured (not installed, inconclusive) is a result, which no assertion takes for held.
    pub fn run(self) -> Result<Measured, Error> {
        let program = executable()?;
        let io = |source| Error::Io { program: program.clone(), source };
        let folder = tempfile::tempdir().map_err(io)?;
        let json = folder.path().join("result.json");
        let output = self.command(&program, folder.path(), &json).output().map_err(io)?;
        match std::fs::read_to_string(&json) {
            Ok(text) => Measured::read(&text, &output).map_err(|source| Error::Foreign { program, source }),
            Err(_) => Err(Error::Refused { program, status: output.status, said: said(&output) }),
        }
    }

    fn command(&self, program: &Path, folder: &Path, json: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("run").args(&self.scenarios);
        for supervisor in &self.supervisors {
            command.arg("-s").arg(supervisor);
        }
        if !self.options.iter().any(|option| option == "--out") {
            command.arg("--out").arg(folder.join("run"));
        }
        command.arg("--export-json").arg(json);
        command.args(["--show-progress", "none", "--color", "never"]).args(&self.options);
        command.stdin(Stdio::null());
        command
    }
}

impl Measured {
    fn read(text: &str, output: &Output) -> Result<Self, serde_json::Error> {
        Ok(Self { result: serde_json::from_str(text)?, report: said(output) })
    }

    /// The result, as `--export-json` writes it.
    pub fn result(&self) -> &RunResult {
        &self.result
    }

    /// The trials, in the order in which they ran.
    pub fn trials(&self) -> &[TrialResult] {
        &self.result.trials
    }

    /// What `holdline run` printed.
    pub fn report(&self) -> &str {
        &self.report
    }

    /// Every trial was held: nothing lost that need not have been, all in time. One whose fault hit nobody shows
    /// nothing, and is not held; nor is one that could not be measured.
    ///
    /// # Panics
    ///
    /// Otherwise, with the report.
    #[track_caller]
    pub fn assert_held(&self) -> &Self {
        self.assert_each("held", |trial| trial.grade == Grade::Held && trial.mark != Some(Mark::Unhit))
    }

    /// Nothing was lost that need not have been: every trial was held or delayed, and its faults hit somebody.
    ///
    /// # Panics
    ///
    /// Otherwise, with the report.
    #[track_caller]
    pub fn assert_nothing_lost(&self) -> &Self {
        let is_kept = |grade| matches!(grade, Grade::Held | Grade::Delayed);
        self.assert_each("without a loss", |trial| is_kept(trial.grade) && trial.mark != Some(Mark::Unhit))
    }

    /// Every trial met the `[expect]` of its scenario.
    ///
    /// # Panics
    ///
    /// Otherwise, with the report.
    #[track_caller]
    pub fn assert_as_expected(&self) -> &Self {
        self.assert_each("as its scenario expects", |trial| trial.verdict == Verdict::Pass)
    }

    #[track_caller]
    fn assert_each(&self, what: &str, holds: impl Fn(&TrialResult) -> bool) -> &Self {
        let named =
            |trial: &&TrialResult| format!("{} in {} is {}", trial.supervisor, trial.scenario, graded(trial));
        let wrong: Vec<String> =
            self.trials().iter().filter(|trial| !holds(trial)).map(|trial| named(&trial)).collect();
        let whole = self.result.complete && !self.trials().is_empty();
        assert!(whole, "not every trial was run\n\n{}", self.report);
        assert!(wrong.is_empty(), "not {what}: {}\n\n{}", wrong.join("; "), self.report);
        self
    }
}

/// Its grade and mark, as reports show them.
fn graded(trial: &TrialResult) -> String {
    match trial.mark {
        Some(mark) => format!("{} ({mark})", trial.grade),
        None => trial.grade.to_string(),
    }
}

/// Both of its outputs: results, then diagnostics.
fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

fn executable() -> Result<PathBuf, Error> {
    if let Some(named) = std::env::var_os(HOLDLINE_BIN).filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        return if named.is_file() { Ok(named) } else { Err(Error::NotAFile(named)) };
    }
    let test = std::env::current_exe().ok();
    let beside = test.iter().flat_map(|test| test.ancestors().skip(1).take(2)).map(Path::to_owned);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = beside.chain(std::env::split_paths(&path));
    find(folders, OsStr::new("holdline")).ok_or(Error::NoExecutable)
}

/// The first file of this name.
fn find(folders: impl Iterator<Item = PathBuf>, name: &OsStr) -> Option<PathBuf> {
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

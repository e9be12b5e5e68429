//! Whole runs of the real program, and where their time went.
//!
//! The bench's own executable is the program: it links the same library and hands over to the same
//! `main`, so that nothing that was built before, or otherwise, can be measured by mistake.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use holdline_model::result::{RunResult, TrialResult};
use serde_json::Value;

/// One attempt, answered by a worker that boots at once: the rest is what a trial costs.
const SCENARIO: &str = r#"
name = "least"
asks = "What does a trial cost beyond its load and its workers' boot?"
[workers]
boot = "0ms"
[load]
arrivals = { sequential = "1ms" }
attempts = 1
"#;

/// To be called first in `main`: in a process that was started as the program, it is the program.
#[must_use]
pub fn be_the_program_if_asked() -> Option<ExitCode> {
    let first = std::env::args().nth(1)?;
    (first == "run" || first.starts_with("__")).then(holdline::cli::main)
}

/// Where the time of a run went, each a sum over its trials.
#[derive(Debug, Clone, Copy, Default)]
pub struct Costs {
    /// From the start of the program to its end.
    pub wall: Duration,
    /// Of that: from the first attempt's intended start to the end of the load.
    pub load: Duration,
    /// From the start of the supervisor until its worker had recorded that it can accept.
    pub boot: Duration,
    /// From there to the first attempt's intended start.
    pub begin: Duration,
    /// From the end of the load until the supervisor and its workers were gone.
    pub stop: Duration,
    /// The rest of the process inside the sandbox: preparing the work folder, writing the files.
    pub files: Duration,
}

impl Costs {
    /// What the trials cost beyond their own duration and the supervisor's own boot.
    #[must_use]
    pub fn overhead(&self) -> Duration {
        self.wall.saturating_sub(self.load + self.boot)
    }

    /// What is left of it: the program itself, starting processes, and the sandbox.
    #[must_use]
    pub fn around(&self) -> Duration {
        self.overhead().saturating_sub(self.begin + self.stop + self.files)
    }
}

/// Runs the least scenario so many times over a reference supervisor.
///
/// # Errors
///
/// If the program cannot be started, or left no result.
///
/// # Panics
///
/// If a trial did not hold: then something else was measured.
pub fn run(supervisor: &str, isolation: &str, repetitions: u32) -> io::Result<Costs> {
    let place = tempfile::tempdir()?;
    let scenario = place.path().join("least.toml");
    fs::write(&scenario, SCENARIO)?;
    let out = place.path().join("out");
    let began = Instant::now();
    let status = Command::new(std::env::current_exe()?)
        .arg("run")
        .arg(&scenario)
        .args(["-s", supervisor, "--isolation", isolation, "--show-progress", "none"])
        .args(["-r", &repetitions.to_string(), "--out"])
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    let mut costs = Costs { wall: began.elapsed(), ..Costs::default() };
    assert!(status.success(), "the trials of {supervisor} did not hold: {status}");
    let run: RunResult = serde_json::from_str(&fs::read_to_string(out.join("run.json"))?)?;
    assert_eq!(run.trials.len(), repetitions as usize);
    for trial in &run.trials {
        add(&mut costs, trial, &events(&out.join(&trial.folder))?);
    }
    Ok(costs)
}

fn events(folder: &Path) -> io::Result<Vec<Value>> {
    let text = fs::read_to_string(folder.join("events.jsonl"))?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn add(costs: &mut Costs, trial: &TrialResult, events: &[Value]) {
    let find = |name: &str, kind: Option<&str>| {
        let is_it = |event: &&Value| event["event"] == name && kind.is_none_or(|kind| event["kind"] == kind);
        events.iter().find(is_it).unwrap_or_else(|| panic!("the trial wrote down no {name} {kind:?}"))
    };
    // From the load's start: what comes before it is negative.
    let ns = |event: &Value| event["at_ns"].as_i64().expect("an instant");
    let began = ns(find("supervisor_started", None));
    let ready = ns(find("worker", Some("ready")));
    let (load_began, load_ended) = (0, ns(find("trial_ended", None)));
    let stopped = ns(find("stopped", None));
    let between = |from: i64, to: i64| Duration::from_nanos(u64::try_from(to - from).unwrap_or(0));
    costs.boot += between(began, ready);
    costs.begin += between(ready, load_began);
    costs.load += between(load_began, load_ended);
    costs.stop += between(load_ended, stopped);
    costs.files += Duration::from_nanos(trial.elapsed_ns).saturating_sub(between(began, stopped));
}

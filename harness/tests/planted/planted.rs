//! Running a planted service through a scenario, until what is measured is conclusive.

use std::path::{Path, PathBuf};

use holdline_model::result::TrialResult;
use holdline_model::words::Grade;

use crate::common::{Place, read_result};
use crate::lag::lagged;

/// How often a trial is run anew in which the machine was too busy for the generator.
const RETRIES: usize = 2;

/// A trial, its exit code, and what is in its folder.
pub(crate) struct Planted {
    pub(crate) trial: TrialResult,
    pub(crate) exit: i32,
    folder: PathBuf,
    _place: Place,
}

/// Runs a planted service through a scenario, both by the names of their files.
pub(crate) fn run(scenario: &str, service: &str, options: &[&str]) -> Planted {
    let mut planted = once(scenario, service, options);
    for _ in 0..RETRIES {
        if lagged(&planted.trial) {
            planted = once(scenario, service, options);
        }
    }
    let trial = &planted.trial;
    assert_ne!(trial.grade, Grade::Inconclusive, "{service}: {:?}", trial.reason);
    planted
}

/// [`run`], once, and whatever comes of it.
pub(crate) fn once(scenario: &str, service: &str, options: &[&str]) -> Planted {
    let place = Place::new();
    let scenario = fixtures().join(format!("scenarios/{scenario}.toml"));
    let service = fixtures().join(format!("{service}.toml"));
    let [scenario, service] = [&scenario, &service].map(|path| path.to_str().expect("UTF-8"));
    let mut arguments = vec!["run", scenario, "-s", service, "--out", "out", "--show-progress", "none"];
    arguments.extend(options);
    let mut command = place.holdline(&arguments);
    let output = command.env("HOLDLINE_PLANTED_TOKEN", TOKEN).output().expect("holdline runs");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let run = place.path("out").join("run.json");
    assert!(run.exists(), "{text}");
    let trial = read_result(&run).trials.pop().expect("a trial");
    let folder = place.path("out").join(&trial.folder);
    Planted { trial, exit: output.status.code().expect("an exit code"), folder, _place: place }
}

/// What `own.py` wants to be told.
pub(crate) const TOKEN: &str = "s3cret-token";

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/planted")
}

impl Planted {
    /// The trial's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// When the service said that it did something for the `n`th time, from 0, in CLOCK_MONOTONIC
    /// nanoseconds.
    #[track_caller]
    pub(crate) fn said(&self, what: &str, n: usize) -> u64 {
        let said = self.all_said(what);
        said.get(n).copied().unwrap_or_else(|| panic!("it said `{what}` only {} times", said.len()))
    }

    /// All of these instants.
    pub(crate) fn all_said(&self, what: &str) -> Vec<u64> {
        let log = std::fs::read_to_string(self.folder.join("supervisor.log")).expect("what it said");
        log.lines().filter_map(|line| line.strip_prefix(what)?.trim().parse().ok()).collect()
    }
}

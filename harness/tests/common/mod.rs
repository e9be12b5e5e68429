//! Running holdline in a temporary directory, for every test that runs the program as a whole.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Grade;
use tempfile::TempDir;

/// A temporary directory in which holdline runs.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a temporary directory") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn holdline(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdline"));
        command.current_dir(self.dir.path()).args(arguments).env_remove("CLICOLOR_FORCE").timeout(LIMIT);
        command
    }
}

/// Far more than any run here takes: a hang fails the test instead of stopping it.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(300);

/// The result in a file that `--export-json` or a run directory holds.
pub(crate) fn read_result(path: &Path) -> RunResult {
    let text = std::fs::read_to_string(path).expect("a file with a result");
    serde_json::from_str(&text).expect("a result")
}

/// Whether a trial may be tried again: the machine was so busy with other tests that the generator
/// lagged, and holdline then rightly refuses to judge.
pub(crate) fn lagged(trial: &TrialResult) -> bool {
    let says_so = |reason: &String| reason.contains("did not keep up");
    trial.grade == Grade::Inconclusive && trial.reason.as_ref().is_some_and(says_so)
}

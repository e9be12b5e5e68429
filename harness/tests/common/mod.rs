//! Running holdline in a temporary directory, for every test that runs the program as a whole.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use holdline_model::result::RunResult;
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

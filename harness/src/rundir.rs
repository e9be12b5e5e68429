//! The run directory: where everything that a run records is kept.
//!
//! `run.json` is written anew, atomically, after each trial, so that a run that is killed leaves a
//! readable result of the trials that ended. Where it has grown so large that this would take more
//! than a tenth of the time, it is written less often, and what is killed may lack the last trials.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use holdline_model::result::{RunResult, SCHEMA};

/// Name of the result's file.
pub const RUN_JSON: &str = "run.json";

/// A run directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// It cannot be created or written to.
    #[error("failed to write to the run directory {path}: {error}; name another with --out")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds another run already.
    #[error("{0} holds a run already; name an empty or a new directory with --out")]
    Occupied(PathBuf),
    /// It cannot be read.
    #[error("failed to read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It does not hold a result of this version.
    #[error("{path} is not a result of holdline ({SCHEMA}): {why}")]
    NotAResult {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// A run directory.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Creates the directory, or takes an empty one, and proves that it can be written to.
    ///
    /// # Errors
    ///
    /// It cannot be created or written to, or holds a run already.
    pub fn create(path: &Path) -> Result<Self, RunDirError> {
        let fail = |error| RunDirError::Write { path: path.to_owned(), error };
        std::fs::create_dir_all(path).map_err(fail)?;
        let path = path.canonicalize().map_err(fail)?;
        if path.join(RUN_JSON).exists() {
            return Err(RunDirError::Occupied(path));
        }
        // An unnamed file with a block of data proves permission and space, and leaves nothing.
        let mut probe = tempfile::tempfile_in(&path).map_err(fail)?;
        probe.write_all(&[0; 65536]).and_then(|()| probe.sync_data()).map_err(fail)?;
        Ok(Self { path })
    }

    /// Creates `holdline-out/<time>` in the current directory, with `latest` pointing to it.
    ///
    /// # Errors
    ///
    /// It cannot be created or written to.
    pub fn create_default(time: &str) -> Result<Self, RunDirError> {
        let parent = Path::new("holdline-out");
        let mut path = parent.join(time);
        for n in 2.. {
            if !path.exists() {
                break;
            }
            path = parent.join(format!("{time}-{n}"));
        }
        let dir = Self::create(&path)?;
        let latest = parent.join("latest");
        let fail = |error| RunDirError::Write { path: latest.clone(), error };
        let fresh = parent.join(format!(".latest-{}", std::process::id()));
        std::os::unix::fs::symlink(dir.path.file_name().unwrap_or_default(), &fresh).map_err(fail)?;
        std::fs::rename(&fresh, &latest).map_err(fail)?;
        Ok(dir)
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the folder of a trial and returns its path relative to the run directory.
    ///
    /// # Errors
    ///
    /// It cannot be created.
    pub fn trial_folder(&self, name: &str) -> Result<String, RunDirError> {
        let relative = format!("trials/{name}");
        let path = self.path.join(&relative);
        std::fs::create_dir_all(&path).map_err(|error| RunDirError::Write { path, error })?;
        Ok(relative)
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    ///
    /// It cannot be written; an older file of that name is then still there.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), RunDirError> {
        write_atomically(&self.path.join(name), contents)
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn save(&self, run: &RunResult) -> Result<(), RunDirError> {
        self.write(RUN_JSON, to_json(run).as_bytes())
    }
}

/// A result as JSON, with a newline at its end.
///
/// # Panics
///
/// Never: results have no map keys that JSON cannot hold.
#[must_use]
pub fn to_json(run: &RunResult) -> String {
    let mut text = serde_json::to_string_pretty(run).expect("results are representable as JSON");
    text.push('\n');
    text
}

/// Writes a file, whole or not at all.
///
/// # Errors
///
/// It cannot be written; an older file of that name is then still there.
pub fn write_atomically(path: &Path, contents: &[u8]) -> Result<(), RunDirError> {
    let fail = |error| RunDirError::Write { path: path.to_owned(), error };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".holdline-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(parent)
        .map_err(fail)?;
    file.write_all(contents).map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}

/// Reads the result in a run directory.
///
/// # Errors
///
/// There is none, or it is of another version.
pub fn load(dir: &Path) -> Result<RunResult, RunDirError> {
    let path = if dir.is_dir() { dir.join(RUN_JSON) } else { dir.to_owned() };
    let text =
        std::fs::read_to_string(&path).map_err(|error| RunDirError::Read { path: path.clone(), error })?;
    let run: RunResult = serde_json::from_str(&text)
        .map_err(|error| RunDirError::NotAResult { path: path.clone(), why: error.to_string() })?;
    if run.schema != SCHEMA {
        return Err(RunDirError::NotAResult { path, why: format!("its schema is `{}`", run.schema) });
    }
    Ok(run)
}

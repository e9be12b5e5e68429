//! The run directory: where everything that a run records is kept.
//!
//! `run.json` is written anew, atomically, after each trial, so that a run that is killed leaves a
//! readable result of the trials that ended. Where it has grown so large that this would take more
//! than a tenth of the time, it is written less often, and what is killed may lack the last trials.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use holdline_model::result::{RunResult, SCHEMA};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::Deserialize;

/// Name of the result's file.
pub const RUN_JSON: &str = "run.json";

/// A run directory that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// It cannot be created or written to.
    #[error("failed to write to the run directory {}: {error}{}; name another with --out", .path.display(), hint(.error))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It holds another run already.
    #[error("{} holds a run already; name an empty or a new directory with --out", .0.display())]
    Occupied(PathBuf),
    /// It holds something else.
    #[error("{} is not empty; name an empty or a new directory with --out", .0.display())]
    NotEmpty(PathBuf),
    /// A run is writing to it.
    #[error("{} is in use: a run is still writing to it", .0.display())]
    Busy(PathBuf),
    /// It cannot be read.
    #[error("failed to read {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It does not hold a result of this version.
    #[error("{} is not a result of holdline ({SCHEMA}): {why}", .path.display())]
    NotAResult {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// The limit behind an error whose own words do not name it.
pub(crate) fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::FileTooLarge => " (see `ulimit -f`)",
        _ => "",
    }
}

/// A run directory.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    /// The symbolic link that is to point to it.
    latest: Option<PathBuf>,
    /// Whether it was not there before.
    is_new: bool,
    /// Keeps others from writing to it; absent where the file system knows no locks.
    _lock: Option<Arc<Flock<File>>>,
}

impl RunDir {
    /// Creates the directory, or takes an empty one, and proves that it can be written to.
    ///
    /// # Errors
    ///
    /// It cannot be created or written to, or is not empty.
    pub fn create(path: &Path) -> Result<Self, RunDirError> {
        let is_new = !path.exists();
        let fail = |error| RunDirError::Write { path: path.to_owned(), error };
        std::fs::create_dir_all(path).map_err(fail)?;
        let path = path.canonicalize().map_err(fail)?;
        if std::fs::read_dir(&path).map_err(fail)?.next().is_some() {
            let is_run = path.join(RUN_JSON).exists();
            return Err(if is_run { RunDirError::Occupied(path) } else { RunDirError::NotEmpty(path) });
        }
        let lock = lock(&path)?;
        let dir = Self { path, latest: None, is_new, _lock: lock };
        match dir.prove() {
            Ok(()) => Ok(dir),
            Err(error) => {
                dir.discard();
                Err(error)
            }
        }
    }

    /// The directory of a run that was interrupted, to go on with it.
    ///
    /// # Errors
    ///
    /// It is not there or cannot be written to, or the run is still on.
    pub fn reopen(path: &Path) -> Result<Self, RunDirError> {
        let path = path.canonicalize().map_err(|error| RunDirError::Read { path: path.to_owned(), error })?;
        let lock = lock(&path)?;
        let dir = Self { path, latest: None, is_new: false, _lock: lock };
        dir.prove()?;
        Ok(dir)
    }

    /// An unnamed file with a block of data proves permission and space, and leaves nothing.
    fn prove(&self) -> Result<(), RunDirError> {
        let probed = tempfile::tempfile_in(&self.path)
            .and_then(|mut probe| probe.write_all(&[0; 65536]).and_then(|()| probe.sync_data()));
        probed.map_err(|error| RunDirError::Write { path: self.path.clone(), error })
    }

    /// Creates `holdline-out/<time>` in the current directory; [`publish`](Self::publish) then makes
    /// `latest` point to it.
    ///
    /// # Errors
    ///
    /// It cannot be created or written to.
    pub fn create_default(time: &str) -> Result<Self, RunDirError> {
        let parent = Path::new("holdline-out");
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |error| RunDirError::Write { path, error }
        };
        std::fs::create_dir_all(parent).map_err(fail(parent))?;
        let mut path = parent.join(time);
        // Another run may have begun in the same second.
        let mut n = 1;
        loop {
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    n += 1;
                    path = parent.join(format!("{time}-{n}"));
                }
                done => break done.map_err(fail(&path))?,
            }
        }
        let dir = Self::create(&path)?;
        let latest = dir.path.with_file_name("latest");
        Ok(Self { latest: Some(latest), is_new: true, ..dir })
    }

    /// Makes `latest` point to it, where it is a default one.
    ///
    /// # Errors
    ///
    /// The link cannot be made.
    pub fn publish(&self) -> Result<(), RunDirError> {
        let Some(latest) = &self.latest else { return Ok(()) };
        let fail = |error| RunDirError::Write { path: latest.clone(), error };
        let fresh = latest.with_file_name(format!(".latest-{}", std::process::id()));
        std::os::unix::fs::symlink(self.path.file_name().unwrap_or_default(), &fresh).map_err(fail)?;
        std::fs::rename(&fresh, latest).map_err(|error| {
            let _ = std::fs::remove_file(&fresh);
            fail(error)
        })
    }

    /// Leaves nothing of a directory in which no run began.
    pub fn discard(self) {
        if self.is_new {
            // Only what is empty goes.
            let _ = std::fs::remove_dir(&self.path);
            if let (Some(_), Some(parent)) = (&self.latest, self.path.parent()) {
                let _ = std::fs::remove_dir(parent);
            }
        }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    ///
    /// It cannot be written; an older file of that name is then still there.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<(), RunDirError> {
        let path = self.path.join(name);
        write_atomically(&path, contents).map_err(|error| RunDirError::Write { path, error })
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

/// Locks a directory against others that write to it, for as long as what it returns lives.
fn lock(path: &Path) -> Result<Option<Arc<Flock<File>>>, RunDirError> {
    let file = File::open(path).map_err(|error| RunDirError::Read { path: path.to_owned(), error })?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(Arc::new(lock))),
        Err((_, Errno::EWOULDBLOCK)) => Err(RunDirError::Busy(path.to_owned())),
        // Some network file systems have none.
        Err(_) => Ok(None),
    }
}

/// Creates the folder of a trial and returns its path relative to the run directory. Nothing is left in it of a trial
/// that was cut short.
///
/// # Errors
///
/// It cannot be created.
pub fn trial_folder(run: &Path, name: &str) -> Result<String, RunDirError> {
    let relative = format!("trials/{name}");
    let path = run.join(&relative);
    let cleared = match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    };
    let made = cleared.and_then(|()| std::fs::create_dir_all(&path));
    made.map_err(|error| RunDirError::Write { path, error })?;
    Ok(relative)
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

/// Writes a file, whole or not at all: what has the name is never half a file.
///
/// # Errors
///
/// It cannot be written; an older file of that name is then still there.
pub fn write_atomically(path: &Path, contents: &[u8]) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".holdline-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(parent)?;
    file.write_all(contents)?;
    file.persist(path)?;
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
    match serde_json::from_str::<RunResult>(&text) {
        Ok(run) if run.schema == SCHEMA => Ok(run),
        Ok(RunResult { schema, .. }) => Err(RunDirError::NotAResult { path, why: of_schema(&schema) }),
        Err(error) => {
            // What another version wrote is wrong in that, whatever else this one stumbles over first.
            let other = serde_json::from_str::<Marked>(&text).ok().filter(|marked| marked.schema != SCHEMA);
            let why = other.map_or_else(|| error.to_string(), |marked| of_schema(&marked.schema));
            Err(RunDirError::NotAResult { path, why })
        }
    }
}

/// What all files of holdline have.
#[derive(Deserialize)]
struct Marked {
    schema: String,
}

fn of_schema(schema: &str) -> String {
    let of_run = schema.starts_with("holdline.run/");
    let who = if of_run { ", which another version of holdline wrote" } else { "" };
    format!("its schema is `{schema}`{who}")
}

//! Work folders: where a trial keeps its files. The outer process makes them, and removes them.
//!
//! With full isolation a work folder is an empty mount point on the host; the trial's files live in a
//! tmpfs that goes with the sandbox. Without, it is a plain directory.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};

use super::cgroups;
use super::error::SandboxError;
use crate::proc;

/// Leaves room for the folder's name and a socket's in the 107 bytes of a Unix socket address.
const TEMP_DIR_BYTES_MAX: usize = 60;
const SHORT_TEMP_DIR: &str = "/tmp";
const PREFIX: &str = "holdline-";
/// Says that a folder that is not empty is one of ours.
const MARK: &str = ".holdline-work";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A trial's work folder. Dropping it removes it, with what is in it.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
    /// Tells [`sweep_stale`] in other PID namespaces that the folder is in use.
    _lock: Option<Flock<File>>,
}

impl WorkFolder {
    /// A new, empty folder with a short path, for this user alone.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be created.
    pub fn create() -> Result<Self, SandboxError> {
        let parent = parent();
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { _lock: lock(&path), path }),
                // Left over from a process that had the same PID.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound && make_short(&parent) => {}
                Err(source) => return Err(SandboxError::Work { action: "create", path, source }),
            }
        }
    }

    /// Where it is: an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // What cannot be removed now is left to `sweep_stale`.
        let _ = fs::remove_dir_all(&self.path);
        if let Some(name) = self.path.file_name().and_then(|name| name.to_str()) {
            cgroups::remove_of(name);
        }
    }
}

/// Removes work folders of this user's processes that are no more, and their cgroups. Returns how many.
///
/// Of folders that are not empty, only those are removed in which a trial without isolation ran.
pub fn sweep_stale() -> usize {
    let mut parents = vec![parent(), PathBuf::from(SHORT_TEMP_DIR)];
    parents.dedup();
    let is_stale = |work: &str| owner(work).is_some_and(|pid| !is_alive(pid));
    cgroups::sweep(is_stale) + parents.iter().map(|parent| sweep(parent)).sum::<usize>()
}

/// Marks a work folder as ours, for [`sweep_stale`] to know it by when it is full of other files.
pub(super) fn mark(work: &Path) -> Result<(), SandboxError> {
    let failed = |source| SandboxError::Work { action: "mark", path: work.to_owned(), source };
    File::create(work.join(MARK)).map(drop).map_err(failed)
}

fn parent() -> PathBuf {
    parent_for(std::env::temp_dir())
}

/// Makes the folder that every system has, but not a root with holdline alone in it. Whether it did: what
/// `TMPDIR` names must be there.
fn make_short(parent: &Path) -> bool {
    parent == Path::new(SHORT_TEMP_DIR)
        && DirBuilder::new().create(parent).is_ok()
        && fs::set_permissions(parent, Permissions::from_mode(0o1777)).is_ok()
}

fn parent_for(temp_dir: PathBuf) -> PathBuf {
    match std::path::absolute(temp_dir) {
        Ok(path) if path.as_os_str().len() <= TEMP_DIR_BYTES_MAX => path,
        _ => PathBuf::from(SHORT_TEMP_DIR),
    }
}

fn sweep(parent: &Path) -> usize {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let stale = |name: &std::ffi::OsStr| name.to_str().and_then(owner).is_some_and(|pid| !is_alive(pid));
    entries.filter(|entry| stale(&entry.file_name())).filter(|entry| remove_stale(&entry.path())).count()
}

fn remove_stale(path: &Path) -> bool {
    let ours = fs::symlink_metadata(path).is_ok_and(|data| data.is_dir() && data.uid() == geteuid().as_raw());
    // The owner may live in another PID namespace, with the same folder for temporary files.
    let Some(_lock) = (if ours { lock(path) } else { None }) else { return false };
    let marked = fs::symlink_metadata(path.join(MARK)).is_ok_and(|mark| mark.is_file());
    let removed = if marked { fs::remove_dir_all(path) } else { fs::remove_dir(path) };
    removed.is_ok()
}

fn lock(path: &Path) -> Option<Flock<File>> {
    Flock::lock(File::open(path).ok()?, FlockArg::LockExclusiveNonblock).ok()
}

/// The PID in a work folder's name.
fn owner(name: &str) -> Option<Pid> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    proc::numbered(pid.parse().ok()?)
}

fn is_alive(pid: Pid) -> bool {
    kill(pid, None) != Err(Errno::ESRCH)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_work_folder_is_private_and_goes_when_dropped() {
        let (first, second) = (WorkFolder::create().expect("one"), WorkFolder::create().expect("another"));
        assert_ne!(first.path(), second.path());
        let path = first.path().to_owned();
        assert_eq!(path.metadata().expect("a folder").permissions().mode() & 0o777, 0o700);
        fs::write(path.join("file"), "text").expect("a file");
        drop(first);
        assert!(!path.exists());
        assert!(second.path().exists());
    }

    #[test]
    fn a_long_folder_for_temporary_files_is_not_used() {
        assert_eq!(parent_for(PathBuf::from("/var/tmp")), Path::new("/var/tmp"));
        assert_eq!(parent_for(PathBuf::from(format!("/{}", "x".repeat(60)))), Path::new("/tmp"));
    }

    #[test]
    fn only_names_of_ours_have_an_owner() {
        assert_eq!(owner("holdline-12-0"), Some(Pid::from_raw(12)));
        for name in
            ["holdline-12", "holdline-12-x", "holdline--1-2", "holdline-0-1", "holdline-1-2-3", "other-1-2"]
        {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    #[test]
    fn only_what_is_stale_and_ours_is_swept() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut ended = Command::new("true").spawn().expect("a process");
        ended.wait().expect("an end");
        let (dead, alive) = (ended.id(), std::process::id());
        let make = |name: String, files: &[&str]| {
            let path = folder.path().join(name);
            fs::create_dir(&path).expect("a folder");
            for file in files {
                fs::write(path.join(file), "").expect("a file");
            }
            path
        };
        let empty = make(format!("holdline-{dead}-0"), &[]);
        let marked = make(format!("holdline-{dead}-1"), &[MARK, "log"]);
        let foreign = make(format!("holdline-{dead}-2"), &["log"]);
        let in_use = make(format!("holdline-{dead}-3"), &[]);
        let own = make(format!("holdline-{alive}-4"), &[]);
        let other = make("holdline-out".to_owned(), &[]);
        let _lock = lock(&in_use).expect("a lock");
        assert_eq!(sweep(folder.path()), 2);
        assert!(!empty.exists() && !marked.exists());
        assert!(foreign.exists() && in_use.exists() && own.exists() && other.exists());
    }
}

//! What the sandbox sees in place of the host's directories.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use super::SandboxSpec;
use super::error::{SandboxError, Step};
use super::own::Own;
use super::process::errno_of;
use super::tmpfs::{Room, mount_tmpfs};

/// As `/tmp` has: the work folder is also `TMPDIR`, for workers that have dropped privileges too,
/// and Ruby rejects one that all may write to without the sticky bit.
const WORK_MODE: u32 = 0o1777;

/// Without these nothing runs.
const ALWAYS_KEPT: [&str; 2] = ["/proc", "/dev"];

/// The directories to cover, checked: each is there, and hides nothing that is needed.
#[derive(Debug)]
pub(super) struct Plan {
    work: PathBuf,
    work_mib: u32,
    own: Own,
    /// Parents before what lies in them.
    private: Vec<Private>,
}

/// A directory to cover, with the permissions that its cover takes over.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Private {
    path: PathBuf,
    mode: u32,
    uid: u32,
    gid: u32,
}

impl Plan {
    /// Looks at the directories that a sandbox is to cover. Changes nothing.
    pub(super) fn check(spec: &SandboxSpec) -> Result<Self, SandboxError> {
        directory(&spec.work)?;
        let kept = kept(&spec.keep)?;
        // By their names, and where these lead to.
        let reach = spec.reach.iter().chain(&spec.keep).chain(&kept);
        let reach = reach.flat_map(|path| [Some(path.clone()), path.canonicalize().ok()]).flatten();
        let own = Own::look(&reach.collect::<Vec<_>>());
        let is_own = |path: &&PathBuf| path.canonicalize().is_ok_and(|path| own.contains(&path));
        let asked = spec.private.iter().filter(|path| !is_own(path));
        let mut private = asked.map(|path| Private::check(path, &kept)).collect::<Result<Vec<_>, _>>()?;
        private.sort();
        private.dedup();
        Ok(Self { work: spec.work.clone(), work_mib: spec.work_mib, own, private })
    }

    /// Covers the directories, for the mount namespace of this process. To be called by PID 1, whose
    /// PID namespace the new `/proc` shows.
    pub(super) fn mount(&self) -> Result<(), SandboxError> {
        mount_proc()?;
        self.own.mount()?;
        for private in &self.private {
            private.mount()?;
        }
        // A private directory may have covered the work folder's own.
        make_directory(&self.work)?;
        mount_tmpfs(&self.work, WORK_MODE, Room::WORK.with(self.work_mib))
    }
}

impl Private {
    fn check(path: &Path, kept: &[PathBuf]) -> Result<Self, SandboxError> {
        let (path, metadata) = directory(path)?;
        if let Some(hidden) = kept.iter().find(|kept| kept.starts_with(&path)) {
            return Err(SandboxError::Hides { path, hidden: hidden.clone() });
        }
        Ok(Self { path, mode: metadata.mode() & 0o7777, uid: metadata.uid(), gid: metadata.gid() })
    }

    fn mount(&self) -> Result<(), SandboxError> {
        make_directory(&self.path)?;
        mount_tmpfs(&self.path, self.mode, Room::OWN)?;
        // An owner that the sandbox does not know stays out of it: then the directory is init's.
        let _ = std::os::unix::fs::chown(&self.path, Some(self.uid), Some(self.gid));
        Ok(())
    }
}

/// Mounts a `/proc` that shows the PID namespace of this process.
pub(super) fn mount_proc() -> Result<(), SandboxError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
        .map_err(|errno| SandboxError::refused(Step::Proc, errno))
}

fn make_directory(path: &Path) -> Result<(), SandboxError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(|error| SandboxError::Mount { path: path.to_owned(), errno: errno_of(&error) })
}

/// The absolute path without symbolic links of an existing directory.
fn directory(path: &Path) -> Result<(PathBuf, fs::Metadata), SandboxError> {
    let bad = |reason: String| SandboxError::NoDirectory { path: path.to_owned(), reason };
    if !path.is_absolute() {
        return Err(bad("it must be an absolute path".to_owned()));
    }
    let real = path.canonicalize().map_err(|error| bad(io_reason(&error)))?;
    let metadata = real.metadata().map_err(|error| bad(io_reason(&error)))?;
    if metadata.is_dir() { Ok((real, metadata)) } else { Err(bad("it is not a directory".to_owned())) }
}

fn io_reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound { "it does not exist".to_owned() } else { error.to_string() }
}

/// What no private directory may hide, without symbolic links where that can be told.
fn kept(asked: &[PathBuf]) -> Result<Vec<PathBuf>, SandboxError> {
    let executable = std::env::current_exe().map_err(SandboxError::Proc)?;
    let all = asked.iter().cloned().chain([executable]).chain(ALWAYS_KEPT.map(PathBuf::from));
    Ok(all.map(|path| path.canonicalize().unwrap_or(path)).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Isolation;
    use super::*;

    fn plan(private: &[&Path], keep: &[&Path]) -> Result<Plan, SandboxError> {
        let owned = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect();
        Plan::check(&SandboxSpec {
            isolation: Isolation::Full,
            work: std::env::temp_dir(),
            work_mib: 0,
            private: owned(private),
            sysctls: BTreeMap::new(),
            real_root: false,
            connection_table: None,
            keep: owned(keep),
            reach: Vec::new(),
            lifeline: None,
            leaves_behind: false,
        })
    }

    #[track_caller]
    fn check_refused(private: &Path, keep: &[&Path], expected: &str) {
        let error = plan(&[private], keep).expect_err("a directory that must not be covered").to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_directory_that_is_needed_stays_in_sight() {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run");
        check_refused(folder.path(), &[&run], "it would hide");
        check_refused(folder.path(), &[folder.path()], "it would hide");
        check_refused(Path::new("/"), &[], "it would hide");
        check_refused(Path::new("/dev"), &[], "it would hide `/dev`");
        let executable = std::env::current_exe().expect("a path");
        check_refused(executable.parent().expect("a folder"), &[], "it would hide");
        fs::create_dir(&run).expect("a folder");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&run, &link).expect("a link");
        check_refused(&link, &[&run.join("out")], "it would hide");
    }

    #[test]
    fn what_is_no_directory_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        check_refused(file.path(), &[], "it is not a directory");
        check_refused(Path::new("run"), &[], "it must be an absolute path");
        check_refused(&file.path().with_extension("none"), &[], "it does not exist");
    }

    #[test]
    fn parents_are_covered_first_and_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).expect("a folder");
        let plan = plan(&[&inner, folder.path(), &inner], &[]).expect("a plan");
        let paths: Vec<_> = plan.private.iter().map(|private| private.path.as_path()).collect();
        assert_eq!(paths, [folder.path(), &inner]);
    }
}

//! Directories in which programs leave files for all to see, and which a trial has for itself alone.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use holdline_model::mishap::FullFolder;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::statvfs;

use super::error::SandboxError;
use super::process::errno_of;
use super::tmpfs::{Room, mount_tmpfs};

/// With full isolation each of them, where there is one, is empty when a trial begins.
const OWN: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];
const MODE: u32 = 0o1777;

/// The directories, without symbolic links, and what stays in sight of what the host has there.
#[derive(Debug)]
pub(super) struct Own {
    directories: Vec<PathBuf>,
    reach: Vec<PathBuf>,
}

impl Own {
    /// Looks where they are. What of `kept` does not lie in them is none of their business.
    pub(super) fn look(kept: &[PathBuf]) -> Self {
        let mut directories: Vec<PathBuf> =
            OWN.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
        directories.sort();
        directories.dedup();
        let is_below = |path: &Path| {
            let below = |own: &&PathBuf| path.starts_with(own) && path != own.as_path();
            directories.iter().any(|own| below(&own))
        };
        let mut reach: Vec<PathBuf> = Vec::new();
        let mut below: Vec<&PathBuf> = kept.iter().filter(|path| is_below(path)).collect();
        // Folders come before what is in them.
        below.sort();
        for path in below {
            if !reach.last().is_some_and(|last| path.starts_with(last)) {
                reach.push(path.clone());
            }
        }
        Self { directories, reach }
    }

    /// Whether this is one of them.
    pub(super) fn contains(&self, path: &Path) -> bool {
        self.directories.iter().any(|own| own == path)
    }

    /// Covers them, in the mount namespace of this process.
    pub(super) fn mount(&self) -> Result<(), SandboxError> {
        // Held before it is hidden. What is not there any more is missed by whoever needs it.
        let held: Vec<(&PathBuf, OwnedFd)> =
            self.reach.iter().filter_map(|path| Some((path, hold(path).ok()?))).collect();
        for path in &self.directories {
            mount_tmpfs(path, MODE, Room::OWN)?;
        }
        for (path, held) in held {
            let failed = |errno| SandboxError::Mount { path: path.clone(), errno };
            bind(&held, path).map_err(|error| failed(errno_of(&error)))?;
        }
        Ok(())
    }
}

/// Which of a trial's directories is full.
pub(super) fn full_folder(work: &Path) -> Option<FullFolder> {
    let own = OWN.iter().map(|path| (*path, Path::new(path), Room::OWN));
    [("work folder", work, Room::WORK)].into_iter().chain(own).find_map(|(name, path, room)| {
        let stat = statvfs(path).ok()?;
        let is_full = stat.blocks_available() == 0 || stat.files_free() == 0;
        let size_mib = u32::try_from((stat.blocks() * stat.fragment_size()) >> 20).unwrap_or(u32::MAX);
        is_full.then(|| FullFolder { folder: name.to_owned(), size_mib, files: room.inodes })
    })
}

fn hold(path: &Path) -> io::Result<OwnedFd> {
    Ok(OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_CLOEXEC).open(path)?.into())
}

/// Makes a file over which another can be mounted. One that is there is left as it is: by another path, with `..` or by a
/// link, it may be the host's own already, mounted a moment before.
fn place_for(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

/// Makes what is held appear at a path again.
fn bind(held: &OwnedFd, path: &Path) -> io::Result<()> {
    let source = format!("/proc/self/fd/{}", held.as_raw_fd());
    if fs::metadata(&source)?.is_dir() {
        fs::create_dir_all(path)?;
    } else {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        place_for(path)?;
    }
    let (none, flags) = (None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC);
    mount(Some(source.as_str()), path, none, flags, none).map_err(|errno: Errno| io::Error::from(errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new");
        place_for(&path).expect("a file");
        fs::write(&path, "the host's").expect("written");
        place_for(&path).expect("a file");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "the host's");
    }

    #[test]
    fn what_is_needed_below_them_stays_in_reach_once() {
        let kept = ["/tmp/a/b", "/home/x", "/tmp/a", "/tmp/ab", "/tmp", "/usr/tmp", "/var/tmp/c/d"]
            .map(PathBuf::from);
        let own = Own::look(&kept);
        assert_eq!(own.reach, ["/tmp/a", "/tmp/ab", "/var/tmp/c/d"].map(PathBuf::from));
        assert!(own.contains(Path::new("/tmp")) && !own.contains(Path::new("/tmp/a")));
    }
}

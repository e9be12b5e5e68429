//! Directories that are a trial's own, in memory, and how much fits into them.

use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::error::SandboxError;

/// How much a trial may keep in a directory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes of files, in MiB.
    pub(super) size_mib: u32,
    /// How many files and folders.
    pub(super) inodes: u32,
}

impl Room {
    /// In the work folder, `{dir}`.
    pub(super) const WORK: Self = Self { size_mib: 1024, inodes: 200_000 };
    /// In each of the others.
    pub(super) const OWN: Self = Self { size_mib: 256, inodes: 50_000 };

    /// So many MiB more.
    pub(super) const fn with(self, more_mib: u32) -> Self {
        Self { size_mib: self.size_mib.saturating_add(more_mib), ..self }
    }
}

/// Covers a directory, which is there.
pub(super) fn mount_tmpfs(path: &Path, mode: u32, room: Room) -> Result<(), SandboxError> {
    let Room { size_mib, inodes } = room;
    let options = format!("mode={mode:o},size={size_mib}m,nr_inodes={inodes}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some(options.as_str()))
        .map_err(|errno| SandboxError::Mount { path: path.to_owned(), errno })
}

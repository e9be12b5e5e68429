//! Files and folders with which something could not be done.

use std::io;
use std::path::{Path, PathBuf};

/// Something that could not be done with a file or a folder.
#[derive(Debug, thiserror::Error)]
#[error("failed to {doing} {}", .path.display())]
pub(super) struct PathError {
    /// What was tried.
    doing: &'static str,
    /// The file or folder.
    pub(super) path: PathBuf,
    /// What the kernel said.
    pub(super) source: io::Error,
}

/// What says of an error what was tried, and with which file or folder.
pub(super) fn to(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PathError {
    move |source| PathError { doing, path: path.to_owned(), source }
}

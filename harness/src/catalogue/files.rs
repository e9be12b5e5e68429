//! Reading a file that a user names: whatever it is, at once or not at all.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use libc::O_NONBLOCK;

/// More than anybody writes by hand.
const BYTES_MAX: u64 = 1 << 20;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {}: {why}", .path.display())]
pub struct ReadError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

impl ReadError {
    pub(super) fn io(path: &Path, error: impl Into<io::Error>) -> Self {
        Self { path: path.to_owned(), why: error.into().to_string() }
    }

    fn why(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), why: why.into() }
    }
}

/// The text of a regular file of at most 1 MiB.
///
/// # Errors
///
/// It is no such file: a folder, a pipe, a device, too long, not UTF-8.
pub(super) fn read(path: &Path) -> Result<String, ReadError> {
    let io = |error| ReadError::io(path, error);
    if path.metadata().map_err(io)?.is_dir() {
        return Err(ReadError::why(path, "it is a folder"));
    }
    // Opening a pipe that nobody writes to would wait without end (fifo(7)).
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(ReadError::why(path, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(ReadError::why(path, format!("it is longer than {} MiB", BYTES_MAX >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        ReadError::why(path, format!("it is not UTF-8, from byte {} on", error.utf8_error().valid_up_to()))
    })
}

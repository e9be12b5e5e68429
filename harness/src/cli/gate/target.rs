//! The baseline's file.

use std::io;
use std::path::{Path, PathBuf};

use holdline_model::gate::Baseline;
use nix::unistd::{AccessFlags, access};

use crate::exit::Failure;
use crate::rundir::{hint, write_atomically};

/// Reads a baseline.
pub(super) fn read(path: &Path) -> Result<Baseline, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "; `holdline gate --save-baseline` makes one",
            _ => "",
        };
        Failure::usage(format!("failed to read the baseline {}: {error}{hint}", path.display()))
    })?;
    Baseline::parse(&text).map_err(|error| {
        Failure::usage(format!("{} is no baseline of this holdline: {error}", path.display()))
    })
}

/// Whether a baseline could be written here, before anything is measured.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let wrong = |what: &str| Failure::usage(format!("the baseline {} {what}", path.display()));
    let file = match path.metadata() {
        // What is no file is not replaced by one.
        Ok(data) if !data.is_file() => return Err(wrong("is no file; name one that is, or a new one")),
        Ok(_) => {
            access(path, AccessFlags::W_OK).map_err(|errno| unwritable(path, &errno.into()))?;
            behind_links(path)?
        }
        Err(_) if path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            return Err(wrong("is no file's name"));
        }
        Err(_) => path.to_owned(),
    };
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.exists() {
        let parent = parent.display();
        return Err(Failure::usage(format!(
            "the baseline's folder {parent} does not exist; create it first"
        )));
    }
    tempfile::tempfile_in(parent).map(drop).map_err(|error| unwritable(path, &error))
}

/// Writes a baseline, whole or not at all.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let file = if path.exists() { behind_links(path)? } else { path.to_owned() };
    write_atomically(&file, text.as_bytes()).map_err(|error| unwritable(path, &error))
}

/// A symbolic link stays one, and what it points to is replaced.
fn behind_links(path: &Path) -> Result<PathBuf, Failure> {
    path.canonicalize().map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let old = if path.exists() { "; the old one is as it was" } else { "" };
    let (path, hint) = (path.display(), hint(error));
    Failure::environment(format!("failed to write the baseline {path}: {error}{hint}{old}"))
}

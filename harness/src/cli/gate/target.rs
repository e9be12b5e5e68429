//! The baseline's file.

use std::path::Path;

use holdline_model::gate::Baseline;

use crate::exit::Failure;
use crate::rundir::write_atomically;

/// Reads a baseline.
pub(super) fn read(path: &Path) -> Result<Baseline, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "; `holdline gate --save-baseline` makes one",
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
    if path.is_dir() || path.file_name().is_none() {
        return Err(Failure::usage(format!("the baseline {} is no file's name", path.display())));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
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
    write_atomically(path, text.as_bytes()).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::environment(format!("failed to write the baseline {}: {error}", path.display()))
}

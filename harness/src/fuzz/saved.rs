//! Cases that are kept: what earlier runs found is tried before anything else.

use std::io;
use std::path::{Path, PathBuf};

use holdline_model::support;

use super::FuzzError;
use crate::catalogue::{ScenarioEntry, SupervisorEntry};

/// A case that was kept.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Its file.
    pub path: PathBuf,
    /// What it says.
    pub entry: ScenarioEntry,
}

/// Reads the cases of a folder, in order of their names; none, if there is no such folder yet, which is made.
///
/// # Errors
///
/// The folder cannot be used, a file in it is no scenario, or the supervisor does not support one.
pub fn read_all(folder: &Path, supervisor: &SupervisorEntry) -> Result<Vec<Saved>, FuzzError> {
    let fail = |error: io::Error| FuzzError::Folder { path: folder.to_owned(), error };
    if folder.is_file() {
        return Err(FuzzError::NotAFolder(folder.to_owned()));
    }
    std::fs::create_dir_all(folder).map_err(fail)?;
    // Whatever is found is to be kept: that it can be is proven beforehand.
    tempfile::tempfile_in(folder).map_err(fail)?;
    let entries: Vec<_> =
        std::fs::read_dir(folder).map_err(fail)?.collect::<io::Result<_>>().map_err(fail)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let is_root = nix::unistd::geteuid().is_root();
    let read = |path: PathBuf| {
        let entry = ScenarioEntry::read(&path).map_err(FuzzError::SavedWrong)?;
        match support::lack(&supervisor.supervisor, &entry.scenario, is_root) {
            None => Ok(Saved { path, entry }),
            Some(lack) => {
                let supervisor = supervisor.supervisor.name.clone();
                Err(FuzzError::SavedUnsupported { path, supervisor, lack: Box::new(lack) })
            }
        }
    };
    paths.into_iter().map(read).collect()
}

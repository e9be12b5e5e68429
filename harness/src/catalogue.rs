//! Scenarios and supervisors by name, glob or path.
//!
//! The catalogue is embedded in the executable, so that an installed holdline needs no other file.
//! A path (anything with a slash, or that ends in `.toml`) overrides it.

mod files;
mod requests;
mod select;
mod templates;

use std::path::{Path, PathBuf};

use holdline_model::file::FileError;
use holdline_model::result::Change;
use holdline_model::scenario::{self, Scenario};
use holdline_model::supervisor::{self, Supervisor};
use include_dir::{Dir, DirEntry, include_dir};

pub use self::files::ReadError;
use self::files::read;
pub use self::requests::{RequestProblem, check_requests};
pub use self::select::{
    SelectError, is_description, is_path, required, select_scenarios, select_supervisors,
};
pub use self::templates::{TemplateProblem, check_templates, templates_have};

static SCENARIOS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../scenarios");

/// The scenario that runs where none is named.
pub const DEFAULT_SCENARIO: &str = "crash";
/// The name of a supervisor's description in its folder.
const DESCRIPTION: &str = "supervisor.toml";

/// A scenario and where it comes from.
#[derive(Debug, Clone)]
pub struct ScenarioEntry {
    /// The file's text.
    pub text: String,
    /// The file's name for messages.
    pub origin: String,
    /// The folder that it stands in; `None`: it is in none on disk.
    pub folder: Option<PathBuf>,
    /// What it says.
    pub scenario: Scenario,
}

/// A supervisor's description and where it comes from.
#[derive(Debug, Clone)]
pub struct SupervisorEntry {
    /// The text of supervisor.toml.
    pub text: String,
    /// The file's name for messages.
    pub origin: String,
    /// The folder that it stands in.
    pub source: Source,
    /// What it says.
    pub supervisor: Supervisor,
    /// Remedies that have been applied to it, to prove them.
    pub applied: Vec<Change>,
}

/// The folder of a description.
#[derive(Debug, Clone)]
pub enum Source {
    /// Embedded in the executable.
    Embedded(&'static Dir<'static>),
    /// On disk.
    Folder(PathBuf),
}

/// Every scenario of the catalogue, by name.
///
/// # Errors
///
/// If an embedded file is wrong, which the tests rule out.
pub fn scenarios() -> Result<Vec<ScenarioEntry>, SelectError> {
    let mut entries = Vec::new();
    collect_scenarios(&SCENARIOS, &mut entries)?;
    entries.sort_by(|a, b| a.scenario.name.cmp(&b.scenario.name));
    Ok(entries)
}

fn collect_scenarios(dir: &Dir<'_>, entries: &mut Vec<ScenarioEntry>) -> Result<(), SelectError> {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(inner) => collect_scenarios(inner, entries)?,
            DirEntry::File(file) if file.path().extension().is_some_and(|e| e == "toml") => {
                let text = file.contents_utf8().unwrap_or_default();
                let origin = format!("scenarios/{}", file.path().display());
                entries.push(scenario_entry(text.to_owned(), origin)?);
            }
            DirEntry::File(_) => {}
        }
    }
    Ok(())
}

fn scenario_entry(text: String, origin: String) -> Result<ScenarioEntry, SelectError> {
    Ok(ScenarioEntry::parse(text, origin)?)
}

impl ScenarioEntry {
    /// An entry of a scenario's text; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// The text is wrong.
    pub fn parse(text: String, origin: String) -> Result<Self, Box<FileError>> {
        let scenario = scenario::parse(&text, &origin)?;
        Ok(Self { text, origin, folder: None, scenario })
    }

    /// Reads a scenario's file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is wrong.
    pub fn read(path: &Path) -> Result<Self, SelectError> {
        let entry = scenario_entry(read(path)?, path.display().to_string())?;
        Ok(Self { folder: Some(folder_of(path)?), ..entry })
    }
}

impl SupervisorEntry {
    /// An entry of a description's text; `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// The text is wrong.
    pub fn parse(text: String, origin: String, source: Source) -> Result<Self, Box<FileError>> {
        let mut supervisor = supervisor::parse(&text, &origin)?;
        if let Source::Folder(folder) = &source {
            let folder = folder.to_string_lossy();
            for word in &mut supervisor.version {
                *word = word.replace("{source}", &folder);
            }
        }
        Ok(Self { text, origin, source, supervisor, applied: Vec::new() })
    }

    /// Reads a description, from its file or from the folder of its supervisor.toml.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is wrong.
    pub fn read(path: &Path) -> Result<Self, SelectError> {
        let file = if path.is_dir() { path.join(DESCRIPTION) } else { path.to_owned() };
        let text = read(&file)?;
        let folder = folder_of(&file)?;
        Ok(Self::parse(text, file.display().to_string(), Source::Folder(folder))?)
    }
}

/// The folder of a file; absolute.
fn folder_of(file: &Path) -> Result<PathBuf, ReadError> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.canonicalize().map_err(|error| ReadError::io(folder, error))
}

/// Every supervisor of the catalogue: the reference supervisors first, each group by name.
///
/// # Errors
///
/// If an embedded file is wrong, which the tests rule out.
pub fn supervisors() -> Result<Vec<SupervisorEntry>, SelectError> {
    let mut entries = Vec::new();
    for folder in holdline_fixtures::embedded::SUPERVISORS.dirs() {
        for file in folder.files().filter(|file| file.path().extension().is_some_and(|e| e == "toml")) {
            let text = file.contents_utf8().unwrap_or_default().to_owned();
            let origin = format!("fixtures/supervisors/{}", file.path().display());
            entries.push(SupervisorEntry::parse(text, origin, Source::Embedded(folder))?);
        }
    }
    entries.sort_by(|a, b| key(&a.supervisor).cmp(&key(&b.supervisor)));
    Ok(entries)
}

/// The order in which supervisors are shown: reference supervisors from the simplest on.
fn key(supervisor: &Supervisor) -> (bool, usize, &str) {
    const LADDER: [&str; 10] = [
        "bare",
        "restart-loop",
        "held-socket",
        "inherited-fd",
        "backoff",
        "prefork",
        "standby",
        "reuse-port",
        "rolling",
        "handover",
    ];
    let step = LADDER.iter().position(|name| *name == supervisor.name).unwrap_or(LADDER.len());
    (!supervisor.reference, step, &supervisor.name)
}

#[cfg(test)]
mod tests;

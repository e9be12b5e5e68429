//! Scenarios and supervisors by name, glob or path.
//!
//! The catalogue is embedded in the executable, so that an installed holdline needs no other file.
//! A path (anything with a slash, or that ends in `.toml`) overrides it.

use std::path::{Path, PathBuf};

use globset::Glob;
use holdline_model::file::FileError;
use holdline_model::scenario::{self, Scenario};
use holdline_model::supervisor::{self, Supervisor};
use holdline_model::words::nearest;
use include_dir::{Dir, DirEntry, include_dir};

static SCENARIOS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../scenarios");

/// The scenario that runs where none is named.
pub const DEFAULT_SCENARIO: &str = "crash";

/// A scenario and where it comes from.
#[derive(Debug, Clone)]
pub struct ScenarioEntry {
    /// The file's text.
    pub text: String,
    /// The file's name for messages.
    pub origin: String,
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
}

/// The folder of a description.
#[derive(Debug, Clone)]
pub enum Source {
    /// Embedded in the executable.
    Embedded(&'static Dir<'static>),
    /// On disk.
    Folder(PathBuf),
}

/// Why a selection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// No scenario or supervisor has this name.
    #[error("no {what} is named `{name}`{}\n  `holdline list {what}s` shows them all", .nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    Unknown {
        /// `scenario` or `supervisor`.
        what: &'static str,
        /// What was asked for.
        name: String,
        /// The most similar name.
        nearest: Option<String>,
    },
    /// A pattern that is no glob.
    #[error("`{pattern}` is not a pattern: {error}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// Why.
        error: globset::Error,
    },
    /// A pattern that matches nothing.
    #[error("no {what} matches `{pattern}`")]
    NoMatch {
        /// `scenario` or `supervisor`.
        what: &'static str,
        /// The pattern.
        pattern: String,
    },
    /// A file that cannot be read.
    #[error("failed to read {path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file that is wrong.
    #[error("{0}")]
    File(#[from] Box<FileError>),
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
    let scenario = scenario::parse(&text, &origin).map_err(Box::new)?;
    Ok(ScenarioEntry { text, origin, scenario })
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
            let supervisor = supervisor::parse(&text, &origin).map_err(Box::new)?;
            entries.push(SupervisorEntry { text, origin, source: Source::Embedded(folder), supervisor });
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

/// The scenarios that these words select, each once, in the order of the words. Those that are opt-in
/// must be named.
///
/// # Errors
///
/// An unknown name, a pattern that matches nothing, a file that is wrong.
pub fn select_scenarios(words: &[String]) -> Result<Vec<ScenarioEntry>, SelectError> {
    let default = [DEFAULT_SCENARIO.to_owned()];
    let words = if words.is_empty() { &default } else { words };
    let all = scenarios()?;
    let mut selected: Vec<ScenarioEntry> = Vec::new();
    for word in words {
        let found = if is_path(word) {
            vec![scenario_entry(read(Path::new(word))?, word.clone())?]
        } else {
            matching("scenario", word, &all, |entry| &entry.scenario.name, |entry| entry.scenario.opt_in)?
        };
        for entry in found {
            if !selected.iter().any(|other| other.scenario.name == entry.scenario.name) {
                selected.push(entry);
            }
        }
    }
    Ok(selected)
}

/// The supervisors that these words select, each once, in the order of the words.
///
/// # Errors
///
/// An unknown name, a pattern that matches nothing, a file that is wrong.
pub fn select_supervisors(words: &[String]) -> Result<Vec<SupervisorEntry>, SelectError> {
    let all = supervisors()?;
    if words.is_empty() {
        return Ok(all.into_iter().filter(|entry| entry.supervisor.reference).collect());
    }
    let mut selected: Vec<SupervisorEntry> = Vec::new();
    for word in words {
        let found = if is_path(word) {
            vec![supervisor_from_path(Path::new(word))?]
        } else {
            matching("supervisor", word, &all, |entry| &entry.supervisor.name, |_| false)?
        };
        for entry in found {
            if !selected.iter().any(|other| other.supervisor.name == entry.supervisor.name) {
                selected.push(entry);
            }
        }
    }
    Ok(selected)
}

fn supervisor_from_path(path: &Path) -> Result<SupervisorEntry, SelectError> {
    let file = if path.is_dir() { path.join("supervisor.toml") } else { path.to_owned() };
    let text = read(&file)?;
    let origin = file.display().to_string();
    let supervisor = supervisor::parse(&text, &origin).map_err(Box::new)?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder =
        folder.canonicalize().map_err(|error| SelectError::Read { path: folder.to_owned(), error })?;
    Ok(SupervisorEntry { text, origin, source: Source::Folder(folder), supervisor })
}

fn read(path: &Path) -> Result<String, SelectError> {
    std::fs::read_to_string(path).map_err(|error| SelectError::Read { path: path.to_owned(), error })
}

fn is_path(word: &str) -> bool {
    word.starts_with(['.', '/']) || word.ends_with(".toml")
}

fn matching<T: Clone>(
    what: &'static str,
    word: &str,
    all: &[T],
    name: impl Fn(&T) -> &String,
    is_opt_in: impl Fn(&T) -> bool,
) -> Result<Vec<T>, SelectError> {
    if word == "all" {
        return Ok(all.iter().filter(|entry| !is_opt_in(entry)).cloned().collect());
    }
    if !word.contains(['*', '?', '[', '{']) {
        if let Some(entry) = all.iter().find(|entry| name(entry) == word) {
            return Ok(vec![entry.clone()]);
        }
        // A folder of scenarios, as `survivor`, stands for all in it.
        let is_beneath =
            |entry: &&T| name(entry).strip_prefix(word).is_some_and(|rest| rest.starts_with('/'));
        let family: Vec<T> = all.iter().filter(is_beneath).cloned().collect();
        if !family.is_empty() {
            return Ok(family);
        }
        return Err(SelectError::Unknown {
            what,
            name: word.to_owned(),
            nearest: nearest(word, all.iter().map(|entry| name(entry).as_str())).map(str::to_owned),
        });
    }
    let glob = Glob::new(word).map_err(|error| SelectError::Glob { pattern: word.to_owned(), error })?;
    let matcher = glob.compile_matcher();
    let found: Vec<T> =
        all.iter().filter(|entry| !is_opt_in(entry) && matcher.is_match(name(entry))).cloned().collect();
    if found.is_empty() {
        return Err(SelectError::NoMatch { what, pattern: word.to_owned() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;

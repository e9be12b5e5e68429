//! What the words of a command line select, and whether a word is a path.

use std::ffi::OsStr;
use std::path::Path;

use globset::Glob;
use holdline_model::file::FileError;
use holdline_model::words::nearest;

use super::{
    DEFAULT_SCENARIO, DESCRIPTION, ReadError, ScenarioEntry, Source, SupervisorEntry, read, scenarios,
    supervisors,
};

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
    /// A supervisor that is required, and is none of the run's.
    #[error("--require `{name}`: the run has no supervisor of this name{}\n  -s {name} adds it, `holdline list supervisors` shows all that there are", .nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    NotInRun {
        /// What was asked for.
        name: String,
        /// The most similar name of the run's supervisors.
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
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file that is wrong.
    #[error(transparent)]
    File(#[from] Box<FileError>),
    /// Two of the same name, which results could not tell apart.
    #[error("two {what}s are named `{name}`: {first} and {second}; give one of them another name")]
    Twice {
        /// `scenario` or `supervisor`.
        what: &'static str,
        /// Their name.
        name: String,
        /// Where the one stands.
        first: String,
        /// Where the other does.
        second: String,
    },
}

/// The scenarios that these words select, each once, in the order of the words. Those that are opt-in
/// must be named.
///
/// # Errors
///
/// An unknown name, a pattern that matches nothing, a file that is wrong, two of the same name.
pub fn select_scenarios(words: &[impl AsRef<OsStr>]) -> Result<Vec<ScenarioEntry>, SelectError> {
    let all = scenarios()?;
    if words.is_empty() {
        return matching("scenario", DEFAULT_SCENARIO, &all);
    }
    select(words, &all, ScenarioEntry::read)
}

/// The supervisors that these words select, each once, in the order of the words.
///
/// # Errors
///
/// An unknown name, a pattern that matches nothing, a file that is wrong, two of the same name.
pub fn select_supervisors(words: &[impl AsRef<OsStr>]) -> Result<Vec<SupervisorEntry>, SelectError> {
    let all = supervisors()?;
    if words.is_empty() {
        return Ok(all.into_iter().filter(|entry| entry.supervisor.reference).collect());
    }
    select(words, &all, SupervisorEntry::read)
}

/// The word that stands for every supervisor of a run.
const ALL: &str = "all";

/// The names of those of these supervisors that must run, as these words say: names, or `all`.
///
/// # Errors
///
/// A name that none of them has.
pub fn required(words: &[String], supervisors: &[SupervisorEntry]) -> Result<Vec<String>, SelectError> {
    let names = || supervisors.iter().map(|entry| entry.supervisor.name.as_str());
    if let Some(name) = words.iter().find(|word| *word != ALL && names().all(|name| name != *word)) {
        let nearest = nearest(name, names()).map(str::to_owned);
        return Err(SelectError::NotInRun { name: name.clone(), nearest });
    }
    let is_required = |name: &&str| words.iter().any(|word| word == ALL || word == name);
    Ok(names().filter(is_required).map(str::to_owned).collect())
}

/// What can be selected.
trait Entry: Clone {
    const WHAT: &'static str;
    fn name(&self) -> &str;
    fn origin(&self) -> &str;
    fn is_opt_in(&self) -> bool;
    /// Whether it is the same in all but the word by which it was found.
    fn is_same(&self, other: &Self) -> bool;
}

impl Entry for ScenarioEntry {
    const WHAT: &'static str = "scenario";

    fn name(&self) -> &str {
        &self.scenario.name
    }

    fn origin(&self) -> &str {
        &self.origin
    }

    fn is_opt_in(&self) -> bool {
        self.scenario.opt_in
    }

    fn is_same(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Entry for SupervisorEntry {
    const WHAT: &'static str = "supervisor";

    fn name(&self) -> &str {
        &self.supervisor.name
    }

    fn origin(&self) -> &str {
        &self.origin
    }

    fn is_opt_in(&self) -> bool {
        false
    }

    /// The same text in two folders may have other templates.
    fn is_same(&self, other: &Self) -> bool {
        let is_same_folder = match (&self.source, &other.source) {
            (Source::Embedded(one), Source::Embedded(other)) => one.path() == other.path(),
            (Source::Folder(one), Source::Folder(other)) => one == other,
            (Source::Embedded(_), Source::Folder(_)) | (Source::Folder(_), Source::Embedded(_)) => false,
        };
        is_same_folder && self.text == other.text
    }
}

fn select<T: Entry>(
    words: &[impl AsRef<OsStr>],
    all: &[T],
    read: impl Fn(&Path) -> Result<T, SelectError>,
) -> Result<Vec<T>, SelectError> {
    let mut selected: Vec<T> = Vec::new();
    for word in words {
        let found = match name_in(word.as_ref()) {
            None => vec![read(Path::new(word))?],
            Some(name) => matching(T::WHAT, name, all)?,
        };
        for entry in found {
            match selected.iter().find(|other| other.name() == entry.name()) {
                None => selected.push(entry),
                Some(other) if other.is_same(&entry) => {}
                Some(other) => {
                    return Err(SelectError::Twice {
                        what: T::WHAT,
                        name: entry.name().to_owned(),
                        first: other.origin().to_owned(),
                        second: entry.origin().to_owned(),
                    });
                }
            }
        }
    }
    Ok(selected)
}

/// Whether a word is the path of a file or folder, not a name or a pattern.
#[must_use]
pub fn is_path(word: &OsStr) -> bool {
    name_in(word).is_none()
}

/// The name or pattern that a word is, unless it is a path. What is not UTF-8 is no name.
fn name_in(word: &OsStr) -> Option<&str> {
    let word = word.to_str()?;
    let is_path = word.starts_with(['.', '/']) || word.ends_with(".toml");
    (!is_path).then_some(word)
}

/// Whether a path is that of a supervisor's description, also where it is wrong: by its name, else by
/// which kind's keys it has more of.
#[must_use]
pub fn is_description(path: &Path) -> bool {
    if path.is_dir() || path.file_name().is_some_and(|name| name == DESCRIPTION) {
        return true;
    }
    let Ok(text) = read(path) else { return false };
    let count = |keys: &[&str]| text.lines().filter(|line| keys.contains(&key_of(line))).count();
    let supervisor = count(&[
        "about", "version", "install", "runs", "socket", "start", "stop", "ready", "files", "control",
    ]);
    supervisor
        > count(&["asks", "about", "means", "listen", "workers", "load", "fault", "expect", "reference"])
}

/// The first key in a line of TOML, of a table or a value.
fn key_of(line: &str) -> &str {
    let line = line.trim_start_matches(['[', ' ', '\t']);
    line.split(['=', ']', '.', ' ', '\t']).next().unwrap_or_default()
}

fn matching<T: Entry>(what: &'static str, word: &str, all: &[T]) -> Result<Vec<T>, SelectError> {
    if word == "all" {
        return Ok(all.iter().filter(|entry| !entry.is_opt_in()).cloned().collect());
    }
    if !word.contains(['*', '?', '[', '{']) {
        if let Some(entry) = all.iter().find(|entry| entry.name() == word) {
            return Ok(vec![entry.clone()]);
        }
        // A folder of scenarios, as `survivor`, stands for all in it.
        let is_beneath =
            |entry: &&T| entry.name().strip_prefix(word).is_some_and(|rest| rest.starts_with('/'));
        let family: Vec<T> = all.iter().filter(is_beneath).cloned().collect();
        if !family.is_empty() {
            return Ok(family);
        }
        return Err(SelectError::Unknown {
            what,
            name: word.to_owned(),
            nearest: nearest(word, all.iter().map(T::name)).map(str::to_owned),
        });
    }
    let glob = Glob::new(word).map_err(|error| SelectError::Glob { pattern: word.to_owned(), error })?;
    let matcher = glob.compile_matcher();
    let found: Vec<T> =
        all.iter().filter(|entry| !entry.is_opt_in() && matcher.is_match(entry.name())).cloned().collect();
    if found.is_empty() {
        return Err(SelectError::NoMatch { what, pattern: word.to_owned() });
    }
    Ok(found)
}

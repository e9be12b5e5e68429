//! A plan as it is kept in a run directory, and the files of a plan that was kept, as they are now.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use holdline_model::planned::{PlanFile, PlannedFile, SCHEMA};
use holdline_model::supervisor::Supervisor;

use super::Plan;
use crate::catalogue::{self, ScenarioEntry, SelectError, Source, SupervisorEntry};

/// Name of the plan's file in a run directory.
pub const PLAN_JSON: &str = "plan.json";

/// A plan that was recorded, and cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// There is none.
    #[error("{} has no {PLAN_JSON}: only what `holdline run` or `holdline compare` began can be gone on with", .0.display())]
    Missing(PathBuf),
    /// It cannot be read.
    #[error("failed to read {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is no plan of this version.
    #[error("{} is not a plan of holdline ({SCHEMA}): {why}", .path.display())]
    NotAPlan {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file of it cannot be had any more.
    #[error("{what} `{name}` of the run: {error}")]
    Gone {
        /// `scenario` or `supervisor`.
        what: &'static str,
        /// Its name in the run.
        name: String,
        /// Why.
        error: Box<SelectError>,
    },
    /// A file of it is not what it was.
    #[error(
        "{what} `{name}` is not what it was when the run began: {origin} has changed; restore it, or begin a run anew"
    )]
    Changed {
        /// `scenario` or `supervisor`.
        what: &'static str,
        /// Its name in the run.
        name: String,
        /// Its file.
        origin: String,
    },
}

impl Plan {
    /// What is kept of it.
    #[must_use]
    pub fn to_file(&self) -> PlanFile {
        let scenario = |(name, entry): (&String, &ScenarioEntry)| PlannedFile {
            name: name.clone(),
            origin: entry.origin.clone(),
            file: entry.folder.as_ref().map(|folder| beside(folder, &entry.origin)),
            text: entry.text.clone(),
        };
        let supervisor = |(name, entry): (&String, &SupervisorEntry)| PlannedFile {
            name: name.clone(),
            origin: entry.origin.clone(),
            file: match &entry.source {
                Source::Embedded(_) => None,
                Source::Folder(folder) => Some(beside(folder, &entry.origin)),
            },
            text: entry.text.clone(),
        };
        PlanFile {
            schema: SCHEMA.to_owned(),
            worker: self.worker,
            excuses_reference: self.excuses_reference,
            scenarios: self.scenarios.iter().map(scenario).collect(),
            supervisors: self.supervisors.iter().map(supervisor).collect(),
            trials: self.trials.clone(),
        }
    }
}

/// A file's absolute path, of its folder's and the name that it was given by.
fn beside(folder: &Path, origin: &str) -> PathBuf {
    folder.join(Path::new(origin).file_name().unwrap_or(OsStr::new(origin)))
}

/// A plan as JSON, with a newline at its end.
pub(super) fn to_text(plan: &PlanFile) -> String {
    let mut text = serde_json::to_string_pretty(plan).expect("plans are representable as JSON");
    text.push('\n');
    text
}

/// Reads the plan in a run directory.
///
/// # Errors
///
/// There is none, or it is of another version.
pub fn read_plan(dir: &Path) -> Result<PlanFile, RecordedError> {
    let path = dir.join(PLAN_JSON);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        // A result may stand alone as well, as an export.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(RecordedError::Missing(dir.to_owned()));
        }
        Err(error) => return Err(RecordedError::Read { path, error }),
    };
    let plan: PlanFile = serde_json::from_str(&text)
        .map_err(|error| RecordedError::NotAPlan { path: path.clone(), why: error.to_string() })?;
    if plan.schema != SCHEMA {
        return Err(RecordedError::NotAPlan { path, why: format!("its schema is `{}`", plan.schema) });
    }
    Ok(plan)
}

/// Whether the files of a plan may have changed since it was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// They must be what they were: trials of one run are of the same files.
    AsTheyWere,
    /// They are taken as they are.
    AsTheyAre,
}

/// The scenarios of a plan that was kept.
///
/// # Errors
///
/// One is gone, wrong, or has changed although it must not.
pub fn scenarios_of(plan: &PlanFile, files: Files) -> Result<Vec<ScenarioEntry>, RecordedError> {
    const WHAT: &str = "scenario";
    let all = catalogue::scenarios();
    let entry = |planned: &PlannedFile| {
        let found = match &planned.file {
            Some(file) => ScenarioEntry::read(file),
            None => {
                let all = all.as_ref().map(Vec::as_slice).unwrap_or_default();
                let same = |entry: &&ScenarioEntry| entry.origin == planned.origin;
                all.iter().find(same).cloned().ok_or_else(|| unknown(WHAT, planned))
            }
        };
        let entry = found.map_err(|error| gone(WHAT, planned, error))?;
        check(WHAT, planned, &entry.text, files)?;
        Ok(ScenarioEntry { origin: planned.origin.clone(), ..entry })
    };
    plan.scenarios.iter().map(entry).collect()
}

/// The supervisors of a plan that was kept, under the names that they had in it.
///
/// # Errors
///
/// As [`scenarios_of`].
pub fn supervisors_of(plan: &PlanFile, files: Files) -> Result<Vec<SupervisorEntry>, RecordedError> {
    const WHAT: &str = "supervisor";
    let all = catalogue::supervisors();
    let entry = |planned: &PlannedFile| {
        let found = match &planned.file {
            Some(file) => SupervisorEntry::read(file),
            None => {
                let all = all.as_ref().map(Vec::as_slice).unwrap_or_default();
                let same = |entry: &&SupervisorEntry| entry.origin == planned.origin;
                all.iter().find(same).cloned().ok_or_else(|| unknown(WHAT, planned))
            }
        };
        let entry = found.map_err(|error| gone(WHAT, planned, error))?;
        check(WHAT, planned, &entry.text, files)?;
        let supervisor = Supervisor { name: planned.name.clone(), ..entry.supervisor };
        Ok(SupervisorEntry { origin: planned.origin.clone(), supervisor, ..entry })
    };
    plan.supervisors.iter().map(entry).collect()
}

fn unknown(what: &'static str, planned: &PlannedFile) -> SelectError {
    SelectError::Unknown { what, name: planned.name.clone(), nearest: None }
}

fn gone(what: &'static str, planned: &PlannedFile, error: SelectError) -> RecordedError {
    RecordedError::Gone { what, name: planned.name.clone(), error: Box::new(error) }
}

fn check(what: &'static str, planned: &PlannedFile, now: &str, files: Files) -> Result<(), RecordedError> {
    match files {
        Files::AsTheyWere if planned.text != now => Err(RecordedError::Changed {
            what,
            name: planned.name.clone(),
            origin: planned.file.as_ref().map_or(planned.origin.clone(), |file| file.display().to_string()),
        }),
        Files::AsTheyWere | Files::AsTheyAre => Ok(()),
    }
}

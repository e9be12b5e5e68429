//! Why a supervisor cannot be fuzzed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use holdline_model::lack::Lack;

use crate::catalogue::SelectError;
use crate::run::RunError;
use crate::rundir::hint;

/// Why a supervisor cannot be fuzzed.
#[derive(Debug, thiserror::Error)]
pub enum FuzzError {
    /// It lacks something, here or at all.
    #[error("`{supervisor}` cannot be fuzzed: {lack}")]
    Unsupported {
        /// Which.
        supervisor: String,
        /// What it lacks.
        lack: Box<Lack>,
    },
    /// It does not serve even where nothing is done to it.
    #[error("`{supervisor}` does not come up even without a fault: {reason}")]
    NeverUp {
        /// Which.
        supervisor: String,
        /// Why.
        reason: String,
        /// Whether what is asked of it is wrong, as its description says it.
        is_wrongly_asked: bool,
    },
    /// The first trials have taken all the time that there was.
    #[error(
        "the budget of {budget:?} was over before the first case: the two trials that show the pace of `{supervisor}` took \
         longer; give --budget more"
    )]
    NoTime {
        /// Which.
        supervisor: String,
        /// How long it was to be fuzzed.
        budget: Duration,
    },
    /// No fault can be drawn.
    #[error("nothing can be done to `{0}`: no signal, poison, failing start or control verb is supported")]
    Nothing(String),
    /// A file that is kept is none of a case.
    #[error("a saved case is wrong; mend it, or take it out of the folder\n{0}")]
    SavedWrong(#[source] SelectError),
    /// A case that is kept cannot be run any more.
    #[error(
        "the saved case {} is not supported by `{supervisor}`: {lack}; take it out of the folder, or name another with --save",
        .path.display()
    )]
    SavedUnsupported {
        /// The file.
        path: PathBuf,
        /// By which supervisor.
        supervisor: String,
        /// What it lacks.
        lack: Box<Lack>,
    },
    /// The folder for cases is none.
    #[error("--save {}: it is a file; name a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The folder for cases cannot be used.
    #[error("failed to use the folder {} for cases: {error}{}", .path.display(), hint(.error))]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A case cannot be kept.
    #[error("failed to write the case {}: {error}{}", .path.display(), hint(.error))]
    Keep {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file that was made of a case is wrong.
    #[error("holdline drew a case that is none, which is a mistake of its own: {0}")]
    Drawn(String),
    /// Trials cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
}

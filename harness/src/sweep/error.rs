//! Why a sweep cannot be made.

use holdline_model::file::FileError;

use crate::run::RunError;
use crate::rundir::RunDirError;

/// Why a sweep cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Its trials cannot be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The run directory cannot be written to.
    #[error(transparent)]
    Dir(#[from] RunDirError),
    /// A scenario that holdline has made for this supervisor is wrong.
    #[error(transparent)]
    File(#[from] Box<FileError>),
    /// It cannot be run here.
    #[error("nothing to sweep: {supervisor}: {reason}")]
    Unsupported {
        /// Its name.
        supervisor: String,
        /// Why.
        reason: String,
    },
    /// It does not serve even where nothing is done to it.
    #[error(
        "{supervisor} does not serve even where nothing is done to it, so that a sweep would say nothing: {reason}"
    )]
    NotUp {
        /// Its name.
        supervisor: String,
        /// What came of it.
        reason: String,
    },
    /// The user ended it before it had begun.
    #[error("the sweep was interrupted before it had begun")]
    Interrupted,
}

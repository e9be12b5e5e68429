//! Why a run cannot begin, or did not go on.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::catalogue::{RequestProblem, TemplateProblem};
use crate::causes::causes;
use crate::load::LoadError;
use crate::rundir::RunDirError;
use crate::sandbox::SandboxError;
use crate::tls::TlsError;

/// Why a run cannot begin, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan has no trials.
    #[error("nothing is selected: this slice of the trials is empty")]
    Empty,
    /// A trial of the plan names what the plan does not hold.
    #[error("the plan has a trial of {what} `{name}`, but not that {what} itself")]
    NotPlanned {
        /// `scenario` or `supervisor`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A template is missing or wrong.
    #[error(transparent)]
    Template(#[from] TemplateProblem),
    /// The load client cannot speak TLS as it is told.
    #[error("{origin}: {error}")]
    Tls {
        /// The file that says so.
        origin: String,
        /// Why not.
        error: TlsError,
    },
    /// A service cannot be asked what it is to be asked.
    #[error(transparent)]
    Request(#[from] RequestProblem),
    /// The sandbox cannot be had.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Where trials keep their files cannot be used.
    #[error("{error}; TMPDIR names another folder for temporary files")]
    Temporary {
        /// Which folder, and why.
        error: Box<dyn Error + Send + Sync>,
    },
    /// The run directory cannot be written to.
    #[error(transparent)]
    Dir(#[from] RunDirError),
    /// A path that reaches a trial's processes in JSON, and templates as text.
    #[error("{what} {path:?} is not UTF-8, which configuration templates need; {remedy}")]
    NotUtf8 {
        /// What is there.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// holdline does not know its own executable.
    #[error(
        "failed to find holdline's own executable: {0} (remedy: `mount -t proc proc /proc`, or a container)"
    )]
    Executable(io::Error),
    /// There is no `/dev/null`, which whatever is started without input or output needs.
    #[error("failed to open /dev/null: {0} (remedy: `mknod -m 666 /dev/null c 1 3`, or a container)")]
    Null(io::Error),
    /// There are too few descriptors for a load.
    #[error("failed to prepare the load client: failed to {0}")]
    Load(#[from] LoadError),
    /// A limit of this process is too low.
    #[error(
        "at most {limit} descriptors may be open here, and holdline needs {needed} (remedy: `ulimit -n {needed}` or more)"
    )]
    Descriptors {
        /// The limit.
        limit: u64,
        /// How many it takes.
        needed: u64,
    },
    /// The runtime cannot be had.
    #[error("failed to start the runtime: {0}")]
    Runtime(io::Error),
    /// Signals cannot be waited for.
    #[error("failed to handle signals: {0}")]
    Signals(io::Error),
    /// Another process cannot be started.
    #[error(
        "failed to start a trial's process: no more are allowed here (remedy: a higher limit of processes, see `ulimit -u`)"
    )]
    Processes,
    /// A trial could not even be started.
    #[error(transparent)]
    Trial(Box<dyn Error + Send + Sync>),
    /// A trial could not be run, and no other can.
    #[error("{0}")]
    Fatal(String),
    /// Whoever takes what is recorded could not.
    #[error(transparent)]
    Sink(Box<dyn Error + Send + Sync>),
    /// Interrupted a second time.
    #[error("interrupted twice; what had been recorded is kept")]
    InterruptedTwice,
}

impl RunError {
    /// Why a trial could not even be started.
    pub(super) fn not_started(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        // fork(2): RLIMIT_NPROC, or the whole machine's limit.
        let is_refused = causes(error.as_ref())
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| error.raw_os_error() == Some(libc::EAGAIN));
        if is_refused { Self::Processes } else { Self::Trial(error) }
    }
}

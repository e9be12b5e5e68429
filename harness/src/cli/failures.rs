//! Which exit code an error has.

use crate::calibrate::CalibrationError;
use crate::catalogue::SelectError;
use crate::exit::{self, Failure};
use crate::export::ExportError;
use crate::run::{RecordedError, RunError};
use crate::rundir::RunDirError;
use crate::sweep::SweepError;

impl From<SelectError> for Failure {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::NoMatch { .. } => Self::nothing(error),
            SelectError::Unknown { .. }
            | SelectError::NotInRun { .. }
            | SelectError::Glob { .. }
            | SelectError::Read(_)
            | SelectError::File(_)
            | SelectError::Twice { .. } => Self::usage(error),
        }
    }
}

impl From<RunDirError> for Failure {
    fn from(error: RunDirError) -> Self {
        match error {
            RunDirError::Occupied(_) | RunDirError::NotEmpty(_) | RunDirError::Busy(_) => Self::usage(error),
            RunDirError::Write { .. } | RunDirError::Read { .. } | RunDirError::NotAResult { .. } => {
                Self::environment(error)
            }
        }
    }
}

impl From<RecordedError> for Failure {
    fn from(error: RecordedError) -> Self {
        match error {
            RecordedError::Read { .. } => Self::environment(error),
            RecordedError::Missing(_)
            | RecordedError::NotAPlan { .. }
            | RecordedError::Gone { .. }
            | RecordedError::Changed { .. } => Self::usage(error),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        if error.is_usage() { Self::usage(error) } else { Self::environment(error) }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Empty => Self::nothing(error),
            RunError::NotPlanned { .. }
            | RunError::Template(_)
            | RunError::Request(_)
            | RunError::Tls { .. } => Self::usage(error),
            RunError::InterruptedTwice => Self { code: exit::INTERRUPTED, error: error.into() },
            RunError::Dir(error) => error.into(),
            RunError::Sandbox(_)
            | RunError::Temporary { .. }
            | RunError::NotUtf8 { .. }
            | RunError::Executable(_)
            | RunError::Null(_)
            | RunError::Load(_)
            | RunError::Descriptors { .. }
            | RunError::Runtime(_)
            | RunError::Signals(_)
            | RunError::Processes
            | RunError::Trial(_)
            | RunError::Fatal(_)
            | RunError::Sink(_) => Self::environment(error),
        }
    }
}

impl From<CalibrationError> for Failure {
    fn from(error: CalibrationError) -> Self {
        match error {
            CalibrationError::Run(error) => error.into(),
            CalibrationError::Interrupted => Self { code: exit::INCONCLUSIVE, error: error.into() },
            CalibrationError::Temporary(_)
            | CalibrationError::File(_)
            | CalibrationError::NoResult { .. } => Self::environment(error),
        }
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Run(error) => error.into(),
            SweepError::Dir(error) => error.into(),
            SweepError::File(_) => Self::environment(error),
            SweepError::Unsupported { .. } => Self::nothing(error),
            SweepError::NotUp { .. } | SweepError::Interrupted => {
                Self { code: exit::INCONCLUSIVE, error: error.into() }
            }
        }
    }
}

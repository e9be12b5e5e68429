//! The exit codes: constants, never a count.

use std::error::Error;

use crate::causes::in_full;

/// Every trial met its scenario's expectations.
pub const PASS: u8 = 0;
/// An expectation or a gate failed, or the fuzzer found a failure.
pub const FAILED: u8 = 1;
/// The command line or a file is wrong; nothing was started.
pub const USAGE: u8 = 2;
/// Some trial is inconclusive, and none failed.
pub const INCONCLUSIVE: u8 = 3;
/// The selection is empty, nothing of it can be run here, or something that must run could not.
pub const NOTHING_SELECTED: u8 = 4;
/// The environment does not allow the run: namespaces, disk, permissions.
pub const ENVIRONMENT: u8 = 5;
/// Interrupted twice, as shells show a process that SIGINT ended.
pub const INTERRUPTED: u8 = 130;

/// Something that ends the program early: what to say, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What to say.
    pub error: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// The command line or a file is wrong.
    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: USAGE, error: error.into() }
    }

    /// The environment does not allow it.
    pub fn environment(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: ENVIRONMENT, error: error.into() }
    }

    /// Nothing is selected.
    pub fn nothing(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: NOTHING_SELECTED, error: error.into() }
    }

    /// The error and what caused it, in one sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        in_full(self.error.as_ref())
    }
}

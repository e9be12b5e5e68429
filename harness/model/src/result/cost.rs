//! What a supervisor and its workers cost the machine.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::worded::Worded;

/// What the supervisor and its workers cost the machine while the load ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CostResult {
    /// CPU time, user and system, of the supervisor, all that it started, and control commands; the
    /// load client and the harness do not count.
    pub cpu_ns: u64,
    /// How long the load ran, in which this was used.
    pub elapsed_ns: u64,
    /// How it was obtained, and to within what.
    pub method: Worded<CostMethod>,
}

/// How CPU time was obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostMethod {
    /// From `/proc`, of each process of the trial but the harness.
    Processes {
        /// To within how many milliseconds of each.
        within_ms: u64,
    },
}

impl fmt::Display for CostMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Processes { within_ms } = self;
        write!(
            f,
            "/proc: all processes of the trial but the harness, ended ones included, to within {within_ms} ms each"
        )
    }
}

//! What became of requests by when faults struck.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of requests before any fault, while faults made themselves felt, and after that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phases {
    /// What was clear when the first fault struck: answered, lost, or late already.
    pub before: Phase,
    /// From then on until the last fault had struck and the service was back.
    pub during: Phase,
    /// What was due from then on.
    pub after: Phase,
}

/// What became of the requests of one phase. Those that carried a fault are among the lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// Those that were served within the deadline.
    pub in_time: u64,
    /// Those that were served after it.
    pub late: u64,
    /// Those that were not served.
    pub lost: u64,
}

//! What became of silent clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Quantiles;

/// What became of silent clients: attempts that connect and ask for nothing. Those of `planned` that
/// did not connect have the fates that others have then: refused, SYN dropped, not sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SilentResult {
    /// Attempts that were to be silent.
    pub planned: u64,
    /// Those that the server closed without a word.
    pub closed: u64,
    /// Those that the server told something before it closed or reset: over HTTP, a 408.
    pub told: u64,
    /// Those that were reset without a word.
    pub reset: u64,
    /// Those that were still open when their clients left, a time-out after they had come.
    pub open: u64,
    /// How long the server bore those that it ended: finished − connected.
    pub borne: Quantiles,
}

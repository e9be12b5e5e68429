//! What became of sessions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of sessions: attempts whose connection carries several requests. The rest of
/// `planned` was not sent, or lost before a worker had accepted it, or timed out, or got an
/// error or a wrong reply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionsResult {
    /// Attempts that were to be sessions.
    pub planned: u64,
    /// Those that got the right reply to every request.
    pub completed: u64,
    /// Those that the server ended between two requests: served as far as they had asked.
    pub closed_idle: u64,
    /// Those that a server ended after it had accepted them, while a request was under way.
    pub cut: u64,
    /// Requests that all sessions were to send.
    pub requests_planned: u64,
    /// Requests that got their right reply.
    pub requests_answered: u64,
    /// Requests that were lost with their session: the one under way, or all that were sent at once and not answered.
    #[serde(default)]
    pub requests_lost: u64,
}

//! What became of the connections of a pool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of the connections of a pool, and of those who used them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolResult {
    /// Connections that were opened.
    pub connections: u64,
    /// Attempts that were sent over a connection that had carried others.
    pub reused: u64,
    /// Of these, those whose connection ended before a byte of the reply came: the server closed while the request
    /// was on its way.
    pub broken: u64,
    /// Of these, those that were sent once more, over a fresh connection.
    pub retried: u64,
    /// Of these, those that were lost all the same.
    pub retried_lost: u64,
    /// Of the retried, those that workers read twice; absent where workers keep no ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_twice: Option<u64>,
    /// Idle connections that the server closed, and that were not used again for that.
    pub closed_idle: u64,
    /// Idle connections that the server reset.
    pub reset_idle: u64,
    /// Idle connections on which the server said something: over HTTP, a 408.
    pub told_idle: u64,
    /// Connections that were not used again since a reply said that the server closes them.
    pub announced: u64,
    /// Connections that were not used again since they had been idle for as long as the server said, or the client
    /// allows.
    pub expired: u64,
    /// Connections that the client closed since the pool was full.
    pub surplus: u64,
}

//! How connections ended, as a result says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How connections ended, as their clients saw it; of some nothing was seen, since the client had gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndingsResult {
    /// Ended by the server in an orderly way (FIN).
    pub fin: u64,
    /// Ended by the server with a reset (RST).
    pub resets: u64,
    /// Of these, in the midst of a reply.
    pub resets_in_reply: u64,
    /// Attempts whose reply came, and whose request could not be sent to its end, since the server had closed.
    pub send_failed: u64,
    /// Attempts whose server ended its side before it had all of the request, and went on to read.
    pub half_closed: u64,
}

//! Attempts of a pool, and the connections that carried them.

use super::{ClientRecord, Ending, Outcome};
use crate::words::words;

words! {
    /// What became of the connection of a pool behind an attempt that was carried by it.
    Afterwards ("fate of a connection", "snake_case") {
        /// It was used again.
        Reused = "reused",
        /// It was idle when the load ended.
        Idle = "idle",
        /// The server closed it while it was idle.
        Closed = "closed",
        /// The server reset it while it was idle.
        Reset = "reset",
        /// The server said something while it was idle: over HTTP, a 408.
        Told = "told",
        /// The reply had said that the server closes it.
        Announced = "announced",
        /// It had been idle for as long as the server said (`Keep-Alive: timeout`), or the client allows.
        Expired = "expired",
        /// The client closed it, since the pool was full.
        Surplus = "surplus",
        /// It ended with the attempt, which did not get its right reply, or was given up for that.
        Ended = "ended",
    }
}

/// How an attempt of a pool was carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// The attempt that had opened the connection over which it was sent first: itself, if that was fresh.
    pub by: u32,
    /// It was sent once more over a fresh connection of its own, since the one that was used again had ended like
    /// this before a byte of the reply.
    pub retried: Option<Ending>,
    /// What became of the connection that carried it last.
    pub afterwards: Afterwards,
}

impl ClientRecord {
    /// Whether it was sent over a connection that others had opened: first, if it was sent twice.
    #[must_use]
    pub fn was_reused(&self) -> bool {
        self.carried.is_some_and(|carried| carried.by != self.attempt)
    }

    /// Whether it was sent twice.
    #[must_use]
    pub fn was_retried(&self) -> bool {
        self.carried.is_some_and(|carried| carried.retried.is_some())
    }

    /// Whether it was sent, over a connection of its own: it is the one that `connect` was called for.
    #[must_use]
    pub fn opened(&self) -> bool {
        let was_sent = self.started.is_some() && !matches!(self.outcome, Outcome::NotSent(_));
        was_sent && (!self.was_reused() || self.was_retried())
    }
}

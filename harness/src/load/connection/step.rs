//! What a connection says of itself to whoever drives it.

use holdline_contract::clock::now_ns;
use holdline_model::record::Outcome;

use super::super::pauses::Pause;

/// Where an attempt has got to.
#[derive(Debug, Clone, Copy)]
pub(in crate::load) enum Step {
    /// It can do nothing until its socket reports something.
    Wait,
    /// It can go on at once, but has done so for long: others are to have their turn.
    Yield,
    /// It pauses until this instant, and is to be resumed then. Its socket may report something before.
    Pause(Pause, u64),
    /// Its outcome is clear.
    Ended(End),
    /// The server has closed, after the outcome was clear.
    Closed,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::load) struct End {
    pub(in crate::load) at_ns: u64,
    pub(in crate::load) outcome: Outcome,
    /// The version that the server gave of itself, 0 if none.
    pub(in crate::load) version: u16,
    /// Whether the server's close is still to be awaited: the side that closes first keeps the port
    /// in TIME_WAIT, and that must not be the client.
    pub(in crate::load) lingers: bool,
    /// Until when another attempt may use the connection; `None`: none may.
    pub(in crate::load) reusable_ns: Option<u64>,
}

impl End {
    pub(in crate::load) fn now(outcome: Outcome) -> Self {
        Self { at_ns: now_ns(), outcome, version: 0, lingers: false, reusable_ns: None }
    }
}

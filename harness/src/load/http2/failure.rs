//! What an error of the protocol means for a stream.

use h2::{Error, Reason};
use holdline_model::record::StreamEnd;

use super::super::transport::Broken;

/// Why nothing more comes on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The connection ended beneath it.
    Ended,
    /// The stream did, or the protocol.
    Broken(Broken),
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        if error.is_io() {
            return Self::Ended;
        }
        let reason = error.reason();
        Self::Broken(match (error.is_remote(), reason) {
            (true, _) if error.is_go_away() => Broken::Stream(StreamEnd::GoneAway),
            (true, Some(Reason::REFUSED_STREAM)) => Broken::Stream(StreamEnd::Refused),
            (true, Some(reason)) => Broken::Stream(StreamEnd::Reset(reason.into())),
            // What the server said broke the protocol's rules.
            (_, Some(_)) => Broken::Malformed,
            (_, None) => Broken::Ours,
        })
    }
}

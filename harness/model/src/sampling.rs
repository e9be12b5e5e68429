//! How a latency was obtained, and what samples tell of a connection that waited in an accept queue.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{AcceptSamples, ClientRecord, Waiting};
use crate::told::{Phrase, Told};

/// How a latency was obtained, where there is more than one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Method {
    /// Workers wrote down when they accepted.
    Stamped,
    /// One value for each request, not for each attempt.
    ByRequest,
    /// From samples of those who waited to be accepted.
    Sampled {
        /// Median time between two looks, in nanoseconds.
        interval_ns: u64,
        /// How far an instant may be off, in nanoseconds.
        resolution_ns: u64,
    },
}

impl Told for Method {
    fn phrase(&self) -> Phrase {
        match *self {
            Self::Stamped => Phrase::new("stamped by the worker"),
            Self::ByRequest => Phrase::new(
                "timing each answered request from its own intended start, less the client's own pauses",
            ),
            Self::Sampled { interval_ns, resolution_ns } => Phrase::new("sampled every ")
                .ns(interval_ns)
                .text(" from sock_diag (connections without an inode), to within ")
                .ns(resolution_ns),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.phrase().fmt(f)
    }
}

/// What was seen of an attempt that waited.
pub(crate) fn waiting_of(attempt: u32, samples: &AcceptSamples) -> Option<&Waiting> {
    let index = samples.waiting.binary_search_by_key(&attempt, |waiting| waiting.attempt).ok()?;
    samples.waiting.get(index)
}

/// Whether a connection had left the accept queue by an instant, as far as samples tell. While a listener is
/// open nothing leaves its queue but by `accept`.
#[must_use]
pub(crate) fn left_queue_by(record: &ClientRecord, samples: &AcceptSamples, at_ns: u64) -> bool {
    let left_ns = match (waiting_of(record.attempt, samples), record.connected) {
        (Some(waiting), _) => waiting.gone_ns,
        (None, Some(connected)) => end_of_look_after(connected.get(), samples),
        (None, None) => None,
    };
    left_ns.is_some_and(|left_ns| left_ns <= at_ns)
}

/// The end of the first look that began at an instant or later: one that began before may have
/// passed by the place where the connection then appeared.
pub(crate) fn end_of_look_after(at_ns: u64, samples: &AcceptSamples) -> Option<u64> {
    let next = samples.looks.partition_point(|(began_ns, _)| *began_ns < at_ns);
    samples.looks.get(next).map(|(_, ended_ns)| *ended_ns)
}

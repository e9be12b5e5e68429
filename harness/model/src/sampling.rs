//! How a latency was obtained, and what samples tell of a connection that waited in an accept queue.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::{AcceptSamples, ClientRecord, Waiting};
use crate::scenario::arrivals::Extent;
use crate::scenario::{Arrivals, Load};
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

/// The fewest and the most places of a network namespace's own table of connections: so many take some 5
/// and 15 µs to be walked while they are empty.
const PLACES: std::ops::RangeInclusive<u32> = 1 << 10..=1 << 14;
/// How many sockets may share a place before every segment is slowed down by them.
const SOCKETS_PER_PLACE: u32 = 4;

/// How many places a network namespace's own table of connections is to have under a load: few, since each
/// look at those that nobody has accepted walks all of them, and enough for both ends of all connections that
/// can be open at once.
#[must_use]
pub fn connection_table(load: &Load) -> u32 {
    let at_once = match load.arrivals {
        Arrivals::Sequential { .. } => 1,
        Arrivals::Closed { clients } => clients,
        Arrivals::Constant { .. }
        | Arrivals::Poisson { .. }
        | Arrivals::Ramp { .. }
        | Arrivals::Burst { .. } => {
            // A planned number beyond u32 saturates.
            let planned = Extent::of(load).attempts_planned.map_or(u32::MAX, |planned| planned as u32);
            planned.min(load.in_flight_max)
        }
    };
    let places = at_once.saturating_mul(2).div_ceil(SOCKETS_PER_PLACE);
    places.clamp(*PLACES.start(), *PLACES.end()).next_power_of_two()
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
        (None, Some(connected)) => {
            end_of_look_after(appeared_ns(record.attempt, connected.get(), samples), samples)
        }
        (None, None) => None,
    };
    left_ns.is_some_and(|left_ns| left_ns <= at_ns)
}

/// From when on a connection can have been in the accept queue: from its handshake on, which its client may take
/// for finished long before the server's kernel does (`TCP_DEFER_ACCEPT`, or a queue that was full).
pub(crate) fn appeared_ns(attempt: u32, connected_ns: u64, samples: &AcceptSamples) -> u64 {
    half_open_ns(attempt, samples).map_or(connected_ns, |last_ns| connected_ns.max(last_ns + 1))
}

/// When the server's kernel was seen last not to have finished this attempt's handshake.
pub(crate) fn half_open_ns(attempt: u32, samples: &AcceptSamples) -> Option<u64> {
    let index = samples.half_open.binary_search_by_key(&attempt, |seen| seen.attempt).ok()?;
    samples.half_open.get(index).map(|seen| seen.last_seen_ns)
}

/// Whether a connection was half-open for the server's kernel for as long as it can have been handed to anybody: no
/// look that ended by an instant found that it was so no longer.
pub(crate) fn was_kept_back(attempt: u32, samples: &AcceptSamples, until_ns: u64) -> bool {
    half_open_ns(attempt, samples).is_some_and(|seen_ns| {
        end_of_look_after(seen_ns + 1, samples).is_none_or(|ended_ns| ended_ns > until_ns)
    })
}

/// The end of the first look that began at an instant or later: one that began before may have
/// passed by the place where the connection then appeared.
pub(crate) fn end_of_look_after(at_ns: u64, samples: &AcceptSamples) -> Option<u64> {
    let next = samples.looks.partition_point(|(began_ns, _)| *began_ns < at_ns);
    samples.looks.get(next).map(|(_, ended_ns)| *ended_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario;

    #[track_caller]
    fn check(load: &str, places: u32) {
        let text = format!("name = \"t\"\nasks = \"?\"\n[load]\n{load}\n");
        let scenario = scenario::parse(&text, "t.toml").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(connection_table(&scenario.load), places, "{load}");
    }

    #[test]
    fn the_table_is_as_small_as_the_connections_allow() {
        check("arrivals = { sequential = \"1ms\" }\nattempts = 100000", 1024);
        check("arrivals = { constant = \"100/s\" }\nduration = \"2s\"", 1024);
        check("arrivals = { constant = \"3000/s\" }\nduration = \"2s\"", 4096);
        check("arrivals = { constant = \"3000/s\" }\nduration = \"2s\"\nin-flight = 100", 1024);
        check("arrivals = { closed = 5000 }\nduration = \"2s\"", 4096);
        check("arrivals = { closed = 10000 }\nduration = \"2s\"", 8192);
    }
}

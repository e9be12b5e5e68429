//! The end of a trial's story: whether it is known when the load ends, and what the watch found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, NotAsked};
use crate::record::{ClientRecord, Outcome, RequestRecord};
use crate::requests::last_answered;
use crate::series::Series;

/// The last request that was due of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastRequest {
    /// When it was due: in CLOCK_MONOTONIC nanoseconds, in the file from the load's start.
    pub due_ns: u64,
    /// Whether it was served, in time or not.
    pub served: bool,
    /// Whether any request of the load was.
    pub any_served: bool,
}

/// The last request that was due, of those that were sent. Of a session that was cut, that is the one which
/// was not answered: due a gap after the answer before.
#[must_use]
pub fn last_request(
    client: Series<'_, ClientRecord>,
    requests: &[RequestRecord],
    gap_ns: u64,
) -> Option<LastRequest> {
    let latest = last_answered(requests);
    let is_served = |record: &ClientRecord| matches!(record.outcome, Outcome::Replied | Outcome::ClosedIdle);
    let any_served = !requests.is_empty() || client.iter().any(is_served);
    let sent = client.iter().filter(|record| !matches!(record.outcome, Outcome::NotSent(_)));
    let last_of = |record: &ClientRecord| {
        let served = is_served(record);
        let due_ns = match latest.get(&record.attempt) {
            Some(request) if served => request.intended_ns,
            Some(request) => request.answered_ns.saturating_add(gap_ns),
            None => record.intended_ns,
        };
        LastRequest { due_ns, served, any_served }
    };
    sent.map(last_of).max_by_key(|last| (last.due_ns, last.served))
}

/// A watch that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// When it began, in CLOCK_MONOTONIC nanoseconds: the load had ended, and nothing was under way.
    pub began_ns: u64,
    /// When it was over.
    pub ended_ns: u64,
    /// What it found.
    pub found: Found,
}

/// What a watch found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// The service is back.
    Back {
        /// Since when, in CLOCK_MONOTONIC nanoseconds: the beginning of the first request that was served in
        /// time, or where one was served late before, the end of that.
        at_ns: u64,
    },
    /// It is not back within the patience.
    NotBack {
        /// What came of the last request, if one was made to its end.
        last: Option<Answer>,
    },
    /// The supervisor has ended, and no process is left that could listen.
    NothingLeft,
    /// It cannot be told: the last request could not be made.
    Unasked {
        /// Why.
        cause: NotAsked,
    },
    /// The user asked for an early end.
    Interrupted,
}

impl Watched {
    /// Since when the service is back, in CLOCK_MONOTONIC nanoseconds; `None`: it is not, as far as is known.
    #[must_use]
    pub const fn back_ns(&self) -> Option<u64> {
        match self.found {
            Found::Back { at_ns } => Some(at_ns),
            Found::NotBack { .. } | Found::NothingLeft | Found::Unasked { .. } | Found::Interrupted => None,
        }
    }

    /// How long it lasted, in nanoseconds; at least 1, as 0 means that there was none.
    #[must_use]
    pub fn lasted_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.began_ns).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::NotSent;
    use crate::words::Stage;

    fn record(attempt: u32, intended_ns: u64, outcome: Outcome) -> ClientRecord {
        ClientRecord { outcome, ..ClientRecord::planned(attempt, intended_ns, false) }
    }

    fn last(due_ns: u64, served: bool) -> Option<LastRequest> {
        Some(LastRequest { due_ns, served, any_served: true })
    }

    #[test]
    fn the_last_request_is_the_last_that_was_sent() {
        let client = [
            record(0, 10, Outcome::Replied),
            record(1, 20, Outcome::Refused),
            record(2, 30, Outcome::NotSent(NotSent::InFlightCap)),
        ];
        assert_eq!(last_request((&client).into(), &[], 0), last(20, false));
        assert_eq!(last_request((&client[..1]).into(), &[], 0), last(10, true));
        assert_eq!(last_request((&client[2..]).into(), &[], 0), None);
        let lost = Some(LastRequest { due_ns: 20, served: false, any_served: false });
        assert_eq!(last_request((&client[1..]).into(), &[], 0), lost);
    }

    #[test]
    fn a_session_that_is_cut_late_outlives_attempts_that_were_due_after_it() {
        let answered = |attempt, intended_ns, answered_ns| RequestRecord {
            attempt,
            intended_ns,
            answered_ns,
            paused_ns: 0,
        };
        let requests = [answered(0, 10, 11), answered(0, 61, 62), answered(1, 50, 51)];
        let cut = [record(0, 10, Outcome::Reset), record(1, 50, Outcome::ClosedIdle)];
        assert_eq!(last_request((&cut).into(), &requests, 50), last(112, false));
        let whole = [record(0, 10, Outcome::Replied), record(1, 50, Outcome::TimedOut(Stage::Reply))];
        assert_eq!(last_request((&whole).into(), &requests, 50), last(101, false));
        assert_eq!(last_request((&whole[..1]).into(), &requests, 50), last(61, true));
    }

    #[test]
    fn a_watch_lasts_for_some_time_at_least() {
        let watched = Watched { began_ns: 5, ended_ns: 5, found: Found::NothingLeft };
        assert_eq!((watched.lasted_ns(), watched.back_ns()), (1, None));
    }
}

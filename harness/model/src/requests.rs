//! What became of each request, for whoever waited for it.
//!
//! A connection that carries one request is one; a session is as many as were due: those that were answered,
//! each from its own intended start, and the one under way when the session was lost. A session that is cut
//! after hundreds of answers has lost one request, and those before were served when they were.

use std::collections::BTreeMap;

use crate::ledger::{Attempt, Reconciled};
use crate::record::{ClientRecord, RequestRecord};
use crate::scenario::Connection;
use crate::series::Series;
use crate::sessions::lost_requests;
use crate::words::{Blame, Fate};

/// How a request went, for whoever waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Served within the deadline.
    InTime,
    /// Served after it.
    Late,
    /// Not served.
    Lost,
    /// Never sent, for the generator's own reasons, or never meant to be: it says nothing about how the
    /// server serves.
    NotSent,
}

/// A request that was due. Instants are CLOCK_MONOTONIC nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Its intended start.
    pub due_ns: u64,
    /// Since when it is clear how it went: it was answered or lost, or its deadline had passed. `u64::MAX`
    /// where nobody knows.
    pub clear_ns: u64,
    /// How it went.
    pub service: Service,
    /// Whether it was lost because it carried a fault: that is nobody's failing, and interrupts nothing.
    pub is_poison: bool,
}

/// How an attempt went. A session is late if one of its requests was.
#[must_use]
pub fn service(attempt: &Attempt, deadline_ns: u64) -> Service {
    match attempt.fate {
        Fate::NotSent | Fate::Silent => Service::NotSent,
        Fate::Served if attempt.waited_ns > deadline_ns => Service::Late,
        Fate::Served => Service::InTime,
        _ => Service::Lost,
    }
}

/// The requests of a trial in order of their intended start.
#[must_use]
pub fn in_order(
    connection: &Connection,
    client: Series<'_, ClientRecord>,
    requests: &[RequestRecord],
    reconciled: &Reconciled,
    deadline_ns: u64,
) -> Vec<Request> {
    let answered = requests.iter().map(|request| {
        let waited_ns = request.latency_ns();
        let begun_ns = request.intended_ns.saturating_add(request.paused_ns);
        one(request.intended_ns, begun_ns, request.answered_ns, waited_ns > deadline_ns, deadline_ns)
    });
    let last = last_answered(requests);
    let others = reconciled.attempts.iter().flat_map(|attempt| {
        let record = client.get(attempt.record as usize);
        let other = record.and_then(|record| {
            let planned = connection.of_attempt(record.attempt);
            let last_ns = last.get(&record.attempt).map(|request| request.answered_ns);
            let one = of_attempt(attempt, record, last_ns, planned.gap_ns, deadline_ns)?;
            match planned.pipeline {
                true => {
                    let lost = lost_requests(&planned, attempt, record).max(1);
                    Some((Request { due_ns: record.intended_ns, ..one }, lost))
                }
                false => Some((one, 1)),
            }
        });
        other.into_iter().flat_map(|(request, times)| (0..times).map(move |_| request))
    });
    // Without growing as it is filled, it never takes twice the room.
    let mut order = Vec::with_capacity(requests.len() + reconciled.attempts.len());
    order.extend(answered.chain(others));
    order.sort_by_key(|request| request.due_ns);
    order
}

/// What an attempt has beside the requests that were answered, each of which has a record of its own.
fn of_attempt(
    attempt: &Attempt,
    record: &ClientRecord,
    last_answer_ns: Option<u64>,
    gap_ns: u64,
    deadline_ns: u64,
) -> Option<Request> {
    let finished_ns = record.finished.map_or(u64::MAX, std::num::NonZeroU64::get);
    let due_ns = last_answer_ns.map_or(record.intended_ns, |answered_ns| answered_ns.saturating_add(gap_ns));
    match service(attempt, deadline_ns) {
        Service::InTime | Service::Late if last_answer_ns.is_some() => None,
        Service::InTime => Some(one(due_ns, due_ns, finished_ns, false, deadline_ns)),
        Service::Late => Some(one(due_ns, due_ns, finished_ns, true, deadline_ns)),
        unserved @ (Service::Lost | Service::NotSent) => Some(Request {
            due_ns,
            clear_ns: finished_ns,
            service: unserved,
            is_poison: attempt.blame == Some(Blame::Poison),
        }),
    }
}

/// A request that was answered. It is late as soon as its deadline has passed since it began.
fn one(due_ns: u64, begun_ns: u64, answered_ns: u64, is_late: bool, deadline_ns: u64) -> Request {
    let (service, clear_ns) = if is_late {
        (Service::Late, begun_ns.saturating_add(deadline_ns))
    } else {
        (Service::InTime, answered_ns)
    };
    Request { due_ns, clear_ns, service, is_poison: false }
}

/// The requests that several client threads have written down, as one would have: in the order of their answers.
#[must_use]
pub fn joined(parts: impl IntoIterator<Item = Vec<RequestRecord>>) -> Vec<RequestRecord> {
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or_default();
    let one = all.len();
    parts.for_each(|mut part| all.append(&mut part));
    if all.len() > one {
        all.sort_by_key(|request| request.answered_ns);
    }
    all
}

/// Of each attempt that has answered requests of its own, the one that was answered last.
pub(crate) fn last_answered(requests: &[RequestRecord]) -> BTreeMap<u32, RequestRecord> {
    let mut last: BTreeMap<u32, RequestRecord> = BTreeMap::new();
    for request in requests {
        let latest = last.entry(request.attempt).or_insert(*request);
        if request.answered_ns >= latest.answered_ns {
            *latest = *request;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{Books, NO_WORKER};
    use crate::record::Outcome;

    const SESSION: Connection = Connection { requests: 5, gap_ns: 50, ..Connection::ONE_SHOT };

    fn record(attempt: u32, outcome: Outcome, finished_ns: u64, requests_answered: u16) -> ClientRecord {
        ClientRecord {
            finished: NonZeroU64::new(finished_ns),
            outcome,
            requests_answered,
            ..ClientRecord::planned(attempt, 100, false)
        }
    }

    fn attempt(record: u32, fate: Fate, waited_ns: u64) -> Attempt {
        Attempt { accepted: None, worker: NO_WORKER, record, fate, blame: None, retry: None, waited_ns }
    }

    fn answered(attempt: u32, intended_ns: u64, answered_ns: u64) -> RequestRecord {
        RequestRecord { attempt, intended_ns, answered_ns, paused_ns: 0 }
    }

    fn services(order: &[Request]) -> Vec<(u64, u64, Service)> {
        order.iter().map(|request| (request.due_ns, request.clear_ns, request.service)).collect()
    }

    #[test]
    fn a_session_that_is_cut_lost_the_request_under_way_alone() {
        use Service::{InTime, Late, Lost};
        let client = [record(0, Outcome::Reset, 320, 2), record(1, Outcome::ClosedIdle, 300, 1)];
        let requests = [answered(0, 100, 110), answered(0, 160, 190), answered(1, 100, 101)];
        let attempts = vec![attempt(0, Fate::NoReply, 30), attempt(1, Fate::Served, 1)];
        let reconciled = Reconciled { attempts, books: Books::default() };
        let order = in_order(&SESSION, (&client).into(), &requests, &reconciled, 20);
        // The third was due a gap after the second answer.
        let expected = [(100, 110, InTime), (100, 101, InTime), (160, 180, Late), (240, 320, Lost)];
        assert_eq!(services(&order), expected);
    }

    #[test]
    fn a_session_that_never_was_answered_lost_its_first_request() {
        let client = [record(0, Outcome::Refused, 105, 0)];
        let reconciled = Reconciled { attempts: vec![attempt(0, Fate::Refused, 0)], books: Books::default() };
        let order = in_order(&SESSION, (&client).into(), &[], &reconciled, 20);
        assert_eq!(services(&order), [(100, 105, Service::Lost)]);
    }

    #[test]
    fn a_late_answer_is_late_once_its_deadline_has_passed() {
        let client = [record(0, Outcome::Replied, 400, 1)];
        let reconciled =
            Reconciled { attempts: vec![attempt(0, Fate::Served, 300)], books: Books::default() };
        let order = in_order(&Connection::ONE_SHOT, (&client).into(), &[], &reconciled, 20);
        assert_eq!(services(&order), [(100, 120, Service::Late)]);
    }

    #[test]
    fn requests_are_in_the_order_of_their_answers() {
        let parts = [
            vec![answered(0, 0, 10), answered(2, 0, 30)],
            Vec::new(),
            vec![answered(1, 0, 5), answered(3, 0, 20)],
        ];
        let attempts: Vec<u32> = joined(parts).iter().map(|request| request.attempt).collect();
        assert_eq!(attempts, [1, 0, 3, 2]);
        // One thread's own order is left as it is.
        let alone = vec![answered(0, 0, 10), answered(1, 0, 5)];
        assert_eq!(joined([alone.clone()]), alone);
    }

    proptest! {
        #[test]
        fn requests_of_an_attempt_stay_in_their_order(
            answers in proptest::collection::vec((0_usize..5, 0_u64..9), 0..60),
        ) {
            // Of each part, answers come in the order of time, several at once among them.
            let mut parts = vec![Vec::new(); 5];
            let mut now_ns = 0;
            for (number, (part, wait_ns)) in answers.iter().enumerate() {
                now_ns += wait_ns / 4;
                parts[*part].push(RequestRecord { paused_ns: number as u64, ..answered(*part as u32, 0, now_ns) });
            }
            let merged = joined(parts.clone());
            prop_assert!(merged.is_sorted_by_key(|request| request.answered_ns));
            for (attempt, part) in parts.iter().enumerate() {
                let own: Vec<RequestRecord> =
                    merged.iter().filter(|request| request.attempt as usize == attempt).copied().collect();
                prop_assert_eq!(&own, part);
            }
        }
    }
}

//! What became of sessions: connections that carry several requests.
//!
//! An attempt is one connection, also when it carries several requests. It is served if every
//! request that it sent got its right reply. A server may end a session while it is idle, as one that
//! drains does: nothing is lost then, since the client knows that nothing is under way and can send
//! the rest over another connection. Such a session is served, and counts here as closed idle. One
//! that ended while a request was under way is lost, and counts here as cut.

use crate::ledger::{Attempt, Reconciled};
use crate::record::{ClientRecord, Outcome};
use crate::result::SessionsResult;
use crate::scenario::Connection;
use crate::series::Series;
use crate::words::Fate;

/// Counts a trial's sessions; `None` where its connections carry one request each.
#[must_use]
pub fn count(
    connection: &Connection,
    client: Series<'_, ClientRecord>,
    reconciled: &Reconciled,
) -> Option<SessionsResult> {
    if !connection.is_session() {
        return None;
    }
    let mut sessions = SessionsResult::default();
    for attempt in &reconciled.attempts {
        let Some(record) = client.get(attempt.record as usize) else { continue };
        let planned = connection.of_attempt(record.attempt);
        if planned.is_session() {
            sessions.planned += 1;
            sessions.requests_planned += u64::from(planned.requests);
            sessions.requests_answered += u64::from(record.requests_answered);
            sessions.requests_lost += lost_requests(&planned, attempt, record);
            add(&mut sessions, attempt, record);
        }
    }
    Some(sessions)
}

/// How many requests were lost with an attempt: the one under way, or all that were sent at once and not answered.
pub(crate) fn lost_requests(planned: &Connection, attempt: &Attempt, record: &ClientRecord) -> u64 {
    match attempt.is_lost() {
        false => 0,
        true if planned.pipeline => u64::from(planned.requests.saturating_sub(record.requests_answered)),
        true => 1,
    }
}

fn add(sessions: &mut SessionsResult, attempt: &Attempt, record: &ClientRecord) {
    match (attempt.fate, record.outcome) {
        (Fate::Served, Outcome::ClosedIdle) => sessions.closed_idle += 1,
        (Fate::Served, _) => sessions.completed += 1,
        (Fate::NoReply | Fate::Truncated, _) => sessions.cut += 1,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Books, NO_WORKER};

    #[test]
    fn every_end_of_a_session_has_its_place() {
        let ends = [
            (Outcome::Replied, Fate::Served, 3),
            (Outcome::ClosedIdle, Fate::Served, 2),
            (Outcome::ClosedIdle, Fate::Served, 1),
            (Outcome::Reset, Fate::NoReply, 1),
            (Outcome::Truncated, Fate::Truncated, 0),
            (Outcome::Refused, Fate::Refused, 0),
            (Outcome::TimedOut(crate::words::Stage::FirstByte), Fate::TimedOut, 2),
        ];
        let (client, attempts): (Vec<ClientRecord>, Vec<Attempt>) = (0..)
            .zip(ends)
            .map(|(attempt, (outcome, fate, requests_answered))| {
                let record = ClientRecord {
                    attempt,
                    intended_ns: 1,
                    started: None,
                    connected: None,
                    finished: None,
                    outcome,
                    poison: false,
                    syn_retransmits: 0,
                    version: 0,
                    requests_answered,
                    ..ClientRecord::planned(0, 0, false)
                };
                let attempt = Attempt {
                    accepted: None,
                    worker: NO_WORKER,
                    record: attempt,
                    fate,
                    blame: None,
                    retry: None,
                    waited_ns: 0,
                };
                (record, attempt)
            })
            .unzip();
        let reconciled = Reconciled { attempts, books: Books::default() };
        let session = Connection { requests: 3, ..Connection::ONE_SHOT };
        let expected = SessionsResult {
            planned: 7,
            completed: 1,
            closed_idle: 2,
            cut: 2,
            requests_planned: 21,
            requests_answered: 9,
            requests_lost: 4,
        };
        assert_eq!(count(&session, (&client).into(), &reconciled), Some(expected));
        assert_eq!(count(&Connection::ONE_SHOT, (&client).into(), &reconciled), None);
        // Attempts 1, 3 and 5 alone are sessions.
        let half =
            count(&Connection { every: 2, ..session }, (&client).into(), &reconciled).expect("sessions");
        assert_eq!((half.planned, half.completed, half.closed_idle, half.cut), (3, 0, 1, 1));
        // Of those that are sent at once, all that were not answered are lost: 2, 3, 3 and 1.
        let pipelined = count(&Connection { pipeline: true, ..session }, (&client).into(), &reconciled);
        assert_eq!(pipelined.expect("sessions").requests_lost, 9);
    }
}

//! Requests that are sent at once, and whose replies come in order.

use holdline::load::LoadPlan;
use holdline_model::record::{ClientRecord, Outcome, RequestRecord};
use holdline_model::scenario::{Connection, Timeouts};
use holdline_model::wire::Protocol;
use holdline_model::words::Stage;

use crate::sessions::run_logged;
use crate::visits::{Server, Then};
use crate::{MS, PATIENT, assert_tally};

const REQUESTS: u16 = 6;
const PIPELINE: Connection = Connection { requests: REQUESTS, pipeline: true, ..Connection::ONE_SHOT };
const ATTEMPTS: usize = 4;

/// Has each attempt answered three times, then this, and gives what was recorded.
#[track_caller]
fn run(protocol: Protocol, then: Then, timeouts: Timeouts) -> (Vec<ClientRecord>, Vec<RequestRecord>) {
    let server = Server::new(protocol);
    let plan = LoadPlan { timeouts, ..server.plan(ATTEMPTS, PIPELINE) };
    let seen = server.serve(ATTEMPTS, move |_| (3, then));
    let (records, requests) = run_logged(&plan);
    for (attempt, asked) in seen.join().expect("a server") {
        // Each request asks for another number, in order.
        let numbers: Vec<String> = (0..u32::from(REQUESTS))
            .map(|request| holdline_model::wire::number_of(attempt, request).to_string())
            .collect();
        assert_eq!(asked, numbers[..asked.len()], "attempt {attempt}");
    }
    for record in &records {
        assert_eq!(record.requests_pipelined, REQUESTS, "{record:?}");
        let logged = requests.iter().filter(|request| request.attempt == record.attempt);
        assert_eq!(logged.clone().count(), usize::from(record.requests_answered));
        // They were all due at once.
        assert!(logged.into_iter().all(|request| request.intended_ns == record.intended_ns));
    }
    (records, requests)
}

#[test]
fn all_are_answered_in_order() {
    for protocol in [Protocol::Square, Protocol::Http] {
        let (records, requests) = run(protocol, Then::Answer, PATIENT);
        assert_tally(&records, &[(Outcome::Replied, ATTEMPTS)]);
        assert_eq!(requests.len(), ATTEMPTS * usize::from(REQUESTS));
        assert!(records.iter().all(|record| record.requests_answered == REQUESTS && record.version == 3));
    }
}

#[test]
fn what_is_not_answered_when_the_connection_ends_is_lost() {
    for then in [Then::Close, Then::ReadAndClose, Then::Reset] {
        let (records, _) = run(Protocol::Http, then, PATIENT);
        for record in records {
            assert!(matches!(record.outcome, Outcome::Closed | Outcome::Reset), "{then:?}: {record:?}");
            assert_eq!((record.requests_answered, record.announced), (3, false), "{then:?}");
        }
    }
    let (records, _) = run(Protocol::Http, Then::Truncate, PATIENT);
    assert_tally(&records, &[(Outcome::Truncated, ATTEMPTS)]);
    let (records, _) = run(Protocol::Http, Then::AnswerAnother, PATIENT);
    assert_tally(&records, &[(Outcome::WrongReply, ATTEMPTS)]);
    assert!(records.iter().all(|record| record.requests_answered == 3));
}

#[test]
fn a_server_may_say_behind_which_it_answers_none() {
    let (records, _) = run(Protocol::Http, Then::Announce, PATIENT);
    assert!(records.iter().all(|record| record.requests_answered == 3 && record.announced), "{records:?}");
    assert!(records.iter().all(|record| matches!(record.outcome, Outcome::Closed | Outcome::Reset)));
}

#[test]
fn who_gets_no_answer_in_time_times_out() {
    let timeouts = Timeouts { connect_ns: 300 * MS, first_byte_ns: 300 * MS, total_ns: 300 * MS };
    let (records, _) = run(Protocol::Square, Then::Keep, timeouts);
    assert_tally(&records, &[(Outcome::TimedOut(Stage::FirstByte), ATTEMPTS)]);
    assert!(records.iter().all(|record| record.requests_answered == 3), "{records:?}");
}

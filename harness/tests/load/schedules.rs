//! When attempts are made.

use holdline_model::arrivals::Schedule;
use holdline_model::record::Outcome;
use holdline_model::scenario::Until;
use holdline_model::words::Transport;

use super::server::{Deed, Server};
use super::{MS, assert_tally, plan, run};

#[test]
fn each_of_a_sequence_is_due_a_gap_after_the_previous_ended() {
    let server = Server::listen(Transport::Tcp, 128);
    let schedule = Schedule::Sequential { gap_ns: MS, until: Until::Attempts(30) };
    let plan = plan(server.address.clone(), schedule);
    let log = server.serve(30, |attempt| if attempt % 2 == 0 { Deed::Serve } else { Deed::Close });
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Replied, 15), (Outcome::Closed, 15)]);
    for pair in records.windows(2) {
        let finished_ns = pair[0].finished.expect("every attempt ends").get();
        assert_eq!(pair[1].intended_ns, finished_ns + MS);
    }
    log.join().expect("a server that did as it was told");
}

#[test]
fn a_sequence_goes_on_after_a_refusal() {
    let server = Server::listen(Transport::Tcp, 1);
    let schedule = Schedule::Sequential { gap_ns: 0, until: Until::Attempts(200) };
    let plan = plan(server.address.clone(), schedule);
    drop(server);
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Refused, 200)]);
    for pair in records.windows(2) {
        assert_eq!(Some(pair[1].intended_ns), pair[0].finished.map(std::num::NonZeroU64::get));
    }
}

#[test]
fn closed_clients_begin_again_when_their_attempt_ended() {
    const CLIENTS: usize = 8;
    for transport in [Transport::Tcp, Transport::Unix] {
        let server = Server::listen(transport, 128);
        let schedule = Schedule::Closed { clients: CLIENTS as u32, until: Until::Attempts(400) };
        let plan = plan(server.address.clone(), schedule);
        let log = server.serve(400, |_| Deed::Serve);
        let records = run(&plan);
        assert_tally(&records, &[(Outcome::Replied, 400)]);
        let start_ns = records[0].intended_ns;
        assert!(records[..CLIENTS].iter().all(|record| record.intended_ns == start_ns));
        // Each end, in the order of time, makes the next attempt due.
        let mut ends: Vec<u64> =
            records.iter().map(|record| record.finished.expect("every attempt ends").get()).collect();
        ends.sort_unstable();
        let intended: Vec<u64> = records[CLIENTS..].iter().map(|record| record.intended_ns).collect();
        assert_eq!(intended, ends[..400 - CLIENTS]);
        log.join().expect("a server that did as it was told");
    }
}

#[test]
fn after_its_time_no_attempt_is_made() {
    let server = Server::listen(Transport::Tcp, 1);
    let address = server.address.clone();
    drop(server);
    let until = Until::Elapsed(20 * MS);
    for schedule in [Schedule::Sequential { gap_ns: MS, until }, Schedule::Closed { clients: 2, until }] {
        let records = run(&plan(address.clone(), schedule));
        let start_ns = records[0].intended_ns;
        assert!(records.iter().all(|record| record.intended_ns < start_ns + 20 * MS));
    }
}

#[test]
fn ten_thousand_attempts_have_a_record_each() {
    const ATTEMPTS: u64 = 10_000;
    const EVERY_NS: u64 = 200_000;
    let server = Server::listen(Transport::Tcp, 4_096);
    let offsets_ns: Vec<u64> = (0..ATTEMPTS).map(|attempt| attempt * EVERY_NS).collect();
    let plan = super::LoadPlan {
        in_flight_max: 10_000,
        ..plan(server.address.clone(), Schedule::Fixed(offsets_ns))
    };
    holdline::load::raise_nofile().expect("a limit that may be raised");
    let log = server.serve(ATTEMPTS as usize, |_| Deed::Serve);
    let records = run(&plan);
    assert_tally(&records, &[(Outcome::Replied, ATTEMPTS as usize)]);
    let start_ns = records[0].intended_ns;
    for record in &records {
        assert_eq!(record.intended_ns, start_ns + u64::from(record.attempt) * EVERY_NS);
    }
    let log = log.join().expect("a server that did as it was told");
    let mut seen: Vec<u32> = log.seen.into_iter().filter_map(|(attempt, _)| attempt).collect();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..ATTEMPTS as u32));
}

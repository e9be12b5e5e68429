//! What the client says of each thing that a server can do.

use holdline::load::{Hooks, LoadError};
use holdline_model::record::{ClientRecord, Outcome};
use holdline_model::scenario::Timeouts;
use holdline_model::wire::{Address, Poison};
use holdline_model::words::{CrashMode, CrashStep, Stage, Transport};

use super::server::{Deed, Server, assert_named};
use super::{MS, PATIENT, assert_tally, burst, plan, run, run_with};

const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Unix];
const ATTEMPTS: usize = 60;

/// Plants `deed` for every third attempt among others that are served, and expects `outcome` for just
/// these.
#[track_caller]
fn check(transport: Transport, deed: Deed, outcome: Outcome, timeouts: Timeouts) -> Vec<ClientRecord> {
    let server = Server::listen(transport, 128);
    let plan = super::LoadPlan { timeouts, ..plan(server.address.clone(), burst(ATTEMPTS)) };
    let is_planted = |attempt: u32| attempt % 3 == 1;
    let log = server.serve(ATTEMPTS, move |attempt| if is_planted(attempt) { deed } else { Deed::Serve });
    let records = run(&plan);
    for record in &records {
        let expected = if is_planted(record.attempt) { outcome } else { Outcome::Replied };
        assert_eq!(record.outcome, expected, "{transport} {deed:?}: {record:?}");
    }
    let log = log.join().expect("a server that did as it was told");
    let mut asked: Vec<u32> = log.seen.iter().filter_map(|(_, line)| line.trim_end().parse().ok()).collect();
    asked.sort_unstable();
    assert!(asked.into_iter().eq(0..ATTEMPTS as u32), "{:?}", log.seen);
    if transport == Transport::Tcp {
        assert_named(&log);
    }
    records
}

#[test]
fn a_right_reply_is_served_with_its_version() {
    for transport in BOTH {
        for deed in [Deed::Serve, Deed::ServeInPieces] {
            let records = check(transport, deed, Outcome::Replied, PATIENT);
            assert!(records.iter().all(|record| record.version == 3 && !record.poison));
        }
    }
}

#[test]
fn an_answer_to_another_request_is_wrong() {
    for transport in BOTH {
        check(transport, Deed::AnswerAnother, Outcome::WrongReply, PATIENT);
    }
}

#[test]
fn a_line_that_is_longer_than_what_is_kept_is_judged_too() {
    for transport in BOTH {
        check(transport, Deed::Babble, Outcome::WrongReply, PATIENT);
    }
}

#[test]
fn a_close_before_the_first_byte_is_seen_as_such() {
    for transport in BOTH {
        check(transport, Deed::Close, Outcome::Closed, PATIENT);
    }
}

#[test]
fn a_reset_before_the_first_byte_is_seen_as_such() {
    check(Transport::Tcp, Deed::Reset, Outcome::Reset, PATIENT);
}

#[test]
fn part_of_a_reply_is_truncated() {
    for transport in BOTH {
        check(transport, Deed::Truncate, Outcome::Truncated, PATIENT);
    }
    check(Transport::Tcp, Deed::TruncateByReset, Outcome::Truncated, PATIENT);
}

/// Whether the kernel sends FIN or RST depends on whether the request is there by then.
#[test]
fn a_close_without_reading_is_a_close_or_a_reset() {
    for transport in BOTH {
        let server = Server::listen(transport, 128);
        let plan = plan(server.address.clone(), burst(ATTEMPTS));
        let log = server.serve(ATTEMPTS, |_| Deed::CloseAtOnce);
        for record in run(&plan) {
            assert!(matches!(record.outcome, Outcome::Closed | Outcome::Reset), "{transport}: {record:?}");
        }
        log.join().expect("a server that did as it was told");
    }
}

#[test]
fn a_silent_server_times_out_before_the_first_byte() {
    for transport in BOTH {
        let server = Server::listen(transport, 128);
        let timeouts = Timeouts { first_byte_ns: 300 * MS, ..PATIENT };
        let plan = super::LoadPlan { timeouts, ..plan(server.address.clone(), burst(9)) };
        let log = server.serve(9, |_| Deed::Keep);
        assert_tally(&run(&plan), &[(Outcome::TimedOut(Stage::FirstByte), 9)]);
        assert!(log.join().expect("a server that did as it was told").client_closed_kept());
    }
}

#[test]
fn half_a_reply_times_out_in_the_reply() {
    for transport in BOTH {
        let timeouts = Timeouts { total_ns: 2_000 * MS, ..PATIENT };
        check(transport, Deed::HalfAndKeep, Outcome::TimedOut(Stage::Reply), timeouts);
    }
}

#[test]
fn a_reply_counts_though_the_server_does_not_close() {
    for transport in BOTH {
        check(transport, Deed::ServeAndKeep, Outcome::Replied, PATIENT);
    }
}

#[test]
fn nobody_listening_is_a_refusal() {
    for (transport, outcome) in [(Transport::Tcp, Outcome::Refused), (Transport::Unix, Outcome::NoPath)] {
        let server = Server::listen(transport, 1);
        let address = server.address.clone();
        drop(server);
        assert_tally(&run(&plan(address, burst(20))), &[(outcome, 20)]);
    }
    // The path is there, but its listener is gone.
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("socket");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a listener"));
    assert_tally(&run(&plan(Address::Unix(path), burst(20))), &[(Outcome::Refused, 20)]);
}

#[test]
fn an_errno_without_a_meaning_of_its_own_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("socket");
    let _datagrams = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    let errno = libc::EPROTOTYPE;
    assert_tally(&run(&plan(Address::Unix(path), burst(2))), &[(Outcome::Errno(errno, Stage::Connect), 2)]);
}

#[test]
fn a_path_that_is_too_long_is_an_error_of_the_plan() {
    let plan = plan(Address::Unix(format!("/{}", "x".repeat(120)).into()), burst(1));
    let progress = super::Progress::default();
    let stop = super::StopFlag::new().expect("a descriptor");
    let result = holdline::load::run(&plan, 0, &mut (), &progress, &stop);
    assert!(matches!(result, Err(LoadError::PathTooLong(_))), "{result:?}");
}

/// Poison for every fifth attempt. Keeps what it is told.
#[derive(Default)]
struct EveryFifth {
    before: Vec<u32>,
    after: Vec<u32>,
}

const POISON: Poison = Poison { step: CrashStep::Work, mode: CrashMode::Panic };

impl Hooks for EveryFifth {
    fn before_attempt(&mut self, attempt: u32, _now_ns: u64) -> Option<Poison> {
        self.before.push(attempt);
        attempt.is_multiple_of(5).then_some(POISON)
    }

    fn after_attempt(&mut self, record: &ClientRecord) {
        assert!(record.finished.is_some());
        self.after.push(record.attempt);
    }
}

#[test]
fn chosen_attempts_carry_poison_to_which_no_reply_is_right() {
    let server = Server::listen(Transport::Tcp, 128);
    let plan = plan(server.address.clone(), burst(ATTEMPTS));
    // Of the poisoned ones, every other kills the connection, and every other gets a reply.
    let log = server.serve(ATTEMPTS, |attempt| if attempt % 10 == 0 { Deed::Close } else { Deed::Serve });
    let mut hooks = EveryFifth::default();
    let records = run_with(&plan, &mut hooks, &super::StopFlag::new().expect("a descriptor"));
    assert_tally(&records, &[(Outcome::Replied, 48), (Outcome::Closed, 6), (Outcome::WrongReply, 6)]);
    assert!(records.iter().all(|record| record.poison == (record.attempt % 5 == 0)));

    let log = log.join().expect("a server that did as it was told");
    for (attempt, line) in log.seen {
        let attempt = attempt.expect("an address that names its attempt");
        let expected = if attempt % 5 == 0 { "!work:panic\n".to_owned() } else { format!("{attempt}\n") };
        assert_eq!(line, expected);
    }
    let all: Vec<u32> = (0..ATTEMPTS as u32).collect();
    assert_eq!(hooks.before, all);
    hooks.after.sort_unstable();
    assert_eq!(hooks.after, all);
}

//! Sessions, HTTP and slow clients, against servers that do exactly what was planted.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;

use holdline::load::{Hooks, LoadPlan};
use holdline_model::arrivals::Schedule;
use holdline_model::record::{ClientRecord, Outcome, RequestRecord};
use holdline_model::scenario::{Connection, Timeouts};
use holdline_model::supervisor::Protocol;
use holdline_model::wire::{self, Poison};
use holdline_model::words::{CrashMode, CrashStep, Stage};

use super::visits::{Server, Then, Visit, reply};
use super::{MS, PATIENT, assert_tally, run_with};
use holdline::load::StopFlag;

const BOTH: [Protocol; 2] = [Protocol::Square, Protocol::Http];
const REQUESTS: u16 = 5;
const SESSION: Connection = Connection { requests: REQUESTS, gap_ns: 2 * MS, ..Connection::ONE_SHOT };

/// Keeps the records of requests; the attempt of this number is poison.
#[derive(Default)]
struct Log {
    requests: Vec<RequestRecord>,
    poison: Option<u32>,
}

impl Hooks for Log {
    fn before_attempt(&mut self, attempt: u32, _now_ns: u64) -> Option<Poison> {
        (self.poison == Some(attempt)).then_some(Poison { step: CrashStep::Work, mode: CrashMode::Kill })
    }

    fn after_request(&mut self, request: &RequestRecord) {
        self.requests.push(*request);
    }
}

/// Runs a load, and checks that its two logs agree.
#[track_caller]
pub(crate) fn run_logged(plan: &LoadPlan) -> (Vec<ClientRecord>, Vec<RequestRecord>) {
    let mut log = Log::default();
    let records = run_with(plan, &mut log, &StopFlag::new().expect("a descriptor"));
    for record in &records {
        let of_it = log.requests.iter().filter(|request| request.attempt == record.attempt).count();
        assert_eq!(of_it, usize::from(record.requests_answered), "{record:?}");
    }
    (records, log.requests)
}

/// Every third session meets what is planted after two of five replies, and ends as expected; all
/// others are answered to their end.
#[track_caller]
fn check(protocol: Protocol, then: Then, outcome: Outcome, timeouts: Timeouts) {
    const SESSIONS: usize = 12;
    let server = Server::new(protocol);
    let plan = LoadPlan { timeouts, ..server.plan(SESSIONS, SESSION) };
    let is_planted = |attempt: u32| attempt % 3 == 1;
    let seen = server.serve(
        SESSIONS,
        move |attempt| {
            if is_planted(attempt) { (2, then) } else { (REQUESTS, Then::Answer) }
        },
    );
    let (records, _) = run_logged(&plan);
    for record in &records {
        let expected = if is_planted(record.attempt) { (outcome, 2) } else { (Outcome::Replied, REQUESTS) };
        assert_eq!((record.outcome, record.requests_answered), expected, "{then:?}: {record:?}");
    }
    for (attempt, asked) in seen.join().expect("a server") {
        let numbers = (0..).map(|index| wire::number_of(attempt, index).to_string());
        assert!(asked.iter().cloned().eq(numbers.take(asked.len())), "{attempt}: {asked:?}");
    }
}

#[test]
fn a_session_that_the_server_closes_while_idle_is_no_loss() {
    for protocol in BOTH {
        check(protocol, Then::Close, Outcome::ClosedIdle, PATIENT);
    }
    check(Protocol::Http, Then::Announce, Outcome::ClosedIdle, PATIENT);
}

#[test]
fn a_session_that_is_cut_with_a_request_under_way_is_lost() {
    for protocol in BOTH {
        check(protocol, Then::ReadAndClose, Outcome::Closed, PATIENT);
        check(protocol, Then::CloseUnread, Outcome::Reset, PATIENT);
        check(protocol, Then::Reset, Outcome::Reset, PATIENT);
        check(protocol, Then::Truncate, Outcome::Truncated, PATIENT);
        check(protocol, Then::AnswerAnother, Outcome::WrongReply, PATIENT);
        check(protocol, Then::Babble, Outcome::WrongReply, PATIENT);
    }
}

#[test]
fn a_request_without_reply_times_out_in_any_place_of_a_session() {
    let timeouts = Timeouts { first_byte_ns: 1_500 * MS, ..PATIENT };
    for protocol in BOTH {
        check(protocol, Then::Keep, Outcome::TimedOut(Stage::FirstByte), timeouts);
    }
}

#[test]
fn time_outs_hold_for_each_request_and_not_for_the_session() {
    let timeouts = Timeouts { connect_ns: 800 * MS, first_byte_ns: 800 * MS, total_ns: 800 * MS };
    let long = Connection { requests: 9, gap_ns: 120 * MS, ..SESSION };
    let server = Server::new(Protocol::Square);
    let plan = LoadPlan { timeouts, ..server.plan(4, long) };
    let seen = server.serve(4, |_| (9, Then::Answer));
    assert_tally(&run_logged(&plan).0, &[(Outcome::Replied, 4)]);
    seen.join().expect("a server");
}

#[test]
fn each_request_is_due_a_gap_after_the_reply_before() {
    let server = Server::new(Protocol::Http);
    let plan = server.plan(6, SESSION);
    let seen = server.serve(6, |_| (REQUESTS, Then::Answer));
    let (records, requests) = run_logged(&plan);
    assert!(records.iter().all(|record| record.version == 3));
    for record in &records {
        let own: Vec<&RequestRecord> = requests.iter().filter(|r| r.attempt == record.attempt).collect();
        assert_eq!(own[0].intended_ns, record.intended_ns);
        assert_eq!(own[4].answered_ns, record.finished.expect("every attempt ends").get());
        for pair in own.windows(2) {
            assert_eq!(pair[1].intended_ns, pair[0].answered_ns + SESSION.gap_ns);
            assert!(pair[1].answered_ns >= pair[1].intended_ns);
        }
    }
    seen.join().expect("a server");
}

#[test]
fn only_every_nth_attempt_is_a_session() {
    let server = Server::new(Protocol::Square);
    let plan = server.plan(10, Connection { every: 5, ..SESSION });
    let seen = server.serve(10, |_| (REQUESTS, Then::Answer));
    let (records, _) = run_logged(&plan);
    let answered: Vec<u16> = records.iter().map(|record| record.requests_answered).collect();
    assert_eq!(answered, [1, 1, 1, 1, 5, 1, 1, 1, 1, 5]);
    seen.join().expect("a server");
}

#[test]
fn slow_clients_pause_and_their_pauses_are_known() {
    for protocol in BOTH {
        let slow = Connection { send_pause_ns: 20 * MS, read_pause_ns: 10 * MS, ..SESSION };
        let server = Server::new(protocol);
        let plan = server.plan(4, slow);
        let seen = server.serve(4, |_| (REQUESTS, Then::Answer));
        let (records, requests) = run_logged(&plan);
        assert_tally(&records, &[(Outcome::Replied, 4)]);
        for request in requests {
            assert_eq!(request.paused_ns, 30 * MS);
            assert!(request.answered_ns - request.intended_ns >= 30 * MS, "{request:?}");
        }
        seen.join().expect("a server");
    }
}

#[test]
fn a_slow_writer_notices_at_once_that_its_server_left() {
    let server = Server::new(Protocol::Square);
    // So long that only a client that waits for its end meets the time-out.
    let slow = Connection { send_pause_ns: 50_000 * MS, ..Connection::ONE_SHOT };
    let plan = server.plan(3, slow);
    let seen = server.serve(3, |_| (0, Then::CloseUnread));
    assert_tally(&run_logged(&plan).0, &[(Outcome::Reset, 3)]);
    seen.join().expect("a server");
}

/// A server that treats the end of the client's side as the end of the request.
#[test]
fn a_half_close_comes_behind_the_last_request() {
    for requests in [1, 3] {
        let server = Server::new(Protocol::Square);
        let plan = server.plan(1, Connection { requests, half_close: true, ..Connection::ONE_SHOT });
        let accepted = std::thread::spawn(move || {
            let (mut stream, _) = server.listener.accept().expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("a descriptor"));
            for _ in 1..requests {
                let mut line = String::new();
                lines.read_line(&mut line).expect("a request");
                stream.write_all(reply(Protocol::Square, line.trim_end(), false).as_bytes()).expect("room");
            }
            let mut last = String::new();
            lines.read_to_string(&mut last).expect("an end");
            stream.write_all(reply(Protocol::Square, last.trim_end(), false).as_bytes()).expect("room");
        });
        let (records, _) = run_logged(&plan);
        assert_eq!((records[0].outcome, records[0].requests_answered), (Outcome::Replied, requests));
        accepted.join().expect("a server");
    }
}

#[test]
fn poison_is_the_first_request_of_a_session() {
    let server = Server::new(Protocol::Http);
    let plan = server.plan(3, SESSION);
    let seen = server
        .serve(3, |attempt| if attempt == 1 { (0, Then::ReadAndClose) } else { (REQUESTS, Then::Answer) });
    let mut log = Log { poison: Some(1), ..Log::default() };
    let records = run_with(&plan, &mut log, &StopFlag::new().expect("a descriptor"));
    assert_tally(&records, &[(Outcome::Replied, 2), (Outcome::Closed, 1)]);
    assert!(records[1].poison && records[1].requests_answered == 0);
    let mut seen = seen.join().expect("a server");
    seen.sort();
    assert_eq!(seen[1].1, ["!work:kill"]);
}

#[test]
fn one_shot_attempts_have_no_log_of_requests() {
    let server = Server::new(Protocol::Square);
    let plan = server.plan(3, Connection::ONE_SHOT);
    let seen = server.serve(3, |_| (1, Then::Close));
    let mut log = Log::default();
    let records = run_with(&plan, &mut log, &StopFlag::new().expect("a descriptor"));
    assert!(log.requests.is_empty() && records.iter().all(|record| record.requests_answered == 1));
    seen.join().expect("a server");
}

#[test]
fn long_bodies_are_sent_whole_and_may_be_cut() {
    let post = Connection { body_bytes: 3 << 20, send_pause_ns: 5 * MS, requests: 2, ..Connection::ONE_SHOT };
    let server = Server::new(Protocol::Http);
    let plan = server.plan(4, post);
    // What is left unread makes the kernel reset; a client that was still sending may find it closed.
    let seen =
        server.serve(4, |attempt| if attempt == 0 { (1, Then::CloseUnread) } else { (2, Then::Answer) });
    let (records, _) = run_logged(&plan);
    assert!(matches!(records[0].outcome, Outcome::Reset | Outcome::Closed), "{:?}", records[0]);
    assert_eq!(records[0].requests_answered, 1);
    assert!(records[1..].iter().all(|record| record.outcome == Outcome::Replied));
    seen.join().expect("a server");
}

/// Answers each connection with these bytes, once the request's head is there, and closes.
#[track_caller]
fn check_raw(answer: &str, outcome: Outcome) {
    let server = Server::new(Protocol::Http);
    let plan = server.plan(2, Connection::ONE_SHOT);
    let bytes = answer.as_bytes().to_vec();
    let thread = std::thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = server.listener.accept().expect("a connection");
            let mut visit = Visit::new(stream, Protocol::Http);
            visit.read().expect("a request");
            // The client may refuse the rest of what is too long.
            let _ = visit.stream.get_mut().write_all(&bytes);
            let _ = visit.stream.get_ref().shutdown(Shutdown::Write);
            let _ = visit.stream.read_to_end(&mut Vec::new());
        }
    });
    // Both attempts ask for the same square, so that one answer does for both.
    let schedule = Schedule::Sequential { gap_ns: 0, until: holdline_model::scenario::Until::Attempts(2) };
    let (records, _) = run_logged(&LoadPlan { schedule, ..plan });
    assert_eq!(records[0].outcome, outcome, "{answer:.80}");
    thread.join().expect("a server");
}

#[test]
fn http_replies_are_judged_by_what_they_say() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let huge = format!("{ok}X: {}\r\n\r\n0*0=0\n", "y".repeat(100_000));
    let many = format!("{ok}{}\r\n0*0=0\n", "X: y\r\n".repeat(1_000));
    let zeros = format!("{ok}\r\n{}", "0".repeat(100_000));
    // A megabyte behind the answer, in every framing.
    let (words, lines) =
        (format!("0*0=0 pad={}\n", "x".repeat(1 << 20)), format!("0*0=0\n{}", "x".repeat(1 << 20)));
    let sized = |body: &str| format!("{ok}Content-Length: {}\r\n\r\n{body}", body.len());
    let in_chunks = |body: &str| {
        let chunks = body
            .as_bytes()
            .chunks(40_000)
            .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk)));
        format!("{ok}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunks.collect::<String>())
    };
    for (answer, outcome) in [
        (format!("{ok}Content-Length: 6\r\n\r\n0*0=0\n"), Outcome::Replied),
        (format!("HTTP/1.1 100 Continue\r\n\r\n{ok}Content-Length: 6\r\n\r\n0*0=0\n"), Outcome::Replied),
        (format!("{ok}Transfer-Encoding: chunked\r\n\r\n6\r\n0*0=0\n\r\n0\r\n\r\n"), Outcome::Replied),
        (format!("{ok}\r\n0*0=0\n"), Outcome::Replied),
        ("HTTP/1.0 200 OK\r\n\r\n0*0=0 version=1\n".to_owned(), Outcome::Replied),
        (format!("{ok}\r\n0*0"), Outcome::Truncated),
        (format!("{ok}\r\n0*0=1\n"), Outcome::WrongReply),
        (format!("{ok}Content-Length: 9\r\n\r\n0*0=0\n"), Outcome::Truncated),
        (format!("{ok}Content-Length: 3\r\n\r\n0*0=0\n"), Outcome::WrongReply),
        (format!("{ok}Content-Length: x\r\n\r\n0*0=0\n"), Outcome::WrongReply),
        (format!("{ok}Content-Length: 6\r\n\r\n0*0=1\n"), Outcome::WrongReply),
        (format!("{ok}Transfer-Encoding: chunked\r\n\r\n6\r\n0*0"), Outcome::Truncated),
        (format!("{ok}Transfer-Encoding: chunked\r\n\r\nx\r\n0*0"), Outcome::WrongReply),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 6\r\n\r\n0*0=0\n".to_owned(), Outcome::ErrorReply(503)),
        ("HTTP/1.1 200".to_owned(), Outcome::Truncated),
        ("0*0=0\n".to_owned(), Outcome::WrongReply),
        (String::new(), Outcome::Closed),
        (huge, Outcome::TooLong),
        (many, Outcome::TooLong),
        (zeros, Outcome::WrongReply),
        (sized(&words), Outcome::Replied),
        (sized(&lines), Outcome::Replied),
        (in_chunks(&words), Outcome::Replied),
        (in_chunks(&lines), Outcome::Replied),
        (format!("{ok}\r\n{words}"), Outcome::Replied),
        (sized(&words)[..1 << 20].to_owned(), Outcome::Truncated),
        (in_chunks(&words)[..1 << 20].to_owned(), Outcome::Truncated),
        (sized(&words.replacen('0', "1", 1)), Outcome::WrongReply),
        (format!("{ok}Content-Length: {}\r\n\r\n0*0=0\n", (64 << 20) + 1), Outcome::TooLong),
        (sized(&words).replacen("200 OK", "503 Busy", 1), Outcome::ErrorReply(503)),
    ] {
        check_raw(&answer, outcome);
    }
}

#[test]
fn a_reply_to_a_post_that_was_not_read_counts() {
    let server = Server::new(Protocol::Http);
    let plan = server.plan(1, Connection { body_bytes: 8 << 20, ..Connection::ONE_SHOT });
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = server.listener.accept().expect("a connection");
        stream.write_all(reply(Protocol::Http, "0", true).as_bytes()).expect("room");
        let _ = stream.shutdown(Shutdown::Write);
        stream
    });
    assert_tally(&run_logged(&plan).0, &[(Outcome::Replied, 1)]);
    drop(thread.join().expect("a server"));
}

#[test]
fn a_stop_ends_sessions_too() {
    let server = Server::new(Protocol::Square);
    let plan = server.plan(3, Connection { requests: 1_000, gap_ns: 10 * MS, ..SESSION });
    let seen = server.serve(3, |_| (1_000, Then::Answer));
    let stop = StopFlag::new().expect("a descriptor");
    struct StopAfter<'a>(u32, &'a StopFlag);
    impl Hooks for StopAfter<'_> {
        fn before_attempt(&mut self, _attempt: u32, _now_ns: u64) -> Option<Poison> {
            None
        }

        fn after_request(&mut self, _request: &RequestRecord) {
            self.0 += 1;
            if self.0 == 9 {
                self.1.stop();
            }
        }
    }
    let records = run_with(&plan, &mut StopAfter(0, &stop), &stop);
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| matches!(record.outcome, Outcome::TimedOut(_))), "{records:?}");
    seen.join().expect("a server");
}

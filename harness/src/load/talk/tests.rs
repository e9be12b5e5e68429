//! What is said on connections, in which order, and with which pauses.

use holdline_model::wire::{AnswerEnd, BytesScript, Exchange, Expect, HttpScript, Right, Text, Wrong};
use holdline_model::words::{CrashMode, CrashStep};

use super::*;

fn manner(protocol: Protocol, connection: scenario::Connection) -> Manner {
    Manner::new(protocol, &Arc::default(), connection)
}

fn talk(manner: &Manner, attempt: u32, poison: Option<Poison>) -> Talk {
    manner.talk(attempt, 100, poison, Vec::new())
}

const SESSION: scenario::Connection =
    scenario::Connection { requests: 3, gap_ns: 50, ..scenario::Connection::ONE_SHOT };

fn right(bytes: usize, version: u16, keeps: bool) -> Heard {
    Heard::Right(Right { bytes, version, keeps, idle_s_max: None })
}

#[test]
fn only_the_plainest_talk_leaves_no_records_of_requests() {
    let one_shot = scenario::Connection::ONE_SHOT;
    let logs = |protocol, connection| {
        let mut talk = talk(&manner(protocol, connection), 0, None);
        talk.answer(1);
        talk.take_record().is_some()
    };
    assert!(!logs(Protocol::Square, one_shot));
    assert!(logs(Protocol::Http, one_shot));
    assert!(logs(Protocol::Square, scenario::Connection { every: 2, ..SESSION }));
}

#[test]
fn the_server_closes_first_unless_it_cannot_know_when() {
    let closes = |protocol, connection| talk(&manner(protocol, connection), 0, None).server_closes();
    let one_shot = scenario::Connection::ONE_SHOT;
    assert!(closes(Protocol::Square, one_shot) && closes(Protocol::Http, one_shot));
    assert!(!closes(Protocol::Square, SESSION) && closes(Protocol::Http, SESSION));
    // One that takes some connections for sessions waits for the client on all.
    assert!(!closes(Protocol::Square, scenario::Connection { every: 2, ..SESSION }));
}

#[test]
fn each_request_of_a_session_asks_for_another_number() {
    let mut talk = talk(&manner(Protocol::Square, SESSION), 7, None);
    assert_eq!(talk.sendable(0), b"7\n");
    assert_eq!(talk.sendable(1), b"\n");
    assert_eq!(talk.sendable(2), b"");
    assert_eq!(talk.hear(b"7*7=4", false), Heard::Part);
    assert_eq!(talk.hear(b"7*7=48\n", false), Heard::Wrong(Wrong::Answer));
    assert_eq!(talk.hear(b"7*7=49 version=3\nx", false), right(17, 3, true));
    assert_eq!(talk.answer(130), Some(180));
    let record = RequestRecord { attempt: 7, intended_ns: 100, answered_ns: 130, paused_ns: 0 };
    assert_eq!((talk.take_record(), talk.take_record()), (Some(record), None));
    // The answer to the first request is wrong for the second.
    assert_eq!(talk.sendable(0), b"65544\n");
    assert_eq!(talk.hear(b"7*7=49\n", false), Heard::Wrong(Wrong::Answer));
    assert_eq!(talk.answer(200), Some(250));
    assert_eq!((talk.answer(300), talk.answered()), (None, 3));
}

#[test]
fn poison_is_the_first_request() {
    let poison = Poison { step: CrashStep::Work, mode: CrashMode::Kill };
    let mut talk = talk(&manner(Protocol::Http, SESSION), 7, Some(poison));
    assert!(talk.sendable(0).starts_with(b"GET /square?n=!work:kill HTTP/1.1\r\n"));
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n7*7=49\n";
    assert_eq!(talk.hear(reply, false), Heard::Wrong(Wrong::Answer));
    talk.answer(1);
    assert!(talk.sendable(0).starts_with(b"GET /square?n=65544 HTTP/1.1\r\n"));
}

#[test]
fn http_says_when_it_ends() {
    let mut talk = talk(&manner(Protocol::Http, SESSION), 1, None);
    let says = |talk: &Talk, word: &str| {
        String::from_utf8_lossy(talk.sendable(0)).contains(&format!("Connection: {word}\r\n"))
    };
    assert!(says(&talk, "keep-alive"));
    talk.answer(1);
    talk.answer(2);
    assert!(says(&talk, "close"));
    let reply =
        |status: &str| format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n131075*131075=17180655625");
    assert_eq!(talk.hear(reply("200 OK").as_bytes(), false), Heard::Part);
    let bytes = reply("200 OK").len();
    assert_eq!(talk.hear(reply("200 OK").as_bytes(), true), right(bytes, 0, false));
    assert_eq!(talk.hear(reply("500 Oh").as_bytes(), true), Heard::Wrong(Wrong::Status(500)));
}

#[test]
fn slow_clients_pause_twice() {
    let slow = scenario::Connection { send_pause_ns: 30, read_pause_ns: 5, ..SESSION };
    let mut talk = talk(&manner(Protocol::Square, slow), 70_000, None);
    assert_eq!((talk.sendable(0), talk.pause_due(0)), (&b"700"[..], None));
    assert_eq!((talk.sendable(3), talk.pause_due(3)), (&b""[..], Some((Pause::Sending, 30))));
    talk.paused(Pause::Sending);
    assert_eq!((talk.sendable(3), talk.pause_due(3)), (&b"00\n"[..], None));
    assert_eq!(talk.pause_due(6), Some((Pause::Reading, 5)));
    talk.paused(Pause::Reading);
    assert_eq!(talk.pause_due(6), None);
    talk.answer(200);
    assert_eq!(talk.take_record().expect("a request").latency_ns(), 65);
    assert_eq!(talk.pause_due(3), Some((Pause::Sending, 30)));
}

#[test]
fn bodies_are_sent_whole() {
    let long = scenario::Connection { body_bytes: 200_000, send_pause_ns: 1, ..SESSION };
    let mut talk = talk(&manner(Protocol::Http, long), 1, None);
    let mut sent = 0;
    while let count @ 1.. = talk.sendable(sent).len() {
        sent += count;
    }
    assert_eq!((sent, talk.pause_due(sent)), (talk.bytes() / 2, Some((Pause::Sending, 1))));
    talk.paused(Pause::Sending);
    while let count @ 1.. = talk.sendable(sent).len() {
        sent += count;
    }
    assert_eq!((sent, talk.pause_due(sent)), (talk.bytes(), None));
    assert_eq!(talk.bytes(), talk.head.len() + 200_000);
}

fn greeting_and_ping() -> Arc<Script> {
    let exchange = |send: &str| Exchange {
        send: Text::new(send.as_bytes().to_vec(), Vec::new()),
        expect: Expect {
            end: AnswerEnd::Until(Text::new(b"\n".to_vec(), Vec::new())),
            starts_with: None,
            matches: None,
        },
    };
    let exchanges = vec![exchange(""), exchange("PING\n"), exchange("QUIT\n")];
    Arc::new(Script::Bytes(BytesScript { exchanges, once: 1, poison: None, server_closes: true }))
}

#[test]
fn a_request_may_have_several_turns() {
    let session = scenario::Connection { requests: 2, ..scenario::Connection::ONE_SHOT };
    let mut talk = talk(&Manner::new(Protocol::Bytes, &greeting_and_ping(), session), 1, None);
    assert_eq!((talk.bytes(), talk.silence(), talk.has_turned()), (0, Some(Silence::ToListen), false));
    assert!(talk.turn() && talk.has_turned() && !talk.is_last());
    assert_eq!(talk.sendable(0), b"PING\n");
    assert!(talk.turn());
    assert_eq!(talk.sendable(0), b"QUIT\n");
    assert!(!talk.turn());
    // The next request does without what the server says first.
    assert_eq!(talk.answer(5), Some(5));
    assert_eq!((talk.sendable(0), talk.has_turned(), talk.is_last()), (&b"PING\n"[..], false, false));
    assert!(talk.turn() && talk.is_last() && talk.server_closes());
    assert_eq!(talk.answer(7), None);
}

const PIPELINE: scenario::Connection =
    scenario::Connection { requests: 3, pipeline: true, ..scenario::Connection::ONE_SHOT };

fn order() -> Arc<Script> {
    let mut script = HttpScript::get("/");
    script.request.body = Some(Text::new(b"order !".to_vec(), vec![6]));
    Arc::new(Script::Http(Box::new(script)))
}

#[test]
fn requests_that_are_sent_at_once_have_their_bodies_behind_their_heads() {
    let talk = talk(&Manner::new(Protocol::Http, &order(), PIPELINE), 7, None);
    let sent = String::from_utf8(talk.sendable(0).to_vec()).expect("text");
    let bodies: Vec<&str> =
        sent.split("\r\n\r\n").skip(1).map(|piece| piece.split('!').next().unwrap_or_default()).collect();
    assert_eq!(bodies, ["order 7", "order 65544", "order 131081"]);
    assert_eq!((sent.matches("keep-alive").count(), sent.matches("close").count()), (2, 1));
    assert_eq!((talk.bytes(), talk.sendable(talk.bytes())), (sent.len(), &b""[..]));
}

#[test]
fn of_requests_that_are_sent_at_once_the_first_is_held_back() {
    let poison = Some(Poison { step: CrashStep::Work, mode: CrashMode::Kill });
    let mut talk = talk(&Manner::new(Protocol::Http, &order(), PIPELINE).hold_for(9), 7, poison);
    let held = talk.sendable(0).len();
    assert!(talk.sendable(0).ends_with(b"\r\n\r\norder 7"), "all but its last byte");
    assert_eq!((talk.sendable(held), talk.pause_due(held)), (&b""[..], Some((Pause::Holding, 9))));
    talk.paused(Pause::Holding);
    assert!(
        talk.sendable(held).starts_with(b"!GET / HTTP/1.1\r\n") && talk.sendable(held).ends_with(b"131081!")
    );
}

#[test]
fn a_server_that_greets_is_asked_all_at_once_behind_its_greeting() {
    let Script::Bytes(mut script) = greeting_and_ping().as_ref().clone() else { unreachable!("bytes") };
    script.exchanges.pop();
    let manner = Manner::new(Protocol::Bytes, &Arc::new(Script::Bytes(script)), PIPELINE);
    let mut talk = talk(&manner, 1, None);
    assert_eq!((talk.bytes(), talk.silence()), (0, Some(Silence::ToListen)));
    assert!(talk.turn());
    assert_eq!(talk.sendable(0), b"PING\nPING\nPING\n");
    for _ in 0..2 {
        assert_eq!(talk.hear(b"PONG\nPONG\n", false), right(5, 0, true));
        assert!(!talk.turn() && talk.answer(9).is_some());
    }
    assert_eq!((talk.hear(b"PONG\n", false), talk.answer(9)), (right(5, 0, true), None));
}

#[test]
fn the_end_of_a_request_is_held_back_where_nothing_is_poison() {
    let poison = Some(Poison { step: CrashStep::Work, mode: CrashMode::Kill });
    let script = greeting_and_ping();
    let manner = Manner::new(Protocol::Bytes, &script, scenario::Connection::ONE_SHOT).hold_for(9);
    let mut talk = talk(&manner, 1, poison);
    assert_eq!(talk.pause_due(0), None, "nothing is sent that could be held back");
    assert!(talk.turn());
    assert_eq!((talk.sendable(0), talk.pause_due(3)), (&b"PING"[..], None));
    assert_eq!((talk.sendable(4), talk.pause_due(4)), (&b""[..], Some((Pause::Holding, 9))));
    talk.pauses(Pause::Holding);
    assert_eq!([talk.take_held_back(), talk.take_held_back()], [true, false]);
    talk.paused(Pause::Holding);
    assert_eq!((talk.sendable(4), talk.pause_due(4)), (&b"\n"[..], None));
    assert!(talk.turn());
    assert_eq!(talk.sendable(0), b"QUIT\n");
}

#[test]
fn a_login_is_not_held_back() {
    let exchange = |send: &str| Exchange {
        send: Text::new(send.as_bytes().to_vec(), Vec::new()),
        expect: Expect {
            end: AnswerEnd::Until(Text::new(b"\n".to_vec(), Vec::new())),
            starts_with: None,
            matches: None,
        },
    };
    let exchanges = vec![exchange("LOGIN\n"), exchange("PING\n")];
    let script =
        Arc::new(Script::Bytes(BytesScript { exchanges, once: 1, poison: None, server_closes: false }));
    let poison = Some(Poison { step: CrashStep::Work, mode: CrashMode::Kill });
    let manner = Manner::new(Protocol::Bytes, &script, scenario::Connection::ONE_SHOT).hold_for(9);
    let mut talk = talk(&manner, 1, poison);
    assert_eq!((talk.sendable(0), talk.pause_due(6)), (&b"LOGIN\n"[..], None));
    assert!(talk.turn());
    assert_eq!((talk.sendable(0), talk.pause_due(4)), (&b"PING"[..], Some((Pause::Holding, 9))));
}

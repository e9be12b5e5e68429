//! Heads, bodies and what hostile servers make of them.

use proptest::prelude::*;

use super::super::rest::Right;
use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\n";

const ASK: Ask = Ask { attempt: 7, exchange: 0, turn: 0, poison: None, keeps: true, body_bytes: 0 };

fn judge(text: &str, at_end: bool) -> Heard {
    Http::judge(&ASK, &Script::Squares, text.as_bytes(), at_end)
}

fn right(bytes: usize, keeps: bool) -> Heard {
    Heard::Right(Right { bytes, version: 0, keeps, idle_s_max: None })
}

fn wrong(why: Wrong) -> Heard {
    Heard::Wrong(why)
}

#[track_caller]
fn check(headers: &str, body: &str, keeps: bool) {
    let text = format!("{HEAD}{headers}\r\n{body}");
    assert_eq!(judge(&text, false), right(text.len(), keeps), "{text}");
    // What follows belongs to something else, and any part of it is a part.
    assert_eq!(judge(&format!("{text}HTTP"), false), right(text.len(), keeps));
    for end in 0..text.len() {
        assert_eq!(judge(&text[..end], false), Heard::Part, "{end} of {text}");
    }
}

#[test]
fn bodies_end_as_their_heads_say() {
    check("Content-Length: 7\r\n", "7*7=49\n", true);
    check("content-length:7\r\nContent-Length: 7\r\n", "7*7=49\n", true);
    check("Content-Length: 6\r\nConnection: x, Close\r\n", "7*7=49", false);
    check("Transfer-Encoding: chunked\r\n", "3\r\n7*7\r\n4;x=y\r\n=49\n\r\n0\r\n\r\n", true);
    check("Transfer-Encoding: gzip, Chunked\r\n", "6\r\n7*7=49\r\n0\r\nA: b\r\nC: d\r\n\r\n", true);
    // Chunks count, whatever length is named besides (RFC 9112, section 6.3).
    check("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "6\r\n7*7=49\r\n0\r\n\r\n", true);
    // Whatever stands behind the answer, be it words or lines.
    check("Content-Length: 17\r\n", "7*7=49 pad=xxxxx\n", true);
    check("Content-Length: 17\r\n", "7*7=49\npad=xxxxx\n", true);
}

#[test]
fn without_a_length_the_close_ends_the_body() {
    let text = format!("{HEAD}X: y\r\n\r\n7*7=49\n");
    assert_eq!(judge(&text, false), Heard::Part);
    assert_eq!(judge(&text, true), right(text.len(), false));
    assert_eq!(judge(&format!("{HEAD}X: y"), true), Heard::Part);
    // Half of the answer is cut short; something else is wrong, newline or not.
    assert_eq!(judge(&format!("{HEAD}\r\n7*7=4"), true), Heard::Part);
    assert_eq!(judge(&format!("{HEAD}\r\n<html>gone</html>"), true), wrong(Wrong::Answer));
}

#[test]
fn old_servers_close_unless_they_say_otherwise() {
    let keeps = |headers: &str| match judge(
        &format!("HTTP/1.0 200 OK\r\nContent-Length: 6\r\n{headers}\r\n7*7=49"),
        false,
    ) {
        Heard::Right(right) => right.keeps,
        heard => panic!("{heard:?}"),
    };
    assert!(!keeps(""));
    assert!(keeps("Connection: Keep-Alive\r\n"));
}

#[test]
fn servers_say_how_long_and_how_often_a_connection_may_be_used() {
    let kept = |headers: &str| match judge(&format!("{HEAD}Content-Length: 6\r\n{headers}\r\n7*7=49"), false)
    {
        Heard::Right(right) => (right.keeps, right.idle_s_max),
        heard => panic!("{heard:?}"),
    };
    assert_eq!(kept(""), (true, None));
    assert_eq!(kept("Keep-Alive: timeout=5, max=100\r\n"), (true, Some(5)));
    assert_eq!(kept("keep-alive: MAX = 1,Timeout=\"15\"\r\n"), (true, Some(15)));
    assert_eq!(kept("Keep-Alive: timeout=5, max=0\r\n"), (false, Some(5)));
    assert_eq!(kept("Keep-Alive: timeout=5\r\nConnection: close\r\n"), (false, Some(5)));
    for nonsense in ["timeout", "timeout=soon", "timeout=-1", "timeout=99999999999", "\u{e9}=1", ""] {
        assert_eq!(kept(&format!("Keep-Alive: {nonsense}\r\n")), (true, None), "{nonsense}");
    }
}

#[test]
fn interim_replies_are_passed_over() {
    let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let after = |text: &str| judge(&format!("{early}{text}"), false);
    assert_eq!(after("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), wrong(Wrong::Status(404)));
    assert_eq!(judge("HTTP/1.1 101 Switching Protocols\r\n\r\n", false), wrong(Wrong::Malformed));
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(2_000);
    assert_eq!(judge(&endless, false), wrong(Wrong::TooLong));
    // No content, whatever length is named; that is a success, and not the answer.
    let empty = "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n";
    assert_eq!(judge(empty, false), wrong(Wrong::Answer));
}

#[test]
fn any_status_of_success_will_do_and_no_other() {
    let of = |status: u16| judge(&format!("HTTP/1.1 {status} X\r\nContent-Length: 7\r\n\r\n7*7=49\n"), false);
    for status in [200, 201, 299] {
        assert!(matches!(of(status), Heard::Right(_)), "{status}");
    }
    for status in [300, 404, 500, 502, 503, 999] {
        assert_eq!(of(status), wrong(Wrong::Status(status)));
    }
    // What is cut short has no status that counts.
    assert_eq!(judge("HTTP/1.1 503 X\r\nContent-Length: 7\r\n\r\nsorry", true), Heard::Part);
}

#[test]
fn hostile_heads_are_malformed_or_too_long() {
    use Wrong::{Malformed, TooLong};
    let many = "X: y\r\n".repeat(HEADERS_MAX + 1);
    let long = format!("X: {}\r\n", "y".repeat(HEAD_BYTES_MAX));
    let huge = super::super::CONTENT_BYTES_MAX + 1;
    for (headers, why) in [
        (many.as_str(), TooLong),
        (&long, TooLong),
        ("Content-Length: -1\r\n", Malformed),
        ("Content-Length: +7\r\n", Malformed),
        ("Content-Length: seven\r\n", Malformed),
        ("Content-Length:\r\n", Malformed),
        ("Content-Length: 7\r\nContent-Length: 8\r\n", Malformed),
        ("Content-Length: 7, 8\r\n", Malformed),
        ("Content-Length: 99999999999999999999999\r\n", TooLong),
        (&format!("Content-Length: {huge}\r\n"), TooLong),
        ("no colon\r\n", Malformed),
    ] {
        assert_eq!(judge(&format!("{HEAD}{headers}\r\n7*7=49\n"), false), wrong(why), "{headers:.60}");
    }
    for start in
        ["7*7=49\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "\0"]
    {
        assert_eq!(judge(start, false), wrong(Malformed), "{start}");
    }
    // A head that never ends is not waited for.
    let endless = format!("{HEAD}X: {}", "y".repeat(HEAD_BYTES_MAX));
    assert_eq!(judge(&endless, false), wrong(TooLong));
}

#[test]
fn an_excerpt_is_of_what_a_reply_says() {
    let of = |text: &str| String::from_utf8_lossy(Http::excerpt(text.as_bytes()).as_bytes()).into_owned();
    assert_eq!(of(&format!("{HEAD}Content-Length: 5\r\n\r\nsorryHTTP")), "sorry");
    assert_eq!(
        of(&format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nso\r\n3\r\nrry\r\n0\r\n\r\n")),
        "sorry"
    );
    let bare = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(of(bare), bare);
    assert_eq!(of("no head"), "no head");
    assert_eq!(of(&"x".repeat(500)).len(), super::super::EXCERPT_BYTES_MAX);
}

#[test]
fn requests_say_whether_they_go_on_and_what_follows() {
    let text = |body_bytes, keeps| {
        let mut bytes = Vec::new();
        Http::encode(
            &Ask { attempt: 7, exchange: 0, turn: 0, poison: None, keeps, body_bytes },
            &Script::Squares,
            &mut bytes,
        );
        String::from_utf8(bytes).expect("text")
    };
    let get = text(0, true);
    assert!(get.starts_with("GET /square?n=7 HTTP/1.1\r\nHost: ") && get.ends_with("\r\n\r\n"), "{get}");
    assert!(get.contains("Connection: keep-alive\r\n") && !get.contains("Content-Length"), "{get}");
    let post = text(65_536, false);
    assert!(post.starts_with("POST ") && post.contains("Content-Length: 65536\r\n"), "{post}");
    assert!(post.contains("Connection: close\r\n"), "{post}");
}

#[test]
fn heads_of_requests_say_what_they_ask_for() {
    let of = |text: &str| Http::read(text.as_bytes());
    let square = |text: &str, keeps, body_bytes| {
        let expected = Head { bytes: text.len(), asked: Asked::For(Request::Square(7)), keeps, body_bytes };
        assert_eq!(of(text), Some(expected), "{text}");
    };
    square("GET /square?n=7 HTTP/1.1\r\n\r\n", true, 0);
    square("GET /square?n=%37 HTTP/1.0\r\n\r\n", false, 0);
    square("POST /square?n=7 HTTP/1.1\r\ncontent-length: 9\r\nConnection: Close\r\n\r\n", false, 9);
    assert_eq!(of("GET /square?n=7 HTTP/1.1\r\n"), None);
    let strange = of("\0\r\n\r\n").expect("something");
    assert_eq!((strange.asked, strange.keeps), (Asked::SomethingElse, false));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>, at_end: bool) {
        let _ = Http::judge(&ASK, &Script::Squares, &bytes, at_end);
        let _ = Http::excerpt(&bytes);
    }

    #[test]
    fn damaged_replies_are_read_or_refused(
        at in 0..200_usize, junk in proptest::collection::vec(any::<u8>(), 0..6), at_end: bool,
    ) {
        let text = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\n7*7\r\n4\r\n=49\n\r\n0\r\n\r\n");
        let mut bytes = text.into_bytes();
        let at = at.min(bytes.len());
        bytes.splice(at..(at + 1).min(bytes.len()), junk);
        if let Heard::Right(right) = Http::judge(&ASK, &Script::Squares, &bytes, at_end) {
            prop_assert!(right.bytes <= bytes.len());
        }
    }
}

//! Heads, bodies and what hostile servers make of them.

use proptest::prelude::*;

use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\n";

#[track_caller]
fn whole_of(text: &str, at_end: bool) -> (u16, String, usize, bool) {
    match parse(text.as_bytes(), at_end) {
        Reply::Whole(Whole { status, body, bytes, keeps }) => {
            (status, body.with(|body| String::from_utf8_lossy(body).into_owned()), bytes, keeps)
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[track_caller]
fn check(headers: &str, body: &str, expected: &str, keeps: bool) {
    let text = format!("{HEAD}{headers}\r\n{body}");
    assert_eq!(whole_of(&text, false), (200, expected.to_owned(), text.len(), keeps), "{text}");
    // What follows belongs to something else, and any part of it is a part.
    let longer = format!("{text}HTTP");
    assert_eq!(whole_of(&longer, false).2, text.len());
    for end in 0..text.len() {
        assert_eq!(parse(&text.as_bytes()[..end], false), Reply::Part, "{end} of {text}");
    }
}

#[test]
fn bodies_end_as_their_heads_say() {
    check("Content-Length: 7\r\n", "7*7=49\n", "7*7=49\n", true);
    check("content-length:7\r\nContent-Length: 7\r\n", "7*7=49\n", "7*7=49\n", true);
    check("Content-Length: 0\r\nConnection: x, Close\r\n", "", "", false);
    check("Transfer-Encoding: chunked\r\n", "3\r\n7*7\r\n4;x=y\r\n=49\n\r\n0\r\n\r\n", "7*7=49\n", true);
    check("Transfer-Encoding: gzip, Chunked\r\n", "1\r\n7\r\n0\r\nA: b\r\nC: d\r\n\r\n", "7", true);
    // Chunks count, whatever length is named besides (RFC 9112, section 6.3).
    check("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "1\r\n7\r\n0\r\n\r\n", "7", true);
}

#[test]
fn without_a_length_the_close_ends_the_body() {
    let text = format!("{HEAD}X: y\r\n\r\n7*7=49\n");
    assert_eq!(parse(text.as_bytes(), false), Reply::Part);
    assert_eq!(whole_of(&text, true), (200, "7*7=49\n".to_owned(), text.len(), false));
    assert_eq!(parse(format!("{HEAD}X: y").as_bytes(), true), Reply::Part);
    let endless = format!("{HEAD}\r\n{}", "7".repeat(BODY_BYTES_MAX + 1));
    assert_eq!(parse(endless.as_bytes(), false), Reply::Malformed);
}

#[test]
fn old_servers_close_unless_they_say_otherwise() {
    let of =
        |headers: &str| whole_of(&format!("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n{headers}\r\n"), false).3;
    assert!(!of(""));
    assert!(of("Connection: Keep-Alive\r\n"));
}

#[test]
fn interim_replies_are_passed_over() {
    let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(whole_of(text, false), (404, String::new(), text.len(), true));
    assert_eq!(parse(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", false), Reply::Malformed);
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(2_000);
    assert_eq!(parse(endless.as_bytes(), false), Reply::Malformed);
    assert_eq!(whole_of("HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", false).1, "");
}

#[test]
fn hostile_heads_are_malformed() {
    let many = "X: y\r\n".repeat(HEADERS_MAX + 1);
    let long = format!("X: {}\r\n", "y".repeat(HEAD_BYTES_MAX));
    let huge = (BODY_BYTES_MAX + 1).to_string();
    for headers in [
        many.as_str(),
        &long,
        "Content-Length: -1\r\n",
        "Content-Length: +7\r\n",
        "Content-Length: seven\r\n",
        "Content-Length:\r\n",
        "Content-Length: 7\r\nContent-Length: 8\r\n",
        "Content-Length: 7, 8\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        &format!("Content-Length: {huge}\r\n"),
        "no colon\r\n",
    ] {
        let text = format!("{HEAD}{headers}\r\n7*7=49\n");
        assert_eq!(parse(text.as_bytes(), false), Reply::Malformed, "{headers:.60}");
    }
    for start in
        ["7*7=49\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "\0"]
    {
        assert_eq!(parse(start.as_bytes(), false), Reply::Malformed, "{start}");
    }
    // A head that never ends is not waited for.
    let endless = format!("{HEAD}X: {}", "y".repeat(HEAD_BYTES_MAX));
    assert_eq!(parse(endless.as_bytes(), false), Reply::Malformed);
}

#[test]
fn hostile_chunks_are_malformed() {
    let huge = format!("{:x}\r\n", BODY_BYTES_MAX + 1);
    let endless = "1\r\n7\r\n".repeat(BODY_BYTES_MAX);
    for chunks in ["x\r\n", "1\r\n77\r\n", "ffffffffffffffff\r\n7", "fffffffffffffffff\r\n", &huge, &endless]
    {
        let text = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}");
        assert_eq!(parse(text.as_bytes(), false), Reply::Malformed, "{chunks:.40}");
    }
}

#[test]
fn requests_say_whether_they_go_on_and_what_follows() {
    let text = |body_bytes, keeps| {
        let mut bytes = Vec::new();
        Http::encode(&Ask { attempt: 7, exchange: 0, poison: None, keeps, body_bytes }, &mut bytes);
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
        let _ = parse(&bytes, at_end);
    }

    #[test]
    fn damaged_replies_are_read_or_refused(
        at in 0..200_usize, junk in proptest::collection::vec(any::<u8>(), 0..6), at_end: bool,
    ) {
        let text = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\n7*7\r\n4\r\n=49\n\r\n0\r\n\r\n");
        let mut bytes = text.into_bytes();
        let at = at.min(bytes.len());
        bytes.splice(at..(at + 1).min(bytes.len()), junk);
        if let Reply::Whole(whole) = parse(&bytes, at_end) {
            prop_assert!(whole.bytes <= bytes.len());
        }
    }
}

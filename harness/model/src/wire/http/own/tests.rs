//! What is sent, and what counts as a reply, in whatever pieces it comes.

use super::super::super::script::{Script, Statuses};
use super::super::super::search::Search;
use super::super::super::speak::Speak;
use super::super::Http;
use super::*;
use crate::wire::Poison;
use crate::words::{CrashMode, CrashStep};

const ASK: Ask = Ask { attempt: 7, exchange: 0, turn: 0, poison: None, keeps: false, body_bytes: 0 };

fn text(text: &str) -> Text {
    let mut places = Vec::new();
    let mut bytes = Vec::new();
    for (index, piece) in text.split("{n}").enumerate() {
        if index > 0 {
            places.push(bytes.len());
        }
        bytes.extend_from_slice(piece.as_bytes());
    }
    Text::new(bytes, places)
}

fn order(reply: HttpReply) -> HttpScript {
    let request = HttpRequest {
        method: "POST".to_owned(),
        target: text("/orders/{n}"),
        headers: vec![("host".to_owned(), text("shop.test"))],
        body: Some(text("{\"id\": {n}}")),
    };
    HttpScript { request, reply, ..HttpScript::get("/") }
}

fn encoded(ask: &Ask, script: &HttpScript) -> String {
    let mut into = Vec::new();
    Http::encode(ask, &Script::Http(Box::new(script.clone())), &mut into);
    String::from_utf8(into).expect("text")
}

/// What a reply comes to, piece by piece, and in one piece.
#[track_caller]
fn check(reply: &HttpReply, text: &str, expected: Result<u16, Wrong>) {
    let script = order(reply.clone());
    for step in [1, 7, text.len().max(1)] {
        let (mut rest, mut heard, mut from) = (None::<Rest>, Heard::Part, 0);
        for end in (step..text.len()).step_by(step).chain([text.len()]) {
            heard = match &mut rest {
                Some(rest) => rest.hear(&text.as_bytes()[from..end], false),
                None => judge(&ASK, &script, &text.as_bytes()[..end], false),
            };
            from = end;
            match heard {
                Heard::Long(long) => rest = Some(long),
                Heard::Part => {}
                Heard::Wrong(_) | Heard::Right(_) => break,
            }
        }
        if matches!(heard, Heard::Part | Heard::Long(_)) {
            heard = match &mut rest {
                Some(rest) => rest.hear(&[], true),
                None => judge(&ASK, &script, text.as_bytes(), true),
            };
        }
        let found = match heard {
            Heard::Right(right) => Ok(right.version),
            Heard::Wrong(why) => Err(why),
            Heard::Part | Heard::Long(_) => panic!("not all: {text:?}"),
        };
        assert_eq!(found, expected, "{step} of {:?}", &text[..text.len().min(80)]);
    }
}

fn http(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn with(content: Content) -> HttpReply {
    HttpReply { content: Some(content), ..HttpReply::default() }
}

#[test]
fn a_request_is_sent_as_it_is_described() {
    let script = order(HttpReply::default());
    let sent = "POST /orders/7 HTTP/1.1\r\nhost: shop.test\r\nConnection: close\r\nContent-Length: 9\r\n\r\n{\"id\": 7}";
    assert_eq!(encoded(&ASK, &script), sent);
    let get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n";
    assert_eq!(encoded(&Ask { keeps: true, ..ASK }, &HttpScript::get("/healthz")), get);
}

#[test]
fn poison_is_a_request_of_its_own() {
    let poison = Some(Poison { step: CrashStep::Work, mode: CrashMode::Panic });
    let asked = Ask { poison, ..ASK };
    let script = HttpScript { poison: Some(HttpScript::get("/crash").request), ..HttpScript::get("/") };
    assert!(encoded(&asked, &script).starts_with("GET /crash HTTP/1.1\r\n"));
    assert!(encoded(&ASK, &script).starts_with("GET / HTTP/1.1\r\n"));
    assert!(encoded(&asked, &HttpScript::get("/")).starts_with("GET / HTTP/1.1\r\n"));
}

#[test]
fn a_long_body_stays_where_it_lies() {
    let mut script = order(HttpReply::default());
    script.request.body = Some(text(&"x".repeat(INLINE_BYTES_MAX + 1)));
    assert!(encoded(&ASK, &script).ends_with("Content-Length: 16385\r\n\r\n"));
    assert_eq!(body(&ASK, &script), script.request.body.as_ref());
    script.request.body = Some(text(&"x".repeat(INLINE_BYTES_MAX)));
    assert!(encoded(&ASK, &script).ends_with("xx") && body(&ASK, &script).is_none());
}

#[test]
fn statuses_that_are_not_asked_for_are_errors() {
    let any = HttpReply::default();
    check(&any, &http(200, "", "whatever"), Ok(0));
    check(&any, &http(204, "", ""), Ok(0));
    check(&any, &http(404, "", "no"), Err(Wrong::Status(404)));
    check(&any, &http(500, "", &"long".repeat(30_000)), Err(Wrong::Status(500)));
    check(&any, "HTTP/1.1 200 X\r\n\r\nto the close", Ok(0));
    let some = HttpReply { statuses: vec![Statuses::One(404), Statuses::Class(3)], ..any };
    check(&some, &http(404, "", ""), Ok(0));
    check(&some, &http(302, "", ""), Ok(0));
    check(&some, &http(200, "", ""), Err(Wrong::Status(200)));
    check(&some, "nonsense", Err(Wrong::Malformed));
}

#[test]
fn content_must_be_what_is_asked_for() {
    let contains = with(Content::Contains(text("order {n} accepted")));
    check(&contains, &http(200, "", "<p>order 7 accepted</p>"), Ok(0));
    check(&contains, &http(200, "", "<p>order 8 accepted</p>"), Err(Wrong::Answer));
    check(&contains, &http(503, "", "order 7 accepted"), Err(Wrong::Status(503)));
    let chunks =
        "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n8\r\norder 7 \r\n8\r\naccepted\r\n0\r\n\r\n";
    check(&contains, chunks, Ok(0));
    let equals = with(Content::Equals(text("{n}!")));
    check(&equals, &http(200, "", "7!"), Ok(0));
    for other in ["7", "7!!", "", "8!"] {
        check(&equals, &http(200, "", other), Err(Wrong::Answer));
    }
    let matches = with(Content::Matches(Search::new("^ok \\d+$").expect("an expression")));
    check(&matches, &http(200, "", "ok 12"), Ok(0));
    check(&matches, &http(200, "", "ok twelve"), Err(Wrong::Answer));
}

#[test]
fn what_is_not_looked_at_is_not_held_against_the_server() {
    let contains = with(Content::Contains(text("end")));
    let page = |before: usize| http(200, "", &format!("{}end{}", "x".repeat(before), "x".repeat(90_000)));
    check(&contains, &page(LOOKED_BYTES_MAX - 3), Ok(0));
    check(&contains, &page(LOOKED_BYTES_MAX - 2), Err(Wrong::TooLong));
    let equals = with(Content::Equals(text(&"x".repeat(LOOKED_BYTES_MAX))));
    check(&equals, &http(200, "", &"x".repeat(LOOKED_BYTES_MAX)), Ok(0));
    check(&equals, &http(200, "", &"x".repeat(LOOKED_BYTES_MAX + 1)), Err(Wrong::Answer));
}

#[test]
fn an_answer_names_its_version() {
    let header =
        HttpReply { version: Some(VersionIn::Header("X-Version".to_owned())), ..HttpReply::default() };
    check(&header, &http(200, "x-version: 3\r\n", ""), Ok(3));
    check(&header, &http(200, "X-Version: v12\r\n", "body"), Ok(12));
    for none in ["", "X-Version: 1.2\r\n", "X-Version: 65536\r\n", "X-Version: \r\n"] {
        check(&header, &http(200, none, ""), Ok(0));
    }
    let search = Search::new(r"v=(\d+)").expect("an expression");
    let matches = HttpReply { version: Some(VersionIn::Content(search)), ..HttpReply::default() };
    check(&matches, &http(200, "", "hello, v=2"), Ok(2));
    check(&matches, &http(200, "", "hello"), Ok(0));
}

#[test]
fn a_reply_to_head_has_no_body() {
    let mut script = HttpScript::get("/");
    script.request.method = "HEAD".to_owned();
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert!(matches!(judge(&ASK, &script, reply, false), Heard::Right(right) if right.bytes == reply.len()));
}

//! Exchanges of services as they are, and of those that say something else.

use super::super::search::Search;
use super::super::text::Text;
use super::*;

const ASK: Ask = Ask { attempt: 7, exchange: 0, turn: 0, poison: None, keeps: false, body_bytes: 0 };

fn text(text: &str) -> Text {
    Text::new(text.as_bytes().to_vec(), Vec::new())
}

fn expect(end: AnswerEnd) -> Expect {
    Expect { end, starts_with: None, matches: None }
}

fn script(expect: Expect) -> Script {
    let exchanges = vec![Exchange { send: text("PING\r\n"), expect }];
    Script::Bytes(BytesScript { exchanges, once: 0, poison: None, server_closes: false })
}

/// `Ok`: so many bytes are right. `Err`: whether it is wrong; else not all of it is there.
#[track_caller]
fn check(expect: &Expect, reply: &[u8], expected: Result<usize, bool>) {
    let found = match Bytes::judge(&ASK, &script(expect.clone()), reply, false) {
        Heard::Right(right) => Ok(right.bytes),
        Heard::Wrong(_) => Err(true),
        Heard::Part => Err(false),
        Heard::Long(_) => panic!("long"),
    };
    assert_eq!(found, expected, "{:?}", String::from_utf8_lossy(reply));
}

#[test]
fn an_answer_ends_as_it_is_said() {
    let pong = expect(AnswerEnd::Equals(text("+PONG\r\n")));
    check(&pong, b"", Err(false));
    check(&pong, b"+PON", Err(false));
    check(&pong, b"+PONG\r\nrest", Ok(7));
    check(&pong, b"-ERR", Err(true));
    let line = expect(AnswerEnd::Until(text("\r\n")));
    check(&line, b"220 mail\r", Err(false));
    check(&line, b"220 mail\r\n250", Ok(10));
    let greeting = Expect { starts_with: Some(text("220 ")), ..line };
    check(&greeting, b"220 mail\r\n", Ok(10));
    check(&greeting, b"554 no\r\n", Err(true));
    check(&greeting, b"22\r\n", Err(true));
    check(&expect(AnswerEnd::Bytes(4)), b"abc", Err(false));
    check(&expect(AnswerEnd::Bytes(4)), b"abcdef", Ok(4));
}

#[test]
fn what_has_no_end_of_its_own_ends_when_it_is_right() {
    let starts = Expect { starts_with: Some(text("+PONG")), ..expect(AnswerEnd::WhenRight) };
    check(&starts, b"+PO", Err(false));
    check(&starts, b"+PONG\r\n", Ok(7));
    check(&starts, b"HTTP/1.1 400 Bad Request\r\n", Err(true));
    let matches = Expect { matches: Search::new("b+c").ok(), ..expect(AnswerEnd::WhenRight) };
    check(&matches, b"abb", Err(false));
    check(&matches, b"abbc.", Ok(5));
    let both = Expect { matches: Search::new("^[0-9]+\n$").ok(), ..expect(AnswerEnd::Until(text("\n"))) };
    check(&both, b"12\n3", Ok(3));
    check(&both, b"x\n", Err(true));
}

#[test]
fn long_answers_are_read_and_not_kept() {
    let script = script(expect(AnswerEnd::Bytes(1 << 20)));
    let Heard::Long(mut rest) = Bytes::judge(&ASK, &script, &[b'x'; 1_000], false) else { panic!("kept") };
    assert_eq!(rest.hear(&vec![b'x'; (1 << 20) - 1_001], false), Heard::Part);
    assert_eq!(
        rest.hear(b"xy", false),
        Heard::Right(Right { bytes: 1, version: 0, keeps: true, idle_s_max: None })
    );
}

#[test]
fn what_a_server_says_first_is_heard_once() {
    let hello = Exchange { send: Text::default(), expect: expect(AnswerEnd::Until(text("\n"))) };
    let ping = Exchange { send: text("PING\n"), expect: expect(AnswerEnd::Until(text("\n"))) };
    let bytes = BytesScript {
        exchanges: vec![hello.clone(), ping.clone(), ping],
        once: 1,
        poison: Some(text("DIE\n")),
        server_closes: false,
    };
    let script = Script::Bytes(bytes.clone());
    assert_eq!((script.turns(0), script.turns(1)), (0..3, 1..3));
    let sent = |turn, poison| {
        let mut into = Vec::new();
        Bytes::encode(&Ask { turn, poison, ..ASK }, &script, &mut into);
        into
    };
    let poison = Some(crate::wire::Poison::UNEXPECTED);
    assert_eq!([sent(0, None), sent(1, None), sent(2, None)], [&b""[..], b"PING\n", b"PING\n"]);
    assert_eq!([sent(0, poison), sent(1, poison), sent(2, poison)], [&b""[..], b"DIE\n", b"PING\n"]);
    let greeting = Script::Bytes(BytesScript { exchanges: vec![hello], once: 0, ..bytes });
    assert_eq!((greeting.turns(0), greeting.turns(3)), (0..1, 0..1));
}

#[test]
fn a_login_is_made_once_and_poison_comes_behind_it() {
    let exchange = |send| Exchange { send: text(send), expect: expect(AnswerEnd::Until(text("\n"))) };
    let bytes = BytesScript {
        exchanges: vec![exchange("LOGIN\n"), exchange("PING\n")],
        once: 1,
        poison: Some(text("DIE\n")),
        server_closes: false,
    };
    let script = Script::Bytes(bytes);
    assert_eq!((script.turns(0), script.turns(1)), (0..2, 1..2));
    let poison = Some(crate::wire::Poison::UNEXPECTED);
    let sent = |turn| {
        let mut into = Vec::new();
        Bytes::encode(&Ask { turn, poison, ..ASK }, &script, &mut into);
        into
    };
    assert_eq!([sent(0), sent(1)], [b"LOGIN\n".to_vec(), b"DIE\n".to_vec()]);
}

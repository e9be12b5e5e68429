//! Replies of servers that are right, wrong and hostile: whatever the pieces in which they come, the
//! verdict is the same.

use proptest::prelude::*;

use super::super::request::Poison;
use super::super::rest::{Rest, Right};
use super::super::speak::Asked;
use super::*;
use crate::words::{CrashMode, CrashStep};

const ASK: Ask = Ask { attempt: 7, exchange: 0, turn: 0, poison: None, keeps: false, body_bytes: 0 };

/// What a verdict comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// So many bytes are the right reply.
    Right(usize),
    Wrong,
    /// It ended too early.
    Cut,
}

/// Hands over a reply as the client does, in pieces that end at these places, and then the end.
fn fed(protocol: Protocol, reply: &[u8], ends: impl IntoIterator<Item = usize>) -> Verdict {
    let (mut from, mut rest) = (0, None::<Rest>);
    let pieces =
        ends.into_iter().map(|end| end.min(reply.len())).chain([reply.len()]).map(|end| (end, false));
    for (end, at_end) in pieces.chain([(reply.len(), true)]) {
        let (start, heard) = match &mut rest {
            Some(rest) => (from, rest.hear(&reply[from..end.max(from)], at_end)),
            None => (0, protocol.judge(&ASK, &Script::Squares, &reply[..end], at_end)),
        };
        from = end.max(from);
        match heard {
            Heard::Part => {
                assert!(
                    rest.is_some() || end <= protocol.reply_bytes_max(&Script::Squares),
                    "more is kept than may be"
                );
            }
            Heard::Long(long) => rest = Some(long),
            Heard::Wrong(_) => return Verdict::Wrong,
            Heard::Right(right) => return Verdict::Right(start + right.bytes),
        }
    }
    Verdict::Cut
}

#[track_caller]
fn check(protocol: Protocol, reply: &[u8], expected: Verdict) {
    let start = String::from_utf8_lossy(&reply[..reply.len().min(80)]).into_owned();
    assert_eq!(fed(protocol, reply, []), expected, "in one piece: {start:?}");
    let bytes = reply.len().min(8_192);
    assert_eq!(fed(protocol, reply, 0..bytes), expected, "byte by byte: {start:?}");
    assert_eq!(fed(protocol, reply, (0..reply.len()).step_by(4_096)), expected, "in reads: {start:?}");
}

const LINE: &str = "7*7=49\n";

fn http(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into_bytes()
}

fn chunked(chunks: &str) -> Vec<u8> {
    http("Transfer-Encoding: chunked\r\n", chunks)
}

/// The right reply, with so much behind the answer.
fn padded(bytes: usize) -> Vec<u8> {
    let body = format!("7*7=49 pad={}\n", "x".repeat(bytes));
    http(&format!("Content-Length: {}\r\n", body.len()), &body)
}

/// Replies over HTTP, and what they are.
fn http_replies() -> Vec<(Vec<u8>, Verdict)> {
    use Verdict::{Cut, Right, Wrong};
    let good = http("Content-Length: 7\r\n", LINE);
    let chunks = chunked("7;a=b\r\n7*7=49\n\r\n0\r\nTrailer: x\r\n\r\n");
    let right = |reply: &[u8]| (reply.to_vec(), Right(reply.len()));
    let interim = |times| ["HTTP/1.1 100 Continue\r\n\r\n".repeat(times).as_bytes(), &good].concat();
    vec![
        right(&good),
        right(&chunks),
        right(&interim(200)),
        (interim(2_000), Wrong),
        right(b"HTTP/1.1 200 OK\nContent-Length: 7\n\n7*7=49\n"),
        right(&http("", LINE)),
        ([good.clone(), good.clone()].concat(), Right(good.len())),
        (good[..good.len() - 1].to_vec(), Cut),
        (http("", "7*7=49"), Right(http("", "7*7=49").len())),
        (http("", "7*7=4"), Cut),
        (Vec::new(), Cut),
        (http("Content-Length: \r\n", LINE), Wrong),
        (http("Content-Length: -5\r\n", LINE), Wrong),
        (http("Content-Length: 99999999999999999999999\r\n", LINE), Wrong),
        (http("Content-Length: 18446744073709551615\r\n", LINE), Wrong),
        (http("Content-Length: 1073741824\r\n\r\n", LINE), Wrong),
        (http("Content-Length: 3\r\nContent-Length: 7\r\n", LINE), Wrong),
        (http("Content-Length: 5\r\n", LINE), Wrong),
        (http("Content-Length: 16\r\n", LINE), Cut),
        right(&padded(70_000)),
        right(&http("", &format!("7*7=49\n{}", "x".repeat(70_000)))),
        right(&chunked(&format!("a\r\n7*7=49 pad\r\n400\r\n{}\r\n0\r\n\r\n", "x".repeat(1_024)))),
        (padded(70_000)[..69_000].to_vec(), Cut),
        (http("Content-Length: 70000\r\n", &"x".repeat(70_000)), Wrong),
        (http("Content-Length: 70000\r\n", &"x".repeat(69_999)), Cut),
        (chunked(&format!("ffffffffffffffffff\r\n{LINE}")), Wrong),
        (chunked(&format!("ffffffffffffffff\r\n{LINE}")), Wrong),
        (chunked(&format!("-1\r\n{LINE}")), Wrong),
        (chunked(&format!("3\r\n{LINE}\r\n0\r\n\r\n")), Wrong),
        (chunked(&"1\r\n0\r\n".repeat(8_000)), Cut),
        (chunked(&"0".repeat(65_536)), Wrong),
        (b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), Wrong),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n".to_vec(), Wrong),
        (b"HTTP/1.1 500 X\r\nContent-Length: 7\r\n\r\n7*7=49\n".to_vec(), Wrong),
        (LINE.as_bytes().to_vec(), Wrong),
        (http("Content-Length: 7\r\n", "8*8=64\n"), Wrong),
        (http(&format!("X-A: {}\r\n", "b".repeat(60_000)), ""), Wrong),
        (vec![b'7'; 65_536], Wrong),
        (b"<script>alert(1)</script>\x1b[31m\xff\xfe\n".to_vec(), Wrong),
    ]
}

/// Bare replies, and what they are.
fn square_replies() -> Vec<(Vec<u8>, Verdict)> {
    use Verdict::{Cut, Right, Wrong};
    let longest = [b"7*7=49 ".as_slice(), &[b'x'; super::super::REPLY_BYTES_MAX - 8], b"\n"].concat();
    let mut longer = longest.clone();
    longer.insert(8, b'x');
    vec![
        (LINE.into(), Right(7)),
        (LINE.repeat(2).into(), Right(7)),
        (b"7*7=49 version=2\r\n".to_vec(), Right(18)),
        (longest.clone(), Right(longest.len())),
        (longer.clone(), Right(longer.len())),
        ([b"8".as_slice(), &longer].concat(), Wrong),
        (b"7*7=49".to_vec(), Cut),
        (Vec::new(), Cut),
        (b"\n".to_vec(), Wrong),
        (b"\0\0\0\n".to_vec(), Wrong),
        (b"0*0=0\n".to_vec(), Wrong),
        (vec![b'7'; 65_536], Cut),
        (b"<script>alert(1)</script>\x1b[31m\xff\xfe\n".to_vec(), Wrong),
        (http("Content-Length: 7\r\n", LINE), Wrong),
    ]
}

#[test]
fn replies_are_judged_alike_in_one_piece_and_byte_by_byte() {
    for (reply, verdict) in http_replies() {
        check(Protocol::Http, &reply, verdict);
    }
    for (reply, verdict) in square_replies() {
        check(Protocol::Square, &reply, verdict);
    }
}

#[test]
fn wrong_replies_say_why() {
    let why = |protocol: Protocol, reply: &[u8]| match protocol.judge(&ASK, &Script::Squares, reply, false) {
        Heard::Wrong(why) => why,
        heard => panic!("{heard:?}"),
    };
    assert_eq!(why(Protocol::Http, b"HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n"), Wrong::Status(503));
    assert_eq!(why(Protocol::Http, b"7*7=49\n"), Wrong::Malformed);
    assert_eq!(why(Protocol::Http, &http("Content-Length: 7\r\n", "8*8=64\n")), Wrong::Answer);
    assert_eq!(why(Protocol::Square, b"8*8=64\n"), Wrong::Answer);
    assert_eq!(why(Protocol::Square, &[b"7".repeat(600), b"\n".to_vec()].concat()), Wrong::Answer);
    assert_eq!(why(Protocol::Http, &http("Content-Length: 67108865\r\n", "7")), Wrong::TooLong);
}

#[test]
fn every_protocol_reads_what_it_encodes_and_is_content_with_its_answer() {
    let poison = Poison { step: CrashStep::Work, mode: CrashMode::Kill };
    for &protocol in Protocol::ALL {
        for (poison, keeps) in [(None, true), (None, false), (Some(poison), true)] {
            let body_bytes = if protocol.can().body { 70_000 } else { 0 };
            let ask = Ask { poison: poison.filter(|_| protocol.can().poison), keeps, body_bytes, ..ASK };
            let mut request = Vec::new();
            protocol.encode(&ask, &Script::Squares, &mut request);
            let head = protocol.read(&request).expect("all of it");
            assert_eq!((head.bytes, head.asked), (request.len(), Asked::For(ask.request())));
            assert_eq!(head.body_bytes, u64::from(body_bytes));
            assert!(!protocol.can().say_last || head.keeps == keeps);
            assert!(request.len() <= protocol.request_bytes_max());
            for end in 0..request.len() {
                assert_eq!(protocol.read(&request[..end]), None);
            }
        }
        let answer = protocol.answer("7*7=49 version=3\n".to_owned(), true);
        let right = Right { bytes: answer.len(), version: 3, keeps: true, idle_s_max: None };
        assert_eq!(protocol.judge(&ASK, &Script::Squares, &answer, false), Heard::Right(right));
        assert_ne!(
            protocol.judge(&ASK, &Script::Squares, &protocol.refuse(false), true),
            Heard::Right(right)
        );
        assert_eq!(serde_json::to_value(protocol).expect("a word"), protocol.as_str());
    }
}

proptest! {
    #[test]
    fn any_pieces_make_the_same_reply(
        which: prop::sample::Index, mut ends in prop::collection::vec(0..70_000_usize, 0..12),
    ) {
        ends.sort_unstable();
        let http = http_replies().into_iter().map(|reply| (Protocol::Http, reply));
        let all: Vec<_> = http.chain(square_replies().into_iter().map(|reply| (Protocol::Square, reply))).collect();
        let (protocol, (reply, verdict)) = which.get(&all);
        // The client judges after each read, so that no more than one read lies behind the last verdict.
        let reads = (0..reply.len()).step_by(4_096);
        let mut ends: Vec<usize> = ends.into_iter().map(|end| end.min(reply.len())).chain(reads).collect();
        ends.sort_unstable();
        prop_assert_eq!(fed(*protocol, reply, ends), *verdict);
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..600), at_end: bool) {
        for &protocol in Protocol::ALL {
            let _ = protocol.judge(&ASK, &Script::Squares, &bytes, at_end);
            let _ = protocol.read(&bytes);
        }
    }
}

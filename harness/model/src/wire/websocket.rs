//! WebSocket: a request that opens it over HTTP/1.1, and then messages, which are said as bytes are. Whoever carries the
//! bytes makes a message of each that is sent once it is open, and gives what messages hold.
//!
//! Workers of ours do not speak it.

use httparse::{EMPTY_HEADER, Response, Status};

use super::bytes;
use super::http::{HEADERS_MAX, Http};
use super::rest::{Excerpt, Heard, Right};
use super::script::{MessagesScript, Script};
use super::speak::{Ask, Can, Head, Speak};
use super::square::Square;
use super::text::Number;

/// The protocol.
pub(super) struct WebSocket;

/// What a key is made of, with the number of the request behind it: 16 bytes in all (RFC 6455, section 4.1).
const KEY: &[u8; 8] = b"holdline";

impl Speak for WebSocket {
    const CAN: Can = Can {
        poison: true,
        body: false,
        say_last: false,
        server_ends: false,
        pipeline: false,
        pool: false,
        workers: false,
    };
    const REQUEST_BYTES_MAX: usize = Square::REQUEST_BYTES_MAX;

    fn reply_bytes_max(script: &Script) -> usize {
        own(script).map_or(Square::reply_bytes_max(script), |_| {
            bytes::ANSWER_BYTES_MAX.max(Http::reply_bytes_max(&Script::Squares))
        })
    }

    fn encode(ask: &Ask, script: &Script, into: &mut Vec<u8>) {
        let Some(script) = own(script) else { return Square::encode(ask, &Script::Squares, into) };
        match message(ask) {
            None => open(script, &ask.number(), into),
            Some(ask) => bytes::encode(&ask, &script.messages, into),
        }
    }

    fn judge(ask: &Ask, script: &Script, reply: &[u8], at_end: bool) -> Heard {
        let Some(script) = own(script) else { return Square::judge(ask, &Script::Squares, reply, at_end) };
        match message(ask) {
            None => opened(ask, reply, at_end),
            Some(ask) => bytes::judge(&ask, &script.messages, reply),
        }
    }

    fn excerpt(reply: &[u8]) -> Excerpt {
        if reply.starts_with(b"HTTP/") { Http::excerpt(reply) } else { Excerpt::of(reply) }
    }

    fn read(bytes: &[u8]) -> Option<Head> {
        Square::read(bytes)
    }

    fn answer(line: String, keeps: bool) -> Vec<u8> {
        Square::answer(line, keeps)
    }

    fn refuse(keeps: bool) -> Vec<u8> {
        Square::refuse(keeps)
    }
}

const fn own(script: &Script) -> Option<&MessagesScript> {
    match script {
        Script::Messages(script) => Some(script),
        Script::Squares | Script::Http(_) | Script::Bytes(_) => None,
    }
}

/// The same turn among messages alone; `None`: it is the one that opens the connection.
fn message(ask: &Ask) -> Option<Ask> {
    Some(Ask { turn: ask.turn.checked_sub(1)?, ..*ask })
}

fn open(script: &MessagesScript, number: &Number, into: &mut Vec<u8>) {
    into.extend_from_slice(b"GET ");
    script.open.target.put(number, into);
    into.extend_from_slice(b" HTTP/1.1");
    let mut put = |name: &str, value: &[u8]| {
        into.extend_from_slice(b"\r\n");
        into.extend_from_slice(name.as_bytes());
        into.extend_from_slice(b": ");
        into.extend_from_slice(value);
    };
    let named = |name: &str| script.open.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    let key = key(number);
    let own: [(&str, &[u8]); 5] = [
        ("Host", b"localhost"),
        ("Connection", b"Upgrade"),
        ("Upgrade", b"websocket"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", &key),
    ];
    for (name, value) in own.into_iter().filter(|(name, _)| !named(name)) {
        put(name, value);
    }
    for (name, value) in &script.open.headers {
        let mut text = Vec::new();
        value.put(number, &mut text);
        put(name, &text);
    }
    into.extend_from_slice(b"\r\n\r\n");
}

/// A key that names the request, in base64.
fn key(number: &Number) -> [u8; 24] {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = [b'0'; 18];
    bytes[..KEY.len()].copy_from_slice(KEY);
    let digits = number.as_bytes();
    let count = digits.len().min(16 - KEY.len());
    bytes[16 - count..16].copy_from_slice(&digits[digits.len() - count..]);
    bytes[16..].fill(0);
    let mut key = [b'='; 24];
    for (three, four) in bytes.chunks(3).zip(key.chunks_mut(4)) {
        let all = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
        for (index, letter) in four.iter_mut().enumerate() {
            *letter = LETTERS[(all >> (18 - 6 * index) & 63) as usize];
        }
    }
    // The last two bytes are none.
    key[22..].fill(b'=');
    key
}

/// Judges the reply to the request that opens it: 101, or one over HTTP like any other.
fn opened(ask: &Ask, reply: &[u8], at_end: bool) -> Heard {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    match response.parse(reply) {
        Ok(Status::Complete(bytes)) if response.code == Some(101) => {
            Heard::Right(Right { bytes, version: 0, keeps: true, idle_s_max: None })
        }
        Ok(_) | Err(_) => Http::judge(ask, &Script::Squares, reply, at_end),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rest::Wrong;
    use super::super::script::{BytesScript, HttpScript};
    use super::*;

    const ASK: Ask = Ask { attempt: 7, exchange: 0, turn: 0, poison: None, keeps: false, body_bytes: 0 };

    fn script() -> Script {
        let open = HttpScript::get("/chat").request;
        let messages = BytesScript { exchanges: Vec::new(), once: 0, poison: None, server_closes: false };
        Script::Messages(Box::new(MessagesScript { open, messages }))
    }

    #[test]
    fn it_is_opened_by_a_request_with_a_key_of_sixteen_bytes() {
        let mut bytes = Vec::new();
        WebSocket::encode(&ASK, &script(), &mut bytes);
        let text = String::from_utf8(bytes).expect("text");
        assert!(
            text.starts_with("GET /chat HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"),
            "{text}"
        );
        // `holdline00000007`
        assert!(text.contains("\r\nSec-WebSocket-Key: aG9sZGxpbmUwMDAwMDAwNw==\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"));
    }

    #[test]
    fn only_switching_protocols_opens_it() {
        let judge = |reply: &str| WebSocket::judge(&ASK, &script(), reply.as_bytes(), false);
        let switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        let right = Right { bytes: switched.len(), version: 0, keeps: true, idle_s_max: None };
        assert_eq!(judge(&format!("{switched}\u{1}")), Heard::Right(right));
        assert_eq!(judge(&switched[..9]), Heard::Part);
        let status = |status| format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nno");
        assert_eq!(judge(&status(403)), Heard::Wrong(Wrong::Status(403)));
        assert_eq!(judge(&status(200)), Heard::Wrong(Wrong::Answer));
        assert_eq!(judge("SSH-2.0-x\r\n"), Heard::Wrong(Wrong::Malformed));
    }
}

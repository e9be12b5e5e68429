//! The square protocol, bare: a line each way. The server closes behind its reply, unless it is used to
//! sessions.

use super::body::Framing;
use super::reply::judge_line;
use super::request::Request;
use super::rest::{Excerpt, Framed, Heard, Keeps, Right, Wrong};
use super::script::Script;
use super::speak::{Ask, Asked, Can, Head, Speak};
use super::{REPLY_BYTES_MAX, REQUEST_BYTES_MAX};

/// The protocol.
pub(super) struct Square;

impl Speak for Square {
    const CAN: Can = Can {
        poison: true,
        body: false,
        say_last: false,
        server_ends: true,
        pipeline: true,
        pool: true,
        workers: true,
    };
    const REQUEST_BYTES_MAX: usize = REQUEST_BYTES_MAX;

    fn reply_bytes_max(_script: &Script) -> usize {
        REPLY_BYTES_MAX
    }

    fn encode(ask: &Ask, _script: &Script, into: &mut Vec<u8>) {
        ask.request().encode(into);
        into.push(b'\n');
    }

    fn judge(ask: &Ask, _script: &Script, reply: &[u8], _at_end: bool) -> Heard {
        match line_bytes(reply) {
            Some(bytes) if bytes <= REPLY_BYTES_MAX => match judge_line(&reply[..bytes], ask.request()) {
                Some(version) => Heard::Right(Right { bytes, version, keeps: true, idle_s_max: None }),
                None => Heard::Wrong(Wrong::Answer),
            },
            None if reply.len() < REPLY_BYTES_MAX => Heard::Part,
            _ => framed(reply).judge(ask.request(), false),
        }
    }

    fn excerpt(reply: &[u8]) -> Excerpt {
        Excerpt::of(reply)
    }

    fn read(bytes: &[u8]) -> Option<Head> {
        let bytes_of_line = line_bytes(bytes)?;
        let asked = Asked::For(Request::parse(&bytes[..bytes_of_line]));
        Some(Head { bytes: bytes_of_line, asked, keeps: true, body_bytes: 0 })
    }

    fn answer(line: String, _keeps: bool) -> Vec<u8> {
        line.into_bytes()
    }

    /// Whatever is no number is poison, so that nothing is refused.
    fn refuse(_keeps: bool) -> Vec<u8> {
        Vec::new()
    }
}

fn framed(bytes: &[u8]) -> Framed<'_> {
    Framed { framing: Framing::Line, bytes, head_bytes: 0, wrong: None, keeps: Keeps::ALWAYS }
}

/// Length of the first line, newline included, once all of it is there.
fn line_bytes(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1)
}

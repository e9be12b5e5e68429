//! Bytes in exchanges, as a description lists them: of services that speak neither squares nor HTTP. What is
//! asked for and what counts as an answer stand in the script.
//!
//! Workers of ours answer bare squares here, which is one of the protocols that exchanges can say.

use super::body::{Body, Framing};
use super::rest::{Excerpt, Heard, Keeps, Rest, Right, Wrong};
use super::script::{AnswerEnd, BytesScript, Exchange, Expect, Script};
use super::speak::{Ask, Can, Head, Speak};
use super::square::Square;
use super::text::{Fit, Number};
use super::{CONTENT_BYTES_MAX, REPLY_BYTES_MAX, REQUEST_BYTES_MAX};

/// The most bytes of an answer that are kept until its end is found.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The protocol.
pub(super) struct Bytes;

impl Speak for Bytes {
    // Workers of ours answer squares here, and can do what they can there.
    const CAN: Can = Square::CAN;
    const REQUEST_BYTES_MAX: usize = REQUEST_BYTES_MAX;

    fn reply_bytes_max(script: &Script) -> usize {
        own(script).map_or(REPLY_BYTES_MAX, |_| ANSWER_BYTES_MAX)
    }

    fn encode(ask: &Ask, script: &Script, into: &mut Vec<u8>) {
        let Some(script) = own(script) else { return Square::encode(ask, &Script::Squares, into) };
        encode(ask, script, into);
    }

    fn judge(ask: &Ask, script: &Script, reply: &[u8], at_end: bool) -> Heard {
        let Some(script) = own(script) else { return Square::judge(ask, &Script::Squares, reply, at_end) };
        judge(ask, script, reply)
    }

    fn excerpt(reply: &[u8]) -> Excerpt {
        Excerpt::of(reply)
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

const fn own(script: &Script) -> Option<&BytesScript> {
    match script {
        Script::Bytes(script) => Some(script),
        Script::Squares | Script::Http(_) | Script::Messages(_) => None,
    }
}

fn exchange<'a>(ask: &Ask, script: &'a BytesScript) -> Option<&'a Exchange> {
    script.exchanges.get(usize::from(ask.turn))
}

/// Appends what is sent in a turn.
pub(super) fn encode(ask: &Ask, script: &BytesScript, into: &mut Vec<u8>) {
    let Some(exchange) = exchange(ask, script) else { return };
    let is_first = script.first_sent() == Some(ask.turn.into());
    let poison = script.poison.as_ref().filter(|_| is_first && ask.poison.is_some());
    poison.unwrap_or(&exchange.send).put(&ask.number(), into);
}

/// Judges what has come of the answer of a turn.
pub(super) fn judge(ask: &Ask, script: &BytesScript, reply: &[u8]) -> Heard {
    exchange(ask, script).map_or(Heard::Part, |exchange| compare(&exchange.expect, reply, &ask.number()))
}

fn compare(expect: &Expect, reply: &[u8], number: &Number) -> Heard {
    let wrong = Heard::Wrong(Wrong::Answer);
    let start = expect.starts_with.as_ref().map(|text| text.begins(reply, number));
    if start == Some(Fit::No) {
        return wrong;
    }
    let has_begun = start.is_none_or(|fit| matches!(fit, Fit::Whole(_)));
    let matches = |answer: &[u8]| expect.matches.as_ref().is_none_or(|search| search.is_in(answer));
    let complete = |bytes: usize| {
        if has_begun && matches(&reply[..bytes]) { right(bytes) } else { wrong }
    };
    match &expect.end {
        AnswerEnd::Equals(text) => match text.begins(reply, number) {
            Fit::No => wrong,
            Fit::Part => Heard::Part,
            Fit::Whole(bytes) => complete(bytes),
        },
        AnswerEnd::Until(text) => match text.end_in(reply, number) {
            Some(bytes) => complete(bytes),
            None => Heard::Part,
        },
        AnswerEnd::Bytes(bytes) if reply.len() >= *bytes => complete(*bytes),
        AnswerEnd::Bytes(bytes) if *bytes > ANSWER_BYTES_MAX && has_begun && expect.matches.is_none() => {
            long(*bytes, reply)
        }
        AnswerEnd::WhenRight if has_begun && !reply.is_empty() && matches(reply) => right(reply.len()),
        AnswerEnd::Bytes(_) | AnswerEnd::WhenRight => Heard::Part,
    }
}

fn right(bytes: usize) -> Heard {
    Heard::Right(Right { bytes, version: 0, keeps: true, idle_s_max: None })
}

/// An answer of so many bytes, too many to be kept, of which enough has come to be judged.
fn long(bytes: usize, reply: &[u8]) -> Heard {
    if reply.is_empty() {
        return Heard::Part;
    }
    let length = (bytes as u64).min(CONTENT_BYTES_MAX);
    let mut body = Body::new(Framing::Length(length));
    let _ = body.take(reply, |_| {});
    Heard::Long(Rest::new(body, Ok(0), Keeps::ALWAYS))
}

#[cfg(test)]
mod tests;

//! The reply line: the number with its square, and what a worker says of itself behind it.

use std::str::FromStr;

use super::request::{Poison, Request};
use crate::words::CrashStep;

/// Length of the longest answer: two numbers of 64 bits, their product, `*` and `=`.
const ANSWER_BYTES_MAX: usize = 20 + 1 + 20 + 1 + 39;

/// What a worker says of itself behind its answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplyFields {
    /// The worker's process id, in its own PID namespace.
    pub pid: Option<u32>,
    /// Which incarnation of the worker it is, from 1.
    pub generation: Option<u32>,
    /// The version of the worker.
    pub version: Option<u32>,
    /// When it accepted the connection, in CLOCK_MONOTONIC nanoseconds.
    pub accepted_ns: Option<u64>,
}

/// A reply line that is not an answer to the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `{expected}`, got `{got}`")]
pub struct WrongReply {
    /// How the reply should have begun.
    pub expected: String,
    /// What came, cut to a readable length.
    pub got: String,
}

/// The whole reply line of our workers, newline included.
#[must_use]
pub fn reply_line(number: u64, fields: &ReplyFields) -> String {
    let mut line = answer(number);
    let pairs = [
        ("pid", fields.pid.map(u64::from)),
        ("gen", fields.generation.map(u64::from)),
        ("version", fields.version.map(u64::from)),
        ("accepted", fields.accepted_ns),
    ];
    for (key, value) in pairs {
        if let Some(value) = value {
            line.extend([" ", key, "=", itoa::Buffer::new().format(value)]);
        }
    }
    line.push('\n');
    line
}

/// Checks a complete reply line against the number that was asked for. Unknown keys are ignored.
///
/// # Errors
///
/// Whatever does not begin with the right answer is a [`WrongReply`].
pub fn parse_reply(line: &[u8], number: u64) -> Result<ReplyFields, WrongReply> {
    fields_of(line, number).ok_or_else(|| WrongReply {
        expected: answer(number),
        got: String::from_utf8_lossy(line.trim_ascii_end()).chars().take(80).collect(),
    })
}

/// Judges a complete reply line, without allocating: the version that a right one gives, 0 if none, or
/// one that a record cannot hold.
///
/// To poison there is no right answer, unless its worker is to fail only once it has replied: as poison
/// asks for no number, that of any is right.
pub(super) fn judge_line(line: &[u8], request: Request) -> Option<u16> {
    let number = match request {
        Request::Square(number) => number,
        Request::Poison(Poison { step: CrashStep::Close, .. }) => number_answered(line)?,
        Request::Poison(_) => return None,
    };
    let version = fields_of(line, number)?.version;
    Some(version.and_then(|version| u16::try_from(version).ok()).unwrap_or(0))
}

/// Whether this is how the right answer begins, but not all of it.
pub(super) fn begins_answer(content: &[u8], request: Request) -> bool {
    match request {
        Request::Square(number) => {
            let (answer, length) = encoded_answer(number);
            answer[..length].starts_with(content)
        }
        Request::Poison(_) => content.is_empty(),
    }
}

/// The answer to a number, without fields and newline.
fn answer(number: u64) -> String {
    let (buffer, length) = encoded_answer(number);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

fn encoded_answer(number: u64) -> ([u8; ANSWER_BYTES_MAX], usize) {
    let (mut buffer, mut length) = ([0; ANSWER_BYTES_MAX], 0);
    let (mut factor, mut square) = (itoa::Buffer::new(), itoa::Buffer::new());
    let factor = factor.format(number);
    for part in [factor, "*", factor, "=", square.format(u128::from(number) * u128::from(number))] {
        buffer[length..length + part.len()].copy_from_slice(part.as_bytes());
        length += part.len();
    }
    (buffer, length)
}

/// What a line says behind the answer to `number`; `None`: that is not how it begins.
fn fields_of(mut line: &[u8], number: u64) -> Option<ReplyFields> {
    while let [rest @ .., b'\n' | b'\r'] = line {
        line = rest;
    }
    let mut words = line.split(|byte| *byte == b' ');
    let (answer, length) = encoded_answer(number);
    if words.next() != Some(&answer[..length]) {
        return None;
    }
    let mut fields = ReplyFields::default();
    for word in words {
        let Some(at) = word.iter().position(|byte| *byte == b'=') else { continue };
        let value = &word[at + 1..];
        match &word[..at] {
            b"pid" => fields.pid = parsed(value),
            b"gen" => fields.generation = parsed(value),
            b"version" => fields.version = parsed(value),
            b"accepted" => fields.accepted_ns = parsed(value),
            _ => {}
        }
    }
    Some(fields)
}

/// The number whose square a reply says it is.
fn number_answered(line: &[u8]) -> Option<u64> {
    parsed(&line[..line.iter().position(|byte| *byte == b'*')?])
}

fn parsed<T: FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::words::CrashMode;

    #[test]
    fn replies_carry_the_number_and_what_the_worker_says() {
        let fields =
            ReplyFields { pid: Some(7), generation: Some(2), version: Some(1), accepted_ns: Some(99) };
        assert_eq!(reply_line(7, &fields), "7*7=49 pid=7 gen=2 version=1 accepted=99\n");
        assert_eq!(parse_reply(b"7*7=49 pid=7 gen=2 version=1 accepted=99 colour=red\n", 7), Ok(fields));
        assert_eq!(parse_reply(b"7*7=49\r\n", 7), Ok(ReplyFields::default()));
        assert!(parse_reply(b"7*7=48\n", 7).is_err());
        assert!(parse_reply(b"8*8=64\n", 7).is_err());
        assert!(parse_reply(b"7*7=49x\n", 7).is_err());
        assert!(parse_reply(b"\n", 7).is_err());
    }

    #[test]
    fn versions_that_a_record_cannot_hold_are_not_known() {
        assert_eq!(judge_line(b"2*2=4 version=65535\n", Request::Square(2)), Some(65_535));
        assert_eq!(judge_line(b"2*2=4 version=65536\n", Request::Square(2)), Some(0));
        assert_eq!(judge_line(b"2*2=5\n", Request::Square(2)), None);
    }

    #[test]
    fn poison_is_answered_only_by_a_worker_that_fails_later() {
        let poison = |step| Request::Poison(Poison { step, mode: CrashMode::Abort });
        assert_eq!(judge_line(b"3*3=9 version=2\n", poison(CrashStep::Close)), Some(2));
        for line in [b"3*3=8\n".as_slice(), b"nine\n", b"\n", b"\xff*\n"] {
            assert_eq!(judge_line(line, poison(CrashStep::Close)), None);
        }
        assert_eq!(judge_line(b"3*3=9\n", poison(CrashStep::Work)), None);
    }

    proptest! {
        #[test]
        fn a_square_is_answered(number: u64) {
            let line = reply_line(number, &ReplyFields::default());
            prop_assert!(parse_reply(line.as_bytes(), number).is_ok());
            let square = u128::from(number) * u128::from(number);
            prop_assert_eq!(line, format!("{number}*{number}={square}\n"));
        }
    }
}

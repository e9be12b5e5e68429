//! What a worker is asked: a number, or poison.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::words::{CrashMode, CrashStep};

/// What a worker is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The square of this number.
    Square(u64),
    /// To fail.
    Poison(Poison),
}

/// A fault that a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Poison {
    /// When the worker fails.
    pub step: CrashStep,
    /// How it fails.
    pub mode: CrashMode,
}

impl Poison {
    /// What a worker does with a request that is neither a number nor a well-formed poison: it
    /// behaves as a program that did not expect it.
    pub const UNEXPECTED: Self = Self { step: CrashStep::Work, mode: CrashMode::Panic };
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "!{}:{}", self.step, self.mode)
    }
}

impl Request {
    /// Reads a request line, with or without its newline.
    #[must_use]
    pub fn parse(line: &[u8]) -> Self {
        let text = std::str::from_utf8(line).unwrap_or("?").trim();
        if let Ok(number) = text.parse() {
            return Self::Square(number);
        }
        let poison = text
            .strip_prefix('!')
            .and_then(|rest| rest.split_once(':'))
            .and_then(|(step, mode)| Some(Poison { step: step.parse().ok()?, mode: mode.parse().ok()? }));
        Self::Poison(poison.unwrap_or(Poison::UNEXPECTED))
    }

    /// Appends what [`Self::parse`] reads, without a newline.
    pub fn encode(self, into: &mut Vec<u8>) {
        match self {
            Self::Square(number) => into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            Self::Poison(Poison { step, mode }) => {
                for part in ["!", step.as_str(), ":", mode.as_str()] {
                    into.extend_from_slice(part.as_bytes());
                }
            }
        }
    }

    /// The request line, newline included.
    #[must_use]
    pub fn line(self) -> String {
        match self {
            Self::Square(number) => format!("{number}\n"),
            Self::Poison(poison) => format!("{poison}\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::REQUEST_BYTES_MAX;
    use super::*;

    #[track_caller]
    fn check(request: Request) {
        let (line, mut encoded) = (request.line(), Vec::new());
        request.encode(&mut encoded);
        encoded.push(b'\n');
        assert_eq!(line.as_bytes(), encoded);
        assert_eq!(Request::parse(&encoded), request);
        assert!(line.len() <= REQUEST_BYTES_MAX);
    }

    #[test]
    fn requests_are_numbers_and_everything_else_is_poison() {
        assert_eq!(Request::parse(b"7\n"), Request::Square(7));
        assert_eq!(Request::parse(b"five\n"), Request::Poison(Poison::UNEXPECTED));
        assert_eq!(Request::parse(b"!read\n"), Request::Poison(Poison::UNEXPECTED));
        assert_eq!(Request::parse(&[0xff, 0xfe]), Request::Poison(Poison::UNEXPECTED));
        for &step in CrashStep::ALL {
            for &mode in CrashMode::ALL {
                check(Request::Poison(Poison { step, mode }));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_make_a_request(bytes: Vec<u8>) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn any_number_can_be_asked_for(number: u64) {
            check(Request::Square(number));
        }
    }
}

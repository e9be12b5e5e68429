//! What came of asking a service one request outside of all counts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::show_ns;
use crate::errno::errno_in_words;
use crate::record::NotSent;
use crate::tls::{Certificate, TlsFailure};
use crate::words::Stage;

/// How many bytes of a reply that is not the answer are kept.
const SAID_BYTES_MAX: usize = 200;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// The right reply, within the scenario's deadline.
    Served {
        /// How long it took, in nanoseconds.
        waited_ns: u64,
    },
    /// The right reply, after it.
    Late {
        /// How long it took, in nanoseconds.
        waited_ns: u64,
    },
    /// Nobody listened.
    Refused,
    /// At the path of a Unix socket there was none.
    NoPath,
    /// A complete reply that is not the answer.
    Wrong {
        /// The status, where that is what made it wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The first bytes of the reply.
        said: String,
    },
    /// The connection ended before the reply was complete.
    Cut {
        /// The first bytes of what came of it.
        said: String,
    },
    /// No TLS came about.
    Tls {
        /// Why.
        failure: TlsFailure,
        /// The certificate that the server showed, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<Box<Certificate>>,
        /// The first bytes of what came instead of TLS.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        said: String,
    },
    /// The time was over.
    TimedOut {
        /// What was waited for.
        stage: Stage,
        /// How long it was waited, in nanoseconds.
        waited_ns: u64,
    },
    /// The request could not be made.
    NotAsked {
        /// Why.
        cause: NotAsked,
    },
}

/// Why a request could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotAsked {
    /// Whoever asks had none left of something of its own.
    Lacks(NotSent),
    /// The kernel said something that has no meaning of its own here.
    Errno(i32),
}

impl fmt::Display for NotAsked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks(what) => f.write_str(what.in_words()),
            Self::Errno(errno) => f.write_str(&errno_in_words(u64::from(errno.unsigned_abs()))),
        }
    }
}

impl Answer {
    /// Whether it is the right reply, in time or not.
    #[must_use]
    pub const fn is_served(&self) -> bool {
        match self {
            Self::Served { .. } | Self::Late { .. } => true,
            Self::Refused
            | Self::NoPath
            | Self::Wrong { .. }
            | Self::Cut { .. }
            | Self::Tls { .. }
            | Self::TimedOut { .. }
            | Self::NotAsked { .. } => false,
        }
    }

    /// Whether the right reply came after the scenario's deadline.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        matches!(self, Self::Late { .. })
    }

    /// What was said instead of the right reply, if anything was.
    #[must_use]
    pub fn said(&self) -> Option<&str> {
        match self {
            Self::Wrong { said, .. } | Self::Cut { said } | Self::Tls { said, .. } => Some(said),
            Self::Served { .. }
            | Self::Late { .. }
            | Self::Refused
            | Self::NoPath
            | Self::TimedOut { .. }
            | Self::NotAsked { .. } => None,
        }
    }
}

/// The first bytes of a reply, as text.
#[must_use]
pub fn first_bytes(reply: &[u8]) -> String {
    let cut = &reply[..reply.len().min(SAID_BYTES_MAX)];
    String::from_utf8_lossy(cut).into_owned()
}

/// The process that a reply names as the one that answers, as the square reply does: ` pid=7`.
#[must_use]
pub fn pid_in(reply: &[u8]) -> Option<u32> {
    const KEY: &[u8] = b" pid=";
    let from = reply.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    let digits = reply[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&reply[from..from + digits]).ok()?.parse().ok()
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Served { waited_ns } => write!(f, "the right reply came after {}", show_ns(*waited_ns)),
            Self::Late { waited_ns } => {
                write!(f, "the right reply came late, after {}", show_ns(*waited_ns))
            }
            Self::Refused => f.write_str("nobody listened"),
            Self::NoPath => f.write_str("there was no socket at the path"),
            Self::Wrong { status: Some(status), said } => write!(f, "a reply with status {status}: {said:?}"),
            Self::Wrong { status: None, said } => write!(f, "a reply that is not the answer: {said:?}"),
            Self::Cut { said } if said.is_empty() => {
                f.write_str("the connection was closed without a byte of a reply")
            }
            Self::Cut { said } => write!(f, "the connection was closed after part of a reply: {said:?}"),
            Self::Tls { failure, certificate, said } => {
                write!(f, "the TLS handshake failed: {failure}")?;
                if !said.is_empty() {
                    write!(f, ": {said:?}")?;
                }
                match certificate {
                    Some(certificate) if failure.is_of_certificate() => write!(f, " ({certificate})"),
                    Some(_) | None => Ok(()),
                }
            }
            Self::TimedOut { stage: Stage::Tls, waited_ns } => {
                write!(f, "no end of the TLS handshake within {}", show_ns(*waited_ns))
            }
            Self::TimedOut { stage: Stage::Connect, waited_ns } => {
                write!(f, "no connection within {}", show_ns(*waited_ns))
            }
            Self::TimedOut { stage: Stage::FirstByte, waited_ns } => {
                write!(f, "no reply within {}", show_ns(*waited_ns))
            }
            Self::TimedOut { stage: Stage::Reply, waited_ns } => {
                write!(f, "no complete reply within {}", show_ns(*waited_ns))
            }
            Self::NotAsked { cause } => write!(f, "the request could not be made: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_first_bytes_of_a_reply_are_kept() {
        assert_eq!(first_bytes(b"503 oh"), "503 oh");
        assert_eq!(first_bytes(&[b'x'; 5_000]).len(), SAID_BYTES_MAX);
        assert_eq!(first_bytes(b"\xff1"), "\u{fffd}1");
    }

    #[test]
    fn a_reply_may_name_who_answers() {
        assert_eq!(pid_in(b"HTTP/1.1 200 OK\r\n\r\n7*7=49 pid=812 gen=1\n"), Some(812));
        assert_eq!(pid_in(b"7*7=49\n"), None);
        assert_eq!(pid_in(b"7*7=49 pid=\n"), None);
        assert_eq!(pid_in(b"7*7=49 pid=99999999999999\n"), None);
    }

    #[test]
    fn late_is_served_and_wrong_is_not() {
        assert!(Answer::Served { waited_ns: 1 }.is_served() && Answer::Late { waited_ns: 1 }.is_served());
        let wrong = Answer::Wrong { status: Some(503), said: String::new() };
        assert!(!wrong.is_served() && !Answer::Refused.is_served());
    }
}

//! What client and worker say to each other: the *square* protocol, and client addresses as names.
//!
//! A request is a number and a newline; the reply repeats it with its square, so that a reply that
//! belongs to another request is noticed. Anything that is not a number kills the worker: that is
//! the poison. Ours spells out step and mode (`!work:panic`), which any server that insists on
//! numbers rejects just as well.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::words::{CrashMode, CrashStep};

/// The longest request line that a worker reads, newline included, in bytes.
pub const REQUEST_BYTES_MAX: usize = 64;
/// The longest reply line that the client reads, newline included, in bytes.
pub const REPLY_BYTES_MAX: usize = 512;
/// The most attempts that one trial can have: beyond it client addresses would repeat.
pub const ATTEMPTS_MAX: u32 = (1 << 24) - 64;

/// The server's address in `tcp` trials.
pub const SERVER_V4: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// The server's address in `tcp6` trials.
pub const SERVER_V6: Ipv6Addr = Ipv6Addr::LOCALHOST;
/// The prefix that the sandbox routes to its loopback, so that IPv6 clients can have addresses of
/// their own: IPv6 has just one loopback address. From the unique local range of RFC 4193.
pub const CLIENT_V6_PREFIX: Ipv6Addr = Ipv6Addr::new(0xfd68, 0x6f6c, 0x6400, 0, 0, 0, 0, 0);
/// Length of [`CLIENT_V6_PREFIX`], in bits.
pub const CLIENT_V6_PREFIX_LEN: u8 = 64;

/// Skips 127.0.0.0 to 127.0.0.31, where servers live.
const FIRST_CLIENT: u32 = 32;

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

    /// The request line, newline included.
    #[must_use]
    pub fn line(self) -> String {
        match self {
            Self::Square(number) => format!("{number}\n"),
            Self::Poison(poison) => format!("{poison}\n"),
        }
    }
}

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

/// The most requests of a session, as scenarios bound them.
const REQUESTS_MAX: u32 = *crate::scenario::bounds::REQUESTS.end() as u32;

/// The number that a request of an attempt asks for: the attempt's own for the first, others for those
/// that follow on the same connection, so that a reply that comes twice or too late is noticed.
///
/// All are below 2^24, as attempts are, so that their squares are exact in languages whose numbers
/// are floating. They do not repeat within 2^24 requests, since the factor is odd.
#[must_use]
pub const fn number_of(attempt: u32, request: u32) -> u64 {
    (attempt.wrapping_add(request.wrapping_mul(65_537)) & 0x00ff_ffff) as u64
}

/// The attempt that asks for a number, of so many: the inverse of [`number_of`]. Of several that may ask
/// for it, the one that does so with the fewest requests before.
#[must_use]
pub fn sender_of(number: u64, attempts: u32) -> Option<u32> {
    let number = u32::try_from(number).ok().filter(|number| *number <= 0x00ff_ffff)?;
    (0..REQUESTS_MAX)
        .map(|request| number.wrapping_sub(request.wrapping_mul(65_537)) & 0x00ff_ffff)
        .find(|attempt| *attempt < attempts)
}

/// The answer to a number, without fields and newline.
#[must_use]
pub fn answer(number: u64) -> String {
    format!("{number}*{number}={}", u128::from(number) * u128::from(number))
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
            line.push_str(&format!(" {key}={value}"));
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
    let text = String::from_utf8_lossy(line);
    let mut words = text.trim_end_matches(['\n', '\r']).split(' ');
    let expected = answer(number);
    if words.next() != Some(expected.as_str()) {
        return Err(WrongReply { expected, got: text.chars().take(80).collect() });
    }
    let mut fields = ReplyFields::default();
    for (key, value) in words.filter_map(|word| word.split_once('=')) {
        match key {
            "pid" => fields.pid = value.parse().ok(),
            "gen" => fields.generation = value.parse().ok(),
            "version" => fields.version = value.parse().ok(),
            "accepted" => fields.accepted_ns = value.parse().ok(),
            _ => {}
        }
    }
    Ok(fields)
}

/// The other end of a connection, as `accept` reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// A TCP client.
    Ip(IpAddr, u16),
    /// A Unix client bound to the abstract name that [`client_unix`] gives this attempt.
    Unix(u32),
}

impl Peer {
    /// The attempt that this address names, or `None` for an address that no attempt has.
    #[must_use]
    pub fn attempt(&self) -> Option<u32> {
        let attempt = match self {
            Self::Ip(IpAddr::V4(address), _) => {
                let bits = u32::from(*address);
                if bits >> 24 != 127 {
                    return None;
                }
                (bits & 0x00ff_ffff).checked_sub(FIRST_CLIENT)?
            }
            Self::Ip(IpAddr::V6(address), _) => {
                let offset = u128::from(*address).checked_sub(u128::from(CLIENT_V6_PREFIX))?;
                u32::try_from(offset).ok()?.checked_sub(FIRST_CLIENT)?
            }
            Self::Unix(attempt) => *attempt,
        };
        (attempt < ATTEMPTS_MAX).then_some(attempt)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address, port) => write!(f, "{}", SocketAddr::new(*address, *port)),
            Self::Unix(attempt) => write!(f, "@{}", String::from_utf8_lossy(&client_unix(*attempt))),
        }
    }
}

/// Where a server listens: `host:port`, `[host]:port`, or the absolute path of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a Unix stream socket.
    Unix(PathBuf),
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither host:port with a numeric host nor an absolute path")]
pub struct NotAnAddress(String);

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text.starts_with('/') {
            return Ok(Self::Unix(PathBuf::from(text)));
        }
        text.parse().map(Self::Tcp).map_err(|_| NotAnAddress(text.to_owned()))
    }
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// The IPv4 address from which an attempt connects.
///
/// The whole of 127.0.0.0/8 is loopback (RFC 5735), so that each attempt can have an address of
/// its own: no 4-tuple repeats, and no ephemeral port runs out.
///
/// # Panics
///
/// If `attempt` is not below [`ATTEMPTS_MAX`].
#[must_use]
pub fn client_v4(attempt: u32) -> Ipv4Addr {
    assert!(attempt < ATTEMPTS_MAX, "attempt {attempt} has no address of its own");
    Ipv4Addr::from((127 << 24) + FIRST_CLIENT + attempt)
}

/// The IPv6 address from which an attempt connects.
///
/// # Panics
///
/// If `attempt` is not below [`ATTEMPTS_MAX`].
#[must_use]
pub fn client_v6(attempt: u32) -> Ipv6Addr {
    assert!(attempt < ATTEMPTS_MAX, "attempt {attempt} has no address of its own");
    Ipv6Addr::from(u128::from(CLIENT_V6_PREFIX) + u128::from(FIRST_CLIENT + attempt))
}

/// The abstract name, without the leading NUL byte, to which a Unix client binds.
///
/// A name chosen by the kernel (autobind) would not do: Linux draws it at random from 2^20 names
/// (`unix_autobind` in net/unix/af_unix.c), so that two attempts of a long trial share one.
#[must_use]
pub fn client_unix(attempt: u32) -> [u8; 9] {
    let mut name = *b"h00000000";
    let mut rest = attempt;
    for digit in name[1..].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 0xf) as usize];
        rest >>= 4;
    }
    name
}

/// Reads back what [`client_unix`] wrote; `name` comes without the leading NUL byte.
#[must_use]
pub fn parse_client_unix(name: &[u8]) -> Option<u32> {
    let digits = name.strip_prefix(b"h").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn requests_are_numbers_and_everything_else_is_poison() {
        assert_eq!(Request::parse(b"7\n"), Request::Square(7));
        assert_eq!(Request::parse(b"five\n"), Request::Poison(Poison::UNEXPECTED));
        assert_eq!(Request::parse(b"!read\n"), Request::Poison(Poison::UNEXPECTED));
        assert_eq!(Request::parse(&[0xff, 0xfe]), Request::Poison(Poison::UNEXPECTED));
        for &step in CrashStep::ALL {
            for &mode in CrashMode::ALL {
                let poison = Request::Poison(Poison { step, mode });
                assert_eq!(Request::parse(poison.line().as_bytes()), poison);
                assert!(poison.line().len() <= REQUEST_BYTES_MAX);
            }
        }
    }

    #[test]
    fn replies_carry_the_number_and_what_the_worker_says() {
        let fields =
            ReplyFields { pid: Some(7), generation: Some(2), version: Some(1), accepted_ns: Some(99) };
        assert_eq!(reply_line(7, &fields), "7*7=49 pid=7 gen=2 version=1 accepted=99\n");
        assert_eq!(parse_reply(b"7*7=49 pid=7 gen=2 version=1 accepted=99 colour=red\n", 7), Ok(fields));
        assert_eq!(parse_reply(b"7*7=49\r\n", 7), Ok(ReplyFields::default()));
        assert!(parse_reply(b"7*7=48\n", 7).is_err());
        assert!(parse_reply(b"8*8=64\n", 7).is_err());
        assert!(parse_reply(b"\n", 7).is_err());
    }

    #[test]
    fn servers_and_strangers_are_no_attempts() {
        assert_eq!(Peer::Ip(IpAddr::V4(SERVER_V4), 80).attempt(), None);
        assert_eq!(Peer::Ip(IpAddr::V6(SERVER_V6), 80).attempt(), None);
        assert_eq!(Peer::Ip(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99)), 80).attempt(), None);
        assert_eq!(parse_client_unix(b"00042"), None);
    }

    proptest! {
        #[test]
        fn an_address_names_its_attempt(attempt in 0..ATTEMPTS_MAX, port: u16) {
            prop_assert_eq!(Peer::Ip(client_v4(attempt).into(), port).attempt(), Some(attempt));
            prop_assert_eq!(Peer::Ip(client_v6(attempt).into(), port).attempt(), Some(attempt));
            prop_assert_eq!(parse_client_unix(&client_unix(attempt)), Some(attempt));
            prop_assert_ne!(client_v4(attempt), Ipv4Addr::new(127, 255, 255, 255));
        }

        #[test]
        fn any_bytes_make_a_request(bytes: Vec<u8>) {
            let _ = Request::parse(&bytes);
        }

        #[test]
        fn a_square_is_answered(number: u64) {
            prop_assert_eq!(Request::parse(Request::Square(number).line().as_bytes()), Request::Square(number));
            let line = reply_line(number, &ReplyFields::default());
            prop_assert!(parse_reply(line.as_bytes(), number).is_ok());
        }
    }

    #[test]
    fn a_number_names_who_asks_for_it() {
        for (attempt, request) in [(0, 0), (7, 0), (7, 3), (99, 9_999)] {
            assert_eq!(sender_of(number_of(attempt, request), 100), Some(attempt), "{attempt} {request}");
        }
        assert_eq!(sender_of(100, 100), None);
        assert_eq!(sender_of(u64::MAX, 100), None);
        assert_eq!(sender_of(1 << 24, 100), None);
    }
}

//! What client and worker say to each other: the *square* protocol, bare or within another, and client
//! addresses as names.
//!
//! A request is a number and a newline; the reply repeats it with its square, so that a reply that
//! belongs to another request is noticed. Anything that is not a number kills the worker: that is
//! the poison. Ours spells out step and mode (`!work:panic`), which any server that insists on
//! numbers rejects just as well.

mod address;
mod body;
mod bytes;
mod http;
mod http2;
mod protocol;
mod proxy;
mod reply;
mod request;
mod rest;
mod script;
mod search;
mod shared;
mod speak;
mod square;
mod text;
mod websocket;

pub use self::address::{
    Address, CLIENT_V6_PREFIX, CLIENT_V6_PREFIX_LEN, NotAnAddress, Peer, SERVER_V4, SERVER_V6, asker,
    client_unix, client_v4, client_v6, parse_client_unix, shared_v4, shared_v6,
};
pub use self::body::CONTENT_BYTES_MAX;
pub use self::http::{HEAD_BYTES_MAX, HEADERS_MAX};
pub use self::protocol::Protocol;
pub use self::proxy::{Ends, PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyVersion};
pub use self::reply::{ReplyFields, WrongReply, parse_reply, reply_line};
pub use self::request::{Poison, Request};
pub use self::rest::{EXCERPT_BYTES_MAX, Excerpt, Heard, Rest, Right, Wrong};
pub use self::script::{
    AnswerEnd, BytesScript, Content, Exchange, Expect, HttpReply, HttpRequest, HttpScript, LOOKED_BYTES_MAX,
    MessagesScript, NotAtOnce, Script, Statuses, VersionIn,
};
pub use self::search::{NotAnExpression, Search};
pub use self::shared::Clients;
pub use self::speak::{Ask, Asked, Can, Head};
pub use self::text::{Number, Text};

/// The longest request line that a worker reads, newline included, in bytes.
pub const REQUEST_BYTES_MAX: usize = 64;
/// Within how many first bytes of a reply, or of its body, the answer stands.
pub const REPLY_BYTES_MAX: usize = 512;
/// The most attempts that one trial can have: beyond it client addresses would repeat. Those from 127.0.0.32
/// to 127.254.255.255 are for one attempt each, those from 127.255.0.0 on are shared (see [`Clients`]).
pub const ATTEMPTS_MAX: u32 = (0xff << 16) - 32;
/// The most requests of a session.
pub const REQUESTS_MAX: u32 = 10_000;

/// The least number that is asked for outside of all counts.
const ASKED_MIN: u32 = 1 << 24;

/// The number that a request of an attempt asks for: the attempt's own for the first, others for those
/// that follow on the same connection, so that a reply that comes twice or too late is noticed.
///
/// All are below 2^24, as attempts are, so that their squares are exact in languages whose numbers
/// are floating. They do not repeat within 2^24 requests, since the factor is odd.
///
/// Whoever asks outside of all counts (see [`asker`]) asks for numbers from 2^24 to 2^25, which no attempt
/// does, and the squares of which are exact just as well.
#[must_use]
pub const fn number_of(attempt: u32, request: u32) -> u64 {
    match attempt.checked_sub(ATTEMPTS_MAX) {
        None => (attempt.wrapping_add(request.wrapping_mul(65_537)) & 0x00ff_ffff) as u64,
        Some(asker) => (ASKED_MIN + (asker & 0x00ff_ffff)) as u64,
    }
}

/// Whether a number is one that is asked for outside of all counts.
#[must_use]
pub(crate) const fn is_askers(number: u64) -> bool {
    ASKED_MIN as u64 <= number && number < 2 * ASKED_MIN as u64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_who_asks_for_it() {
        for (attempt, request) in [(0, 0), (7, 0), (7, 3), (99, 9_999)] {
            assert_eq!(sender_of(number_of(attempt, request), 100), Some(attempt), "{attempt} {request}");
        }
        assert_eq!(sender_of(100, 100), None);
        assert_eq!(sender_of(u64::MAX, 100), None);
        assert_eq!(sender_of(1 << 24, 100), None);
        for n in [0, 77, u32::MAX] {
            let number = number_of(asker(n), 0);
            assert!(is_askers(number) && sender_of(number, ATTEMPTS_MAX).is_none(), "{number}");
            assert!(number * number < 1 << 53);
        }
        assert!(!is_askers(number_of(ATTEMPTS_MAX - 1, 9_999)) && !is_askers(u64::MAX));
    }
}

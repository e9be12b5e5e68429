//! What an errno means for an attempt, by where it came up.

use holdline_model::record::{NotSent, Outcome};
use holdline_model::tls::TlsFailure;
use holdline_model::words::Stage;
use nix::errno::Errno;

use super::transport::Broken;

/// Where an errno came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Before `connect`: making and binding the socket.
    Socket,
    /// In `connect`, or as the result of a pending one.
    Connect,
    /// On a connection that was established, in the TLS handshake.
    Tls,
    /// On a connection that was established, before the first byte of the reply.
    FirstByte,
    /// On a connection that was established, after some of the reply.
    Reply,
}

impl At {
    pub(super) fn stage(self) -> Stage {
        match self {
            Self::Socket | Self::Connect => Stage::Connect,
            Self::Tls => Stage::Tls,
            Self::FirstByte => Stage::FirstByte,
            Self::Reply => Stage::Reply,
        }
    }
}

/// The outcome of an attempt whose transport broke on its own protocol: once there was part of a reply, that is cut
/// short, whatever broke.
pub(super) fn outcome_of_broken(broken: Broken, at: At) -> Outcome {
    match (broken, at) {
        (Broken::Theirs(_) | Broken::Stream(_) | Broken::Malformed, At::Reply) => Outcome::Truncated,
        (Broken::Theirs(failure), _) => Outcome::Tls(failure),
        (Broken::Stream(end), _) => Outcome::Stream(end),
        (Broken::Malformed, _) => Outcome::WrongReply,
        (Broken::Ours, _) => Outcome::NotSent(NotSent::Tls),
    }
}

/// The outcome of an attempt that ended with `errno`.
///
/// Only ends of this machine's own resources before the connection was made count as not sent.
/// A reset that comes as the result of `connect` is no refusal: Linux reports a reset in answer to
/// the SYN as ECONNREFUSED, and as ECONNRESET only what came after the handshake (`tcp_reset` in
/// net/ipv4/tcp_input.c).
pub(super) fn outcome_of(errno: Errno, at: At) -> Outcome {
    let has_begun = matches!(at, At::Tls | At::FirstByte | At::Reply);
    match errno {
        Errno::EMFILE | Errno::ENFILE if !has_begun => Outcome::NotSent(NotSent::Descriptors),
        Errno::EADDRNOTAVAIL | Errno::EADDRINUSE if !has_begun => Outcome::NotSent(NotSent::Addresses),
        Errno::ENOBUFS | Errno::ENOMEM if !has_begun => Outcome::NotSent(NotSent::Memory),
        Errno::ECONNREFUSED if at == At::Connect => Outcome::Refused,
        Errno::ENOENT if at == At::Connect => Outcome::NoPath,
        Errno::ECONNRESET | Errno::EPIPE if at == At::Reply => Outcome::Truncated,
        Errno::ECONNRESET | Errno::EPIPE if at == At::Tls => Outcome::Tls(TlsFailure::Reset),
        Errno::ECONNRESET | Errno::EPIPE if at != At::Socket => Outcome::Reset,
        Errno::ETIMEDOUT if at != At::Socket => Outcome::TimedOut(at.stage()),
        other => Outcome::Errno(other as i32, at.stage()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_errno_has_one_meaning_at_each_place() {
        use At::{Connect, FirstByte, Reply, Socket, Tls};
        use Outcome::{Refused, Reset, TimedOut, Truncated};
        let not_sent = Outcome::NotSent;
        let raw = |errno: Errno, stage| Outcome::Errno(errno as i32, stage);
        let table = [
            (Errno::EMFILE, Socket, not_sent(NotSent::Descriptors)),
            (Errno::ENFILE, Socket, not_sent(NotSent::Descriptors)),
            (Errno::ENOBUFS, Socket, not_sent(NotSent::Memory)),
            (Errno::ENOMEM, Connect, not_sent(NotSent::Memory)),
            (Errno::EADDRINUSE, Socket, not_sent(NotSent::Addresses)),
            (Errno::EADDRNOTAVAIL, Connect, not_sent(NotSent::Addresses)),
            (Errno::EADDRINUSE, Connect, not_sent(NotSent::Addresses)),
            (Errno::EINVAL, Socket, raw(Errno::EINVAL, Stage::Connect)),
            (Errno::ENOENT, Socket, raw(Errno::ENOENT, Stage::Connect)),
            (Errno::ECONNREFUSED, Connect, Refused),
            (Errno::ENOENT, Connect, Outcome::NoPath),
            (Errno::ECONNRESET, Connect, Reset),
            (Errno::ETIMEDOUT, Connect, TimedOut(Stage::Connect)),
            (Errno::EACCES, Connect, raw(Errno::EACCES, Stage::Connect)),
            (Errno::EPROTOTYPE, Connect, raw(Errno::EPROTOTYPE, Stage::Connect)),
            (Errno::ENETUNREACH, Connect, raw(Errno::ENETUNREACH, Stage::Connect)),
            (Errno::ECONNRESET, Tls, Outcome::Tls(TlsFailure::Reset)),
            (Errno::EPIPE, Tls, Outcome::Tls(TlsFailure::Reset)),
            (Errno::ETIMEDOUT, Tls, TimedOut(Stage::Tls)),
            (Errno::ENOMEM, Tls, raw(Errno::ENOMEM, Stage::Tls)),
            (Errno::ECONNRESET, FirstByte, Reset),
            (Errno::EPIPE, FirstByte, Reset),
            (Errno::ETIMEDOUT, FirstByte, TimedOut(Stage::FirstByte)),
            (Errno::ENOMEM, FirstByte, raw(Errno::ENOMEM, Stage::FirstByte)),
            (Errno::ECONNREFUSED, FirstByte, raw(Errno::ECONNREFUSED, Stage::FirstByte)),
            (Errno::ECONNRESET, Reply, Truncated),
            (Errno::EPIPE, Reply, Truncated),
            (Errno::ETIMEDOUT, Reply, TimedOut(Stage::Reply)),
            (Errno::EIO, Reply, raw(Errno::EIO, Stage::Reply)),
        ];
        for (errno, at, outcome) in table {
            assert_eq!(outcome_of(errno, at), outcome, "{errno} at {at:?}");
        }
    }
}

//! What the client and the kernel observer write down during a trial.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::carried::{Afterwards, Carried};
pub use self::close::CloseCode;
pub use self::counters::TcpCounters;
pub use self::stream::StreamEnd;
use crate::custody::Held;
use crate::said::Which;
use crate::tls::{self, TlsFailure};
use crate::words::{Stage, words};

mod carried;
mod close;
mod counters;
mod stream;

/// An instant in CLOCK_MONOTONIC nanoseconds, if it came to pass.
pub type Stamp = Option<NonZeroU64>;

/// What the client saw happen to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The right reply, complete; in a session, to every request.
    Replied,
    /// Sessions only: the server ended the connection while it was idle. Every request that was sent
    /// had got its right reply, and others were to come.
    ClosedIdle,
    /// A complete reply whose status, which it names, is not one of success.
    ErrorReply(u16),
    /// A complete reply that was not the right one.
    WrongReply,
    /// More of a reply than is read: whether it is the right one is not known.
    TooLong,
    /// Part of a reply, then end of stream or a reset.
    Truncated,
    /// End of stream before the first byte.
    Closed,
    /// A reset before the first byte.
    Reset,
    /// ECONNREFUSED: nobody listens.
    Refused,
    /// ENOENT: there is no such path. Unix sockets only; somebody may listen all the same, at a path that was
    /// taken away.
    NoPath,
    /// No TLS came about, and so no reply.
    Tls(TlsFailure),
    /// Its stream was ended before the first byte, while the connection was still there.
    Stream(StreamEnd),
    /// Its time ran out.
    TimedOut(Stage),
    /// Silent attempts only: it connected, asked for nothing, and ended like this.
    Silent(SilentEnd),
    /// It was not sent, through no fault of the server.
    NotSent(NotSent),
    /// An errno that has no meaning of its own here, and the stage it came in.
    Errno(i32, Stage),
}

/// What a server did to a client that had connected and asked for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SilentEnd {
    /// It closed, without a word.
    Closed,
    /// It said something first, and then closed or reset: over HTTP that is a 408.
    Told,
    /// It reset, without a word.
    Reset,
    /// Nothing: the client closed when its own time was over.
    Open,
}

/// Why the generator could not send an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotSent {
    /// As many connections as the scenario allows were in flight.
    InFlightCap,
    /// No descriptors left here (EMFILE, ENFILE).
    Descriptors,
    /// No local address left (EADDRNOTAVAIL, EADDRINUSE).
    Addresses,
    /// The load client's own TLS would not begin.
    Tls,
    /// No memory left for sockets here (ENOBUFS, ENOMEM).
    Memory,
    /// The trial ended first.
    Stopped,
}

impl NotSent {
    /// Why, in words that fit "not sent: …".
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::InFlightCap => "the cap on connections in flight was reached",
            Self::Descriptors => "the load client had no descriptors left (`ulimit -Hn` is too low)",
            Self::Addresses => "the load client had no local address left",
            Self::Tls => "the load client's own TLS would not begin",
            Self::Memory => "the load client had no socket memory left",
            Self::Stopped => "the trial was stopped first",
        }
    }
}

words! {
    /// How a server ended a connection.
    Ending ("ending", "snake_case") {
        /// Orderly: what it had sent was there to be read (FIN).
        Fin = "fin",
        /// By a reset (RST): it had closed with something unread, or while something was on its way.
        Reset = "reset",
    }
}

/// What the client wrote down about one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientRecord {
    /// Which attempt, from 0.
    pub attempt: u32,
    /// When the schedule wanted it to begin, in CLOCK_MONOTONIC nanoseconds.
    pub intended_ns: u64,
    /// Just before `connect`.
    pub started: Stamp,
    /// When `connect` had succeeded.
    pub connected: Stamp,
    /// When the TLS handshake was over; `None` also where none is made.
    pub tls: Stamp,
    /// When its outcome was clear.
    pub finished: Stamp,
    /// What the client saw.
    pub outcome: Outcome,
    /// Whether it carried a fault in the number's place.
    pub poison: bool,
    /// SYN retransmits by `TCP_INFO` (`tcpi_total_retrans` before any data was sent), where the
    /// handshake took noticeably long or was given up.
    pub syn_retransmits: u8,
    /// The version that the answering worker gave of itself; 0: not known.
    pub version: u16,
    /// How many of its requests got their right reply, in order; for one-shot 1 or 0.
    pub requests_answered: u16,
    /// How many requests were sent before a reply came, where they were sent at once; else 0.
    pub requests_pipelined: u16,
    /// The first bytes of a reply that was not the answer, or not complete.
    pub said: Which,
    /// How the server ended the connection; `None`: it was not seen to.
    pub ended: Option<Ending>,
    /// Whether a send failed since the server had closed: before the reply came, or after it while the
    /// client went on to send its request.
    pub send_failed: bool,
    /// Whether the server ended its side before it had all of the request, and went on to read.
    pub half_closed: bool,
    /// The certificate that the server showed in a TLS handshake; one that is resumed shows none.
    pub certificate: tls::Which,
    /// Whether the TLS handshake resumed what an earlier one had agreed on.
    pub resumed: bool,
    /// Whether it was connected, and ended before the kernel had taken a byte of any request.
    pub unasked: bool,
    /// Whether the server said with a reply that it answers none of those requests that were sent behind it.
    pub announced: bool,
    /// How the server closed it, once it was open for messages; `None`: it did not.
    pub close_code: Option<CloseCode>,
    /// How it was carried, if it belongs to a pool.
    pub carried: Option<Carried>,
}

impl Outcome {
    /// Whether the server said something that was not the answer, or not all of it.
    #[must_use]
    pub const fn is_mistaken(self) -> bool {
        match self {
            Self::ErrorReply(_)
            | Self::WrongReply
            | Self::TooLong
            | Self::Truncated
            | Self::Tls(TlsFailure::NotTls) => true,
            Self::Replied
            | Self::ClosedIdle
            | Self::Silent(_)
            | Self::Closed
            | Self::Reset
            | Self::Refused
            | Self::NoPath
            | Self::Tls(_)
            | Self::Stream(_)
            | Self::TimedOut(_)
            | Self::NotSent(_)
            | Self::Errno(..) => false,
        }
    }

    /// The status of a complete reply, where that is what made it none of success.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::ErrorReply(status) => Some(*status),
            Self::Replied
            | Self::ClosedIdle
            | Self::WrongReply
            | Self::TooLong
            | Self::Truncated
            | Self::Closed
            | Self::Reset
            | Self::Refused
            | Self::NoPath
            | Self::Tls(_)
            | Self::Stream(_)
            | Self::TimedOut(_)
            | Self::Silent(_)
            | Self::NotSent(_)
            | Self::Errno(..) => None,
        }
    }
}

impl ClientRecord {
    /// Whether a reply came, and the request could not be sent to its end, since the server had closed.
    #[must_use]
    pub const fn was_answered_unsent(&self) -> bool {
        self.send_failed
            && matches!(self.outcome, Outcome::Replied | Outcome::ErrorReply(_) | Outcome::WrongReply)
    }

    /// Whether it ended before its TLS handshake was over, so that nothing of its request was sent.
    #[must_use]
    pub const fn ended_in_tls(&self) -> bool {
        let was_in_tls = matches!(
            self.outcome,
            Outcome::Tls(_) | Outcome::TimedOut(Stage::Tls) | Outcome::Errno(_, Stage::Tls)
        );
        was_in_tls && self.tls.is_none()
    }

    /// Whether the server says that it has done nothing of what was asked.
    #[must_use]
    pub const fn was_turned_away(&self) -> bool {
        match self.outcome {
            Outcome::Stream(end) => end.is_untouched(),
            _ => false,
        }
    }

    /// Of an attempt that has not begun.
    #[must_use]
    pub const fn planned(attempt: u32, intended_ns: u64, poison: bool) -> Self {
        Self {
            attempt,
            intended_ns,
            started: None,
            connected: None,
            tls: None,
            finished: None,
            outcome: Outcome::NotSent(NotSent::Stopped),
            poison,
            syn_retransmits: 0,
            version: 0,
            requests_answered: 0,
            requests_pipelined: 0,
            said: None,
            ended: None,
            send_failed: false,
            half_closed: false,
            certificate: None,
            resumed: false,
            unasked: false,
            announced: false,
            close_code: None,
            carried: None,
        }
    }
}

/// One request that got its right reply, of a connection that carries several, or whose client pauses
/// on its own account. One-shot attempts have none: their client record says it all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRecord {
    /// The attempt that it belongs to.
    pub attempt: u32,
    /// When it was to begin, in CLOCK_MONOTONIC nanoseconds: the first with its attempt, each other
    /// a gap after the reply before.
    pub intended_ns: u64,
    /// When its reply was complete.
    pub answered_ns: u64,
    /// For how long the client had paused on its own account, in nanoseconds.
    pub paused_ns: u64,
}

impl RequestRecord {
    /// How long the server made the client wait, in nanoseconds: the client's own pauses are taken off.
    #[must_use]
    pub const fn latency_ns(&self) -> u64 {
        self.answered_ns.saturating_sub(self.intended_ns).saturating_sub(self.paused_ns)
    }
}

/// What the observer saw of one listener at one instant. Written down when something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSample {
    /// When, in CLOCK_MONOTONIC nanoseconds.
    pub at_ns: u64,
    /// Inode of the listening socket.
    pub inode: u32,
    /// Connections in its accept queue.
    pub queue: u32,
    /// How many the kernel lets wait there; one more than this is held (`sk_acceptq_is_full`).
    pub limit: u32,
    /// Connections that this very listener dropped so far (`sk_drops`); not known for Unix sockets.
    pub drops: Option<u32>,
}

/// A socket in state LISTEN at the scenario's address, from its opening to its closing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its inode.
    pub inode: u32,
    /// When it was first seen, in CLOCK_MONOTONIC nanoseconds.
    pub opened_ns: u64,
    /// When it was seen for the last time before it was gone; `None`: it was open to the end.
    /// It closed between this instant and `gone_ns`.
    pub last_seen_ns: Option<u64>,
    /// When it was first found missing; `None`: it was open to the end.
    pub gone_ns: Option<u64>,
    /// Processes that held it when it was first seen or moments later, when workers had inherited it.
    pub holders: Vec<u32>,
    /// The longest accept queue that was sampled.
    pub queue_max: u32,
    /// The last limit that was sampled.
    pub limit: u32,
    /// The last drop count that was sampled; not known for Unix sockets.
    pub drops: Option<u32>,
}

/// A connection that was seen waiting in an accept queue: established, and accepted by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Which attempt it belongs to.
    pub attempt: u32,
    /// The end of the first look that saw it, in CLOCK_MONOTONIC nanoseconds.
    pub first_seen_ns: u64,
    /// The beginning of the last look that saw it, in CLOCK_MONOTONIC nanoseconds: it waited then.
    pub last_seen_ns: u64,
    /// The end of the first look after that, by which it was gone; `None`: it waited to the end.
    pub gone_ns: Option<u64>,
}

/// A connection whose handshake the server's kernel had not finished (SYN_RECV), when it was seen so last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HalfOpen {
    /// Which attempt it belongs to.
    pub attempt: u32,
    /// The beginning of the last look that saw it so, in CLOCK_MONOTONIC nanoseconds.
    pub last_seen_ns: u64,
}

/// Who waited to be accepted, as it was sampled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptSamples {
    /// Those who were seen waiting, in order of attempt.
    pub waiting: Vec<Waiting>,
    /// Those whose handshake the server's kernel was seen not to have finished, in order of attempt.
    #[serde(default)]
    pub half_open: Vec<HalfOpen>,
    /// Beginning and end of each look that succeeded, in CLOCK_MONOTONIC nanoseconds, in order.
    pub looks: Vec<(u64, u64)>,
    /// Nanoseconds between looks, as the median.
    pub interval_ns: u64,
    /// The longest time between two looks, in nanoseconds.
    pub interval_ns_max: u64,
}

/// Everything that the observer saw in a trial.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelRecord {
    /// The listeners at the scenario's address, in order of opening.
    pub listeners: Vec<Listener>,
    /// Their queues over time: a listener's sample holds until its next one.
    pub samples: Vec<QueueSample>,
    /// Whether there were too many samples to keep. Peaks and last values were kept, so that the
    /// times between them say less than those of a full record.
    #[serde(default)]
    pub thinned: bool,
    /// TCP counters from before the load to after it.
    pub counters: TcpCounters,
    /// Whether the counters belong to this trial alone.
    pub exclusive: bool,
    /// How often the listeners were looked at, in nanoseconds between looks, as the median.
    pub interval_ns: u64,
    /// The longest time between two looks, in nanoseconds: what is shorter may have gone unseen.
    #[serde(default)]
    pub interval_ns_max: u64,
    /// Who waited to be accepted, if that was sampled.
    #[serde(default)]
    pub accepts: Option<AcceptSamples>,
    /// In whose hands connections were, and who had no descriptors left.
    #[serde(default)]
    pub held: Held,
    /// The longest accept queue that the kernel allows (net.core.somaxconn), if it could be read.
    #[serde(default)]
    pub somaxconn: Option<u32>,
    /// Whether the kernel moves what waits in the queue of a listener that closes to another of the same address
    /// (net.ipv4.tcp_migrate_req), if it could be read.
    #[serde(default)]
    pub tcp_migrate_req: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_fits_into_a_hundred_bytes() {
        assert!(size_of::<ClientRecord>() <= 100, "{}", size_of::<ClientRecord>());
    }
}

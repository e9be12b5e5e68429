//! What a protocol is: the seam between what is said on a connection and who carries it. No socket is
//! touched here.
//!
//! The load client drives one half of it: it has a request encoded, sends it, and has all that came back
//! judged, again whenever there is more of it. Workers drive the other half.

use super::number_of;
use super::request::{Poison, Request};
use super::rest::{Excerpt, Heard};
use super::script::Script;
use super::text::{Number, Text};

/// A request of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The attempt.
    pub attempt: u32,
    /// Which request on its connection it is, from 0.
    pub exchange: u16,
    /// Which turn of the request is meant, of those that its [`Script`] has.
    pub turn: u16,
    /// The fault that it carries.
    pub poison: Option<Poison>,
    /// Whether the client would go on over the same connection.
    pub keeps: bool,
    /// Length of the body that follows, in bytes. The client sends it, in a form of its own choice.
    pub body_bytes: u32,
}

impl Ask {
    /// What is asked for.
    #[must_use]
    pub fn request(&self) -> Request {
        match self.poison {
            Some(poison) => Request::Poison(poison),
            None => Request::Square(number_of(self.attempt, self.exchange.into())),
        }
    }

    /// The number that stands for it where a service has requests of its own.
    #[must_use]
    pub fn number(&self) -> Number {
        Number::new(number_of(self.attempt, self.exchange.into()))
    }
}

/// What a protocol can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Can {
    /// Whether a request can carry poison.
    pub poison: bool,
    /// Whether a request can have a body.
    pub body: bool,
    /// Whether a request says that it is the last on its connection. Then the server closes first;
    /// otherwise it does so only where each connection carries one request.
    pub say_last: bool,
    /// Whether a server ends a connection by itself behind the last reply, where it knows which that is.
    pub server_ends: bool,
    /// Whether several requests of a connection can be sent before any reply came, with their replies in the same order.
    pub pipeline: bool,
    /// Whether attempts can use connections of others again.
    pub pool: bool,
    /// Whether workers of ours speak it.
    pub workers: bool,
}

/// What a complete request asks of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A square, or a fault.
    For(Request),
    /// Something that is not served here.
    SomethingElse,
}

/// A request as a worker reads it, but for its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many bytes it takes.
    pub bytes: usize,
    /// What it asks for.
    pub asked: Asked,
    /// Whether the client would go on over the same connection.
    pub keeps: bool,
    /// Length of the body that follows, in bytes.
    pub body_bytes: u64,
}

/// A protocol. All of it is pure.
pub(super) trait Speak {
    const CAN: Can;
    /// The most bytes of a reply that are kept until it can be judged.
    fn reply_bytes_max(script: &Script) -> usize;
    /// The most bytes of a request that a worker reads, but for its body.
    const REQUEST_BYTES_MAX: usize;

    /// Appends a request, but for its body. To allocate nothing is up to whoever keeps room.
    fn encode(ask: &Ask, script: &Script, into: &mut Vec<u8>);

    /// The body that stands in the script and was not appended with the request, as it is long.
    fn body<'a>(ask: &Ask, script: &'a Script) -> Option<&'a Text> {
        let _ = (ask, script);
        None
    }

    /// Judges all that has come since the request was due. `at_end`: nothing more will come, which may
    /// be what ends the reply. Allocates nothing.
    fn judge(ask: &Ask, script: &Script, reply: &[u8], at_end: bool) -> Heard;

    /// The first bytes of what a reply says, or of all of it where it says nothing that can be told apart.
    /// Allocates nothing.
    fn excerpt(reply: &[u8]) -> Excerpt;

    /// Reads a request. `None`: it is not complete.
    fn read(bytes: &[u8]) -> Option<Head>;

    /// The whole reply to a number, given its line. `keeps`: the connection stays open.
    fn answer(line: String, keeps: bool) -> Vec<u8>;

    /// The reply to a request for [`Asked::SomethingElse`].
    fn refuse(keeps: bool) -> Vec<u8>;
}

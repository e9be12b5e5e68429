//! What carries the bytes of a connection whose socket is connected: the seam between an attempt and
//! plain sockets, or whatever lies on top of them.
//!
//! A connection is made for one transport at compile time, so that the seam costs no call.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use holdline_model::record::{CloseCode, StreamEnd};
use holdline_model::tls::TlsFailure;
use holdline_model::wire::Excerpt;
use nix::errno::Errno;

use super::socket;

/// Makes transports.
pub(super) trait Carrier {
    /// What it makes.
    type Over: Transport;

    /// Carries an attempt over this socket, which is not connected yet.
    fn over(&self, socket: OwnedFd, attempt: u32) -> Self::Over;

    /// Carries an attempt over a connection that others use as well. `None`: there is none with room for it.
    fn join(&self) -> Option<Result<Joined<Self::Over>, Errno>> {
        None
    }
}

/// What carries an attempt over a connection that others use as well.
#[derive(Debug)]
pub(super) struct Joined<T> {
    pub(super) transport: T,
    /// The attempt that opened the connection.
    pub(super) opener: u32,
}

/// How far a transport has got with what comes between the connection and the first request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greeting {
    /// The socket is connected, and the rest goes on.
    UnderWay,
    /// It is over.
    Over,
}

/// What a transport's own protocol broke on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// On what the server said, or on what it showed.
    Theirs(TlsFailure),
    /// On a stream that the server ended.
    Stream(StreamEnd),
    /// On what the server said behind the handshake: it is not the protocol that was to be spoken.
    Malformed,
    /// On this side.
    Ours,
}

/// What a server showed in the handshake of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    /// Its certificate (DER).
    pub(super) certificate: Option<&'a [u8]>,
    /// Whether an earlier handshake was resumed, in which nothing is shown.
    pub(super) is_resumed: bool,
}

/// Carries the bytes of one connection, without blocking: EAGAIN means that nothing can be done until
/// the socket is readable or writable, whichever the transport waits for. EPROTO means that its own protocol
/// broke, as [`Transport::broken`] says. Plain sockets allocate nothing for any call.
pub(super) trait Transport: AsFd + fmt::Debug + Send + 'static {
    /// Whether something comes between the connection and the first request.
    const GREETS: bool;

    /// Whether it lies on top of the socket: so it may have to send at any time, also when nothing is left to be
    /// sent of a request, and may hold what the socket does not report any more.
    const LAYERED: bool;
    /// Whether a TLS handshake is among what comes before the first request.
    const SECURED: bool = false;
    /// Whether others may carry over the same connection, so that it goes on behind this one.
    const SHARES: bool = false;

    /// Does what comes between the connection and the first request. Called again, whenever the socket
    /// reports something, until it is over. EAGAIN: the socket is not even connected yet. Of a transport that does
    /// not greet it is over at once, connected or not.
    fn greet(&mut self) -> Result<Greeting, Errno>;

    /// Whether its TLS handshake is over.
    fn is_secured(&self) -> bool {
        false
    }

    /// Sends some of `bytes`: how many.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Receives some bytes: how many; none are the end.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Whether something can be received, or the connection is over (0); nothing is taken.
    fn peek(&mut self) -> Result<usize, Errno>;

    /// Ends this side of the connection behind what was sent.
    fn half_close(&mut self);

    /// Whether it may have to send what the kernel has not taken yet, so that it waits for more than what comes.
    fn owes(&self) -> bool {
        Self::LAYERED
    }

    /// Takes leave, just before the socket is closed.
    fn part(&mut self) {}

    /// What its own protocol broke on.
    fn broken(&self) -> Option<Broken> {
        None
    }

    /// Whether the end that was received was said to be one, and is not merely where the stream was cut.
    fn ended_in_full(&self) -> bool {
        true
    }

    /// Whether the server ended it as one does that has failed at nothing, where its protocol can tell.
    fn ended_in_order(&self) -> bool {
        true
    }

    /// How the server closed it, if its protocol says how.
    fn close_code(&self) -> Option<CloseCode> {
        None
    }

    /// How many bytes the kernel has taken of the request in hand, of which so many were sent; before there is one,
    /// of what comes before it.
    fn sent(&self, of_request: u64) -> u64 {
        of_request
    }

    /// The first bytes that came, as they came, where these are not what is received.
    fn first(&self) -> Option<Excerpt> {
        None
    }

    /// Whether others carry over the same connection just now.
    fn is_shared(&self) -> bool {
        false
    }

    /// Looks at what the server showed in its handshake, if there is one.
    fn shown<R>(&self, look: impl FnOnce(Shown<'_>) -> R) -> Option<R> {
        let _ = look;
        None
    }
}

/// Carries over sockets as they are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bare;

impl Carrier for Bare {
    type Over = Plain;

    fn over(&self, socket: OwnedFd, _attempt: u32) -> Plain {
        Plain(socket)
    }
}

/// A socket as it is.
#[derive(Debug)]
pub(super) struct Plain(OwnedFd);

impl AsFd for Plain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Transport for Plain {
    const GREETS: bool = false;
    const LAYERED: bool = false;

    fn greet(&mut self) -> Result<Greeting, Errno> {
        Ok(Greeting::Over)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        socket::send_some(&self.0, bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        socket::receive_some(&self.0, buffer)
    }

    fn peek(&mut self) -> Result<usize, Errno> {
        socket::peek(&self.0)
    }

    fn half_close(&mut self) {
        socket::half_close(&self.0);
    }
}

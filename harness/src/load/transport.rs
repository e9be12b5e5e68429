//! What carries the bytes of a connection whose socket is connected: the seam between an attempt and
//! plain sockets, or whatever lies on top of them.
//!
//! A connection is made for one transport at compile time, so that the seam costs no call.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::socket;

/// Carries the bytes of one connection, without blocking: EAGAIN means that nothing can be done until
/// the socket is readable or writable, whichever the transport waits for. It allocates nothing for each
/// call.
pub(super) trait Transport: AsFd + fmt::Debug {
    /// Whether it may have to send at any time, also when nothing is left to be sent of a request.
    const SENDS_BY_ITSELF: bool;

    /// Carries over this socket, which is not connected yet.
    fn over(socket: OwnedFd) -> Self;

    /// Does what comes between the connection and the first request. Called again, whenever the socket
    /// reports something, until it is done.
    fn greet(&mut self) -> Result<(), Errno>;

    /// Sends some of `bytes`: how many.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Receives some bytes: how many; none are the end.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Whether something can be received, or the connection is over (0); nothing is taken.
    fn peek(&mut self) -> Result<usize, Errno>;

    /// Ends this side of the connection behind what was sent.
    fn half_close(&mut self);
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
    const SENDS_BY_ITSELF: bool = false;

    fn over(socket: OwnedFd) -> Self {
        Self(socket)
    }

    fn greet(&mut self) -> Result<(), Errno> {
        Ok(())
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

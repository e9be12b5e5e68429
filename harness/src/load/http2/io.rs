//! What carries the frames of a connection, as the protocol wants it: it waits for nobody, since it is polled anew
//! whenever the socket reports something.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use holdline_model::wire::Excerpt;
use nix::errno::Errno;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::transport::Transport;

/// Says that the server ended the connection in order: no error, and none that reading or sending gives.
pub(super) const ORDERLY: Errno = Errno::ESHUTDOWN;

/// What lies beneath, and what is known of it.
#[derive(Debug)]
pub(super) struct Wire<T> {
    pub(super) transport: T,
    /// The first bytes that came.
    pub(super) first: Excerpt,
    /// How it ended; [`ORDERLY`]: the server closed it.
    pub(super) end: Option<Errno>,
    /// What sending said of a connection that is broken. Reading goes on, since something may have come before.
    unsent: Option<Errno>,
    /// Whether the preface is sent, so that a failure to send is not that of connecting.
    pub(super) is_open: bool,
    /// How many bytes it has taken, and how many of these before the request in hand.
    pub(super) sent: u64,
    pub(super) sent_before: u64,
    /// Whether anything was received since something was sent.
    has_heard: bool,
}

impl<T> Wire<T> {
    pub(super) fn over(transport: T) -> Self {
        Self {
            transport,
            first: Excerpt::of(&[]),
            end: None,
            unsent: None,
            is_open: false,
            sent: 0,
            sent_before: 0,
            has_heard: false,
        }
    }
}

impl<T: Transport> Wire<T> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = self.transport.receive(buffer)?;
        self.has_heard |= count > 0;
        if self.first.as_bytes().is_empty() {
            self.first = Excerpt::of(&buffer[..count]);
        }
        if count == 0 {
            // After a reset that sending has already reported, reading reports the end of the stream.
            let is_reset = self.unsent == Some(Errno::ECONNRESET);
            self.end = Some(if is_reset { Errno::ECONNRESET } else { ORDERLY });
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if self.unsent.is_some() {
            return Ok(bytes.len());
        }
        if std::mem::take(&mut self.has_heard) {
            self.sent_before = self.sent;
        }
        match self.transport.send(bytes) {
            Ok(count) => {
                self.sent += count as u64;
                Ok(count)
            }
            Err(errno @ (Errno::ECONNRESET | Errno::EPIPE)) if self.is_open => {
                self.unsent = Some(errno);
                Ok(bytes.len())
            }
            Err(errno) => Err(errno),
        }
    }

    fn polled<R>(&mut self, result: Result<R, Errno>) -> Poll<io::Result<R>> {
        match result {
            Ok(value) => Poll::Ready(Ok(value)),
            Err(Errno::EAGAIN) => Poll::Pending,
            Err(errno) => {
                self.end = Some(errno);
                Poll::Ready(Err(errno.into()))
            }
        }
    }
}

/// The same, in the hands of the protocol.
#[derive(Debug)]
pub(super) struct Io<T>(pub(super) Arc<Mutex<Wire<T>>>);

impl<T: Transport> AsyncRead for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = locked(&self.0);
        let result = wire.read(buffer.initialize_unfilled());
        wire.polled(result).map_ok(|count| buffer.advance(count))
    }
}

impl<T: Transport> AsyncWrite for Io<T> {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = locked(&self.0);
        let result = wire.write(bytes);
        wire.polled(result)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Whoever closes the socket ends it.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Nobody is woken: who waits is polled when the socket reports something.
pub(super) fn idle() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What lies in a lock. Nothing that panics is done while one is held that others would then hold.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

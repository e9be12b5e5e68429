//! What comes of a request, kept so that it can be shown.

use std::os::fd::{AsFd, BorrowedFd};

use holdline_model::wire::Excerpt;
use nix::errno::Errno;

use super::super::transport::{Broken, Greeting, Shown, Transport};

/// The most bytes of a reply that are kept: its head, and the line that names who answers.
const KEPT_BYTES_MAX: usize = 4096;

/// What came of a request.
pub(super) struct Came {
    /// The first bytes of the reply.
    pub(super) reply: Vec<u8>,
    /// The first bytes that came, as they came.
    pub(super) first: Excerpt,
    /// The certificate that was shown.
    pub(super) certificate: Option<Vec<u8>>,
}

impl Default for Came {
    fn default() -> Self {
        Self { reply: Vec::new(), first: Excerpt::of(&[]), certificate: None }
    }
}

impl Came {
    pub(super) fn over(kept: &Kept<impl Transport>) -> Self {
        Self {
            reply: kept.kept.clone(),
            first: kept.first().unwrap_or(Excerpt::of(&kept.kept)),
            certificate: kept.shown(|shown| shown.certificate.map(<[u8]>::to_vec)).flatten(),
        }
    }
}

/// A transport that keeps the first bytes that it has received.
#[derive(Debug)]
pub(super) struct Kept<T> {
    beneath: T,
    kept: Vec<u8>,
}

impl<T> Kept<T> {
    pub(super) fn over(beneath: T) -> Self {
        Self { beneath, kept: Vec::new() }
    }
}

impl<T: Transport> AsFd for Kept<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.beneath.as_fd()
    }
}

impl<T: Transport> Transport for Kept<T> {
    const GREETS: bool = T::GREETS;
    const LAYERED: bool = T::LAYERED;
    const SECURED: bool = T::SECURED;

    fn greet(&mut self) -> Result<Greeting, Errno> {
        self.beneath.greet()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        self.beneath.send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = self.beneath.receive(buffer)?;
        let room = KEPT_BYTES_MAX.saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&buffer[..count.min(room)]);
        Ok(count)
    }

    fn peek(&mut self) -> Result<usize, Errno> {
        self.beneath.peek()
    }

    fn half_close(&mut self) {
        self.beneath.half_close();
    }

    fn part(&mut self) {
        self.beneath.part();
    }

    fn broken(&self) -> Option<Broken> {
        self.beneath.broken()
    }

    fn ended_in_full(&self) -> bool {
        self.beneath.ended_in_full()
    }

    fn ended_in_order(&self) -> bool {
        self.beneath.ended_in_order()
    }

    fn sent(&self, of_request: u64) -> u64 {
        self.beneath.sent(of_request)
    }

    fn first(&self) -> Option<Excerpt> {
        self.beneath.first()
    }

    fn is_secured(&self) -> bool {
        self.beneath.is_secured()
    }

    fn shown<R>(&self, look: impl FnOnce(Shown<'_>) -> R) -> Option<R> {
        self.beneath.shown(look)
    }
}

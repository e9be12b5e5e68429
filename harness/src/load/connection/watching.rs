//! How a connection is waited for.

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::super::slab::Token;
use super::*;

impl<T: Transport> Connection<T> {
    /// Has its socket watched, edge-triggered, once and for all.
    ///
    /// As late as this, since most requests are sent by now and need no event for that, and since an
    /// unconnected socket would report that it is none. Whatever happened before is reported at once.
    pub(in crate::load) fn register(&mut self, epoll: &Epoll, token: Token) -> Result<(), Errno> {
        if self.is_registered || self.phase == Phase::Room {
            return Ok(());
        }
        let read = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        // Of a session, or of a pool, there is more to send later.
        let is_last = self.talk.is_last() && self.talk.pool().is_none();
        let is_all_sent = self.is_sent && is_last && !T::LAYERED;
        let interest = if is_all_sent { read } else { read | EpollFlags::EPOLLOUT };
        epoll.add(&self.transport, EpollEvent::new(interest, token.to_bits()))?;
        self.is_registered = true;
        Ok(())
    }

    pub(in crate::load) fn is_registered(&self) -> bool {
        self.is_registered
    }

    /// Whether `poll` can wait for it as well as epoll, which reports each change once: whether it waits for nothing
    /// but what it reads then, whatever that is.
    pub(in crate::load) fn only_reads(&self) -> bool {
        let is_phase = match self.phase {
            Phase::Reply => self.is_sent,
            Phase::Greeting | Phase::Close | Phase::Pause(Pause::Gap) => true,
            Phase::Room | Phase::Handshake | Phase::Pause(_) | Phase::Silence | Phase::Idle => false,
        };
        is_phase && !self.transport.owes()
    }

    /// Takes note that its socket has reported the end of what the server says, and no error: what was said before
    /// that is all there, and what is read of it may be followed by nothing but the end.
    pub(in crate::load) fn note_end(&mut self) {
        self.end_reported = !T::LAYERED;
    }

    /// Sends the next request of a session, before which everything was read: what comes from now on will be reported.
    /// What lies on top of a socket may have more to do than the socket reports.
    pub(super) fn ask_again(&mut self, route: &Route, record: &mut ClientRecord, scratch: &mut [u8]) -> Step {
        match self.send(route, record) {
            Some(step) => step,
            None if T::LAYERED || self.send_error.is_some() => self.receive(scratch),
            None => Step::Wait,
        }
    }
}

//! Connections that are waited for by `poll`, beside all that epoll watches.
//!
//! Most one-shot connections are waited for once. To have epoll watch a socket for that, and forget it when it is
//! closed, costs more than to poll it. So while there are no more than a few connections at all, they are polled, along
//! with epoll itself. One that has been waited for several times goes to epoll like the others.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::*;

/// Most connections there may be at all while some are polled.
const APART_MAX: usize = 2;
/// How often a connection is polled; then it is there for longer, and cheaper to be watched.
const POLLS_MAX: u32 = 2;

/// The connections that are polled, each with how often it was.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// The first so many are there.
    polled: [(Token, u32); APART_MAX],
    count: usize,
}

impl Apart {
    fn tokens(&self) -> &[(Token, u32)] {
        &self.polled[..self.count]
    }

    /// Adds one, unless it is there already. There has to be room.
    fn add(&mut self, token: Token) {
        if self.tokens().iter().all(|(other, _)| *other != token) {
            self.polled[self.count] = (token, 0);
            self.count += 1;
        }
    }

    pub(super) fn remove(&mut self, token: Token) {
        if let Some(index) = self.tokens().iter().position(|(other, _)| *other == token) {
            self.count -= 1;
            self.polled.swap(index, self.count);
        }
    }
}

impl<H: Hooks, C: Carrier> Client<'_, H, C> {
    /// Sees to it that a connection is waited for.
    pub(super) fn watch(&mut self, token: Token) -> Result<(), Errno> {
        let is_alone = self.connections.len() <= APART_MAX;
        let Some(connection) = self.connections.get_mut(token) else { return Ok(()) };
        if connection.is_registered() {
            return Ok(());
        }
        if is_alone && connection.only_reads() {
            self.apart.add(token);
            return Ok(());
        }
        self.apart.remove(token);
        connection.register(&self.epoll, token)
    }

    /// Waits for events, those of connections that are polled among them.
    pub(super) fn await_events(
        &mut self,
        events: &mut [EpollEvent; EVENTS_MAX],
        timeout: EpollTimeout,
    ) -> Result<usize, Errno> {
        self.leave_to_epoll();
        if self.apart.count == 0 {
            return self.epoll.wait(events, timeout);
        }
        let mut polled = [NOBODY; 1 + APART_MAX];
        polled[0] = pollfd(self.epoll.0.as_fd(), libc::POLLIN);
        for (place, (token, polls)) in polled[1..].iter_mut().zip(&mut self.apart.polled[..self.apart.count])
        {
            *polls += 1;
            if let Some(connection) = self.connections.get(*token) {
                *place = pollfd(connection.transport().as_fd(), libc::POLLIN | libc::POLLRDHUP);
            }
        }
        poll(&mut polled[..=self.apart.count], timeout)?;
        let [of_epoll, of_apart @ ..] = polled;
        let mut count = 0;
        if of_epoll.revents != 0 {
            count = self.epoll.wait(&mut events[..EVENTS_MAX - APART_MAX], EpollTimeout::ZERO)?;
        }
        for (seen, (token, _)) in of_apart.iter().zip(self.apart.tokens()) {
            if seen.revents != 0 {
                // `poll` and epoll have the same bits (include/uapi/linux/eventpoll.h).
                let happened = EpollFlags::from_bits_truncate(seen.revents.into());
                events[count] = EpollEvent::new(happened, token.to_bits());
                count += 1;
            }
        }
        Ok(count)
    }

    /// Lets epoll watch those for which it is cheaper. Of one that waits for the server's close alone, it is looked
    /// first whether that has come: a moment has passed.
    fn leave_to_epoll(&mut self) {
        let are_many = self.connections.len() > APART_MAX;
        let apart = self.apart.polled;
        for (token, polls) in &apart[..self.apart.count] {
            if self.connections.get(*token).is_some_and(Connection::lingers) {
                self.proceed(*token);
            }
            let Some(connection) = self.connections.get_mut(*token) else { continue };
            if are_many || *polls >= POLLS_MAX {
                self.apart.remove(*token);
                if let Err(errno) = connection.register(&self.epoll, *token) {
                    self.fail(*token, errno);
                }
            }
        }
    }
}

/// Is polled for nothing.
const NOBODY: libc::pollfd = libc::pollfd { fd: -1, events: 0, revents: 0 };

fn pollfd(descriptor: BorrowedFd<'_>, events: libc::c_short) -> libc::pollfd {
    libc::pollfd { fd: descriptor.as_raw_fd(), events, revents: 0 }
}

/// poll(2), whose wrapper does not know POLLRDHUP.
fn poll(descriptors: &mut [libc::pollfd], timeout: EpollTimeout) -> Result<(), Errno> {
    let (first, count) = (descriptors.as_mut_ptr(), descriptors.len() as libc::nfds_t);
    // SAFETY: so many structures lie there, which the kernel reads and writes during the call alone.
    let result = unsafe { libc::poll(first, count, timeout.into()) };
    Errno::result(result).map(drop)
}

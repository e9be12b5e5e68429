//! A transport that makes a stream of HTTP/2 of each request, and says its reply as HTTP/1.1 would.
//!
//! Requests come as text and replies go as text (`text.rs`), so that what is asked and what counts as its answer is the
//! same over both. A reply of a stream has no length before it ends, and is told in chunks.
//!
//! The protocol itself is the business of the `h2` crate, whose connection is polled by hand (`shared.rs`): whenever
//! the socket reports something, and whenever there is something to send. What comes in is read by whoever is woken
//! first; streams that share a connection have a copy of its socket each, to be woken by.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, Weak};

use holdline_model::wire::Excerpt;
use nix::errno::Errno;

use self::exchange::Exchange;
use self::failure::Failure;
use self::io::{ORDERLY, locked};
use self::shared::Shared;
use super::socket;
use super::transport::{Broken, Carrier, Greeting, Joined, Shown, Transport};

mod exchange;
mod failure;
mod io;
mod shared;
mod text;

/// A connection, and all who use it.
type Common<T> = Arc<Mutex<Shared<T>>>;

/// The same, of whoever does not keep it.
type Known<T> = Weak<Mutex<Shared<T>>>;

/// Carries streams over what another carrier carries.
#[derive(Debug)]
pub(super) struct Streams<C: Carrier> {
    beneath: C,
    /// Connections that attempts may join; `None`: each has its own.
    joinable: Option<Mutex<Vec<Known<C::Over>>>>,
}

impl<C: Carrier> Streams<C> {
    /// `shares`: whether attempts may join the connections of others.
    pub(super) fn over(beneath: C, shares: bool) -> Self {
        Self { beneath, joinable: shares.then(Mutex::default) }
    }
}

impl<C: Carrier> Carrier for Streams<C> {
    type Over = Stream<C::Over>;

    fn over(&self, socket: OwnedFd, attempt: u32) -> Self::Over {
        // Requests must not wait for the acknowledgement of what the protocol itself has to say.
        socket::send_at_once(&socket);
        let shared = Shared::over(self.beneath.over(socket, attempt), attempt);
        let (socket, _) = shared.named();
        let shared = Arc::new(Mutex::new(shared));
        if let Some(all) = &self.joinable {
            let mut all = locked(all);
            all.retain(|other| other.strong_count() > 0);
            all.push(Arc::downgrade(&shared));
        }
        Stream { shared, socket, copy: None, exchange: Exchange::default(), broken: None }
    }

    fn join(&self) -> Option<Result<Joined<Self::Over>, Errno>> {
        let all = locked(self.joinable.as_ref()?);
        let has_room = |it: &Common<C::Over>| locked(it).has_room(Arc::strong_count(it) - 1);
        let shared = all.iter().filter_map(Weak::upgrade).find(has_room)?;
        let (socket, opener) = locked(&shared).named();
        let mut stream = Stream { shared, socket, copy: None, exchange: Exchange::default(), broken: None };
        Some(match stream.as_fd().try_clone_to_owned() {
            Ok(copy) => {
                stream.copy = Some(copy);
                Ok(Joined { transport: stream, opener })
            }
            Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or_default())),
        })
    }
}

/// One stream after the other, over a connection that others may share.
pub(super) struct Stream<T: Transport> {
    shared: Common<T>,
    /// The socket of the connection, which closes it.
    socket: RawFd,
    /// A copy of it, of one that has joined.
    copy: Option<OwnedFd>,
    exchange: Exchange,
    broken: Option<Broken>,
}

impl<T: Transport> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("socket", &self.socket)
            .field("copy", &self.copy)
            .finish_non_exhaustive()
    }
}

impl<T: Transport> AsFd for Stream<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.copy {
            Some(copy) => copy.as_fd(),
            // SAFETY: the socket is open for as long as what is shared exists, which `self` sees to.
            None => unsafe { BorrowedFd::borrow_raw(self.socket) },
        }
    }
}

impl<T: Transport> Stream<T> {
    /// What has come of the reply in hand becomes text, as far as there is some.
    fn fill(&mut self) -> Result<(), Errno> {
        if self.exchange.has_text() {
            return Ok(());
        }
        let mut shared = locked(&self.shared);
        shared.drive();
        match self.exchange.hear(shared.is_leaving()) {
            Err(Failure::Broken(broken)) => {
                self.broken = Some(broken);
                Err(Errno::EPROTO)
            }
            Err(Failure::Ended) => Err(shared.end().unwrap_or(ORDERLY)),
            Ok(()) if self.exchange.has_text() => Ok(()),
            Ok(()) if shared.is_malformed() => {
                self.broken = Some(Broken::Malformed);
                Err(Errno::EPROTO)
            }
            Ok(()) => match shared.end() {
                Some(errno) => Err(errno),
                // Nothing more is said on it.
                None if self.exchange.is_idle() && shared.is_leaving() => Err(ORDERLY),
                None => Err(Errno::EAGAIN),
            },
        }
    }

    fn filled(&mut self) -> Result<bool, Errno> {
        match self.fill() {
            Ok(()) => Ok(true),
            Err(ORDERLY) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

impl<T: Transport> Transport for Stream<T> {
    const GREETS: bool = true;
    const LAYERED: bool = true;
    const SECURED: bool = T::SECURED;
    const SHARES: bool = true;

    fn greet(&mut self) -> Result<Greeting, Errno> {
        locked(&self.shared).greet()
    }

    fn is_secured(&self) -> bool {
        locked(&self.shared).beneath(Transport::is_secured)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut shared = locked(&self.shared);
        // There may be room for more by now.
        shared.drive();
        if bytes.is_empty() {
            return shared.end().filter(|errno| *errno != ORDERLY).map_or(Ok(0), Err);
        }
        let sent = match shared.requests() {
            // What became of it is told by reading.
            None => Err(Errno::EPIPE),
            Some(requests) => self.exchange.say(bytes, requests, T::SECURED),
        };
        shared.drive();
        sent
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        Ok(if self.filled()? { self.exchange.take_text(buffer) } else { 0 })
    }

    fn peek(&mut self) -> Result<usize, Errno> {
        Ok(if self.filled()? { self.exchange.text_bytes() } else { 0 })
    }

    /// The end of a request is the end of this side of its stream.
    fn half_close(&mut self) {}

    fn part(&mut self) {
        // What is still under way is given up.
        self.exchange = Exchange::default();
        let is_last = Arc::strong_count(&self.shared) == 1;
        let mut shared = locked(&self.shared);
        if is_last { shared.part() } else { shared.drive() }
    }

    fn broken(&self) -> Option<Broken> {
        self.broken.or_else(|| locked(&self.shared).beneath(Transport::broken))
    }

    fn sent(&self, of_request: u64) -> u64 {
        locked(&self.shared).sent(of_request)
    }

    fn first(&self) -> Option<Excerpt> {
        let shared = locked(&self.shared);
        shared
            .beneath(|transport| transport.first().filter(|_| !transport.is_secured()))
            .or(Some(shared.first()))
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.shared) > 1
    }

    fn shown<R>(&self, look: impl FnOnce(Shown<'_>) -> R) -> Option<R> {
        locked(&self.shared).beneath(|transport| transport.shown(look))
    }
}

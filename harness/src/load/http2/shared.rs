//! A connection: from what lies beneath it to its streams, by whoever uses it just then.

use std::fmt;
use std::future::Future;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use h2::client::{self, Connection, SendRequest};
use holdline_model::wire::Excerpt;
use nix::errno::Errno;

use super::super::transport::{Broken, Greeting, Transport};
use super::failure::Failure;
use super::io::{Io, Wire, idle, locked};

/// The handshake of the protocol: the preface is sent, and no answer waited for.
type Handshake<T> =
    Pin<Box<dyn Future<Output = Result<(SendRequest<Bytes>, Connection<Io<T>, Bytes>), h2::Error>> + Send>>;

/// A connection that carries streams.
pub(super) struct Shared<T: Transport> {
    wire: Arc<Mutex<Wire<T>>>,
    socket: RawFd,
    opener: u32,
    state: State<T>,
    /// Why it is over, if the protocol says.
    failure: Option<Failure>,
}

enum State<T: Transport> {
    /// What lies beneath greets.
    Beneath,
    /// The preface is to be sent.
    Preface(Handshake<T>),
    /// Streams can be opened.
    Open(SendRequest<Bytes>, Box<Connection<Io<T>, Bytes>>),
    /// It is over.
    Over,
}

impl<T: Transport> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("opener", &self.opener).finish_non_exhaustive()
    }
}

impl<T: Transport> Shared<T> {
    pub(super) fn over(transport: T, opener: u32) -> Self {
        let socket = transport.as_fd().as_raw_fd();
        Self {
            wire: Arc::new(Mutex::new(Wire::over(transport))),
            socket,
            opener,
            state: State::Beneath,
            failure: None,
        }
    }

    /// Its socket, and the attempt that opened it.
    pub(super) const fn named(&self) -> (RawFd, u32) {
        (self.socket, self.opener)
    }

    /// Asks what lies beneath.
    pub(super) fn beneath<R>(&self, ask: impl FnOnce(&T) -> R) -> R {
        ask(&locked(&self.wire).transport)
    }

    pub(super) fn first(&self) -> Excerpt {
        locked(&self.wire).first
    }

    /// How many bytes the kernel has taken since the server was last heard before.
    pub(super) fn sent(&self, of_request: u64) -> u64 {
        let wire = locked(&self.wire);
        if T::LAYERED { wire.transport.sent(of_request) } else { wire.sent - wire.sent_before }
    }

    /// How the connection ended beneath, if it has.
    pub(super) fn end(&self) -> Option<Errno> {
        locked(&self.wire).end.filter(|_| matches!(self.state, State::Over))
    }

    /// What comes before the first stream.
    pub(super) fn greet(&mut self) -> Result<Greeting, Errno> {
        loop {
            match &mut self.state {
                State::Beneath => {
                    if T::GREETS && locked(&self.wire).transport.greet()? == Greeting::UnderWay {
                        return Ok(Greeting::UnderWay);
                    }
                    let io = Io(Arc::clone(&self.wire));
                    self.state =
                        State::Preface(Box::pin(client::Builder::new().enable_push(false).handshake(io)));
                }
                State::Preface(handshake) => match handshake.as_mut().poll(&mut idle()) {
                    Poll::Ready(Ok((requests, connection))) => {
                        locked(&self.wire).is_open = true;
                        self.state = State::Open(requests, Box::new(connection));
                    }
                    Poll::Ready(Err(_)) => {
                        self.state = State::Over;
                        return Err(locked(&self.wire).end.unwrap_or(Errno::EPROTO));
                    }
                    // Where nothing lies beneath, it is that the socket is not connected.
                    Poll::Pending if T::GREETS => return Ok(Greeting::UnderWay),
                    Poll::Pending => return Err(Errno::EAGAIN),
                },
                State::Open(..) | State::Over => return Ok(Greeting::Over),
            }
        }
    }

    /// Reads and sends as much as it can.
    pub(super) fn drive(&mut self) {
        if let State::Open(_, connection) = &mut self.state
            && let Poll::Ready(result) = Pin::new(connection).poll(&mut idle())
        {
            self.failure = result.err().as_ref().map(Failure::of);
            self.state = State::Over;
        }
    }

    /// Whether what the server said is not the protocol, also where no stream was open to be told so.
    pub(super) fn is_malformed(&self) -> bool {
        self.failure == Some(Failure::Broken(Broken::Malformed))
    }

    /// By which streams are opened, for as long as there may be some.
    pub(super) fn requests(&mut self) -> Option<SendRequest<Bytes>> {
        match &self.state {
            State::Open(requests, _) => Some(requests.clone()),
            State::Beneath | State::Preface(_) | State::Over => None,
        }
    }

    /// Whether the server takes up no more streams, so that the connection ends with those that are open.
    pub(super) fn is_leaving(&mut self) -> bool {
        match &mut self.state {
            State::Open(requests, _) => matches!(requests.poll_ready(&mut idle()), Poll::Ready(Err(_))),
            State::Over => true,
            State::Beneath | State::Preface(_) => false,
        }
    }

    /// Whether one more may use it besides so many.
    pub(super) fn has_room(&mut self, users: usize) -> bool {
        self.drive();
        let most = match &self.state {
            State::Open(_, connection) => connection.max_concurrent_send_streams(),
            State::Beneath | State::Preface(_) | State::Over => 0,
        };
        users < most && !self.is_leaving()
    }

    /// Takes leave as the last who uses it.
    pub(super) fn part(&mut self) {
        if let State::Open(requests, mut connection) = std::mem::replace(&mut self.state, State::Over) {
            // Once nobody can open streams any more, it says GOAWAY.
            drop(requests);
            let _ = Pin::new(&mut connection).poll(&mut idle());
        }
        locked(&self.wire).transport.part();
    }
}

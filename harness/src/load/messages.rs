//! A transport that makes a message of WebSocket of what is sent, once the server has switched to that, and gives what
//! messages hold. Up to there it carries text as it is: the request that opens the connection, and its reply.
//!
//! The protocol itself is the business of the `tungstenite` crate. It answers pings, and closes where it was told to.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use holdline_model::record::CloseCode;
use holdline_model::wire::{Excerpt, HEAD_BYTES_MAX};
use nix::errno::Errno;
use tungstenite::protocol::frame::coding::CloseCode as Code;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

use super::transport::{Broken, Carrier, Greeting, Shown, Transport};

/// How a reply begins by which a server switches.
const SWITCHED: &[u8] = b"HTTP/1.1 101";
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
/// How much is read at once of what a server says.
const READ_BYTES: usize = 4096;

/// Carries messages over what another carrier carries.
#[derive(Debug)]
pub(super) struct Opened<C>(pub(super) C);

impl<C: Carrier> Carrier for Opened<C> {
    type Over = Messages<C::Over>;

    fn over(&self, socket: OwnedFd, attempt: u32) -> Self::Over {
        super::socket::send_at_once(&socket);
        Messages {
            line: Line { transport: self.0.over(socket, attempt), end: None },
            state: State::Opening(Vec::new()),
            content: Vec::new(),
            taken: 0,
            is_flushed: true,
            closed: None,
            broken: None,
        }
    }
}

/// Messages over a connection.
pub(super) struct Messages<T> {
    line: Line<T>,
    state: State,
    /// What a message holds, and how much of that was taken.
    content: Vec<u8>,
    taken: usize,
    /// Whether all is sent that was said.
    is_flushed: bool,
    /// How the server closed it.
    closed: Option<CloseCode>,
    broken: Option<Broken>,
}

enum State {
    /// The reply to the request that opens it is to come; what has come of it.
    Opening(Vec<u8>),
    /// The server does not switch.
    Refused,
    Open(Box<WebSocketContext>),
}

/// What lies beneath, as the protocol wants it.
#[derive(Debug)]
struct Line<T> {
    transport: T,
    /// What reading or sending said of a connection that is broken.
    end: Option<Errno>,
}

impl<T: Transport> Line<T> {
    fn said<R>(&mut self, result: Result<R, Errno>) -> io::Result<R> {
        result.map_err(|errno| {
            if errno != Errno::EAGAIN {
                self.end = Some(errno);
            }
            errno.into()
        })
    }
}

impl<T: Transport> Read for Line<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.transport.receive(buffer);
        self.said(result)
    }
}

impl<T: Transport> Write for Line<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.transport.send(bytes);
        self.said(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: fmt::Debug> fmt::Debug for Messages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("line", &self.line)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl<T: AsFd> AsFd for Messages<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.transport.as_fd()
    }
}

impl<T: Transport> Messages<T> {
    /// Receives the reply to the request that opens it, up to its end.
    fn receive_plainly(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = self.line.transport.receive(buffer)?;
        let State::Opening(head) = &mut self.state else { return Ok(count) };
        let before = head.len();
        head.extend_from_slice(&buffer[..count]);
        let looked = head.len().min(SWITCHED.len());
        if head[..looked] != SWITCHED[..looked] || before > HEAD_BYTES_MAX {
            self.state = State::Refused;
            return Ok(count);
        }
        let Some(at) = head.windows(END_OF_HEAD.len()).position(|window| window == END_OF_HEAD) else {
            return Ok(count);
        };
        let end = at + END_OF_HEAD.len();
        let messages = head.split_off(end);
        let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
        let context = WebSocketContext::from_partially_read(messages, Role::Client, Some(config));
        self.state = State::Open(Box::new(context));
        Ok(end - before)
    }

    /// Takes in the next message, if there is one. False: the server has closed.
    fn fill(&mut self) -> Result<bool, Errno> {
        let State::Open(context) = &mut self.state else { return Ok(false) };
        while self.taken == self.content.len() {
            if self.closed.is_some() {
                return Ok(false);
            }
            if !self.is_flushed {
                self.is_flushed = context.flush(&mut self.line).is_ok();
            }
            match context.read(&mut self.line) {
                Ok(Message::Text(text)) => self.content = text.as_bytes().to_vec(),
                Ok(Message::Binary(bytes)) => self.content = bytes.to_vec(),
                Ok(Message::Close(frame)) => {
                    self.closed =
                        Some(frame.map_or(CloseCode::NONE, |frame| CloseCode::new(frame.code.into())));
                    // The answer to it, as far as it is taken.
                    let _ = context.flush(&mut self.line);
                    continue;
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(error) => return self.fail(&error).map(|()| false),
            }
            self.taken = 0;
        }
        Ok(true)
    }

    /// What an error means: the end of the stream, which is none, or one.
    fn fail(&mut self, error: &Error) -> Result<(), Errno> {
        if let Error::Io(error) = error
            && error.kind() == io::ErrorKind::WouldBlock
        {
            return Err(Errno::EAGAIN);
        }
        let is_over = matches!(
            error,
            Error::Io(_)
                | Error::ConnectionClosed
                | Error::AlreadyClosed
                | Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
        );
        if is_over {
            self.closed = self.closed.or(Some(CloseCode::CUT));
            return self.line.end.map_or(Ok(()), Err);
        }
        self.broken = Some(Broken::Malformed);
        Err(Errno::EPROTO)
    }

    fn say(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        let State::Open(context) = &mut self.state else { return self.line.transport.send(bytes) };
        if self.closed.is_some() {
            return Err(Errno::EPIPE);
        }
        let message = match std::str::from_utf8(bytes) {
            Ok(text) => Message::Text(Utf8Bytes::from(text)),
            Err(_) => Message::Binary(bytes.to_vec().into()),
        };
        match context.write(&mut self.line, message).and_then(|()| context.flush(&mut self.line)) {
            Ok(()) => self.is_flushed = true,
            // It is kept, and goes when there is room.
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => self.is_flushed = false,
            Err(error) => return self.fail(&error).and(Err(Errno::EPIPE)),
        }
        Ok(bytes.len())
    }
}

impl<T: Transport> Transport for Messages<T> {
    const GREETS: bool = T::GREETS;
    const LAYERED: bool = true;
    const SECURED: bool = T::SECURED;

    fn greet(&mut self) -> Result<Greeting, Errno> {
        self.line.transport.greet()
    }

    fn is_secured(&self) -> bool {
        self.line.transport.is_secured()
    }

    /// All that is sent at once is one message.
    fn send(&mut self, bytes: &[u8]) -> Result<usize, Errno> {
        if bytes.is_empty() { self.line.transport.send(bytes) } else { self.say(bytes) }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        if !matches!(self.state, State::Open(_)) {
            return self.receive_plainly(buffer);
        }
        if !self.fill()? {
            return Ok(0);
        }
        let count = (self.content.len() - self.taken).min(buffer.len());
        buffer[..count].copy_from_slice(&self.content[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }

    fn peek(&mut self) -> Result<usize, Errno> {
        if !matches!(self.state, State::Open(_)) {
            return self.line.transport.peek();
        }
        Ok(if self.fill()? { self.content.len() - self.taken } else { 0 })
    }

    fn half_close(&mut self) {
        self.line.transport.half_close();
    }

    fn part(&mut self) {
        if let State::Open(context) = &mut self.state
            && self.closed.is_none()
            && self.broken.is_none()
        {
            let frame = CloseFrame { code: Code::Normal, reason: Utf8Bytes::default() };
            let _ = context.close(&mut self.line, Some(frame));
        }
        self.line.transport.part();
    }

    fn broken(&self) -> Option<Broken> {
        self.broken.or_else(|| self.line.transport.broken())
    }

    fn ended_in_full(&self) -> bool {
        self.line.transport.ended_in_full()
    }

    fn ended_in_order(&self) -> bool {
        self.closed.is_none_or(CloseCode::is_in_order)
    }

    fn close_code(&self) -> Option<CloseCode> {
        self.closed
    }

    fn sent(&self, of_request: u64) -> u64 {
        self.line.transport.sent(of_request)
    }

    fn first(&self) -> Option<Excerpt> {
        self.line.transport.first()
    }

    fn shown<R>(&self, look: impl FnOnce(Shown<'_>) -> R) -> Option<R> {
        self.line.transport.shown(look)
    }
}

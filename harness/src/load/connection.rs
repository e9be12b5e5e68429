//! One attempt: from its socket to its outcome, and on to the server's close.
//!
//! A connection does as much as it can without waiting and then says what it waits for. It stamps
//! its instants where they happen, knows nothing of schedules and time-outs, and is driven from
//! outside.

use std::os::fd::OwnedFd;

use holdline_model::record::{ClientRecord, NotSent, Outcome};
use holdline_model::wire::{self, REPLY_BYTES_MAX, Request};
use holdline_model::words::Stage;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::clock::{now_ns, stamp};
use super::deadlines::Limit;
use super::errno::{At, outcome_of};
use super::slab::Token;
use super::socket::{self, Route};

/// A handshake that took at least this long may have lost a SYN, whose first retransmit comes after
/// one second (RFC 6298); for shorter ones, asking `TCP_INFO` would cost a syscall for nothing.
const SUSPICIOUS_HANDSHAKE_NS: u64 = 200_000_000;
/// Bytes that one `recv` takes. More than a reply has, so that one call is enough.
pub(super) const SCRATCH_BYTES: usize = 4096;
/// How often one event reads from a server that has answered and goes on talking.
const LINGER_READS_MAX: u32 = 16;

/// One attempt under way.
#[derive(Debug)]
pub(super) struct Connection {
    attempt: u32,
    socket: OwnedFd,
    request: Request,
    started_ns: u64,
    phase: Phase,
    /// How many bytes of the request line are sent.
    sent_bytes: usize,
    /// Whether that is all of it.
    is_sent: bool,
    /// What came of a reply that is not complete yet.
    reply: Vec<u8>,
    /// What `send` said of a connection that is broken. The kernel says it only once.
    send_error: Option<Errno>,
    is_registered: bool,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Unix only: room in the server's accept queue, to call `connect` again.
    Room,
    /// TCP only: the end of the handshake.
    Handshake,
    /// The reply.
    Reply,
    /// The server's close. The outcome is clear.
    Close,
}

/// Where an attempt has got to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// It can do nothing until its socket reports something.
    Wait,
    /// Its outcome is clear.
    Ended(End),
    /// The server has closed, after the outcome was clear.
    Closed,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at_ns: u64,
    pub(super) outcome: Outcome,
    /// The version that the server gave of itself, 0 if none.
    pub(super) version: u16,
    /// Whether the server's close is still to be awaited: the side that closes first keeps the port
    /// in TIME_WAIT, and that must not be the client.
    pub(super) lingers: bool,
}

impl End {
    pub(super) fn now(outcome: Outcome) -> Self {
        Self { at_ns: now_ns(), outcome, version: 0, lingers: false }
    }
}

impl Connection {
    /// Makes a socket for an attempt, to be connected by [`Self::begin`].
    pub(super) fn open(route: &Route, attempt: u32, request: Request) -> Result<Self, Errno> {
        let socket = route.open(attempt)?;
        Ok(Self {
            attempt,
            socket,
            request,
            started_ns: 0,
            phase: Phase::Room,
            sent_bytes: 0,
            is_sent: false,
            reply: Vec::new(),
            send_error: None,
            is_registered: false,
        })
    }

    /// Starts: connects and sends, unless it has to queue behind others that wait for room.
    pub(super) fn begin(&mut self, route: &Route, record: &mut ClientRecord, queues: bool) -> Step {
        self.started_ns = now_ns();
        record.started = stamp(self.started_ns);
        if queues {
            return Step::Wait;
        }
        self.connect(route, record).unwrap_or(Step::Wait)
    }

    /// Goes on as far as it can. Every event of the socket leads here, and also the end of its time,
    /// so that nothing that came in time is overlooked because the client was late.
    pub(super) fn advance(&mut self, route: &Route, record: &mut ClientRecord, scratch: &mut [u8]) -> Step {
        if self.phase == Phase::Close {
            return self.await_close(scratch);
        }
        let step = match self.phase {
            Phase::Room => self.connect(route, record),
            _ => self.send(route, record),
        };
        match step {
            Some(step) => step,
            None if self.phase == Phase::Reply => self.receive(scratch),
            None => Step::Wait,
        }
    }

    pub(super) fn attempt(&self) -> u32 {
        self.attempt
    }

    pub(super) fn started_ns(&self) -> u64 {
        self.started_ns
    }

    pub(super) fn waits_for_room(&self) -> bool {
        self.phase == Phase::Room
    }

    pub(super) fn lingers(&self) -> bool {
        self.phase == Phase::Close
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Reply | Phase::Close)
    }

    /// Has its socket watched, edge-triggered, once and for all.
    ///
    /// As late as this, since most requests are sent by now and need no event for that, and since an
    /// unconnected socket would report that it is none. Whatever happened before is reported at once.
    pub(super) fn register(&mut self, epoll: &Epoll, token: Token) -> Result<(), Errno> {
        if self.is_registered || self.phase == Phase::Room {
            return Ok(());
        }
        let read = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        let interest = if self.is_sent { read } else { read | EpollFlags::EPOLLOUT };
        epoll.add(&self.socket, EpollEvent::new(interest, token.to_bits()))?;
        self.is_registered = true;
        Ok(())
    }

    /// Whether this time-out still concerns it.
    pub(super) fn is_subject_to(&self, limit: Limit) -> bool {
        match limit {
            Limit::Connect => !self.is_connected(),
            Limit::FirstByte => !self.lingers() && self.reply.is_empty(),
            Limit::Total => true,
        }
    }

    /// How it ends if it cannot be watched.
    pub(super) fn failed(&self, errno: Errno) -> End {
        End::now(Outcome::Errno(errno as i32, self.at().stage()))
    }

    /// How it ends if its time is over now.
    pub(super) fn timed_out(&self) -> End {
        End::now(Outcome::TimedOut(self.at().stage()))
    }

    /// How it ends if the load is stopped now.
    pub(super) fn stopped(&self) -> End {
        match self.at().stage() {
            Stage::Connect => End::now(Outcome::NotSent(NotSent::Stopped)),
            _ => self.timed_out(),
        }
    }

    fn at(&self) -> At {
        match self.phase {
            Phase::Room | Phase::Handshake => At::Connect,
            _ if self.reply.is_empty() => At::FirstByte,
            _ => At::Reply,
        }
    }

    /// Calls `connect`, and sends if that is possible at once. `None`: it has to wait.
    ///
    /// A blocking client whose server's accept queue is full waits in `connect` until there is room;
    /// for a non-blocking Unix socket Linux says EAGAIN instead (`unix_stream_connect` in
    /// net/unix/af_unix.c), and the call has to be made again.
    fn connect(&mut self, route: &Route, record: &mut ClientRecord) -> Option<Step> {
        match route.connect(&self.socket) {
            Ok(()) | Err(Errno::EINPROGRESS) => {
                self.phase = Phase::Handshake;
                self.send(route, record)
            }
            Err(Errno::EAGAIN) if !route.is_tcp() => None,
            Err(errno) => Some(self.end_by(errno)),
        }
    }

    /// Sends what is left of the request; the first success shows that the handshake is over.
    ///
    /// On loopback the handshake is done within `connect`, although that says EINPROGRESS, so that
    /// to send at once saves one wake-up. The stamp is taken before the call: it wakes the server.
    fn send(&mut self, route: &Route, record: &mut ClientRecord) -> Option<Step> {
        if self.is_sent || self.send_error.is_some() {
            return None;
        }
        let now_ns = now_ns();
        if self.phase == Phase::Handshake
            && route.is_tcp()
            && now_ns.saturating_sub(self.started_ns) >= SUSPICIOUS_HANDSHAKE_NS
        {
            record.syn_retransmits = socket::retransmits(&self.socket);
        }
        let line = self.request.line();
        match socket::send_some(&self.socket, &line.as_bytes()[self.sent_bytes..]) {
            Err(Errno::EAGAIN) => return None,
            Ok(bytes) => {
                self.sent_bytes += bytes;
                self.is_sent = self.sent_bytes == line.len();
            }
            // The handshake was over (a reset during it is ECONNREFUSED), and the server has closed
            // since. It may have said something before, so reading decides.
            Err(errno @ (Errno::ECONNRESET | Errno::EPIPE)) => self.send_error = Some(errno),
            Err(errno) => return Some(self.end_by(errno)),
        }
        if self.phase == Phase::Handshake {
            self.phase = Phase::Reply;
            record.connected = stamp(now_ns);
        }
        None
    }

    /// Reads until the line is complete or nothing is left.
    fn receive(&mut self, scratch: &mut [u8]) -> Step {
        loop {
            match socket::receive_some(&self.socket, scratch) {
                Ok(0) => return self.end_by_eof(),
                Ok(bytes) => {
                    if let Some(end) = self.take(&scratch[..bytes]) {
                        return Step::Ended(end);
                    }
                }
                Err(Errno::EAGAIN) => return Step::Wait,
                Err(errno) => return self.end_by(errno),
            }
        }
    }

    /// Takes in part of the reply. `Some`: it is complete, or too long to be one.
    fn take(&mut self, bytes: &[u8]) -> Option<End> {
        let at_ns = now_ns();
        let line_end = bytes.iter().position(|&byte| byte == b'\n').map(|index| index + 1);
        let line_bytes = self.reply.len() + line_end.unwrap_or(bytes.len());
        if line_bytes > REPLY_BYTES_MAX || (line_end.is_none() && line_bytes == REPLY_BYTES_MAX) {
            return Some(End { at_ns, ..End::now(Outcome::WrongReply) });
        }
        let Some(line_end) = line_end else {
            self.reply.extend_from_slice(bytes);
            return None;
        };
        let (outcome, version) = if self.reply.is_empty() {
            judge(&bytes[..line_end], self.request)
        } else {
            self.reply.extend_from_slice(&bytes[..line_end]);
            judge(&self.reply, self.request)
        };
        self.phase = Phase::Close;
        Some(End { at_ns, outcome, version, lingers: true })
    }

    fn await_close(&self, scratch: &mut [u8]) -> Step {
        for _ in 0..LINGER_READS_MAX {
            match socket::receive_some(&self.socket, scratch) {
                Ok(1..) => {}
                Err(Errno::EAGAIN) => return Step::Wait,
                Ok(0) | Err(_) => return Step::Closed,
            }
        }
        Step::Closed
    }

    /// After a reset that `send` has already reported, `recv` reports the end of the stream.
    fn end_by_eof(&self) -> Step {
        match self.send_error {
            Some(errno @ Errno::ECONNRESET) => self.end_by(errno),
            _ if self.reply.is_empty() => Step::Ended(End::now(Outcome::Closed)),
            _ => Step::Ended(End::now(Outcome::Truncated)),
        }
    }

    fn end_by(&self, errno: Errno) -> Step {
        Step::Ended(End::now(outcome_of(errno, self.at())))
    }
}

/// Judges a complete reply line. To poison there is no right answer.
fn judge(line: &[u8], request: Request) -> (Outcome, u16) {
    let Request::Square(number) = request else {
        return (Outcome::WrongReply, 0);
    };
    match wire::parse_reply(line, number) {
        Ok(fields) => {
            let version = fields.version.and_then(|version| u16::try_from(version).ok());
            (Outcome::Replied, version.unwrap_or(0))
        }
        Err(_) => (Outcome::WrongReply, 0),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use holdline_model::wire::Address;

    use super::*;

    fn record() -> ClientRecord {
        ClientRecord {
            attempt: 0,
            intended_ns: 0,
            started: None,
            connected: None,
            finished: None,
            outcome: Outcome::NotSent(NotSent::Stopped),
            poison: false,
            syn_retransmits: 0,
            version: 0,
        }
    }

    /// A connection whose handshake is over, while it does not know of that and has sent nothing.
    fn unaware() -> (TcpListener, Route, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = Address::Tcp(listener.local_addr().expect("an address"));
        let route = Route::new(&address, true).expect("a route");
        let mut connection = Connection::open(&route, 0, Request::Square(0)).expect("a socket");
        assert_eq!(route.connect(&connection.socket), Err(Errno::EINPROGRESS));
        connection.phase = Phase::Handshake;
        (listener, route, connection)
    }

    fn accept(listener: &TcpListener) -> TcpStream {
        listener.accept().expect("a connection").0
    }

    #[track_caller]
    fn check(route: &Route, mut connection: Connection, outcome: Outcome) {
        let mut record = record();
        let step = connection.advance(route, &mut record, &mut [0; SCRATCH_BYTES]);
        let Step::Ended(end) = step else { panic!("{step:?}") };
        assert_eq!(end.outcome, outcome);
        assert!(record.connected.is_some());
    }

    #[test]
    fn a_reset_before_anything_was_sent_is_no_refusal() {
        let (listener, route, connection) = unaware();
        drop(listener);
        check(&route, connection, Outcome::Reset);
    }

    #[test]
    fn what_was_said_before_a_reset_is_read() {
        let (listener, route, connection) = unaware();
        let mut stream = accept(&listener);
        stream.write_all(b"0*").expect("room");
        let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
        let linger = nix::sys::socket::sockopt::Linger;
        nix::sys::socket::setsockopt(&stream, linger, &at_once).expect("an option that all have");
        drop(stream);
        check(&route, connection, Outcome::Truncated);
    }

    #[test]
    fn a_reply_that_comes_before_the_request_counts() {
        let (listener, route, connection) = unaware();
        let mut stream = accept(&listener);
        stream.write_all(b"0*0=0 version=9\n").expect("room");
        check(&route, connection, Outcome::Replied);
    }

    #[test]
    fn the_longest_line_is_read_and_no_longer_one() {
        let (_listener, _route, mut connection) = unaware();
        let longest = [b"0*0=0 ".as_slice(), &[b'x'; REPLY_BYTES_MAX - 7], b"\n"].concat();
        assert_eq!(longest.len(), REPLY_BYTES_MAX);
        let (first, rest) = longest.split_at(100);
        assert_eq!(connection.take(first), None);
        assert_eq!(connection.take(rest).map(|end| end.outcome), Some(Outcome::Replied));

        let (_listener, _route, mut connection) = unaware();
        assert_eq!(connection.take(&[b'0'; REPLY_BYTES_MAX - 1]), None);
        let end = connection.take(b"0").expect("no line can come of this");
        assert_eq!((end.outcome, end.lingers), (Outcome::WrongReply, false));
    }

    #[test]
    fn versions_that_a_record_cannot_hold_are_not_known() {
        assert_eq!(judge(b"2*2=4 version=65535\n", Request::Square(2)), (Outcome::Replied, 65_535));
        assert_eq!(judge(b"2*2=4 version=65536\n", Request::Square(2)), (Outcome::Replied, 0));
        assert_eq!(judge(b"2*2=5\n", Request::Square(2)), (Outcome::WrongReply, 0));
    }
}

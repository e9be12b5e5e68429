//! One attempt: from its socket to its outcome, and on to the server's close.
//!
//! A connection does as much as it can without waiting and then says what it waits for. It stamps
//! its instants where they happen, knows nothing of schedules and time-outs, and is driven from
//! outside. What is said on it is the business of [`talk`](super::talk).

use std::os::fd::OwnedFd;

use holdline_fixtures::clock::now_ns;
use holdline_model::record::{ClientRecord, NotSent, Outcome, RequestRecord};
use holdline_model::wire::REPLY_BYTES_MAX;
use holdline_model::words::Stage;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::clock::stamp;
use super::deadlines::Limit;
use super::errno::{At, outcome_of};
use super::http;
use super::pauses::Pause;
use super::slab::Token;
use super::socket::{self, Route};
use super::talk::{Dialogue, Heard, Talk, judge};

/// A handshake that took at least this long may have lost a SYN, whose first retransmit comes after
/// one second (RFC 6298); for shorter ones, asking `TCP_INFO` would cost a syscall for nothing.
const SUSPICIOUS_HANDSHAKE_NS: u64 = 200_000_000;
/// Bytes that one `recv` takes. More than a reply has, so that one call is enough.
pub(super) const SCRATCH_BYTES: usize = 4096;
/// How often one event reads from a server that has answered and goes on talking.
const LINGER_READS_MAX: u32 = 16;
/// The most bytes of a reply that are kept until it is complete.
const REPLY_KEPT_BYTES_MAX: usize = http::HEAD_BYTES_MAX + http::BODY_BYTES_MAX;

/// One attempt under way.
#[derive(Debug)]
pub(super) struct Connection {
    attempt: u32,
    socket: OwnedFd,
    talk: Talk,
    /// When the request in hand began; the first, when the attempt did.
    started_ns: u64,
    phase: Phase,
    /// How many bytes of the request in hand are sent.
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
    /// The end of a pause of its own.
    Pause(Pause),
    /// The server's close. The outcome is clear.
    Close,
}

/// Where an attempt has got to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// It can do nothing until its socket reports something.
    Wait,
    /// It pauses until this instant, and is to be resumed then. Its socket may report something before.
    Pause(Pause, u64),
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
    pub(super) fn open(route: &Route, attempt: u32, talk: Talk) -> Result<Self, Errno> {
        let socket = route.open(attempt)?;
        Ok(Self {
            attempt,
            socket,
            talk,
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
        let step = match self.phase {
            Phase::Close => return self.await_close(scratch),
            Phase::Pause(pause) => return self.heed(pause, scratch),
            Phase::Room => self.connect(route, record),
            _ => self.send(route, record),
        };
        match step {
            Some(step) => step,
            None if self.phase == Phase::Reply => self.receive(scratch),
            None => Step::Wait,
        }
    }

    /// Goes on after a pause.
    pub(super) fn resume(&mut self, route: &Route, record: &mut ClientRecord, scratch: &mut [u8]) -> Step {
        let Phase::Pause(pause) = self.phase else { return Step::Wait };
        if pause == Pause::Gap {
            // What the server has said by now counts, even if its event has not been handled yet.
            match self.heed(pause, scratch) {
                Step::Wait => self.started_ns = now_ns(),
                step => return step,
            }
        }
        if let Talk::Dialogue(dialogue) = &mut self.talk {
            dialogue.paused(pause);
        }
        self.phase = Phase::Reply;
        self.advance(route, record, scratch)
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
        matches!(self.phase, Phase::Reply | Phase::Pause(_) | Phase::Close)
    }

    /// How many requests have got their right reply, given how the attempt ended.
    pub(super) fn answered(&self, outcome: Outcome) -> u16 {
        match &self.talk {
            Talk::OneShot(_) => u16::from(outcome == Outcome::Replied),
            Talk::Dialogue(dialogue) => dialogue.answered(),
        }
    }

    /// Hands out the record of a request that was answered since the last call.
    pub(super) fn take_request_record(&mut self) -> Option<RequestRecord> {
        match &mut self.talk {
            Talk::OneShot(_) => None,
            Talk::Dialogue(dialogue) => dialogue.take_record(),
        }
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
        // Of a dialogue, there may be more to send later.
        let is_all_sent = self.is_sent && matches!(self.talk, Talk::OneShot(_));
        let interest = if is_all_sent { read } else { read | EpollFlags::EPOLLOUT };
        epoll.add(&self.socket, EpollEvent::new(interest, token.to_bits()))?;
        self.is_registered = true;
        Ok(())
    }

    /// Whether this time-out, which counts from `started_ns`, still concerns it. Between two requests
    /// there is nothing to wait for.
    pub(super) fn is_subject_to(&self, limit: Limit, started_ns: u64) -> bool {
        if started_ns != self.started_ns || self.phase == Phase::Pause(Pause::Gap) {
            return false;
        }
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

    /// Notes the SYNs of a handshake that is given up.
    pub(super) fn note_retransmits(&self, route: &Route, record: &mut ClientRecord) {
        if self.phase == Phase::Handshake && route.is_tcp() {
            record.syn_retransmits = socket::retransmits(&self.socket);
        }
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

    /// Sends what is left of the request, and says so if a pause is due; the first success shows that
    /// the handshake is over.
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
        let sent = match &self.talk {
            Talk::OneShot(request) => {
                let line = request.line();
                socket::send_some(&self.socket, &line.as_bytes()[self.sent_bytes..])
                    .map(|bytes| (bytes, self.sent_bytes + bytes == line.len()))
            }
            Talk::Dialogue(dialogue) => send_of(dialogue, &self.socket, self.sent_bytes),
        };
        match sent {
            Err(Errno::EAGAIN) => return None,
            Ok((bytes, is_all)) => {
                self.sent_bytes += bytes;
                self.is_sent = is_all;
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
        match &self.talk {
            Talk::OneShot(_) => None,
            Talk::Dialogue(_) => self.after_sending(now_ns),
        }
    }

    /// What a dialogue does behind what it has sent: ends its side, or pauses.
    fn after_sending(&mut self, now_ns: u64) -> Option<Step> {
        let Talk::Dialogue(dialogue) = &self.talk else { return None };
        if self.send_error.is_some() {
            return None;
        }
        if self.is_sent && dialogue.half_closes() {
            socket::half_close(&self.socket);
        }
        let (pause, length_ns) = dialogue.pause_due(self.sent_bytes)?;
        self.phase = Phase::Pause(pause);
        Some(Step::Pause(pause, now_ns.saturating_add(length_ns)))
    }

    /// Something happened during a pause. A connection that is over is over at once; what is to be read
    /// waits for the end of the pause, but between two requests nothing is to be read.
    fn heed(&mut self, pause: Pause, scratch: &mut [u8]) -> Step {
        loop {
            let arrived = match pause {
                Pause::Reading => return Step::Wait,
                Pause::Sending => socket::peek(&self.socket),
                Pause::Gap => socket::receive_some(&self.socket, scratch),
            };
            match arrived {
                Ok(0) => return self.end_by_eof(),
                Ok(bytes) if pause == Pause::Gap => {
                    // Nobody had asked: the next reply will be found to be wrong.
                    self.reply.extend_from_slice(&scratch[..bytes]);
                    if self.reply.len() > REPLY_KEPT_BYTES_MAX {
                        return Step::Ended(End::now(Outcome::WrongReply));
                    }
                }
                Ok(_) | Err(Errno::EAGAIN) => return Step::Wait,
                Err(errno) => return self.end_by(errno),
            }
        }
    }

    /// Reads until the reply is complete or nothing is left.
    fn receive(&mut self, scratch: &mut [u8]) -> Step {
        loop {
            match socket::receive_some(&self.socket, scratch) {
                Ok(0) => return self.end_by_eof(),
                Ok(bytes) => {
                    let step = match self.talk {
                        Talk::OneShot(_) => self.take(&scratch[..bytes]).map(Step::Ended),
                        Talk::Dialogue(_) => self.hear(&scratch[..bytes], false),
                    };
                    if let Some(step) = step {
                        return step;
                    }
                }
                Err(Errno::EAGAIN) => return Step::Wait,
                Err(errno) => return self.end_by(errno),
            }
        }
    }

    /// Takes in part of the one reply that is a line. `Some`: it is complete, or too long to be one.
    fn take(&mut self, bytes: &[u8]) -> Option<End> {
        let Talk::OneShot(request) = self.talk else { return None };
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
            judge(&bytes[..line_end], request)
        } else {
            self.reply.extend_from_slice(&bytes[..line_end]);
            judge(&self.reply, request)
        };
        self.phase = Phase::Close;
        Some(End { at_ns, outcome, version, lingers: true })
    }

    /// Takes in part of the reply to the request in hand. `Some`: it is complete, or cannot become so.
    fn hear(&mut self, bytes: &[u8], at_end: bool) -> Option<Step> {
        let Talk::Dialogue(dialogue) = &mut self.talk else { return None };
        let at_ns = now_ns();
        self.reply.extend_from_slice(bytes);
        let (taken, version, keeps) = match dialogue.hear(&self.reply, at_end) {
            Heard::Part if self.reply.len() <= REPLY_KEPT_BYTES_MAX => return None,
            Heard::Part | Heard::Wrong => {
                return Some(Step::Ended(End { at_ns, ..End::now(Outcome::WrongReply) }));
            }
            Heard::Right { bytes, version, keeps } => (bytes, version, keeps),
        };
        let next_ns = dialogue.answer(at_ns);
        self.reply.drain(..taken);
        let was_sent = std::mem::take(&mut self.is_sent);
        self.sent_bytes = 0;
        let end = |outcome, lingers| Step::Ended(End { at_ns, outcome, version, lingers });
        Some(match next_ns {
            None => {
                self.phase = Phase::Close;
                end(Outcome::Replied, dialogue.server_closes() && !at_end)
            }
            // A server that answers before it has read everything cannot find the next request.
            Some(_) if !keeps || !was_sent => end(Outcome::ClosedIdle, false),
            Some(next_ns) => {
                self.phase = Phase::Pause(Pause::Gap);
                Step::Pause(Pause::Gap, next_ns)
            }
        })
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
    fn end_by_eof(&mut self) -> Step {
        if let Some(errno @ Errno::ECONNRESET) = self.send_error {
            return self.end_by(errno);
        }
        if self.is_idle() {
            return Step::Ended(End::now(Outcome::ClosedIdle));
        }
        if self.reply.is_empty() {
            return Step::Ended(End::now(Outcome::Closed));
        }
        // It may have been what shows the end of the reply.
        match self.hear(&[], true) {
            Some(Step::Pause(..)) => Step::Ended(End::now(Outcome::ClosedIdle)),
            Some(step) => step,
            None => Step::Ended(End::now(Outcome::Truncated)),
        }
    }

    fn end_by(&self, errno: Errno) -> Step {
        if self.is_idle() {
            return Step::Ended(End::now(Outcome::ClosedIdle));
        }
        Step::Ended(End::now(outcome_of(errno, self.at())))
    }

    /// Whether nothing is under way: the last request was answered, and of the next one the kernel has
    /// taken nothing.
    fn is_idle(&self) -> bool {
        match &self.talk {
            Talk::OneShot(_) => false,
            Talk::Dialogue(dialogue) => dialogue.answered() > 0 && self.sent_bytes == 0,
        }
    }
}

/// Sends as much of a dialogue's request as may be sent and is taken, behind `from` bytes: how much
/// that is, and whether nothing is left.
fn send_of(dialogue: &Dialogue, socket: &OwnedFd, from: usize) -> Result<(usize, bool), Errno> {
    let mut sent = from;
    loop {
        let bytes = dialogue.sendable(sent);
        if bytes.is_empty() {
            break;
        }
        match socket::send_some(socket, bytes) {
            Ok(count) => sent += count,
            Err(Errno::EAGAIN) if sent > from => break,
            Err(errno) if sent == from => return Err(errno),
            // The next call will tell, or reading will.
            Err(_) => break,
        }
    }
    Ok((sent - from, sent == dialogue.bytes()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use holdline_model::wire::{Address, Request};

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
            requests_answered: 0,
        }
    }

    /// A connection whose handshake is over, while it does not know of that and has sent nothing.
    fn unaware() -> (TcpListener, Route, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = Address::Tcp(listener.local_addr().expect("an address"));
        let route = Route::new(&address, true).expect("a route");
        let mut connection =
            Connection::open(&route, 0, Talk::OneShot(Request::Square(0))).expect("a socket");
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
}

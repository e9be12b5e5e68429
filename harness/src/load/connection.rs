//! One attempt: from its socket to its outcome, and on to the server's close.
//!
//! A connection does as much as it can without waiting and then says what it waits for. It stamps
//! its instants where they happen, knows nothing of schedules and time-outs, and is driven from
//! outside. What is said on it is the business of [`talk`](super::talk); here it connects and sends,
//! in [`greeting`] it does what comes before the first request, in [`reading`] it hears the reply and the end.

use std::ops::ControlFlow;

use holdline_contract::clock::now_ns;
use holdline_model::record::{
    Afterwards, Carried, ClientRecord, Ending, NotSent, Outcome, RequestRecord, SilentEnd,
};
use holdline_model::wire::{Excerpt, Rest};
use holdline_model::words::Stage;
use nix::errno::Errno;

use super::clock::stamp;
use super::deadlines::Limit;
use super::errno::At;
use super::pauses::Pause;
use super::socket::{self, Route};
use super::talk::Talk;
use super::transport::Transport;

mod ends;
mod greeting;
mod reading;
mod reuse;
mod step;
mod watching;

pub(super) use step::{End, Step};

/// A handshake that took at least this long may have lost a SYN, whose first retransmit comes after
/// one second (RFC 6298); for shorter ones, asking `TCP_INFO` would cost a syscall for nothing.
const SUSPICIOUS_HANDSHAKE_NS: u64 = 200_000_000;
/// Bytes that one `recv` takes. More than most replies have, so that one call is enough.
pub(super) const SCRATCH_BYTES: usize = 16 << 10;

/// One attempt under way.
#[derive(Debug)]
pub(super) struct Connection<T> {
    attempt: u32,
    transport: T,
    talk: Talk,
    /// When the request in hand began; the first, when the attempt did.
    started_ns: u64,
    phase: Phase,
    /// How many bytes of the request in hand are sent.
    sent_bytes: usize,
    /// Whether that is all of it.
    is_sent: bool,
    /// What came of a reply that is not complete yet; once `rest` is there, how it begins.
    reply: Vec<u8>,
    /// The rest of a reply that is longer than what is kept.
    rest: Option<Rest>,
    /// What `send` said of a connection that is broken. The kernel says it only once.
    send_error: Option<Errno>,
    /// How the server ended the connection.
    ended: Option<Ending>,
    /// Whether the server ended its side early, and went on to read.
    half_closed: bool,
    /// How the attempt ends once the rest of its request is sent, or cannot be.
    owed: Option<End>,
    /// Whether epoll watches its socket.
    is_registered: bool,
    /// Whether the socket has reported that the server ended its side in order.
    end_reported: bool,
    /// Whether nothing but that end was left to be read, when it was read last.
    is_at_end: bool,
    /// Whether the server has said something to a client that asks for nothing.
    is_told: bool,
    /// Whether what has come may be more replies of a pipeline, which nobody has looked at.
    has_unheard: bool,
    /// Whether a reply of a pipeline said that the server answers none of the requests behind it.
    announced: bool,
    /// The attempt that opened it, whose address it has.
    opener: u32,
    /// How the attempt had ended before, if it is sent once more.
    first_outcome: Option<Outcome>,
    /// What has become of it behind an attempt of a pool.
    afterwards: Afterwards,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Unix only: room in the server's accept queue, to call `connect` again.
    Room,
    /// The end of TCP's handshake.
    Handshake,
    /// The end of the handshake of a transport that has one.
    Greeting,
    /// The reply.
    Reply,
    /// The end of a pause of its own.
    Pause(Pause),
    /// Whatever the server does: it asks for nothing.
    Silence,
    /// The server's close. The outcome is clear.
    Close,
    /// Another attempt, or the server's close. The outcome of the last one is clear.
    Idle,
}

impl<T: Transport> Connection<T> {
    /// An attempt that is to be made over this transport, begun by [`Self::begin`]. `reply` gives the room
    /// to keep replies in.
    pub(super) fn new(transport: T, attempt: u32, talk: Talk, reply: Vec<u8>) -> Self {
        Self {
            attempt,
            transport,
            talk,
            started_ns: 0,
            phase: Phase::Room,
            sent_bytes: 0,
            is_sent: false,
            reply,
            rest: None,
            send_error: None,
            ended: None,
            half_closed: false,
            owed: None,
            is_registered: false,
            end_reported: false,
            is_at_end: false,
            is_told: false,
            has_unheard: false,
            announced: false,
            opener: attempt,
            first_outcome: None,
            afterwards: Afterwards::Ended,
        }
    }

    /// Closes the socket, and gives back the room for requests and that for replies.
    pub(super) fn close(mut self) -> (Vec<u8>, Vec<u8>) {
        self.transport.part();
        (self.talk.into_head(), self.reply)
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
            Phase::Idle => return self.stay_idle(scratch),
            Phase::Pause(pause) => return self.heed(pause, scratch),
            Phase::Silence => return self.listen(scratch),
            Phase::Room => self.connect(route, record),
            _ => self.send(route, record),
        };
        match step {
            Some(step) => step,
            None if self.phase == Phase::Reply => self.receive(scratch),
            None if self.phase == Phase::Silence => self.listen(scratch),
            None => Step::Wait,
        }
    }

    /// Goes on after a pause.
    pub(super) fn resume(&mut self, route: &Route, record: &mut ClientRecord, scratch: &mut [u8]) -> Step {
        let Phase::Pause(pause) = self.phase else { return Step::Wait };
        if pause == Pause::Rest {
            // Whatever has happened by now counts, even if its event has not been handled yet.
            let end = self.owed.unwrap_or_else(|| End::now(Outcome::Replied));
            return match self.send_rest(end, scratch) {
                Step::Wait => self.settle_owed(end),
                step => step,
            };
        }
        if pause == Pause::Gap {
            // What the server has said by now counts, even if its event has not been handled yet.
            match self.heed(pause, scratch) {
                Step::Wait => self.started_ns = now_ns(),
                step => return step,
            }
        }
        self.talk.paused(pause);
        self.phase = Phase::Reply;
        if pause == Pause::Gap {
            return self.ask_again(route, record, scratch);
        }
        self.advance(route, record, scratch)
    }

    /// What carries its bytes.
    pub(super) fn transport(&self) -> &T {
        &self.transport
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

    /// Whether the outcome of its attempt is clear.
    pub(super) fn is_clear(&self) -> bool {
        matches!(self.phase, Phase::Close | Phase::Idle)
    }

    pub(super) fn is_connected(&self) -> bool {
        !matches!(self.phase, Phase::Room | Phase::Handshake)
    }

    /// How many bytes of the request in hand are sent, as the kernel counts them.
    pub(super) fn sent(&self) -> u64 {
        self.transport.sent(self.sent_bytes as u64)
    }

    /// The first bytes of a reply that was not the answer, or not complete.
    pub(super) fn said(&self) -> Excerpt {
        match (self.rest, self.transport.first()) {
            (None, Some(first)) if self.reply.is_empty() => first,
            (Some(_), _) => Excerpt::of(&self.reply),
            (None, _) => self.talk.excerpt(&self.reply),
        }
    }

    /// Notes what is known of how the server ended it.
    pub(super) fn note_ending(&self, record: &mut ClientRecord) {
        record.ended = self.ended;
        record.send_failed = self.send_error.is_some();
        record.half_closed = self.half_closed;
        record.announced = self.announced;
        record.close_code = self.transport.close_code();
        let has_asked = self.is_connected() && self.sent_bytes > 0;
        record.requests_pipelined = if has_asked { self.talk.pipelined() } else { 0 };
        if let Some(carried) = &mut record.carried {
            carried.afterwards = self.afterwards;
        }
        record.unasked = self.is_connected() && self.talk.answered() == 0 && self.sent_bytes == 0;
    }

    /// Whether what has come may be more replies of a pipeline, so that it is to go on before its time is over.
    pub(super) fn has_unheard(&self) -> bool {
        self.has_unheard
    }

    /// Whether its reply came before its request was sent, so that it ended later than that.
    pub(super) fn was_owed(&self) -> bool {
        self.owed.is_some()
    }

    /// How many requests have got their right reply.
    pub(super) fn answered(&self) -> u16 {
        self.talk.answered()
    }

    /// Whether the end of its request is held back, for the first time that this is asked.
    pub(super) fn take_held_back(&mut self) -> bool {
        self.talk.take_held_back()
    }

    /// Hands out the record of a request that was answered since the last call.
    pub(super) fn take_request_record(&mut self) -> Option<RequestRecord> {
        self.talk.take_record()
    }

    /// Whether this time-out, which counts from `started_ns`, still concerns it. Between two requests
    /// there is nothing to wait for.
    pub(super) fn is_subject_to(&self, limit: Limit, started_ns: u64) -> bool {
        let waits = !matches!(self.phase, Phase::Pause(Pause::Gap | Pause::Rest) | Phase::Idle);
        if started_ns != self.started_ns || !waits {
            return false;
        }
        match limit {
            Limit::Connect => !self.is_connected(),
            Limit::FirstByte => {
                let has_heard = !self.reply.is_empty() || self.talk.has_turned();
                !self.lingers() && self.phase != Phase::Silence && !has_heard
            }
            Limit::Total => true,
        }
    }

    fn at(&self) -> At {
        match self.phase {
            Phase::Room | Phase::Handshake => At::Connect,
            Phase::Greeting if T::SECURED && !self.transport.is_secured() => At::Tls,
            _ if self.reply.is_empty() && !self.talk.has_turned() => At::FirstByte,
            _ => At::Reply,
        }
    }

    /// Calls `connect`, and sends if that is possible at once. `None`: it has to wait.
    ///
    /// A blocking client whose server's accept queue is full waits in `connect` until there is room;
    /// for a non-blocking Unix socket Linux says EAGAIN instead (`unix_stream_connect` in
    /// net/unix/af_unix.c), and the call has to be made again.
    fn connect(&mut self, route: &Route, record: &mut ClientRecord) -> Option<Step> {
        match route.connect(&self.transport) {
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
        if self.phase == Phase::Handshake {
            if route.is_tcp() && now_ns.saturating_sub(self.started_ns) >= SUSPICIOUS_HANDSHAKE_NS {
                record.syn_retransmits = socket::retransmits(&self.transport);
            }
            if let Some(silence) = self.talk.silence().filter(|_| !T::GREETS) {
                return self.fall_silent(silence, route, record);
            }
        }
        if T::GREETS
            && matches!(self.phase, Phase::Handshake | Phase::Greeting)
            && let ControlFlow::Break(step) = self.greet(now_ns, record)
        {
            return step;
        }
        match send_of(&self.talk, &mut self.transport, self.sent_bytes) {
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
        self.after_sending(now_ns)
    }

    /// What it does behind what it has sent: ends its side, or pauses.
    fn after_sending(&mut self, now_ns: u64) -> Option<Step> {
        if self.send_error.is_some() {
            return None;
        }
        if self.is_sent && self.talk.half_closes() {
            self.transport.half_close();
        }
        let (pause, length_ns) = self.talk.pause_due(self.sent_bytes)?;
        self.talk.pauses(pause);
        self.phase = Phase::Pause(pause);
        Some(Step::Pause(pause, now_ns.saturating_add(length_ns)))
    }
}

/// Sends as much of the request in hand as may be sent and is taken, behind `from` bytes: how much
/// that is, and whether nothing is left.
fn send_of(talk: &Talk, transport: &mut impl Transport, from: usize) -> Result<(usize, bool), Errno> {
    let mut sent = from;
    loop {
        let bytes = talk.sendable(sent);
        if bytes.is_empty() {
            break;
        }
        match transport.send(bytes) {
            Ok(count) => sent += count,
            Err(Errno::EAGAIN) if sent > from => break,
            Err(errno) if sent == from => return Err(errno),
            // The next call will tell, or reading will.
            Err(_) => break,
        }
    }
    Ok((sent - from, sent == talk.bytes()))
}

#[cfg(test)]
mod tests;

//! The reading half of an attempt: replies, the server's close, and how the attempt ended by them.

use holdline_contract::clock::now_ns;
use holdline_model::record::{Afterwards, Ending, Outcome, SilentEnd};
use holdline_model::tls::TlsFailure;
use holdline_model::wire::{Heard, Right, Wrong};
use nix::errno::Errno;

use super::super::errno::{outcome_of, outcome_of_broken};
use super::super::pauses::Pause;
use super::super::transport::{Broken, Transport};
use super::{Connection, End, Phase, Step, send_of};

/// How often one event reads from a server that has answered and goes on talking.
const LINGER_READS_MAX: u32 = 16;
/// For how long the rest of a request is sent once its reply is there. The kernel answers at once for a server
/// that has closed.
const REST_NS: u64 = 500_000_000;
/// How often one event reads of a reply, before others have their turn.
const READS_MAX: u32 = 64;

impl<T: Transport> Connection<T> {
    /// Something happened during a pause. A connection that is over is over at once; what is to be read
    /// waits for the end of the pause, but between two requests nothing is to be read.
    pub(super) fn heed(&mut self, pause: Pause, scratch: &mut [u8]) -> Step {
        loop {
            let arrived = match pause {
                Pause::Reading => return Step::Wait,
                Pause::Rest => return self.owed.map_or(Step::Wait, |end| self.send_rest(end, scratch)),
                Pause::Connecting | Pause::Sending | Pause::Holding => self.transport.peek(),
                Pause::Gap => self.transport.receive(scratch),
            };
            match arrived {
                Ok(0) => return self.end_by_eof(),
                Ok(bytes) if pause == Pause::Gap => {
                    // Nobody had asked: the next reply will be found to be wrong.
                    self.reply.extend_from_slice(&scratch[..bytes]);
                    if self.reply.len() > self.talk.reply_bytes_max() {
                        return Step::Ended(End::now(Outcome::WrongReply));
                    }
                }
                Ok(_) | Err(Errno::EAGAIN) => return Step::Wait,
                Err(errno) => return self.end_by(errno),
            }
        }
    }

    /// Reads until the reply is complete or nothing is left, for some time.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Step {
        if std::mem::take(&mut self.has_unheard)
            && let Some(step) = self.hear(&[], false)
        {
            return step;
        }
        for _ in 0..READS_MAX {
            match self.transport.receive(scratch) {
                Ok(0) => return self.end_by_eof(),
                Ok(bytes) => {
                    self.is_at_end = self.end_reported && bytes < scratch.len();
                    if let Some(step) = self.hear(&scratch[..bytes], false) {
                        return self.owed.map_or(step, |end| match self.send_rest(end, scratch) {
                            Step::Wait => step,
                            ended => ended,
                        });
                    }
                }
                Err(Errno::EAGAIN) => return Step::Wait,
                Err(errno) => return self.end_by(errno),
            }
        }
        Step::Yield
    }

    /// Takes in part of the reply to the request in hand. `Some`: it is complete, or cannot become so.
    pub(super) fn hear(&mut self, bytes: &[u8], at_end: bool) -> Option<Step> {
        let at_ns = now_ns();
        // Most replies come in one piece, and need not be kept; of a long one, the rest is not.
        let is_kept = self.rest.is_none() && !self.reply.is_empty();
        let heard = match &mut self.rest {
            Some(rest) => rest.hear(bytes, at_end),
            None if is_kept => {
                self.reply.extend_from_slice(bytes);
                self.talk.hear(&self.reply, at_end)
            }
            None => self.talk.hear(bytes, at_end),
        };
        if let Heard::Right(right) = heard {
            if is_kept {
                self.reply.drain(..right.bytes);
            } else {
                self.rest = None;
                self.reply.clear();
                self.reply.extend_from_slice(&bytes[right.bytes..]);
            }
            if self.talk.turn() {
                return self.take_turn(at_end);
            }
            return Some(self.go_on_from(right, at_ns, at_end));
        }
        if self.rest.is_none() && !is_kept {
            self.reply.extend_from_slice(bytes);
        }
        match heard {
            Heard::Part | Heard::Right(_) => None,
            Heard::Wrong(why) => Some(self.end_by_wrong(why, at_ns, at_end)),
            Heard::Long(rest) => {
                let start = self.talk.excerpt(&self.reply);
                self.reply.clear();
                self.reply.extend_from_slice(start.as_bytes());
                self.rest = Some(rest);
                None
            }
        }
    }

    /// Goes on with the next turn of the request: says what is to be said, and judges what has come already.
    /// `None`: its answer is still to come.
    fn take_turn(&mut self, at_end: bool) -> Option<Step> {
        if at_end {
            return Some(Step::Ended(End::now(Outcome::Truncated)));
        }
        self.sent_bytes = 0;
        match send_of(&self.talk, &mut self.transport, 0) {
            Ok((bytes, is_all)) => {
                self.sent_bytes = bytes;
                self.is_sent = is_all;
            }
            Err(Errno::EAGAIN) => self.is_sent = false,
            Err(errno @ (Errno::ECONNRESET | Errno::EPIPE)) => self.send_error = Some(errno),
            Err(errno) => return Some(self.end_by(errno)),
        }
        if let Some(step) = self.after_sending(now_ns()) {
            return Some(step);
        }
        if self.reply.is_empty() { None } else { self.hear(&[], false) }
    }

    /// A server that has answered in full, if wrongly, closes as if it had answered rightly.
    fn end_by_wrong(&mut self, why: Wrong, at_ns: u64, at_end: bool) -> Step {
        let (outcome, is_complete) = match why {
            Wrong::Status(status) => (Outcome::ErrorReply(status), true),
            Wrong::Answer => (Outcome::WrongReply, true),
            Wrong::Malformed => (Outcome::WrongReply, false),
            Wrong::TooLong => (Outcome::TooLong, false),
        };
        let lingers = is_complete && self.talk.is_last() && self.talk.server_closes() && !at_end;
        if lingers {
            self.phase = Phase::Close;
        }
        let is_sent = self.is_sent || !is_complete;
        self.end_when_sent(End { at_ns, outcome, version: 0, lingers, reusable_ns: None }, is_sent)
    }

    /// A client as most are reads only once it has sent all. So where the reply came before that, the rest is
    /// sent, too, to see whether the server lets it; but not for ever.
    fn end_when_sent(&mut self, end: End, is_sent: bool) -> Step {
        if is_sent || self.send_error.is_some() || self.talk.pause_due(self.sent_bytes).is_some() {
            return Step::Ended(end);
        }
        self.owed = Some(end);
        self.phase = Phase::Pause(Pause::Rest);
        Step::Pause(Pause::Rest, end.at_ns.saturating_add(REST_NS))
    }

    /// Goes on to send a request whose reply is there, and reads what else comes.
    pub(super) fn send_rest(&mut self, end: End, scratch: &mut [u8]) -> Step {
        loop {
            match send_of(&self.talk, &mut self.transport, self.sent_bytes) {
                Ok((bytes, false)) if bytes > 0 => self.sent_bytes += bytes,
                Ok((_, is_all)) => {
                    self.is_sent = is_all;
                    // A server that has closed answers what it is sent by a reset, of which the next call tells.
                    let is_over = self.ended.is_some() && self.transport.send(&[]).is_err();
                    self.ended = if is_over { Some(Ending::Reset) } else { self.ended };
                    self.half_closed = is_all && self.ended == Some(Ending::Fin);
                    return self.settle_owed(end);
                }
                Err(Errno::EAGAIN) => break,
                Err(errno) => return self.settle_unsent(errno, end),
            }
        }
        for _ in 0..LINGER_READS_MAX {
            match self.transport.receive(scratch) {
                Ok(1..) => {}
                Ok(0) => {
                    self.ended = Some(Ending::Fin);
                    break;
                }
                Err(Errno::EAGAIN) => break,
                // What takes the error of the connection off it is a send that fails.
                Err(errno) => return self.settle_unsent(errno, end),
            }
        }
        Step::Wait
    }

    /// The end that was owed, of a connection of which nothing more is asked.
    pub(super) fn settle_owed(&mut self, end: End) -> Step {
        let lingers = end.lingers && self.is_sent && self.ended.is_none();
        self.phase = Phase::Close;
        Step::Ended(End { lingers, reusable_ns: None, ..end })
    }

    /// The end that was owed, of a connection that takes no more of its request.
    fn settle_unsent(&mut self, errno: Errno, end: End) -> Step {
        self.send_error = Some(errno);
        self.ended = Some(Ending::Reset);
        self.settle_owed(end)
    }

    /// What follows the right reply: the next request, or the end.
    fn go_on_from(&mut self, right: Right, at_ns: u64, at_end: bool) -> Step {
        let Right { version, keeps, .. } = right;
        let Some(next_ns) = self.talk.answer(at_ns) else {
            self.phase = Phase::Close;
            let is_shared = self.transport.is_shared();
            let reusable_ns = self.reusable_ns(right, at_ns).filter(|_| !at_end && !is_shared);
            if is_shared {
                self.not_used_again(Afterwards::Reused);
            }
            let is_announced = self.talk.pool().is_some() && !keeps && !is_shared;
            if is_announced {
                self.not_used_again(Afterwards::Announced);
            }
            let lingers = (self.talk.server_closes() || is_announced) && !at_end;
            let end = End { at_ns, outcome: Outcome::Replied, version, lingers, reusable_ns };
            return self.end_when_sent(end, self.is_sent);
        };
        if self.talk.is_pipelined() {
            self.announced |= !keeps;
            self.has_unheard = !self.reply.is_empty();
            // Others have their turn before the next reply is looked at, or waited for.
            return if at_end { Step::Ended(End::now(Outcome::Closed)) } else { Step::Yield };
        }
        let was_sent = std::mem::take(&mut self.is_sent);
        self.sent_bytes = 0;
        // A server that answers before it has read everything cannot find the next request.
        if !keeps || !was_sent {
            return Step::Ended(End {
                at_ns,
                outcome: Outcome::ClosedIdle,
                version,
                lingers: false,
                reusable_ns: None,
            });
        }
        self.phase = Phase::Pause(Pause::Gap);
        Step::Pause(Pause::Gap, next_ns)
    }

    /// Until when another attempt may use the connection behind the right reply; `None`: none may.
    fn reusable_ns(&self, right: Right, at_ns: u64) -> Option<u64> {
        let pool = self.talk.pool()?;
        let by_server_ns = right.idle_s_max.map(|seconds| u64::from(seconds) * 1_000_000_000);
        let idle_ns = [pool.idle_timeout_ns, by_server_ns].into_iter().flatten().min();
        let until_ns = idle_ns.map_or(u64::MAX, |idle_ns| at_ns.saturating_add(idle_ns));
        // What comes behind a reply that nobody had asked for makes the next one unreadable.
        (right.keeps && self.is_sent && self.reply.is_empty()).then_some(until_ns)
    }

    /// Hears what the server does to a client that says nothing. What it says itself is not kept.
    pub(super) fn listen(&mut self, scratch: &mut [u8]) -> Step {
        let silent = |end| Step::Ended(End::now(Outcome::Silent(end)));
        if self.send_error.take().is_some() {
            return silent(SilentEnd::Reset);
        }
        for _ in 0..LINGER_READS_MAX {
            match self.transport.receive(scratch) {
                Ok(1..) => self.is_told = true,
                Err(Errno::EAGAIN) => return Step::Wait,
                Ok(0) | Err(_) if self.is_told => return silent(SilentEnd::Told),
                // The server said something to the transport, such as an alert.
                Err(Errno::EPROTO) => return silent(SilentEnd::Told),
                Ok(0) => return silent(SilentEnd::Closed),
                Err(_) => return silent(SilentEnd::Reset),
            }
        }
        // It talks faster than anybody would listen.
        silent(SilentEnd::Told)
    }

    pub(super) fn await_close(&mut self, scratch: &mut [u8]) -> Step {
        if self.is_at_end {
            self.ended = Some(self.ending_at_eof());
            return Step::Closed;
        }
        for _ in 0..LINGER_READS_MAX {
            match self.transport.receive(scratch) {
                Ok(1..) => {}
                Err(Errno::EAGAIN) => return Step::Wait,
                Ok(0) => {
                    self.ended = Some(self.ending_at_eof());
                    return Step::Closed;
                }
                Err(errno) => {
                    self.ended = (errno != Errno::EPROTO).then_some(Ending::Reset);
                    return Step::Closed;
                }
            }
        }
        Step::Closed
    }

    /// After a reset that `send` has already reported, `recv` reports the end of the stream.
    const fn ending_at_eof(&self) -> Ending {
        if self.send_error.is_some() { Ending::Reset } else { Ending::Fin }
    }

    fn end_by_eof(&mut self) -> Step {
        self.ended = Some(self.ending_at_eof());
        if let Some(errno @ Errno::ECONNRESET) = self.send_error {
            return self.end_by(errno);
        }
        if self.is_idle() {
            return Step::Ended(End::now(Outcome::ClosedIdle));
        }
        if self.reply.is_empty() {
            let has_heard = self.talk.has_turned();
            return Step::Ended(End::now(if has_heard { Outcome::Truncated } else { Outcome::Closed }));
        }
        if !self.transport.ended_in_full() {
            return Step::Ended(End::now(Outcome::Truncated));
        }
        // It may have been what shows the end of the reply.
        match self.hear(&[], true) {
            Some(Step::Pause(Pause::Gap, _)) => Step::Ended(End::now(Outcome::ClosedIdle)),
            Some(step) => step,
            None => Step::Ended(End::now(Outcome::Truncated)),
        }
    }

    pub(super) fn end_by(&mut self, errno: Errno) -> Step {
        let broken = self.transport.broken().filter(|_| errno == Errno::EPROTO);
        if matches!(errno, Errno::ECONNRESET | Errno::EPIPE)
            || broken == Some(Broken::Theirs(TlsFailure::Reset))
        {
            self.ended = Some(Ending::Reset);
        } else if broken == Some(Broken::Theirs(TlsFailure::Cut)) {
            self.ended = Some(Ending::Fin);
        }
        if self.is_idle() {
            return Step::Ended(End::now(Outcome::ClosedIdle));
        }
        let at = self.at();
        Step::Ended(End::now(
            broken.map_or_else(|| outcome_of(errno, at), |broken| outcome_of_broken(broken, at)),
        ))
    }

    /// Whether nothing is under way: the last request was answered, and of the next one the kernel has
    /// taken nothing.
    fn is_idle(&self) -> bool {
        let nothing_is_asked = self.talk.answered() > 0 && self.sent_bytes == 0 && !self.talk.has_turned();
        nothing_is_asked && self.transport.ended_in_order()
    }
}

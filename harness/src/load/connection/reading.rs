//! The reading half of an attempt: replies, the server's close, and how the attempt ended by them.

use holdline_contract::clock::now_ns;
use holdline_model::record::{Outcome, SilentEnd};
use holdline_model::wire::{Heard, Right, Wrong};
use nix::errno::Errno;

use super::super::errno::outcome_of;
use super::super::pauses::Pause;
use super::super::transport::Transport;
use super::{Connection, End, Phase, Step};

/// How often one event reads from a server that has answered and goes on talking.
const LINGER_READS_MAX: u32 = 16;
/// How often one event reads of a reply, before others have their turn.
const READS_MAX: u32 = 64;

impl<T: Transport> Connection<T> {
    /// Something happened during a pause. A connection that is over is over at once; what is to be read
    /// waits for the end of the pause, but between two requests nothing is to be read.
    pub(super) fn heed(&mut self, pause: Pause, scratch: &mut [u8]) -> Step {
        loop {
            let arrived = match pause {
                Pause::Reading => return Step::Wait,
                Pause::Connecting | Pause::Sending => self.transport.peek(),
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
        for _ in 0..READS_MAX {
            match self.transport.receive(scratch) {
                Ok(0) => return self.end_by_eof(),
                Ok(bytes) => {
                    if let Some(step) = self.hear(&scratch[..bytes], false) {
                        return step;
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
        Step::Ended(End { at_ns, outcome, version: 0, lingers })
    }

    /// What follows the right reply: the next request, or the end.
    fn go_on_from(&mut self, Right { version, keeps, .. }: Right, at_ns: u64, at_end: bool) -> Step {
        let next_ns = self.talk.answer(at_ns);
        let was_sent = std::mem::take(&mut self.is_sent);
        self.sent_bytes = 0;
        let end = |outcome, lingers| Step::Ended(End { at_ns, outcome, version, lingers });
        match next_ns {
            None => {
                self.phase = Phase::Close;
                end(Outcome::Replied, self.talk.server_closes() && !at_end)
            }
            // A server that answers before it has read everything cannot find the next request.
            Some(_) if !keeps || !was_sent => end(Outcome::ClosedIdle, false),
            Some(next_ns) => {
                self.phase = Phase::Pause(Pause::Gap);
                Step::Pause(Pause::Gap, next_ns)
            }
        }
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
                Ok(0) => return silent(SilentEnd::Closed),
                Err(_) => return silent(SilentEnd::Reset),
            }
        }
        // It talks faster than anybody would listen.
        silent(SilentEnd::Told)
    }

    pub(super) fn await_close(&mut self, scratch: &mut [u8]) -> Step {
        for _ in 0..LINGER_READS_MAX {
            match self.transport.receive(scratch) {
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

    pub(super) fn end_by(&self, errno: Errno) -> Step {
        if self.is_idle() {
            return Step::Ended(End::now(Outcome::ClosedIdle));
        }
        Step::Ended(End::now(outcome_of(errno, self.at())))
    }

    /// Whether nothing is under way: the last request was answered, and of the next one the kernel has
    /// taken nothing.
    fn is_idle(&self) -> bool {
        self.talk.answered() > 0 && self.sent_bytes == 0
    }
}

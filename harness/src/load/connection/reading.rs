//! The reading half of an attempt: replies, the server's close, and how the attempt ended by them.

use holdline_contract::clock::now_ns;
use holdline_model::record::Outcome;
use holdline_model::wire::REPLY_BYTES_MAX;
use nix::errno::Errno;

use super::super::errno::outcome_of;
use super::super::pauses::Pause;
use super::super::talk::{Heard, Talk, judge};
use super::super::{http, socket};
use super::{Connection, End, Phase, Step};

/// How often one event reads from a server that has answered and goes on talking.
const LINGER_READS_MAX: u32 = 16;
/// The most bytes of a reply that are kept until it is complete.
const REPLY_KEPT_BYTES_MAX: usize = http::HEAD_BYTES_MAX + http::BODY_BYTES_MAX;

impl Connection {
    /// Something happened during a pause. A connection that is over is over at once; what is to be read
    /// waits for the end of the pause, but between two requests nothing is to be read.
    pub(super) fn heed(&mut self, pause: Pause, scratch: &mut [u8]) -> Step {
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
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> Step {
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
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<End> {
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

    pub(super) fn await_close(&self, scratch: &mut [u8]) -> Step {
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

    pub(super) fn end_by(&self, errno: Errno) -> Step {
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

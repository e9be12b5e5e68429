//! What comes between an attempt's `connect` and its first request: what a transport has to say before, such as a
//! handshake, and what a client does that says nothing yet.

use std::ops::ControlFlow;

use holdline_contract::clock::now_ns;
use holdline_model::record::ClientRecord;
use nix::errno::Errno;

use super::super::clock::stamp;
use super::super::pauses::Pause;
use super::super::socket::{self, Route};
use super::super::talk::Silence;
use super::super::transport::{Broken, Greeting, Transport};
use super::{Connection, Phase, Step};

impl<T: Transport> Connection<T> {
    /// Makes the greeting of a transport that has one, as far as it goes. To break off is to send nothing now: with a
    /// step, or to wait.
    ///
    /// That the transport could send shows that the socket is connected, as of just before.
    pub(super) fn greet(&mut self, before_ns: u64, record: &mut ClientRecord) -> ControlFlow<Option<Step>> {
        let greeted = self.transport.greet();
        let is_answered = matches!(self.transport.broken(), Some(Broken::Theirs(_)));
        if self.phase == Phase::Handshake && (greeted.is_ok() || is_answered) {
            record.connected = stamp(before_ns);
            self.phase = Phase::Greeting;
        }
        if T::SECURED && record.tls.is_none() && self.transport.is_secured() {
            record.tls = stamp(now_ns());
        }
        match greeted {
            Ok(Greeting::Over) => {}
            Ok(Greeting::UnderWay) | Err(Errno::EAGAIN) => return ControlFlow::Break(None),
            // The handshake was over, and the server has reset since. It may have said something before, so that
            // reading decides.
            Err(errno @ (Errno::ECONNRESET | Errno::EPIPE)) => {
                record.connected = stamp(before_ns);
                self.send_error = Some(errno);
                self.phase = Phase::Reply;
                return ControlFlow::Break(self.talk.silence().and_then(|silence| self.keep_silent(silence)));
            }
            Err(errno) => return ControlFlow::Break(Some(self.end_by(errno))),
        }
        match self.talk.silence() {
            None => {
                self.phase = Phase::Reply;
                ControlFlow::Continue(())
            }
            Some(silence) => ControlFlow::Break(self.keep_silent(silence)),
        }
    }

    /// Says nothing once the handshake is over. `None`: it is not, or it is for good.
    ///
    /// As nothing is sent that could show it, the kernel is asked for the socket's state, and for what can be read. To
    /// call `connect` once more would tell as well, but has it forget a connection that was reset, with what had come
    /// before the reset (`__inet_stream_connect` in net/ipv4/af_inet.c calls `tcp_disconnect`).
    pub(super) fn fall_silent(
        &mut self,
        silence: Silence,
        route: &Route,
        record: &mut ClientRecord,
    ) -> Option<Step> {
        if route.is_tcp() && socket::is_connecting(&self.transport) {
            return None;
        }
        match self.transport.peek() {
            Ok(_) | Err(Errno::EAGAIN) => {}
            // The handshake was over, and the server has reset since. The kernel says it only once.
            Err(Errno::ECONNRESET | Errno::EPIPE) => self.send_error = Some(Errno::ECONNRESET),
            Err(errno) => return Some(self.end_by(errno)),
        }
        record.connected = stamp(now_ns());
        self.keep_silent(silence)
    }

    /// Says nothing from now on. `None`: for good, or the connection is over.
    fn keep_silent(&mut self, silence: Silence) -> Option<Step> {
        match silence {
            Silence::ToTheEnd => self.phase = Phase::Silence,
            Silence::ToListen => {
                self.phase = Phase::Reply;
                self.is_sent = true;
            }
            Silence::For(_) if self.send_error.is_some() => self.phase = Phase::Reply,
            Silence::For(length_ns) => {
                self.phase = Phase::Pause(Pause::Connecting);
                return Some(Step::Pause(Pause::Connecting, now_ns().saturating_add(length_ns)));
            }
        }
        None
    }
}

//! What a pool does with a connection: it leaves it idle, has another attempt use it, or has an attempt that it broke
//! use a fresh one.

use super::*;

impl<T: Transport> Connection<T> {
    /// Notes by which connection its attempt is carried, if it belongs to a pool.
    pub(in crate::load) fn note_carried(&self, record: &mut ClientRecord) {
        let retried = None;
        let carried = Carried { by: self.opener, retried, afterwards: Afterwards::Ended };
        record.carried = self.talk.pool().map(|_| carried);
    }

    /// Leaves it idle behind its attempt. The server's close may come at any time.
    pub(in crate::load) fn idle(&mut self) {
        self.phase = Phase::Idle;
        self.afterwards = Afterwards::Idle;
    }

    /// Whether another attempt may use it.
    pub(in crate::load) fn is_idle_in_pool(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Says why it is not used again.
    pub(in crate::load) fn not_used_again(&mut self, why: Afterwards) {
        self.afterwards = why;
    }

    /// What the server does to it while it is idle. Whatever it does, it is not used again.
    pub(in crate::load) fn stay_idle(&mut self, scratch: &mut [u8]) -> Step {
        (self.afterwards, self.ended) = match self.transport.receive(scratch) {
            Err(Errno::EAGAIN) => return Step::Wait,
            Ok(0) => (Afterwards::Closed, Some(Ending::Fin)),
            Ok(_) => (Afterwards::Told, None),
            Err(_) => (Afterwards::Reset, Some(Ending::Reset)),
        };
        Step::Closed
    }

    /// The same over a connection that this attempt had opened, and that others use just now.
    pub(in crate::load) fn joining(mut self, opener: u32) -> Self {
        self.opener = opener;
        self
    }

    /// Whether its socket is watched, while the connection may go on without it.
    pub(in crate::load) fn is_watched_with_others(&self) -> bool {
        T::SHARES && self.is_registered
    }

    /// Makes it ready for another attempt, to be begun by [`Self::begin_again`]. Gives back the room of the request
    /// before.
    pub(in crate::load) fn reuse(&mut self, attempt: u32, talk: Talk) -> Vec<u8> {
        self.attempt = attempt;
        self.first_outcome = None;
        self.forget_request();
        std::mem::replace(&mut self.talk, talk).into_head()
    }

    /// Sends the next request over it.
    pub(in crate::load) fn begin_again(
        &mut self,
        route: &Route,
        record: &mut ClientRecord,
        scratch: &mut [u8],
    ) -> Step {
        self.started_ns = now_ns();
        record.started = stamp(self.started_ns);
        self.phase = Phase::Reply;
        self.advance(route, record, scratch)
    }

    /// Whether an attempt that ended like this is to be sent once more: what broke it was a connection that others had
    /// used, before a byte of its reply came.
    pub(in crate::load) fn is_to_be_retried(&self, end: &End) -> bool {
        let was_reused = self.opener != self.attempt && self.first_outcome.is_none();
        let is_broken = match end.outcome {
            Outcome::Closed | Outcome::Reset => true,
            Outcome::Stream(end) => end.is_untouched(),
            _ => false,
        };
        was_reused && is_broken && self.talk.pool().is_some_and(|pool| pool.retry)
    }

    /// Sends its request once more, over a transport that is not connected yet, unless it has to queue behind others that
    /// wait for room. Its time goes on from the attempt's start.
    pub(in crate::load) fn retry(
        &mut self,
        transport: T,
        end: &End,
        route: &Route,
        record: &mut ClientRecord,
        queues: bool,
    ) -> Step {
        if let Some(carried) = &mut record.carried {
            carried.retried = Some(self.ended.unwrap_or(Ending::Fin));
        }
        self.transport = transport;
        self.opener = self.attempt;
        self.first_outcome = Some(end.outcome);
        self.forget_request();
        self.phase = Phase::Room;
        self.is_registered = false;
        let step = if queues { None } else { self.connect(route, record) };
        step.unwrap_or(Step::Wait)
    }

    /// The end of an attempt. One that could not be sent once more has ended as it had before.
    pub(in crate::load) fn end_of(&self, end: End, record: &mut ClientRecord) -> End {
        match (self.first_outcome, end.outcome) {
            (Some(outcome), Outcome::NotSent(_)) => {
                if let Some(carried) = &mut record.carried {
                    carried.retried = None;
                }
                End { outcome, ..end }
            }
            _ => end,
        }
    }

    fn forget_request(&mut self) {
        (self.sent_bytes, self.is_sent) = (0, false);
        self.reply.clear();
        (self.rest, self.owed) = (None, None);
        (self.end_reported, self.is_at_end) = (false, false);
        (self.send_error, self.ended, self.half_closed) = (None, None, false);
        self.afterwards = Afterwards::Ended;
    }
}

//! How a connection ends that does not end by itself.

use super::*;

impl<T: Transport> Connection<T> {
    /// How it ends if it cannot be watched.
    pub(in crate::load) fn failed(&self, errno: Errno) -> End {
        End::now(Outcome::Errno(errno as i32, self.at().stage()))
    }

    /// How it ends if its time is over now.
    pub(in crate::load) fn timed_out(&self) -> End {
        End::now(match self.phase {
            Phase::Silence => Outcome::Silent(SilentEnd::Open),
            _ => Outcome::TimedOut(self.at().stage()),
        })
    }

    /// Notes the SYNs of a handshake that is given up.
    pub(in crate::load) fn note_retransmits(&self, route: &Route, record: &mut ClientRecord) {
        if self.phase == Phase::Handshake && route.is_tcp() {
            record.syn_retransmits = socket::retransmits(&self.transport);
        }
    }

    /// How it ends if the load is stopped now.
    pub(in crate::load) fn stopped(&self) -> End {
        if let Some(end) = self.owed {
            return end;
        }
        match self.at().stage() {
            Stage::Connect if self.first_outcome.is_none() => End::now(Outcome::NotSent(NotSent::Stopped)),
            _ => self.timed_out(),
        }
    }
}

//! Attempts that use idle connections of others again, and those that such a connection broke.

use super::super::pool::Taken;
use super::super::transport::Joined;
use super::*;

impl<H: Hooks, C: Carrier> Client<'_, H, C> {
    /// Takes a connection from the pool that is not known to be over.
    pub(super) fn take_idle(&mut self, now_ns: u64) -> Option<Token> {
        loop {
            match self.pool.take(now_ns)? {
                Taken::Expired(token) => self.end_idle(token, Afterwards::Expired),
                Taken::Usable(token) => {
                    // What the server has done by now counts, even if its event has not been handled yet.
                    self.proceed(token);
                    if self.connections.contains_key(token) {
                        return Some(token);
                    }
                }
            }
        }
    }

    /// Sends an attempt over a connection that was idle.
    pub(super) fn use_again(&mut self, token: Token, attempt: u32, talk: Talk) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        connection.not_used_again(Afterwards::Reused);
        connection.note_ending(self.records.of(connection.attempt()));
        self.records.is_over(connection.attempt());
        self.room.take_back_request(connection.reuse(attempt, talk));
        self.in_flight += 1;
        self.progress.started.fetch_add(1, Ordering::Relaxed);
        self.progress.in_flight.fetch_add(1, Ordering::Relaxed);
        let record = self.records.of(attempt);
        connection.note_carried(record);
        let step = connection.begin_again(&self.route, record, &mut self.scratch[..]);
        // A fresh one, if it is sent once more, may have to wait for its handshake.
        self.deadlines.watch(token, connection.started_ns(), false);
        self.settle(token, step);
    }

    /// Sends an attempt over a connection that others use as well. Gives back what it was to say, if there is none with
    /// room.
    pub(super) fn join(&mut self, attempt: u32, talk: Talk) -> Option<Talk> {
        let Some(joined) = self.carrier.join() else { return Some(talk) };
        let share = self.share;
        match joined.and_then(|joined| share.allows(&joined.transport).map(|()| joined)) {
            Ok(Joined { transport, opener }) => {
                let reply = self.room.for_reply();
                self.send_along(Connection::new(transport, attempt, talk, reply).joining(opener));
            }
            Err(errno) => {
                self.room.take_back_request(talk.into_head());
                self.may_be_in_flight.give_back();
                self.record_not_sent(attempt, outcome_of(errno, At::Socket));
            }
        }
        None
    }

    fn send_along(&mut self, mut connection: Connection<C::Over>) {
        self.in_flight += 1;
        self.progress.started.fetch_add(1, Ordering::Relaxed);
        self.progress.in_flight.fetch_add(1, Ordering::Relaxed);
        let record = self.records.of(connection.attempt());
        connection.note_carried(record);
        let step = connection.begin_again(&self.route, record, &mut self.scratch[..]);
        let started_ns = connection.started_ns();
        let token = self.connections.insert(connection);
        // A fresh one, if it is sent once more, may have to wait for its handshake.
        self.deadlines.watch(token, started_ns, false);
        self.settle(token, step);
    }

    /// A socket that others use as well would be watched for as long as they do.
    pub(super) fn watch_no_more(&self, token: Token) {
        if let Some(connection) = self.connections.get(token).filter(|it| it.is_watched_with_others()) {
            // What is not watched any more is not to be watched.
            let _ = self.epoll.delete(connection.transport());
        }
    }

    /// Closes an idle connection, and says why.
    fn end_idle(&mut self, token: Token, why: Afterwards) {
        if let Some(connection) = self.connections.get_mut(token) {
            connection.not_used_again(why);
        }
        self.let_go_for_good(token);
    }

    /// Sends an attempt once more whose connection broke that others had used; false if that cannot be done.
    pub(super) fn retry(&mut self, token: Token, end: &End) -> bool {
        let Some(attempt) = self.connections.get(token).map(Connection::attempt) else { return false };
        let Ok(socket) = self.route.open(attempt).and_then(|socket| self.share.keep(socket)) else {
            return false;
        };
        self.connect_waiting();
        let queues = !self.waiting_for_room.is_empty();
        let transport = self.carrier.over(socket, attempt);
        self.watch_no_more(token);
        let Some(connection) = self.connections.get_mut(token) else { return false };
        let step = connection.retry(transport, end, &self.route, self.records.of(attempt), queues);
        if connection.waits_for_room() && matches!(step, Step::Wait) {
            self.waiting_for_room.push_back(token);
        }
        self.settle(token, step);
        true
    }
}

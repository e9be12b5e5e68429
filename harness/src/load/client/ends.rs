//! How attempts end: what is written down of them then, and when their connections are let go.

use super::super::connection::End;
use super::*;

impl<H: Hooks, C: Carrier> Client<'_, H, C> {
    /// Lets a connection go whose outcome was clear before.
    pub(super) fn let_go_for_good(&mut self, token: Token) {
        let attempt = self.connections.get(token).map(Connection::attempt);
        self.let_go(token);
        if let Some(attempt) = attempt {
            self.records.is_over(attempt);
        }
    }

    pub(super) fn let_go(&mut self, token: Token) {
        self.watch_no_more(token);
        self.apart.remove(token);
        if let Some(connection) = self.connections.remove(token) {
            self.pool.forget(token);
            connection.note_ending(self.records.of(connection.attempt()));
            self.room.take_back(connection.close());
        }
    }

    /// Ends an attempt whose connection cannot be watched; there is no waiting for a close that nobody would notice.
    pub(super) fn fail(&mut self, token: Token, errno: Errno) {
        if let Some(connection) = self.connections.get(token) {
            let end = connection.failed(errno);
            self.settle(token, if connection.is_clear() { Step::Closed } else { Step::Ended(end) });
        }
    }

    pub(super) fn record_not_sent(&mut self, attempt: u32, outcome: Outcome) {
        let end = End::now(outcome);
        self.record_end(attempt, end, 0, end.at_ns);
        self.records.is_over(attempt);
    }

    /// `freed_ns`: from when on the client is free for another.
    pub(super) fn record_end(&mut self, attempt: u32, end: End, answered: u16, freed_ns: u64) {
        let record = self.records.of(attempt);
        record.finished = stamp(end.at_ns);
        record.outcome = end.outcome;
        record.version = end.version;
        record.requests_answered = answered;
        self.progress.count_outcome(end.outcome);
        self.pacer.ended(freed_ns);
        self.hooks.after_attempt(record);
    }
}

/// Shows a connection whose time is over to whoever wants to look at it before it is let go.
pub(super) fn show_overdue<T: Transport>(hooks: &mut impl Hooks, connection: &Connection<T>) {
    if connection.is_connected() && !connection.is_clear() {
        hooks.overdue(connection.attempt(), connection.transport().as_fd(), connection.sent());
    }
}

//! Which attempt's time runs out next.
//!
//! Every time-out counts from the start of a request, which for the first one is that of its attempt,
//! and requests start in the order of time, so that one queue for each kind of time-out is already
//! sorted: no heap is needed, and a request that is over is dropped when its turn comes.

use std::collections::VecDeque;

use holdline_model::scenario::Timeouts;

use super::slab::Token;

/// A kind of time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Connect,
    FirstByte,
    Total,
}

/// The time-outs of all attempts.
#[derive(Debug)]
pub(super) struct Deadlines {
    queues: [Queue; 3],
}

#[derive(Debug)]
struct Queue {
    limit: Limit,
    after_ns: u64,
    /// When each request started, and of which attempt it is.
    waiting: VecDeque<(u64, Token)>,
}

impl Deadlines {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        let queue = |limit, after_ns| Queue { limit, after_ns, waiting: VecDeque::new() };
        Self {
            queues: [
                queue(Limit::Connect, timeouts.connect_ns),
                queue(Limit::FirstByte, timeouts.first_byte_ns),
                queue(Limit::Total, timeouts.total_ns),
            ],
        }
    }

    /// Watches a request of an attempt. To be told in the order of `started_ns`.
    ///
    /// Most handshakes on loopback are over before `connect` returns; those need no watching.
    pub(super) fn watch(&mut self, token: Token, started_ns: u64, is_connected: bool) {
        for queue in &mut self.queues {
            if queue.limit != Limit::Connect || !is_connected {
                queue.waiting.push_back((started_ns, token));
            }
        }
    }

    /// When the next time-out strikes, of those that `concerns` still says yes to, given the instant
    /// from which it counts.
    pub(super) fn next_ns(&mut self, concerns: impl Fn(Token, Limit, u64) -> bool) -> Option<u64> {
        self.queues.iter_mut().filter_map(|queue| queue.next_ns(&concerns)).min()
    }

    /// Hands out an attempt whose time has run out by `now_ns`, of those that `concerns` still says
    /// yes to.
    pub(super) fn take(
        &mut self,
        now_ns: u64,
        concerns: impl Fn(Token, Limit, u64) -> bool,
    ) -> Option<(Token, Limit)> {
        self.queues.iter_mut().find_map(|queue| {
            queue.next_ns(&concerns).filter(|&at_ns| at_ns <= now_ns)?;
            queue.waiting.pop_front().map(|(_, token)| (token, queue.limit))
        })
    }
}

impl Queue {
    fn next_ns(&mut self, concerns: impl Fn(Token, Limit, u64) -> bool) -> Option<u64> {
        while let Some(&(started_ns, token)) = self.waiting.front() {
            if concerns(token, self.limit, started_ns) {
                return Some(started_ns.saturating_add(self.after_ns));
            }
            self.waiting.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;

    #[test]
    fn each_limit_strikes_in_its_turn() {
        let mut slab = Slab::default();
        let (first, second) = (slab.insert(()), slab.insert(()));
        let mut deadlines = Deadlines::new(&Timeouts { connect_ns: 10, first_byte_ns: 20, total_ns: 30 });
        deadlines.watch(first, 100, false);
        deadlines.watch(second, 101, true);
        let all = |_, _, _| true;
        assert_eq!(deadlines.next_ns(all), Some(110));
        assert_eq!(deadlines.take(109, all), None);
        assert_eq!(deadlines.take(125, all), Some((first, Limit::Connect)));
        assert_eq!(deadlines.take(125, all), Some((first, Limit::FirstByte)));
        assert_eq!(deadlines.take(125, all), Some((second, Limit::FirstByte)));
        assert_eq!(deadlines.take(125, all), None);
        assert_eq!(deadlines.next_ns(all), Some(130));
        let only_second = |token, _, started_ns| token == second && started_ns == 101;
        assert_eq!(deadlines.next_ns(only_second), Some(131));
        assert_eq!(deadlines.take(131, only_second), Some((second, Limit::Total)));
        assert_eq!(deadlines.next_ns(all), None);
    }
}

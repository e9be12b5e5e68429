//! Which connection's pause is over next.
//!
//! Pauses of one kind all have the same length, and are begun in the order of time, so that one queue
//! for each kind is already sorted.

use std::collections::VecDeque;

use super::slab::Token;

/// Why a client does nothing for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pause {
    /// Half of a request is sent.
    Sending,
    /// A request is sent, and its reply is not looked for yet.
    Reading,
    /// The handshake is over, and nothing is said yet.
    Connecting,
    /// A reply was read, and the next request is not due yet.
    Gap,
    /// A reply was read before all of its request was sent, and the rest is still being sent.
    Rest,
    /// All of a request but its end is sent, and whoever has it is to be killed.
    Holding,
}

/// How many kinds of pause there are.
const KINDS: usize = Pause::Holding as usize + 1;

/// The pauses of all connections.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    queues: [VecDeque<(u64, Token)>; KINDS],
}

impl Pauses {
    /// Begins a pause.
    pub(super) fn begin(&mut self, pause: Pause, until_ns: u64, token: Token) {
        self.queues[pause as usize].push_back((until_ns, token));
    }

    /// When the next pause is over.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.queues.iter().filter_map(|queue| queue.front().map(|&(until_ns, _)| until_ns)).min()
    }

    /// Hands out a connection whose pause is over by `now_ns`. It may be gone by now.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<Token> {
        let is_over = |queue: &&mut VecDeque<(u64, Token)>| {
            queue.front().is_some_and(|&(until_ns, _)| until_ns <= now_ns)
        };
        self.queues.iter_mut().find(is_over)?.pop_front().map(|(_, token)| token)
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;

    #[test]
    fn each_kind_of_pause_ends_in_its_turn() {
        let mut slab = Slab::default();
        let [first, second, third] = [slab.insert(()), slab.insert(()), slab.insert(())];
        let mut pauses = Pauses::default();
        assert_eq!((pauses.next_ns(), pauses.take(u64::MAX)), (None, None));
        pauses.begin(Pause::Gap, 100, first);
        pauses.begin(Pause::Gap, 110, second);
        pauses.begin(Pause::Sending, 105, third);
        assert_eq!((pauses.next_ns(), pauses.take(99)), (Some(100), None));
        assert_eq!(pauses.take(107), Some(third));
        assert_eq!(pauses.take(107), Some(first));
        assert_eq!((pauses.take(107), pauses.next_ns()), (None, Some(110)));
        assert_eq!(pauses.take(110), Some(second));
        assert_eq!(pauses.next_ns(), None);
        for kind in [Pause::Sending, Pause::Reading, Pause::Connecting, Pause::Gap, Pause::Rest] {
            pauses.begin(kind, 120, first);
            assert_eq!(pauses.take(120), Some(first), "{kind:?}");
        }
    }
}

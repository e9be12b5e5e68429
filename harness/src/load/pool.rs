//! Idle connections that attempts may use again.

use super::slab::Token;

/// Idle connections, of which the one that was used last is used next, as most libraries do: what a lull leaves
/// over grows old and is not used again.
#[derive(Debug)]
pub(super) struct IdlePool {
    /// Each with the instant from which on it is not to be used again.
    idle: Vec<(Token, u64)>,
    most: usize,
}

/// A connection that was taken from the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It may be used.
    Usable(Token),
    /// It has been idle for too long.
    Expired(Token),
}

impl IdlePool {
    pub(super) fn new(most: u32) -> Self {
        let most = most as usize;
        Self { idle: Vec::with_capacity(most), most }
    }

    /// Keeps a connection; false if there is no room for it.
    pub(super) fn put(&mut self, token: Token, until_ns: u64) -> bool {
        let has_room = self.idle.len() < self.most;
        if has_room {
            self.idle.push((token, until_ns));
        }
        has_room
    }

    /// Hands out the connection that was used last.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<Taken> {
        let (token, until_ns) = self.idle.pop()?;
        Some(if now_ns < until_ns { Taken::Usable(token) } else { Taken::Expired(token) })
    }

    /// Forgets a connection that is over.
    pub(super) fn forget(&mut self, token: Token) {
        if let Some(at) = self.idle.iter().rposition(|(idle, _)| *idle == token) {
            self.idle.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::slab::Slab;
    use super::*;

    #[test]
    fn who_was_used_last_is_used_next_unless_it_is_too_old() {
        let mut slab = Slab::default();
        let [first, second, third] = [slab.insert(()), slab.insert(()), slab.insert(())];
        let mut pool = IdlePool::new(2);
        assert!(pool.put(first, 100) && pool.put(second, 50) && !pool.put(third, 100));
        assert_eq!(pool.take(50), Some(Taken::Expired(second)));
        assert!(pool.put(third, u64::MAX));
        assert_eq!(pool.take(50), Some(Taken::Usable(third)));
        assert!(pool.put(third, 60));
        pool.forget(first);
        pool.forget(first);
        assert_eq!((pool.take(0), pool.take(0)), (Some(Taken::Usable(third)), None));
    }
}

//! Which pauses hold which processes: one that several hold goes on when the last of them is over.

use std::collections::{BTreeMap, BTreeSet};

/// The processes that pauses hold.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// By the fault that has stopped them.
    held: BTreeMap<usize, BTreeSet<u32>>,
}

impl Pauses {
    /// A fault has stopped these processes.
    pub(super) fn hold(&mut self, fault: usize, pids: &[u32]) {
        self.held.entry(fault).or_default().extend(pids);
    }

    /// A fault stops nobody any more: gives the processes that are to go on, which no other holds.
    pub(super) fn release(&mut self, fault: usize) -> Vec<u32> {
        let released = self.held.remove(&fault).unwrap_or_default();
        let is_free = |pid: &u32| !self.held.values().any(|held| held.contains(pid));
        released.into_iter().filter(is_free).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_held_twice_goes_on_with_the_last_and_who_is_held_once_at_once() {
        let mut pauses = Pauses::default();
        pauses.hold(0, &[5, 6]);
        pauses.hold(1, &[6, 7]);
        assert_eq!(pauses.release(0), [5]);
        assert_eq!(pauses.release(0), [0; 0]);
        assert_eq!(pauses.release(1), [6, 7]);
    }
}

//! A value that is given rather than drawn, with the plainer ones that may be tried instead of it: a strategy of
//! proptest, so that what shrinks is combined, mapped and undone by its machinery.

use std::fmt;

use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// A given value and plainer ones, the plainest first.
#[derive(Debug, Clone)]
pub(super) struct Given<T> {
    value: T,
    plainer: Vec<T>,
}

impl<T: Clone + PartialEq> Given<T> {
    /// This value, and those of the others that are plainer: whatever stands before it, each once.
    pub(super) fn new(value: T, plainest_first: impl IntoIterator<Item = T>) -> Self {
        let mut plainer: Vec<T> = Vec::new();
        for other in plainest_first.into_iter().take_while(|other| *other != value) {
            if !plainer.contains(&other) {
                plainer.push(other);
            }
        }
        Self { value, plainer }
    }
}

impl<T: Clone + fmt::Debug> Strategy for Given<T> {
    type Tree = GivenTree<T>;
    type Value = T;

    fn new_tree(&self, _: &mut TestRunner) -> NewTree<Self> {
        let at = self.plainer.len();
        Ok(GivenTree { given: self.clone(), low: 0, at, fails: at })
    }
}

/// How far the plainer ones have been tried.
#[derive(Debug, Clone)]
pub(super) struct GivenTree<T> {
    given: Given<T>,
    /// All before this one do not fail.
    low: usize,
    /// The one that is tried.
    at: usize,
    /// The plainest of which it is known that it fails.
    fails: usize,
}

impl<T: Clone + fmt::Debug> ValueTree for GivenTree<T> {
    type Value = T;

    fn current(&self) -> T {
        self.given.plainer.get(self.at).unwrap_or(&self.given.value).clone()
    }

    fn simplify(&mut self) -> bool {
        self.fails = self.at;
        if self.low >= self.fails {
            return false;
        }
        self.at = self.low;
        true
    }

    fn complicate(&mut self) -> bool {
        if self.at >= self.fails {
            return false;
        }
        self.low = self.at + 1;
        self.at = self.low;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smallest(value: u32, fails: impl Fn(u32) -> bool) -> u32 {
        let given = Given::new(value, [0, 10, 20, 30, 40]);
        let mut tree = given.new_tree(&mut TestRunner::deterministic()).expect("a tree");
        assert_eq!(tree.current(), value);
        let mut found = value;
        let mut goes_on = tree.simplify();
        while goes_on {
            goes_on = if fails(tree.current()) {
                found = tree.current();
                tree.simplify()
            } else {
                tree.complicate()
            };
        }
        assert_eq!(tree.current(), found, "what is undone is where it was");
        found
    }

    #[test]
    fn the_plainest_that_fails_is_found_and_nothing_beyond_the_value_itself() {
        assert_eq!(smallest(37, |_| true), 0);
        assert_eq!(smallest(37, |value| value >= 15), 20);
        assert_eq!(smallest(37, |value| value == 37), 37);
        assert_eq!(smallest(30, |value| value >= 5), 10);
        assert_eq!(smallest(0, |_| true), 0);
    }
}

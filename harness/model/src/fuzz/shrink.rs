//! Makes a case that fails plainer: a state machine that says what to try next, and is told whether it fails.

use std::collections::BTreeMap;
use std::fmt;

use proptest::strategy::{Strategy as _, ValueTree};
use proptest::test_runner::TestRunner;

use super::ability::Abilities;
use super::case::Case;
use super::file::Terms;
use super::plainer::plainer;

/// What has become dispensable once something else has gone is tried again, as often as this.
const PASSES_MAX: u32 = 4;

/// How far a case has been made plainer.
pub struct Shrinking {
    abilities: Abilities,
    terms: Terms,
    tree: Box<dyn ValueTree<Value = Case>>,
    best: Case,
    /// What is tried now.
    pending: Option<Case>,
    /// Whether those that were tried fail, by what their file says.
    known: BTreeMap<String, bool>,
    improved: bool,
    passes: u32,
    steps: u32,
}

impl Shrinking {
    /// Of a case that is known to fail.
    #[must_use]
    pub fn new(case: &Case, abilities: &Abilities, terms: Terms) -> Self {
        let known = BTreeMap::from([(case.body(terms), true)]);
        let mut shrinking = Self {
            tree: tree(case, abilities),
            abilities: abilities.clone(),
            terms,
            best: case.clone(),
            pending: None,
            known,
            improved: false,
            passes: 1,
            steps: 0,
        };
        shrinking.go_on(true);
        shrinking
    }

    /// The case that is to be tried next; `None`: nothing plainer fails.
    #[must_use]
    pub fn pending(&self) -> Option<&Case> {
        self.pending.as_ref()
    }

    /// The plainest that is known to fail.
    #[must_use]
    pub fn best(&self) -> &Case {
        &self.best
    }

    /// How many cases were tried.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Takes in whether the pending case fails.
    pub fn note(&mut self, fails: bool) {
        let Some(case) = self.pending.take() else { return };
        self.steps += 1;
        self.known.insert(case.body(self.terms), fails);
        if fails {
            self.improved = true;
            self.best = case;
        }
        self.go_on(fails);
    }

    /// Moves to the next case of which it is not known whether it fails.
    fn go_on(&mut self, fails: bool) {
        let mut fails = fails;
        loop {
            let has_moved = if fails { self.tree.simplify() } else { self.tree.complicate() };
            if !has_moved {
                if !self.improved || self.passes >= PASSES_MAX {
                    return;
                }
                self.passes += 1;
                self.improved = false;
                self.tree = tree(&self.best, &self.abilities);
                fails = true;
                continue;
            }
            let case = self.tree.current();
            match self.known.get(&case.body(self.terms)) {
                Some(known) => fails = *known,
                // Without a fault there is nothing to blame on one.
                None if case.strikes.is_empty() => fails = false,
                None => {
                    self.pending = Some(case);
                    return;
                }
            }
        }
    }
}

fn tree(case: &Case, abilities: &Abilities) -> Box<dyn ValueTree<Value = Case>> {
    // What is given draws nothing, so that there is nothing by which it could fail.
    match plainer(case, abilities).new_tree(&mut TestRunner::deterministic()) {
        Ok(tree) => tree,
        Err(_) => Box::new(Nothing(case.clone())),
    }
}

/// A tree of a case that has nothing plainer.
struct Nothing(Case);

impl ValueTree for Nothing {
    type Value = Case;

    fn current(&self) -> Case {
        self.0.clone()
    }

    fn simplify(&mut self) -> bool {
        false
    }

    fn complicate(&mut self) -> bool {
        false
    }
}

impl fmt::Debug for Shrinking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shrinking")
            .field("best", &self.best)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

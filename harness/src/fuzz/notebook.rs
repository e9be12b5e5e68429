//! What has come of the cases so far, and which failures are known.

use std::collections::BTreeMap;
use std::path::Path;

use holdline_model::fuzz::{Course, Failure, Invariant, InvariantCount, Judgement, Unknown};

/// So many causes are told apart for each invariant: what fails in more ways than that fails always.
const CAUSES_MAX: usize = 3;

/// What came of an invariant so far.
#[derive(Debug, Default)]
struct Count {
    held: u64,
    violated: u64,
    not_known: BTreeMap<Unknown, u64>,
}

/// What has come of the cases so far.
#[derive(Debug)]
pub(super) struct Notebook {
    counts: BTreeMap<Invariant, Count>,
    pub(super) failures: Vec<Failure>,
    pub(super) not_reproduced: u64,
    pub(super) unconfirmed: u64,
    pub(super) cases: u64,
    pub(super) aimed: u64,
    pub(super) traced: u64,
    pub(super) inconclusive: u64,
    pub(super) faults: u64,
}

impl Notebook {
    /// Of nothing yet, about these invariants.
    pub(super) fn new(invariants: &[Invariant]) -> Self {
        Self {
            counts: invariants.iter().map(|invariant| (*invariant, Count::default())).collect(),
            failures: Vec::new(),
            not_reproduced: 0,
            unconfirmed: 0,
            cases: 0,
            aimed: 0,
            traced: 0,
            inconclusive: 0,
            faults: 0,
        }
    }

    /// Whether no case has told anything, and none has told nothing.
    pub(super) const fn is_blank(&self) -> bool {
        self.cases == 0 && self.inconclusive == 0 && self.failures.is_empty()
    }

    /// Takes in what came of a case.
    pub(super) fn note(&mut self, judged: &[(Invariant, Judgement)]) {
        for (invariant, judgement) in judged {
            let count = self.counts.entry(*invariant).or_default();
            match judgement {
                Judgement::Holds => count.held += 1,
                Judgement::Violated(_) => count.violated += 1,
                Judgement::NotKnown(why) => *count.not_known.entry(*why).or_default() += 1,
            }
        }
    }

    /// Whether a failure in this order of moments is known already, which is then seen once more; or whether there
    /// are enough of its kind.
    pub(super) fn is_known(&mut self, invariant: Invariant, course: &Course) -> bool {
        let same = |failure: &&mut Failure| {
            failure.invariant == invariant && (failure.order.is_in(course) || failure.faults == 0)
        };
        if let Some(known) = self.failures.iter_mut().find(same) {
            known.seen += 1;
            return true;
        }
        self.failures.iter().filter(|failure| failure.invariant == invariant).count() >= CAUSES_MAX
    }

    /// Enters a failure, unless its cause is known; whether it is new.
    pub(super) fn enter(&mut self, failure: Failure) -> bool {
        let same = |known: &&mut Failure| {
            known.invariant == failure.invariant
                && (known.order == failure.order || known.scenario == failure.scenario)
        };
        if let Some(known) = self.failures.iter_mut().find(same) {
            known.seen += 1;
            return false;
        }
        self.failures.push(failure);
        true
    }

    /// Whether a failure is kept in this file.
    pub(super) fn keeps(&self, path: &Path) -> bool {
        self.failures.iter().any(|failure| Path::new(&failure.scenario) == path)
    }

    /// What came of each invariant.
    pub(super) fn invariants(&self) -> Vec<InvariantCount> {
        let of = |(invariant, count): (&Invariant, &Count)| {
            let commonest = count.not_known.iter().max_by_key(|(_, count)| **count);
            InvariantCount {
                invariant: *invariant,
                held: count.held,
                violated: count.violated,
                not_known: count.not_known.values().sum(),
                why: commonest.map(|(why, _)| why.in_words().to_owned()),
            }
        };
        self.counts.iter().map(of).collect()
    }
}

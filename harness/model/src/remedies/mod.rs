//! What would have prevented the losses of a trial, computed from its own numbers.
//!
//! A remedy is for losses that there were, and for collateral ones alone: what carried the fault, or was in the
//! hands of a process that crashed, nobody could have saved. Where nothing here would have helped, that is said,
//! too. Whoever was asked to stop for good is not to listen any more: who is refused then is not lost to anything
//! that could be mended.

mod apply;
mod drain;
mod listening;
mod queue;
mod retry;

pub use apply::{Applied, Obstacle, Refused, Trial, apply};

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use crate::explain::Story;
use crate::ledger::Attempt;
use crate::record::ClientRecord;
use crate::result::{Advice, Change, Remedy};
use crate::scenario::{Action, Scenario};
use crate::words::{Blame, Fate, Verb};

/// What remedies follow from.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What was to happen.
    pub scenario: &'a Scenario,
    /// What happened.
    pub story: Story<'a>,
    /// The backlog that the load would have needed, where a queue was full.
    pub advised: Option<&'a Advice>,
}

/// What would have helped, and what not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remedies {
    /// Changes, each of which would have prevented some of the losses.
    pub list: Vec<Remedy>,
    /// Collateral losses that none of them would have prevented, by fate.
    pub without: BTreeMap<Fate, u64>,
}

/// What would have prevented a trial's collateral losses.
#[must_use]
pub fn remedies(evidence: &Evidence<'_>) -> Remedies {
    let losses = evidence.losses();
    let finds: [FindFn; 6] =
        [listening::hold, listening::start_first, queue::backlog, queue::migrate, drain::drain, retry::retry];
    let found: Vec<Find> = finds.iter().flat_map(|find| find(evidence, &losses)).collect();
    let covered: BTreeSet<u32> = found.iter().flat_map(|find| find.prevents.keys().copied()).collect();
    let count = |fates: &mut dyn Iterator<Item = Fate>| {
        fates.fold(BTreeMap::new(), |mut counts: BTreeMap<Fate, u64>, fate| {
            *counts.entry(fate).or_default() += 1;
            counts
        })
    };
    let others = losses.iter().filter(|loss| !covered.contains(&loss.record.attempt));
    Remedies {
        without: count(&mut others.map(|loss| loss.attempt.fate)),
        list: found
            .into_iter()
            .map(|find| Remedy::new(find.change, count(&mut find.prevents.into_values())))
            .collect(),
    }
}

/// Looks for one kind of change.
type FindFn = fn(&Evidence<'_>, &[Loss<'_>]) -> Vec<Find>;

/// A change, and the attempts that it would have saved, with their fates.
struct Find {
    change: Change,
    prevents: BTreeMap<u32, Fate>,
}

impl Find {
    /// `None`: it would have saved nobody.
    fn of<'a>(change: Change, saved: impl IntoIterator<Item = &'a Loss<'a>>) -> Option<Self> {
        let prevents: BTreeMap<u32, Fate> =
            saved.into_iter().map(|loss| (loss.record.attempt, loss.attempt.fate)).collect();
        (!prevents.is_empty()).then_some(Self { change, prevents })
    }
}

/// An attempt that was lost although it need not have been.
#[derive(Clone, Copy)]
struct Loss<'a> {
    attempt: &'a Attempt,
    record: &'a ClientRecord,
}

impl Loss<'_> {
    /// When it was clear.
    fn ended_ns(&self) -> u64 {
        self.record.finished.map_or(self.record.intended_ns, NonZeroU64::get)
    }

    fn is(&self, fate: Fate) -> bool {
        self.attempt.fate == fate
    }
}

impl<'a> Evidence<'a> {
    /// Collateral losses, but for those that were refused by whoever was to stop.
    fn losses(&self) -> Vec<Loss<'a>> {
        let stopped_ns = self.asked(|action| matches!(action, Action::Control { verb: Verb::Stop, .. }));
        let stopped_ns = stopped_ns.map(|(at_ns, _)| at_ns).min();
        let is_wanted = |loss: &Loss<'_>| {
            loss.is(Fate::Refused) && stopped_ns.is_some_and(|stopped_ns| stopped_ns <= loss.ended_ns())
        };
        let lost = self.story.lost(Blame::Collateral, None).into_iter();
        let lost = lost.filter(|(attempt, _)| attempt.is_lost());
        lost.map(|(attempt, record)| Loss { attempt, record }).filter(|loss| !is_wanted(loss)).collect()
    }

    /// Faults that struck and are like this, and when they did.
    fn asked(&self, is_like: impl Fn(&Action) -> bool) -> impl Iterator<Item = (u64, &'a Action)> {
        let faults =
            self.story.facts.faults.iter().filter(|fault| fault.error.is_none() && !fault.hit_nobody);
        let scenario = self.scenario;
        faults
            .filter_map(move |fault| Some((fault.at_ns, &scenario.faults.get(fault.fault)?.action)))
            .filter(move |(_, action)| is_like(action))
    }
}

#[cfg(test)]
mod tests;

//! What the conductor knows of a trial that has ended, and why the trial may show nothing.

use super::{Conductor, ordinal};
use crate::deed::Deed;
use crate::facts::TrialFacts;
use crate::ledger::InjectedDeath;
use crate::reason::{Note, Reason};
use crate::watch::Found;

impl Conductor {
    /// Fills in what it knows of the trial that it has ended. `is_unsent` says of an attempt whether the
    /// load client could not send it.
    #[must_use]
    pub fn into_facts(mut self, is_unsent: impl Fn(u32) -> bool) -> (TrialFacts, Vec<InjectedDeath>) {
        let reason = self.reason(is_unsent);
        let facts = TrialFacts {
            start_ns: self.moments.start_ns,
            faults: self.facts,
            supervisor_exits: self.exits,
            environment: reason,
            notes: self.notes,
            watched: self.watch.into_watched(),
            ..TrialFacts::default()
        };
        (facts, self.deaths)
    }

    /// A trial in which a fault did not strike shows nothing.
    fn reason(&mut self, is_unsent: impl Fn(u32) -> bool) -> Option<Reason> {
        let failed = self.facts.iter().find_map(|fact| {
            let error = fact.error.clone()?;
            let (fault, action) = (ordinal(fact.fault), fact.deed.into());
            Some(Reason::FaultFailed { fault, action, error: error.into() })
        });
        let interrupted = match self.watch.found() {
            Some(Found::Interrupted) => Reason::WatchInterrupted,
            _ => Reason::Interrupted,
        };
        let missed = self.missed();
        let unsent = self.facts.iter().filter_map(|fact| fact.poison).find(|attempt| is_unsent(*attempt));
        let unsent = unsent.map(|attempt| Reason::PoisonNotSent { attempt });
        if self.stop_asked { Some(interrupted) } else { failed.or(missed).or(unsent) }
    }

    /// The first fault that should have struck and did not. One that waited for the supervisor's doing is
    /// noted only: whether starts fail or workers drain is up to the supervisor.
    fn missed(&mut self) -> Option<Reason> {
        let has_struck = |fault: usize| self.facts.iter().any(|fact| fact.fault == fault);
        let mut missed = None;
        for (index, fault) in self.faults.iter().enumerate().filter(|(index, _)| !has_struck(*index)) {
            let (number, action) = (ordinal(index), Deed::from(&fault.action).into());
            let waited = fault.after.filter(|(other, _)| has_struck(*other));
            match waited {
                Some((other, _)) => {
                    let waited_for = ordinal(other);
                    self.notes.push(Note::NeverStruck { fault: number, action, waited_for });
                }
                None => {
                    missed.get_or_insert(Reason::FaultNeverDue { fault: number, action });
                }
            }
        }
        missed
    }
}

//! What the conductor knows of a trial that has ended, and why the trial may show nothing.

use super::{Conductor, ordinal};
use crate::deed::Deed;
use crate::facts::TrialFacts;
use crate::ledger::InjectedDeath;
use crate::reason::{Note, Reason};
use crate::scenario::AtCall;
use crate::watch::Found;
use crate::worded::Worded;

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
        let failed = self.failed();
        let interrupted = match self.watch.found() {
            Some(Found::Interrupted) => Reason::WatchInterrupted,
            _ => Reason::Interrupted,
        };
        let missed = self.missed();
        let unsent = self.facts.iter().filter_map(|fact| fact.poison).find(|attempt| is_unsent(*attempt));
        let unsent = unsent.map(|attempt| Reason::PoisonNotSent { attempt });
        if self.stop_asked { Some(interrupted) } else { failed.or(missed).or(unsent) }
    }

    /// The first fault that could not be injected. What was asked of a supervisor that was killed before it had done it is noted
    /// only: that it did not is what the kill did.
    fn failed(&mut self) -> Option<Reason> {
        let mut failed = None;
        for fact in self.facts.iter().filter(|fact| fact.error.is_some()) {
            let Some(error) = fact.error.clone().map(Worded::Value) else { continue };
            let (fault, action) = (ordinal(fact.fault), fact.deed.into());
            let asked = fact.at_ns..=fact.done_ns.unwrap_or(fact.at_ns);
            let is_asked = matches!(fact.deed, Deed::Ask { .. });
            let killed = self.killed.iter().find(|(_, at_ns)| is_asked && asked.contains(at_ns));
            match killed {
                Some((killed, _)) => {
                    self.notes.push(Note::AskFailed { fault, action, killed: ordinal(*killed), error });
                }
                None => {
                    failed.get_or_insert(Reason::FaultFailed { fault, action, error });
                }
            }
        }
        failed
    }

    /// The first fault that should have struck and did not. One that waited for the supervisor's doing is
    /// noted only: whether starts fail or workers drain is up to the supervisor.
    fn missed(&mut self) -> Option<Reason> {
        let has_struck = |fault: usize| self.facts.iter().any(|fact| fact.fault == fault);
        let mut missed = None;
        for (index, fault) in self.faults.iter().enumerate().filter(|(index, _)| !has_struck(*index)) {
            let (number, action) = (ordinal(index), Deed::from(&fault.action).into());
            if let Some(AtCall { meeting, optional, .. }) = fault.at_call {
                let (fault, call) = (number, meeting.to_string());
                match optional {
                    true => self.notes.push(Note::CallNotMade { fault, action, call }),
                    false => {
                        missed.get_or_insert(Reason::CallNotMade { fault, action, call });
                    }
                }
                continue;
            }
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

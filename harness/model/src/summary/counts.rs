//! How many attempts had which fate, and why they were lost.

use std::collections::BTreeMap;

use crate::ledger::Reconciled;
use crate::words::{Blame, Fate, Retry};

/// How many attempts had which fate, and who is to blame for those that were lost.
pub(super) struct Counts {
    pub(super) fates: BTreeMap<Fate, u64>,
    pub(super) blame: BTreeMap<Blame, u64>,
    pub(super) collateral: BTreeMap<Fate, u64>,
    pub(super) safe_to_retry: u64,
    pub(super) ambiguous: u64,
}

impl Counts {
    pub(super) fn of(reconciled: &Reconciled) -> Self {
        let mut counts = Self {
            fates: reconciled.fates(),
            blame: Blame::ALL.iter().map(|blame| (*blame, 0)).collect(),
            collateral: BTreeMap::new(),
            safe_to_retry: 0,
            ambiguous: 0,
        };
        for attempt in reconciled.attempts.iter().filter(|attempt| attempt.is_lost()) {
            if let Some(blame) = attempt.blame {
                *counts.blame.entry(blame).or_default() += 1;
            }
            if attempt.blame == Some(Blame::Collateral) {
                *counts.collateral.entry(attempt.fate).or_default() += 1;
            }
            match attempt.retry {
                Some(Retry::Safe) => counts.safe_to_retry += 1,
                Some(Retry::Ambiguous) | None => counts.ambiguous += 1,
            }
        }
        counts
    }

    pub(super) fn served(&self) -> u64 {
        self.fates.get(&Fate::Served).copied().unwrap_or(0)
    }
}

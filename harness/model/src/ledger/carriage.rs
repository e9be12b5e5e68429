//! Attempts of a pool: which connection carried which of them, and in what order.
//!
//! A connection is named by the attempt that opened it, whose address it has. What is asked on it names the attempt
//! that asks.

use std::collections::BTreeMap;

use super::{Taken, TrialRecords};
use crate::record::ClientRecord;
use crate::series::Series;

/// What was sent over each connection of a pool.
#[derive(Debug, Default)]
pub(super) struct Carriage<'a> {
    /// By the attempt that opened the connection.
    sent: BTreeMap<u32, Vec<Sent<'a>>>,
}

/// An attempt, as it was sent over one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) record: &'a ClientRecord,
    /// Whether it was sent once more, over another connection.
    is_given_up: bool,
}

impl<'a> Carriage<'a> {
    /// Attempts begin in the order of their numbers, and one connection carries one at a time.
    pub(super) fn of(client: Series<'a, ClientRecord>) -> Self {
        let mut sent: BTreeMap<u32, Vec<Sent<'a>>> = BTreeMap::new();
        for record in client.iter() {
            let Some(carried) = record.carried else { continue };
            let is_given_up = carried.retried.is_some();
            sent.entry(carried.by).or_default().push(Sent { record, is_given_up });
            if is_given_up {
                sent.entry(record.attempt).or_default().push(Sent { record, is_given_up: false });
            }
        }
        Self { sent }
    }

    /// The attempt that sent the `n`th request over a connection. `None`: nobody, or the connection is of no pool.
    pub(super) fn nth(&self, opener: u32, n: u32) -> Option<Sent<'a>> {
        self.sent.get(&opener)?.get(n as usize).copied()
    }

    /// How many right replies clients got over a connection. `None`: it is of no pool.
    pub(super) fn answered(&self, opener: u32) -> Option<u64> {
        let over = |sent: &&Sent<'_>| !sent.is_given_up;
        let answered = |sent: &Sent<'_>| u64::from(sent.record.requests_answered);
        Some(self.sent.get(&opener)?.iter().filter(over).map(answered).sum())
    }
}

/// Attempts that were sent over the connections of others are with the workers that had accepted those.
/// Whoever opened one was accepted, so that what is read here is not written.
pub(super) fn with_carriers(records: &TrialRecords<'_>, mut taken: Vec<Option<Taken>>) -> Vec<Option<Taken>> {
    for record in records.client.iter().filter(|record| record.was_reused() && !record.was_retried()) {
        let by = record.carried.and_then(|carried| taken.get(carried.by as usize).copied().flatten());
        if let Some(slot) = taken.get_mut(record.attempt as usize) {
            *slot = by.map(|by| Taken { accepted: None, ..by });
        }
    }
    taken
}

//! What became of the connections of a pool: which were used again, and what that cost those who did.
//!
//! A client that uses a connection again does not know whether the server is about to close it. Where the two meet,
//! the request is lost, or has to be sent once more; and what is sent once more may be done twice.

use std::collections::BTreeMap;

use crate::ledger::{Reconciled, TrialRecords};
use crate::record::{Afterwards, ClientRecord, Outcome};
use crate::result::PoolResult;
use crate::scenario::Connection;
use crate::shm::RecordKind;
use crate::wire::number_of;

/// Counts what became of a trial's pool; `None` where it has none.
#[must_use]
pub(crate) fn count(
    connection: &Connection,
    records: &TrialRecords<'_>,
    reconciled: &Reconciled,
) -> Option<PoolResult> {
    connection.pool?;
    let mut pool = PoolResult::default();
    for attempt in &reconciled.attempts {
        let Some(record) = records.client.get(attempt.record as usize) else { continue };
        let Some(carried) = record.carried else { continue };
        pool.connections += u64::from(record.opened());
        pool.reused += u64::from(record.was_reused());
        pool.broken += u64::from(record.was_retried() || was_broken(record));
        pool.retried += u64::from(record.was_retried());
        pool.retried_lost += u64::from(record.was_retried() && attempt.is_lost());
        match carried.afterwards {
            Afterwards::Closed => pool.closed_idle += 1,
            Afterwards::Reset => pool.reset_idle += 1,
            Afterwards::Told => pool.told_idle += 1,
            Afterwards::Announced => pool.announced += 1,
            Afterwards::Expired => pool.expired += 1,
            Afterwards::Surplus => pool.surplus += 1,
            Afterwards::Reused | Afterwards::Idle | Afterwards::Ended => {}
        }
    }
    pool.read_twice = read_twice(records);
    Some(pool)
}

/// Whether it was lost with a connection that was used again, as that ended before a byte of the reply.
pub(crate) fn was_broken(record: &ClientRecord) -> bool {
    let is_broken = matches!(record.outcome, Outcome::Closed | Outcome::Reset);
    record.was_reused() && !record.was_retried() && is_broken
}

/// How many of the requests that were sent twice were read twice.
fn read_twice(records: &TrialRecords<'_>) -> Option<u64> {
    let workers = records.workers?;
    let retried = records.client.iter().filter(|record| record.was_retried());
    let mut reads: BTreeMap<u64, u32> = retried.map(|record| (number_of(record.attempt, 0), 0)).collect();
    for record in workers.iter().flat_map(|log| log.records.iter()) {
        if record.kind == RecordKind::Read
            && let Some(count) = reads.get_mut(&record.detail)
        {
            *count += 1;
        }
    }
    Some(reads.values().filter(|count| **count > 1).count() as u64)
}

#[cfg(test)]
mod tests;

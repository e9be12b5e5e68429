//! One worker's log against what its clients sent and got. A worker may have several connections
//! open at once; each record names its own by a serial number.

use std::collections::BTreeMap;
use std::ops::Add;

use super::carriage::Carriage;
use super::{Attempt, TrialRecords, WorkerLog};
use crate::record::{ClientRecord, Outcome};
use crate::shm::{RecordKind, WorkerRecord};
use crate::wire::number_of;

/// What does not fit, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Misfits {
    /// Requests that were read otherwise than they were sent.
    pub(super) misread: u64,
    /// Right replies that a client got and the worker did not record.
    pub(super) unanswered: u64,
    /// Records of connections that were not open.
    pub(super) astray: u64,
}

impl Add for Misfits {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            misread: self.misread + other.misread,
            unanswered: self.unanswered + other.unanswered,
            astray: self.astray + other.astray,
        }
    }
}

/// A connection that the worker has accepted and not closed.
#[derive(Debug, Clone, Copy)]
struct Open {
    attempt: u32,
    reads: u32,
    replies: u32,
}

/// Counts what does not fit in one worker's log.
pub(super) fn check(
    records: &TrialRecords<'_>,
    carriage: &Carriage<'_>,
    log: &WorkerLog,
    attempts: &[Attempt],
) -> Misfits {
    let client = |attempt: u32| -> Option<&ClientRecord> {
        records.client.get(attempts.get(attempt as usize)?.record as usize)
    };
    let missing = |open: Open| {
        let own = || client(open.attempt).map_or(0, |record| u64::from(record.requests_answered));
        carriage.answered(open.attempt).unwrap_or_else(own).saturating_sub(open.replies.into())
    };
    let mut misfits = Misfits::default();
    let mut all_open: BTreeMap<u32, Open> = BTreeMap::new();
    for record in log.records.iter() {
        match record.kind {
            RecordKind::Accepted => {
                // A serial number that comes twice ends the connection that had it.
                misfits.unanswered += all_open.remove(&record.connection).map_or(0, missing);
                if let Some(attempt) = attempt_of(&record) {
                    all_open.insert(record.connection, Open { attempt, reads: 0, replies: 0 });
                }
            }
            RecordKind::Read | RecordKind::Replied | RecordKind::Closed => {
                let Some(open) = all_open.get_mut(&record.connection) else {
                    misfits.astray += 1;
                    continue;
                };
                match record.kind {
                    RecordKind::Read => {
                        let is_right = client(open.attempt).is_none_or(|opener| match opener.carried {
                            Some(_) => carriage
                                .nth(open.attempt, open.reads)
                                .is_some_and(|sent| was_sent(sent.record, 0, &record)),
                            None => was_sent(opener, open.reads, &record),
                        });
                        misfits.misread += u64::from(!is_right);
                        open.reads += 1;
                    }
                    RecordKind::Replied => open.replies += 1,
                    _ => {
                        misfits.unanswered += missing(*open);
                        all_open.remove(&record.connection);
                    }
                }
            }
            _ => {}
        }
    }
    // A worker may die between handing a reply to the kernel and recording that it did. It answers
    // one request at a time, so that this is one reply.
    let at_its_end: u64 = all_open.into_values().map(missing).sum();
    misfits.unanswered += at_its_end.saturating_sub(1);
    misfits
}

fn attempt_of(record: &WorkerRecord) -> Option<u32> {
    record.peer.and_then(|peer| peer.attempt())
}

/// Whether what a worker read is what the attempt sent as its request of this index. Poison is the
/// first request of its attempt.
fn was_sent(sent: &ClientRecord, index: u32, read: &WorkerRecord) -> bool {
    if matches!(sent.outcome, Outcome::Silent(_)) {
        return false;
    }
    if sent.poison && index == 0 {
        return read.detail == u64::MAX;
    }
    read.detail == number_of(sent.attempt, index)
}

//! Applications beneath servers: they are not told of connections, only of requests.
//!
//! So which worker took an attempt on is known from the first request that it read, and that is all that
//! can be held against what clients sent and got.

use std::collections::{BTreeMap, BTreeSet};

use super::{Books, Line, Taken, TrialRecords};
use crate::record::ClientRecord;
use crate::shm::{RecordKind, WorkerRecord};
use crate::wire::{number_of, sender_of};

/// For each attempt, the worker that read its first request. Nothing where workers keep no ledger.
pub(super) fn index(records: &TrialRecords<'_>, books: &mut Books) -> Vec<Option<Taken>> {
    let mut taken: Vec<Option<Taken>> = vec![None; records.attempts as usize];
    let are_pooled = records.are_pooled();
    let mut strangers = 0;
    let mut nameless = Vec::new();
    for (worker, record) in reads(records) {
        if record.peer.is_none() && is_poison(&record) {
            nameless.push((record.at_ns, worker));
            continue;
        }
        match attempt_of(&record, records.attempts, are_pooled)
            .and_then(|attempt| taken.get_mut(attempt as usize))
        {
            Some(slot @ None) => *slot = Some(Taken { accepted: None, worker }),
            Some(Some(_)) => {}
            None => strangers += 1,
        }
    }
    nameless.sort_unstable();
    for (at_ns, worker) in nameless {
        match poison_under_way(records, &taken, at_ns) {
            Some(attempt) => taken[attempt as usize] = Some(Taken { accepted: None, worker }),
            None => strangers += 1,
        }
    }
    if records.workers.is_some() {
        books.expect(Line::StrangeReads, 0, strangers);
    }
    taken
}

/// The attempt whose poison was read at an instant, where no address tells: the oldest that was under way,
/// of those that carried some and that nobody is known to have read.
fn poison_under_way(records: &TrialRecords<'_>, taken: &[Option<Taken>], at_ns: u64) -> Option<u32> {
    let is_under_way = |record: &&ClientRecord| {
        record.started.is_some_and(|started| started.get() <= at_ns)
            && record.finished.is_none_or(|finished| at_ns <= finished.get())
    };
    let is_unread = |record: &&ClientRecord| matches!(taken.get(record.attempt as usize), Some(None));
    let poisons = records.client.iter().filter(|record| record.poison);
    poisons
        .filter(is_under_way)
        .filter(is_unread)
        .min_by_key(|record| record.started)
        .map(|record| record.attempt)
}

/// How many requests were read otherwise than they were sent, or more often.
pub(super) fn misread(records: &TrialRecords<'_>, client: impl Fn(u32) -> Option<ClientRecord>) -> u64 {
    let mut unread: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    let mut read_again: BTreeSet<u32> = BTreeSet::new();
    let (are_pooled, mut misread) = (records.are_pooled(), 0);
    for (_, record) in reads(records) {
        let Some(attempt) = attempt_of(&record, records.attempts, are_pooled) else { continue };
        let Some(sent) = client(attempt) else { continue };
        let numbers = unread.entry(attempt).or_insert_with(|| numbers_of(&sent));
        // What was sent twice may be read twice.
        let may_again = sent.was_retried() && record.detail == number_of(attempt, 0);
        let is_right = numbers.remove(&record.detail) || may_again && read_again.insert(attempt);
        misread += u64::from(!is_right);
    }
    misread
}

/// What an attempt can have asked for: what was answered, and what came next. Poison comes first.
fn numbers_of(sent: &ClientRecord) -> BTreeSet<u64> {
    if sent.poison {
        return BTreeSet::from([u64::MAX]);
    }
    let under_way = sent.requests_pipelined.saturating_sub(1).max(sent.requests_answered);
    (0..=u32::from(under_way)).map(|request| number_of(sent.attempt, request)).collect()
}

/// Whose request it was: as the client's address tells, or the number, where the server does not say
/// who the client is, or clients use the connections of others. Of poison only the address does.
fn attempt_of(record: &WorkerRecord, attempts: u32, are_pooled: bool) -> Option<u32> {
    match record.peer {
        Some(peer) if !are_pooled || is_poison(record) => peer.attempt(),
        _ => sender_of(record.detail, attempts),
    }
}

const fn is_poison(record: &WorkerRecord) -> bool {
    record.detail == u64::MAX
}

fn reads<'a>(records: &TrialRecords<'a>) -> impl Iterator<Item = (u32, WorkerRecord)> {
    records.workers.unwrap_or_default().iter().zip(0_u32..).flat_map(|(log, worker)| {
        log.records
            .iter()
            .filter(|record| record.kind == RecordKind::Read)
            .map(move |record| (worker, record))
    })
}

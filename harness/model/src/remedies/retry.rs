//! What clients could have sent again without harm, and would have been served.

use std::num::NonZeroU64;

use super::{Evidence, Find, Loss};
use crate::result::Change;
use crate::watch::Watched;
use crate::words::{Fate, Retry};

pub(super) fn retry(evidence: &Evidence<'_>, losses: &[Loss<'_>]) -> Vec<Find> {
    let served_ns = served_ns(evidence);
    // From a loss to the next that was served.
    let waits_ns = |loss: &Loss<'_>| {
        let next = served_ns.partition_point(|at_ns| *at_ns < loss.ended_ns());
        Some(served_ns.get(next)? - loss.ended_ns())
    };
    let is_safe = |loss: &&Loss<'_>| loss.attempt.retry == Some(Retry::Safe) && waits_ns(loss).is_some();
    let saved: Vec<Loss<'_>> = losses.iter().filter(is_safe).copied().collect();
    let for_at_least_ns = saved.iter().filter_map(waits_ns).max().unwrap_or(0);
    Find::of(Change::Retry { for_at_least_ns }, &saved).into_iter().collect()
}

/// When requests set out that were served, in order; also the one with which the watch saw the service back.
fn served_ns(evidence: &Evidence<'_>) -> Vec<u64> {
    let story = &evidence.story;
    let served = story.reconciled.attempts.iter().filter(|attempt| attempt.fate == Fate::Served);
    let started = |record: u32| story.records.client.get(record as usize)?.started.map(NonZeroU64::get);
    let mut all: Vec<u64> = served.filter_map(|attempt| started(attempt.record)).collect();
    all.extend(story.facts.watched.as_ref().and_then(Watched::back_ns));
    all.sort_unstable();
    all
}

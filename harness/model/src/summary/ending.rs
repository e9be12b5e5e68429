//! When faults struck, and how the story ended of each: outages, recoveries, and what only the watch saw.

use crate::facts::TrialFacts;
use crate::ledger::TrialRecords;
use crate::outage;
use crate::recovery::{self, Recovery};
use crate::requests::Request;
use crate::result::Outage;
use crate::watch::Watched;

/// The outages, in CLOCK_MONOTONIC nanoseconds.
pub(super) fn outages(order: &[Request], facts: &TrialFacts) -> Vec<Outage> {
    // One that goes on to the load's end goes on until the watch saw the service back.
    let back_ns = facts.watched.as_ref().and_then(Watched::back_ns);
    outage::outages(order, back_ns.unwrap_or_else(|| facts.story_end_ns()))
}

/// These outages, from the load's start.
pub(super) fn since_start(outages: &[Outage], facts: &TrialFacts) -> Vec<Outage> {
    let since_start = |ns: u64| ns.saturating_sub(facts.start_ns);
    let shifted = |outage: &Outage| Outage {
        start_ns: since_start(outage.start_ns),
        end_ns: since_start(outage.end_ns),
        ..*outage
    };
    outages.iter().map(shifted).collect()
}

/// When faults struck: poison when the worker failed, and where that is not known, when the attempt was connected, before
/// which it cannot have.
pub(super) fn fault_instants(records: &TrialRecords<'_>, facts: &TrialFacts) -> Vec<u64> {
    facts
        .faults
        .iter()
        .filter(|fault| fault.error.is_none())
        .map(|fault| {
            fault.poison.and_then(|attempt| poison_struck_ns(records, attempt)).unwrap_or(fault.at_ns)
        })
        .collect()
}

fn poison_struck_ns(records: &TrialRecords<'_>, attempt: u32) -> Option<u64> {
    let logs = records.workers.unwrap_or_default();
    let struck = logs.iter().find_map(|log| log.crash_of(attempt)).map(|record| record.at_ns);
    // Of a worker that keeps no ledger, or caught the poison, only the client tells: from when it could ask on. Others
    // may hear of the crash before the client that brought it about does.
    let asked = || records.client.iter().find(|record| record.attempt == attempt)?.connected;
    struck.or_else(|| asked().map(std::num::NonZeroU64::get))
}

pub(super) fn recoveries(order: &[Request], facts: &TrialFacts, faults_ns: &[u64]) -> Vec<Recovery> {
    recovery::recoveries(faults_ns, order, facts.watched.as_ref().and_then(Watched::back_ns))
}

/// How long after the last fault the watch saw the service back. Where it was back before and was interrupted
/// anew, or nothing was done to it, that counts from the interruption which the watch saw the end of.
pub(super) fn back_after_ns(outages: &[Outage], facts: &TrialFacts, faults_ns: &[u64]) -> Option<u64> {
    let back_ns = facts.watched.as_ref()?.back_ns()?;
    let last_fault_ns = faults_ns.iter().copied().max();
    let is_later = |outage: &&Outage| last_fault_ns.is_some_and(|fault_ns| outage.start_ns > fault_ns);
    let since_ns = match last_fault_ns {
        Some(fault_ns) if outages.iter().filter(is_later).count() <= 1 => fault_ns,
        _ => outages.last().map_or(facts.end_ns, |outage| outage.start_ns),
    };
    Some(back_ns.saturating_sub(since_ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::Service;
    use crate::watch::Found;

    fn order(services: &[Service]) -> Vec<Request> {
        let request = |(index, service): (u64, &Service)| Request {
            due_ns: index * 10,
            clear_ns: index * 10,
            service: *service,
            is_poison: false,
        };
        (1..).zip(services).map(request).collect()
    }

    #[test]
    fn what_was_back_before_counts_from_the_last_interruption() {
        use Service::{InTime, Lost};
        let watched = Watched { began_ns: 60, ended_ns: 100, found: Found::Back { at_ns: 95 } };
        let facts = TrialFacts { end_ns: 60, watched: Some(watched), ..TrialFacts::default() };
        let back = |services: &[Service], faults_ns: &[u64]| {
            back_after_ns(&outages(&order(services), &facts), &facts, faults_ns)
        };
        assert_eq!(back(&[InTime, Lost, Lost, Lost], &[15]), Some(80));
        assert_eq!(back(&[InTime, InTime, Lost, Lost], &[15]), Some(80), "it served on for a while");
        assert_eq!(back(&[InTime, Lost, InTime, Lost], &[15]), Some(55));
        assert_eq!(back(&[InTime, InTime, Lost, Lost], &[]), Some(65));
        assert_eq!(back(&[InTime, InTime], &[25]), Some(70), "nothing was due after the fault");
    }
}

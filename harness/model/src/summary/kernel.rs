//! What the kernel counted, and which listeners there were.

use crate::facts::TrialFacts;
use crate::ledger::TrialRecords;
use crate::record::{KernelRecord, Listener};
use crate::result::{KernelResult, ListenerResult};

pub(super) fn result(records: &TrialRecords<'_>, facts: &TrialFacts) -> KernelResult {
    let kernel = records.kernel;
    let during = |ns: u64| facts.start_ns <= ns && ns <= facts.end_ns;
    let closed = kernel.listeners.iter().filter(|listener| listener.gone_ns.is_some_and(during)).count();
    KernelResult {
        listen_overflows: kernel.counters.listen_overflows,
        listen_drops: kernel.counters.listen_drops,
        listeners: kernel.listeners.iter().map(|listener| listener_result(listener, facts)).collect(),
        queue_max: kernel.listeners.iter().map(|listener| listener.queue_max).max().unwrap_or(0),
        queue_limit: last_limit(kernel, facts.end_ns),
        listeners_closed: u32::try_from(closed).unwrap_or(u32::MAX),
        counters: facts.counters.clone(),
        interval_ns: kernel.interval_ns,
        syn_retransmits: records.client.iter().map(|record| u64::from(record.syn_retransmits)).sum(),
    }
}

/// The limit of the listener that opened last while the load ran; what opens later was not under load.
fn last_limit(kernel: &KernelRecord, end_ns: u64) -> u32 {
    let last = kernel.listeners.iter().rfind(|listener| listener.opened_ns <= end_ns);
    last.map_or(0, |listener| listener.limit)
}

fn listener_result(listener: &Listener, facts: &TrialFacts) -> ListenerResult {
    let signed = |ns: u64| i64::try_from(ns).unwrap_or(i64::MAX);
    let since_start = |ns: u64| signed(ns) - signed(facts.start_ns);
    ListenerResult {
        inode: listener.inode,
        opened_ns: since_start(listener.opened_ns),
        closed_ns: listener.gone_ns.map(since_start),
        queue_max: listener.queue_max,
        limit: listener.limit,
        drops: listener.drops,
    }
}

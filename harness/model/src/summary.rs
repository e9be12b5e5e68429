//! From reconciled records to a trial's result.

use std::collections::BTreeMap;

use crate::accepts;
use crate::advice;
use crate::expect;
use crate::explain::{self, Story};
use crate::facts::TrialFacts;
use crate::grade::{self, Evidence};
use crate::latency::Latencies;
use crate::ledger::{Reconciled, TrialRecords, WorkerLog, reconcile};
use crate::outage;
use crate::record::{ClientRecord, Listener};
use crate::result::{KernelResult, ListenerResult, Outage, TrialResult, WorkersResult};
use crate::scenario::{Arrivals, Scenario};
use crate::sessions;
use crate::shm::RecordKind;
use crate::timeline;
use crate::versions;
use crate::words::{Blame, Fate, Grade, Retry, Verdict};

/// Into how many parts reports cut a trial's time.
const STRIP_BUCKETS: usize = 100;

/// Which trial a result is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TrialName {
    /// Name of the supervisor.
    pub supervisor: String,
    /// What its version receipt printed.
    pub supervisor_version: String,
    /// Name of the scenario.
    pub scenario: String,
    /// Which repetition, from 0.
    pub repetition: u32,
    /// The trial's folder, relative to the run directory.
    pub folder: String,
}

/// A trial's result, and the histograms behind it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What reports show.
    pub result: TrialResult,
    /// Fates, one for each attempt.
    pub reconciled: Reconciled,
    /// Whole distributions.
    pub latencies: Latencies,
}

/// Reconciles a trial's records and sums them up.
#[must_use]
pub fn summarise(
    name: &TrialName,
    scenario: &Scenario,
    records: &TrialRecords<'_>,
    facts: &TrialFacts,
) -> Summary {
    let mut reconciled = reconcile(records);
    let method = if records.tell_accepts() {
        Some(accepts::STAMPED.to_owned())
    } else {
        accepts::enter(records.client, &mut reconciled, records.kernel)
    };
    let latencies = Latencies::collect(records.client, records.requests, &reconciled);
    let order = outage::in_order(records.client, &reconciled, scenario.load.deadline_ns);
    let faults_ns = fault_instants(records, facts);
    let graded = grade::grade(&Evidence {
        client: records.client,
        reconciled: &reconciled,
        order: &order,
        last_fault_ns: faults_ns.iter().copied().max(),
        send_lag_p99_ns: crate::latency::quantiles(&latencies.send_lag).p99_ns,
        send_lag_max_ns: scenario.load.send_lag_max_ns,
        environment: facts.environment.as_deref(),
    });
    let mut result = empty_result(name, graded.grade, graded.reason);
    fill_counts(&mut result, &reconciled);
    result.latency = latencies.quantiles();
    for quantiles in [&mut result.latency.accept, &mut result.latency.queue_wait] {
        quantiles.method = method.clone().filter(|_| quantiles.count > 0);
    }
    result.sessions = sessions::count(&scenario.load.connection, records.client, &reconciled);
    result.kernel = kernel_result(records, facts);
    result.outages = outage::outages(&order, facts.end_ns)
        .into_iter()
        .map(|outage| Outage {
            start_ns: outage.start_ns.saturating_sub(facts.start_ns),
            end_ns: outage.end_ns.saturating_sub(facts.start_ns),
            ..outage
        })
        .collect();
    result.recovery_ns = recoveries(records, &reconciled, &faults_ns);
    result.workers = workers_result(records, &reconciled, facts);
    result.versions = versions::served(records.client, facts.start_ns);
    result.cost.clone_from(&facts.cost);
    result.supervisor_ended = ended_for_good(facts);
    result.books = reconciled.books.to_string();
    let story = Story { records, reconciled: &reconciled, facts, deadline_ns: scenario.load.deadline_ns };
    result.losses = explain::losses(&story);
    result.timeline = timeline::timeline(records, facts);
    result.strip = outage::strip(&order, records.kernel, facts.start_ns, facts.end_ns, STRIP_BUCKETS);
    result.advice = advice::advice(scenario.listen.backlog, records, &reconciled, facts.start_ns);
    result.throughput_per_second = throughput(scenario, records.client, &result, facts.start_ns);
    result.notes.clone_from(&facts.notes);
    result.violations = expect::check(&scenario.expect, &result);
    result.verdict = grade::verdict(result.grade, &result.violations);
    Summary { result, reconciled, latencies }
}

/// The result of a trial that did not run, with the reason.
#[must_use]
pub fn not_run(name: &TrialName, grade: Grade, reason: String) -> TrialResult {
    let mut result = empty_result(name, grade, Some(reason));
    result.verdict = grade::verdict(grade, &[]);
    "nothing to balance: the trial did not run".clone_into(&mut result.books);
    result
}

fn empty_result(name: &TrialName, grade: Grade, reason: Option<String>) -> TrialResult {
    TrialResult {
        supervisor: name.supervisor.clone(),
        supervisor_version: name.supervisor_version.clone(),
        scenario: name.scenario.clone(),
        repetition: name.repetition,
        grade,
        verdict: Verdict::Inconclusive,
        violations: Vec::new(),
        reason,
        attempts: 0,
        fates: Fate::ALL.iter().map(|fate| (*fate, 0)).collect(),
        blame: Blame::ALL.iter().map(|blame| (*blame, 0)).collect(),
        collateral: BTreeMap::new(),
        safe_to_retry: 0,
        ambiguous: 0,
        latency: Default::default(),
        sessions: None,
        kernel: KernelResult::default(),
        outages: Vec::new(),
        recovery_ns: Vec::new(),
        workers: WorkersResult::default(),
        versions: Vec::new(),
        cost: None,
        supervisor_ended: None,
        books: String::new(),
        losses: Vec::new(),
        timeline: Vec::new(),
        strip: Vec::new(),
        notes: Vec::new(),
        folder: name.folder.clone(),
        elapsed_ns: 0,
        advice: None,
        throughput_per_second: None,
    }
}

fn fill_counts(result: &mut TrialResult, reconciled: &Reconciled) {
    result.attempts = reconciled.attempts.len() as u64;
    result.fates = reconciled.fates();
    for attempt in reconciled.attempts.iter().filter(|attempt| attempt.is_lost()) {
        if let Some(blame) = attempt.blame {
            *result.blame.entry(blame).or_default() += 1;
        }
        if attempt.blame == Some(Blame::Collateral) {
            *result.collateral.entry(attempt.fate).or_default() += 1;
        }
        match attempt.retry {
            Some(Retry::Safe) => result.safe_to_retry += 1,
            _ => result.ambiguous += 1,
        }
    }
}

/// When faults struck. Poison strikes when the worker fails, not when the attempt sets out: else
/// the accept of the poison itself would count as recovery.
fn fault_instants(records: &TrialRecords<'_>, facts: &TrialFacts) -> Vec<u64> {
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
    // A worker that keeps no ledger, or caught the poison, is judged by what the client saw.
    let ended = || records.client.iter().find(|record| record.attempt == attempt)?.finished;
    struck.or_else(|| ended().map(std::num::NonZeroU64::get))
}

/// Recovery is known only where accepts are. Where they were sampled, an accept counts from its
/// earliest instant: else one from just before the fault could pass for recovery.
fn recoveries(records: &TrialRecords<'_>, reconciled: &Reconciled, faults_ns: &[u64]) -> Vec<Option<u64>> {
    let accepts_ns = match (records.tell_accepts(), &records.kernel.accepts) {
        (true, _) => reconciled.attempts.iter().filter_map(|a| Some(a.accepted?.get())).collect(),
        (false, Some(_)) => accepts::earliest(records.client, reconciled, records.kernel),
        (false, None) => return Vec::new(),
    };
    outage::recoveries(faults_ns, accepts_ns)
}

/// Served attempts per second of a closed loop.
fn throughput(
    scenario: &Scenario,
    client: &[ClientRecord],
    result: &TrialResult,
    start_ns: u64,
) -> Option<f64> {
    let Arrivals::Closed { .. } = scenario.load.arrivals else { return None };
    let end_ns = client.iter().filter_map(|record| record.finished).max()?.get();
    let served = result.fates.get(&Fate::Served).copied().unwrap_or(0);
    Some(served as f64 * 1e9 / end_ns.saturating_sub(start_ns).max(1) as f64)
}

fn kernel_result(records: &TrialRecords<'_>, facts: &TrialFacts) -> KernelResult {
    let kernel = records.kernel;
    let during = |ns: u64| facts.start_ns <= ns && ns <= facts.end_ns;
    let closed = kernel.listeners.iter().filter(|listener| listener.gone_ns.is_some_and(during)).count();
    KernelResult {
        listen_overflows: kernel.counters.listen_overflows,
        listen_drops: kernel.counters.listen_drops,
        listeners: kernel.listeners.iter().map(|listener| listener_result(listener, facts)).collect(),
        queue_max: kernel.listeners.iter().map(|listener| listener.queue_max).max().unwrap_or(0),
        queue_limit: kernel.listeners.last().map_or(0, |listener| listener.limit),
        listeners_closed: u32::try_from(closed).unwrap_or(u32::MAX),
        counters: BTreeMap::new(),
        interval_ns: kernel.interval_ns,
        syn_retransmits: records.client.iter().map(|record| u64::from(record.syn_retransmits)).sum(),
    }
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

fn workers_result(records: &TrialRecords<'_>, reconciled: &Reconciled, facts: &TrialFacts) -> WorkersResult {
    let logs = records.workers.unwrap_or_default();
    let bind_failures = logs.iter().flat_map(|log| &log.records).filter(|r| r.kind == RecordKind::BindFailed);
    let mut accepted = vec![0; logs.len()];
    for attempt in &reconciled.attempts {
        if let Some(count) = accepted.get_mut(attempt.worker as usize) {
            *count += 1;
        }
    }
    let during = |ns: u64| facts.start_ns <= ns && ns <= facts.end_ns;
    let started: Vec<&WorkerLog> =
        logs.iter().filter(|log| log.first(RecordKind::Boot).is_some_and(during)).collect();
    WorkersResult {
        starts: u32::try_from(started.len()).unwrap_or(u32::MAX),
        failed_starts: u32::try_from(started.iter().filter(|log| failed_to_boot(log, facts.end_ns)).count())
            .unwrap_or(u32::MAX),
        generations: u32::try_from(logs.len()).unwrap_or(u32::MAX),
        orphans: facts.orphans,
        leaked_fds: facts.leaked_fds,
        accepted,
        ledger: records.workers.is_some(),
        bind_failures: u32::try_from(bind_failures.count()).unwrap_or(u32::MAX),
        at_end: facts.workers_at_end,
        uids: facts.uids.clone(),
        sharing_cgroup: facts.sharing_cgroup,
        inheritance: facts.inheritance.clone(),
    }
}

/// How the supervisor ended while the load ran, unless another process had taken over from it.
fn ended_for_good(facts: &TrialFacts) -> Option<String> {
    facts.supervisor_exits.iter().find(|end| end.successor.is_none()).map(|end| end.status.clone())
}

/// Whether a worker failed before it could accept, and did so while the load ran.
fn failed_to_boot(log: &WorkerLog, end_ns: u64) -> bool {
    let failed = [RecordKind::BootFailed, RecordKind::BindFailed].map(|kind| log.first(kind));
    failed.into_iter().flatten().any(|at_ns| at_ns <= end_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Attempt, Books};
    use crate::record::KernelRecord;
    use crate::shm::WorkerRecord;
    use crate::words::Transport;

    fn log(pid: u32, records: &[(u64, RecordKind)]) -> WorkerLog {
        let record = |&(at_ns, kind): &(u64, RecordKind)| WorkerRecord {
            kind,
            pid,
            generation: 1,
            connection: 0,
            at_ns,
            detail: 0,
            peer: None,
        };
        WorkerLog { pid, generation: 1, window_open: false, records: records.iter().map(record).collect() }
    }

    #[test]
    fn starts_are_those_of_the_load_and_shares_those_of_the_busiest() {
        use RecordKind::{BindFailed, Boot, BootFailed, Ready};
        let logs = [
            log(1, &[(50, Boot), (60, Ready)]),
            log(2, &[(100, Boot), (110, BootFailed)]),
            log(3, &[(150, Boot), (160, BindFailed)]),
            log(4, &[(190, Boot), (210, BootFailed)]),
            log(5, &[(250, Boot), (260, BootFailed)]),
        ];
        let kernel = KernelRecord::default();
        let records = TrialRecords {
            requests: &[],
            transport: Transport::Tcp,
            attempts: 0,
            client: &[],
            workers: Some(&logs),
            accepts_stamped: true,
            kernel: &kernel,
            deaths: &[],
            foreign_connects_expected: false,
            end_ns: u64::MAX,
        };
        let by = |worker| Attempt {
            waited_ns: 0,
            accepted: None,
            worker,
            record: 0,
            fate: Fate::Served,
            blame: None,
            retry: None,
        };
        let reconciled = Reconciled {
            attempts: vec![by(0), by(0), by(1), by(crate::ledger::NO_WORKER)],
            books: Books::default(),
        };
        let facts = TrialFacts { start_ns: 100, end_ns: 200, ..TrialFacts::default() };
        let result = workers_result(&records, &reconciled, &facts);
        assert_eq!((result.generations, result.starts, result.failed_starts), (5, 3, 2));
        assert_eq!(result.accepted, [2, 1, 0, 0, 0]);
        assert_eq!(result.share_max_percent(), Some(67));
        assert_eq!(WorkersResult::default().share_max_percent(), None);
    }
}

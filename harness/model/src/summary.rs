//! From reconciled records to a trial's result.

mod counts;
mod ending;
mod kernel;

use std::collections::BTreeMap;

use crate::accepts;
use crate::addresses;
use crate::advice;
use crate::endings::endings;
use crate::exit::Exit;
use crate::expect;
use crate::explain::{self, Story};
use crate::facts::TrialFacts;
use crate::grade::{self, Evidence, Graded};
use crate::handshakes;
use crate::latency::Latencies;
use crate::ledger::{Books, Reconciled, TrialRecords, WorkerLog, reconcile};
use crate::mark::Consequences;
use crate::metric::Expectation;
use crate::outage;
use crate::phases::phases;
use crate::pool;
use crate::reason::{Note, Reason};
use crate::record::ClientRecord;
use crate::remedies::{self, Remedies};
use crate::requests::{self, Request};
use crate::result::{
    Advice, BooksResult, Change, EndingsResult, KernelResult, Loss, TrialResult, WorkersResult,
};
use crate::sampling::Method;
use crate::scenario::{Arrivals, Scenario};
use crate::series::Series;
use crate::sessions;
use crate::shm::RecordKind;
use crate::silent;
use crate::timeline;
use crate::versions;
use crate::violation::Violation;
use crate::watch::Watched;
use crate::words::{Blame, Fate, Grade, Verdict};
use counts::Counts;

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
    /// Remedies of another trial that are applied in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applied: Vec<Change>,
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
    let method = enter_accepts(records, &mut reconciled);
    let latencies = Latencies::collect(records.client, records.requests, &reconciled);
    let order = in_order(scenario, records, &reconciled);
    let faults_ns = ending::fault_instants(records, facts);
    let outages = ending::outages(&order, facts);
    let phases = phases(&order, &faults_ns, &outages);
    let back_after_ns = ending::back_after_ns(&outages, facts, &faults_ns);
    let graded = grade::grade(&Evidence {
        client: records.client,
        reconciled: &reconciled,
        order: &order,
        phases: phases.as_ref(),
        last_fault_ns: faults_ns.iter().copied().max(),
        watched: facts.watched.as_ref(),
        patience_ns: scenario.load.patience_ns,
        send_lag_p99_ns: crate::latency::quantiles(&latencies.send_lag).p99_ns,
        send_lag_max_ns: scenario.load.send_lag_max_ns,
        environment: facts.environment.as_ref(),
    });
    let story = Story { records, reconciled: &reconciled, facts, deadline_ns: scenario.load.deadline_ns };
    let causes = explain::losses(&story);
    let advised = advice::advice(scenario.listen.backlog, records, &reconciled, facts.start_ns);
    let evidence = remedies::Evidence { scenario, story, advised: advised.as_ref() };
    let Remedies { list: remedies, without: without_remedy } = remedies_of(&graded, &evidence);
    let latency = latencies_by(method, &latencies);
    let counts = Counts::of(&reconciled);
    let recoveries = ending::recoveries(&order, facts, &faults_ns);
    let consequences = Consequences::of(scenario, records, &reconciled, facts);
    let noted: Vec<Note> = facts.notes.iter().cloned().chain(consequences.notes.iter().cloned()).collect();
    let result = TrialResult {
        grade: graded.grade,
        mark: consequences.mark(),
        reason: graded.reason.as_ref().map(Reason::to_string),
        why: graded.reason,
        attempts: reconciled.attempts.len() as u64,
        throughput_per_second: throughput(scenario, records.client, counts.served(), facts.start_ns),
        fates: counts.fates,
        blame: counts.blame,
        collateral: counts.collateral,
        safe_to_retry: counts.safe_to_retry,
        ambiguous: counts.ambiguous,
        latency,
        sessions: sessions::count(&scenario.load.connection, records.client, &reconciled),
        silent: silent::count(&scenario.load.connection, records.client, &reconciled),
        pool: pool::count(&scenario.load.connection, records, &reconciled),
        endings: endings(records.client),
        tls: handshakes::count(records.client, facts),
        close_codes: close_codes(records.client),
        client_addresses: addresses::used(scenario.load.clients, records.client),
        client_threads: Some(scenario.load.threads).filter(|threads| *threads > 1),
        kernel: kernel::result(records, facts),
        outages: ending::since_start(&outages, facts),
        recovery_ns: recoveries.iter().map(|recovery| recovery.after_ns()).collect(),
        recoveries,
        phases,
        back_after_ns,
        watched_ns: facts.watched.as_ref().map_or(0, Watched::lasted_ns),
        patience_ns: scenario.load.patience_ns,
        workers: workers_result(records, &reconciled, facts),
        versions: versions::served(records.client, facts.start_ns),
        cost: facts.cost.clone(),
        supervisor_ended: ended_for_good(facts),
        supervisor_stopped: stood_stopped(facts),
        books: books_result(&reconciled.books),
        off: reconciled.books.off().collect(),
        losses: causes.iter().map(Loss::to_string).collect(),
        causes,
        timeline: timeline::timeline(records, facts, back_after_ns),
        strip: outage::strip(&order, records.kernel, facts.start_ns, facts.end_ns, STRIP_BUCKETS),
        advice: advised.as_ref().map(Advice::to_string),
        advised,
        remedies,
        without_remedy,
        notes: noted.iter().map(Note::to_string).collect(),
        noted,
        ..blank(name, facts.elapsed_ns)
    };
    Summary { result: judged(result, &scenario.expect), reconciled, latencies }
}

/// Enters when attempts were accepted, where workers do not say so, and says how that is known.
fn enter_accepts(records: &TrialRecords<'_>, reconciled: &mut Reconciled) -> Option<Method> {
    match records.tell_accepts() {
        true => Some(Method::Stamped),
        false => accepts::enter(records.client, reconciled, records.kernel),
    }
}

fn remedies_of(graded: &Graded, evidence: &remedies::Evidence<'_>) -> Remedies {
    if graded.knows_losses() { remedies::remedies(evidence) } else { Remedies::default() }
}

/// The result with what its expectations make of it.
fn judged(result: TrialResult, expectations: &[Expectation]) -> TrialResult {
    let violated = expect::check(expectations, &result);
    TrialResult {
        verdict: grade::verdict(result.grade, &violated),
        violations: violated.iter().map(Violation::to_string).collect(),
        violated,
        ..result
    }
}

/// The result of a trial that did not run: it is unsupported or inconclusive, as the reason says.
#[must_use]
pub fn not_run(name: &TrialName, why: Reason) -> TrialResult {
    not_ready(name, why, 0)
}

/// [`not_run`], of a trial that took so long before it was known.
#[must_use]
pub fn not_ready(name: &TrialName, why: Reason, elapsed_ns: u64) -> TrialResult {
    let grade = if matches!(why, Reason::Lacks { .. }) { Grade::Unsupported } else { Grade::Inconclusive };
    let verdict = grade::verdict(grade, &[]);
    let mut result = TrialResult { grade, verdict, ..blank(name, elapsed_ns) };
    result.explain(why);
    result
}

/// The result of a trial of which nothing is known but which it is.
fn blank(name: &TrialName, elapsed_ns: u64) -> TrialResult {
    TrialResult {
        supervisor: name.supervisor.clone(),
        supervisor_version: name.supervisor_version.clone(),
        scenario: name.scenario.clone(),
        repetition: name.repetition,
        grade: Grade::Inconclusive,
        mark: None,
        verdict: Verdict::Inconclusive,
        violations: Vec::new(),
        violated: Vec::new(),
        foreseen: Vec::new(),
        reason: None,
        why: None,
        attempts: 0,
        fates: Fate::ALL.iter().map(|fate| (*fate, 0)).collect(),
        blame: Blame::ALL.iter().map(|blame| (*blame, 0)).collect(),
        collateral: BTreeMap::new(),
        safe_to_retry: 0,
        ambiguous: 0,
        latency: Default::default(),
        sessions: None,
        silent: None,
        pool: None,
        endings: EndingsResult::default(),
        client_addresses: 0,
        client_threads: None,
        tls: None,
        close_codes: BTreeMap::new(),
        kernel: KernelResult::default(),
        outages: Vec::new(),
        recovery_ns: Vec::new(),
        phases: None,
        recoveries: Vec::new(),
        back_after_ns: None,
        watched_ns: 0,
        patience_ns: 0,
        workers: WorkersResult::default(),
        versions: Vec::new(),
        cost: None,
        supervisor_ended: None,
        supervisor_stopped: false,
        books: BooksResult::Nothing,
        off: Vec::new(),
        losses: Vec::new(),
        causes: Vec::new(),
        timeline: Vec::new(),
        strip: Vec::new(),
        notes: Vec::new(),
        noted: Vec::new(),
        folder: name.folder.clone(),
        elapsed_ns,
        advice: None,
        advised: None,
        remedies: Vec::new(),
        without_remedy: BTreeMap::new(),
        applied: name.applied.clone(),
        throughput_per_second: None,
    }
}

fn books_result(books: &Books) -> BooksResult {
    if books.is_balanced() { BooksResult::Balanced } else { BooksResult::Off(books.to_string()) }
}

fn in_order(scenario: &Scenario, records: &TrialRecords<'_>, reconciled: &Reconciled) -> Vec<Request> {
    let load = &scenario.load;
    requests::in_order(&load.connection, records.client, records.requests, reconciled, load.deadline_ns)
}

/// Served attempts per second of a closed loop.
fn throughput(
    scenario: &Scenario,
    client: Series<'_, ClientRecord>,
    served: u64,
    start_ns: u64,
) -> Option<f64> {
    let Arrivals::Closed { .. } = scenario.load.arrivals else { return None };
    let end_ns = client.iter().filter_map(|record| record.finished).max()?.get();
    Some(served as f64 * 1e9 / end_ns.saturating_sub(start_ns).max(1) as f64)
}

fn workers_result(records: &TrialRecords<'_>, reconciled: &Reconciled, facts: &TrialFacts) -> WorkersResult {
    let logs = records.workers.unwrap_or_default();
    // What starts, or fails, after the load is the watch's business.
    let logs = &logs[..logs.iter().rposition(|log| began(log, facts.end_ns)).map_or(0, |last| last + 1)];
    let bind_failures = logs.iter().flat_map(|log| log.records.iter());
    let bind_failures = bind_failures.filter(|r| r.kind == RecordKind::BindFailed && r.at_ns <= facts.end_ns);
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
        settled: facts.settled,
    }
}

/// Whether a worker had begun by an instant; one whose beginning is not on record has.
fn began(log: &WorkerLog, end_ns: u64) -> bool {
    log.records.first().is_none_or(|record| record.at_ns <= end_ns)
}

/// Whether the supervisor is among those that nobody had let go on.
fn stood_stopped(facts: &TrialFacts) -> bool {
    facts.notes.iter().any(|note| matches!(note, Note::StoodStopped { supervises: true, .. }))
}

/// How the supervisor ended while the load ran, unless another process had taken over from it.
fn ended_for_good(facts: &TrialFacts) -> Option<Exit> {
    facts
        .supervisor_exits
        .iter()
        .find(|end| end.successor.is_none() && end.at_ns <= facts.end_ns)
        .map(|end| end.status)
}

/// Whether a worker failed before it could accept, and did so while the load ran.
fn failed_to_boot(log: &WorkerLog, end_ns: u64) -> bool {
    let failed = [RecordKind::BootFailed, RecordKind::BindFailed].map(|kind| log.first(kind));
    failed.into_iter().flatten().any(|at_ns| at_ns <= end_ns)
}

/// Quantiles of latencies, and by which method it is known when attempts were accepted.
fn latencies_by(method: Option<Method>, latencies: &Latencies) -> crate::result::LatencySet {
    let mut latency = latencies.quantiles();
    for quantiles in [&mut latency.accept, &mut latency.queue_wait] {
        quantiles.how = method.filter(|_| quantiles.count > 0);
        quantiles.method = quantiles.how.as_ref().map(Method::to_string);
    }
    latency
}

/// How often servers closed connections by each code.
fn close_codes(client: Series<'_, ClientRecord>) -> BTreeMap<u16, u64> {
    let mut counts = BTreeMap::new();
    for code in client.iter().filter_map(|record| record.close_code) {
        *counts.entry(code.get()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Attempt;
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
        let kernel = crate::record::KernelRecord::default();
        let records = TrialRecords {
            said: &crate::said::NOTHING_SAID,
            requests: &[],
            transport: Transport::Tcp,
            attempts: 0,
            client: Series::from(&[]),
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
        assert_eq!((result.generations, result.starts, result.failed_starts), (4, 3, 2));
        assert_eq!(result.accepted, [2, 1, 0, 0]);
        assert_eq!(result.share_max_percent(), Some(67));
        assert_eq!(WorkersResult::default().share_max_percent(), None);
    }
}

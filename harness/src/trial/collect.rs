//! After the load: gathers what workers and kernel recorded, sums up, and writes the trial's files.

use std::io;
use std::num::TryFromIntError;
use std::path::Path;
use std::time::SystemTime;

use holdline_contract::clock::now_ns;
use holdline_contract::inherit::{self, Inheritance};
use holdline_contract::ledger::{LedgerError, read_ledgers};
use holdline_model::custody::Held;
use holdline_model::facts::TrialFacts;
use holdline_model::foreseen::excuse;
use holdline_model::ledger::{InjectedDeath, TrialRecords, WorkerLog};
use holdline_model::reason::Note;
use holdline_model::record::AcceptSamples;
use holdline_model::result::TrialResult;
use holdline_model::summary::summarise;
use holdline_model::support;

use crate::kernel::counters;
use crate::kernel::observer::ObserverError;
use crate::tls::describe_all;

use super::files::{FilesError, TrialFiles};
use super::inheritance;
use super::ledgered::Ledgered;
use super::load_thread::ClientLog;
use super::stage::Stage;

/// What was recorded could not be gathered, or not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// The kernel's record is not to be had.
    #[error(transparent)]
    Observer(#[from] ObserverError),
    /// The workers' ledgers are not.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// What workers found at boot is not.
    #[error("failed to read what workers were given")]
    Inherited(#[source] io::Error),
    /// There are more attempts than numbers.
    #[error("more attempts than can be counted")]
    TooMany(#[from] TryFromIntError),
    /// A file could not be written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Nor could the log of events.
    #[error("failed to write events.jsonl")]
    Events(#[source] io::Error),
}

/// What a trial has come to, besides what workers and kernel recorded.
pub(super) struct Collected {
    pub(super) facts: TrialFacts,
    pub(super) deaths: Vec<InjectedDeath>,
    pub(super) client: ClientLog,
    /// In whose hands connections were.
    pub(super) held: Held,
    /// Who was seen waiting to be accepted, if that was sampled.
    pub(super) accepts: Option<AcceptSamples>,
    /// The cgroups of supervisor and harness, as /proc names them.
    pub(super) cgroups: Vec<String>,
    /// Wall-clock time of the load's start.
    pub(super) started: SystemTime,
}

/// Ends a trial whose supervisor has been stopped.
pub(super) fn collect(stage: Stage, collected: Collected) -> Result<TrialResult, CollectError> {
    let Collected { mut facts, deaths, client, held, accepts, cgroups, started } = collected;
    let Stage { spec, place, sight, log, began_ns, .. } = stage;
    let exclusive = sight.is_exclusive();
    let mut kernel = sight.observer.finish(exclusive)?;
    kernel.held = held;
    kernel.accepts = accepts;
    let keeps_ledger = support::keeps_ledger(&place.supervisor);
    let logs = if keeps_ledger { worker_logs(&place.workspace.home, &sight.workers)? } else { Vec::new() };
    let inherited = inherit::read_all(&place.workspace.home).map_err(CollectError::Inherited)?;
    facts.leaked_fds = leaked_fds(&inherited);
    facts.certificates = client.certificates.as_ref().map(describe_all);
    let expected = inheritance::Expected {
        passing: place.supervisor.socket.passing,
        address: &place.workspace.values.address,
        uid: place.workspace.user.map(|user| user.uid),
        cgroups: &cgroups,
    };
    inheritance::fill(&mut facts, &inherited, &logs, &expected);
    if !exclusive {
        facts.notes.push(Note::HostCounters);
    }
    let attempts = u32::try_from(client.attempts.series().len())?;
    let records = TrialRecords {
        said: &client.said,
        transport: place.scenario.listen.transport,
        attempts,
        client: client.attempts.series(),
        requests: &client.requests,
        workers: keeps_ledger.then_some(logs.as_slice()),
        accepts_stamped: support::stamps_accepts(&place.supervisor),
        kernel: &kernel,
        deaths: &deaths,
        // Real supervisors may have control connections of their own.
        foreign_connects_expected: !place.supervisor.reference,
        end_ns: facts.end_ns,
    };
    if exclusive {
        facts.counters = counters::as_map(&kernel.counters);
    }
    facts.elapsed_ns = now_ns().saturating_sub(began_ns);
    let mut summary = summarise(&spec.name, &place.scenario, &records, &facts);
    if spec.excuses_reference && place.supervisor.reference {
        let foreseen = place.scenario.reference.grades.get(&place.supervisor.name);
        excuse(&mut summary.result, foreseen.map_or(&[], Vec::as_slice));
    }
    let files = TrialFiles {
        folder: &spec.folder,
        start_ns: facts.start_ns,
        started,
        length_ns: facts.end_ns.saturating_sub(facts.start_ns),
        deadline_ns: place.scenario.load.deadline_ns,
        client: client.attempts.series(),
        requests: &client.requests,
        said: &client.said,
        workers: &logs,
        kernel: &kernel,
        summary: &summary,
    };
    files.write()?;
    log.finish().map_err(CollectError::Events)?;
    Ok(summary.result)
}

fn worker_logs(home: &Path, workers: &Ledgered) -> Result<Vec<WorkerLog>, LedgerError> {
    let mut logs: Vec<WorkerLog> = read_ledgers(home)?
        .into_iter()
        .map(|ledger| WorkerLog {
            pid: workers.process_of(ledger.pid, ledger.generation),
            generation: ledger.generation,
            window_open: ledger.window_open,
            records: ledger.records,
        })
        .map(WorkerLog::without_askers)
        .collect();
    logs.sort_by_key(|log| log.generation);
    Ok(logs)
}

/// Descriptors that workers found open at boot and that nobody had told them of.
fn leaked_fds(inherited: &[Inheritance]) -> u32 {
    let leaked: usize = inherited.iter().map(|worker| worker.unexpected.len()).sum();
    u32::try_from(leaked).unwrap_or(u32::MAX)
}

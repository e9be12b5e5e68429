//! After the load: gathers what workers and kernel recorded, sums up, and writes the trial's files.

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use holdline_contract::clock::now_ns;
use holdline_contract::inherit::{self, Inheritance};
use holdline_contract::ledger::read_ledgers;
use holdline_model::facts::TrialFacts;
use holdline_model::ledger::{InjectedDeath, TrialRecords, WorkerLog};
use holdline_model::reason::Note;
use holdline_model::result::TrialResult;
use holdline_model::summary::summarise;
use holdline_model::support;

use crate::kernel::accepts::AcceptSampler;
use crate::kernel::counters;

use super::files::TrialFiles;
use super::inheritance;
use super::inner::Trial;
use super::measure::ClientLog;
use super::ready::Workers;

/// Ends a trial whose supervisor has been stopped.
pub(super) fn collect(
    trial: Trial,
    mut facts: TrialFacts,
    deaths: &[InjectedDeath],
    client: &ClientLog,
    cgroups: &[String],
    started: SystemTime,
) -> Result<TrialResult> {
    let exclusive = trial.is_exclusive();
    let mut kernel = trial.observer.finish(exclusive)?;
    kernel.accepts = trial.accepts.map(AcceptSampler::finish).transpose()?;
    let keeps_ledger = support::keeps_ledger(&trial.supervisor);
    let logs = if keeps_ledger { worker_logs(&trial.workspace.home, &trial.workers)? } else { Vec::new() };
    let inherited = inherit::read_all(&trial.workspace.home)?;
    facts.leaked_fds = leaked_fds(&inherited);
    let expected = inheritance::Expected {
        passing: trial.supervisor.socket.passing,
        address: &trial.workspace.values.address,
        uid: trial.workspace.user.map(|user| user.uid),
        cgroups,
    };
    inheritance::fill(&mut facts, &inherited, &logs, &expected);
    if !exclusive {
        facts.notes.push(Note::HostCounters);
    }
    let attempts = u32::try_from(client.attempts.len()).context("more attempts than can be counted")?;
    let records = TrialRecords {
        transport: trial.scenario.listen.transport,
        attempts,
        client: &client.attempts,
        requests: &client.requests,
        workers: keeps_ledger.then_some(logs.as_slice()),
        accepts_stamped: support::stamps_accepts(&trial.supervisor),
        kernel: &kernel,
        deaths,
        // Real supervisors may have control connections of their own.
        foreign_connects_expected: !trial.supervisor.reference,
        end_ns: facts.end_ns,
    };
    if exclusive {
        facts.counters = counters::as_map(&kernel.counters);
    }
    facts.elapsed_ns = now_ns().saturating_sub(trial.began_ns);
    let summary = summarise(&trial.spec.name, &trial.scenario, &records, &facts);
    let files = TrialFiles {
        folder: &trial.spec.folder,
        start_ns: facts.start_ns,
        started,
        length_ns: facts.end_ns.saturating_sub(facts.start_ns),
        client: &client.attempts,
        workers: &logs,
        kernel: &kernel,
        summary: &summary,
    };
    files.write()?;
    trial.log.finish().context("failed to write events.jsonl")?;
    Ok(summary.result)
}

fn worker_logs(home: &Path, workers: &Workers) -> Result<Vec<WorkerLog>> {
    let mut logs: Vec<WorkerLog> = read_ledgers(home)?
        .into_iter()
        .map(|ledger| WorkerLog {
            pid: workers.process_of(ledger.pid, ledger.generation),
            generation: ledger.generation,
            window_open: ledger.window_open,
            records: ledger.records,
        })
        .collect();
    logs.sort_by_key(|log| log.generation);
    Ok(logs)
}

/// Descriptors that workers found open at boot and that nobody had told them of.
fn leaked_fds(inherited: &[Inheritance]) -> u32 {
    let leaked: usize = inherited.iter().map(|worker| worker.unexpected.len()).sum();
    u32::try_from(leaked).unwrap_or(u32::MAX)
}

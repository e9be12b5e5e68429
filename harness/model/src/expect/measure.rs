//! What a trial measured, by the name of the metric.

use crate::result::{Quantiles, TrialResult};
use crate::scenario::Metric;
use crate::versions;
use crate::words::{Blame, Fate, Finding};

/// What a trial measured: a count, or nanoseconds for times.
///
/// # Errors
///
/// Why it was not measured, in words.
pub fn measure(metric: &Metric, result: &TrialResult) -> Result<u64, String> {
    let name = metric.name.as_str();
    if let Ok(fate) = name.parse::<Fate>() {
        return Ok(result.fates.get(&fate).copied().unwrap_or(0));
    }
    if let Ok(blame) = name.parse::<Blame>() {
        return Ok(result.blame.get(&blame).copied().unwrap_or(0));
    }
    match name.split_once('.') {
        None => whole(name, result),
        Some(("sessions", name)) => sessions(name, result),
        Some(("kernel", name)) => kernel(name, result),
        Some(("workers", name)) => workers(name, result),
        Some(("versions", name)) => version(name, result),
        Some(("supervisor", "ended")) => Ok(result.supervisor_ended.is_some().into()),
        Some(("cost", "cpu")) => match &result.cost {
            Some(cost) => Ok(cost.cpu_ns),
            None => Err("not measured: /proc did not tell".to_owned()),
        },
        Some(("outage", "max")) => Ok(result
            .outages
            .iter()
            .map(|outage| outage.end_ns.saturating_sub(outage.start_ns))
            .max()
            .unwrap_or(0)),
        Some(("recovery", "max")) => recovery(result),
        Some((latency, quantile)) => latency_of(latency, quantile, result),
    }
}

fn whole(name: &str, result: &TrialResult) -> Result<u64, String> {
    match name {
        "attempts" => Ok(result.attempts),
        "lost" => Ok(lost(result)),
        "outages" => Ok(result.outages.len() as u64),
        _ => Err(no_such(name)),
    }
}

/// Attempts that were sent and not served.
fn lost(result: &TrialResult) -> u64 {
    let is_lost = |fate: &Fate| !matches!(fate, Fate::Served | Fate::NotSent);
    result.fates.iter().filter(|(fate, _)| is_lost(fate)).map(|(_, count)| count).sum()
}

fn sessions(name: &str, result: &TrialResult) -> Result<u64, String> {
    let sessions = result.sessions.as_ref().ok_or("not measured: no attempt was a session")?;
    match name {
        "planned" => Ok(sessions.planned),
        "completed" => Ok(sessions.completed),
        "closed_idle" => Ok(sessions.closed_idle),
        "cut" => Ok(sessions.cut),
        "requests_planned" => Ok(sessions.requests_planned),
        "requests_answered" => Ok(sessions.requests_answered),
        _ => Err(no_such(name)),
    }
}

fn kernel(name: &str, result: &TrialResult) -> Result<u64, String> {
    let kernel = &result.kernel;
    match name {
        "listen_overflows" => Ok(kernel.listen_overflows),
        "listen_drops" => Ok(kernel.listen_drops),
        "listener_drops" => kernel
            .listener_drops()
            .ok_or_else(|| "not measured: listeners of Unix sockets count no drops".to_owned()),
        "queue_max" => Ok(kernel.queue_max.into()),
        "queue_limit" => Ok(kernel.queue_limit.into()),
        "listeners_closed" => Ok(kernel.listeners_closed.into()),
        "syn_retransmits" => Ok(kernel.syn_retransmits),
        _ => Err(no_such(name)),
    }
}

fn workers(name: &str, result: &TrialResult) -> Result<u64, String> {
    let workers = &result.workers;
    // Orphans are counted by the sandbox's init; most else is known from the ledger alone.
    match name {
        "orphans" => Ok(workers.orphans.into()),
        // Where there is no ledger, the processes below the supervisor that hold the listener count.
        "at_end" => Ok(workers.at_end.into()),
        _ if !workers.ledger => Err("not measured: the workers kept no ledger".to_owned()),
        "generations" => Ok(workers.generations.into()),
        "starts" => Ok(workers.starts.into()),
        "failed_starts" => Ok(workers.failed_starts.into()),
        "share_max" => {
            workers.share_max_percent().ok_or_else(|| "not measured: no worker accepted anything".to_owned())
        }
        "leaked_fds" => Ok(workers.leaked_fds.into()),
        "bind_failures" => Ok(workers.bind_failures.into()),
        "sharing_cgroup" => workers.sharing_cgroup.map(u64::from).ok_or_else(inheritance_unknown),
        "conformance_failures" if workers.inheritance.is_empty() => Err(inheritance_unknown()),
        "conformance_failures" => {
            Ok(workers.inheritance.iter().filter(|check| check.finding == Finding::Failed).count() as u64)
        }
        _ => Err(no_such(name)),
    }
}

fn inheritance_unknown() -> String {
    "not measured: the workers did not record what they inherited".to_owned()
}

fn version(name: &str, result: &TrialResult) -> Result<u64, String> {
    let nobody = || "not measured: no reply named a version".to_owned();
    match name {
        "newest" => result.versions.last().map(|served| served.version.into()).ok_or_else(nobody),
        "overlap" => versions::overlap_ns(&result.versions).ok_or_else(nobody),
        _ => Err(no_such(name)),
    }
}

fn recovery(result: &TrialResult) -> Result<u64, String> {
    let faults = &result.recovery_ns;
    if let Some(never) = faults.iter().position(Option::is_none) {
        return Err(format!("never recovered from fault {} of {}", never + 1, faults.len()));
    }
    faults.iter().copied().flatten().max().ok_or_else(|| "not measured: there was no fault".to_owned())
}

fn latency_of(latency: &str, quantile: &str, result: &TrialResult) -> Result<u64, String> {
    let named = result.latency.named();
    let quantiles = named
        .iter()
        .find(|(name, _)| *name == latency)
        .map(|(_, quantiles)| *quantiles)
        .ok_or_else(|| no_such(latency))?;
    if quantiles.count == 0 {
        return Err(format!("not measured: no attempt has a {} latency", latency.replace('_', " ")));
    }
    let Quantiles { p50_ns, p90_ns, p99_ns, p999_ns, max_ns, .. } = quantiles;
    match quantile {
        "p50" => Ok(*p50_ns),
        "p90" => Ok(*p90_ns),
        "p99" => Ok(*p99_ns),
        "p999" => Ok(*p999_ns),
        "max" => Ok(*max_ns),
        _ => Err(no_such(quantile)),
    }
}

fn no_such(name: &str) -> String {
    format!("not measured: there is no metric `{name}`")
}

//! What is said of a single trial: one phrase for each row of its detail.

use holdline_model::recovery::Recovery;
use holdline_model::result::{InheritanceCheck, Phase, Phases, TrialResult};
use holdline_model::words::{Fate, Finding};

use crate::rows::Split;
use crate::text::{count, counted, duration, plain, share};

/// `queue_wait` as `queue wait`.
pub(crate) fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// The collateral losses of a trial as a share of what was sent.
pub(crate) fn collateral(trial: &TrialResult) -> String {
    let split = Split::of(trial);
    share(split.collateral(), trial.attempts.saturating_sub(split.unasked()))
}

/// The outages of a trial, the longest five first in order of time.
pub(crate) fn outages(trial: &TrialResult) -> String {
    if trial.outages.is_empty() {
        return "none".to_owned();
    }
    let length = |outage: &holdline_model::result::Outage| outage.end_ns.saturating_sub(outage.start_ns);
    let mut longest: Vec<_> = trial.outages.iter().collect();
    longest.sort_by_key(|outage| std::cmp::Reverse(length(outage)));
    let more = longest.len().saturating_sub(5);
    longest.truncate(5);
    longest.sort_by_key(|outage| outage.start_ns);
    let mut texts: Vec<String> = longest
        .into_iter()
        .map(|outage| {
            let from = duration(outage.start_ns);
            format!("{} from {from} ({})", duration(length(outage)), counted(outage.attempts, "request"))
        })
        .collect();
    if more > 0 {
        texts.push(format!("{more} shorter"));
    }
    texts.join(", ")
}

/// What became of requests before any fault, while faults made themselves felt, and after that.
pub(crate) fn phases(trial: &TrialResult) -> Option<String> {
    let Phases { before, during, after } = trial.phases.as_ref()?;
    let phases = [("before any fault", before), ("during", during), ("after", after)];
    Some(phases.map(|(name, phase)| format!("{name} {}", phase_in_words(*phase))).join("; "))
}

/// "none", "13 in time", "1 of 20 in time, 18 late, 1 lost".
fn phase_in_words(phase: Phase) -> String {
    let all = phase.requests();
    if all == 0 {
        return "none".to_owned();
    }
    if phase.in_time == all {
        return format!("{} in time", count(all));
    }
    let rest = [(phase.late, "late"), (phase.lost, "lost")];
    let rest = rest.into_iter().filter(|(number, _)| *number > 0);
    let head = format!("{} of {} in time", count(phase.in_time), count(all));
    std::iter::once(head)
        .chain(rest.map(|(number, word)| format!("{} {word}", count(number))))
        .collect::<Vec<_>>()
        .join(", ")
}

/// For each fault, the time from its interruption until service was back in time.
pub(crate) fn recovery(trial: &TrialResult) -> String {
    let said = |recovery: &Recovery| match recovery {
        Recovery::NotInterrupted => "not interrupted".to_owned(),
        Recovery::Back { after_ns } => duration(*after_ns),
        Recovery::Never => "never".to_owned(),
    };
    let recoveries = trial.recovered();
    let more = recoveries.len().saturating_sub(8);
    let texts: Vec<String> = recoveries.iter().take(8).map(said).collect();
    match (texts.is_empty(), trial.had_fault()) {
        (false, _) if more > 0 => format!("{}, {more} more", texts.join(", ")),
        (false, _) => texts.join(", "),
        (true, true) => "not known".to_owned(),
        (true, false) => "no fault to recover from".to_owned(),
    }
}

/// How the story ended of a trial whose end only the watch after the load has shown.
fn ending(trial: &TrialResult) -> Option<String> {
    let back = trial.back_after_ns.map(|after_ns| format!("back after {}", duration(after_ns)));
    back.or_else(|| (trial.watched_ns > 0).then(|| "not back".to_owned()))
}

/// A trial's grade, with how its story ended.
pub(crate) fn grade(trial: &TrialResult) -> String {
    match ending(trial) {
        Some(ending) => format!("{}, {ending}", trial.grade.marked(trial.mark)),
        None => trial.grade.marked(trial.mark),
    }
}

/// The watch after the load, where there was one.
pub(crate) fn watch(trial: &TrialResult) -> Option<String> {
    let lasted = (trial.watched_ns > 0).then(|| duration(trial.watched_ns))?;
    let patience = duration(trial.patience_ns);
    Some(match trial.back_after_ns {
        Some(after_ns) => {
            format!("back after {}, seen in {lasted} after the load", duration(after_ns))
        }
        None => format!("not back; watched for {lasted} after the load, the patience is {patience}"),
    })
}

/// From how many client addresses attempts came; `None` where none was sent.
pub(crate) fn addresses(trial: &TrialResult) -> Option<String> {
    let not_sent = trial.fates.get(&Fate::NotSent).copied().unwrap_or_default();
    let sent = trial.attempts.saturating_sub(not_sent);
    let addresses = count(trial.client_addresses);
    match trial.client_addresses {
        0 => None,
        all if all >= sent => Some(format!("{addresses} of clients, one for each attempt")),
        _ => Some(format!("{addresses} of clients, shared by {} attempts", count(sent))),
    }
}

/// How many threads of the load client made the attempts; `None` where one did.
pub(crate) fn threads(trial: &TrialResult) -> Option<String> {
    trial.client_threads.map(|threads| format!("{threads} of the load client"))
}

/// What became of connections whose listener closed, with net.ipv4.tcp_migrate_req.
const MIGRATIONS: [(&str, &str); 2] = [
    ("TCPMigrateReqSuccess", "moved to another listener"),
    ("TCPMigrateReqFailure", "could not be moved to another listener"),
];

/// What the kernel counted.
pub(crate) fn kernel(trial: &TrialResult) -> String {
    let kernel = &trial.kernel;
    let queue = match kernel.queue_limit {
        0 => format!("longest queue {}", kernel.queue_max),
        limit => format!("longest queue {} of {limit}", kernel.queue_max),
    };
    let mut text = format!(
        "{queue}, {}, {}, {} closed",
        counted(kernel.listen_overflows, "overflow"),
        counted(kernel.listen_drops, "drop"),
        counted(u64::from(kernel.listeners_closed), "listener"),
    );
    if let Some(drops) = kernel.listener_drops().filter(|drops| *drops > 0) {
        text.push_str(&format!(", {} that the listener itself counted", counted(drops, "drop")));
    }
    if kernel.syn_retransmits > 0 {
        text.push_str(&format!(", {} sent again", counted(kernel.syn_retransmits, "SYN")));
    }
    for (counter, what) in MIGRATIONS {
        if let Some(n) = kernel.counters.get(counter).filter(|n| **n > 0) {
            text.push_str(&format!(", {} {what} ({counter})", count(*n)));
        }
    }
    if kernel.interval_ns > 0 {
        text.push_str(&format!(", sampled every {}", duration(kernel.interval_ns)));
    }
    text
}

/// What became of sessions, where there were any.
pub(crate) fn sessions(trial: &TrialResult) -> Option<String> {
    let sessions = trial.sessions.as_ref()?;
    let lost = match sessions.requests_lost {
        0 => String::new(),
        lost => format!(", {} lost", count(lost)),
    };
    Some(format!(
        "{} planned, {} completed, {} ended by the server between two requests, {} cut; {} of {} answered{lost}",
        count(sessions.planned),
        count(sessions.completed),
        count(sessions.closed_idle),
        count(sessions.cut),
        count(sessions.requests_answered),
        counted(sessions.requests_planned, "request"),
    ))
}

/// What became of a pool of connections, where there was one.
pub(crate) fn pool(trial: &TrialResult) -> Option<String> {
    let pool = trial.pool.as_ref()?;
    let mut text = format!(
        "{} opened; {} sent over one that had carried others, {} of them broken off before a byte of the reply, {} sent once more ({} lost all the same",
        counted(pool.connections, "connection"),
        count(pool.reused),
        count(pool.broken),
        count(pool.retried),
        count(pool.retried_lost),
    );
    if let Some(twice) = pool.read_twice {
        text.push_str(&format!(", {} read twice", count(twice)));
    }
    text.push(')');
    let ends = [
        (pool.closed_idle, "closed by the server while idle"),
        (pool.reset_idle, "reset while idle"),
        (pool.told_idle, "told something while idle"),
        (pool.announced, "announced to be closed"),
        (pool.expired, "idle for too long"),
        (pool.surplus, "too many for the pool"),
    ];
    for (number, how) in ends.into_iter().filter(|(number, _)| *number > 0) {
        text.push_str(&format!("; {} {how}", count(number)));
    }
    Some(text)
}

/// What became of silent clients, where there were any.
pub(crate) fn silent(trial: &TrialResult) -> Option<String> {
    let silent = trial.silent.as_ref()?;
    let mut text = format!(
        "{} asked for nothing: {} closed by the server, {} after a word, {} reset, {} open to the end",
        counted(silent.planned, "client"),
        count(silent.closed),
        count(silent.told),
        count(silent.reset),
        count(silent.open),
    );
    if silent.borne.count > 0 {
        let (p50, max) = (duration(silent.borne.p50_ns), duration(silent.borne.max_ns));
        text.push_str(&format!("; the server bore those that it ended for {p50} (median), {max} at most"));
    }
    Some(text)
}

/// What became of the workers.
pub(crate) fn workers(trial: &TrialResult) -> String {
    let workers = &trial.workers;
    let orphans = workers.orphans.map(|orphans| counted(u64::from(orphans), "orphan"));
    let orphans = orphans.unwrap_or_else(|| "orphans not known".to_owned());
    if !workers.ledger {
        let at_end = counted(u64::from(workers.at_end), "worker");
        return format!("{at_end} at the load's end, {orphans}; starts are not known, as no ledger is kept");
    }
    let mut text = format!(
        "{} started, {orphans}, {} leaked",
        counted(u64::from(workers.generations), "worker"),
        counted(u64::from(workers.leaked_fds), "descriptor"),
    );
    if workers.bind_failures > 0 {
        text.push_str(&format!(", {} to bind the address", counted(workers.bind_failures.into(), "failure")));
    }
    text
}

/// Which versions of the worker answered, when, and for how long two did side by side.
pub(crate) fn versions(trial: &TrialResult) -> Option<String> {
    let overlap_ns = holdline_model::versions::overlap_ns(&trial.versions)?;
    let parts = trial.versions.iter().map(|served| {
        let (first, last) = (duration(served.first_ns), duration(served.last_ns));
        format!("version {} answered {} from {first} to {last}", served.version, count(served.served))
    });
    let mut text = parts.collect::<Vec<_>>().join(", ");
    match (trial.versions.len(), overlap_ns) {
        (1, _) => {}
        (_, 0) => text.push_str(", never side by side"),
        (_, overlap_ns) => text.push_str(&format!(", side by side for {}", duration(overlap_ns))),
    }
    Some(text)
}

/// How connections were spread over workers, in order of their start; `None` where nobody knows.
pub(crate) fn spread(trial: &TrialResult) -> Option<String> {
    let busiest = trial.workers.share_max_percent()?;
    let accepted: Vec<u64> = trial.workers.accepted.iter().copied().filter(|n| *n > 0).collect();
    let shown: Vec<String> = accepted.iter().take(16).map(|n| count(*n)).collect();
    let more = if accepted.len() > 16 { ", …" } else { "" };
    let workers = counted(accepted.len() as u64, "worker");
    Some(format!("{workers} accepted {}{more}; the busiest {busiest} %", shown.join(", ")))
}

/// How often workers were started while the load ran, and how often in vain; `None` where nobody
/// was, or nobody knows.
pub(crate) fn starts(trial: &TrialResult) -> Option<String> {
    let workers = &trial.workers;
    if workers.starts == 0 {
        return None;
    }
    let rate = trial.cost.as_ref().filter(|cost| cost.elapsed_ns > 0).map(|cost| {
        let per_second = f64::from(workers.starts) * 1e9 / cost.elapsed_ns as f64;
        format!(" ({per_second:.1} per second)")
    });
    let mut text = format!("{} during the load{}", count(workers.starts.into()), rate.unwrap_or_default());
    if workers.failed_starts > 0 {
        let failed = count(workers.failed_starts.into());
        text.push_str(&format!(", {failed} of them failed before they could accept"));
    }
    Some(text)
}

/// What came of the checks of what workers inherited: failures first, a line each.
pub(crate) fn inheritance(trial: &TrialResult) -> Vec<String> {
    let mut checks: Vec<&InheritanceCheck> = trial.workers.inheritance.iter().collect();
    checks.sort_by_key(|check| check.finding != Finding::Failed);
    let widest = checks.iter().map(|check| check.check.as_str().len()).max().unwrap_or(0);
    checks
        .into_iter()
        .map(|check| {
            let finding = spaced(check.finding.as_str());
            format!("{finding:<9}  {:<widest$}  {}", check.check.as_str(), plain(&check.detail.to_string()))
        })
        .collect()
}

/// The checks of what workers inherited that failed, a line each.
pub(crate) fn inherited_wrongly(trial: &TrialResult) -> Vec<String> {
    let failed = trial.workers.inheritance.iter().filter(|check| check.finding == Finding::Failed);
    failed.map(|check| format!("{}: {}", check.check.as_str(), plain(&check.detail.to_string()))).collect()
}

/// What the supervisor and its workers cost, and whether the supervisor gave up.
pub(crate) fn cost(trial: &TrialResult) -> Option<String> {
    let cost = trial.cost.as_ref()?;
    let share = match cost.elapsed_ns {
        0 => String::new(),
        elapsed_ns => format!(" in {}", duration(elapsed_ns)),
    };
    Some(format!("{} of CPU{share} ({})", duration(cost.cpu_ns), plain(&cost.method.to_string())))
}

/// The fates of a trial that occurred, in words.
pub(crate) fn fates(trial: &TrialResult) -> String {
    let parts: Vec<String> = trial
        .fates
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(fate, n)| format!("{} {}", count(*n), spaced(fate.as_str())))
        .collect();
    format!(
        "{}: {}",
        counted(trial.attempts, "attempt"),
        if parts.is_empty() { "–".into() } else { parts.join(", ") }
    )
}

#[cfg(test)]
mod tests {
    use holdline_model::result::{PoolResult, SessionsResult};

    use super::*;
    use crate::sample;

    #[test]
    fn recovery_tells_what_was_not_interrupted_from_what_never_came_back() {
        let mut trial = sample::held("prefork", "crash");
        trial.recoveries =
            vec![Recovery::NotInterrupted, Recovery::Back { after_ns: 1_030_000_000 }, Recovery::Never];
        assert_eq!(recovery(&trial), "not interrupted, 1.03 s, never");
        trial.recoveries = vec![Recovery::NotInterrupted; 10];
        assert!(recovery(&trial).ends_with(", not interrupted, 2 more"));
    }

    #[test]
    fn what_is_not_known_without_a_ledger_is_said_to_be_so() {
        let mut trial = sample::held("web", "crash");
        trial.workers.ledger = false;
        trial.workers.orphans = None;
        let text = workers(&trial);
        assert!(text.contains("orphans not known") && !text.contains("0 workers started"), "{text}");
    }

    #[test]
    fn pools_are_told_by_what_became_of_their_connections() {
        let mut trial = sample::held("prefork", "deploy");
        assert_eq!(pool(&trial), None);
        trial.pool = Some(PoolResult {
            connections: 10,
            reused: 49,
            broken: 9,
            retried: 9,
            retried_lost: 1,
            read_twice: Some(2),
            closed_idle: 3,
            expired: 4,
            ..PoolResult::default()
        });
        assert_eq!(
            pool(&trial).as_deref(),
            Some(
                "10 connections opened; 49 sent over one that had carried others, 9 of them broken off before a byte of the reply, 9 sent once more (1 lost all the same, 2 read twice); 3 closed by the server while idle; 4 idle for too long"
            )
        );
    }

    #[test]
    fn sessions_are_counted_by_how_they_ended() {
        let mut trial = sample::held("prefork", "deploy");
        assert_eq!(sessions(&trial), None);
        trial.sessions = Some(SessionsResult {
            planned: 80,
            completed: 60,
            closed_idle: 19,
            cut: 1,
            requests_planned: 800,
            requests_answered: 702,
            requests_lost: 1,
        });
        assert_eq!(
            sessions(&trial).as_deref(),
            Some(
                "80 planned, 60 completed, 19 ended by the server between two requests, 1 cut; 702 of 800 requests answered, 1 lost"
            )
        );
    }
}

//! The rows: what each metric is called, what it means, and how it is read.

use super::{Kind, Metric, Needs};
use crate::recovery::Recovery;
use crate::result::{Quantiles, TrialResult};
use crate::versions;
use crate::violation::Unmeasured;
use crate::words::{Blame, Fate, Finding};

const fn row(
    name: &'static str,
    kind: Kind,
    needs: Needs,
    means: &'static str,
    read: fn(&TrialResult) -> Result<u64, Unmeasured>,
) -> Metric {
    Metric { name, kind, needs, means, read }
}

macro_rules! fates {
    ($($fate:ident),+) => {
        [$(row(Fate::$fate.as_str(), Kind::Count, Needs::Nothing, "attempts with this fate", |trial| {
            Ok(trial.fates.get(&Fate::$fate).copied().unwrap_or(0))
        })),+]
    };
}

macro_rules! blames {
    ($($blame:ident),+) => {
        [$(row(Blame::$blame.as_str(), Kind::Count, Needs::Nothing, "lost attempts with this blame", |trial| {
            Ok(trial.blame.get(&Blame::$blame).copied().unwrap_or(0))
        })),+]
    };
}

macro_rules! latencies {
    ($($latency:ident: $means:literal),+) => {
        [$(
            row(concat!(stringify!($latency), ".p50"), Kind::Quantile, Needs::Attempts, $means, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.p50_ns)
            }),
            row(concat!(stringify!($latency), ".p90"), Kind::Quantile, Needs::Attempts, $means, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.p90_ns)
            }),
            row(concat!(stringify!($latency), ".p99"), Kind::Quantile, Needs::Attempts, $means, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.p99_ns)
            }),
            row(concat!(stringify!($latency), ".p999"), Kind::Quantile, Needs::Attempts, $means, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.p999_ns)
            }),
            row(concat!(stringify!($latency), ".max"), Kind::Quantile, Needs::Attempts, $means, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.max_ns)
            }),
        )+]
    };
}

macro_rules! session_rows {
    ($($field:ident: $means:literal),+) => {
        [$(row(concat!("sessions.", stringify!($field)), Kind::Count, Needs::Sessions, $means, |trial| {
            trial.sessions.as_ref().map(|sessions| sessions.$field).ok_or(Unmeasured::NoSession)
        })),+]
    };
}

macro_rules! silent_rows {
    ($($field:ident: $means:literal),+) => {
        [$(row(concat!("silent.", stringify!($field)), Kind::Count, Needs::Silent, $means, |trial| {
            trial.silent.as_ref().map(|silent| silent.$field).ok_or(Unmeasured::NoSilent)
        })),+]
    };
}

macro_rules! pool_rows {
    ($($field:ident: $means:literal),+) => {
        [$(row(concat!("pool.", stringify!($field)), Kind::Count, Needs::Pool, $means, |trial| {
            trial.pool.as_ref().map(|pool| pool.$field).ok_or(Unmeasured::NoPool)
        })),+]
    };
}

macro_rules! tls_rows {
    ($($field:ident: $means:literal, $read:expr;)+) => {
        [$(row(concat!("tls.", stringify!($field)), Kind::Count, Needs::Tls, $means, |trial| {
            trial.tls.as_ref().map($read).ok_or(Unmeasured::NoTls)
        })),+]
    };
}

macro_rules! kernel_rows {
    ($($field:ident: $needs:ident, $means:literal;)+) => {
        [$(row(concat!("kernel.", stringify!($field)), Kind::Count, Needs::$needs, $means, |trial| {
            Ok(u64::from(trial.kernel.$field))
        })),+]
    };
}

macro_rules! worker_rows {
    ($($field:ident: $means:literal),+) => {
        [$(row(concat!("workers.", stringify!($field)), Kind::Count, Needs::Ledger, $means, |trial| {
            with_ledger(trial).map(|workers| u64::from(workers.$field))
        })),+]
    };
}

const FATES: [Metric; 11] = fates!(
    Served, Refused, SynDropped, QueueReset, NoReply, Truncated, ErrorReply, WrongReply, TimedOut, Silent,
    NotSent
);
const BLAMES: [Metric; 3] = blames!(Poison, InFlight, Collateral);
const LATENCIES: [Metric; 30] = latencies!(
    send_lag: "send lag: from the intended start to `connect`, which shows whether the generator kept up",
    connect: "from the intended start to the connection",
    queue_wait: "from the connection to its accept: the time in the accept queue",
    accept: "from the intended start to the accept by a worker",
    tls: "from the connection to the end of the TLS handshake, which holds the wait in the queue as well",
    response: "from the intended start to the end of the reply"
);
const SESSIONS: [Metric; 7] = session_rows!(
    planned: "sessions that were to be made",
    completed: "sessions that were answered to their end",
    closed_idle: "sessions that the server ended while they were idle",
    cut: "sessions that ended while a request was under way, whoever is to blame",
    requests_planned: "requests of all sessions",
    requests_answered: "those of them that got their right reply",
    requests_lost: "those of them that were lost with their session: the one under way, or all that were sent at once and \
                    not answered"
);
const SILENT: [Metric; 5] = silent_rows!(
    planned: "silent clients that were to come",
    closed: "silent clients that the server closed without a word",
    told: "silent clients that the server ended after a word",
    reset: "silent clients that the server reset",
    open: "silent clients that stayed until they left"
);
const TLS: [Metric; 4] = tls_rows!(
    completed: "TLS handshakes that came to their end", |tls| tls.completed;
    resumed: "those of them that resumed an earlier one", |tls| tls.resumed;
    failed: "attempts that had no TLS", |tls| tls.failed.values().sum();
    certificates: "certificates that the service showed", |tls| tls.certificates.len() as u64;
);
const POOL: [Metric; 11] = pool_rows!(
    connections: "connections that a pool opened",
    reused: "attempts sent over a connection that others had used",
    broken: "those of them whose connection ended before a byte of the reply",
    retried: "those of them that were sent once more, on a fresh connection",
    retried_lost: "those of them that were lost all the same",
    closed_idle: "connections of a pool that the server closed while they were idle",
    reset_idle: "connections of a pool that the server reset while they were idle",
    told_idle: "connections of a pool that the server said something on while they were idle",
    announced: "connections of a pool that were not used again since the server had announced their end",
    expired: "connections of a pool that were idle for too long to be used again",
    surplus: "connections that were too many for the pool"
);
const KERNEL: [Metric; 6] = kernel_rows!(
    listen_overflows: Namespace, "connections that met a full accept queue (ListenOverflows)";
    listen_drops: Namespace, "connections that a listener dropped, for whatever reason (ListenDrops)";
    queue_max: Nothing, "the longest accept queue that was seen";
    queue_limit: Nothing, "the listener's backlog, as the kernel limits it";
    listeners_closed: Nothing, "listeners at the service's address that were closed";
    syn_retransmits: Nothing, "SYNs that clients sent again because the first was dropped";
);
const WORKERS: [Metric; 5] = worker_rows!(
    generations: "incarnations of workers, from the first on",
    leaked_fds: "descriptors that workers found open and had not been told of",
    starts: "workers that started while the load ran",
    failed_starts: "those of them that failed before they could accept",
    bind_failures: "how often a worker could not bind its address"
);
const ENDINGS: [Metric; 4] = [
    row(
        "resets",
        Kind::Count,
        Needs::Nothing,
        "connections that the server ended by a reset, as their clients saw it",
        |trial| Ok(trial.endings.resets),
    ),
    row(
        "resets_in_reply",
        Kind::Count,
        Needs::Nothing,
        "those of them that were cut in the midst of a reply",
        |trial| Ok(trial.endings.resets_in_reply),
    ),
    row(
        "send_failed",
        Kind::Count,
        Needs::Nothing,
        "attempts whose reply came although the request could not be sent to its end, since the \
     server had closed: clients that do not read after a failed send lose it",
        |trial| Ok(trial.endings.send_failed),
    ),
    row(
        "half_closed",
        Kind::Count,
        Needs::Nothing,
        "attempts whose server ended its side before it had all of the request, and went on to read",
        |trial| Ok(trial.endings.half_closed),
    ),
];
const OTHERS: [Metric; 16] = [
    row("attempts", Kind::Count, Needs::Nothing, "all attempts", |trial| Ok(trial.attempts)),
    row("lost", Kind::Count, Needs::Nothing, "attempts that asked and were not served", |trial| {
        Ok(trial.lost())
    }),
    row(
        "outages",
        Kind::Count,
        Needs::Nothing,
        "longest runs of requests none of which was served in time",
        |trial| Ok(trial.outages.len() as u64),
    ),
    row(
        "outage.max",
        Kind::Time,
        Needs::Nothing,
        "the longest of them; 0 if there was none. One that goes on to the load's end goes on until \
     the watch sees the service back; where it does not, only a lower bound can be met",
        longest_outage,
    ),
    row(
        "recovery.max",
        Kind::Time,
        Needs::Fault,
        "the longest recovery of all faults, each from the interruption (the first that was due after \
     the fault, but before the next one, and was not served in time; poison itself is none) to \
     the first that was served in time again, or that the watch saw served. A fault that \
     interrupts nothing has none, which exceeds no upper bound; where service never came back, \
     none is met",
        recovery,
    ),
    row(
        "back_after",
        Kind::Time,
        Needs::Nothing,
        "how long after the last fault the watch saw the service back. Where there was no watch, no \
     upper bound is exceeded; where it was not back, none is met",
        back_after,
    ),
    row(
        "kernel.listener_drops",
        Kind::Count,
        Needs::Listeners,
        "drops that the listeners at the service's address counted themselves: known without a \
     namespace, too, but not of Unix sockets",
        |trial| trial.kernel.listener_drops().ok_or(Unmeasured::UncountedDrops),
    ),
    row(
        "workers.orphans",
        Kind::Count,
        Needs::Nothing,
        "workers that outlived whoever started them",
        |trial| trial.workers.orphans.map(u64::from).ok_or(Unmeasured::UncountedOrphans),
    ),
    // Where there is no ledger, the processes below the supervisor that hold the listener count.
    row(
        "workers.at_end",
        Kind::Count,
        Needs::Nothing,
        "workers that could accept when the load had ended, spares included; where they keep no \
     ledger, processes below the supervisor that hold the listener",
        |trial| Ok(trial.workers.at_end.into()),
    ),
    row(
        "workers.sharing_cgroup",
        Kind::Count,
        Needs::Ledger,
        "workers whose cgroup was also the supervisor's or another worker's",
        |trial| with_ledger(trial)?.sharing_cgroup.map(u64::from).ok_or(Unmeasured::NoInheritance),
    ),
    row(
        "workers.conformance_failures",
        Kind::Count,
        Needs::Ledger,
        "checks of what workers inherited that failed: see below",
        conformance_failures,
    ),
    row(
        "workers.share_max",
        Kind::Level,
        Needs::Ledger,
        "the busiest worker's share of all accepts, in percent",
        |trial| with_ledger(trial)?.share_max_percent().ok_or(Unmeasured::NothingAccepted),
    ),
    row(
        "versions.newest",
        Kind::Count,
        Needs::Versions,
        "the highest version of the worker that answered: 1, and one more for each `upgrade`",
        |trial| trial.versions.last().map(|served| served.version.into()).ok_or(Unmeasured::NoVersion),
    ),
    row(
        "versions.overlap",
        Kind::Time,
        Needs::Versions,
        "how long two versions answered side by side: from the first reply of one to the last of the \
     one before",
        |trial| versions::overlap_ns(&trial.versions).ok_or(Unmeasured::NoVersion),
    ),
    row(
        "supervisor.ended",
        Kind::Level,
        Needs::Nothing,
        "1 if the supervisor ended while the load ran (it gave up, or was killed) and had not \
     replaced itself by another process, else 0",
        |trial| Ok(u64::from(trial.supervisor_ended.is_some())),
    ),
    row(
        "supervisor.stopped",
        Kind::Level,
        Needs::Nothing,
        "1 if a signal had stopped the supervisor (SIGSTOP, SIGTSTP, SIGTTIN or SIGTTOU), and nobody had let it go on when \
     all was over, else 0; whom the scenario's own signal stops goes on at the load's end",
        |trial| Ok(trial.supervisor_stopped.into()),
    ),
];
const SETTLED: [Metric; 3] = [
    row(
        "workers.settled",
        Kind::Count,
        Needs::Settle,
        "workers that could accept once the service had settled, or the time that `[workers] \
     settle` gives it was over, counted from the load's end; known only where the scenario \
     has that key",
        |trial| Ok(settled(trial)?.workers.into()),
    ),
    row(
        "workers.zombies",
        Kind::Count,
        Needs::Settle,
        "children of the supervisor that had ended by then, and that it had not waited for",
        |trial| Ok(settled(trial)?.zombies.into()),
    ),
    row(
        "supervisor.descriptors_gained",
        Kind::Count,
        Needs::Settle,
        "descriptors that the supervisor's process had open by then beyond those that it had when \
     the load began",
        |trial| settled(trial)?.descriptors_gained().ok_or(Unmeasured::NoProc),
    ),
];
const COST: [Metric; 1] = [row(
    "cost.cpu",
    Kind::Time,
    Needs::Proc,
    "CPU time that the supervisor and all that it started used while the load ran, to within some \
     10 ms",
    |trial| trial.cost.as_ref().map(|cost| cost.cpu_ns).ok_or(Unmeasured::NoProc),
)];

/// All of them, those of a family together.
pub(super) const TABLE: [&[Metric]; 13] = [
    &FATES, &BLAMES, &ENDINGS, &OTHERS, &SETTLED, &COST, &SESSIONS, &SILENT, &TLS, &POOL, &KERNEL, &WORKERS,
    &LATENCIES,
];

fn quantile(all: &Quantiles, latency: &str, of: fn(&Quantiles) -> u64) -> Result<u64, Unmeasured> {
    let none = || Unmeasured::NoLatency { latency: latency.to_owned() };
    if all.count == 0 { Err(none()) } else { Ok(of(all)) }
}

fn settled(trial: &TrialResult) -> Result<&crate::result::SettledResult, Unmeasured> {
    trial.workers.settled.as_ref().ok_or(Unmeasured::NotSettled)
}

fn with_ledger(trial: &TrialResult) -> Result<&crate::result::WorkersResult, Unmeasured> {
    if trial.workers.ledger { Ok(&trial.workers) } else { Err(Unmeasured::NoLedger) }
}

fn conformance_failures(trial: &TrialResult) -> Result<u64, Unmeasured> {
    let checks = &with_ledger(trial)?.inheritance;
    let failed = checks.iter().filter(|check| check.finding == Finding::Failed).count() as u64;
    if checks.is_empty() { Err(Unmeasured::NoInheritance) } else { Ok(failed) }
}

fn recovery(trial: &TrialResult) -> Result<u64, Unmeasured> {
    let faults = trial.recovered();
    if faults.is_empty() {
        return Err(Unmeasured::NoFault);
    }
    if let Some(never) = faults.iter().position(|recovery| *recovery == Recovery::Never) {
        return Err(Unmeasured::NeverRecovered { fault: never as u64 + 1, of: faults.len() as u64 });
    }
    faults.iter().filter_map(|recovery| recovery.after_ns()).max().ok_or(Unmeasured::NotInterrupted)
}

fn back_after(trial: &TrialResult) -> Result<u64, Unmeasured> {
    match (trial.back_after_ns, trial.watched_ns) {
        (Some(after_ns), _) => Ok(after_ns),
        (None, 0) => Err(Unmeasured::NotWatched),
        (None, watched_ns) => Err(Unmeasured::NeverBack { watched_ns }),
    }
}

/// How long an outage lasts that is not over when the watch is, nobody knows.
fn longest_outage(trial: &TrialResult) -> Result<u64, Unmeasured> {
    let lasted_ns = trial.longest_outage_ns();
    let is_over = trial.watched_ns == 0 || trial.back_after_ns.is_some();
    if is_over { Ok(lasted_ns) } else { Err(Unmeasured::NotOver { lasted_ns }) }
}

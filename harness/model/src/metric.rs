//! Everything that a trial measures, in one table: from it come the words of `[expect]`, their checks,
//! the JSON Schema, and the table in scenarios/FORMAT.md, which a test holds to it.

use std::fmt;

use crate::duration::show_ns;
use crate::recovery::Recovery;
use crate::result::{Quantiles, TrialResult};
use crate::stats::grouped;
use crate::versions;
use crate::violation::{Comparison, Unmeasured};
use crate::words::{Blame, Fate, Finding, UnknownWord, nearest};

/// Something that a trial measures.
#[derive(Clone, Copy)]
pub struct Metric {
    /// Its name as scenario files write it.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// Without what it is not known.
    pub needs: Needs,
    /// How it is read from a result.
    read: fn(&TrialResult) -> Result<u64, Unmeasured>,
}

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// How many.
    Count,
    /// Nanoseconds, the quantile of a latency.
    Quantile,
    /// Nanoseconds.
    Time,
    /// A share in per cent, or a state as 0 and 1.
    Level,
}

/// Without what a metric is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// It always is.
    Nothing,
    /// A network namespace of the trial's own.
    Namespace,
    /// Workers that keep a ledger.
    Ledger,
    /// Attempts that are sessions.
    Sessions,
    /// Attempts that are silent.
    Silent,
    /// A service that is spoken to over TLS.
    Tls,
    /// Replies that name a version.
    Versions,
    /// A fault.
    Fault,
    /// Attempts that came so far.
    Attempts,
    /// Listeners of a transport that counts.
    Listeners,
    /// A readable `/proc`.
    Proc,
}

/// Something that must hold at the end of a trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// What is compared, for example `collateral` or `accept.p99`.
    pub metric: Metric,
    /// How.
    pub comparison: Comparison,
    /// With what: a count, or nanoseconds for times.
    pub value: u64,
}

const fn row(
    name: &'static str,
    kind: Kind,
    needs: Needs,
    read: fn(&TrialResult) -> Result<u64, Unmeasured>,
) -> Metric {
    Metric { name, kind, needs, read }
}

macro_rules! fates {
    ($($fate:ident),+) => {
        [$(row(Fate::$fate.as_str(), Kind::Count, Needs::Nothing, |trial| {
            Ok(trial.fates.get(&Fate::$fate).copied().unwrap_or(0))
        })),+]
    };
}

macro_rules! blames {
    ($($blame:ident),+) => {
        [$(row(Blame::$blame.as_str(), Kind::Count, Needs::Nothing, |trial| {
            Ok(trial.blame.get(&Blame::$blame).copied().unwrap_or(0))
        })),+]
    };
}

macro_rules! latencies {
    ($($latency:ident),+) => {
        [$(
            row(concat!(stringify!($latency), ".p50"), Kind::Quantile, Needs::Attempts, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.p50_ns)
            }),
            row(concat!(stringify!($latency), ".p90"), Kind::Quantile, Needs::Attempts, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.p90_ns)
            }),
            row(concat!(stringify!($latency), ".p99"), Kind::Quantile, Needs::Attempts, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.p99_ns)
            }),
            row(concat!(stringify!($latency), ".p999"), Kind::Quantile, Needs::Attempts, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.p999_ns)
            }),
            row(concat!(stringify!($latency), ".max"), Kind::Quantile, Needs::Attempts, |trial| {
                quantile(&trial.latency.$latency, stringify!($latency), |all| all.max_ns)
            }),
        )+]
    };
}

macro_rules! session_rows {
    ($($field:ident),+) => {
        [$(row(concat!("sessions.", stringify!($field)), Kind::Count, Needs::Sessions, |trial| {
            trial.sessions.as_ref().map(|sessions| sessions.$field).ok_or(Unmeasured::NoSession)
        })),+]
    };
}

macro_rules! silent_rows {
    ($($field:ident),+) => {
        [$(row(concat!("silent.", stringify!($field)), Kind::Count, Needs::Silent, |trial| {
            trial.silent.as_ref().map(|silent| silent.$field).ok_or(Unmeasured::NoSilent)
        })),+]
    };
}

macro_rules! tls_rows {
    ($($field:ident: $read:expr),+) => {
        [$(row(concat!("tls.", stringify!($field)), Kind::Count, Needs::Tls, |trial| {
            trial.tls.as_ref().map($read).ok_or(Unmeasured::NoTls)
        })),+]
    };
}

macro_rules! kernel_rows {
    ($($field:ident: $needs:ident),+) => {
        [$(row(concat!("kernel.", stringify!($field)), Kind::Count, Needs::$needs, |trial| {
            Ok(u64::from(trial.kernel.$field))
        })),+]
    };
}

macro_rules! worker_rows {
    ($($field:ident),+) => {
        [$(row(concat!("workers.", stringify!($field)), Kind::Count, Needs::Ledger, |trial| {
            with_ledger(trial).map(|workers| u64::from(workers.$field))
        })),+]
    };
}

const FATES: [Metric; 11] = fates!(
    Served, Refused, SynDropped, QueueReset, NoReply, Truncated, ErrorReply, WrongReply, TimedOut, Silent,
    NotSent
);
const BLAMES: [Metric; 3] = blames!(Poison, InFlight, Collateral);
const LATENCIES: [Metric; 30] = latencies!(send_lag, connect, queue_wait, accept, tls, response);
const SESSIONS: [Metric; 6] =
    session_rows!(planned, completed, closed_idle, cut, requests_planned, requests_answered);
const SILENT: [Metric; 5] = silent_rows!(planned, closed, told, reset, open);
const TLS: [Metric; 4] = tls_rows!(
    completed: |tls| tls.completed,
    resumed: |tls| tls.resumed,
    failed: |tls| tls.failed.values().sum(),
    certificates: |tls| tls.certificates.len() as u64
);
const KERNEL: [Metric; 6] = kernel_rows!(
    listen_overflows: Namespace,
    listen_drops: Namespace,
    queue_max: Nothing,
    queue_limit: Nothing,
    listeners_closed: Nothing,
    syn_retransmits: Nothing
);
const WORKERS: [Metric; 5] = worker_rows!(generations, leaked_fds, starts, failed_starts, bind_failures);
const ENDINGS: [Metric; 4] = [
    row("resets", Kind::Count, Needs::Nothing, |trial| Ok(trial.endings.resets)),
    row("resets_in_reply", Kind::Count, Needs::Nothing, |trial| Ok(trial.endings.resets_in_reply)),
    row("send_failed", Kind::Count, Needs::Nothing, |trial| Ok(trial.endings.send_failed)),
    row("half_closed", Kind::Count, Needs::Nothing, |trial| Ok(trial.endings.half_closed)),
];
const OTHERS: [Metric; 15] = [
    row("attempts", Kind::Count, Needs::Nothing, |trial| Ok(trial.attempts)),
    row("lost", Kind::Count, Needs::Nothing, |trial| Ok(trial.lost())),
    row("outages", Kind::Count, Needs::Nothing, |trial| Ok(trial.outages.len() as u64)),
    row("outage.max", Kind::Time, Needs::Nothing, longest_outage),
    row("recovery.max", Kind::Time, Needs::Fault, recovery),
    row("back_after", Kind::Time, Needs::Nothing, back_after),
    row("kernel.listener_drops", Kind::Count, Needs::Listeners, |trial| {
        trial.kernel.listener_drops().ok_or(Unmeasured::UncountedDrops)
    }),
    row("workers.orphans", Kind::Count, Needs::Nothing, |trial| {
        trial.workers.orphans.map(u64::from).ok_or(Unmeasured::UncountedOrphans)
    }),
    // Where there is no ledger, the processes below the supervisor that hold the listener count.
    row("workers.at_end", Kind::Count, Needs::Nothing, |trial| Ok(trial.workers.at_end.into())),
    row("workers.sharing_cgroup", Kind::Count, Needs::Ledger, |trial| {
        with_ledger(trial)?.sharing_cgroup.map(u64::from).ok_or(Unmeasured::NoInheritance)
    }),
    row("workers.conformance_failures", Kind::Count, Needs::Ledger, conformance_failures),
    row("workers.share_max", Kind::Level, Needs::Ledger, |trial| {
        with_ledger(trial)?.share_max_percent().ok_or(Unmeasured::NothingAccepted)
    }),
    row("versions.newest", Kind::Count, Needs::Versions, |trial| {
        trial.versions.last().map(|served| served.version.into()).ok_or(Unmeasured::NoVersion)
    }),
    row("versions.overlap", Kind::Time, Needs::Versions, |trial| {
        versions::overlap_ns(&trial.versions).ok_or(Unmeasured::NoVersion)
    }),
    row("supervisor.ended", Kind::Level, Needs::Nothing, |trial| {
        Ok(u64::from(trial.supervisor_ended.is_some()))
    }),
];
const COST: [Metric; 1] = [row("cost.cpu", Kind::Time, Needs::Proc, |trial| {
    trial.cost.as_ref().map(|cost| cost.cpu_ns).ok_or(Unmeasured::NoProc)
})];

const TABLE: [&[Metric]; 11] =
    [&FATES, &BLAMES, &ENDINGS, &OTHERS, &COST, &SESSIONS, &SILENT, &TLS, &KERNEL, &WORKERS, &LATENCIES];

/// Everything that a trial measures.
pub fn metrics() -> impl Iterator<Item = &'static Metric> + Clone {
    TABLE.into_iter().flatten()
}

/// Finds a metric by its name; `-` and `_` are the same.
///
/// # Errors
///
/// There is no such metric.
pub fn metric(name: &str) -> Result<Metric, UnknownWord> {
    let canonical = name.replace('-', "_");
    metrics().find(|metric| metric.name == canonical).copied().ok_or_else(|| {
        let allowed: Vec<&'static str> = metrics().map(|metric| metric.name).collect();
        UnknownWord {
            what: "metric",
            given: name.to_owned(),
            nearest: nearest(&canonical, allowed.iter().copied()).map(str::to_owned),
            allowed,
        }
    })
}

impl Metric {
    /// What a trial measured: a count, or nanoseconds for times.
    ///
    /// # Errors
    ///
    /// Why it was not measured.
    pub fn measure(&self, trial: &TrialResult) -> Result<u64, Unmeasured> {
        (self.read)(trial)
    }

    /// Whether it is a time, in nanoseconds.
    #[must_use]
    pub const fn is_time(&self) -> bool {
        matches!(self.kind, Kind::Time | Kind::Quantile)
    }

    /// A value of it in words: `97.2 ms`, or `5 334`.
    #[must_use]
    pub fn show(&self, value: u64) -> String {
        if self.is_time() { show_ns(value) } else { grouped(value) }
    }
}

impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Metric {}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metric({})", self.name)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

fn quantile(all: &Quantiles, latency: &str, of: fn(&Quantiles) -> u64) -> Result<u64, Unmeasured> {
    let none = || Unmeasured::NoLatency { latency: latency.to_owned() };
    if all.count == 0 { Err(none()) } else { Ok(of(all)) }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The words in backquotes of a cell; a name with a dot at its end goes with the words after `with`.
    fn names(cell: &str) -> Vec<String> {
        let words = |text: &str| -> Vec<String> {
            text.split('`').skip(1).step_by(2).map(|word| word.replace('-', "_")).collect()
        };
        match cell.split_once(" with ") {
            Some((heads, tails)) => {
                let tails = words(tails);
                let with = |head: String| tails.iter().map(move |tail| format!("{head}{tail}")).collect();
                words(heads).into_iter().flat_map(|head| -> Vec<String> { with(head) }).collect()
            }
            None => words(cell),
        }
    }

    #[test]
    fn the_document_lists_exactly_the_table() {
        let format = include_str!("../../../scenarios/FORMAT.md");
        let table = format.split("| metrics | kind | meaning |").nth(1).expect("a table of metrics");
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        let documented: BTreeMap<String, bool> = rows
            .flat_map(|row| {
                let cells: Vec<&str> = row.split('|').map(str::trim).collect();
                let is_time = cells[2] == "time";
                assert!(is_time || cells[2] == "count", "{row}");
                names(cells[1]).into_iter().map(move |name| (name, is_time))
            })
            .collect();
        let table: BTreeMap<String, bool> =
            metrics().map(|metric| (metric.name.to_owned(), metric.is_time())).collect();
        assert_eq!(documented, table);
        assert_eq!(table.len(), metrics().count(), "no name stands twice");
    }

    #[test]
    fn fates_and_blames_are_all_there() {
        assert_eq!((FATES.len(), BLAMES.len()), (Fate::ALL.len(), Blame::ALL.len()));
        for name in Fate::ALL.iter().map(|fate| fate.as_str()).chain(Blame::ALL.iter().map(|b| b.as_str())) {
            assert_eq!(metric(name).map(|metric| metric.name), Ok(name));
        }
    }
}

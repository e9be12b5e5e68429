//! Everything that a trial measures, in one table: from it come the words of `[expect]`, their checks,
//! the JSON Schema, and the table in scenarios/FORMAT.md, which a test holds to it.

mod table;

use std::fmt;

use self::table::TABLE;
use crate::duration::show_ns;
use crate::result::TrialResult;
use crate::stats::grouped;
use crate::violation::{Comparison, Unmeasured};
use crate::words::{UnknownWord, nearest};

/// Something that a trial measures.
#[derive(Clone, Copy)]
pub struct Metric {
    /// Its name as scenario files write it.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// Without what it is not known.
    pub needs: Needs,
    /// What it means; those that share a meaning share a row of the document.
    pub means: &'static str,
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
    /// A pool of connections.
    Pool,
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
    /// A scenario that waits until the service has settled.
    Settle,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::words::{Blame, Fate};

    /// The rows of the document: metrics in a row that share kind and meaning share one.
    fn rows() -> Vec<String> {
        let all: Vec<&Metric> = metrics().collect();
        let groups = all.chunk_by(|a, b| a.is_time() == b.is_time() && a.means == b.means);
        let row = |group: &[&Metric]| {
            let names: Vec<String> = group.iter().map(|metric| format!("`{}`", metric.name)).collect();
            let kind = if group[0].is_time() { "time" } else { "count" };
            format!("| {} | {kind} | {} |", names.join(" "), group[0].means)
        };
        groups.map(row).collect()
    }

    #[test]
    fn the_document_says_what_the_table_says() {
        let format = include_str!("../../../scenarios/FORMAT.md");
        let table = format.split("| metrics | kind | meaning |").nth(1).expect("a table of metrics");
        let found: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
        let expected = rows();
        assert_eq!(found, expected, "the rows should be:\n{}", expected.join("\n"));
        let names: BTreeSet<&str> = metrics().map(|metric| metric.name).collect();
        assert_eq!(names.len(), metrics().count(), "no name stands twice");
    }

    #[test]
    fn fates_and_blames_are_all_there() {
        for name in Fate::ALL.iter().map(|fate| fate.as_str()).chain(Blame::ALL.iter().map(|b| b.as_str())) {
            assert_eq!(metric(name).map(|metric| metric.name), Ok(name));
        }
    }
}

//! Expectations: what can be measured, how files write it, and whether a trial fulfils it.

use std::fmt;
use std::sync::LazyLock;

use crate::duration::{self, show_ns};
use crate::result::{Quantiles, TrialResult};
use crate::scenario::{Comparison, Expectation, Metric};
use crate::stats::grouped;
use crate::versions;
use crate::words::{Blame, Fate, Finding, UnknownWord, nearest};

const LATENCIES: [&str; 5] = ["send_lag", "connect", "queue_wait", "accept", "response"];
const QUANTILES: [&str; 5] = ["p50", "p90", "p99", "p999", "max"];
const COUNTS: &[&str] = &[
    "attempts",
    "lost",
    "outages",
    "sessions.planned",
    "sessions.completed",
    "sessions.closed_idle",
    "sessions.cut",
    "sessions.requests_planned",
    "sessions.requests_answered",
    "kernel.listen_overflows",
    "kernel.listen_drops",
    "kernel.queue_max",
    "kernel.queue_limit",
    "kernel.listeners_closed",
    "kernel.syn_retransmits",
    "workers.generations",
    "workers.orphans",
    "workers.leaked_fds",
    "workers.at_end",
    "workers.sharing_cgroup",
    "workers.conformance_failures",
    "versions.newest",
    "workers.starts",
    "workers.failed_starts",
    "workers.share_max",
    "supervisor.ended",
    "workers.bind_failures",
];
const TIMES: [&str; 4] = ["outage.max", "recovery.max", "versions.overlap", "cost.cpu"];

static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let count = |name: &str| Metric { name: name.to_owned(), is_time: false };
    let time = |name: &str| Metric { name: name.to_owned(), is_time: true };
    let fates = Fate::ALL.iter().map(|fate| count(fate.as_str()));
    let blames = Blame::ALL.iter().map(|blame| count(blame.as_str()));
    let latencies = LATENCIES
        .iter()
        .flat_map(|latency| QUANTILES.iter().map(move |quantile| time(&format!("{latency}.{quantile}"))));
    fates
        .chain(blames)
        .chain(COUNTS.iter().copied().map(count))
        .chain(TIMES.map(time))
        .chain(latencies)
        .collect()
});

/// Everything that an expectation can be about.
#[must_use]
pub fn metrics() -> &'static [Metric] {
    &METRICS
}

/// Finds a metric by its name; `-` and `_` are the same.
///
/// # Errors
///
/// There is no such metric.
pub fn metric(name: &str) -> Result<Metric, UnknownWord> {
    let canonical = name.replace('-', "_");
    METRICS.iter().find(|metric| metric.name == canonical).cloned().ok_or_else(|| {
        let allowed: Vec<&'static str> = METRICS.iter().map(|metric| metric.name.as_str()).collect();
        UnknownWord {
            what: "metric",
            given: name.to_owned(),
            nearest: nearest(&canonical, allowed.iter().copied()).map(str::to_owned),
            allowed,
        }
    })
}

/// Reads what a metric is compared with: `0`, `< 250ms`, `>= 1`. Without a sign: equal.
///
/// # Errors
///
/// In words that fit "…, expected …": a count where a time must be, or the other way round.
pub fn comparison(metric: &Metric, text: &str) -> Result<(Comparison, u64), String> {
    let (comparison, operand) = split_sign(text);
    let value = if metric.is_time { time(metric, operand)? } else { count(metric, operand)? };
    Ok((comparison, value))
}

fn split_sign(text: &str) -> (Comparison, &str) {
    const SIGNS: [(&str, Comparison); 7] = [
        ("==", Comparison::Eq),
        ("!=", Comparison::Ne),
        ("<=", Comparison::Le),
        (">=", Comparison::Ge),
        ("=", Comparison::Eq),
        ("<", Comparison::Lt),
        (">", Comparison::Gt),
    ];
    let text = text.trim();
    SIGNS
        .into_iter()
        .find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?.trim())))
        .unwrap_or((Comparison::Eq, text))
}

fn time(metric: &Metric, operand: &str) -> Result<u64, String> {
    if operand.parse::<f64>().is_ok() {
        return Err(format!("{metric} is a time, `{operand}` has no unit, expected one such as \"< 250ms\""));
    }
    duration::parse(operand).map_err(|error| format!("{error}, expected a time such as \"< 250ms\""))
}

fn count(metric: &Metric, operand: &str) -> Result<u64, String> {
    operand.parse().map_err(|_| {
        let what = if duration::parse(operand).is_ok() { "a time" } else { "no number" };
        format!("{metric} is a count, `{operand}` is {what}, expected a number, or one such as \"<= 3\"")
    })
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Metric {
    /// A value of it in words: `97.2 ms`, or `5 334`.
    #[must_use]
    pub fn show(&self, value: u64) -> String {
        if self.is_time { show_ns(value) } else { grouped(value) }
    }
}

impl Comparison {
    /// Its sign, as files write it.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Eq => "=",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
        }
    }

    /// Whether it holds between what was measured and what was expected.
    #[must_use]
    pub const fn holds(self, measured: u64, expected: u64) -> bool {
        match self {
            Self::Eq => measured == expected,
            Self::Ne => measured != expected,
            Self::Lt => measured < expected,
            Self::Le => measured <= expected,
            Self::Gt => measured > expected,
            Self::Ge => measured >= expected,
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.metric, self.comparison.sign(), self.metric.show(self.value))
    }
}

/// The expectations that a trial violates, in words: `expected collateral = 0, measured 14`.
///
/// What was not measured cannot be relied on, so that an expectation of it is violated, too; the
/// words then say why it was not.
#[must_use]
pub fn check(expectations: &[Expectation], result: &TrialResult) -> Vec<String> {
    expectations.iter().filter_map(|expectation| violation(expectation, result)).collect()
}

fn violation(expectation: &Expectation, result: &TrialResult) -> Option<String> {
    match measure(&expectation.metric, result) {
        Ok(measured) if expectation.comparison.holds(measured, expectation.value) => None,
        Ok(measured) => Some(format!("expected {expectation}, measured {}", shown(expectation, measured))),
        Err(why) => Some(format!("expected {expectation}, {why}")),
    }
}

/// In words, but to the nanosecond where the words would say the same of both times.
fn shown(expectation: &Expectation, measured: u64) -> String {
    let words = expectation.metric.show(measured);
    if expectation.metric.is_time && words == expectation.metric.show(expectation.value) {
        duration::exact(measured)
    } else {
        words
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{
        CostResult, InheritanceCheck, KernelResult, LatencySet, Outage, Served, SessionsResult, WorkersResult,
    };
    use crate::words::{Grade, Verdict};

    fn trial() -> TrialResult {
        let accept = Quantiles {
            count: 20,
            p50_ns: 1_000,
            p99_ns: 1_032_000_000,
            max_ns: 2_000_000_000,
            ..Quantiles::default()
        };
        TrialResult {
            supervisor: "bare".to_owned(),
            supervisor_version: String::new(),
            scenario: "crash".to_owned(),
            repetition: 0,
            grade: Grade::Lossy,
            verdict: Verdict::Fail,
            violations: Vec::new(),
            reason: None,
            attempts: 20,
            fates: [(Fate::Served, 3), (Fate::Refused, 14), (Fate::NoReply, 1), (Fate::NotSent, 2)].into(),
            blame: [(Blame::Collateral, 14), (Blame::Poison, 1)].into(),
            collateral: [(Fate::Refused, 14)].into(),
            safe_to_retry: 14,
            ambiguous: 1,
            latency: LatencySet { accept, ..LatencySet::default() },
            sessions: None,
            kernel: KernelResult { listen_overflows: 3, queue_max: 5, ..KernelResult::default() },
            outages: vec![
                Outage { start_ns: 10, end_ns: 500_000_010, attempts: 3 },
                Outage { start_ns: 600_000_000, end_ns: 700_000_000, attempts: 1 },
            ],
            recovery_ns: vec![Some(104_000_000), None],
            versions: vec![
                Served { version: 1, served: 2, first_ns: 5, last_ns: 300 },
                Served { version: 2, served: 1, first_ns: 200, last_ns: 200 },
            ],
            workers: WorkersResult {
                generations: 2,
                starts: 1,
                accepted: vec![6, 12, 1],
                ledger: true,
                at_end: 1,
                ..WorkersResult::default()
            },
            cost: Some(CostResult { cpu_ns: 30_000_000, ..CostResult::default() }),
            supervisor_ended: None,
            books: "balanced".to_owned(),
            losses: Vec::new(),
            timeline: Vec::new(),
            strip: Vec::new(),
            notes: Vec::new(),
            folder: String::new(),
            elapsed_ns: 0,
            advice: None,
            throughput_per_second: None,
        }
    }

    fn expectation(name: &str, text: &str) -> Expectation {
        let metric = metric(name).expect("a metric");
        let (comparison, value) = comparison(&metric, text).expect("a comparison");
        Expectation { metric, comparison, value }
    }

    #[track_caller]
    fn check_one(name: &str, text: &str, violation: Option<&str>) {
        let violations = check(&[expectation(name, text)], &trial());
        assert_eq!(violations.first().map(String::as_str), violation);
    }

    #[test]
    fn violations_say_what_was_expected_and_measured() {
        check_one("collateral", "0", Some("expected collateral = 0, measured 14"));
        check_one("accept.p99", "< 250ms", Some("expected accept.p99 < 250 ms, measured 1.03 s"));
        check_one("accept.p99", "< 1032ms", Some("expected accept.p99 < 1.03 s, measured 1032ms"));
        check_one("outage.max", "<= 400ms", Some("expected outage.max <= 400 ms, measured 500 ms"));
        check_one("kernel.listen-overflows", "= 0", Some("expected kernel.listen_overflows = 0, measured 3"));
        check_one("lost", "< 1", Some("expected lost < 1, measured 15"));
    }

    #[test]
    fn what_holds_is_not_mentioned() {
        for (name, text) in [
            ("collateral", "14"),
            ("refused", ">= 1"),
            ("attempts", "20"),
            ("lost", "!= 0"),
            ("syn-dropped", "0"),
            ("in_flight", "0"),
            ("accept.p50", "< 2us"),
            ("accept.max", "<= 2s"),
            ("outages", "2"),
            ("outage.max", "> 499ms"),
            ("kernel.queue_max", "== 5"),
            ("workers.generations", "> 1"),
            ("workers.orphans", "0"),
            ("workers.at-end", "1"),
            ("versions.newest", "2"),
            ("versions.overlap", "<= 100ns"),
            ("workers.starts", "1"),
            ("workers.share-max", "63"),
            ("supervisor.ended", "0"),
            ("cost.cpu", "<= 30ms"),
        ] {
            check_one(name, text, None);
        }
    }

    #[test]
    fn what_was_not_measured_is_a_violation_of_its_own() {
        check_one(
            "response.p50",
            "< 1s",
            Some("expected response.p50 < 1.00 s, not measured: no attempt has a response latency"),
        );
        check_one(
            "recovery.max",
            "< 1s",
            Some("expected recovery.max < 1.00 s, never recovered from fault 2 of 2"),
        );
        let mut trial = trial();
        trial.recovery_ns.clear();
        trial.workers.ledger = false;
        check_one("workers.at_end", "1", None);
        trial.cost = None;
        let both = [
            expectation("recovery.max", "< 1s"),
            expectation("workers.leaked_fds", "0"),
            expectation("workers.share_max", "< 60"),
            expectation("cost.cpu", "< 1s"),
        ];
        assert_eq!(
            check(&both, &trial),
            [
                "expected recovery.max < 1.00 s, not measured: there was no fault",
                "expected workers.leaked_fds = 0, not measured: the workers kept no ledger",
                "expected workers.share_max < 60, not measured: the workers kept no ledger",
                "expected cost.cpu < 1.00 s, not measured: /proc did not tell",
            ]
        );
        trial.workers = WorkersResult { ledger: true, ..WorkersResult::default() };
        let unshared = "expected workers.share_max < 60, not measured: no worker accepted anything";
        assert_eq!(check(&both[2..3], &trial), [unshared]);
        trial.recovery_ns.push(Some(5));
        assert_eq!(measure(&both[0].metric, &trial), Ok(5));
    }

    fn found(what: &str, finding: Finding) -> InheritanceCheck {
        InheritanceCheck { check: what.to_owned(), finding, detail: String::new() }
    }

    #[test]
    fn only_failed_checks_of_what_was_inherited_count() {
        let mut trial = trial();
        let metric = metric("workers.conformance-failures").expect("a metric");
        let unknown = measure(&metric, &trial).expect_err("nothing recorded");
        assert!(unknown.contains("did not record"), "{unknown}");
        let findings = [Finding::Failed, Finding::Ok, Finding::Noted, Finding::NotKnown, Finding::Failed];
        trial.workers.inheritance = findings.map(|finding| found("any", finding)).to_vec();
        assert_eq!(measure(&metric, &trial), Ok(2));
    }

    #[test]
    fn a_new_version_that_never_answered_is_not_the_newest() {
        let mut trial = trial();
        trial.versions.pop();
        let expected = [expectation("versions.newest", "2")];
        assert_eq!(check(&expected, &trial), ["expected versions.newest = 2, measured 1"]);
        trial.versions.clear();
        let unknown = "expected versions.newest = 2, not measured: no reply named a version";
        assert_eq!(check(&expected, &trial), [unknown]);
    }

    #[test]
    fn every_metric_can_be_measured() {
        let quantiles = Quantiles { count: 1, ..Quantiles::default() };
        let latency = LatencySet {
            send_lag: quantiles.clone(),
            connect: quantiles.clone(),
            queue_wait: quantiles.clone(),
            accept: quantiles.clone(),
            response: quantiles,
        };
        let inheritance = vec![found("listener", Finding::Ok)];
        let workers = WorkersResult { inheritance, sharing_cgroup: Some(0), ..trial().workers };
        let sessions = Some(SessionsResult::default());
        let trial = TrialResult { latency, workers, sessions, recovery_ns: vec![Some(1)], ..trial() };
        for metric in metrics() {
            assert!(measure(metric, &trial).is_ok(), "{metric}");
            assert_eq!(super::metric(&metric.name).as_ref(), Ok(metric));
        }
    }

    #[test]
    fn unknown_metrics_name_the_nearest() {
        assert_eq!(metric("colateral").expect_err("none").nearest.as_deref(), Some("collateral"));
        assert_eq!(metric("acept-p99").expect_err("none").nearest.as_deref(), Some("accept.p99"));
    }

    #[test]
    fn times_need_units_and_counts_have_none() {
        let error = |name, text| comparison(&metric(name).expect("one"), text).expect_err("wrong");
        assert!(error("accept.p99", "< 250").contains("`250` has no unit"));
        assert!(error("accept.p99", "0").contains("`0` has no unit"));
        assert!(error("accept.p99", "< fast").contains("is not a time"));
        assert!(error("lost", "< 250ms").contains("is a time"));
        assert!(error("lost", "few").contains("is no number"));
        assert!(error("lost", "-1").contains("is no number"));
        assert!(error("lost", "").contains("is no number"));
    }
}

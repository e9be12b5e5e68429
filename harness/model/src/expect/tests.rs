//! Expectations as files write them, against a trial with values.

use super::*;
use crate::metric::{metric, metrics};
use crate::recovery::Recovery;
use crate::result::{
    BooksResult, Check, CostMethod, CostResult, Given, InheritanceCheck, KernelResult, LatencySet,
    ListenerResult, Outage, PoolResult, Quantiles, Served, SessionsResult, SettledResult, SilentResult,
    TlsResult, WorkersResult,
};
use crate::violation::Unmeasured;
use crate::words::{Blame, Fate, Finding, Grade, Verdict};

fn listener(drops: Option<u32>) -> ListenerResult {
    ListenerResult { drops, ..ListenerResult::default() }
}

fn cost() -> CostResult {
    let method = CostMethod::Processes { within_ms: 10 }.into();
    CostResult { cpu_ns: 30_000_000, elapsed_ns: 0, method }
}

fn kernel() -> KernelResult {
    let listeners = vec![listener(Some(2)), listener(Some(1))];
    KernelResult { listen_overflows: 3, queue_max: 5, listeners, ..KernelResult::default() }
}

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
        mark: None,
        verdict: Verdict::Fail,
        violations: Vec::new(),
        violated: Vec::new(),
        foreseen: Vec::new(),
        reason: None,
        why: None,
        attempts: 20,
        fates: [(Fate::Served, 3), (Fate::Refused, 14), (Fate::NoReply, 1), (Fate::NotSent, 2)].into(),
        blame: [(Blame::Collateral, 14), (Blame::Poison, 1)].into(),
        collateral: [(Fate::Refused, 14)].into(),
        safe_to_retry: 14,
        ambiguous: 1,
        latency: LatencySet { accept, ..LatencySet::default() },
        sessions: None,
        silent: None,
        pool: None,
        endings: Default::default(),
        kernel: kernel(),
        outages: vec![
            Outage { start_ns: 10, end_ns: 500_000_010, attempts: 3 },
            Outage { start_ns: 600_000_000, end_ns: 700_000_000, attempts: 1 },
        ],
        phases: None,
        recovery_ns: Vec::new(),
        recoveries: vec![Recovery::Back { after_ns: 104_000_000 }, Recovery::Never],
        back_after_ns: None,
        tls: None,
        close_codes: Default::default(),
        client_addresses: 0,
        client_threads: None,
        watched_ns: 0,
        patience_ns: 0,
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
            orphans: Some(0),
            ..WorkersResult::default()
        },
        cost: Some(cost()),
        supervisor_ended: None,
        supervisor_stopped: false,
        books: BooksResult::Balanced,
        off: Vec::new(),
        losses: Vec::new(),
        causes: Vec::new(),
        timeline: Vec::new(),
        strip: Vec::new(),
        notes: Vec::new(),
        noted: Vec::new(),
        folder: String::new(),
        elapsed_ns: 0,
        advice: None,
        advised: None,
        remedies: Vec::new(),
        without_remedy: Default::default(),
        applied: Vec::new(),
        throughput_per_second: None,
    }
}

fn expectation(name: &str, text: &str) -> Expectation {
    let metric = metric(name).expect("a metric");
    let (comparison, value) = comparison(&metric, text).expect("a comparison");
    Expectation { metric, comparison, value }
}

fn said(expectations: &[Expectation], trial: &TrialResult) -> Vec<String> {
    check(expectations, trial).iter().map(Violation::to_string).collect()
}

#[track_caller]
fn check_one(name: &str, text: &str, violation: Option<&str>) {
    let violations = check(&[expectation(name, text)], &trial());
    assert_eq!(violations.first().map(Violation::to_string).as_deref(), violation);
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
        ("kernel.listener-drops", "3"),
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
    trial.recoveries.clear();
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
        said(&both, &trial),
        [
            "expected recovery.max < 1.00 s, not measured: there was no fault",
            "expected workers.leaked_fds = 0, not measured: the workers kept no ledger",
            "expected workers.share_max < 60, not measured: the workers kept no ledger",
            "expected cost.cpu < 1.00 s, not measured: /proc did not tell",
        ]
    );
    trial.workers = WorkersResult { ledger: true, ..WorkersResult::default() };
    let unshared = "expected workers.share_max < 60, not measured: no worker accepted anything";
    assert_eq!(said(&both[2..3], &trial), [unshared]);
    trial.recoveries.push(Recovery::Back { after_ns: 5 });
    assert_eq!(both[0].metric.measure(&trial), Ok(5));
}

#[test]
fn what_need_not_come_back_exceeds_no_time_and_what_is_not_back_every_one() {
    let times =
        [("recovery.max", "< 1s"), ("back_after", "<= 1s")].map(|(name, text)| expectation(name, text));
    let mut trial = trial();
    trial.recoveries = vec![Recovery::NotInterrupted];
    assert_eq!(said(&times, &trial), [] as [&str; 0]);
    let longer = expectation("recovery.max", "> 1ns");
    assert_eq!(
        said(&[longer], &trial),
        ["expected recovery.max > 1 ns, not measured: nothing was interrupted"]
    );
    trial.recoveries = vec![Recovery::NotInterrupted, Recovery::Never];
    trial.watched_ns = 10_000_000_000;
    let times =
        [&times[..], &[expectation("outage.max", "< 60s"), expectation("outage.max", "> 400ms")]].concat();
    assert_eq!(
        said(&times, &trial),
        [
            "expected recovery.max < 1.00 s, never recovered from fault 2 of 2",
            "expected back_after <= 1.00 s, not back within 10.0 s",
            "expected outage.max < 60.0 s, not over after 500 ms",
        ]
    );
    trial.back_after_ns = Some(1_030_000_000);
    assert_eq!(said(&times[1..2], &trial), ["expected back_after <= 1.00 s, measured 1.03 s"]);
    trial.workers.orphans = None;
    assert_eq!(said(&[expectation("workers.orphans", "0")], &trial).len(), 1);
}

fn found(finding: Finding) -> InheritanceCheck {
    InheritanceCheck { check: Check::Listener, finding, detail: Given::NothingElse.into() }
}

#[test]
fn drops_of_a_listener_that_counts_none_are_not_known() {
    let mut trial = trial();
    let expected = [expectation("kernel.listener_drops", "0")];
    trial.kernel.listeners = vec![listener(None)];
    let unknown =
        "expected kernel.listener_drops = 0, not measured: listeners of Unix sockets count no drops";
    assert_eq!(said(&expected, &trial), [unknown]);
    // Nobody listened, and nobody dropped anything.
    trial.kernel.listeners.clear();
    assert_eq!(said(&expected, &trial), [""; 0]);
}

#[test]
fn only_failed_checks_of_what_was_inherited_count() {
    let mut trial = trial();
    let failures = metric("workers.conformance-failures").expect("a metric");
    assert_eq!(failures.measure(&trial), Err(Unmeasured::NoInheritance));
    let findings = [Finding::Failed, Finding::Ok, Finding::Noted, Finding::NotKnown, Finding::Failed];
    trial.workers.inheritance = findings.map(found).to_vec();
    assert_eq!(failures.measure(&trial), Ok(2));
}

#[test]
fn what_is_left_is_known_where_it_was_looked_at_and_descriptors_where_they_could_be_read() {
    let mut trial = trial();
    let gained = metric("supervisor.descriptors-gained").expect("a metric");
    assert_eq!(gained.measure(&trial), Err(Unmeasured::NotSettled));
    let settled =
        SettledResult { descriptors_before: None, descriptors: Some(9), ..SettledResult::default() };
    trial.workers.settled = Some(settled);
    assert_eq!(gained.measure(&trial), Err(Unmeasured::NoProc));
    trial.workers.settled = Some(SettledResult { descriptors_before: Some(7), ..settled });
    assert_eq!(gained.measure(&trial), Ok(2));
}

#[test]
fn a_new_version_that_never_answered_is_not_the_newest() {
    let mut trial = trial();
    trial.versions.pop();
    let expected = [expectation("versions.newest", "2")];
    assert_eq!(said(&expected, &trial), ["expected versions.newest = 2, measured 1"]);
    trial.versions.clear();
    let unknown = "expected versions.newest = 2, not measured: no reply named a version";
    assert_eq!(said(&expected, &trial), [unknown]);
}

#[test]
fn every_metric_can_be_measured() {
    let quantiles = Quantiles { count: 1, ..Quantiles::default() };
    let latency = LatencySet {
        tls: quantiles.clone(),
        send_lag: quantiles.clone(),
        connect: quantiles.clone(),
        queue_wait: quantiles.clone(),
        accept: quantiles.clone(),
        response: quantiles,
    };
    let inheritance = vec![found(Finding::Ok)];
    let descriptors = Some(7);
    let settled = SettledResult { descriptors_before: descriptors, descriptors, ..SettledResult::default() };
    let settled = Some(settled);
    let workers = WorkersResult { inheritance, sharing_cgroup: Some(0), settled, ..trial().workers };
    let sessions = Some(SessionsResult::default());
    let silent = Some(SilentResult::default());
    let trial = TrialResult {
        latency,
        workers,
        sessions,
        silent,
        tls: Some(TlsResult::default()),
        pool: Some(PoolResult::default()),
        recoveries: vec![Recovery::Back { after_ns: 1 }],
        back_after_ns: Some(1),
        ..trial()
    };
    for one in metrics() {
        assert!(one.measure(&trial).is_ok(), "{one}");
        assert_eq!(metric(one.name).as_ref(), Ok(one));
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

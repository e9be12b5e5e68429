//! Gates of runs whose trials are made by hand.

use std::collections::BTreeSet;

use super::*;
use crate::reason::Reason;
use crate::result::{Manifest, Outage, RunResult, TrialResult};
use crate::summary::{TrialName, not_run};
use crate::words::{Blame, Fate, Grade};

const MS: u64 = 1_000_000;

/// What one trial shows.
#[derive(Clone, Copy)]
struct Shown {
    lost: u64,
    outage_ms: u64,
    grade: Grade,
}

const FINE: Shown = Shown { lost: 0, outage_ms: 100, grade: Grade::Held };

fn trial(supervisor: &str, repetition: u32, shown: Shown) -> TrialResult {
    let name = TrialName {
        supervisor: supervisor.to_owned(),
        supervisor_version: String::new(),
        scenario: "crash".to_owned(),
        repetition,
        folder: format!("{supervisor}-{repetition}"),
        applied: Vec::new(),
    };
    let mut trial = not_run(&name, Reason::Interrupted);
    trial.grade = shown.grade;
    trial.attempts = 100;
    trial.fates = [(Fate::Served, 100 - shown.lost), (Fate::NoReply, shown.lost)].into();
    trial.blame = [(Blame::Collateral, shown.lost)].into();
    // Some per cent more or less from one repetition to the next.
    let end_ns = (shown.outage_ms + u64::from(repetition * 7 % 5)) * MS;
    trial.outages = vec![Outage { start_ns: 0, end_ns, attempts: 1 }];
    trial
}

fn run(web: &[Shown]) -> RunResult {
    let trials = (0..).zip(web).flat_map(|(repetition, shown)| {
        [trial("web", repetition, *shown), trial("reference", repetition + 3, FINE)]
            .map(|trial| TrialResult { repetition, ..trial })
    });
    RunResult {
        schema: crate::result::SCHEMA.to_owned(),
        manifest: Manifest { reference: Some("reference".to_owned()), ..Manifest::example() },
        complete: true,
        trials: trials.collect(),
    }
}

fn gated() -> BTreeSet<String> {
    ["web".to_owned()].into()
}

fn baseline(web: &[Shown]) -> Baseline {
    let run = run(web);
    Baseline {
        schema: BASELINE_SCHEMA.to_owned(),
        made_with: MadeWith::of(&run.manifest, 15, "reference", vec!["crash".into()], vec!["web".into()]),
        policy: PolicyFile::default(),
        metrics: lines(&run, "reference", &gated()),
    }
}

fn policy(files: Vec<PolicyFile>) -> Policy {
    Policy { tolerance: None, files, today: Day::try_from("2026-06-15".to_owned()).expect("a day") }
}

fn judged(baseline: &Baseline, first: &[Shown], again: Option<&[Shown]>) -> Judged {
    judged_by(baseline, first, again, &policy(Vec::new()))
}

fn judged_by(baseline: &Baseline, first: &[Shown], again: Option<&[Shown]>, policy: &Policy) -> Judged {
    let (first, again) = (run(first), again.map(run));
    let (gated, scenarios) = (gated(), ["crash".to_owned()].into());
    let runs = Runs {
        first: &first,
        again: again.as_ref(),
        gated: &gated,
        scenarios: &scenarios,
        reference: "reference",
    };
    judge(baseline, &runs, policy)
}

fn lossy(lost: u64) -> Shown {
    Shown { lost, grade: Grade::Lossy, ..FINE }
}

fn slow(outage_ms: u64) -> Shown {
    Shown { outage_ms, ..FINE }
}

#[track_caller]
fn metrics(judged: &Judged) -> Vec<&str> {
    judged.result.regressions.iter().map(|finding| finding.metric.as_str()).collect()
}

#[test]
fn a_baseline_is_read_as_it_was_written_with_a_line_for_each_metric() {
    let baseline = baseline(&[FINE; 15]);
    let text = baseline.text();
    assert_eq!(Baseline::parse(&text).as_ref(), Ok(&baseline));
    let is_metric = |line: &&str| line.starts_with("{\"scenario\"");
    assert_eq!(text.lines().filter(is_metric).count(), baseline.metrics.len());
    let keys: Vec<_> = baseline.metrics.iter().map(Line::key).collect();
    assert!(keys.is_sorted() && keys.len() == 7, "{keys:?}");
    for (wrong, is) in [
        (text.replace("baseline/1", "baseline/2"), "schema"),
        (text[..text.len() / 2].to_owned(), "json"),
        (text.replace("\"tier\":\"count\"", "\"tier\":\"other\""), "json"),
        ("{}".to_owned(), "schema"),
    ] {
        let found = match Baseline::parse(&wrong) {
            Err(BaselineError::Schema(_)) => "schema",
            Err(BaselineError::Json(_)) => "json",
            Err(BaselineError::Empty) => "empty",
            Ok(_) => "read",
        };
        assert_eq!(found, is, "{wrong}");
    }
    let empty = Baseline { metrics: Vec::new(), ..baseline };
    assert_eq!(Baseline::parse(&empty.text()), Err(BaselineError::Empty));
}

#[test]
fn what_is_as_it_was_passes() {
    let judged = judged(&baseline(&[FINE; 15]), &[FINE; 5], None);
    assert_eq!(judged.result.verdict, GateVerdict::Pass);
    assert!(judged.doubtful.is_empty() && judged.result.compared == 7);
}

#[test]
fn one_loss_is_a_regression_at_once_where_the_baseline_excludes_it() {
    let first = [FINE, FINE, lossy(1), FINE, FINE];
    let judged = judged(&baseline(&[FINE; 15]), &first, None);
    assert_eq!((judged.result.verdict, metrics(&judged)), (GateVerdict::Fail, vec!["collateral"]));
    let finding = &judged.result.regressions[0];
    assert_eq!((finding.baseline, finding.measured), (Amount::Count(0), Amount::Count(1)));
    assert_eq!((finding.trial.as_str(), finding.confirmed), ("web-2", true));
}

#[test]
fn where_the_baseline_is_too_small_a_loss_is_in_doubt_and_more_of_them_are_not() {
    let small = baseline(&[FINE; 5]);
    let once = judged(&small, &[lossy(1), FINE, FINE, FINE, FINE], None);
    assert_eq!((once.result.verdict, once.doubtful.len()), (GateVerdict::Inconclusive, 1));
    let Doubt::FewInBaseline { count: 1, of: 500, needs } = once.result.undecided[0].because else {
        panic!("{:?}", once.result.undecided);
    };
    assert!((1490..1510).contains(&needs), "{needs}: three times as many");
    let calm = judged(&small, &[lossy(1), FINE, FINE, FINE, FINE], Some(&[FINE; 5]));
    assert_eq!(calm.result.verdict, GateVerdict::Inconclusive, "what was seen was seen");
    let more = judged(&small, &[lossy(1), FINE, FINE, FINE, FINE], Some(&[lossy(2); 5]));
    assert_eq!((more.result.verdict, metrics(&more)), (GateVerdict::Fail, vec!["collateral"]));
    let many = judged(&small, &[lossy(1); 5], None);
    assert_eq!(many.result.verdict, GateVerdict::Fail);
}

#[test]
fn what_was_lossy_before_may_vary_and_must_not_become_worse() {
    let before = baseline(&[lossy(10); 15]);
    assert_eq!(judged(&before, &[lossy(12); 5], None).result.verdict, GateVerdict::Pass);
    assert_eq!(judged(&before, &[FINE; 5], None).result.verdict, GateVerdict::Pass);
    let worse = judged(&before, &[lossy(30); 5], None);
    assert_eq!((worse.result.verdict, worse.doubtful.len()), (GateVerdict::Fail, 1));
    assert!(!worse.result.regressions[0].confirmed);
    let confirmed = judged(&before, &[lossy(30); 5], Some(&[lossy(30); 5]));
    assert!(confirmed.result.regressions.iter().any(|finding| finding.confirmed));
    let chance = judged(&before, &[lossy(30); 5], Some(&[lossy(10); 5]));
    assert_eq!((chance.result.verdict, chance.result.not_confirmed.len()), (GateVerdict::Pass, 1));
}

#[test]
fn a_time_fails_beyond_the_tolerance_and_only_where_a_rerun_agrees() {
    let before = baseline(&[FINE; 15]);
    assert_eq!(judged(&before, &[slow(115); 5], None).result.verdict, GateVerdict::Pass);
    let unconfirmed = judged(&before, &[slow(300); 5], None);
    assert_eq!(metrics(&unconfirmed), ["outage.max"]);
    assert!(!unconfirmed.doubtful.is_empty());
    let confirmed = judged(&before, &[slow(300); 5], Some(&[slow(300); 5]));
    assert_eq!(confirmed.result.verdict, GateVerdict::Fail);
    assert!(confirmed.result.regressions[0].confirmed);
    let Amount::Ratio(ratio) = confirmed.result.regressions[0].measured else { panic!("a time") };
    assert!((2.8..3.2).contains(&ratio), "{ratio}");
    let chance = judged(&before, &[slow(300); 5], Some(&[FINE; 5]));
    assert_eq!(chance.result.verdict, GateVerdict::Pass);
    let mut tolerant = policy(Vec::new());
    tolerant.tolerance = Some("300%".parse().expect("a tolerance"));
    assert_eq!(judged_by(&before, &[slow(300); 5], None, &tolerant).result.verdict, GateVerdict::Pass);
}

#[test]
fn a_time_that_is_little_beside_the_references_may_vary() {
    let before = baseline(&[slow(1); 15]);
    let more = judged(&before, &[slow(7); 5], None);
    assert_eq!(more.result.verdict, GateVerdict::Pass, "{:#?}", more.result);
    assert_eq!(judged(&before, &[slow(50); 5], None).result.verdict, GateVerdict::Fail);
}

#[test]
fn a_known_failure_is_let_pass_until_its_day() {
    let before = baseline(&[FINE; 15]);
    let known = |until: &str| PolicyFile {
        known: vec![Known {
            scenario: None,
            supervisor: Some("web".to_owned()),
            metric: Some("collateral".to_owned()),
            reason: "it is being mended".to_owned(),
            until: Day::try_from(until.to_owned()).expect("a day"),
        }],
        ..PolicyFile::default()
    };
    let first = [lossy(3); 5];
    let passes = judged_by(&before, &first, None, &policy(vec![known("2026-06-15")]));
    assert_eq!((passes.result.verdict, passes.result.known.len()), (GateVerdict::Pass, 1));
    let over = judged_by(&before, &first, None, &policy(vec![known("2026-06-14")]));
    assert_eq!(over.result.verdict, GateVerdict::Fail);
}

#[test]
fn what_says_nothing_is_no_pass() {
    let before = baseline(&[FINE; 15]);
    let doubt = |judged: &Judged| judged.result.undecided[0].because.clone();
    let unsupported = judged(&before, &[Shown { grade: Grade::Unsupported, ..FINE }; 5], None);
    assert_eq!(unsupported.result.verdict, GateVerdict::Inconclusive);
    assert!(matches!(doubt(&unsupported), Doubt::Unsupported { .. }) && unsupported.doubtful.is_empty());
    let vague = [Shown { grade: Grade::Inconclusive, ..FINE }; 5];
    let inconclusive = judged(&before, &vague, None);
    assert_eq!(inconclusive.result.verdict, GateVerdict::Inconclusive);
    assert_eq!(inconclusive.doubtful.len(), 1, "it is run again first");
    assert_eq!(judged(&before, &vague, Some(&[FINE; 5])).result.verdict, GateVerdict::Pass);
    let none = judged(&before, &[], None);
    assert_eq!((none.result.verdict, doubt(&none)), (GateVerdict::Inconclusive, Doubt::NotRun));
}

#[test]
fn new_and_missing_are_named_and_not_judged() {
    let mut before = baseline(&[FINE; 15]);
    for line in &mut before.metrics {
        line.scenario = "other".to_owned();
    }
    let judged = judged(&before, &[lossy(9); 5], None);
    assert_eq!(judged.result.verdict, GateVerdict::Pass);
    assert_eq!((judged.result.new.len(), judged.result.missing.len(), judged.result.compared), (1, 1, 0));
}

#[test]
fn tolerances_and_days_are_read() {
    for (text, limit) in [("25%", 1.25), ("0.5", 1.5), ("0%", 1.0)] {
        assert!((text.parse::<Tolerance>().expect("a tolerance").limit() - limit).abs() < 1e-9);
    }
    assert!(["", "x", "-5%", "20000%"].iter().all(|text| text.parse::<Tolerance>().is_err()));
    let day = |text: &str| Day::try_from(text.to_owned());
    assert!(day("2027-01-31").is_ok() && day("2027-1-31").is_err() && day("2027-13-01").is_err());
    let file = "tolerance = \"10%\"\n[[known]]\nreason = \"x\"\nuntil = \"2027-01-31\"\n[[tolerances]]\nmetric = \"outage.max\"\ntolerance = \"50%\"\n";
    let file: PolicyFile = toml::from_str(file).expect("right");
    let policy = policy(vec![file]);
    assert!((policy.tolerance_of(("a", "b", "outage.max")).limit() - 1.5).abs() < 1e-9);
    assert!((policy.tolerance_of(("a", "b", "recovery.max")).limit() - 1.1).abs() < 1e-9);
    assert!(toml::from_str::<PolicyFile>("tolerence = \"10%\"").is_err());
}

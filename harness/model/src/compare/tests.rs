//! Comparisons of runs whose trials are made by hand.

mod simulated;

use super::*;
use crate::reason::Reason;
use crate::result::{Outage, Quantiles};
use crate::summary::{TrialName, not_run};
use crate::words::{Blame, Fate};

const MS: u64 = 1_000_000;

fn run(trials: Vec<TrialResult>) -> RunResult {
    RunResult {
        schema: crate::result::SCHEMA.to_owned(),
        manifest: Manifest {
            sysctls: [("net.core.somaxconn".to_owned(), "4096".to_owned())].into(),
            ..Manifest::example()
        },
        complete: true,
        trials,
    }
}

/// A trial of 100 attempts with an outage of so many milliseconds, in which so many were lost.
fn trial(supervisor: &str, repetition: u32, outage_ms: u64, lost: u64) -> TrialResult {
    let name = TrialName {
        supervisor: supervisor.to_owned(),
        supervisor_version: String::new(),
        scenario: "crash".to_owned(),
        repetition,
        folder: String::new(),
        applied: Vec::new(),
    };
    let mut trial = not_run(&name, Reason::Interrupted);
    trial.grade = if lost > 0 { Grade::Lossy } else { Grade::Delayed };
    trial.attempts = 100;
    trial.fates = [(Fate::Served, 99 - lost), (Fate::NoReply, 1), (Fate::Refused, lost)].into();
    trial.blame = [(Blame::Poison, 1), (Blame::Collateral, lost)].into();
    trial.outages = vec![Outage { start_ns: 0, end_ns: outage_ms * MS, attempts: 1 }];
    let quantiles = Quantiles { count: 100, p50_ns: 100_000, p99_ns: outage_ms * MS, ..Quantiles::default() };
    trial.latency.accept = quantiles.clone();
    trial.latency.response = quantiles;
    trial
}

/// Ten repetitions that vary by some per cent.
fn repeated(supervisor: &str, outage_ms: u64, lost: u64) -> Vec<TrialResult> {
    let vary = [0, 3, 1, 4, 1, 5, 2, 0, 3, 2];
    (0..).zip(vary).map(|(repetition, more)| trial(supervisor, repetition, outage_ms + more, lost)).collect()
}

fn all(parts: Vec<Vec<TrialResult>>) -> RunResult {
    run(parts.into_iter().flatten().collect())
}

#[track_caller]
fn words(comparison: &Comparison, supervisor: &str, metric: &str) -> Words {
    let found = comparison.results.iter().find(|r| r.supervisor == supervisor && r.metric == metric);
    found.unwrap_or_else(|| panic!("no {metric} of {supervisor}")).words
}

#[test]
fn what_is_slower_faster_and_the_same_is_said() {
    let run = all(vec![
        repeated("a", 100, 0),
        repeated(&again("a"), 101, 0),
        repeated("b", 300, 0),
        repeated("c", 30, 0),
        repeated("d", 100, 0),
    ]);
    let comparison = within(&run, "a", &QUANTITIES);
    assert_eq!(words(&comparison, "b", "outage.max"), Words::Slower);
    assert_eq!(words(&comparison, "c", "outage.max"), Words::Faster);
    assert_eq!(words(&comparison, "d", "outage.max"), Words::Same);
    assert_eq!(words(&comparison, "b", "accept.p50"), Words::Same);
    assert!(comparison.results.iter().all(|r| r.supervisor != again("a") && r.noise.is_some()));
    for result in &comparison.results {
        let (ratio, corrected) = (result.ratio, result.corrected);
        assert!(corrected.low <= ratio.low && ratio.high <= corrected.high, "{result:?}");
        assert_eq!(result.words, Words::of(corrected.low, corrected.high, false));
    }
    let of_reference = comparison.losses.iter().find(|losses| losses.supervisor == "a").expect("its losses");
    assert_eq!((of_reference.lost, of_reference.of, &of_reference.against), (0, 2000, &None));
}

#[test]
fn losses_are_compared_and_hide_no_latency() {
    let run = all(vec![repeated("a", 100, 0), repeated("b", 100, 10)]);
    let comparison = within(&run, "a", &QUANTITIES);
    let lossy = comparison.losses.iter().find(|losses| losses.supervisor == "b").expect("its losses");
    let against = lossy.against.as_ref().expect("a comparison");
    assert_eq!((lossy.lost, lossy.of, against.words, against.estimate), (100, 1000, LossWords::More, None));
    let why = |metric: &str| {
        comparison.not_compared.iter().find(|not| not.metric == metric).map(|not| (not.whose, &not.because))
    };
    assert_eq!(why("accept.p99"), Some((Whose::Supervisor, &Because::Lost)));
    assert_eq!(words(&comparison, "b", "outage.max"), Words::Same);
}

#[test]
fn what_is_not_conclusive_is_left_out_and_said() {
    let mut trials = repeated("b", 100, 0);
    trials[3].grade = Grade::Inconclusive;
    let run = all(vec![repeated("a", 100, 0), trials]);
    let comparison = within(&run, "a", &QUANTITIES);
    assert_eq!(comparison.left_out.len(), 1);
    assert_eq!((comparison.left_out[0].grade, comparison.left_out[0].trials), (Grade::Inconclusive, 1));
    assert!(comparison.results.iter().all(|result| result.repetitions == 9));
    let single = run_of_one();
    let comparison = within(&single, "a", &QUANTITIES);
    assert!(comparison.results.is_empty());
    assert!(comparison.not_compared.iter().all(|not| not.because == Because::TooFew));
}

fn run_of_one() -> RunResult {
    run(vec![trial("a", 0, 100, 0), trial("b", 0, 300, 0)])
}

#[test]
fn two_runs_are_compared_and_what_differs_is_named() {
    let (old, mut new) =
        (all(vec![repeated("a", 100, 0)]), all(vec![repeated("a", 300, 0), repeated("b", 1, 0)]));
    new.manifest.kernel = "6.9".to_owned();
    new.manifest.sysctls.insert("net.core.somaxconn".to_owned(), "128".to_owned());
    let comparison = between(Named { name: "old", run: &old }, Named { name: "new", run: &new }, &QUANTITIES)
        .expect("in common");
    assert_eq!(words(&comparison, "a", "outage.max"), Words::Slower);
    let differing: Vec<&str> = comparison
        .warnings
        .iter()
        .filter_map(|warning| match warning {
            Warning::Differs { what, .. } => Some(what.as_str()),
            Warning::Incomplete { .. } | Warning::Restless { .. } | Warning::OnlyIn { .. } => None,
        })
        .collect();
    assert_eq!(differing, ["kernel", "net.core.somaxconn"]);
    assert!(comparison.warnings.iter().any(|w| matches!(w, Warning::OnlyIn { run, .. } if run == "new")));
    let other = all(vec![repeated("z", 100, 0)]);
    assert!(between(Named { name: "o", run: &old }, Named { name: "z", run: &other }, &QUANTITIES).is_none());
}

#[test]
fn a_run_that_is_cut_short_and_a_reference_that_is_restless_are_warned_of() {
    let mut run = all(vec![repeated("a", 100, 0), repeated(&again("a"), 200, 0), repeated("b", 100, 0)]);
    run.complete = false;
    let comparison = within(&run, "a", &QUANTITIES);
    assert!(comparison.warnings.iter().any(|warning| matches!(warning, Warning::Incomplete { .. })));
    let is_restless =
        |warning: &Warning| matches!(warning, Warning::Restless { metric, .. } if metric == "outage.max");
    assert!(comparison.warnings.iter().any(is_restless));
}

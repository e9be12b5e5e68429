//! What would have helped, and whether it does.

use holdline_model::result::{Change, TrialResult};
use holdline_model::words::Fate;

use super::{probe, service, trial_of};
use crate::common::{Place, read_result};

fn changes(trial: &TrialResult) -> Vec<&Change> {
    trial.remedies.iter().map(|remedy| &remedy.change).collect()
}

fn is_held(change: &Change) -> bool {
    matches!(change, Change::HoldListener { .. })
}

/// The trial of a step with its remedies.
fn remedied(place: &Place, step: &str) -> Option<TrialResult> {
    let trials = read_result(&place.path("out").join("run.json")).trials;
    trials.into_iter().find(|trial| trial.scenario == step && !trial.applied.is_empty())
}

#[test]
fn a_listener_that_is_held_by_another_is_proven_where_the_service_takes_it() {
    let place = Place::new();
    let service = service("probed.py");
    let (_, said, errors) =
        probe(&place, &["--prove-remedy"], &["python3", &service, "--work", "5", "127.0.0.1:8141"]);
    let killed = trial_of(&place, "killed");
    assert!(killed.collateral[&Fate::Refused] > 0, "{errors}");
    assert!(changes(&killed).into_iter().any(is_held), "{:?}", killed.remedies);
    let held = remedied(&place, "killed").unwrap_or_else(|| panic!("a trial with remedies: {said}{errors}"));
    assert!(held.applied.iter().any(is_held), "{:?}", held.applied);
    // Who was in the hands of the process that was killed is another matter.
    for fate in [Fate::Refused, Fate::QueueReset] {
        assert_eq!(held.collateral.get(&fate), None, "{said}");
    }
    assert!(held.fates[&Fate::Served] > killed.fates[&Fate::Served], "{said}");
    assert!(said.lines().any(|line| line.trim_start().starts_with("remedied")), "{said}");
    // Nothing was lost in these, so that there is nothing to prove.
    for calm in ["nothing", "frozen"] {
        assert_eq!((changes(&trial_of(&place, calm)), remedied(&place, calm)), (Vec::new(), None), "{calm}");
    }
}

#[test]
fn where_the_service_takes_no_listener_that_is_said_and_nothing_is_proven() {
    let place = Place::new();
    let talk = service("talk.py");
    let options = ["--send", "PING\\r\\n", "--expect", "HTTP/1.1 400", "--wait", "2s", "--prove-remedy"];
    let (_, said, errors) = probe(&place, &options, &["python3", &talk, "127.0.0.1:8142", "web"]);
    let held = remedied(&place, "killed").unwrap_or_else(|| panic!("a trial with remedies: {said}{errors}"));
    assert!(held.was_not_run(), "{:?}", held.why);
    assert!(said.contains("LISTEN_FDS"), "{said}");
}

#[test]
fn what_a_run_lost_is_proven_as_well_and_the_verdict_stays() {
    let place = Place::new();
    let arguments = [
        "run",
        "drain-none",
        "-s",
        "held-socket",
        "--prove-remedy",
        "--out",
        "out",
        "--show-progress",
        "none",
    ];
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // The scenario expects no loss, and what a remedy makes of it is another matter.
    assert_eq!(output.status.code(), Some(1), "{said}");
    let hasty = trial_of(&place, "drain-none");
    assert!(changes(&hasty).iter().any(|it| matches!(it, Change::Drain { .. })), "{:?}", hasty.remedies);
    let patient = remedied(&place, "drain-none").expect("a trial with remedies");
    assert_eq!(
        (patient.supervisor.as_str(), patient.collateral.len()),
        ("held-socket~remedied", 0),
        "{said}"
    );
    // What was recorded is shown again as it was.
    let again = place.holdline(&["report", "out", "--trials"]).output().expect("holdline runs");
    let shown = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(shown.contains("remedies (1 line)") && shown.contains("remedies that were applied"), "{shown}");
}

//! Trials in tests written in Rust: what is held passes, what is not fails with the report, and what could not
//! be measured is an error or a failure, never a pass.

#[path = "../examples/restart.rs"]
mod restart;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use holdline::testing::{Error, Measured, Trial};
use holdline_model::words::{Grade, Mark};

/// What the assertion that fails says.
fn failure(assert: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(assert)).expect_err("it holds");
    *payload.downcast::<String>().expect("a message")
}

/// The only trial's grade and mark.
fn graded(measured: &Measured) -> (Grade, Option<Mark>) {
    let [trial] = measured.trials() else { panic!("{} trials", measured.trials().len()) };
    (trial.grade, trial.mark)
}

#[test]
fn the_example_holds() {
    restart::main().expect("it is measured");
}

#[test]
fn what_is_lost_fails_with_the_report() {
    let measured = Trial::of("crash").on("restart-loop").seed(7).run().expect("it is measured");
    assert_eq!(graded(&measured), (Grade::Lossy, None));
    assert_eq!(measured.result().manifest.seed, 7);
    let said = failure(|| _ = measured.assert_held());
    assert!(said.ends_with(measured.report()), "{said}");
    failure(|| _ = measured.assert_nothing_lost());
}

#[test]
fn what_is_not_installed_is_not_held() {
    let folder = tempfile::tempdir().expect("a folder");
    let description = folder.path().join("absent.toml");
    std::fs::write(&description, ABSENT).expect("a description");
    let measured = Trial::of("crash").on(&description).run().expect("a result");
    assert_eq!(graded(&measured).0, Grade::Unsupported);
    failure(|| _ = measured.assert_held());
    failure(|| _ = measured.assert_nothing_lost());
}

#[test]
fn a_fault_that_hit_nobody_shows_nothing() {
    let planted = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/planted");
    let scenario = planted.join("scenarios/poisoned-while-away.toml");
    let measured = Trial::of(scenario).on(planted.join("back-after-1s.toml")).run().expect("it is measured");
    assert_eq!(graded(&measured), (Grade::Lossy, Some(Mark::Unhit)));
    failure(|| _ = measured.assert_nothing_lost());
}

#[test]
fn every_scenario_is_run_on_every_supervisor_as_often_as_asked() {
    let place = tempfile::tempdir().expect("a folder");
    let trial = Trial::of("crash").and_of("inheritance").on("bare").on("held-socket").repetitions(2);
    let measured = trial.keep(place.path().join("kept")).run().expect("it is measured");
    assert_eq!(measured.trials().len(), 8);
    assert!(place.path().join("kept/run.json").is_file());
}

#[test]
fn a_wrong_name_is_refused_with_what_was_said() {
    let refused = Trial::of("crsh").run().expect_err("there is none");
    let Error::Refused { status, said, .. } = refused else { panic!("{refused}") };
    assert_eq!(status.code(), Some(2));
    assert!(said.contains("crash"), "{said}");
}

const ABSENT: &str = r#"
name = "absent"
about = "A supervisor that is not installed anywhere"
version = ["no-such-program-as-this", "--version"]
runs = ["command"]
socket = { holder = "supervisor", passing = "stdin" }
start = ["no-such-program-as-this"]
ready = { listening = true }
stop = { signal = "TERM", to = "supervisor" }
[control]
"#;

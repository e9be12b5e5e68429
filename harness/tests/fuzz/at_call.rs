//! Faults that strike at a call of the supervisor, which is held there.

use std::fs;

use holdline_model::result::{RunResult, TrialResult};

use crate::common::{Place, read_result};
use crate::racy;

/// A worker dies, and as the supervisor learns of it, it is asked to reload.
const RELOAD_AT_ITS_END: &str = r#"name = "reload-at-its-end"
asks = "What if it is asked to reload just as it has learned of an end?"
[workers]
count = 2
settle = "SETTLE"
[load]
arrivals = { constant = "100/s" }
duration = "1s"
send-lag = "5s"
timeout = "5s"
deadline = "5s"
[[fault]]
name = "death"
at = "100ms"
signal = { to = "worker", name = "KILL" }
[[fault]]
at = { after = "death", call = "wait4" }
control = "reload"
[expect]
"workers.settled" = 2
"#;

#[track_caller]
fn run(place: &Place, scenario: &str, arguments: &[&str]) -> (i32, RunResult) {
    fs::write(place.path("scenario.toml"), scenario).expect("a file");
    let all = [&["run", "scenario.toml", "--out", "out"], arguments].concat();
    let output = place.holdline(&all).output().expect("holdline runs");
    let exit = output.status.code().expect("an exit code");
    assert!(place.path("out/run.json").exists(), "{}", String::from_utf8_lossy(&output.stderr));
    (exit, read_result(&place.path("out/run.json")))
}

/// The lines of a trial's log that are an event or order of this name.
fn told(place: &Place, trial: &TrialResult, name: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(place.path("out").join(&trial.folder).join("events.jsonl")).expect("a log");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    lines.filter(|line: &serde_json::Value| line["event"] == name).collect()
}

/// The window is of 30 microseconds, and is met each time; a sound one stands it each time. Who has lost a worker for good
/// needs no time to settle.
#[test]
fn a_window_is_met_however_short_it_is() {
    for (supervisor, expected, settle) in [("distracted-briefly", 1, "500ms"), ("sound", 2, "20s")] {
        let place = Place::new();
        let scenario = RELOAD_AT_ITS_END.replace("SETTLE", settle);
        let (exit, result) = run(&place, &scenario, &["-s", &racy(supervisor), "-r", "5"]);
        let reasons: Vec<_> = result.trials.iter().filter_map(|trial| trial.reason.clone()).collect();
        assert_eq!(exit, i32::from(expected != 2), "{supervisor}: {reasons:?}");
        for trial in &result.trials {
            let settled = trial.workers.settled.as_ref().expect("it was looked");
            assert_eq!(settled.workers, expected, "{supervisor} {}: {:?}", trial.folder, trial.reason);
            let [reached] = &told(&place, trial, "call_reached")[..] else { panic!("{}", trial.folder) };
            let [left] = &told(&place, trial, "call_left")[..] else { panic!("{}", trial.folder) };
            let signalled = told(&place, trial, "fault");
            let at = |line: &serde_json::Value| line["at_ns"].as_i64().expect("an instant");
            // It struck while the supervisor stood still.
            assert!(signalled.iter().any(|line| line["fault"] == 1 && at(line) >= at(reached)));
            assert!(left["held_ns"].as_u64().expect("a time") > 0);
            assert!(!place.path("out").join(&trial.folder).join("calls.json").exists());
        }
    }
}

/// What does not come is not taken for what was stood; where that may be, it is noted.
#[test]
fn where_the_supervisor_does_not_come_nothing_is_concluded() {
    let never = RELOAD_AT_ITS_END
        .replace("SETTLE", "20s")
        .replace("call = \"wait4\"", "call = \"vfork\", nth = 1000");
    let place = Place::new();
    let (exit, result) = run(&place, &never, &["-s", &racy("sound")]);
    assert_eq!((exit, result.trials[0].reason.is_some()), (3, true));
    let place = Place::new();
    let optional = never.replace("nth = 1000", "nth = 1000, optional = true");
    let (exit, result) = run(&place, &optional, &["-s", &racy("sound")]);
    assert_eq!((exit, &result.trials[0].reason), (0, &None));
    assert!(told(&place, &result.trials[0], "call_reached").is_empty());
}

/// It is not held against it that it has not done what it was never asked for.
#[test]
fn a_supervisor_that_was_not_asked_to_scale_has_as_many_workers_as_before() {
    let place = Place::new();
    let scenario = RELOAD_AT_ITS_END
        .replace("SETTLE", "20s")
        .replace("call = \"wait4\"", "call = \"vfork\", nth = 1000, optional = true")
        .replace("control = \"reload\"", "control = { verb = \"scale\", workers = 1 }");
    let (exit, result) = run(&place, &scenario, &["-s", "held-socket"]);
    let settled = result.trials[0].workers.settled.as_ref().expect("it was looked");
    assert_eq!((exit, settled.workers, settled.wanted), (0, 2, Some(2)));
}

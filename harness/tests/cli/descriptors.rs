//! Limits of open descriptors that are lower than what the load would take.

use std::path::Path;
use std::process::{Command, Output};

use holdline_model::result::TrialResult;
use holdline_model::words::{Fate, Grade};

use crate::common::Place;
use crate::support::{alone, of, result};

/// More connections at once than any of the limits here allows, since nobody answers for a while.
const FROZEN: &str = r#"
name = "frozen"
asks = "?"
[load]
arrivals = { constant = "1000/s" }
duration = "1s"
timeout = "2s"
[[fault]]
at = "100ms"
pause = { whom = "workers" }
"#;

/// More at once than any machine bears.
const FLOOD: &str = r#"
name = "flood"
asks = "?"
[load]
arrivals = { constant = "20000/s" }
duration = "1s"
timeout = "3s"
in-flight = 100000
[workers]
work = "100ms"
"#;

/// Runs a scenario under a limit.
fn run(place: &Place, scenario: &Path, supervisor: &str, limit: u64) -> Output {
    Command::new("sh")
        .args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh", &limit.to_string()])
        .arg(env!("CARGO_BIN_EXE_holdline"))
        .args(["run", "-s", supervisor, "--out", "out"])
        .arg(scenario)
        .current_dir(place.path(""))
        .output()
        .expect("a shell")
}

/// What was sent is judged, what was not is counted with its cause, and no attempt is missing.
#[track_caller]
fn check(text: &str, supervisor: &str, limit: u64, attempts: u64) {
    let place = Place::new();
    let output = run(&place, &place.write("mine.toml", text), supervisor, limit);
    let run = result(&place.path("out"));
    let trial: &TrialResult = of(&run, supervisor);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        trial.fates.values().sum::<u64>(),
        attempts,
        "{supervisor} {limit}: {:?} {said}",
        trial.reason
    );
    let not_sent = trial.fates[&Fate::NotSent];
    assert!(not_sent > 0 && not_sent < attempts, "{supervisor} {limit}: {:?}", trial.fates);
    assert!(trial.books.is_balanced(), "{supervisor} {limit}: {}", trial.books);
    assert!(trial.grade != Grade::Inconclusive || output.status.code() == Some(3), "{:?}", output.status);
}

#[test]
fn what_lacks_a_descriptor_is_not_sent() {
    let _alone = alone();
    for limit in [64, 256] {
        check(FROZEN, "held-socket", limit, 1_000);
    }
    check(FROZEN, "prefork", 128, 1_000);
    check(FLOOD, "prefork", 128, 20_000);
}

#[test]
fn a_limit_that_is_too_low_for_any_load_is_named() {
    let place = Place::new();
    let output = run(&place, &place.write("mine.toml", FROZEN), "held-socket", 63);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("ulimit -n") && said.contains("63"), "{said}");
    assert!(!place.path("out").exists());
}

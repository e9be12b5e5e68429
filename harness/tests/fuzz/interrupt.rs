//! Ctrl-C ends with what is known.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::Place;
use crate::{kept, racy};

fn started(place: &Place, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_holdline"))
        .current_dir(place.path("."))
        .args(["fuzz", "--show-progress", "none", "--out", "out", "--export-json", "fuzz.json"])
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .expect("holdline")
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), Signal::SIGINT).expect("a signal");
}

/// Waits for what must come, for as long as the test may take.
fn wait_until(mut has_come: impl FnMut() -> bool) {
    while !has_come() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn json(place: &Place) -> serde_json::Value {
    let text = std::fs::read_to_string(place.path("fuzz.json")).expect("a result");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn before_anything_is_found_it_is_inconclusive() {
    let place = Place::new();
    let mut child = started(&place, &["-s", "held-socket", "--budget", "10min"]);
    wait_until(|| place.path("out/lane-0/trials").exists());
    interrupt(&child);
    assert_eq!(child.wait().expect("an end").code(), Some(3));
    assert_eq!(
        (&json(&place)["interrupted"], json(&place)["failures"].as_array().map(Vec::len)),
        (&true.into(), Some(0))
    );
}

#[test]
fn while_a_case_is_made_plainer_the_best_so_far_is_kept() {
    let place = Place::new();
    let supervisor = racy("drops-on-reload");
    let arguments = ["-s", &supervisor, "--invariant", "holds", "--save", "saved", "--budget", "10min"];
    let mut child = started(&place, &arguments);
    let saved = place.path("saved");
    wait_until(|| !kept(&saved).is_empty());
    interrupt(&child);
    assert_eq!(child.wait().expect("an end").code(), Some(1));
    let files = kept(&saved);
    assert_eq!(files.len(), 1, "{files:?}");
    let text = std::fs::read_to_string(&files[0]).expect("a case");
    holdline_model::scenario::parse(&text, "case").expect("a scenario");
    let failure = &json(&place)["failures"][0];
    assert_eq!(failure["invariant"], "holds");
    let named = Path::new(failure["scenario"].as_str().expect("a path"));
    assert_eq!(named.file_name(), files[0].file_name());
}

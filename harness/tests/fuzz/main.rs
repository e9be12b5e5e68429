//! `holdline fuzz`, against supervisors with planted faults and against sound ones.
//!
//! What is drawn, judged, shrunk and counted is tested with values in the model. Here it is shown that the whole finds
//! what was planted, and does not find what was not; the long versions, which take minutes, are ignored and run with
//! `cargo test -p holdline --test fuzz -- --ignored`.

#[path = "../common/mod.rs"]
mod common;

mod at_call;
mod bad_input;
mod interrupt;
mod planted;

use std::path::{Path, PathBuf};
use std::process::Output;

use holdline_model::fuzz::FuzzResult;

use crate::common::Place;

/// A supervisor of `fixtures/racy`.
fn racy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fixtures/racy/{name}.toml"));
    path.canonicalize().expect("a description").to_str().expect("UTF-8").to_owned()
}

/// What came of a fuzzing.
struct Fuzzed {
    result: FuzzResult,
    exit: i32,
    said: String,
}

/// Runs `holdline fuzz` in a place, and reads its result.
#[track_caller]
fn fuzz(place: &Place, arguments: &[&str]) -> Fuzzed {
    let output = holdline(place, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let exit = output.status.code().expect("an exit code");
    let text =
        std::fs::read_to_string(place.path("fuzz.json")).unwrap_or_else(|error| panic!("{error}: {said}"));
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["schema"], "holdline.fuzz/1");
    let schema = include_str!("../../../reports/schema/holdline.fuzz-1.json");
    let schema = jsonschema::validator_for(&serde_json::from_str(schema).expect("JSON")).expect("a schema");
    let errors: Vec<String> = schema.iter_errors(&json).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    Fuzzed { result: serde_json::from_value(json).expect("a result"), exit, said }
}

fn holdline(place: &Place, arguments: &[&str]) -> Output {
    let json = place.path("fuzz.json");
    let _ = std::fs::remove_file(&json);
    let out = place.path("out");
    let _ = std::fs::remove_dir_all(&out);
    let mut all = vec!["fuzz", "--show-progress", "none", "--export-json", "fuzz.json", "--out", "out"];
    all.extend(arguments);
    place.holdline(&all).output().expect("holdline runs")
}

/// The scenarios in a folder.
fn kept(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

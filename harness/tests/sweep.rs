//! What a sweep finds: the table of crash steps, and the map of system calls.

mod common;

use std::collections::BTreeSet;

use common::Place;
use holdline_model::sweep::{CellResult, Costs, SweepResult, SweepTarget};
use holdline_model::words::{CrashMode, CrashStep, Fate, Grade};
use jsonschema::Validator;
use serde_json::Value;

/// A sweep's result, held against its committed schema.
#[track_caller]
fn swept(place: &Place, supervisor: &str, arguments: &[&str]) -> SweepResult {
    let mut all = vec!["sweep", "-s", supervisor, "--out", "out", "--export-json", "sweep.json"];
    all.extend(arguments);
    let output = place.holdline(&all).output().expect("holdline runs");
    let text = std::fs::read_to_string(place.path("sweep.json"));
    let text = text.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let schema: Value =
        serde_json::from_str(include_str!("../../reports/schema/holdline.sweep-1.json")).expect("JSON");
    let schema: Validator = jsonschema::validator_for(&schema).expect("a schema");
    let wrong: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
    assert_eq!(wrong, Vec::<String>::new());
    serde_json::from_value(value).expect("a sweep")
}

/// The row of panics in the table of a worker: the part of the cells whose number is 1 modulo the number of modes.
fn panics(place: &Place, supervisor: &str) -> Vec<CellResult> {
    let slice = format!("slice:2/{}", CrashMode::ALL.len());
    let sweep = swept(place, supervisor, &["--target", "worker", "--partition", &slice]);
    assert!(
        sweep.cells.iter().all(|cell| cell.mode == CrashMode::Panic && cell.target == SweepTarget::Worker)
    );
    assert_eq!(sweep.cells.len(), CrashStep::ALL.len());
    sweep.cells
}

/// The steps at which the request that carries the fault is lost.
fn lose_their_own(cells: &[CellResult]) -> BTreeSet<CrashStep> {
    let carried = cells.iter().filter(|cell| cell.step.is_carried_by_request());
    carried.filter(|cell| cell.own_fate.is_some()).map(|cell| cell.step).collect()
}

#[test]
fn a_held_socket_loses_what_the_fault_hit_until_its_reply_is_written_and_nothing_else() {
    let cells = panics(&Place::new(), "held-socket");
    let until_written = [CrashStep::Accept, CrashStep::Read, CrashStep::Work, CrashStep::Reply];
    assert_eq!(lose_their_own(&cells), BTreeSet::from(until_written));
    for cell in &cells {
        assert!(cell.lost == 0 && cell.fates.is_empty(), "{cell:?}");
        assert!(!matches!(cell.costs, Costs::Listener | Costs::Service | Costs::Others), "{cell:?}");
    }
}

#[test]
fn a_loop_around_a_worker_that_binds_refuses_whenever_it_ends() {
    let cells = panics(&Place::new(), "restart-loop");
    for cell in cells.iter().filter(|cell| cell.step != CrashStep::Drain) {
        assert_eq!((cell.costs, cell.grade), (Costs::Listener, Grade::Lossy), "{cell:?}");
        assert!(cell.fates.get(&Fate::Refused).is_some_and(|n| *n > 0), "{cell:?}");
    }
}

//! What a sweep finds: the table of crash steps, and the map of system calls.

mod common;
#[path = "common/room.rs"]
mod room;

use std::collections::BTreeSet;

use common::{Place, read_result};
use holdline_model::sweep::{BoundaryResult, CellResult, Costs, SweepResult, SweepTarget, When};
use holdline_model::words::{CrashMode, CrashStep, Fate, Grade};
use jsonschema::Validator;
use room::Room;
use serde_json::Value;

impl Place {
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
}

/// A few sweeps at a time, which mostly wait: many would make a server late, and each of its trials again.
static MEASURING: Room = Room::of(3);

/// A sweep's result, held against its committed schema.
#[track_caller]
fn swept(place: &Place, supervisor: &str, arguments: &[&str]) -> SweepResult {
    let mut all = vec!["sweep", "-s", supervisor, "--out", "out", "--export-json", "sweep.json"];
    all.extend(arguments);
    let _place = MEASURING.enter();
    let output = place.holdline(&all).output().expect("holdline runs");
    let text = std::fs::read_to_string(place.path("sweep.json"));
    let text = text.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let schema: Value =
        serde_json::from_str(include_str!("../../reports/schema/holdline.sweep-1.json")).expect("JSON");
    let schema: Validator = jsonschema::validator_for(&schema).expect("a schema");
    let wrong: Vec<String> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
    assert_eq!(wrong, Vec::<String>::new());
    // All its trials are a run, from which reports can be made again.
    let run = read_result(&place.path("out/run.json"));
    assert!(run.complete && run.trials.iter().all(|trial| place.path("out").join(&trial.folder).is_dir()));
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

/// The request's life of a worker, call by call.
fn life_of_a_request(place: &Place, supervisor: &str, arguments: &[&str]) -> SweepResult {
    let mut all = vec!["--syscalls", "--target", "worker"];
    all.extend(arguments);
    let sweep = swept(place, supervisor, &all);
    assert!(
        sweep.cells.is_empty() && sweep.lives.iter().all(|life| life.reason.is_none()),
        "{:?}",
        sweep.lives
    );
    sweep
}

/// Where a boundary lies relative to the request that is in the worker's hands: after it was accepted, and before the
/// last byte of its reply was written.
fn is_in_its_hands(sweep: &SweepResult, at: &BoundaryResult) -> bool {
    let side = |name: &[&str], when: When| {
        let is_it = |other: &&BoundaryResult| name.contains(&other.call.as_str()) && other.when == when;
        sweep.boundaries.iter().filter(is_it).map(|other| (other.index, other.when)).collect::<Vec<_>>()
    };
    let accepted = side(&["accept", "accept4"], When::After);
    let written = side(&["write", "send", "sendto", "sendmsg"], When::Before);
    let place = (at.index, at.when);
    accepted.first().is_some_and(|first| *first <= place) && written.last().is_some_and(|last| place <= *last)
}

#[test]
fn a_kill_costs_a_connection_from_its_accept_to_its_last_write_and_the_listener_nowhere() {
    for worker in ["rust", "python"] {
        let sweep = life_of_a_request(&Place::new(), "held-socket", &["--worker", worker]);
        let reached: Vec<&BoundaryResult> = sweep.boundaries.iter().filter(|at| at.reached).collect();
        assert!(reached.len() >= 8, "{reached:#?}");
        for at in reached {
            let expected = if is_in_its_hands(&sweep, at) { Costs::Connection } else { Costs::Nothing };
            assert_eq!(at.costs, expected, "{worker}: {at:?}");
        }
        assert_eq!(sweep.windows.len(), 1, "{:#?}", sweep.windows);
    }
}

/// The description of a server that brings its own worker (`fickle/service.py`).
fn own(place: &Place, kind: &str) -> String {
    place.write("own/service.py", include_str!("fickle/service.py"));
    place.write(
        "own/supervisor.toml",
        &format!(
            "name = \"own\"\nabout = \"for this test\"\nversion = [\"python3\", \"--version\"]\n\
             runs = [\"itself\"]\nprotocol = \"http\"\nsocket = {{ holder = \"supervisor\", passing = \"own\" }}\n\
             start = [\"python3\", \"{{source}}/service.py\", \"{{address}}\", \"{kind}\", \"{{source}}\"]\n\
             stop = {{ signal = \"KILL\", to = \"group\" }}\n"
        ),
    );
    "./own".to_owned()
}

#[test]
fn a_call_that_does_not_come_again_is_said_not_to_and_the_others_are_found() {
    // Where the trial that records had to be repeated, the call was gone by then.
    let recorded = (0..3).find_map(|_| {
        let place = Place::new();
        let own = own(&place, "fickle");
        let sweep = life_of_a_request(&place, &own, &[]);
        sweep.boundaries.iter().any(|at| at.call == "umask").then_some(sweep)
    });
    let sweep = recorded.expect("a life with the call");
    let (fickle, others): (Vec<&BoundaryResult>, Vec<&BoundaryResult>) =
        sweep.boundaries.iter().partition(|at| at.call == "umask");
    assert_eq!(fickle.len(), 2, "{:#?}", sweep.boundaries);
    for at in fickle {
        assert!(!at.reached && at.costs == Costs::NotKnown && at.fate.is_none() && at.repeated > 0, "{at:?}");
    }
    // A place is known by the call before it, too: what came right behind that call is not found either.
    let is_behind = |at: &BoundaryResult| at.previous.as_deref() == Some("umask");
    assert!(others.iter().all(|at| at.reached != is_behind(at)), "{others:#?}");
    // From behind its accept to behind the read of its request.
    let costing = others.iter().filter(|at| at.costs == Costs::Connection);
    assert_eq!(costing.count(), 3, "{others:#?}");
}

#[test]
fn where_tracing_is_not_permitted_nothing_is_swept_and_it_is_said() {
    let place = Place::new();
    let own = own(&place, "traced");
    let arguments = ["sweep", "-s", &own, "--syscalls", "--target", "worker", "--out", "out"];
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("ptrace") && said.contains("EPERM"), "{said}");
}

#[test]
fn what_is_no_sweep_is_refused_and_nothing_is_started() {
    let place = Place::new();
    for (arguments, code) in [
        (&["sweep"][..], 2),
        (&["sweep", "crash", "-s", "bare"], 2),
        (&["sweep", "-s", "bare", "-s", "prefork"], 2),
        (&["sweep", "-s", "bare", "--target", "client"], 2),
        (&["sweep", "-s", "no-such-*"], 4),
    ] {
        let output = place.holdline(arguments).output().expect("holdline runs");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
    assert_eq!(place.path(".").read_dir().expect("a folder").count(), 0);
}

#[test]
fn who_is_not_there_or_does_not_serve_is_not_swept() {
    let place = Place::new();
    let description = |name: &str, more: &str| {
        format!(
            "name = \"{name}\"\nabout = \"for this test\"\nstart = [\"false\"]\n\
             socket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n{more}"
        )
    };
    place.write("absent/supervisor.toml", &description("absent", "version = [\"no-such-program-zz\"]\n"));
    place.write("ends/supervisor.toml", &description("ends", ""));
    for (supervisor, code) in [("./absent", 4), ("./ends", 3)] {
        let output =
            place.holdline(&["sweep", "-s", supervisor, "--syscalls"]).output().expect("holdline runs");
        assert_eq!(
            output.status.code(),
            Some(code),
            "{supervisor}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

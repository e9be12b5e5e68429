//! `holdline compare`: what is slower is called slower, what is the same is not called different, and what cannot
//! be compared is said.

use holdline_model::words::Grade;
use jsonschema::Validator;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::support::{Place, beside_others, beside_then_alone, stderr, stdout};

fn schema() -> Validator {
    let schema: Value =
        serde_json::from_str(include_str!("../../../reports/schema/holdline.compare-1.json")).expect("JSON");
    jsonschema::validator_for(&schema).expect("a schema")
}

#[track_caller]
fn read(place: &Place, name: &str) -> Value {
    let text = std::fs::read_to_string(place.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let errors: Vec<String> = schema().iter_errors(&value).map(|error| error.to_string()).collect();
    assert_eq!(errors, Vec::<String>::new());
    value
}

#[track_caller]
fn result<'a>(comparison: &'a Value, supervisor: &str, metric: &str) -> &'a Value {
    let results = comparison["results"].as_array().expect("results");
    let found = results.iter().find(|r| r["supervisor"] == supervisor && r["metric"] == metric);
    found.unwrap_or_else(|| panic!("no {metric} of {supervisor}: {comparison:#}"))
}

/// A supervisor that restarts its worker 600 ms later, and one that loses what comes meanwhile.
#[test]
fn a_slower_restart_and_losses_are_told_from_the_reference_and_recorded_runs_compare_alike() {
    beside_then_alone(slower_and_lossy);
}

fn slower_and_lossy() {
    let place = Place::new();
    let arguments = [
        "compare",
        "crash",
        "-s",
        "held-socket",
        "-s",
        "backoff",
        "-s",
        "restart-loop",
        "-r",
        "6",
        "--metric",
        "outage.max",
        "--out",
        "out",
        "--export-json",
        "c.json",
    ];
    let output = place.measure(&arguments);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{error}");
    let comparison = read(&place, "c.json");
    assert_eq!((&comparison["reference"], &comparison["repetitions"]), (&json!("held-socket"), &json!(6)));
    assert_eq!(result(&comparison, "backoff", "outage.max")["words"], "slower");
    for row in comparison["results"].as_array().expect("results") {
        assert!(row["noise"]["low"].as_f64() <= row["noise"]["high"].as_f64(), "{row}");
        assert!(row["corrected"]["low"].as_f64() <= row["ratio"]["low"].as_f64(), "{row}");
    }
    let losses = comparison["losses"].as_array().expect("losses");
    let of = |name: &str| losses.iter().find(|losses| losses["supervisor"] == name).expect("its losses");
    // On a machine that is busy with other tests a trial may be inconclusive, and does not count then.
    let run = crate::support::result(&place.path("out"));
    let counted = |name: &str| {
        let again = holdline_model::compare::again(name);
        let trials = run.trials.iter().filter(|trial| trial.supervisor == name || trial.supervisor == again);
        trials.filter(|trial| trial.grade != Grade::Inconclusive).map(|trial| trial.attempts).sum::<u64>()
    };
    for name in ["backoff", "held-socket"] {
        assert_eq!((&of(name)["lost"], &of(name)["of"]), (&json!(0), &json!(counted(name))), "{name}");
    }
    assert_eq!(of("restart-loop")["against"]["words"], "loses more");
    assert_eq!(read(&place, "out/compare.json"), comparison);
    // What was recorded is compared as it was when it had just been measured.
    let again = place
        .holdline(&["compare", "out", "--metric", "outage.max", "--export-json", "-"])
        .output()
        .expect("holdline runs");
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).expect("JSON"), comparison);
    let shown =
        place.holdline(&["compare", "out", "--metric", "outage.max"]).output().expect("holdline runs");
    assert!(stdout(&output).starts_with(&stdout(&shown)), "the same table");
    // A run against itself differs in nothing.
    place.holdline(&["compare", "out", "out", "--export-json", "same.json"]).assert().code(0);
    let same = read(&place, "same.json");
    assert!(same["results"].as_array().expect("results").iter().all(|row| {
        row["ratio"]["estimate"].as_f64().is_some_and(|ratio| (ratio - 1.0).abs() < 1e-9)
            && row["words"] != "slower"
            && row["words"] != "faster"
    }));
    assert_eq!(same["warnings"], json!([]));
    markdown_and_page(&place);
    differing_machines(&place);
}

fn markdown_and_page(place: &Place) {
    place
        .holdline(&["compare", "out", "--export-markdown", "c.md", "--export-html", "c.html"])
        .assert()
        .code(0);
    let page = std::fs::read_to_string(place.path("c.html")).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && !page.contains("http"), "{page}");
    assert!(std::fs::read_to_string(place.path("c.md")).expect("Markdown").contains("restart-loop"));
}

fn differing_machines(place: &Place) {
    let text = std::fs::read_to_string(place.path("out/run.json")).expect("a result");
    let mut run: Value = serde_json::from_str(&text).expect("JSON");
    run["manifest"]["kernel"] = json!("1.0-other");
    run["manifest"]["sysctls"]["net.core.somaxconn"] = json!("7");
    place.write("other/run.json", &run.to_string());
    let arguments = ["compare", "--as", "old=out", "--as", "new=other", "--export-json", "w.json"];
    let output = place.holdline(&arguments).output().expect("holdline runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let comparison = read(place, "w.json");
    assert_eq!(comparison["reference"], "old");
    let warned: Vec<&Value> =
        comparison["warnings"].as_array().expect("a list").iter().map(|w| &w["what"]).collect();
    assert_eq!(warned, [&json!("kernel"), &json!("net.core.somaxconn")]);
    assert!(stdout(&output).contains("1.0-other"));
}

/// As far as planted servers are measured exactly so, which a busy machine may not do: the run says which it was.
#[test]
fn contenders_run_side_by_side_where_they_are_asked_to() {
    beside_then_alone(side_by_side);
}

fn side_by_side() {
    let place = Place::new();
    let asked = ["compare", "crash-steps/accept-kill", "crash-steps/read-exit", "-r", "2"];
    let options =
        ["-s", "held-socket", "-s", "restart-loop", "--jobs", "2", "--jobs-for-times", "--out", "o"];
    let output = place.measure(&[&asked[..], &options].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = crate::support::result(&place.path("o"));
    let said_alone = stderr(&output).contains("one after the other");
    assert_eq!(run.manifest.jobs, if said_alone { 1 } else { 2 }, "{}", stderr(&output));
    // The reference runs twice, and each trial keeps its place in the plan, whichever ended first.
    assert_eq!(run.trials.len(), 2 * 3 * 2);
    let repetitions: Vec<u32> = run.trials.iter().map(|trial| trial.repetition).collect();
    assert!(repetitions.is_sorted(), "a repetition is a block: {repetitions:?}");
    let comparison = read(&place, "o/compare.json");
    let losses = comparison["losses"].as_array().expect("losses");
    let held: Vec<&Value> = losses.iter().filter(|row| row["supervisor"] == "held-socket").collect();
    assert!(!held.is_empty() && held.iter().all(|row| row["lost"] == 0), "{losses:#?}");
}

#[test]
fn one_supervisor_under_two_names_is_not_called_different() {
    beside_then_alone(two_names);
}

fn two_names() {
    let place = Place::new();
    let arguments =
        ["compare", "crash", "--as", "old=held-socket", "--as", "new=held-socket", "-r", "3", "--out", "o"];
    let output = place.measure(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let comparison = read(&place, "o/compare.json");
    assert_eq!(comparison["reference"], "old");
    let results = comparison["results"].as_array().expect("results");
    assert!(results.iter().all(|row| row["supervisor"] == "new"), "{comparison:#}");
    assert!(!results.is_empty());
}

#[test]
fn what_cannot_be_compared_is_said_before_anything_starts() {
    let place = Place::new();
    place.write("truncated/run.json", "{\"schema\": \"holdline.run/1\", \"man");
    place.write("newer/run.json", &recorded().replace("holdline.run/1", "holdline.run/9"));
    place.write("one/run.json", &recorded());
    place.write("foreign/run.json", &recorded().replace("\"supervisor\": \"", "\"supervisor\": \"x"));
    let cases: [(&[&str], i32, &str); 14] = [
        (&["truncated", "one"], 2, "truncated/run.json"),
        (&["one", "newer"], 2, "holdline.run/9"),
        (&["one", "foreign"], 2, "no trial in common"),
        (&["one", "crash"], 2, "crash"),
        (&["one", "one", "one"], 2, "one or two"),
        (&["one", "--reference", "nobody"], 2, "nobody"),
        (&["crash", "-s", "held-socket"], 2, "held-socket"),
        (&["crash", "-s", "bare", "-s", "backoff", "--reference", "held-soket"], 2, "held-socket"),
        (&["crash", "--as", "old"], 2, "NAME="),
        (&["crash", "--as", "a=bare", "--as", "a=backoff"], 2, "`a`"),
        (&["crash", "-s", "bare", "-s", "backoff", "--prove", "2"], 2, "--prove"),
        (&["throughput", "-s", "bare", "-s", "backoff", "--prove", "0.1"], 2, "-r"),
        (&["crash", "-s", "bare", "-s", "backoff", "--metric", "outage.mx"], 2, "outage.max"),
        (&["crash", "-s", "nothing-*"], 4, "nothing-*"),
    ];
    for (arguments, code, named) in cases {
        let mut all = vec!["compare"];
        all.extend(arguments);
        let output = place.holdline(&all).output().expect("holdline runs");
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(named), "{arguments:?}: {error}");
        assert!(!place.path("holdline-out").exists(), "{arguments:?}");
    }
    let unwritable = ["compare", "one", "one", "--export-json", "absent/x.json"];
    place.holdline(&unwritable).assert().code(2).stderr(contains("absent/x.json"));
    place.holdline(&["compare", "one", "one", "--export-json", "/dev/full"]).assert().code(5);
    place.holdline(&["compare", "one", "one", "--export-json", "/dev/stdout"]).assert().code(0);
}

#[test]
fn to_prove_a_rate_says_beforehand_what_it_takes() {
    let place = Place::new();
    let _beside = beside_others();
    let output = place
        .holdline(&["compare", "crash", "-s", "held-socket", "-s", "prefork", "--prove", "0.1", "--out", "o"])
        .output()
        .expect("holdline runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    let first = said.lines().next().expect("a line");
    // (1 − 0.1)^29 is just below 5 %, and a trial has twenty attempts.
    assert!(first.contains("29 attempts") && first.contains("2 repetitions"), "{first}");
    assert_eq!(read(&place, "o/compare.json")["repetitions"], 2);
}

fn recorded() -> String {
    include_str!("recorded/run.json").to_owned()
}

#[test]
fn a_reader_that_has_gone_and_supervisors_that_are_not_there() {
    let place = Place::new();
    place.write("one/run.json", &recorded());
    let closed = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!(
            "{} compare one one | head -c 1 >/dev/null; exit ${{PIPESTATUS:-0}}",
            env!("CARGO_BIN_EXE_holdline")
        ))
        .current_dir(place.path("."))
        .status()
        .expect("a shell");
    assert!(closed.success());
    place.write(
        "absent/supervisor.toml",
        &(crate::support::held_socket_from("absent") + "version = [\"no-such-zz\"]\n"),
    );
    place.write("absent/run.sh", "exit 3\n");
    let _beside = beside_others();
    place
        .holdline(&["compare", "crash", "-s", "bare", "-s", "./absent", "-r", "1", "--out", "o"])
        .assert()
        .code(4)
        .stdout(contains("absent").and(contains("unsupported")));
}

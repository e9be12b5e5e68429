//! What tells of holdline itself: lists, pages of the manual, hints, and what the environment says.

use std::process::Command;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use crate::support::{Place, beside_others, result, stderr, stdout};

fn json(place: &Place, arguments: &[&str]) -> Value {
    let output = place.holdline(arguments).output().expect("holdline runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).expect("JSON")
}

fn names(listed: &Value) -> Vec<&str> {
    let entries = listed.as_array().expect("a list").iter();
    entries.map(|entry| entry["name"].as_str().expect("a name")).collect()
}

#[test]
fn lists_are_json_as_the_schema_says_and_names_alone() {
    let place = Place::new();
    let schema: Value =
        serde_json::from_str(include_str!("../../../reports/schema/holdline.list-1.json")).expect("JSON");
    assert_eq!(json(&place, &["schema", "list"]), schema);
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    for (what, own, other) in
        [("scenarios", "scenarios", "supervisors"), ("supervisors", "supervisors", "scenarios")]
    {
        let listing = json(&place, &["list", what, "--json"]);
        let errors: Vec<String> = schema.iter_errors(&listing).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{what}: {errors:?}");
        assert_eq!(listing["schema"], "holdline.list/1");
        assert!(listing.get(other).is_none(), "{other} were not asked for");
        let output = place.holdline(&["list", what, "--names"]).output().expect("holdline runs");
        assert_eq!(stdout(&output).lines().collect::<Vec<_>>(), names(&listing[own]));
    }
    let both = json(&place, &["list", "--json"]);
    let crash = both["scenarios"].as_array().expect("a list").iter().find(|entry| entry["name"] == "crash");
    let crash = crash.expect("it is there");
    assert_eq!((&crash["attempts"], &crash["opt_in"]), (&20.into(), &false.into()));
    assert!(names(&both["supervisors"]).starts_with(&["bare", "restart-loop", "held-socket"]));
    place.holdline(&["list", "--json", "--names"]).assert().code(2);
}

#[test]
fn every_verb_has_a_page_that_groff_takes() {
    let place = Place::new();
    std::fs::create_dir(place.path("man1")).expect("a folder");
    place.holdline(&["man", "--all", "man1"]).assert().code(0);
    let mut pages = Vec::new();
    for entry in place.path("man1").read_dir().expect("a folder") {
        pages.push(entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    }
    for page in ["holdline.1", "holdline-run.1", "holdline-gate.1", "holdline-man.1"] {
        assert!(pages.iter().any(|found| found == page), "{page} is not among {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("__")), "{pages:?}");
    for page in &pages {
        let file = place.path("man1").join(page);
        let text = std::fs::read_to_string(&file).expect("a page");
        assert!(text.contains(".TH holdline") && text.contains(".SH EXAMPLES"), "{page}");
        // Debian has groff wherever it has man; what is not installed says nothing of the page.
        let Ok(groff) = Command::new("groff").args(["-man", "-Tutf8", "-ww"]).arg(&file).output() else {
            continue;
        };
        assert!(groff.status.success() && groff.stderr.is_empty(), "{page}: {}", stderr(&groff));
    }
    let whole = place.holdline(&["man"]).output().expect("holdline runs");
    let written = std::fs::read_to_string(place.path("man1/holdline.1")).expect("a page");
    assert_eq!(stdout(&whole), written);
    assert!(written.contains("EXIT STATUS") && written.contains("HOLDLINE_SEED"));
    place.holdline(&["man", "run"]).assert().code(0).stdout(contains("holdline\\-run"));
    place.holdline(&["man", "rnu"]).assert().code(2).stderr(contains("did you mean `run`?"));
    place.holdline(&["man", "--all", "absent"]).assert().code(5).stderr(contains("absent/holdline"));
}

#[test]
fn a_wrong_command_is_told_the_right_one() {
    let place = Place::new();
    for (words, hint) in [
        (vec!["rnu", "crash"], "`run`"),
        (vec!["compar", "-s", "bare"], "`compare`"),
        (vec!["lst", "--json"], "`list`"),
        (vec!["crsh"], "`crash`"),
    ] {
        let hint = contains(format!("did you mean {hint}?"));
        place.holdline(&words).assert().code(2).stderr(hint.and(contains("--help")));
    }
    let nothing_alike = contains("did you mean").not();
    place.holdline(&["zzzzzz"]).assert().code(2).stderr(nothing_alike.and(contains("zzzzzz")));
    place.holdline(&["run", "--sed", "1"]).assert().code(2).stderr(contains("--seed"));
    assert!(!place.path("holdline-out").exists());
}

#[test]
fn the_environment_stands_for_what_is_not_typed() {
    let place = Place::new();
    let _beside = beside_others();
    let run = |out: &str, more: &[&str]| {
        let mut command = place.holdline(&["run", "crash", "-s", "held-socket"]);
        command
            .args(more)
            .env("HOLDLINE_SEED", "7")
            .env("HOLDLINE_REPETITIONS", "2")
            .env("HOLDLINE_OUT", out);
        command
            .env("HOLDLINE_SHOW_PROGRESS", "none")
            .env("HOLDLINE_COLOR", "always")
            .env("HOLDLINE_WORKER", "");
        command.output().expect("holdline runs")
    };
    let output = run("env", &[]);
    assert!(output.stderr.is_empty(), "{}", stderr(&output));
    assert!(stdout(&output).contains('\u{1b}'));
    let set = result(&place.path("env"));
    assert_eq!((set.manifest.seed, set.trials.len()), (7, 2));
    run("unused", &["--seed", "9", "-r", "1", "--out", "typed"]);
    let typed = result(&place.path("typed"));
    assert_eq!((typed.manifest.seed, typed.trials.len()), (9, 1));
    assert!(!place.path("unused").exists());
}

#[test]
fn a_wrong_variable_is_named_and_an_empty_one_says_nothing() {
    let place = Place::new();
    for (name, value) in [
        ("HOLDLINE_SEED", "seven"),
        ("HOLDLINE_REPETITIONS", "0"),
        ("HOLDLINE_ISOLATION", "some"),
        ("HOLDLINE_PARTITION", "2/3"),
    ] {
        let mut run = place.holdline(&["run", "crash", "-s", "bare"]);
        run.env(name, value).assert().code(2).stderr(contains(format!("{name} is set")).and(contains(value)));
        place.holdline(&["list"]).env(name, "").assert().code(0);
    }
    place.holdline(&["list"]).env("HOLDLINE_SEED", "7").assert().code(0);
    let typed = contains("HOLDLINE_SEED is set").not();
    place.holdline(&["run", "--seed", "x"]).env("HOLDLINE_SEED", "7").assert().code(2).stderr(typed);
    assert!(!place.path("holdline-out").exists());
}

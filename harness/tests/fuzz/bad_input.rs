//! One clear error each, and the right exit code.

use std::path::Path;

use crate::common::Place;
use crate::holdline;

/// The exit code, and what was said.
#[track_caller]
fn refused(place: &Place, arguments: &[&str], code: i32, names: &[&str]) {
    let output = holdline(place, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.matches("error: ").count(), 1, "{said}");
    for name in names {
        assert!(said.contains(name), "{name} is not in: {said}");
    }
    assert!(!place.path("out").exists(), "a run that did not begin leaves nothing");
}

#[test]
fn an_impossible_budget_and_words_that_are_none_are_refused() {
    let place = Place::new();
    for (arguments, names) in [
        (["--budget", "10ms"], ["--budget", "too short"]),
        (["--budget", "0s"], ["--budget", "too short"]),
        (["--budget", "tomorrow"], ["--budget", "tomorrow"]),
        (["--budget", "9000h"], ["--budget", "30 days"]),
        (["--cases", "0"], ["--cases", "0"]),
        (["--aimed", "1.5"], ["--aimed", "1.5"]),
        (["--invariant", "hold"], ["--invariant", "holds"]),
    ] {
        refused(&place, &["-s", "held-socket", arguments[0], arguments[1]], 2, &names);
    }
    refused(&place, &["-s", "held*", "-s", "prefork"], 2, &["`held*`, `prefork`", "one is fuzzed at a time"]);
    refused(&place, &["-s", "bash-*"], 2, &["bash-*", "one"]);
    refused(&place, &["-s", "held-sockt"], 2, &["held-socket"]);
}

#[test]
fn what_only_runs_take_is_refused_with_the_reason_and_parts_have_their_share() {
    let place = Place::new();
    let held = ["-s", "held-socket"];
    for (arguments, code, names) in [
        (&["crash"][..], 2, ["own scenarios", "--save"]),
        (&["-r", "3"], 2, ["-r", "--cases"]),
        (&["--dry-run"], 2, ["--dry-run", "--cases 1"]),
        (&["--require", "prefork"], 2, ["--require", "prefork"]),
        (&["--partition", "slice:3/2"], 2, ["--partition", "slice:3/2"]),
        (&["--partition", "slice:2/2", "--cases", "1"], 4, ["--partition", "--cases"]),
    ] {
        refused(&place, &[&held[..], arguments].concat(), code, &names);
    }
}

const DESCRIPTION: &str = "name = \"web\"\nabout = \"x\"\n\
    socket = { holder = \"supervisor\", passing = \"stdin\" }\nready = { timeout = \"2s\" }\n";

#[test]
fn a_supervisor_that_does_not_come_up_is_named_with_its_reason() {
    let place = Place::new();
    std::fs::write(place.path("web.toml"), format!("{DESCRIPTION}start = [\"false\"]\n")).expect("a file");
    refused(&place, &["-s", "./web.toml"], 3, &["`web` does not come up even without a fault", "status 1"]);
    let missing = format!("{DESCRIPTION}start = [\"no-such-program\"]\nversion = [\"no-such-program\"]\n");
    std::fs::write(place.path("web.toml"), missing).expect("a file");
    refused(&place, &["-s", "./web.toml"], 4, &["`web` cannot be fuzzed", "no-such-program"]);
}

/// Both of the first trials take longer than the budget.
#[test]
fn a_budget_that_is_over_before_the_first_case_is_named() {
    let place = Place::new();
    let racy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/racy/racy.py");
    let start = format!(
        "start = [\"sh\", \"-c\", 'sleep 1; exec \"$@\"', \"sh\", \"python3\", \"-S\", \"{}\", \"sound\", \
         \"{{address}}\", \"{{backlog}}\", \"{{workers}}\", \"{{worker}}\"]\n",
        racy.display()
    );
    let description = DESCRIPTION.replace("\"2s\"", "\"20s\"");
    std::fs::write(place.path("web.toml"), format!("{description}{start}")).expect("a file");
    refused(&place, &["-s", "./web.toml", "--budget", "1s"], 3, &["--budget", "`web`"]);
}

#[test]
fn a_saved_case_that_is_wrong_or_no_longer_supported_is_named() {
    let place = Place::new();
    std::fs::create_dir(place.path("saved")).expect("a folder");
    let file = place.path("saved/old.toml");
    let load =
        "name = \"old\"\nasks = \"?\"\n[load]\narrivals = { constant = \"100/s\" }\nduration = \"1s\"\n";
    std::fs::write(&file, load.replace("constant", "constnt")).expect("a file");
    refused(&place, &["-s", "held-socket", "--save", "saved"], 2, &["old.toml", "constnt"]);
    std::fs::write(&file, format!("{load}[[fault]]\nat = \"1ms\"\ncontrol = \"upgrade-supervisor\"\n"))
        .expect("a file");
    let names = ["old.toml", "held-socket", "upgrade-supervisor"];
    refused(&place, &["-s", "held-socket", "--save", "saved"], 2, &names);
    refused(&place, &["-s", "held-socket", "--save", "saved/old.toml"], 2, &["old.toml", "folder"]);
}

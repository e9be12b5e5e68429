//! What is printed, as a whole: held against snapshots.
//!
//! `INSTA_UPDATE=always cargo test -p holdline --test cli printed::` writes them anew.

use std::path::Path;
use std::process::Output;

use crate::support::{Place, stderr, stdout};

const SCENARIO: &str =
    "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"10ms\" }\nattempts = 20\n";

/// Holds a text against the snapshot of this name. Where it differs the test fails, and writes no file
/// (`.config/insta.yaml`).
macro_rules! assert_printed {
    ($name:expr, $text:expr) => {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

#[track_caller]
fn printed(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    format!("{}{}", stdout(output), stderr(output))
}

#[test]
fn lists() {
    let place = Place::new();
    let all = |what| printed(&place.holdline(&["list", what]).output().unwrap(), 0);
    assert_printed!("list-scenarios", all("scenarios"));
    assert_printed!("list-supervisors", all("supervisors"));
}

#[test]
fn explanations() {
    let place = Place::new();
    for name in ["crash", "held-socket", "circus"] {
        let text = printed(&place.holdline(&["show", name]).output().unwrap(), 0);
        assert_printed!(format!("show-{name}"), text);
    }
}

#[test]
fn errors() {
    let place = Place::new();
    place.write("key.toml", &format!("{SCENARIO}deadlin = \"5ms\"\n"));
    place.write("long.toml", &format!("{SCENARIO}deadline = \"{}\"\n", "5".repeat(5_000)));
    place.write("out/report.html", "");
    place.write("s/supervisor.toml", "name = \"mine\"\nabout = \"x\"\nstrat = [\"true\"]\n");
    let cases: [(&str, &[&str], i32); 8] = [
        ("key", &["run", "./key.toml"], 2),
        ("long", &["run", "./long.toml"], 2),
        ("supervisor", &["show", "./s"], 2),
        ("name", &["run", "crsh"], 2),
        ("either", &["show", "held-sock"], 2),
        ("pattern", &["run", "-s", "nothing-*"], 4),
        ("out", &["-s", "bare", "--out", "./out"], 2),
        ("export", &["-s", "bare", "--junit", "absent/x.xml"], 2),
    ];
    for (name, arguments, code) in cases {
        let text = printed(&place.holdline(arguments).output().unwrap(), code);
        let text = text.replace(&*place.path("").canonicalize().unwrap().to_string_lossy(), "[place]");
        assert_printed!(format!("error-{name}"), text);
    }
}

/// A run that was recorded once, so that its times are the same for ever.
#[test]
fn the_table_of_a_run_and_its_trials() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/recorded");
    let recorded = recorded.to_str().expect("UTF-8");
    let place = Place::new();
    let report = |more: &[&str]| {
        let arguments = [&["report", recorded, "--color", "never"], more].concat();
        printed(&place.holdline(&arguments).output().unwrap(), 0)
    };
    assert_printed!("table", report(&[]));
    assert_printed!("trials", report(&["--trials"]));
}

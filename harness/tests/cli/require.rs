//! `--require`: what must run, and cannot.

use crate::common::{Place, read_result};

/// Whoever serves meets what it expects, however late on a busy machine.
const CALM: &str = r#"
name = "calm"
asks = "?"
[load]
arrivals = { constant = "100/s" }
attempts = 10
timeout = "10s"
deadline = "10s"
send-lag = "10s"
"#;

/// A folder with that scenario, and with a description of what is not installed.
fn place() -> Place {
    let place = Place::new();
    std::fs::write(place.path("calm.toml"), CALM).expect("a scenario");
    let absent = "name = \"gone\"\nabout = \"not here\"\nversion = [\"no-such-program-zz\", \"--version\"]\n\
        socket = { holder = \"supervisor\", passing = \"stdin\" }\nstart = [\"no-such-program-zz\"]\n";
    std::fs::write(place.path("gone.toml"), absent).expect("a description");
    place
}

/// Runs held-socket, which meets its expectations, and the absent one; returns exit code and JUnit.
fn run(place: &Place, require: &[&str]) -> (i32, String) {
    let common = ["run", "./calm.toml", "-s", "held-socket", "-s", "./gone.toml", "--show-progress", "none"];
    let mut arguments = common.to_vec();
    let out = require.join("-");
    let out = if out.is_empty() { "none" } else { &out };
    arguments.extend(["--out", out]);
    arguments.extend(require.iter().flat_map(|name| ["--require", name]));
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let junit = std::fs::read_to_string(place.path(out).join("junit.xml")).expect("a report");
    (output.status.code().expect("an exit code"), junit)
}

#[test]
fn what_is_required_and_cannot_run_fails_the_run_and_its_case() {
    let place = place();
    let (code, junit) = run(&place, &[]);
    assert!((code, junit.contains("<skipped")) == (0, true), "{code}: {junit}");
    for require in [&["all"][..], &["gone"], &["held-socket", "gone"]] {
        let (code, junit) = run(&place, require);
        assert!((code, junit.contains("type=\"required\"")) == (4, true), "{code}: {junit}");
    }
    let (code, junit) = run(&place, &["held-socket"]);
    assert!((code, junit.contains("<skipped")) == (0, true), "{code}: {junit}");
    let recorded = read_result(&place.path("all").join("run.json"));
    assert_eq!(recorded.manifest.required, ["held-socket", "gone"]);
}

#[test]
fn an_unknown_name_is_found_before_anything_starts() {
    let place = place();
    for name in ["held-sokcet", "circus", "gone,no-such"] {
        let arguments = ["run", "crash", "-s", "./gone.toml", "--require", name, "--out", "out"];
        place.holdline(&arguments).assert().code(2);
        assert!(!place.path("out").exists(), "{name}");
    }
}

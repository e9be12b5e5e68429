//! `holdline gate`: planted faults are caught, what is as it was is not, and what cannot be told is not a pass.

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;

use crate::support::{Place, beside_others, beside_then_alone, stderr, stdout};

/// Five hundred attempts, and a restart in their middle. A busy machine shall lose none.
const STORY: &str = "name = \"story\"\nasks = \"?\"\n[listen]\nbacklog = 1024\n[load]\n\
    arrivals = { constant = \"500/s\" }\nduration = \"1s\"\ntimeout = \"5s\"\ndeadline = \"2s\"\nsend-lag = \"2s\"\n\
    [[fault]]\nat = \"500ms\"\ncontrol = \"restart\"\n";

/// The service `web`, of a kind of `service.py`.
fn write_web(place: &Place, kind: &[&str]) {
    let words: Vec<String> = kind.iter().map(|word| format!("\"{word}\"")).collect();
    place.write("web/service.py", include_str!("../../../fixtures/planted/service.py"));
    place.write(
        "web/supervisor.toml",
        &format!(
            "name = \"web\"\nabout = \"planted\"\nversion = [\"python3\", \"--version\"]\ninstall = \"apt install python3\"\n\
             runs = [\"itself\"]\nprotocol = \"http\"\npoison = false\nsocket = {{ holder = \"worker\", passing = \"own\" }}\n\
             single-process = true\nstart = [\"python3\", \"{{source}}/service.py\", \"{{address}}\", {}]\n\
             ready = {{ listening = true, workers = false, timeout = \"30s\" }}\n\
             stop = {{ signal = \"INT\", to = \"supervisor\" }}\n[control]\n\
             restart = {{ signal = \"TERM\", to = \"supervisor\" }}\n",
            words.join(", ")
        ),
    );
}

#[track_caller]
fn save(place: &Place, repetitions: &str) {
    let arguments = ["gate", "--save-baseline", "b.json", "./story.toml", "-s", "./web", "-r", repetitions];
    let output = place.measure(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

/// What a gate of a service of this kind says, and its exit code.
#[track_caller]
fn gate(place: &Place, kind: &[&str], repetitions: &str, options: &[&str]) -> (i32, Value) {
    write_web(place, kind);
    let mut arguments = vec![
        "gate",
        "--baseline",
        "b.json",
        "-r",
        repetitions,
        "--export-json",
        "g.json",
        "--junit",
        "g.xml",
    ];
    arguments.extend(options);
    let output = place.measure(&arguments);
    let text =
        std::fs::read_to_string(place.path("g.json")).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let result: Value = serde_json::from_str(&text).expect("JSON");
    let schema: Value =
        serde_json::from_str(include_str!("../../../reports/schema/holdline.gate-1.json")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    assert!(schema.is_valid(&result), "{result:#}");
    (output.status.code().expect("an exit code"), result)
}

fn regressions(result: &Value) -> Vec<&str> {
    result["regressions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|found| found["metric"].as_str())
        .collect()
}

#[test]
fn planted_faults_are_caught_and_an_identical_build_is_not_alarmed() {
    beside_then_alone(planted_faults);
}

fn planted_faults() {
    let place = Place::new();
    place.write("story.toml", STORY);
    write_web(&place, &["loses", "0"]);
    save(&place, "6");
    let text = std::fs::read_to_string(place.path("b.json")).expect("a baseline");
    assert!(text.lines().filter(|line| line.contains("\"metric\":\"collateral\"")).count() == 1, "{text}");

    let (code, same) = gate(&place, &["loses", "0"], "2", &[]);
    assert_ne!(code, 1, "{same:#}");
    assert_eq!(regressions(&same), Vec::<&str>::new());

    for (kind, shows) in
        [(&["loses", "100"][..], "collateral"), (&["back", "0.002"], "kernel.listeners_closed")]
    {
        is_caught(&place, kind, shows);
    }
    let junit = std::fs::read_to_string(place.path("g.xml")).expect("JUnit");
    assert!(junit.contains("<failure"), "{junit}");
    updating_and_knowing(&place);
}

/// As above, of what takes more trials to lose: `cargo test -p holdline --test cli -- --ignored rarer`.
#[test]
#[ignore = "it takes two minutes more"]
fn rarer_planted_faults_are_caught() {
    let place = Place::new();
    place.write("story.toml", &STORY.replace("duration = \"1s\"", "duration = \"2s\""));
    write_web(&place, &["loses", "0"]);
    save(&place, "6");
    for kind in [&["loses", "1000"][..], &["cuts"]] {
        is_caught(&place, kind, "collateral");
    }
}

#[track_caller]
fn is_caught(place: &Place, kind: &[&str], shows: &str) {
    let (code, result) = gate(place, kind, "2", &[]);
    assert_eq!((code, &result["verdict"]), (1, &Value::from("fail")), "{kind:?}: {result:#}");
    assert!(regressions(&result).contains(&shows), "{kind:?}: {result:#}");
    let found = &result["regressions"][0];
    assert_eq!((&found["scenario"], &found["supervisor"]), (&"story".into(), &"web".into()));
    assert!(found["repeat"].as_str().is_some_and(|repeat| repeat.starts_with("holdline ")), "{found}");
}

/// With a service that has become worse, and a baseline that does not know it.
fn updating_and_knowing(place: &Place) {
    let before = std::fs::read_to_string(place.path("b.json")).expect("a baseline");
    let (code, _) = gate(place, &["loses", "100"], "2", &["--update-baseline"]);
    assert_eq!(code, 1);
    assert_eq!(std::fs::read_to_string(place.path("b.json")).expect("a baseline"), before);
    place.write(
        "gate.toml",
        "[[known]]\nsupervisor = \"web\"\nreason = \"planted\"\nuntil = \"2199-01-01\"\n",
    );
    let (code, result) = gate(place, &["loses", "100"], "2", &[]);
    assert_ne!(code, 1, "{result:#}");
    assert!(!result["known"].as_array().expect("a list").is_empty(), "{result:#}");
    std::fs::remove_file(place.path("gate.toml")).expect("it was there");
    let (code, _) = gate(place, &["loses", "100"], "2", &["--update-baseline", "--allow-regression"]);
    assert_eq!(code, 0);
    let after = std::fs::read_to_string(place.path("b.json")).expect("a baseline");
    assert_ne!(after, before);
    let (code, result) = gate(place, &["loses", "100"], "2", &[]);
    assert_ne!(code, 1, "it is in the baseline now: {result:#}");
}

/// A held socket above a worker that starts so much later than it is asked to.
fn write_held(place: &Place, sleep: &str) {
    place.write(
        "web/supervisor.toml",
        &format!(
            "name = \"web\"\nabout = \"planted\"\nsocket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n\
             start = [\"{{holdline}}\", \"__supervise\", \"held-socket\", \"--address\", \"{{address}}\", \
             \"--workers\", \"{{workers}}\", \"--\", \"sh\", \"-c\", 'sleep {sleep}; exec \"$0\" \"$@\"', \"{{worker}}\"]\n"
        ),
    );
}

/// A worker boots in 100 ms; with 200 ms before it, a restart takes three times as long.
#[test]
fn a_restart_three_times_slower_is_caught() {
    beside_then_alone(slower_restart);
}

fn slower_restart() {
    let place = Place::new();
    write_held(&place, "0");
    let saved = ["gate", "--save-baseline", "b.json", "crash", "-s", "./web", "-r", "10", "--out", "saved"];
    let output = place.measure(&saved);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    write_held(&place, "0.2");
    let held = ["gate", "--baseline", "b.json", "-r", "8", "--export-json", "g.json", "--out", "held"];
    let output = place.measure(&held);
    let text =
        std::fs::read_to_string(place.path("g.json")).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let result: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(output.status.code(), Some(1), "{result:#}");
    let found =
        result["regressions"].as_array().expect("a list").iter().find(|f| f["metric"] == "outage.max");
    let found = found.unwrap_or_else(|| panic!("{result:#}"));
    assert_eq!((&found["tier"], &found["confirmed"]), (&"time".into(), &true.into()));
    let ratio = found["measured"].as_f64().expect("a ratio") / found["baseline"].as_f64().expect("a ratio");
    assert!((1.25..8.0).contains(&ratio), "{ratio}");
}

#[test]
fn a_baseline_that_is_none_is_found_before_anything_starts() {
    let place = Place::new();
    let good = "{\"schema\":\"holdline.baseline/1\",\"made_with\":{\"holdline\":\"0\",\"started\":\"\",\"kernel\":\"\",\
        \"cpu_model\":\"\",\"cpus\":1,\"isolation\":\"full\",\"seed\":1,\"repetitions\":1,\"reference\":\"held-socket\",\
        \"scenarios\":[\"crash\"],\"supervisors\":[\"bare\"],\"sysctls\":{}},\"metrics\":[METRICS]}";
    let line = "{\"scenario\":\"SCENARIO\",\"supervisor\":\"bare\",\"metric\":\"collateral\",\"tier\":\"count\",\
        \"count\":0,\"of\":1,\"hit\":0,\"trials\":1,\"most\":0}";
    place.write("truncated.json", &good[..40]);
    place.write("newer.json", &good.replace("baseline/1", "baseline/9").replace("METRICS", ""));
    place.write("foreign.json", include_str!("recorded/run.json"));
    place.write("empty.json", &good.replace("METRICS", ""));
    place.write("other.json", &good.replace("METRICS", &line.replace("SCENARIO", "restart")));
    let fine = good.replace("METRICS", &line.replace("SCENARIO", "crash"));
    place.write("wrong/b.json", &fine);
    place.write("wrong/gate.toml", "[[known]]\nreason = \"x\"\nuntil = \"soon\"\n");
    place.write("gone.json", &fine.replace("\"bare\"", "\"no-such-supervisor\""));
    let cases: [(&[&str], i32, &str); 13] = [
        (&[], 2, "--save-baseline"),
        (&["--baseline", "absent.json"], 2, "absent.json"),
        (&["--baseline", "truncated.json"], 2, "truncated.json"),
        (&["--baseline", "newer.json"], 2, "holdline.baseline/9"),
        (&["--baseline", "foreign.json"], 2, "holdline.run/1"),
        (&["--baseline", "empty.json"], 2, "empty"),
        (&["--baseline", "other.json"], 2, "other.json"),
        (&["--baseline", "wrong/b.json"], 2, "soon"),
        (&["--baseline", "gone.json"], 2, "no-such-supervisor"),
        (&["--baseline", "other.json", "--tolerance", "much"], 2, "25%"),
        (&["--save-baseline", "absent/b.json", "crash", "-s", "bare"], 2, "absent"),
        (&["--save-baseline", "/proc/b.json", "crash", "-s", "bare"], 5, "/proc/b.json"),
        (&["--save-baseline", "b.json", "crash", "-s", "nothing-*"], 4, "nothing-*"),
    ];
    for (arguments, code, named) in cases {
        let mut all = vec!["gate"];
        all.extend(arguments);
        let output = place.holdline(&all).output().expect("holdline runs");
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(named), "{arguments:?}: {error}");
        assert!(!place.path("holdline-out").exists() && !place.path("b.json").exists(), "{arguments:?}");
    }
}

#[test]
fn what_was_measured_once_and_cannot_be_run_any_more_is_no_pass() {
    let place = Place::new();
    let _beside = beside_others();
    let arguments =
        ["gate", "--save-baseline", "b.json", "crash", "-s", "prefork", "-r", "2", "--out", "saved"];
    let output = place.holdline(&arguments).output().expect("holdline runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("b.json"));
    let text = std::fs::read_to_string(place.path("b.json")).expect("a baseline");
    place.write(
        "absent/supervisor.toml",
        &(crate::support::held_socket_from("absent") + "version = [\"no-such-zz\"]\n"),
    );
    place.write("absent/run.sh", "exit 3\n");
    place.write("b.json", &text.replace("\"prefork\"", "\"absent\""));
    place
        .holdline(&["gate", "--baseline", "b.json", "crash", "-s", "./absent", "-r", "1", "--out", "held"])
        .assert()
        .code(3)
        .stdout(contains("absent").and(contains("unsupported")));
}

//! Every command, and the files that a run leaves.

use std::collections::BTreeMap;

use std::os::unix::fs::PermissionsExt;

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use holdline_model::result::RunResult;
use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{Place, conclusive, conclusive_at_once, result, stdout};

#[test]
fn list_show_schema_and_completions_work() {
    let place = Place::new();
    place.holdline(&["list"]).assert().code(0).stdout(contains("crash").and(contains("held-socket")));
    place.holdline(&["list", "scenarios"]).assert().code(0).stdout(contains("held-socket").not());
    place.holdline(&["list", "supervisors"]).assert().code(0).stdout(contains("bash-loop"));
    place.holdline(&["show", "crash"]).assert().code(0).stdout(
        contains("Does the socket stay live").and(contains("with attempt 5")).and(contains("delayed")),
    );
    place.holdline(&["show", "held-socket"]).assert().code(0).stdout(contains("held by the supervisor"));
    place.holdline(&["show", "crash", "--file"]).assert().code(0).stdout(contains("[load]"));
    for what in ["scenario", "supervisor"] {
        let output = place.holdline(&["schema", what]).output().unwrap();
        let schema: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert!(schema["properties"]["name"].is_object(), "{what}");
    }
    for shell in ["bash", "zsh", "fish"] {
        place.holdline(&["completions", shell]).assert().code(0).stdout(contains("holdline"));
    }
    place.holdline(&["--version"]).assert().code(0).stdout(contains(env!("CARGO_PKG_VERSION")));
    place.holdline(&["--help"]).assert().code(0).stdout(contains("__worker").not());
}

#[test]
fn doctor_names_every_supervisor_and_the_sandbox() {
    let place = Place::new();
    let output = place.holdline(&["doctor"]).output().unwrap();
    let shown = stdout(&output);
    for needle in ["kernel", "isolation", "root", "privileged-port", "held-socket", "bash-loop", "Python"] {
        assert!(shown.contains(needle), "{needle} is not in\n{shown}");
    }
}

#[test]
fn doctor_says_what_is_missing_and_how_to_install_it() {
    let place = Place::new();
    // Nothing is found here but holdline itself, and a program that does not work.
    let program = place.write("catflap", "#!/bin/sh\necho no such library >&2\nexit 3\n");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("a mode");
    let output = place.holdline(&["doctor"]).env("PATH", place.path("")).output().unwrap();
    let shown = stdout(&output);
    let (_, table) = shown.split_once("\nSupervisors").expect("a table");
    let (table, sum) = table.split_once("\n\n").expect("a sum");
    let names: Vec<&str> = table
        .lines()
        .filter(|line| ["  ok", "  missing", "  broken"].iter().any(|state| line.starts_with(state)))
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert!(names.is_sorted() && names.len() >= 40, "{shown}");
    let indent = " ".repeat(38);
    let broken = format!(
        "  broken   catflap                    `catflap --version` ended with status 3: no such library\n\
         {indent}install it with: cargo install --locked catflap@1.2.0\n"
    );
    assert!(table.contains(&broken), "{shown}");
    for line in [
        format!("  ok       held-socket                holdline {}\n", env!("CARGO_PKG_VERSION")),
        "  missing  circus-fast                pip install circus==0.19.0\n".to_owned(),
        "  missing  systemfd                   cargo install --locked systemfd@0.4.6\n".to_owned(),
    ] {
        assert!(table.contains(&line), "{line:?} is not in\n{shown}");
    }
    assert!(table.contains("needs a private /run"), "{shown}");
    let there = table.lines().filter(|line| line.starts_with("  ok ")).count();
    assert!(sum.starts_with(&format!("{there} of {} supervisors installed; ", names.len())), "{sum}");
    assert!(sum.contains("fixtures/supervisors/install.sh"), "{sum}");
}

#[test]
fn calibration_reports_exactly_what_was_planted() {
    let place = Place::new();
    let output = place.holdline(&["doctor", "--calibrate"]).output().unwrap();
    let shown = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", crate::support::stderr(&output));
    assert!(!shown.contains("WRONG") && shown.contains("overflows that the kernel counted"), "{shown}");
}

#[test]
fn a_run_directory_holds_what_the_format_says_and_reports_the_same_again() {
    let place = Place::new();
    let exports = [
        "crash",
        "-s",
        "held-socket",
        "--export-json",
        "r.json",
        "--export-html",
        "r.html",
        "--export-markdown",
        "r.md",
        "--junit",
        "r.xml",
    ];
    let (output, run) = conclusive(&place, &exports);
    let shown = stdout(&output);
    let out = shown.lines().find_map(|line| line.strip_prefix("run directory: ")).expect("the run directory");
    let out = std::path::Path::new(out);
    assert_eq!(result(out), run);
    for (export, file) in
        [("r.json", "run.json"), ("r.html", "report.html"), ("r.md", "report.md"), ("r.xml", "junit.xml")]
    {
        let exported = std::fs::read_to_string(place.path(export)).unwrap();
        assert_eq!(exported, std::fs::read_to_string(out.join(file)).unwrap(), "{export}");
    }
    let folder = out.join(&run.trials[0].folder);
    for file in
        ["events.jsonl", "attempts.csv.gz", "kernel.csv", "supervisor.log", "latency.hlog", "accept.hgrm"]
    {
        assert!(std::fs::metadata(folder.join(file)).is_ok_and(|file| file.len() > 0), "{file}");
    }
    let again = place.holdline(&["report", out.to_str().unwrap()]).output().unwrap();
    let table = shown.split("run directory: ").next().unwrap();
    assert_eq!(stdout(&again), table, "byte for byte");
    place.holdline(&["report", out.to_str().unwrap(), "--trials"]).assert().code(0).stdout(contains("queue"));
    check_attempts(&folder, &run);
    check_histograms(&folder, &run);
}

fn check_attempts(folder: &std::path::Path, run: &RunResult) {
    let file = std::fs::File::open(folder.join("attempts.csv.gz")).unwrap();
    let mut csv = csv::Reader::from_reader(flate2::read::GzDecoder::new(file));
    let headers = csv.headers().unwrap().clone();
    let fate = headers.iter().position(|header| header == "fate").unwrap();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len() as u64, run.trials[0].attempts);
    for (word, count) in &run.trials[0].fates {
        let found = rows.iter().filter(|row| &row[fate] == word.as_str()).count() as u64;
        assert_eq!(found, *count, "{word}");
    }
}

/// Reads the histograms back as the standard tools do, and finds the quantiles of `run.json`.
fn check_histograms(folder: &std::path::Path, run: &RunResult) {
    let log = std::fs::read(folder.join("latency.hlog")).unwrap();
    let latency = &run.trials[0].latency;
    let mut seen: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
    for entry in IntervalLogIterator::new(&log) {
        let LogEntry::Interval(interval) = entry.expect("a readable log") else { continue };
        let tag = interval.tag().expect("a tag").as_str();
        let bytes = base64_decode(interval.encoded_histogram());
        let histogram: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        // Each latency has an interval for each 100 ms.
        match seen.get_mut(tag) {
            Some(sum) => sum.add(&histogram).expect("of one kind"),
            None => drop(seen.insert(tag.to_owned(), histogram)),
        }
    }
    assert_eq!(seen.len(), 5);
    for (tag, histogram) in seen {
        let (_, quantiles) = latency.named().into_iter().find(|(name, _)| *name == tag).expect("a latency");
        assert_eq!(histogram.len(), quantiles.count, "{tag}");
        if quantiles.count > 0 {
            assert!(histogram.equivalent(histogram.value_at_quantile(0.99), quantiles.p99_ns), "{tag}");
            assert!(histogram.equivalent(histogram.max(), quantiles.max_ns), "{tag}");
        }
        let text = std::fs::read_to_string(folder.join(format!("{tag}.hgrm"))).unwrap();
        assert!(text.contains("#[Mean"), "{tag}");
    }
}

fn base64_decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

#[test]
fn json_on_standard_output_is_json_alone() {
    let place = Place::new();
    let output = place
        .holdline(&["run", "-s", "prefork", "--export-json", "-", "--show-progress", "none"])
        .output()
        .unwrap();
    let run: RunResult = serde_json::from_str(&stdout(&output)).expect("nothing but JSON");
    assert_eq!(run.schema, "holdline.run/1");
    assert!(place.path("holdline-out/latest/run.json").exists());
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let places = [Place::new(), Place::new()];
    std::thread::scope(|scope| {
        for place in &places {
            scope.spawn(|| {
                let (_, run) = conclusive_at_once(place, &["crash", "-s", "bare", "-s", "prefork"]);
                assert!(run.trials.iter().all(|trial| trial.books.is_balanced()));
                assert_eq!(run.trials[0].fates[&holdline_model::words::Fate::Refused], 14);
            });
        }
    });
}

#[test]
fn colour_is_given_only_where_it_is_wanted() {
    let place = Place::new();
    let (output, _) = conclusive(&place, &["crash", "-s", "prefork", "--color", "never"]);
    assert!(!stdout(&output).contains('\u{1b}'));
    let (output, _) = conclusive(&Place::new(), &["crash", "-s", "prefork", "--color", "always"]);
    assert!(stdout(&output).contains('\u{1b}'));
    let place = Place::new();
    let forced =
        place.holdline(&["run", "-s", "prefork", "--out", "o"]).env("CLICOLOR_FORCE", "1").output().unwrap();
    assert!(stdout(&forced).contains('\u{1b}'));
}

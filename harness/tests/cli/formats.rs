//! FORMATS.md says what is in a run directory: every file, every column, every schema.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use holdline_model::words::{Blame, Fate, Retry};
use serde_json::Value;

use crate::support::{Place, beside_others, result, stderr, stdout};

const FORMATS: &str = include_str!("../../../reports/FORMATS.md");

/// What is between a heading and the next.
#[track_caller]
fn section(heading: &str) -> &'static str {
    let (_, rest) = FORMATS.split_once(&format!("{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    rest.split("\n#").next().expect("a part")
}

/// What the first cells of a section's table name.
fn named(section: &str) -> Vec<&str> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" | ").next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect()
}

fn text_of(path: &Path) -> String {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    match path.extension().is_some_and(|end| end == "gz") {
        true => flate2::read::GzDecoder::new(file).read_to_string(&mut text),
        false => std::io::BufReader::new(file).read_to_string(&mut text),
    }
    .expect("text");
    text
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = folder.read_dir().expect("a folder");
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect()
}

/// A scenario that leaves every file which a trial may leave, but for those of traced ones.
fn run(place: &Place) -> std::path::PathBuf {
    place.write(
        "x.toml",
        "name = \"x\"\nasks = \"?\"\n[kernel]\nsample-accepts = true\n[load]\narrivals = { sequential = \"5ms\" }\nattempts = 30\n\
         send-lag = \"4s\"\ndeadline = \"4s\"\n[[fault]]\nat = { attempt = 5 }\ncontrol = \"restart\"\n",
    );
    let _beside = beside_others();
    let run = ["run", "./x.toml", "-s", "held-socket", "--out", "out"];
    let output = place.holdline(&run).output().expect("holdline runs");
    let run = result(&place.path("out"));
    assert!(!run.trials[0].was_not_run(), "{}", stderr(&output));
    place.path("out").join(&run.trials[0].folder)
}

#[test]
fn every_file_and_column_is_in_the_document_and_no_other() {
    let place = Place::new();
    let trial = run(&place);
    let known: BTreeSet<&str> = named(section("## The run directory")).into_iter().collect();
    for file in names_in(&place.path("out")) {
        let is_known =
            known.contains(file.as_str()) || known.iter().any(|name| name.starts_with(&format!("{file}/")));
        assert!(is_known, "{file} of a run directory is not in FORMATS.md");
    }
    let known: BTreeSet<String> =
        named(section("## The folder of a trial")).into_iter().map(str::to_owned).collect();
    let found = names_in(&trial);
    let unknown: Vec<&String> = found.difference(&known).collect();
    assert!(unknown.is_empty(), "{unknown:?} of a trial's folder are not in FORMATS.md");
    // Those of commands that say something, of trials that are on, of traced ones, and of services of several programs.
    let absent: Vec<&String> = known.difference(&found).collect();
    let may_be = ["NAME.log", "calls.json", "control.log", "spec.json"];
    assert!(absent.iter().all(|file| may_be.contains(&file.as_str())), "{absent:?} are not there");
    for file in ["attempts.csv.gz", "kernel.csv", "accepts.csv.gz"] {
        let text = text_of(&trial.join(file));
        let columns: Vec<&str> = text.lines().next().expect("a header").split(',').collect();
        assert_eq!(named(section(&format!("### `{file}`"))), columns, "{file}");
        assert!(text.lines().count() > 1, "{file} has no row");
    }
    let attempts = section("### `attempts.csv.gz`");
    let words = Fate::ALL.iter().map(|word| word.as_str()).chain(Blame::ALL.iter().map(|word| word.as_str()));
    for word in words.chain(Retry::ALL.iter().map(|word| word.as_str())) {
        assert!(attempts.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn every_schema_is_printed_and_events_are_as_theirs_says() {
    let place = Place::new();
    let known = named(section("# Formats"));
    for what in [
        "scenario",
        "supervisor",
        "run",
        "plan",
        "events",
        "compare",
        "gate",
        "baseline",
        "fuzz",
        "sweep",
        "list",
    ] {
        let output = place.holdline(&["schema", what]).output().expect("holdline runs");
        assert_eq!(output.status.code(), Some(0), "{what}");
        let schema: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(known.contains(&what), "{what} is not in FORMATS.md");
    }
    let trial = run(&place);
    let schema = place.holdline(&["schema", "events"]).output().expect("holdline runs");
    let schema: Value = serde_json::from_str(&stdout(&schema)).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let events = text_of(&trial.join("events.jsonl"));
    assert!(events.lines().count() > 10);
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert!(schema.is_valid(&event), "{line}");
    }
    // What other tools get has the keys that the document names.
    for (file, heading, list) in
        [("hyperfine.json", "## hyperfine", "/results"), ("benchmark.json", "## github-action-benchmark", "")]
    {
        let value: Value = serde_json::from_str(&text_of(&place.path("out").join(file))).expect("JSON");
        let entries = value.pointer(list).and_then(Value::as_array).expect("a list");
        assert!(!entries.is_empty(), "{file}");
        for entry in entries {
            let keys = entry.as_object().expect("an object").keys();
            let unknown: Vec<&String> =
                keys.filter(|key| !named(section(heading)).contains(&key.as_str())).collect();
            assert!(unknown.is_empty(), "{file}: {unknown:?}");
        }
    }
}

//! `--dry-run`: what would run is told, and nothing is started.

use predicates::str::contains;

use crate::support::{Place, beside_others, result, stderr, stdout};

/// Scenario, supervisor and repetition of each trial that a dry run tells of, in their order.
#[track_caller]
fn planned(place: &Place, arguments: &[&str]) -> Vec<(String, String, u32)> {
    let output = place.holdline(arguments).arg("--dry-run").output().expect("holdline runs");
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
    assert!(!place.path("holdline-out").exists() && !place.path("out").exists(), "nothing is recorded");
    let shown = stdout(&output);
    let rows = shown.lines().skip(1).take_while(|line| !line.is_empty());
    let trial = |(row, number): (&str, usize)| {
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells[0], number.to_string(), "{row}");
        (cells[1].to_owned(), cells[2].to_owned(), cells[3].parse().expect("a repetition"))
    };
    rows.zip(1..).map(trial).collect()
}

#[test]
fn what_would_run_is_what_runs() {
    let place = Place::new();
    place.write(
        "x.toml",
        "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"1ms\" }\nattempts = 5\nsend-lag = \"4s\"\n",
    );
    let what = ["./x.toml", "-s", "prefork", "-s", "bare", "-r", "2", "--export-json", "r.json"];
    let run = [&["run"], &what[..]].concat();
    let told = planned(&place, &[&run[..], &["--out", "out"]].concat());
    assert_eq!(told.len(), 4);
    assert!(!place.path("r.json").exists());
    assert_eq!(planned(&place, &what), told, "`run` need not be said");
    let _beside = beside_others();
    let output = place.holdline(&run).args(["--out", "ran"]).output().expect("holdline runs");
    assert!(stderr(&output).contains("4 trials, about "), "{}", stderr(&output));
    let run = result(&place.path("ran"));
    let ran = run.trials.iter().map(|t| (t.scenario.clone(), t.supervisor.clone(), t.repetition + 1));
    assert_eq!(ran.collect::<Vec<_>>(), told);
    let part = [&what[..], &["--partition", "slice:2/2"]].concat();
    assert_eq!(planned(&place, &part), [told[1].clone(), told[3].clone()]);
}

#[test]
fn all_verbs_that_run_scenarios_tell() {
    let place = Place::new();
    let compared = planned(&place, &["compare", "crash", "-s", "bare", "-s", "prefork", "-r", "3"]);
    let again = compared.iter().filter(|(_, supervisor, _)| supervisor == "bare~again").count();
    assert_eq!((compared.len(), again), (9, 3));
    let gate = ["gate", "--save-baseline", "b.json", "crash", "-s", "bare", "-r", "2"];
    assert_eq!(planned(&place, &gate).len(), 4);
    assert!(!place.path("b.json").exists());
    let cells = planned(&place, &["sweep", "-s", "held-socket", "--target", "worker"]);
    let twice = planned(&place, &["sweep", "-s", "held-socket", "--target", "worker", "-r", "2"]);
    assert!(cells.len() > 20, "{cells:?}");
    assert_eq!(twice.len(), 2 * cells.len() - 1, "the calm trial is one");
    let lives = planned(&place, &["sweep", "-s", "held-socket", "--syscalls"]);
    assert!((2..cells.len()).contains(&lives.len()), "{lives:?}");
}

#[test]
fn what_cannot_run_is_said_and_what_is_wrong_is_found() {
    let place = Place::new();
    let dry = |arguments: &[&str]| place.holdline(arguments).arg("--dry-run").assert();
    // A supervisor without workers of its own has none that could be scaled.
    dry(&["run", "scale", "-s", "bare"]).code(0).stdout(contains("unsupported: "));
    dry(&["run", "crsh"]).code(2).stderr(contains("crash"));
    dry(&["run", "crash", "-s", "nothing-*"]).code(4);
    dry(&["run", "crash", "-s", "bare", "--partition", "slice:2/2"]).code(4);
    assert_eq!(place.path("").read_dir().expect("a folder").count(), 0);
}

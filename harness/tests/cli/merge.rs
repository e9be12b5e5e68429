//! `holdline merge`, and the parts that it joins.

use std::collections::BTreeSet;

use predicates::str::contains;

use crate::support::{Place, alone, result, stderr};

/// What of a run must come out of its parts: each trial, and how many attempts all had.
fn totals(run: &holdline_model::result::RunResult) -> (BTreeSet<(String, String, u32)>, u64) {
    let name =
        |t: &holdline_model::result::TrialResult| (t.scenario.clone(), t.supervisor.clone(), t.repetition);
    (run.trials.iter().map(name).collect(), run.trials.iter().map(|trial| trial.attempts).sum())
}

#[test]
fn a_matrix_in_three_parts_is_the_matrix_again() {
    let place = Place::new();
    let _alone = alone();
    let story = |name: &str| {
        format!(
            "name = \"{name}\"\nasks = \"?\"\n[load]\narrivals = {{ sequential = \"2ms\" }}\nattempts = 20\nsend-lag = \"4s\"\ndeadline = \"4s\"\n"
        )
    };
    place.write("x.toml", &story("x"));
    place.write("y.toml", &story("y"));
    let all = ["run", "./x.toml", "./y.toml", "-s", "held-socket", "-s", "prefork", "-r", "2", "--seed", "5"];
    let whole = place.holdline(&all).args(["--out", "whole"]).output().expect("holdline runs");
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    // As an indexed Job of Kubernetes would.
    for (index, kind) in [("0", None), ("1", None), ("2", Some("slice:3/3"))] {
        let mut command = place.holdline(&all);
        command.args(["--out", &format!("part{index}")]);
        match kind {
            Some(partition) => command.args(["--partition", partition]),
            None => command.env("JOB_COMPLETION_INDEX", index).env("JOB_COMPLETIONS", "3"),
        };
        let part = command.output().expect("holdline runs");
        assert_eq!(part.status.code(), Some(0), "{}", stderr(&part));
    }
    place.holdline(&["merge", "part2", "part0", "part1", "--out", "merged"]).assert().code(0);
    let merged = result(&place.path("merged"));
    assert!(merged.complete);
    assert_eq!(totals(&merged), totals(&result(&place.path("whole"))));
    assert_eq!(merged.manifest.planned, 8);
    assert!(
        merged.trials.iter().all(|trial| place
            .path("merged")
            .join(&trial.folder)
            .join("attempts.csv.gz")
            .exists())
    );
    place.holdline(&["report", "merged"]).assert().code(0);
    place
        .holdline(&["merge", "part0", "part2", "--out", "two"])
        .assert()
        .code(3)
        .stderr(contains("slice:2/3"));
    assert!(!result(&place.path("two")).complete);
    place
        .holdline(&["merge", "part0", "part1", "part0", "--out", "twice"])
        .assert()
        .code(2)
        .stderr(contains("part0"));
    assert!(!place.path("twice").exists());
    // Runs that have nothing to do with each other are repetitions more.
    place.holdline(&["merge", "whole", "part0", "--out", "more"]).assert().code(3);
    let more = result(&place.path("more"));
    assert_eq!(totals(&more).0.len(), 8 + result(&place.path("part0")).trials.len());
}

#[test]
fn an_index_without_completions_and_what_is_no_run_are_refused() {
    let place = Place::new();
    place.holdline(&["merge", "absent", "--out", "o"]).assert().code(2).stderr(contains("absent"));
    place
        .holdline(&["run", "crash", "-s", "bare"])
        .env("JOB_COMPLETION_INDEX", "7")
        .env("JOB_COMPLETIONS", "3")
        .assert()
        .code(2)
        .stderr(contains("JOB_COMPLETION_INDEX"));
    assert!(!place.path("holdline-out").exists() && !place.path("o").exists());
}

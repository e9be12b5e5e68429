//! `holdline merge`, and the parts that it joins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use holdline_model::result::{Quantiles, RunResult, TrialResult};
use holdline_reports::hdr::Log;
use predicates::str::contains;

use crate::support::{Place, beside_others, result, stderr};

/// What of a run must come out of its parts: each trial, and how many attempts all had.
fn totals(run: &RunResult) -> (BTreeSet<(String, String, u32)>, u64) {
    let name = |t: &TrialResult| (t.scenario.clone(), t.supervisor.clone(), t.repetition);
    (run.trials.iter().map(name).collect(), run.trials.iter().map(|trial| trial.attempts).sum())
}

#[test]
fn a_matrix_in_three_parts_is_the_matrix_again() {
    let place = Place::new();
    let story = |name: &str| {
        format!(
            "name = \"{name}\"\nasks = \"?\"\n[load]\narrivals = {{ sequential = \"2ms\" }}\nattempts = 20\nsend-lag = \"4s\"\ndeadline = \"4s\"\n"
        )
    };
    place.write("x.toml", &story("x"));
    place.write("y.toml", &story("y"));
    let all = ["run", "./x.toml", "./y.toml", "-s", "held-socket", "-s", "prefork", "-r", "2", "--seed", "5"];
    let whole = place.measure(&[&all[..], &["--out", "whole"]].concat());
    assert_eq!(whole.status.code(), Some(0), "{}", stderr(&whole));
    // As an indexed Job of Kubernetes would.
    for (index, kind) in [("0", None), ("1", None), ("2", Some("slice:3/3"))] {
        let mut command = place.holdline(&all);
        command.args(["--out", &format!("part{index}")]);
        match kind {
            Some(partition) => command.args(["--partition", partition]),
            None => command.env("JOB_COMPLETION_INDEX", index).env("JOB_COMPLETIONS", "3"),
        };
        let part = {
            let _beside = beside_others();
            command.output().expect("holdline runs")
        };
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

/// Every file below a folder, with what is in it.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in next.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").to_owned();
                found.insert(name, std::fs::read(&path).expect("a file"));
            }
        }
    }
    found
}

#[test]
fn histograms_add_and_all_files_of_the_parts_stay() {
    let place = Place::new();
    place.write(
        "x.toml",
        "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"2ms\" }\nattempts = 20\nsend-lag = \"4s\"\n\
         deadline = \"4s\"\n",
    );
    let all = ["run", "./x.toml", "-s", "held-socket", "-s", "prefork", "-r", "2"];
    for part in ["1", "2"] {
        let (out, partition) = (format!("part{part}"), format!("slice:{part}/2"));
        let output = place.measure(&[&all[..], &["--out", &out, "--partition", &partition]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    place.holdline(&["merge", "part1", "part2", "--out", "merged"]).assert().code(0);
    let parts = ["part1", "part2"].map(|part| (place.path(part), result(&place.path(part))));
    let merged = result(&place.path("merged"));
    for trial in &merged.trials {
        let same = |(dir, run): &(PathBuf, RunResult)| {
            let own = run.trials.iter().find(|own| {
                (&own.scenario, &own.supervisor, own.repetition)
                    == (&trial.scenario, &trial.supervisor, trial.repetition)
            })?;
            Some(files(&dir.join(&own.folder)))
        };
        let kept = parts.iter().find_map(same).expect("it is of a part");
        assert!(kept.contains_key(Path::new("latency.hlog")) && kept.contains_key(Path::new("events.jsonl")));
        assert!(files(&place.path("merged").join(&trial.folder)) == kept, "{}", trial.folder);
    }
    for (folder, supervisor) in [("0000-x-held-socket", "held-socket"), ("0001-x-prefork", "prefork")] {
        let folder = place.path("merged/joint").join(folder);
        let log = Log::read(&std::fs::read(folder.join("latency.hlog")).expect("a log")).expect("a log");
        let trials: Vec<&TrialResult> = merged.trials.iter().filter(|t| t.supervisor == supervisor).collect();
        assert_eq!((trials.len(), log.latencies.len()), (2, 5));
        for latencies in &log.latencies {
            let of = |trial: &TrialResult| {
                let named = trial.latency.named();
                named.into_iter().find(|(name, _)| *name == latencies.name).expect("a latency").1.clone()
            };
            let measured: Vec<Quantiles> = trials.iter().map(|trial| of(trial)).collect();
            let counts: u64 = measured.iter().map(|quantiles| quantiles.count).sum();
            let longest = measured.iter().map(|quantiles| quantiles.max_ns).max().expect("two");
            assert_eq!(latencies.histogram.len(), counts, "{}", latencies.name);
            assert!(latencies.histogram.equivalent(latencies.histogram.max(), longest), "{}", latencies.name);
            let text =
                std::fs::read_to_string(folder.join(format!("{}.hgrm", latencies.name))).expect("a file");
            assert!(text.contains(&format!("Total count    = {counts:12}")), "{text}");
        }
    }
    // What was damaged is said, and the rest is merged all the same.
    let log = place.path("part2").join(&parts[1].1.trials[0].folder).join("latency.hlog");
    std::fs::write(&log, "damaged").expect("a file");
    place
        .holdline(&["merge", "part1", "part2", "--out", "more"])
        .assert()
        .code(0)
        .stderr(contains("latency.hlog"));
    assert!(result(&place.path("more")).complete);
}

#[test]
fn parts_of_different_plans_are_not_taken_for_one_run() {
    let place = Place::new();
    let story =
        "asks = \"?\"\n[load]\narrivals = { sequential = \"1ms\" }\nattempts = 5\nsend-lag = \"4s\"\n";
    place.write("x.toml", &format!("name = \"x\"\n{story}"));
    place.write("y.toml", &format!("name = \"y\"\n{story}"));
    let part = |out: &str, partition: &str, scenarios: &[&str]| {
        let run = ["run", "-s", "prefork", "-r", "2", "--partition", partition, "--out", out];
        place.measure(&[&run[..], scenarios].concat());
    };
    part("one", "slice:1/2", &["./x.toml", "./y.toml"]);
    part("two", "slice:2/2", &["./y.toml", "./x.toml"]);
    place
        .holdline(&["merge", "one", "two", "--out", "both"])
        .assert()
        .code(2)
        .stderr(contains("different plans"));
    assert!(!place.path("both").exists());
}

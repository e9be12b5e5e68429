//! The first run that somebody makes: what is there to fail fails nothing, and says what it is.

use std::path::PathBuf;
use std::process::Output;

use holdline_model::words::{Grade, Verdict};

use crate::support::{Place, conclusive, of, result, stdout};

/// The part of the default run in which `bare` is, which nobody restarts: it is down on any machine.
fn part_with_bare(place: &Place) -> String {
    (1..=10)
        .map(|part| format!("slice:{part}/10"))
        .find(|part| {
            let shown = place.holdline(&["--dry-run", "--partition", part]).output().expect("a plan");
            stdout(&shown).contains(" bare ")
        })
        .expect("it is among them")
}

/// Where a run wrote.
fn directory(output: &Output) -> PathBuf {
    let shown = stdout(output);
    shown.lines().find_map(|line| line.strip_prefix("run directory: ")).expect("its line").into()
}

#[test]
fn what_is_there_to_fail_fails_only_where_it_is_named() {
    let place = Place::new();
    let (shown, run) = conclusive(&place, &["--partition", &part_with_bare(&place)]);
    let bare = of(&run, "bare");
    assert_eq!((bare.grade, bare.verdict), (Grade::Down, Verdict::Pass), "{:?}", bare.reason);
    assert!(bare.violations.is_empty() && bare.violated.is_empty());
    assert!(bare.foreseen.iter().any(|violation| violation.metric == "collateral"), "{:?}", bare.foreseen);
    assert_eq!(shown.status.code(), Some(0));
    // Nothing of it failed, whoever looks.
    let directory = directory(&shown);
    let directory = directory.to_str().expect("UTF-8");
    place.holdline(&["run", "--failed", directory]).assert().code(4);
    place.holdline(&["run", "--resume", directory]).assert().code(0);
    let place = Place::new();
    let (named, run) = conclusive(&place, &["crash", "-s", "bare"]);
    let bare = of(&run, "bare");
    assert_eq!((named.status.code(), bare.verdict), (Some(1), Verdict::Fail));
    assert!(bare.foreseen.is_empty() && !bare.violations.is_empty());
}

#[test]
fn it_goes_on_as_it_began() {
    let place = Place::new();
    let (shown, mut run) = conclusive(&place, &["--partition", &part_with_bare(&place)]);
    let directory = directory(&shown);
    // As a run that was killed before its only trial ended.
    run.trials.clear();
    run.complete = false;
    let cut = serde_json::to_string(&run).expect("JSON");
    let mut resumed = (0..3).map(|_| {
        std::fs::write(directory.join("run.json"), &cut).expect("a file");
        place
            .holdline(&["run", "--resume", directory.to_str().expect("UTF-8")])
            .output()
            .expect("holdline runs");
        result(&directory)
    });
    // A machine that is busy may leave it in doubt.
    let is_told = |run: &holdline_model::result::RunResult| of(run, "bare").grade != Grade::Inconclusive;
    let run = resumed.find(is_told).expect("one that is not in doubt");
    assert_eq!(of(&run, "bare").verdict, Verdict::Pass);
}

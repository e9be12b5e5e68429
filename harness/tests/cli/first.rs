//! The first run that somebody makes: what is there to fail fails nothing, and says what it is.

use holdline_model::words::{Grade, Verdict};

use crate::support::{Place, alone, of, result, stdout};

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

#[test]
fn what_is_there_to_fail_fails_only_where_it_is_named() {
    let place = Place::new();
    let part = part_with_bare(&place);
    let _alone = alone();
    let shown = place.holdline(&["--partition", &part, "--out", "first"]).output().expect("holdline runs");
    let run = result(&place.path("first"));
    let bare = of(&run, "bare");
    assert_eq!((bare.grade, bare.verdict), (Grade::Down, Verdict::Pass), "{:?}", bare.reason);
    assert!(bare.violations.is_empty() && bare.violated.is_empty());
    assert!(bare.foreseen.iter().any(|violation| violation.metric == "collateral"), "{:?}", bare.foreseen);
    assert_eq!(shown.status.code(), Some(0));
    // Nothing of it failed, whoever looks.
    place.holdline(&["run", "--failed", "first"]).assert().code(4);
    place.holdline(&["run", "--resume", "first"]).assert().code(0);
    let named = place.holdline(&["crash", "-s", "bare", "--out", "named"]).output().expect("holdline runs");
    let run = result(&place.path("named"));
    let bare = of(&run, "bare");
    assert_eq!((named.status.code(), bare.verdict), (Some(1), Verdict::Fail));
    assert!(bare.foreseen.is_empty() && !bare.violations.is_empty());
}

#[test]
fn it_goes_on_as_it_began() {
    let place = Place::new();
    let part = part_with_bare(&place);
    let _alone = alone();
    place.holdline(&["--partition", &part, "--out", "first"]).assert().code(0);
    // As a run that was killed before its only trial ended.
    let path = place.path("first/run.json");
    let mut run = result(&place.path("first"));
    run.trials.clear();
    run.complete = false;
    std::fs::write(&path, serde_json::to_string(&run).expect("JSON")).expect("a file");
    place.holdline(&["run", "--resume", "first"]).assert().code(0);
    assert_eq!(of(&result(&place.path("first")), "bare").verdict, Verdict::Pass);
}

//! What a crash loop costs, and what long scenarios are spared for.

use holdline_model::exit::Exit;
use predicates::str::contains;

use crate::support::{Place, conclusive, of, stdout};

#[test]
fn a_pause_between_restarts_saves_starts_and_cpu_and_the_report_shows_it() {
    let place = Place::new();
    let (output, run) = conclusive(&place, &["crash-loop", "-s", "held-socket", "-s", "backoff"]);
    let (held, backoff) = (of(&run, "held-socket"), of(&run, "backoff"));
    assert_eq!((held.workers.failed_starts, held.workers.starts), (20, 21), "{:?}", held.workers);
    assert!(backoff.workers.starts < 10, "{:?}", backoff.workers);
    assert_eq!(backoff.workers.failed_starts, backoff.workers.starts);
    let cpu_ns = |trial: &holdline_model::result::TrialResult| trial.cost.as_ref().expect("a cost").cpu_ns;
    assert!(cpu_ns(backoff) < cpu_ns(held), "{:?} {:?}", backoff.cost, held.cost);
    assert_eq!((&held.supervisor_ended, &backoff.supervisor_ended), (&None, &None));
    assert!(stdout(&output).contains("starts failed meanwhile"), "{}", stdout(&output));
    let dir =
        stdout(&output).lines().find_map(|line| line.strip_prefix("run directory: ").map(str::to_owned));
    let report = place.holdline(&["report", &dir.expect("its line"), "--trials"]).output().expect("a report");
    for needle in
        ["starts      21 during the load", "20 of them failed before they could accept", " of CPU in "]
    {
        assert!(stdout(&report).contains(needle), "{needle:?} is not in\n{}", stdout(&report));
    }
}

#[test]
fn a_supervisor_that_ended_is_said_to_have_ended() {
    let place = Place::new();
    let (_, run) = conclusive(&place, &["crash", "-s", "bare", "-s", "held-socket"]);
    assert_eq!(of(&run, "bare").supervisor_ended, Some(Exit::Status(101)));
    assert_eq!(of(&run, "held-socket").supervisor_ended, None);
}

#[test]
fn the_list_marks_what_runs_only_where_it_is_named() {
    let place = Place::new();
    let list = place.holdline(&["list", "scenarios"]).assert().success();
    list.stdout(contains("article-60s")).stdout(contains("runs only where it is named"));
    place
        .holdline(&["run", "article-*", "-s", "bare"])
        .assert()
        .code(4)
        .stderr(contains("no scenario matches"));
}

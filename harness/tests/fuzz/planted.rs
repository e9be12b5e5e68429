//! What was planted is found, and what was not is not.

use std::fs;

use holdline_model::fuzz::{Bound, Failure, Invariant};
use holdline_model::reason::Note;
use holdline_model::scenario::{self, Scenario};

use crate::common::{Place, read_result};
use crate::{Fuzzed, fuzz, kept, racy};

/// A scenario that was kept.
fn read(failure: &Failure) -> Scenario {
    let text = fs::read_to_string(&failure.scenario).expect("a case");
    scenario::parse(&text, &failure.scenario).expect("a scenario")
}

/// The failure of an invariant among those that were found.
#[track_caller]
fn found(fuzzed: &Fuzzed, invariant: Invariant) -> &Failure {
    let failure = fuzzed.result.failures.iter().find(|failure| failure.invariant == invariant);
    failure.unwrap_or_else(|| panic!("{:?}\n{}", fuzzed.result, fuzzed.said))
}

/// It is among the first cases: a verb by itself is one of those that only watch.
#[test]
fn a_failure_is_found_kept_and_tried_first_the_next_time() {
    let place = Place::new();
    let supervisor = racy("drops-on-reload");
    let options = ["-s", &supervisor, "--invariant", "holds", "--save", "saved", "--shrink", "1s"];
    let first = fuzz(&place, &[&options[..], &["--cases", "4"]].concat());
    assert_eq!(first.exit, 1, "{}", first.said);
    let failure = found(&first, Invariant::Holds);
    assert_eq!((failure.faults, failure.saved), (1, false));
    assert!(failure.rate.low <= failure.rate.failed as f64 / failure.rate.of as f64);
    let scenario = read(failure);
    assert!(!scenario.expect.is_empty() && scenario.faults.len() == 1);
    assert_eq!(kept(&place.path("saved")).len(), 1);

    // The trials that failed are there to be looked at.
    let evidence = read_result(&place.path("out/run.json")).trials;
    assert_eq!(evidence.len() as u64, failure.rate.failed);
    assert!(evidence.iter().all(|trial| place.path("out").join(&trial.folder).join("events.jsonl").exists()));

    // It is an ordinary scenario, whose own command shows what it says.
    let words = shlex::split(&failure.repeat).expect("a command");
    let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
    let run = place.holdline(&[&words[..], &["--out", "again"]].concat()).output().expect("holdline runs");
    assert_eq!(run.status.code(), Some(1), "{}", String::from_utf8_lossy(&run.stderr));

    let second = fuzz(&place, &[&options[..], &["--cases", "1"]].concat());
    assert_eq!((second.exit, second.result.saved), (1, 1), "{}", second.said);
    assert!(found(&second, Invariant::Holds).saved);
}

/// Its workers serve on, so that nothing else tells of it.
#[test]
fn one_that_stands_stopped_is_said_to() {
    let place = Place::new();
    let fuzzed = fuzz(
        &place,
        &["-s", &racy("stops-on-reload"), "--invariant", "lives", "--cases", "4", "--shrink", "1s"],
    );
    assert_eq!(fuzzed.exit, 1, "{}", fuzzed.said);
    let failure = found(&fuzzed, Invariant::Lives);
    // Asked by itself it always does. Where the machine was too busy for that case, one with another fault is found, behind which
    // it may not have been asked.
    let always = failure.rate.failed == failure.rate.of;
    assert!(failure.rate.failed > 0 && (always || failure.faults > 1), "{failure:?}");
    let scenario = read(failure);
    assert!(
        scenario.expect.iter().any(|line| line.to_string().contains("supervisor.stopped")),
        "{:?}",
        scenario.expect
    );
    let evidence = read_result(&place.path("out/run.json")).trials;
    for trial in &evidence {
        assert!(trial.supervisor_stopped && trial.supervisor_ended.is_none(), "{trial:?}");
        let says_so =
            |note: &Note| matches!(note, Note::StoodStopped { pids, supervises: true } if pids.len() == 1);
        assert!(trial.noted.iter().any(says_so), "{:?}", trial.noted);
        // It was let go on before it was asked to stop.
        assert!(!trial.noted.iter().any(|note| matches!(note, Note::Killed { .. })), "{:?}", trial.noted);
    }
}

#[test]
fn in_a_sound_one_nothing_is_found_and_the_bound_says_how_much_that_means() {
    let place = Place::new();
    let fuzzed = fuzz(&place, &["-s", "held-socket", "--cases", "12", "--seed", "7"]);
    let result = &fuzzed.result;
    assert_eq!((fuzzed.exit, &result.failures[..]), (0, &[][..]), "{}", fuzzed.said);
    assert_eq!(result.cases + result.inconclusive, 12);
    assert_eq!(result.bound, Bound::of(result.cases));
    assert!(result.invariants.iter().all(|count| count.violated == 0));
    assert!(place.path("out/fuzz.json").exists() && place.path("out/junit.xml").exists());
    let lanes = fs::read_dir(place.path("out")).expect("a folder").flatten();
    let lanes = lanes.filter(|entry| entry.file_name().to_string_lossy().starts_with("lane"));
    assert_eq!(lanes.count(), 0, "nothing is left of trials that tell nothing");
}

/// What is found in a planted supervisor within the budget that the documentation states, at a fixed seed.
#[track_caller]
fn is_found(name: &str, invariant: Invariant, faults_max: u32) -> Fuzzed {
    let place = Place::new();
    let fuzzed = fuzz(&place, &["-s", &racy(name), "--budget", "3min", "--seed", "1"]);
    let failure = found(&fuzzed, invariant);
    assert!(failure.faults <= faults_max, "{failure:?}");
    fuzzed
}

#[test]
#[ignore = "takes minutes"]
fn a_second_crash_within_50_ms_is_found() {
    is_found("reopens", Invariant::Holds, 2);
}

#[test]
#[ignore = "takes minutes"]
fn a_worker_that_is_forgotten_while_another_boots_is_found() {
    is_found("forgets", Invariant::Workers, 2);
}

#[test]
#[ignore = "takes minutes"]
fn a_worker_that_is_forgotten_for_a_reload_just_behind_its_end_is_found() {
    is_found("distracted", Invariant::Workers, 2);
}

#[test]
#[ignore = "takes minutes"]
fn a_descriptor_that_leaks_at_each_restart_is_found() {
    is_found("leaks", Invariant::Descriptors, 2);
}

#[test]
#[ignore = "takes minutes"]
fn a_queue_that_is_dropped_on_reload_only_is_found() {
    let fuzzed = is_found("drops-on-reload", Invariant::Collateral, 1);
    assert!(found(&fuzzed, Invariant::Collateral).order.to_string().starts_with("reload"));
}

#[test]
#[ignore = "takes minutes"]
fn a_standby_that_takes_over_too_early_is_found() {
    is_found("early-standby", Invariant::Collateral, 2);
}

#[test]
#[ignore = "takes minutes"]
fn a_connection_that_is_lost_between_accept_and_hand_over_is_found() {
    // The supervisor accepts what its workers record, so that the loss is a line of the books that is off.
    is_found("hands-over", Invariant::Books, 2);
}

#[test]
#[ignore = "takes minutes"]
fn one_that_fails_in_one_of_three_has_a_rate_whose_interval_contains_a_third() {
    let fuzzed = is_found("sometimes", Invariant::Holds, 1);
    let rate = found(&fuzzed, Invariant::Holds).rate;
    assert!((rate.low..=rate.high).contains(&(1.0 / 3.0)), "{rate:?}");
}

#[test]
#[ignore = "takes minutes"]
fn sound_supervisors_survive_a_thousand_cases_each() {
    for supervisor in ["held-socket", "prefork", "inherited-fd", "rolling", "handover"] {
        let place = Place::new();
        let fuzzed = fuzz(&place, &["-s", supervisor, "--cases", "1000", "--seed", "1"]);
        assert_eq!((fuzzed.exit, &fuzzed.result.failures[..]), (0, &[][..]), "{supervisor}");
    }
}

//! Whether faults were survived, or hit nobody.

use holdline_model::reason::Note;
use holdline_model::words::{Fate, Grade, Mark};

use crate::common::{Place, read_result};
use crate::planted::{Planted, run};

fn has_note(planted: &Planted, is_it: fn(&Note) -> bool) -> bool {
    planted.trial.noted.iter().any(is_it)
}

#[test]
fn one_that_catches_the_error_survived() {
    let planted = run("poisoned", "catches", &[]);
    assert_eq!((planted.trial.grade, planted.trial.mark), (Grade::Held, Some(Mark::Survived)));
    assert_eq!(planted.trial.fates[&Fate::ErrorReply], 1);
    planted.said("caught", 0);
    assert!(has_note(&planted, |note| matches!(note, Note::Survived { fault: 1, .. })));
}

#[test]
fn whether_one_survived_that_answers_for_another_process_is_told_by_that() {
    for service in ["handing-dies", "handing-apart-dies"] {
        let dies = run("poisoned", service, &[]);
        assert_eq!((dies.trial.grade, dies.trial.mark), (Grade::Held, None), "{service}");
        assert_eq!(dies.trial.fates[&Fate::ErrorReply], 1);
        dies.said("dies", 0);
        assert!(has_note(&dies, |note| matches!(note, Note::SurvivalNotKnown { fault: 1, .. })), "{service}");
    }
    let catches = run("poisoned", "handing-catches", &[]);
    assert_eq!((catches.trial.grade, catches.trial.mark), (Grade::Held, Some(Mark::Survived)));
    assert_eq!(catches.trial.fates[&Fate::ErrorReply], 1);
    catches.said("catches", 0);
}

#[test]
fn of_one_that_closes_without_an_answer_it_is_not_known() {
    let planted = run("poisoned", "drops", &[]);
    assert_eq!((planted.trial.grade, planted.trial.mark), (Grade::Held, None));
    planted.said("dropped", 0);
    assert!(has_note(&planted, |note| matches!(note, Note::SurvivalNotKnown { fault: 1, .. })));
}

#[test]
fn one_that_dies_did_not() {
    let planted = run("poisoned", "dies", &[]);
    assert_eq!((planted.trial.grade, planted.trial.mark), (Grade::Down, None));
    planted.said("dies", 0);
    let is_judged = |note: &Note| matches!(note, Note::Survived { .. } | Note::SurvivalNotKnown { .. });
    assert!(!has_note(&planted, is_judged), "{:?}", planted.trial.notes);
}

#[test]
fn a_fault_that_comes_while_nobody_listens_hits_nobody() {
    let planted = run("poisoned-while-away", "back-after-1s", &[]);
    assert_eq!((planted.trial.grade, planted.trial.mark), (Grade::Lossy, Some(Mark::Unhit)));
    assert!(has_note(&planted, |note| matches!(note, Note::Untaken { fault: 2, .. })));
}

/// The mark that a supervisor of the catalogue gets in `crash`, with this kind of worker.
#[track_caller]
fn check_crash(supervisor: &str, worker: &str, mark: Option<Mark>) {
    let place = Place::new();
    let arguments = ["run", "crash", "-s", supervisor, "--worker", worker, "--out", "out"];
    place.holdline(&arguments).output().expect("holdline runs");
    let run = read_result(&place.path("out").join("run.json"));
    assert_eq!(run.trials[0].mark, mark, "{supervisor}: {:?}", run.trials[0].notes);
}

#[test]
fn ledgers_tell_workers_that_catch_an_error_from_those_that_die() {
    check_crash("held-socket", "asyncio", Some(Mark::Survived));
    check_crash("held-socket", "python", None);
    check_crash("prefork", "rust", None);
}

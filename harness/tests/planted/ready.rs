//! What was so before anything was done to a service, and whether it is ready at all.

use holdline_model::answer::Answer;
use holdline_model::reason::{Reason, Remedy};
use holdline_model::result::Phase;
use holdline_model::words::Grade;

use crate::planted::{once, run};

#[test]
fn one_that_is_late_at_boot_is_waited_for() {
    let planted = run("in-time", "late-at-boot", &[]);
    assert_eq!(planted.trial.grade, Grade::Held, "{:?}", planted.trial.phases);
}

#[test]
fn what_is_late_before_the_fault_is_not_graded_for_it() {
    for service in ["late-at-boot-unasked", "late-always"] {
        let planted = once("in-time", service, &[]);
        let trial = &planted.trial;
        assert_eq!((trial.grade, planted.exit), (Grade::Inconclusive, 3), "{service}: {:?}", trial.reason);
        let Some(Reason::BeforeFault { late, lost: 0, of: 150 }) = trial.why else {
            panic!("{service}: {:?}", trial.why)
        };
        let Some(Phase { late: before, .. }) = trial.phases.as_ref().map(|phases| phases.before) else {
            panic!("{service}: no phases")
        };
        // Of those that were due in the first second, each was late when the fault struck.
        assert!(late == before && late >= 45, "{service}: {:?}", trial.phases);
    }
}

#[test]
fn one_that_answers_something_else_is_not_graded_at_all() {
    let planted = once("asked-to-restart", "serves-something-else", &[]);
    assert_eq!((planted.trial.grade, planted.exit), (Grade::Inconclusive, 2), "{:?}", planted.trial.reason);
    let Some(Reason::NoRightReply { asked, answer: Some(Answer::Wrong { said, .. }), remedy, .. }) =
        &planted.trial.why
    else {
        panic!("{:?}", planted.trial.why)
    };
    assert!(asked.contains("/square?n=") && said.starts_with("HTTP/1.1 404 "), "{asked}: {said}");
    assert_eq!(*remedy, Remedy::SayRequest);
    assert_eq!(planted.trial.attempts, 0);
}

#[test]
fn one_that_says_where_it_can_be_asked_is_ready() {
    let planted = once("asked-to-restart", "serves-something-else-too", &[]);
    let trial = &planted.trial;
    assert_eq!((trial.grade, planted.exit), (Grade::Inconclusive, 3), "{:?}", trial.reason);
    assert!(
        matches!(trial.why, Some(Reason::BeforeFault { late: 0, lost: 1.., of: 200 })),
        "{:?}",
        trial.why
    );
}

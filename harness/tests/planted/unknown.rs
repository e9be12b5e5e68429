//! What is known of a service whose workers keep no ledger: what its processes show, and no more.

use holdline_model::words::{Grade, Verdict};

use crate::planted::run;

#[test]
fn a_server_that_its_shell_leaves_behind_is_an_orphan() {
    let planted = run("asked-to-stop", "shell-above", &[]);
    let trial = &planted.trial;
    assert_eq!((trial.workers.orphans, planted.exit), (Some(1), 1), "{:?}", trial.violations);
    assert_eq!((trial.grade, trial.workers.at_end), (Grade::Held, 1), "{:?}", trial.losses);
    assert!(trial.supervisor_ended.is_some(), "the shell took what was meant for the server");
}

#[test]
fn a_server_that_its_shell_became_leaves_nobody_behind() {
    let planted = run("asked-to-stop", "shell-replaced", &[]);
    let trial = &planted.trial;
    assert_eq!((trial.workers.orphans, planted.exit), (Some(0), 0), "{:?}", trial.violations);
    assert_eq!(trial.grade, Grade::Down, "it was stopped for good");
}

#[test]
fn without_isolation_an_orphan_is_one_all_the_same() {
    let planted = run("asked-to-stop", "shell-above", &["--isolation", "none"]);
    assert_eq!(planted.trial.workers.orphans, Some(1));
}

#[test]
fn whoever_is_replaced_and_about_to_leave_is_no_orphan() {
    let planted = run("asked-to-replace-itself", "leaves-later", &[]);
    let trial = &planted.trial;
    assert_eq!((trial.workers.orphans, planted.exit), (Some(0), 0), "{:?}", trial.violations);
    assert!(planted.said("left", 0) > 0);
}

#[test]
fn a_successor_that_is_slow_to_write_its_process_id_has_taken_over() {
    let planted = run("asked-to-replace-itself", "replaced", &[]);
    let trial = &planted.trial;
    assert_eq!((&trial.supervisor_ended, trial.verdict), (&None, Verdict::Pass), "{:?}", trial.timeline);
    assert!(
        trial.timeline.iter().any(|entry| entry.text.ends_with("had taken over")),
        "{:?}",
        trial.timeline
    );
    assert!(planted.said("took over", 0) > 0);
}

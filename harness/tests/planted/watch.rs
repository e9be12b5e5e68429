//! Whether a service comes back, and when.

use holdline_model::words::Grade;

use crate::planted::run;

#[test]
fn one_that_ends_for_good_is_down() {
    let planted = run("asked-to-restart", "gone-after-0ms", &[]);
    assert_eq!(planted.trial.grade, Grade::Down, "{:?}", planted.trial.losses);
    assert_eq!(planted.exit, 0, "nothing was expected of it");
    assert!(planted.said("ends", 0) >= planted.said("asked to restart", 0));
}

#[test]
fn one_that_is_back_is_lossy() {
    let planted = run("asked-to-restart", "back-after-300ms", &[]);
    assert_eq!(planted.trial.grade, Grade::Lossy, "{:?}", planted.trial.losses);
    assert!(planted.said("listens", 1) >= planted.said("closed", 0) + 300_000_000);
}

//! Whether a service comes back, and when.

use holdline_model::reason::Reason;
use holdline_model::recovery::Recovery;
use holdline_model::result::{TrialResult, What};
use holdline_model::words::{Fate, Grade};

use crate::planted::{Planted, run};

/// A service that ends, whenever that is, is gone for good: at once, since nothing is left.
#[track_caller]
fn is_gone_for_good(planted: &Planted) {
    let trial = &planted.trial;
    assert_eq!((trial.grade, &trial.why), (Grade::Down, &Some(Reason::NothingLeft)));
    assert_eq!((trial.back_after_ns, &trial.recoveries[..]), (None, &[Recovery::Never][..]));
    assert!((1..trial.patience_ns).contains(&trial.watched_ns), "{}", trial.watched_ns);
    assert!(planted.said("ends", 0) >= planted.said("asked to restart", 0));
}

#[test]
fn one_that_ends_at_once_is_down() {
    let planted = run("asked-to-restart", "gone-after-0ms", &[]);
    is_gone_for_good(&planted);
    assert_eq!(planted.exit, 0, "nothing was expected of it");
}

#[test]
fn one_that_serves_on_for_a_while_and_ends_is_down_and_not_recovered() {
    let planted = run("back-in-time", "gone-after-400ms", &[]);
    is_gone_for_good(&planted);
    assert!(planted.said("ends", 0) >= planted.said("asked to restart", 0) + 400_000_000);
    assert_eq!((planted.exit, planted.trial.violated.len()), (1, 3), "{:?}", planted.trial.violations);
}

#[test]
fn one_that_is_back_before_the_load_has_ended_is_lossy_and_not_watched() {
    let planted = run("asked-to-restart", "back-after-300ms", &[]);
    let trial = &planted.trial;
    assert_eq!(trial.grade, Grade::Lossy, "{:?}", trial.losses);
    assert_eq!((trial.watched_ns, trial.back_after_ns), (0, None));
    let away_ns = planted.said("listens", 1) - planted.said("closed", 0);
    assert!(away_ns >= 300_000_000);
    // Between the interruption and the recovery lies all the time in which nobody listened, but for that to
    // the next attempt that was due, of which there is one each 10 ms, and for what was sent late.
    let recovery_ns = trial.recoveries[0].after_ns().expect("it recovered");
    assert!(recovery_ns + sent_late_ns(trial) >= away_ns - 20_000_000, "{recovery_ns} {away_ns}");
    assert_eq!(trial.outages.len(), 1, "{:?}", trial.outages);
    // The same instant ends both; who was under way when the fault struck may begin the outage.
    assert!(trial.longest_outage_ns() >= recovery_ns);
}

/// How late an attempt was sent at most: so much later may it have met what was there when it was due.
fn sent_late_ns(trial: &TrialResult) -> u64 {
    trial.latency.send_lag.max_ns
}

/// A service that is back after the load has ended is seen by the watch.
fn is_seen_back(service: &str, scenario: &str, options: &[&str]) -> Planted {
    let planted = run(scenario, service, options);
    let trial = &planted.trial;
    assert_eq!(trial.grade, Grade::Lossy, "{:?} {:?}", trial.reason, trial.losses);
    let back_after_ns = trial.back_after_ns.expect("the watch saw it");
    // It was back no earlier than it listened again, and the fault came no later than it was asked.
    let listens_ns = planted.said("listens", 1);
    assert!(back_after_ns >= listens_ns - planted.said("asked to restart", 0), "{back_after_ns}");
    assert!(trial.recoveries[0].after_ns().is_some_and(|after_ns| after_ns <= back_after_ns));
    let outage_ns = trial.longest_outage_ns() + sent_late_ns(trial);
    assert!(outage_ns >= listens_ns - planted.said("closed", 0) - 20_000_000, "{outage_ns}");
    assert!(trial.timeline.iter().any(|entry| entry.what == Some(What::Watched)), "{:?}", trial.timeline);
    planted
}

#[test]
fn one_that_is_back_after_the_load_is_lossy_and_says_when() {
    for service in ["back-after-1s", "back-after-6s"] {
        let planted = is_seen_back(service, "back-in-time", &[]);
        let trial = &planted.trial;
        // What only the watch saw is in no count: neither attempts, nor what was served or opened.
        assert_eq!(trial.attempts, 90);
        assert_eq!(trial.fates[&Fate::Served] + trial.lost(), 90, "{:?}", trial.fates);
        assert_eq!((trial.kernel.listeners_closed, planted.exit), (1, 1), "{:?}", trial.violations);
        assert!(trial.books.is_balanced(), "{}", trial.books);
    }
}

#[test]
fn one_that_says_where_it_can_be_asked_is_watched_there() {
    let planted = is_seen_back("back-after-1s-harmless", "back-in-time", &[]);
    let back_ns = planted.said("listens", 1);
    let later = |what: &str| planted.all_said(what).into_iter().filter(|at_ns| *at_ns >= back_ns).count();
    assert_eq!(later("asked for a square"), 0, "which only attempts ask for");
    assert!(later("asked how it is") >= 1);
    assert!(!planted.all_said("asked for a square").is_empty());
}

#[test]
fn without_isolation_the_watch_sees_the_same() {
    is_seen_back("back-after-1s", "back-in-time", &["--isolation", "none"]);
}

#[test]
fn where_the_patience_is_shorter_it_is_down_and_says_for_how_long_it_was_watched() {
    let planted = run("impatient", "back-after-6s", &[]);
    let trial = &planted.trial;
    assert_eq!((trial.grade, trial.back_after_ns), (Grade::Down, None));
    let Some(Reason::NotBack { patience_ns: 200_000_000, answer: Some(_) }) = trial.why else {
        panic!("{:?}", trial.why)
    };
    assert!(trial.watched_ns >= 200_000_000);
}

#[test]
fn without_patience_nothing_is_watched() {
    let planted = run("without-patience", "back-after-6s", &[]);
    let trial = &planted.trial;
    assert_eq!((trial.grade, trial.watched_ns), (Grade::Down, 0));
    assert!(matches!(trial.why, Some(Reason::NeverServed { .. })), "{:?}", trial.why);
}

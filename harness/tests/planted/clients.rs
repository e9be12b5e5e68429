//! What kinds of client find out about a service.

use holdline_model::result::SilentResult;
use holdline_model::words::{Fate, Grade};

use crate::planted::run;

#[test]
fn one_client_that_connects_early_keeps_all_others_waiting() {
    let planted = run("preconnect", "one-at-a-time", &[]);
    let trial = &planted.trial;
    assert_eq!((trial.grade, trial.fates[&Fate::Served]), (Grade::Delayed, 30), "{:?}", trial.losses);
    // Whoever comes behind one of three early clients waits for the rest of its second.
    let longest_ns = trial.latency.response.max_ns;
    assert!(longest_ns >= 500_000_000, "nobody waited for an early client: {longest_ns}");
}

/// Clients that have sent nothing are not handed over by the kernel, and go with the listener.
#[test]
fn early_clients_are_lost_by_a_listener_that_defers_them() {
    let held = run("early-at-restart", "defer-0", &[]).trial;
    assert_eq!((held.grade, held.fates[&Fate::Served]), (Grade::Held, 100), "{:?}", held.losses);
    let lossy = run("early-at-restart", "defer-5", &[]).trial;
    assert_eq!(lossy.grade, Grade::Lossy, "{:?}", lossy.losses);
    // At 50/s, fifteen are quiet at any instant.
    assert!((10..=20).contains(&lossy.lost()), "{:?}", lossy.fates);
    assert_eq!(lossy.fates[&Fate::Served] + lossy.lost(), 100);
    // The kernel showed that it had handed them to nobody, so that they may ask again.
    assert_eq!(lossy.fates[&Fate::QueueReset], lossy.lost(), "{:?}", lossy.losses);
    assert_eq!((lossy.safe_to_retry, lossy.ambiguous), (lossy.lost(), 0));
}

/// Whoever has asked nothing loses nothing by asking again; whoever has may have been heard.
#[test]
fn what_ends_before_anything_was_asked_is_safe_to_retry() {
    for service in ["impatient-close", "impatient-reset"] {
        let planted = run("early-and-late", service, &[]);
        let trial = &planted.trial;
        assert_eq!((trial.fates[&Fate::Served], trial.lost()), (15, 5), "{service}: {:?}", trial.losses);
        assert_eq!((trial.safe_to_retry, trial.ambiguous), (5, 0), "{service}: {:?}", trial.losses);
        planted.said("denied", 4);
    }
    let asked = run("poisoned", "drops", &[]).trial;
    assert_eq!((asked.safe_to_retry, asked.ambiguous), (0, 1), "{:?}", asked.losses);
}

#[test]
fn a_service_that_is_impatient_with_silent_clients_is_found_out() {
    for (service, expected) in [
        ("impatient-close", SilentResult { closed: 5, ..SilentResult::default() }),
        ("impatient-tell", SilentResult { told: 5, ..SilentResult::default() }),
        ("impatient-reset", SilentResult { reset: 5, ..SilentResult::default() }),
    ] {
        let planted = run("silent", service, &[]);
        let trial = &planted.trial;
        assert_eq!((trial.grade, trial.attempts), (Grade::Held, 20), "{service}: {:?}", trial.losses);
        assert_eq!((trial.fates[&Fate::Served], trial.fates[&Fate::Silent]), (15, 5), "{service}");
        let silent = trial.silent.clone().expect("silent clients");
        let borne = silent.borne.clone();
        assert_eq!(SilentResult { borne: borne.clone(), ..expected }, SilentResult { planned: 0, ..silent });
        assert_eq!(borne.count, 5, "{service}");
        assert!(borne.p50_ns >= 290_000_000, "{service} bears them for 300 ms: {borne:?}");
        planted.said("denied", 4);
    }
}

#[test]
fn a_service_that_bears_a_silent_client_serves_nobody_else_meanwhile() {
    let trial = run("silent", "one-at-a-time", &["--isolation", "auto"]).trial;
    let silent = trial.silent.as_ref().expect("silent clients");
    assert_eq!((silent.planned, silent.open), (5, 5), "{silent:?}");
    // The three before the first silent one are served at once; the next ones wait until it has left.
    assert!(trial.latency.response.max_ns >= 2_000_000_000, "{:?}", trial.latency.response);
}

#[test]
fn what_is_sent_at_once_and_not_answered_is_lost_each_request() {
    let held = run("pipelines", "catches", &[]).trial;
    let sessions = held.sessions.as_ref().expect("sessions");
    assert_eq!((held.grade, sessions.completed, sessions.requests_answered), (Grade::Held, 10, 80));
    assert_eq!(sessions.requests_lost, 0);
    for (service, safe) in [("cuts-pipelines", 0), ("cuts-pipelines-and-says-so", 5)] {
        let planted = run("pipelines", service, &[]);
        let trial = &planted.trial;
        let sessions = trial.sessions.as_ref().expect("sessions");
        assert_eq!((sessions.completed, sessions.cut), (5, 5), "{service}: {:?}", trial.losses);
        assert_eq!((sessions.requests_answered, sessions.requests_lost), (55, 25), "{service}");
        // Who says that it closes has done nothing of what it did not answer.
        assert_eq!((trial.safe_to_retry, trial.ambiguous), (safe, 5 - safe), "{service}");
        planted.said("cut", 4);
    }
}

/// A reset takes what was not read along, and none of the answers that were there before it. A client cannot know
/// what was read and what was not, unless it is told.
#[test]
fn what_is_sent_at_once_and_left_unread_is_lost_by_a_reset() {
    for (service, safe) in [("resets-pipelines", 0), ("resets-pipelines-and-says-so", 5)] {
        let planted = run("pipelines", service, &[]);
        let trial = &planted.trial;
        let sessions = trial.sessions.as_ref().expect("sessions");
        assert_eq!((trial.grade, trial.endings.resets), (Grade::Lossy, 5), "{service}: {:?}", trial.losses);
        assert_eq!((trial.fates[&Fate::Served], trial.fates[&Fate::NoReply]), (5, 5), "{service}");
        assert_eq!((sessions.completed, sessions.cut), (5, 5), "{service}");
        assert_eq!((sessions.requests_answered, sessions.requests_lost), (55, 25), "{service}");
        assert_eq!((trial.safe_to_retry, trial.ambiguous), (safe, 5 - safe), "{service}");
        assert!(trial.books.is_balanced(), "{service}: {:?}", trial.books);
        planted.said("cut", 4);
    }
}

/// Each body goes with its head, and each answer with its request.
#[test]
fn requests_of_ones_own_that_are_sent_at_once_keep_their_bodies() {
    let held = run("pipelines", "orders-in-order", &[]).trial;
    let sessions = held.sessions.as_ref().expect("sessions");
    assert_eq!((held.grade, sessions.completed, sessions.requests_answered), (Grade::Held, 10, 80));
    // An answer with another's body is told from the right one, and nothing behind it counts.
    let planted = run("pipelines", "orders-mistaken", &[]);
    let trial = &planted.trial;
    let sessions = trial.sessions.as_ref().expect("sessions");
    assert_eq!(trial.fates[&Fate::WrongReply], 10, "{:?}", trial.losses);
    assert_eq!((sessions.requests_answered, sessions.requests_lost), (20, 60), "{:?}", trial.losses);
    planted.said("mistook", 9);
}

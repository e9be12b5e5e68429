//! Loads that several threads of the load client make.

use std::collections::BTreeSet;

use holdline_model::result::TrialResult;
use holdline_model::words::{Blame, Fate};

use crate::support::{Files, Place, conclusive, of, stderr, stdout};

const SUPERVISORS: [&str; 2] = ["held-socket", "restart-loop"];

/// A load by so many threads, and faults.
fn scenario(threads: u32, load: &str, faults: &str) -> String {
    format!(
        "name = \"mine\"\nasks = \"?\"\n[load]\nthreads = {threads}\n{load}\ndeadline = \"3s\"\nsend-lag = \"2s\"\n{faults}"
    )
}

fn poison(at: &str, step: &str) -> String {
    format!("[[fault]]\nat = {at}\npoison = {{ step = \"{step}\", mode = \"kill\" }}\n")
}

/// The attempts that were lost since they carried a fault, as the trial's files have them.
fn poisoned(files: &Files) -> Vec<u32> {
    let rows = files.attempts.iter().filter(|row| row.blame == Some(Blame::Poison));
    rows.map(|row| row.attempt).collect()
}

#[track_caller]
fn check_balanced(trial: &TrialResult, threads: u32) {
    assert!(trial.books.is_balanced(), "{}: {:?}", trial.supervisor, trial.off);
    assert_eq!(trial.client_threads, (threads > 1).then_some(threads));
}

/// Poison with three attempts that different threads make, and with the first after an instant; and a signal with another.
#[test]
fn a_crash_with_an_attempt_strikes_that_attempt_and_the_books_balance() {
    let faults = [
        poison("{ attempt = 50 }", "work"),
        poison("{ attempt = 100 }", "accept"),
        poison("{ attempt = 151 }", "reply"),
        "[[fault]]\nat = { attempt = 200 }\nsignal = { to = \"worker\", name = \"KILL\" }\n".to_owned(),
        poison("\"900ms\"", "read"),
    ];
    let mut intended = BTreeSet::new();
    for threads in [3, 1] {
        let place = Place::new();
        let load = "arrivals = { constant = \"300/s\" }\nduration = \"1200ms\"";
        place.write("mine.toml", &scenario(threads, load, &faults.concat()));
        let (output, run) = conclusive(&place, &["./mine.toml", "-s", SUPERVISORS[0], "-s", SUPERVISORS[1]]);
        for supervisor in SUPERVISORS {
            let trial = of(&run, supervisor);
            check_balanced(trial, threads);
            assert_eq!(trial.attempts, 360);
            let files = Files::of(&output, trial);
            assert!(files.attempts.iter().map(|row| row.attempt).eq(0..360));
            intended.insert(files.attempts.iter().map(|row| row.intended_ns).collect::<Vec<_>>());
            // Where nobody listens while a worker is started, poison may be refused.
            if supervisor == "held-socket" {
                let poisoned = poisoned(&files);
                assert_eq!((&poisoned[..3], poisoned.len()), (&[50, 100, 151][..], 4), "{:?}", trial.losses);
                assert!(poisoned[3] >= 270, "{poisoned:?}");
                assert_eq!(trial.blame[&Blame::Collateral], 0, "{:?}", trial.losses);
            }
        }
        let report = place.holdline(&["report", "out-0", "--trials"]).output();
        let says_so = stdout(&report.expect("a report")).contains("3 of the load client");
        assert_eq!(says_so, threads == 3);
    }
    assert_eq!(intended.len(), 1, "attempts are due at the same instants, whoever makes them");
}

#[test]
fn clients_that_never_pause_make_so_many_attempts_and_one_of_them_crashes_a_worker() {
    let place = Place::new();
    let load = "arrivals = { closed = 7 }\nattempts = 900";
    let faults = [poison("{ attempt = 300 }", "work"), poison("{ attempt = 601 }", "accept")].concat();
    place.write("mine.toml", &scenario(3, load, &faults));
    let (output, run) = conclusive(&place, &["./mine.toml", "-s", "prefork", "-s", "held-socket"]);
    for supervisor in ["prefork", "held-socket"] {
        let trial = of(&run, supervisor);
        check_balanced(trial, 3);
        let files = Files::of(&output, trial);
        assert!(files.attempts.iter().map(|row| row.attempt).eq(0..900));
        assert_eq!(poisoned(&files), [300, 601], "{:?}", trial.losses);
        assert_eq!(trial.fates[&Fate::Served], 898, "{:?}", trial.losses);
    }
}

/// Each request of a session has a record of its own, which threads write down apart.
#[test]
fn sessions_over_tcp_and_unix_are_counted_as_one_thread_would() {
    for transport in ["tcp", "unix"] {
        let place = Place::new();
        let load = "arrivals = { poisson = \"80/s\" }\nattempts = 60\nprotocol = \"http\"\n\
             connection = { requests = 4, gap = \"5ms\" }";
        let text =
            scenario(4, load, "[[fault]]\nat = \"300ms\"\nsignal = { to = \"worker\", name = \"KILL\" }\n");
        let text = text.replace("[load]", &format!("[listen]\ntransport = \"{transport}\"\n[load]"));
        place.write("mine.toml", &text);
        let (output, run) = conclusive(&place, &["./mine.toml", "-s", "held-socket"]);
        let trial = of(&run, "held-socket");
        check_balanced(trial, 4);
        let sessions = trial.sessions.as_ref().expect("sessions");
        assert_eq!((sessions.planned, sessions.requests_planned), (60, 240));
        let answered: u64 = Files::of(&output, trial).attempts.iter().map(|row| row.requests_answered).sum();
        assert_eq!(sessions.requests_answered, answered);
    }
}

#[test]
fn what_cannot_be_divided_is_told_before_anything_starts() {
    for (load, told) in [
        ("arrivals = { sequential = \"1ms\" }\nattempts = 9", "are made by one thread"),
        ("arrivals = { closed = 2 }\nattempts = 9", "at most 2, or more clients"),
        (
            "arrivals = { constant = \"9/s\" }\nattempts = 9\nconnection = { pool = 1 }",
            "at most 1, or a larger `pool`",
        ),
    ] {
        let place = Place::new();
        place.write("mine.toml", &scenario(3, load, ""));
        let output = place.holdline(&["run", "./mine.toml", "--out", "out"]).output().expect("holdline runs");
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.contains(told) && said.contains("mine.toml:4:11"), "{said}");
        assert!(!place.path("out").exists());
    }
}

#[test]
fn how_many_threads_there_are_is_shown() {
    let place = Place::new();
    place.write("mine.toml", &scenario(3, "arrivals = { closed = 7 }\nattempts = 9", ""));
    let shown = place.holdline(&["show", "./mine.toml"]).output().expect("holdline runs");
    let shown = stdout(&shown);
    assert!(shown.contains("9 attempts, 7 clients that never pause, by 3 threads; deadline"), "{shown}");
}

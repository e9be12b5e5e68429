//! Connections that carry several requests: what is counted for each, and what they add up to.

use holdline_model::result::SessionsResult;
use holdline_model::words::{Blame, Fate, Grade, Verdict};

use crate::support::{Files, Place, Row, conclusive, of, stdout};

/// Requests that each session is to send.
const REQUESTS: u64 = 4;

fn scenario(place: &Place, load: &str, more: &str) {
    let text = format!(
        "name = \"mine\"\nasks = \"?\"\n[load]\nprotocol = \"http\"\n\
         connection = {{ requests = {REQUESTS}, gap = \"20ms\" }}\ndeadline = \"3s\"\nsend-lag = \"2s\"\n{load}\n{more}"
    );
    place.write("mine.toml", &text);
}

#[test]
fn a_poisoned_session_is_cut_and_all_others_are_answered_to_their_end() {
    let place = Place::new();
    // One session at a time: nobody else is in the hands of the worker that dies.
    scenario(
        &place,
        "arrivals = { sequential = \"5ms\" }\nattempts = 8",
        "[[fault]]\nat = { attempt = 3 }\npoison = { step = \"work\", mode = \"panic\" }\n\
         [expect]\n\"sessions.cut\" = 1\n\"sessions.completed\" = 7\n",
    );
    let (output, run) = conclusive(&place, &["./mine.toml", "-s", "held-socket"]);
    let trial = of(&run, "held-socket");
    let expected = SessionsResult {
        planned: 8,
        completed: 7,
        closed_idle: 0,
        cut: 1,
        requests_planned: 8 * REQUESTS,
        requests_answered: 7 * REQUESTS,
        requests_lost: 1,
    };
    assert_eq!(trial.sessions, Some(expected), "{:?}", trial.losses);
    assert_eq!((trial.grade, trial.verdict), (Grade::Held, Verdict::Pass), "{:?}", trial.violations);
    assert_eq!((trial.fates[&Fate::NoReply], trial.blame[&Blame::Poison]), (1, 1));
    for row in Files::of(&output, trial).attempts {
        let answered = if row.attempt == 3 { 0 } else { REQUESTS };
        assert_eq!(row.requests_answered, answered, "attempt {}", row.attempt);
    }
    let report = place.holdline(&["report", "out-0", "--trials"]).output().expect("a report");
    let line = "8 planned, 7 completed, 0 ended by the server between two requests, 1 cut; 28 of 32 requests answered, 1 lost";
    assert!(stdout(&report).contains(line), "{}", stdout(&report));
}

#[test]
fn sessions_of_a_restart_are_counted_by_how_each_ended() {
    let place = Place::new();
    scenario(
        &place,
        "arrivals = { constant = \"50/s\" }\nduration = \"1s\"",
        "[[fault]]\nat = \"400ms\"\ncontrol = \"restart\"\n[workers]\ncount = 2\ndrain = \"graceful\"\n",
    );
    let (output, run) = conclusive(&place, &["./mine.toml", "-s", "held-socket"]);
    let trial = of(&run, "held-socket");
    assert!(trial.books.is_balanced(), "{:?}", trial.losses);
    let sessions = trial.sessions.as_ref().expect("sessions");
    let rows = Files::of(&output, trial).attempts;
    let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count() as u64;
    let served = |row: &Row| row.fate == Fate::Served;
    let expected = SessionsResult {
        planned: 50,
        completed: count(&|row| served(row) && row.requests_answered == REQUESTS),
        closed_idle: count(&|row| served(row) && row.requests_answered < REQUESTS),
        cut: count(&|row| matches!(row.fate, Fate::NoReply | Fate::Truncated)),
        requests_planned: 50 * REQUESTS,
        requests_answered: rows.iter().map(|row| row.requests_answered).sum(),
        requests_lost: count(&|row| row.fate != Fate::Served),
    };
    assert_eq!(*sessions, expected, "{:?}", trial.losses);
    // Both workers have idle sessions when they are asked to stop, and close them.
    assert!(sessions.closed_idle > 0 && sessions.completed > 0, "{sessions:?}");
    assert!(rows.iter().all(|row| row.fate != Fate::Served || row.requests_answered > 0));
}

/// What is sent at once and not answered is lost, each request of it, and the books tell who read what.
#[test]
fn requests_that_are_sent_at_once_are_counted_each() {
    for (protocol, transport) in [("http", "tcp"), ("square", "unix")] {
        let place = Place::new();
        let text = format!(
            "name = \"mine\"\nasks = \"?\"\n[listen]\ntransport = \"{transport}\"\n[workers]\ncount = 2\nwork = \"2ms\"\n\
             [load]\nprotocol = \"{protocol}\"\nconnection = {{ requests = 6, pipeline = true }}\ndeadline = \"3s\"\n\
             send-lag = \"2s\"\narrivals = {{ constant = \"40/s\" }}\nduration = \"1s\"\n\
             [[fault]]\nat = {{ attempt = 10 }}\npoison = {{ step = \"work\", mode = \"panic\" }}\n\
             [[fault]]\nat = \"500ms\"\nsignal = {{ to = \"worker\", name = \"KILL\" }}\n\
             [[fault]]\nat = \"700ms\"\ncontrol = \"restart\"\n"
        );
        place.write("mine.toml", &text);
        let (output, run) = conclusive(&place, &["./mine.toml", "-s", "prefork"]);
        let trial = of(&run, "prefork");
        assert!(trial.books.is_balanced(), "{:?}", trial.books);
        let sessions = trial.sessions.as_ref().expect("sessions");
        let rows = Files::of(&output, trial).attempts;
        let lost = rows.iter().filter(|row| row.fate != Fate::Served);
        let requests_lost: u64 = lost.map(|row| 6 - row.requests_answered).sum();
        assert_eq!(sessions.requests_lost, requests_lost, "{:?}", trial.losses);
        // Poison takes all that were sent behind it along.
        assert!(requests_lost >= 6 && rows[10].requests_answered == 0, "{:?}", trial.losses);
        assert_eq!(sessions.requests_answered, rows.iter().map(|row| row.requests_answered).sum::<u64>());
        assert_eq!((sessions.requests_planned, sessions.planned), (240, 40));
    }
}

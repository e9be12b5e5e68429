//! What is told of connections of WebSocket. What is counted of attempts is in the table.

use std::collections::BTreeMap;

use holdline_model::reason::{Reason, Remedy};
use holdline_model::words::Fate;

use crate::planted::{once, run};

/// How many sessions there are, of which the service ends every second.
const SESSIONS: u64 = 10;

#[test]
fn closes_are_counted_by_their_codes_and_a_cut_is_none() {
    for (service, code, lost) in [
        ("messages-leaves", 1001, 0),
        ("messages-fails", 1011, SESSIONS / 2),
        ("messages-cuts", 1006, SESSIONS / 2),
        ("messages-swallows", 1001, SESSIONS / 2),
    ] {
        let trial = run("messages-session", service, &[]).trial;
        assert!(trial.books.is_balanced(), "{service}: {}", trial.books);
        assert_eq!(
            trial.close_codes,
            BTreeMap::from([(code, SESSIONS / 2)]),
            "{service}: {:?}",
            trial.losses
        );
        assert_eq!(trial.fates[&Fate::NoReply], lost, "{service}: {:?}", trial.losses);
        assert_eq!(trial.fates[&Fate::Served], SESSIONS - lost, "{service}: {:?}", trial.losses);
    }
}

#[test]
fn who_is_refused_is_told_the_status() {
    let trial = run("messages", "messages-refuses", &[]).trial;
    assert_eq!(trial.fates[&Fate::ErrorReply], 4, "{:?}", trial.losses);
    assert!(
        trial.causes.iter().any(|loss| loss.example.as_deref() == Some("not you\\n")),
        "{:?}",
        trial.losses
    );
}

#[test]
fn who_opens_no_connection_is_told_what_to_write() {
    let told = once("messages", "messages-web", &[]);
    let Some(Reason::NoRightReply { remedy, .. }) = told.trial.why else { panic!("{:?}", told.trial.why) };
    assert_eq!((remedy, told.exit), (Remedy::SayOpening, 2));
}

//! What is told of streams of HTTP/2 that share a connection. What is counted of others is in the table.

use holdline_model::reason::{Reason, Remedy};
use holdline_model::record::StreamEnd;
use holdline_model::result::{How, Known, LossKind, TrialResult};
use holdline_model::words::{Blame, Fate};

use crate::planted::{once, run};

/// How many streams the service has gathered on a connection, and how many of these it answers.
const GATHERED: u64 = 20;
const ANSWERED: u64 = 12;

/// Twenty streams at once on one connection, of which twelve are answered.
#[track_caller]
fn at_once(service: &str) -> TrialResult {
    let trial = run("streams-at-once", service, &[]).trial;
    assert!(trial.books.is_balanced(), "{}", trial.books);
    assert_eq!(trial.attempts, GATHERED);
    assert_eq!(trial.fates[&Fate::Served], ANSWERED, "{service}: {:?}", trial.losses);
    assert_eq!(trial.blame[&Blame::Collateral], GATHERED - ANSWERED, "{service}: {:?}", trial.losses);
    let pool = trial.pool.as_ref().expect("a pool");
    assert_eq!((pool.connections, pool.reused), (1, GATHERED - 1), "{service}");
    trial
}

/// How often streams ended like this.
fn ended(trial: &TrialResult, how: StreamEnd) -> u64 {
    let like_this = trial.causes.iter().filter_map(|loss| match &loss.known {
        Known::Lost(lost) if lost.how == How::StreamEnded { end: how } => Some(lost.count),
        Known::Lost(_) | Known::Said(_) => None,
    });
    like_this.sum()
}

#[test]
fn each_stream_of_a_connection_has_a_fate_of_its_own() {
    let lost = GATHERED - ANSWERED;
    let left = at_once("streams-leaves");
    assert_eq!((left.safe_to_retry, left.ambiguous), (lost, 0), "{:?}", left.losses);
    assert_eq!(ended(&left, StreamEnd::GoneAway), lost, "{:?}", left.losses);
    for cut in ["streams-crowded", "streams-drops"] {
        let cut = at_once(cut);
        assert_eq!((cut.safe_to_retry, cut.ambiguous), (0, lost), "{:?}", cut.losses);
        assert_eq!(cut.fates[&Fate::NoReply], lost, "{:?}", cut.losses);
        assert!(cut.causes.iter().all(|loss| loss.kind == LossKind::CutShort), "{:?}", cut.losses);
    }
}

#[test]
fn what_a_server_turned_away_is_sent_once_more_and_served() {
    let trial = run("streams-at-once-again", "streams-leaves", &[]).trial;
    assert_eq!((trial.fates[&Fate::Served], trial.lost()), (GATHERED, 0), "{:?}", trial.losses);
    let pool = trial.pool.as_ref().expect("a pool");
    assert_eq!((pool.retried, pool.connections), (GATHERED - ANSWERED, 1 + GATHERED - ANSWERED));
}

#[test]
fn what_a_server_turned_away_is_told_from_what_it_failed_at() {
    let refused = run("streams", "streams-refuses", &[]).trial;
    assert_eq!(ended(&refused, StreamEnd::Refused), 10, "{:?}", refused.losses);
    let failed = run("streams", "streams-fails", &[]).trial;
    assert_eq!(ended(&failed, StreamEnd::Reset(2)), 10, "{:?}", failed.losses);
    let truncated = run("streams", "streams-truncates", &[]).trial;
    assert_eq!(truncated.fates[&Fate::Truncated], 10, "{:?}", truncated.losses);
}

#[test]
fn who_speaks_another_version_of_http_is_told_so() {
    let told = once("streams", "streams-web", &[]);
    let Some(Reason::NoRightReply { remedy, .. }) = told.trial.why else { panic!("{:?}", told.trial.why) };
    assert_eq!((remedy, told.exit), (Remedy::SpeaksHttp1, 2));
}

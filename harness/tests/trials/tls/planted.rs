//! Planted services that do exactly something, a known number of times.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use holdline_model::answer::Answer;
use holdline_model::reason::{Reason, Remedy};
use holdline_model::result::{LossKind, TlsResult, TrialResult};
use holdline_model::tls::TlsFailure;
use holdline_model::words::{Blame, Fate, Grade};

use super::authority::Authority;
use super::expired;
use crate::common::{Place, read_result};
use crate::copied::copy;
use crate::lag::lagged;

/// How often a trial is run anew in which the machine was too busy for the generator.
const RETRIES: usize = 2;

/// A trial, its exit code, and what the service said.
struct Told {
    trial: TrialResult,
    exit: i32,
    log: String,
}

impl Told {
    /// How often the service said that it did something.
    fn count(&self, what: &str) -> u64 {
        self.log.lines().filter(|line| line.starts_with(what)).count() as u64
    }

    fn tls(&self) -> &TlsResult {
        self.trial.tls.as_ref().expect("TLS")
    }

    fn fate(&self, fate: Fate) -> u64 {
        self.trial.fates.get(&fate).copied().unwrap_or_default()
    }
}

fn run(scenario: &str, service: &str, options: &[&str]) -> Told {
    let mut told = once(scenario, service, options);
    for _ in 0..RETRIES {
        if lagged(&told.trial) {
            told = once(scenario, service, options);
        }
    }
    assert!(told.trial.was_not_run() || told.trial.books.is_balanced(), "{}", told.trial.books);
    told
}

fn once(scenario: &str, service: &str, options: &[&str]) -> Told {
    let place = Place::new();
    let folder = place.path("planted");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/planted/tls"), &folder).expect("room");
    write_certificates(&folder);
    let (scenario, service) =
        (format!("./planted/scenarios/{scenario}.toml"), format!("./planted/{service}.toml"));
    let mut arguments = vec!["run", &scenario, "-s", &service, "--out", "out", "--show-progress", "none"];
    arguments.extend(options);
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let result = place.path("out").join("run.json");
    assert!(result.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    let trial = read_result(&result).trials.pop().expect("a trial");
    let log = place.path("out").join(&trial.folder).join("supervisor.log");
    let log = fs::read_to_string(log).unwrap_or_default();
    Told { trial, exit: output.status.code().expect("an exit code"), log }
}

/// Writes what services and clients need into a folder, as `fixtures/planted/tls/certificates.sh` does.
fn write_certificates(folder: &Path) {
    let authority = Authority::new();
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("room");
    write("ca.pem", authority.certificate());
    write("server.pem", authority.sign("first").both());
    write("next.pem", authority.sign("second").both());
    write("client.pem", authority.sign("client").both());
    write("expired.pem", authority.sign_with("expired", expired).both());
}

#[test]
fn who_serves_over_tls_has_lost_nothing_and_has_shown_one_certificate() {
    let told = run("steady", "serves", &[]);
    assert_eq!((told.trial.grade, told.exit), (Grade::Held, 0), "{:?}", told.trial.losses);
    assert_eq!((told.tls().completed, told.tls().resumed, told.tls().failed.len()), (100, 0, 0));
    assert_eq!(told.tls().certificates.len(), 1);
    let shown = &told.tls().certificates[0];
    assert_eq!((shown.shown, shown.certificate.subject.as_str()), (100, "CN=first"));
    assert!(shown.first_ns < shown.last_ns);
    let (tls, response) = (&told.trial.latency.tls, &told.trial.latency.response);
    assert_eq!(tls.count, 100);
    assert!(0 < tls.p50_ns && tls.p50_ns < response.p50_ns, "{tls:?} {response:?}");
}

/// Who does something to every tenth in the handshake has lost ten, for that reason, and nobody else.
#[track_caller]
fn loses_ten(service: &str, said: &str, why: &str, fate: Fate, kind: LossKind) {
    let told = run("steady", service, &[]);
    assert_eq!(told.trial.grade, Grade::Lossy, "{service}: {:?} {:?}", told.trial.reason, told.trial.losses);
    assert_eq!(told.count(said), 10, "{service}: {}", told.log);
    assert_eq!((told.fate(fate), told.fate(Fate::Served)), (10, 90), "{service}: {:?}", told.trial.fates);
    assert_eq!(told.tls().failed, BTreeMap::from([(why.to_owned(), 10)]), "{service}");
    assert_eq!((told.tls().completed, told.tls().certificates[0].shown), (90, 90), "{service}");
    // Nothing of their requests was sent.
    assert_eq!((told.trial.safe_to_retry, told.trial.ambiguous), (10, 0), "{service}");
    assert_eq!(told.trial.blame[&Blame::Collateral], 10, "{service}");
    assert!(told.trial.causes.iter().any(|loss| loss.kind == kind), "{service}: {:?}", told.trial.losses);
}

#[test]
fn a_handshake_that_is_cut_is_no_reply() {
    loses_ten("cuts-10", "cut ", "cut", Fate::NoReply, LossKind::Tls);
}

#[test]
fn a_handshake_that_is_reset_is_no_reply() {
    loses_ten("resets-10", "reset ", "reset", Fate::NoReply, LossKind::Tls);
}

#[test]
fn a_handshake_that_is_refused_is_told_with_its_alert() {
    loses_ten("refuses-10", "refused ", "alert_40", Fate::NoReply, LossKind::Tls);
}

#[test]
fn a_handshake_that_is_never_answered_times_out_in_its_stage() {
    loses_ten("hangs-10", "hung ", "timed_out", Fate::TimedOut, LossKind::TimedOut);
}

#[test]
fn a_stream_that_ends_without_saying_so_cuts_a_reply_of_no_known_length() {
    let told = run("steady", "cuts-replies-10", &[]);
    assert_eq!(told.count("ended bare "), 10, "{}", told.log);
    assert_eq!((told.fate(Fate::Truncated), told.fate(Fate::Served)), (10, 90), "{:?}", told.trial.fates);
    assert_eq!((told.tls().completed, told.trial.ambiguous), (100, 10));
}

#[test]
fn a_reload_that_changes_the_certificate_is_seen() {
    let told = run("restart", "changes", &[]);
    assert_eq!((told.trial.grade, told.count("changed")), (Grade::Held, 1), "{:?}", told.trial.losses);
    let shown: Vec<_> = told.tls().certificates.iter().collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(
        [&shown[0].certificate.subject[..], &shown[1].certificate.subject[..]],
        ["CN=first", "CN=second"]
    );
    assert_eq!(shown[0].shown + shown[1].shown, 100);
    // Asked for after 300 ms; handshakes that had begun then may be shown either.
    assert!(shown[1].first_ns >= 300_000_000 && shown[1].last_ns > shown[0].last_ns, "{shown:?}");
}

/// After it was asked to restart, the service's certificate or the want of TLS is an outcome.
#[track_caller]
fn is_lost_after_restart(service: &str, why: &str) -> Told {
    let told = run("restart", service, &[]);
    // Whether anybody was served behind the fault's instant is a matter of luck, and makes it lossy.
    let is_lost = matches!(told.trial.grade, Grade::Down | Grade::Lossy);
    assert!(is_lost, "{:?} {:?}", told.trial.grade, told.trial.losses);
    let lost = told.fate(Fate::NoReply);
    assert_eq!((told.fate(Fate::Served) + lost, told.trial.safe_to_retry), (100, lost));
    assert_eq!(told.tls().failed, BTreeMap::from([(why.to_owned(), lost)]));
    assert!(told.trial.causes.iter().any(|loss| loss.kind == LossKind::Tls), "{:?}", told.trial.losses);
    told
}

#[test]
fn a_reload_that_brings_a_certificate_that_has_expired_is_an_outcome() {
    let told = is_lost_after_restart("expires", "expired");
    let shown = &told.tls().certificates[1];
    assert_eq!((&shown.certificate.subject[..], shown.shown), ("CN=expired", told.fate(Fate::NoReply)));
}

#[test]
fn a_reload_that_takes_tls_away_is_an_outcome_that_quotes_what_came() {
    let told = is_lost_after_restart("strips", "not_tls");
    let examples: Vec<_> = told.trial.causes.iter().filter_map(|loss| loss.example.as_ref()).collect();
    assert!(!examples.is_empty(), "{:?}", told.trial.losses);
}

/// What came of the check before the load, and what to write.
#[track_caller]
fn not_graded(service: &str) -> (Option<Answer>, Remedy) {
    let told = run("steady", service, &[]);
    assert_eq!((told.exit, told.trial.grade, told.trial.attempts), (2, Grade::Inconclusive, 0), "{service}");
    match told.trial.why {
        Some(Reason::NoRightReply { answer, remedy, .. }) => (answer, remedy),
        other => panic!("{service}: {other:?}"),
    }
}

#[test]
fn a_certificate_that_will_not_do_is_found_before_the_load() {
    for (service, why, subject, line) in [
        ("expired", TlsFailure::Expired, "CN=expired", Remedy::RenewCertificate),
        ("distrusted", TlsFailure::Untrusted, "CN=first", Remedy::SayAuthority),
        ("other-name", TlsFailure::WrongName, "CN=first", Remedy::SayServerName),
    ] {
        let (answer, remedy) = not_graded(service);
        assert_eq!(remedy, line, "{service}: {answer:?}");
        let Some(Answer::Tls { failure, certificate: Some(shown), .. }) = answer else {
            panic!("{service}: {answer:?}")
        };
        assert_eq!((failure, &shown.subject[..]), (why, subject), "{service}");
    }
}

#[test]
fn the_wrong_way_to_ask_gets_a_hint() {
    for (service, line) in [
        ("plain", Remedy::SpeaksNoTls),
        ("unasked", Remedy::SpeaksTls),
        ("unknown", Remedy::SayClientCertificate),
    ] {
        let (answer, remedy) = not_graded(service);
        assert_eq!(remedy, line, "{service}: {answer:?}");
    }
}

#[test]
fn who_shows_who_he_is_is_served_and_any_certificate_will_do_where_it_is_said() {
    for service in ["knows", "insecure"] {
        let told = run("steady", service, &[]);
        assert_eq!((told.trial.grade, told.tls().completed), (Grade::Held, 100), "{:?}", told.trial.losses);
    }
}

#[test]
fn a_scenario_may_let_handshakes_be_resumed() {
    let told = run("resumption", "serves", &[]);
    assert_eq!((told.trial.grade, told.exit), (Grade::Held, 0), "{:?}", told.trial.violations);
    // A certificate is shown where nothing is resumed.
    assert_eq!(told.tls().resumed + told.tls().certificates[0].shown, 40, "{:?}", told.tls());
}

#[test]
fn sessions_and_pauses_are_carried_as_without_tls() {
    let told = run("sessions", "serves", &[]);
    assert_eq!((told.trial.grade, told.exit), (Grade::Held, 0), "{:?}", told.trial.violations);
}

#[test]
fn who_asks_for_nothing_makes_the_handshake_all_the_same() {
    let told = run("silent", "serves", &[]);
    assert_eq!((told.fate(Fate::Silent), told.tls().completed), (10, 10), "{:?}", told.trial.fates);
}

#[test]
fn without_isolation_the_counts_are_the_same() {
    let told = run("steady", "cuts-10", &["--isolation", "none"]);
    assert_eq!((told.fate(Fate::NoReply), told.count("cut ")), (10, 10), "{:?}", told.trial.fates);
}

#[test]
fn the_watch_speaks_tls_too() {
    let told = run("watched", "expires", &[]);
    let why = &told.trial.why;
    let Some(Reason::NotBack { answer: Some(Answer::Tls { failure, .. }), .. }) = why else {
        panic!("{why:?}")
    };
    assert_eq!(*failure, TlsFailure::Expired);
}

/// What `probe` is told over TLS, by a certificate that is trusted, by one that is not, and without TLS.
#[test]
fn a_service_is_probed_over_tls() {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/planted/tls");
    for file in ["service.py", "planted.py"] {
        fs::copy(folder.join(file), place.path(file)).expect("a copy");
    }
    write_certificates(&place.path(""));
    fs::write(place.path("other.pem"), Authority::new().certificate()).expect("room");
    let probe = |options: &[&str]| {
        let mut arguments =
            vec!["probe", "--duration", "600ms", "--show-progress", "none", "--http", "/square?n=7"];
        arguments.extend(options);
        arguments.extend(["--", "python3", "service.py", "127.0.0.1:8443", "serves"]);
        let output = place.holdline(&arguments).output().expect("holdline runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let trusted = ["--tls-ca", "ca.pem", "--tls-name", "localhost", "--save", "saved", "--out", "trusted"];
    let (_, errors) = probe(&trusted);
    let path = place.path("trusted/run.json");
    assert!(path.exists(), "{errors}");
    let nothing = read_result(&path).trials.into_iter().next().expect("a step");
    let tls = nothing.tls.as_ref().unwrap_or_else(|| panic!("{errors}"));
    assert_eq!(Some(&tls.completed), nothing.fates.get(&Fate::Served), "{errors}");
    assert!(fs::read_to_string(place.path("saved/supervisor.toml")).expect("saved").contains("[tls]"));
    // Who is not trusted, and who is not spoken to over TLS, gives not one right reply.
    for options in [&["--tls-ca", "other.pem", "--wait", "1s"][..], &["--wait", "1s"]] {
        let (code, errors) = probe(options);
        assert_eq!(code, Some(2), "{errors}");
    }
    // A file that is not there is found before anything is started.
    let (code, errors) = probe(&["--tls-ca", "nowhere.pem"]);
    assert_eq!(code, Some(2), "{errors}");
    assert!(errors.contains("nowhere.pem") && !errors.contains("looking for"), "{errors}");
}

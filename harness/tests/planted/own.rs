//! What is told of services that have requests of their own.

use std::fs;
use std::path::Path;

use holdline_model::reason::{Note, Reason};
use holdline_model::result::{LossKind, TrialResult};
use holdline_model::words::{Blame, Fate, Grade};

use crate::common::Place;
use crate::planted::{TOKEN, fixtures, once, run};

fn fate(trial: &TrialResult, fate: Fate) -> u64 {
    trial.fates.get(&fate).copied().unwrap_or(0)
}

fn examples(trial: &TrialResult, kind: LossKind) -> Vec<&str> {
    trial.causes.iter().filter(|loss| loss.kind == kind).filter_map(|loss| loss.example.as_deref()).collect()
}

/// Attempts from 0 to 69 whose number the service answers otherwise.
const FIFTHS: u64 = 14;
const SEVENTHS_ALONE: u64 = 8;

#[test]
fn replies_that_are_asked_for_are_served_and_others_are_told_apart_and_quoted() {
    let planted = run("own-requests", "own-right", &[]);
    assert_eq!(fate(&planted.trial, Fate::Served), 70, "{:?}", planted.trial.losses);
    assert_eq!(planted.trial.versions.iter().map(|served| served.version).collect::<Vec<_>>(), [3]);

    let planted = run("own-requests", "own-mixed", &[]);
    let trial = &planted.trial;
    assert_eq!(fate(trial, Fate::ErrorReply), FIFTHS, "{:?}", trial.losses);
    assert_eq!(fate(trial, Fate::WrongReply), SEVENTHS_ALONE, "{:?}", trial.losses);
    assert_eq!(fate(trial, Fate::Served), 70 - FIFTHS - SEVENTHS_ALONE);
    assert_eq!(examples(trial, LossKind::ErrorReply), ["no such order\\n"]);
    assert_eq!(examples(trial, LossKind::WrongReply), ["the shop is closed\\n"]);

    let planted = run("own-requests", "own-lenient", &[]);
    assert_eq!(fate(&planted.trial, Fate::Served), 70, "{:?}", planted.trial.losses);
}

#[test]
fn a_body_from_a_file_arrives_whole_and_with_its_number() {
    let planted = run("own-requests", "own-upload", &[]);
    assert_eq!(fate(&planted.trial, Fate::Served), 70, "{:?}", planted.trial.losses);
}

#[test]
fn exchanges_of_bytes_are_told_apart_by_how_they_end() {
    let planted = run("own-exchanges", "talks-right", &[]);
    assert_eq!(fate(&planted.trial, Fate::Served), 30, "{:?}", planted.trial.losses);
    let planted = run("own-exchanges", "talks-cut", &[]);
    let of = |trial: &TrialResult| [Fate::Served, Fate::Truncated, Fate::WrongReply].map(|f| fate(trial, f));
    assert_eq!(of(&planted.trial), [24, 6, 0], "{:?}", planted.trial.losses);
    for (service, served, wrong, quoted) in [
        ("talks-grumpy", 24, 6, "554 go away\\r\\n"),
        ("talks-early", 0, 30, "250 early\\r\\n"),
        ("talks-web", 0, 30, "HTTP/1.1 400 Bad Request\\r\\n"),
    ] {
        let planted = run("own-exchanges", service, &[]);
        let trial = &planted.trial;
        assert_eq!(of(trial), [served, 0, wrong], "{service}: {:?}", trial.losses);
        let said = examples(trial, LossKind::WrongReply);
        assert!(said.iter().any(|said| said.starts_with(quoted)), "{service}: {said:?}");
    }
}

#[test]
fn what_is_longer_than_what_is_looked_at_is_not_the_servers_doing() {
    let planted = once("own-exchanges", "talks-endless", &[]);
    let trial = &planted.trial;
    assert!(
        matches!(trial.why, Some(Reason::TooLong { attempts: 30 })),
        "{:?} {:?}",
        trial.why,
        trial.losses
    );
}

/// The attempt, and whether the supervisor itself was killed for it.
fn killed(trial: &TrialResult) -> Vec<(u32, bool)> {
    let killed = trial.noted.iter().filter_map(|note| match note {
        Note::KilledInstead { attempt, supervises, .. } => Some((*attempt, *supervises)),
        _ => None,
    });
    killed.collect()
}

#[test]
fn without_poison_the_worker_that_has_the_request_is_killed_and_that_is_said() {
    let planted = run("own-poisoned", "own-right", &[]);
    let trial = &planted.trial;
    assert_eq!(killed(trial), [(5, false)], "{:?}", trial.notes);
    assert_eq!(trial.blame.get(&Blame::Poison), Some(&1), "{:?}", trial.losses);
    assert_eq!(fate(trial, Fate::Served), 29, "{:?}", trial.losses);
    assert_eq!((trial.grade, trial.mark, planted.exit), (Grade::Held, None, 0), "{:?}", trial.losses);
}

#[test]
fn a_single_process_is_killed_itself_and_nobody_starts_it_again() {
    let planted = run("own-poisoned", "own-single", &[]);
    let trial = &planted.trial;
    assert_eq!(killed(trial), [(5, true)], "{:?}", trial.notes);
    assert_eq!((fate(trial, Fate::Served), trial.grade), (5, Grade::Down), "{:?}", trial.losses);
}

#[test]
fn poison_of_its_own_is_sent_and_nobody_killed() {
    let planted = run("own-poisoned", "own-boom", &[]);
    let trial = &planted.trial;
    assert_eq!(killed(trial), [], "{:?}", trial.notes);
    assert_eq!(trial.blame.get(&Blame::Poison), Some(&1), "{:?}", trial.losses);
    assert_eq!((fate(trial, Fate::Served), trial.mark), (29, None), "{:?}", trial.losses);
}

/// Whether a text stands in any file of a folder.
fn is_anywhere(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_anywhere(&path, text);
        }
        let bytes = fs::read(&path).expect("a file");
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[test]
fn a_secret_is_nowhere_in_what_is_recorded_although_the_service_says_it() {
    let place = Place::new();
    let [scenario, service] =
        ["scenarios/own-requests.toml", "own-right.toml"].map(|name| fixtures().join(name));
    let [scenario, service] = [&scenario, &service].map(|path| path.to_str().expect("UTF-8"));
    let other = "s3cret-and-wrong";
    let exports = [
        "--export-json",
        "x.json",
        "--export-markdown",
        "x.md",
        "--export-html",
        "x.html",
        "--junit",
        "x.xml",
    ];
    let mut arguments = vec!["run", scenario, "-s", service, "--out", "out"];
    arguments.extend(exports);
    let output =
        place.holdline(&arguments).env("HOLDLINE_PLANTED_TOKEN", other).output().expect("holdline runs");
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains(TOKEN), "the service's words are quoted: {said}");
    assert!(!said.contains(other), "{said}");
    assert!(
        is_anywhere(&place.path("out"), "POST Bearer {env.HOLDLINE_PLANTED_TOKEN}"),
        "the service's log is kept"
    );
    assert!(!is_anywhere(&place.path("."), other));
}

#[test]
fn what_cannot_be_asked_is_found_before_anything_starts() {
    let place = Place::new();
    let service = fixtures().join("own-right.toml");
    let arguments = ["run", "crash", "-s", service.to_str().expect("UTF-8"), "--out", "out"];
    let output =
        place.holdline(&arguments).env_remove("HOLDLINE_PLANTED_TOKEN").output().expect("holdline runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("{env.HOLDLINE_PLANTED_TOKEN}"), "{said}");
    assert!(!place.path("out").exists());
}

/// A pipeline is kept together while it is sent, and its answers come one behind the other.
#[test]
fn what_cannot_be_sent_at_once_is_found_before_anything_starts() {
    let place = Place::new();
    let at_once = "name = \"at-once\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"2ms\" }\nattempts = 9\n\
                   connection = { requests = 3, pipeline = true }\n";
    let longer = format!("{at_once}[request]\nbody = \"{}\"\n", "x".repeat(20_000));
    fs::write(place.path("at-once.toml"), at_once).expect("written");
    fs::write(place.path("longer.toml"), longer).expect("written");
    for (scenario, service) in
        [("./at-once.toml", "own-upload"), ("./longer.toml", "own-right"), ("./at-once.toml", "talks-right")]
    {
        let service = fixtures().join(format!("{service}.toml"));
        let arguments = ["run", scenario, "-s", service.to_str().expect("UTF-8"), "--out", "out"];
        let output =
            place.holdline(&arguments).env("HOLDLINE_PLANTED_TOKEN", TOKEN).output().expect("holdline runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{scenario}: {said}");
        assert!(said.contains(scenario) && said.contains("`pipeline`"), "{scenario}: {said}");
        assert!(!place.path("out").exists());
    }
}

#[test]
fn a_scenario_says_otherwise() {
    let place = Place::new();
    let scenario = "name = \"boom\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"2ms\" }\nattempts = 9\n\
                    [request]\npath = \"/nowhere\"\nbody-file = \"body.txt\"\n[reply]\nstatus = [403]\n";
    fs::write(place.path("boom.toml"), scenario).expect("written");
    fs::write(place.path("body.txt"), "x").expect("written");
    let service = fixtures().join("own-right.toml");
    let arguments = ["run", "./boom.toml", "-s", service.to_str().expect("UTF-8"), "--out", "out"];
    let output =
        place.holdline(&arguments).env("HOLDLINE_PLANTED_TOKEN", TOKEN).output().expect("holdline runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let run = crate::common::read_result(&place.path("out").join("run.json"));
    assert_eq!(fate(&run.trials[0], Fate::Served), 9, "{said} {:?}", run.trials[0].losses);
}

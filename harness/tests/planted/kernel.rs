//! In whose hands connections were that nobody answered, and who had no descriptors left.

use std::io::Read;

use holdline_model::result::{Cause, Loss, LossKind, TrialResult};
use holdline_model::words::Fate;

use crate::common::{Place, read_result};
use crate::planted::{Planted, run};

/// How many attempts are planted not to be answered.
const PLANTED: u64 = 10;

/// The `hands` of each attempt that was not served.
fn hands(planted: &Planted) -> Vec<String> {
    let file = std::fs::File::open(planted.folder().join("attempts.csv.gz")).expect("attempts");
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("text");
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    let column = |name: &str, headers: &csv::StringRecord| headers.iter().position(|it| it == name);
    let headers = csv.headers().expect("headers").clone();
    let (fate, hands) = (column("fate", &headers).expect("fate"), column("hands", &headers).expect("hands"));
    let rows = csv.records().map(|row| row.expect("a row"));
    rows.filter(|row| &row[fate] != "served").map(|row| row[hands].to_owned()).collect()
}

#[track_caller]
fn timed_out(trial: &TrialResult) -> &Loss {
    assert_eq!(trial.fates[&Fate::TimedOut], PLANTED, "{:?}", trial.losses);
    let losses: Vec<&Loss> = trial.causes.iter().filter(|loss| loss.kind == LossKind::TimedOut).collect();
    assert_eq!(losses.len(), 1, "{:?}", trial.losses);
    losses[0]
}

/// One that stays with a process, of which so much was read: that process by its name.
#[track_caller]
fn stays_with(service: &str, reading: &str, words: &str) {
    let planted = run("one-by-one", service, &[]);
    let said = timed_out(&planted.trial).to_string();
    assert!(said.contains(words), "{said}");
    let hands = hands(&planted);
    assert_eq!(hands.len() as u64, PLANTED);
    for hand in &hands {
        let [held, pid, read] = hand.split(':').collect::<Vec<_>>()[..] else { panic!("{hand}") };
        assert!(
            held == "held" && read == reading && said.contains(&format!("process {pid}")),
            "{hand}: {said}"
        );
    }
}

#[test]
fn one_that_nobody_accepts_is_in_the_queue() {
    let planted = run("one-by-one", "hands-queue", &[]);
    assert_eq!(timed_out(&planted.trial).cause, None);
    assert_eq!(hands(&planted), vec!["queue"; PLANTED as usize]);
}

#[test]
fn one_that_is_accepted_is_with_the_process_that_has_it() {
    stays_with("hands-unread", "unread", "accepted by python3");
    stays_with("hands-read", "read", "accepted by python3");
}

#[test]
fn one_that_a_worker_hands_over_is_with_its_parent() {
    stays_with("hands-parent", "unread", "accepted by the supervisor, python3");
}

#[track_caller]
fn is_out_of_descriptors(loss: &Loss) {
    let Some(Cause::OutOfDescriptors { name, limit, .. }) = &loss.cause else { panic!("{loss}") };
    assert_eq!((name.as_str(), *limit), ("python3", 64));
}

#[test]
fn one_that_cannot_accept_for_want_of_descriptors_is_named() {
    let planted = run("one-by-one", "descriptors-none", &[]);
    is_out_of_descriptors(timed_out(&planted.trial));
    assert_eq!(hands(&planted), vec!["queue"; PLANTED as usize]);
}

#[test]
fn one_that_turns_away_for_want_of_descriptors_is_named() {
    let trial = run("one-by-one", "descriptors-turned-away", &[]).trial;
    assert_eq!(trial.fates[&Fate::NoReply], PLANTED, "{:?}", trial.losses);
    let cut: Vec<&Loss> = trial.causes.iter().filter(|loss| loss.kind == LossKind::CutShort).collect();
    assert_eq!(cut.len(), 1, "{:?}", trial.losses);
    is_out_of_descriptors(cut[0]);
}

#[test]
fn one_that_is_merely_slow_has_descriptors() {
    let trial = run("one-by-one", "merely-slow", &[]).trial;
    assert_eq!(trial.fates[&Fate::Served], 2 * PLANTED + PLANTED, "{:?}", trial.losses);
    let late: Vec<&Loss> = trial.causes.iter().filter(|loss| loss.kind == LossKind::Late).collect();
    assert!(late.len() == 1 && late[0].cause.is_none(), "{:?}", trial.losses);
}

/// A worker that leaks its descriptors lives and accepts nothing.
const LEAK: &str = r#"
name = "leak"
asks = "Is it known that a worker has no descriptors left?"
[workers]
nofile = 64
[load]
arrivals = { sequential = "10ms" }
attempts = 8
timeout = "500ms"
send-lag = "2s"
[[fault]]
at = { attempt = 4 }
poison = { step = "work", mode = "leak-fds" }
"#;

#[test]
fn a_worker_that_leaks_its_descriptors_is_named() {
    let place = Place::new();
    std::fs::write(place.path("leak.toml"), LEAK).expect("a scenario");
    let arguments = ["run", "./leak.toml", "-s", "held-socket", "--out", "out", "--show-progress", "none"];
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let trial = read_result(&place.path("out").join("run.json")).trials.pop().expect("a trial");
    let queued: Vec<&Loss> = trial.causes.iter().filter(|loss| loss.kind == LossKind::TimedOut).collect();
    assert_eq!(queued.len(), 1, "{:?} {}", trial.losses, String::from_utf8_lossy(&output.stderr));
    let Some(Cause::OutOfDescriptors { limit, .. }) = &queued[0].cause else { panic!("{}", queued[0]) };
    assert_eq!(*limit, 64);
}

//! Supervisors that do not do what they were told: each is handled, bounded, and said plainly, and
//! none leaves anything behind.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use holdline_model::exit::Exit;
use holdline_model::lack::{Lack, VersionProblem};
use holdline_model::log_tail::LogTail;
use holdline_model::mishap::{LeftRunning, Mishap};
use holdline_model::reason::{Note, Reason};
use holdline_model::result::TrialResult;
use holdline_model::signals::Signal;
use holdline_model::worded::Worded;
use holdline_model::words::{Fate, Grade, Verdict};
use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{Place, conclusive_at_once, processes_with, result, stderr, stdout, wait_until};

/// A supervisor that does right, as a shell script ends with it.
const SERVE: &str = "exec \"$@\"";
/// The same as a description's start, below a script that gets the work folder as `$1`.
const START: &str = "start = [\"sh\", \"{source}/run.sh\", \"{dir}\", \"{holdline}\", \"__supervise\", \
    \"held-socket\", \"--address\", \"{address}\", \"--workers\", \"{workers}\", \"--\", \"{worker}\"]\n";

/// Writes down a supervisor that is a shell script. It has held-socket's command line as `"$@"`.
fn plant(place: &Place, name: &str, keys: &str, script: &str) -> String {
    let description = format!(
        "name = \"{name}\"\nabout = \"for this test\"\n\
         socket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n{START}{keys}"
    );
    place.write(&format!("{name}/supervisor.toml"), &description);
    place.write(&format!("{name}/run.sh"), &format!("dir=$1; shift\n{script}\n"));
    format!("./{name}")
}

/// A short load that needs no fault.
fn scenario(place: &Place, more: &str) -> PathBuf {
    let text = "name = \"short\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"10ms\" }\nattempts = 10\n\
                deadline = \"2s\"\nsend-lag = \"2s\"\n";
    place.write("short.toml", &format!("{text}{more}"))
}

/// Runs a planted supervisor, and gives its first trial. Nothing of it is left when this returns.
#[track_caller]
fn run(place: &Place, supervisor: &str, more: &[&str]) -> (Output, TrialResult) {
    let marker = format!("holdline-misbehaves-{}-{:p}", std::process::id(), place);
    let mut command = place.holdline(&["run", "./short.toml", "-s", supervisor, "--out", "out"]);
    let output = command.args(more).env("HOLDLINE_TEST_MARKER", &marker).output().expect("holdline runs");
    wait_until("every process is gone", || processes_with(&marker).is_empty());
    let run = place.path("out");
    assert!(run.join("run.json").exists(), "{}", stderr(&output));
    let mut trials = result(&run).trials;
    assert!(!trials.is_empty(), "{}", stderr(&output));
    (output, trials.remove(0))
}

#[track_caller]
fn assert_served(trial: &TrialResult) {
    assert_eq!((trial.grade, trial.fates[&Fate::Served]), (Grade::Held, 10), "{:?}", trial.reason);
    assert!(trial.books.is_balanced());
}

#[test]
fn a_version_command_that_hangs_is_bounded_and_named() {
    let place = Place::new();
    scenario(&place, "");
    let supervisor = plant(&place, "mute", "version = [\"sh\", \"-c\", \"sleep 1000; true\"]\n", SERVE);
    let (output, trial) = run(&place, &supervisor, &[]);
    assert_eq!(output.status.code(), Some(4), "nothing ran: {}", stderr(&output));
    assert_eq!((trial.grade, trial.verdict), (Grade::Unsupported, Verdict::Unsupported));
    let Some(Reason::Lacks { what: Lack::Program(missing) }) = trial.why else { panic!("{:?}", trial.why) };
    let command = "sh -c sleep 1000; true".to_owned();
    assert_eq!(missing.problem, Some(VersionProblem::Endless { command, limit_s: 30 }));
}

#[test]
fn a_supervisor_that_daemonises_is_told_to_stay() {
    let place = Place::new();
    scenario(&place, "");
    // The one that it leaves behind serves; the one that was started has ended.
    let supervisor = plant(&place, "daemon", "", "setsid \"$@\" & exit 0");
    let (output, trial) = run(&place, &supervisor, &[]);
    assert_eq!(trial.grade, Grade::Inconclusive, "{}", stdout(&output));
    let Some(Reason::NotRun { what: Worded::Value(Mishap::Ended { status, left, .. }), full: None }) =
        trial.why
    else {
        panic!("{:?}", trial.why)
    };
    assert_eq!((status, left), (Exit::Status(0), Some(LeftRunning::StayInForeground)));
}

#[test]
fn a_supervisor_that_daemonises_later_is_told_to_stay_too() {
    let place = Place::new();
    scenario(&place, "[[fault]]\nat = { attempt = 5 }\ncontrol = \"reload\"\n");
    // A load lasts until its control actions have ended: this one waits for the end that it asks for.
    let wait = "pid=$(cat {dir}/its.pid); kill -HUP $pid; while kill -0 $pid; do sleep 0.01; done";
    let keys = format!("control = {{ reload = [\"sh\", \"-c\", \"{wait}\"] }}\n");
    let script = "echo $$ > \"$dir/its.pid\"; trap 'exit 0' HUP; setsid \"$@\" & wait";
    let supervisor = plant(&place, "late", &keys, script);
    let (output, trial) = run(&place, &supervisor, &[]);
    assert_served(&trial);
    assert_eq!(trial.supervisor_ended, Some(Exit::Status(0)));
    let note = Note::LeftBehind { status: Exit::Status(0), hint: LeftRunning::StayInForeground.into() };
    assert!(trial.noted.contains(&note), "{:?}", trial.noted);
    assert!(stdout(&output).contains("and left processes running"), "{}", stdout(&output));
}

#[test]
fn a_supervisor_that_daemonises_and_keeps_a_pid_file_is_followed() {
    let place = Place::new();
    scenario(
        &place,
        "[[fault]]\nat = { attempt = 5 }\nsignal = { to = \"supervisor\", name = \"HUP\" }\n\
         [[fault]]\nat = { attempt = 6 }\ncontrol = \"reload\"\n",
    );
    // A load lasts until its control actions have ended: this one waits for what the signal brings about.
    let wait = "until find {dir}/w -name '2-*.ledger' | grep .; do sleep 0.01; done";
    let keys = format!("pid-file = \"its.pid\"\ncontrol = {{ reload = [\"sh\", \"-c\", \"{wait}\"] }}\n");
    let script = "setsid \"$@\" & echo $! > \"$dir/its.pid\"";
    let supervisor = plant(&place, "daemon", &keys, script);
    let (_, trial) = run(&place, &supervisor, &[]);
    assert_served(&trial);
    assert_eq!((trial.supervisor_ended, trial.workers.orphans), (None, Some(0)));
    assert_eq!(trial.workers.generations, 2, "the signal reached the one that had taken over");
}

#[test]
fn a_log_of_many_megabytes_keeps_beginning_and_end() {
    let place = Place::new();
    scenario(&place, "");
    let script = "echo the beginning; head -c 40000000 /dev/zero | tr '\\0' x | fold -w 99; \
                  echo; echo the end; exec \"$@\"";
    let supervisor = plant(&place, "chatty", "ready = { timeout = \"60s\" }\n", script);
    let (_, trial) = run(&place, &supervisor, &[]);
    assert_served(&trial);
    let log =
        fs::read_to_string(place.path("out").join(&trial.folder).join("supervisor.log")).expect("a log");
    assert!(log.len() < 16 << 20, "{} bytes", log.len());
    assert!(
        log.starts_with("the beginning\nxxx") && log.contains("\nthe end\n"),
        "beginning and end are kept"
    );
    let cut =
        log.split_once("\nholdline: ").expect("a remark").1.split_once(" bytes of the log were cut out");
    let cut: usize = cut.expect("a remark").0.trim().parse().expect("a number");
    assert!(cut > 20_000_000, "{cut}");
}

#[test]
fn a_socket_file_that_is_left_behind_disturbs_no_other_trial() {
    for isolation in ["full", "none"] {
        let place = Place::new();
        scenario(&place, "[listen]\ntransport = \"unix\"\n");
        // The socket is not unlinked when its supervisor is killed at the end.
        let supervisor = plant(&place, "litter", "stop = { signal = \"KILL\", to = \"group\" }\n", SERVE);
        let (_, run) = conclusive_at_once(
            &place,
            &["./short.toml", "-s", &supervisor, "-r", "2", "--isolation", isolation],
        );
        assert_eq!(run.trials.len(), 2);
        run.trials.iter().for_each(assert_served);
    }
}

#[test]
fn a_supervisor_has_a_home_of_its_own() {
    let place = Place::new();
    scenario(&place, "");
    let script = "cd \"$HOME\" && test -z \"$(ls -A)\" && touch mine || exit 9\nexec \"$@\"";
    let supervisor = plant(&place, "homely", "", script);
    let (output, _) = run(&place, &supervisor, &["-r", "2"]);
    for trial in &result(&place.path("out")).trials {
        assert_served(trial);
    }
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_user_that_is_missing_is_named() {
    let place = Place::new();
    scenario(&place, "[workers]\nuser = \"no-such-user\"\n");
    let supervisor = plant(&place, "drops", "can-drop = true\n", SERVE);
    let (_, trial) = run(&place, &supervisor, &[]);
    assert_eq!(trial.grade, Grade::Unsupported);
    if nix::unistd::geteuid().is_root() {
        let what = Lack::User { name: "no-such-user".to_owned() };
        assert_eq!(trial.why, Some(Reason::Lacks { what }));
    }
    // One that the supervisor wants for itself is named in its log, which is quoted.
    let place = Place::new();
    scenario(&place, "");
    let script = "echo \"starter: no user named shop\" >&2; exit 1";
    let supervisor = plant(&place, "wants", "needs = \"a user named shop\"\n", script);
    let (output, trial) = run(&place, &supervisor, &[]);
    assert_eq!(trial.grade, Grade::Inconclusive);
    let why = Mishap::Ended {
        program: None,
        status: Exit::Status(1),
        left: None,
        needs: Some("a user named shop".to_owned()),
        log: LogTail(vec!["starter: no user named shop".to_owned()]),
    };
    assert_eq!(trial.why, Some(Reason::NotRun { what: why.into(), full: None }));
    assert!(stdout(&output).contains("\n         | starter: no user named shop\n"), "{}", stdout(&output));
}

#[test]
fn one_that_dies_of_being_stopped_is_noted() {
    let place = Place::new();
    scenario(&place, "");
    let script = "\"$@\" & trap 'kill -KILL $$' TERM; wait";
    let supervisor = plant(&place, "frail", "", script);
    let (_, trial) = run(&place, &supervisor, &[]);
    assert_served(&trial);
    assert_eq!(trial.noted, [Note::DiedOfStop { status: Exit::Signal(Signal::KILL) }]);
}

#[test]
fn one_that_ignores_its_stop_is_killed_and_noted() {
    let place = Place::new();
    scenario(&place, "");
    let script = "trap '' TERM; \"$@\" & while :; do sleep 1; done";
    let supervisor = plant(&place, "stubborn", "", script);
    let (output, trial) = run(&place, &supervisor, &["--isolation", "none"]);
    assert_served(&trial);
    let note = Note::Killed { limit_s: 10, error: None };
    assert!(trial.noted.contains(&note), "{:?}", trial.noted);
    assert!(stdout(&output).contains(&note.to_string()), "{}", stdout(&output));
}

#[test]
fn without_isolation_other_scenarios_work_or_say_what_they_need() {
    let place = Place::new();
    scenario(
        &place,
        "[listen]\ntransport = \"unix\"\n[[fault]]\nat = { attempt = 2 }\ncontrol = \"upgrade\"\n\
         [[fault]]\nat = { attempt = 8 }\nsignal = { to = \"supervisor\", name = \"KILL\" }\n",
    );
    let (_, run) = conclusive_at_once(&place, &["./short.toml", "-s", "held-socket", "--isolation", "none"]);
    let trial = &run.trials[0];
    assert_eq!((trial.books.is_balanced(), trial.supervisor_ended), (true, Some(Exit::Signal(Signal::KILL))));
    assert_eq!(trial.fates[&Fate::Served], 10, "{:?}", trial.losses);
    place.write(
        "sysctl.toml",
        "name = \"sysctl\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"10ms\" }\nattempts = 2\n\
         [sysctl]\n\"net.core.somaxconn\" = 16\n",
    );
    place
        .holdline(&["run", "./sysctl.toml", "-s", "held-socket", "--isolation", "none", "--out", "sysctl"])
        .assert()
        .code(3)
        .stdout(contains("net.core.somaxconn").and(contains("run with `--isolation full`")));
}

//! Runs that are gone on with after they were interrupted, and what did not pass, run again.

use std::process::{Child, Command, Stdio};

use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Verdict;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{Place, beside_others, result, stderr, stdout, wait_until};

/// A scenario of so many attempts, which nobody fails for being slow.
fn scenario(name: &str, attempts: u32) -> String {
    format!(
        "name = \"{name}\"\nasks = \"?\"\n[load]\narrivals = {{ sequential = \"5ms\" }}\nattempts = {attempts}\n\
         send-lag = \"4s\"\ndeadline = \"4s\"\n[expect]\nserved = {attempts}\n"
    )
}

const RUN: [&str; 7] = ["run", "./x.toml", "-s", "held-socket", "-r", "4", "--out"];

/// Which trials there are, in their order.
fn trials(run: &RunResult) -> Vec<(String, String, u32)> {
    let key = |t: &TrialResult| (t.scenario.clone(), t.supervisor.clone(), t.repetition);
    run.trials.iter().map(key).collect()
}

/// A run of four trials of half a second, in `out`, in the midst of its third.
fn in_the_third(place: &Place) -> Child {
    place.write("x.toml", &scenario("x", 100));
    let child = Command::new(env!("CARGO_BIN_EXE_holdline"))
        .args(RUN)
        .arg("out")
        .current_dir(place.path(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("holdline runs");
    let events = place.path("out/trials/0002-x-held-socket/events.jsonl");
    wait_until("the third trial is on", || {
        std::fs::read_to_string(&events).is_ok_and(|text| text.contains("\"ready\""))
    });
    child
}

fn end_by(mut child: Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a pid")), signal).expect("a signal");
    child.wait().expect("it ends");
}

/// Resumes what is in `out`, and holds it against a run that nobody interrupted.
#[track_caller]
fn check_resumed(place: &Place, before: &RunResult, kept: usize) {
    let dry = place.holdline(&["run", "--resume", "out", "--dry-run"]).output().expect("holdline runs");
    let rows = stdout(&dry).lines().skip(1).take_while(|line| !line.is_empty()).count();
    assert_eq!((dry.status.code(), rows), (Some(0), 4 - kept), "{}", stdout(&dry));
    assert_eq!(&result(&place.path("out")), before, "a dry run changes nothing");
    let output =
        place.holdline(&["run", "--resume", "out", "--junit", "j.xml"]).output().expect("holdline runs");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run = result(&place.path("out"));
    let planned: Vec<_> = (0..4).map(|n| ("x".to_owned(), "held-socket".to_owned(), n)).collect();
    assert_eq!(trials(&run), planned);
    assert!(run.complete && run.trials.iter().all(|trial| trial.verdict == Verdict::Pass));
    assert_eq!(run.trials[..kept], before.trials[..kept], "what was measured stays as it was");
    assert_eq!(run.manifest.started, before.manifest.started);
    assert_eq!(run.manifest.resumed.len(), 1);
    for trial in &run.trials {
        assert!(place.path("out").join(&trial.folder).join("attempts.csv.gz").exists(), "{}", trial.folder);
    }
    assert_eq!(place.path("out/trials").read_dir().expect("a folder").count(), 4);
    let junit = std::fs::read_to_string(place.path("j.xml")).expect("an export");
    assert_eq!(std::fs::read_to_string(place.path("out/junit.xml")).expect("a report"), junit);
}

#[test]
fn what_was_interrupted_is_ended_and_written_as_one_run() {
    let place = Place::new();
    let _beside = beside_others();
    end_by(in_the_third(&place), Signal::SIGINT);
    let before = result(&place.path("out"));
    assert_eq!((before.complete, before.trials.len()), (false, 3), "the third was cut short");
    check_resumed(&place, &before, 2);
    // There is nothing more to do, and it is what the run is.
    let again = place.holdline(&["run", "--resume", "out"]).output().expect("holdline runs");
    assert_eq!(again.status.code(), Some(0));
    assert!(stderr(&again).contains("nothing to resume"), "{}", stderr(&again));
    assert!(stdout(&again).contains("x  4 trials"), "{}", stdout(&again));
}

#[test]
fn what_was_killed_is_ended_and_nobody_else_may_go_on_while_it_is_on() {
    let place = Place::new();
    let _beside = beside_others();
    let child = in_the_third(&place);
    place.holdline(&["run", "--resume", "out"]).assert().code(2).stderr(contains("in use"));
    end_by(child, Signal::SIGKILL);
    let before = result(&place.path("out"));
    assert!(!before.complete && before.trials.len() <= 2);
    check_resumed(&place, &before, before.trials.len());
}

#[test]
fn a_part_and_a_comparison_are_ended_as_they_began() {
    let place = Place::new();
    let _beside = beside_others();
    place.write("x.toml", &scenario("x", 5));
    let contenders = ["-s", "held-socket", "-s", "prefork", "-r", "4", "--partition", "slice:2/2"];
    for (verb, out, trials) in [("run", "part", 4), ("compare", "compared", 6)] {
        let mut all = vec![verb, "./x.toml", "--out", out];
        all.extend(contenders);
        let output = place.holdline(&all).output().expect("holdline runs");
        assert_eq!(output.status.code(), Some(0), "{verb}: {}", stderr(&output));
        let path = place.path(out).join("run.json");
        let whole = result(&place.path(out));
        assert_eq!(whole.trials.len(), trials, "{verb}");
        // As if it had been killed after its first trial.
        let mut cut = whole.clone();
        cut.trials.truncate(1);
        cut.complete = false;
        std::fs::write(&path, serde_json::to_string(&cut).expect("JSON")).expect("a file");
        let resumed = place.holdline(&["run", "--resume", out]).output().expect("holdline runs");
        assert_eq!(resumed.status.code(), Some(0), "{verb}: {}", stderr(&resumed));
        let run = result(&place.path(out));
        assert_eq!(super::again::trials(&run), super::again::trials(&whole), "{verb}");
        assert_eq!(run.manifest.partition.as_deref(), Some("slice:2/2"));
        assert_eq!(run.manifest.reference, whole.manifest.reference);
    }
    place.holdline(&["compare", "compared"]).assert().code(0);
}

#[test]
fn what_cannot_be_gone_on_with_is_told_and_stays_as_it_is() {
    let place = Place::new();
    let _beside = beside_others();
    let refused = |dir: &str, said: &str| {
        place.holdline(&["run", "--resume", dir]).assert().code(2).stderr(contains(said));
    };
    place.write("empty/x", "");
    refused("absent", "absent");
    refused("empty", "no run directory");
    end_by(in_the_third(&place), Signal::SIGKILL);
    let (run, plan) = (place.path("out/run.json"), place.path("out/plan.json"));
    let read = |path| std::fs::read_to_string(path).expect("a file");
    let (recorded, planned) = (read(&run), read(&plan));
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../reports/schema/holdline.plan-1.json")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    assert!(schema.is_valid(&serde_json::from_str(&planned).expect("JSON")));
    place.write("x.toml", &scenario("x", 101));
    refused("out", "x.toml has changed");
    std::fs::remove_file(place.path("x.toml")).expect("a file");
    refused("out", "x.toml");
    place.write("x.toml", &scenario("x", 100));
    for (file, from, to, said) in [
        (&run, "\"holdline\": \"", "\"holdline\": \"9", "holdline 9"),
        (&run, "holdline.run/1", "holdline.run/2", "holdline.run/2"),
        (&run, "\"manifest\"", "\"manifesto\"", "not a result"),
        (&run, "\"scenario\": \"x\"", "\"scenario\": \"y\"", "another plan"),
        (&plan, "holdline.plan/1", "holdline.plan/2", "holdline.plan/2"),
        (&plan, "\"trials\"", "\"trails\"", "not a plan"),
    ] {
        let text = read(file);
        assert!(text.contains(from), "{from}");
        std::fs::write(file, text.replace(from, to)).expect("a file");
        refused("out", said);
        std::fs::write(file, text).expect("a file");
    }
    std::fs::remove_file(&plan).expect("a file");
    refused("out", "plan.json");
    assert_eq!(read(&run), recorded);
    for more in [["--seed", "1"], ["-s", "bare"], ["--out", "o"], ["--failed", "out"], ["-r", "2"]] {
        place
            .holdline(&["run", "--resume", "out"])
            .args(more)
            .assert()
            .code(2)
            .stderr(contains(more[0]).or(contains("cannot be used")));
    }
    place.holdline(&["--failed", "out", "--seed", "3"]).assert().code(2).stderr(contains("--seed"));
}

#[test]
fn what_did_not_pass_runs_again_and_nothing_else() {
    let place = Place::new();
    let _beside = beside_others();
    let crash = scenario("x", 10)
        + "[[fault]]\nat = { attempt = 5 }\npoison = { step = \"work\", mode = \"panic\" }\n";
    place.write("x.toml", &crash.replace("served = 10", "served = 9"));
    place.write("mine/supervisor.toml", &crate::support::held_socket_from("mine"));
    place.write("mine/run.sh", "exit 3\n");
    let all =
        ["run", "./x.toml", "-s", "bare", "-s", "held-socket", "-s", "./mine", "-r", "2", "--seed", "5"];
    let output = place.holdline(&all).args(["--out", "out"]).output().expect("holdline runs");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let first = result(&place.path("out"));
    let not_passed: Vec<_> =
        (0..2).flat_map(|n| ["bare", "mine"].map(|name| ("x".to_owned(), name.to_owned(), n))).collect();
    // It was mended meanwhile, which is what one runs it again for.
    place.write("mine/run.sh", "dir=$1; shift; exec \"$@\"\n");
    let again =
        place.holdline(&["run", "--failed", "out", "--out", "again"]).output().expect("holdline runs");
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
    let run = result(&place.path("again"));
    assert_eq!((trials(&run), run.manifest.seed), (not_passed, 5));
    let verdicts = |name| run.trials.iter().filter(move |t| t.supervisor == name).map(|t| t.verdict);
    assert!(verdicts("mine").all(|verdict| verdict == Verdict::Pass), "{run:#?}");
    assert!(verdicts("bare").all(|verdict| verdict == Verdict::Fail));
    assert_eq!(result(&place.path("out")), first, "what was recorded stays as it was");
    // Words select among it.
    let mine = place.holdline(&["--failed", "out", "-s", "./mine", "--out", "mine-again"]).output();
    assert_eq!(mine.expect("holdline runs").status.code(), Some(0));
    assert_eq!(result(&place.path("mine-again")).trials.len(), 2);
    for none in [&["--failed", "mine-again"][..], &["--failed", "out", "-s", "prefork"]] {
        place.holdline(none).args(["--out", "none"]).assert().code(4).stderr(contains("nothing is selected"));
    }
    assert!(!place.path("none").exists());
}

#[test]
fn a_run_without_its_plan_runs_again_by_names_of_the_catalogue() {
    let place = Place::new();
    place.holdline(&["--failed", "absent"]).assert().code(2).stderr(contains("absent"));
    let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/recorded");
    let recorded = recorded.to_str().expect("UTF-8");
    let dry = place.holdline(&["--failed", recorded, "--dry-run"]).output().expect("holdline runs");
    let failed = result(std::path::Path::new(recorded));
    let failed = failed.trials.iter().filter(|t| matches!(t.verdict, Verdict::Fail | Verdict::Inconclusive));
    let rows = stdout(&dry).lines().skip(1).take_while(|line| !line.is_empty()).count();
    assert_eq!((dry.status.code(), rows), (Some(0), failed.count()), "{}", stderr(&dry));
    let text = std::fs::read_to_string(std::path::Path::new(recorded).join("run.json")).expect("a file");
    place.write("r.json", &text.replace("\"scenario\": \"crash\"", "\"scenario\": \"mine\""));
    let told = contains("`mine`").and(contains("./mine.toml"));
    place.holdline(&["--failed", "r.json"]).assert().code(2).stderr(told);
}

//! Servers that turn on the trial that they are in: each ends as one trial, recorded as what it is, and
//! none reaches the run, its other trials, or the host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use holdline_model::reason::{Note, Reason};
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Grade;

use crate::support::{
    COMMON, Place, cgroup_tree, held_socket_from, of, processes_with, result, stderr, wait_until,
};

/// Runs a held-socket that a shell script starts as `"$@"`, its work folder in `$dir`, and after it one that
/// does nothing else. Nothing is left of either when this returns. The script is below `/tmp`, as is all that a
/// test needs.
#[track_caller]
fn run(place: &Place, script: &str, more: &[&str]) -> (Output, RunResult) {
    place.write(
        "short.toml",
        "name = \"short\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"5ms\" }\nattempts = 5\n\
         deadline = \"4s\"\nsend-lag = \"4s\"\n",
    );
    place.write("hostile/supervisor.toml", &held_socket_from("hostile"));
    place.write("hostile/run.sh", &format!("dir=$1; shift\n{script}\n"));
    let marker = format!("holdline-hostile-{}-{place:p}", std::process::id());
    let mut command =
        place.holdline(&["run", "./short.toml", "-s", "./hostile", "-s", "held-socket", "--out", "out"]);
    let output = command.args(more).env("HOLDLINE_TEST_MARKER", &marker).output().expect("holdline runs");
    wait_until("every process is gone", || processes_with(&marker).is_empty());
    let run = place.path("out");
    assert!(run.join("run.json").exists(), "{}", stderr(&output));
    (output, result(&run))
}

#[track_caller]
fn assert_held(trial: &TrialResult) {
    assert_eq!(trial.grade, Grade::Held, "{:?}", trial.reason);
}

/// What a script has printed.
fn log(place: &Place, trial: &TrialResult) -> String {
    let path: PathBuf = place.path("out").join(&trial.folder).join("supervisor.log");
    fs::read_to_string(path).expect("a log")
}

fn has_full_isolation() -> bool {
    holdline::sandbox::probe().is_ok()
}

/// Neither messages in the runner's name nor orders in the outer process's.
#[test]
fn a_server_cannot_reach_what_runner_and_holdline_say_to_each_other() {
    let script = "for pid in 1 $PPID; do for fd in 0 1 2; do\n\
                  (echo rubbish > /proc/$pid/fd/$fd) 2>/dev/null && echo wrote to $fd of $pid\n\
                  done; done\necho tried\nexec \"$@\"";
    for isolation in ["full", "none"] {
        if isolation == "full" && !has_full_isolation() {
            continue;
        }
        let place = Place::new();
        // Without namespaces process 1 is the machine's own.
        let script = if isolation == "none" { script.replace("1 $PPID", "$PPID") } else { script.to_owned() };
        let (output, run) = run(&place, &script, &["--isolation", isolation]);
        let trial = of(&run, "hostile");
        assert_held(trial);
        assert_eq!(log(&place, trial).lines().filter(|line| line.contains("wrote")).count(), 0);
        assert!(log(&place, trial).contains("tried"));
        assert_eq!(trial.notes, of(&run, "held-socket").notes);
        assert_held(of(&run, "held-socket"));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_runner_that_is_stopped_goes_on() {
    for isolation in ["auto", "none"] {
        let place = Place::new();
        let (output, run) = run(&place, "kill -STOP $PPID\nexec \"$@\"", &["--isolation", isolation]);
        run.trials.iter().for_each(assert_held);
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_runner_that_is_killed_costs_its_trial_only() {
    for isolation in ["auto", "none"] {
        let place = Place::new();
        let (output, run) = run(&place, "kill -KILL $PPID\nexec \"$@\"", &["--isolation", isolation]);
        let trial = of(&run, "hostile");
        assert_eq!(trial.grade, Grade::Inconclusive);
        assert!(trial.reason.is_some());
        assert_held(of(&run, "held-socket"));
        assert_eq!(output.status.code(), Some(3));
    }
}

#[test]
fn every_trial_has_folders_for_temporary_files_of_its_own() {
    if !has_full_isolation() {
        return;
    }
    let name = format!("holdline-hostile-{}", std::process::id());
    let place = Place::new();
    // What of the host's is there is what the test needs, which is below the folder for temporary files.
    let script = format!(
        "find /dev/shm -mindepth 1 | grep . && exit 9\n\
         for folder in {} \"$dir\"; do\n\
         echo x > $folder/{name} || exit 8\n\
         stat -f -c \"$folder %c inodes\" $folder\n\
         done\n\
         head -c 300000000 /dev/zero > /dev/shm/big && exit 7\n\
         exec \"$@\"",
        COMMON.join(" ")
    );
    let (_, run) = run(&place, &script, &["-r", "2"]);
    assert_eq!(run.trials.len(), 4);
    run.trials.iter().for_each(assert_held);
    let log = log(&place, of(&run, "hostile"));
    for folder in COMMON {
        assert!(log.contains(&format!("{folder} 50000 inodes")), "{log}");
        assert!(!Path::new(folder).join(&name).exists());
    }
    assert!(log.contains(" 200000 inodes"), "{log}");
    let is_full = |note: &Note| matches!(note, Note::Full(full) if full.folder == "/dev/shm");
    let full = |trial: &TrialResult| trial.noted.iter().any(is_full);
    for trial in &run.trials {
        assert_eq!(full(trial), trial.supervisor == "hostile", "{:?}", trial.noted);
    }
}

#[test]
fn a_work_folder_that_is_full_is_said_to_be() {
    if !has_full_isolation() {
        return;
    }
    let place = Place::new();
    let script = "cat /dev/zero > \"$dir/big\"\nexit 1";
    let (output, run) = run(&place, script, &[]);
    let trial = of(&run, "hostile");
    assert_eq!(trial.grade, Grade::Inconclusive);
    let Some(Reason::NotRun { full: Some(full), .. }) = &trial.why else { panic!("{:?}", trial.why) };
    assert_eq!(full.size_mib, 1024);
    assert_held(of(&run, "held-socket"));
    assert_eq!(output.status.code(), Some(3));
}

/// Those of its own group, those that have left it, and those that ignore what asks them to end.
#[test]
fn many_processes_that_hold_on_go_with_their_trial() {
    let script = "trap '' TERM HUP INT\n\
                  for _ in $(seq 50); do sleep 1000 & (setsid sleep 1000 &); done\n\
                  trap - TERM HUP INT\nexec \"$@\"";
    for isolation in ["auto", "none"] {
        let place = Place::new();
        let (output, run) = run(&place, script, &["--isolation", isolation]);
        run.trials.iter().for_each(assert_held);
        assert_eq!(output.status.code(), Some(0));
    }
}

/// The machine's clock is nobody's own.
#[test]
fn a_server_cannot_set_the_clock() {
    if !has_full_isolation() {
        return;
    }
    let place = Place::new();
    let script = "date -s \"@$(date +%s)\" || echo refused\nexec \"$@\"";
    let (_, run) = run(&place, script, &[]);
    run.trials.iter().for_each(assert_held);
    assert!(log(&place, of(&run, "hostile")).lines().any(|line| line == "refused"));
}

/// One that no namespace takes away.
#[test]
fn a_cgroup_goes_with_its_trial() {
    let Some(tree) = cgroup_tree() else { return };
    let kind = format!("holdline-test{}", std::process::id());
    let place = Place::new();
    let script = format!(
        "group={}/{kind}-$(basename \"$dir\")\nmkdir -p $group/init.scope && echo made\nexec \"$@\"",
        tree.display()
    );
    let (_, run) = run(&place, &script, &[]);
    run.trials.iter().for_each(assert_held);
    assert!(log(&place, of(&run, "hostile")).contains("made"));
    let left = fs::read_dir(tree).expect("a folder").flatten();
    let left: Vec<_> = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&kind)).collect();
    assert!(left.is_empty(), "{left:?}");
}

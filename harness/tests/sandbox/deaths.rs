//! Nothing is left of a trial, whoever dies first.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use holdline::sandbox::{Isolation, Lifeline};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::case::Case;

/// A supervisor's family at its worst: it ignores signals, leaves its session, disowns its children.
const CROWD: &str = "trap '' TERM HUP INT
    (setsid sh -c 'trap \"\" TERM; (while :; do sleep 1000; done) & while :; do sleep 1000; done' &)
    for i in 1 2 3; do (setsid sleep 1000 &); done
    (sh -c 'for i in 1 2 3; do sleep 0.01; (sleep 1000 &); done' &)
    sleep 1000";

/// Whom a test kills.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Outer,
    Stage0,
    Init,
    Runner,
}

impl Victim {
    const ALL: [Self; 4] = [Self::Outer, Self::Stage0, Self::Init, Self::Runner];

    /// Its PID, or that of its nearest ancestor if it is not there yet.
    fn find(self, outer: i32, isolation: Isolation) -> i32 {
        let mut found = outer;
        for generation in 0..self as usize {
            let path = format!("/proc/{found}/task/{found}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            let mut children = children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
            // Stage 0 as root has a child for a moment that maps its ids: that is not init, which is the
            // first of a PID namespace.
            let mapper = |pid: i32| generation == 1 && isolation == Isolation::Full && !has_two_pids(pid);
            match children.find(|pid| !mapper(*pid)) {
                Some(child) => found = child,
                None => break,
            }
        }
        found
    }
}

/// Whether a process has a PID in a namespace of its own too.
fn has_two_pids(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    pids.split_ascii_whitespace().count() > 1
}

/// Kills the victim at twenty instants of a sandbox's life, from before it exists to when it is full.
#[track_caller]
fn check_death(case: &Case, victim: Victim) {
    for instant in 0..20 {
        let mut outer =
            case.command(&["outer", "sh", "-c", CROWD]).stderr(Stdio::null()).spawn().expect("an executable");
        sleep(Duration::from_micros(instant * instant * 250));
        let pid = i32::try_from(outer.id()).expect("a pid");
        kill(Pid::from_raw(victim.find(pid, case.spec.isolation)), Signal::SIGKILL).expect("a signal");
        case.await_end();
        let status = outer.wait().expect("an end");
        assert!(!status.success(), "{victim:?} at {instant}: {status}");
    }
}

#[test]
fn nothing_is_left_whoever_dies_with_full_isolation() {
    let Some(case) = Case::full() else { return };
    Victim::ALL.into_iter().for_each(|victim| check_death(&case, victim));
}

#[test]
fn nothing_is_left_whoever_dies_as_an_ordinary_user() {
    let Some(case) = Case::full() else { return };
    let case = case.with_nobody();
    Victim::ALL.into_iter().for_each(|victim| check_death(&case, victim));
}

#[test]
fn nothing_is_left_whoever_dies_without_isolation() {
    let case = Case::new(Isolation::None);
    Victim::ALL.into_iter().for_each(|victim| check_death(&case, victim));
}

#[test]
fn the_trial_ends_when_its_lifeline_is_dropped() {
    for isolation in Isolation::ALL {
        let Some(mut case) = Case::at(*isolation) else { return };
        case.spec.work = case.shared("work");
        case.spec.lifeline = Some(0);
        let (lifeline, end) = Lifeline::new().expect("a pipe");
        let script = format!("echo up; exec > /dev/null; {CROWD}");
        let mut command = case.command(&["stage0", "sh", "-c", &script]);
        let mut child = command.stdin(end).stdout(Stdio::piped()).spawn().expect("an executable");
        drop(command);
        child.stdout.take().expect("a pipe").read_exact(&mut [0; 3]).expect("a word");
        drop(lifeline);
        case.await_end();
        assert_eq!(child.wait().expect("an end").code(), Some(137));
    }
}

#[test]
fn the_trial_ends_with_its_parent_even_without_a_lifeline() {
    for isolation in Isolation::ALL {
        let Some(mut case) = Case::at(*isolation) else { return };
        case.spec.work = case.shared("work");
        let script = format!("echo up; exec > /dev/null; {CROWD}");
        let inner = case.command(&["stage0", "sh", "-c", &script]);
        let mut parent = Command::new("sh");
        parent.args(["-c", "\"$0\" \"$@\" & wait"]).arg(inner.get_program()).args(inner.get_args());
        parent.env("MARK", &case.mark).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut parent = parent.spawn().expect("a shell");
        parent.stdout.take().expect("a pipe").read_exact(&mut [0; 3]).expect("a word");
        parent.kill().expect("a signal");
        parent.wait().expect("an end");
        case.await_end();
    }
}

/// What the terminal sends is for the outer process to act on.
#[test]
fn an_interrupt_does_not_end_the_trial() {
    for isolation in Isolation::ALL {
        let Some(mut case) = Case::at(*isolation) else { return };
        case.spec.work = case.shared("work");
        let go = case.folder.path().join("go");
        let script = "until [ -e \"$0\" ]; do sleep 0.01; done; exit 4";
        let words = ["stage0", "sh", "-c", script, go.to_str().expect("text")];
        let mut stage0 = case.command(&words).spawn().expect("an executable");
        let ignores = |signal: Signal| {
            let status = fs::read_to_string(format!("/proc/{}/status", stage0.id())).expect("a status");
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a mask");
            u64::from_str_radix(mask.trim(), 16).expect("a number") & (1 << (signal as i32 - 1)) != 0
        };
        while !ignores(Signal::SIGHUP) {
            sleep(Duration::from_millis(1));
        }
        for signal in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
            kill(Pid::from_raw(i32::try_from(stage0.id()).expect("a pid")), signal).expect("a signal");
        }
        fs::write(go, "").expect("a file");
        assert_eq!(stage0.wait().expect("an end").code(), Some(4));
    }
}

#[test]
fn without_isolation_all_descendants_die_and_nobody_else() {
    let case = Case::new(Isolation::None);
    let mut bystander = Command::new("sleep").arg("1000").spawn().expect("sleep");
    // Until all of the crowd that sleeps is there. A shell whose child dies a moment before it says
    // "Killed", which is the crowd's to say and not the sandbox's.
    let script = format!(
        "({CROWD}) > /dev/null 2>&1 &
        until [ \"$(for at in $(grep -lsa \"$MARK\" /proc/[0-9]*/environ); do
            grep -sx sleep \"${{at%environ}}comm\"
        done | wc -l)\" -ge 9 ]; do :; done
        echo $LEVEL $TMPDIR; touch $TMPDIR/file"
    );
    let printed = case.shell(&script);
    assert!(case.survivors().is_empty());
    let (level, work) = printed.trim_end().split_once(' ').expect("two words");
    assert_eq!(level, "none");
    assert!(!Path::new(work).exists());
    assert!(bystander.try_wait().expect("a look").is_none());
    bystander.kill().expect("a signal");
    bystander.wait().expect("an end");
}

//! Deploys, and what workers are given: what must never be lost, and supervisors that are known to be
//! bad, of which the same scenarios must say so.

use std::path::PathBuf;

use holdline_model::lack::Lack;
use holdline_model::reason::Reason;
use holdline_model::result::{Cause, Check, Loss, LossKind, MomentKind, TrialResult};
use holdline_model::versions;
use holdline_model::violation::{Found, Violation};
use holdline_model::words::{Blame, Fate, Finding, Grade, Verdict};

use crate::common::{Place, read_result};
use crate::lag::lagged;

/// Runs a selection; trials for which the machine was too busy are left out.
#[track_caller]
fn run(place: &Place, arguments: &[&str]) -> Vec<TrialResult> {
    let out = (0..).map(|n| format!("out-{n}")).find(|name| !place.path(name).exists()).expect("a name");
    let mut all = vec!["run", "--out", &out, "--export-json", "result.json", "--show-progress", "none"];
    all.extend(arguments);
    let output = place.holdline(&all).output().expect("holdline runs");
    let path = place.path("result.json");
    assert!(path.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut trials = read_result(&path).trials;
    trials.retain(|trial| !lagged(trial));
    assert!(!trials.is_empty(), "the machine was too busy for every trial");
    trials
}

/// A description of a supervisor in a folder of its own.
fn describe(place: &Place, name: &str, text: &str) -> PathBuf {
    let folder = place.path(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    let head = format!("name = \"{name}\"\nabout = \"for this test\"\n");
    std::fs::write(folder.join("supervisor.toml"), head + text).expect("a file");
    folder
}

/// A restart loop with these controls: its worker binds the address itself.
fn loop_with(place: &Place, name: &str, control: &str) -> PathBuf {
    let text = "socket = { holder = \"worker\", passing = \"bind\" }\n\
        start = [\"{holdline}\", \"__supervise\", \"restart-loop\", \"--address\", \"{address}\", \"--dir\", \"{dir}\", \"--\", \"{worker}\"]\n\
        ready = { workers = false }\n[control]\n";
    describe(place, name, &format!("{text}{control}\n"))
}

/// Everything that a deploy may ask for, one after the other.
const DEPLOYS: &str = "name = \"mine\"\nasks = \"?\"\n[workers]\ncount = 2\nboot = \"20ms\"\n[load]\n\
    arrivals = { constant = \"200/s\" }\nduration = \"3s\"\nsend-lag = \"2s\"\ndeadline = \"4s\"\n\
    [[fault]]\nat = \"100ms\"\ncontrol = \"restart\"\n\
    [[fault]]\nat = { after = 0, delay = \"100ms\" }\ncontrol = \"upgrade\"\n\
    [[fault]]\nat = { after = 1, delay = \"100ms\" }\ncontrol = \"rolling-restart\"\n\
    [[fault]]\nat = { after = 2, delay = \"100ms\" }\ncontrol = { verb = \"scale\", workers = 1 }\n";
const HANDOVER: &str = "[[fault]]\nat = { after = 3, delay = \"100ms\" }\ncontrol = \"upgrade-supervisor\"\n";
const NOTHING_LOST: &str = "[expect]\ncollateral = 0\nrefused = 0\n\"versions.newest\" = 2\n";

#[test]
fn deploys_of_rolling_and_handover_lose_nothing() {
    let place = Place::new();
    let file = |name: &str, faults: &str| {
        std::fs::write(place.path(name), format!("{DEPLOYS}{faults}{NOTHING_LOST}")).expect("a file");
    };
    file("rolling.toml", "");
    file("handover.toml", HANDOVER);
    for (scenario, supervisor, faults) in
        [("./rolling.toml", "rolling", 4), ("./handover.toml", "handover", 5)]
    {
        for trial in run(&place, &[scenario, "-s", supervisor, "-r", "2"]) {
            assert_eq!(
                trial.verdict,
                Verdict::Pass,
                "{supervisor}: {:?} {:?}",
                trial.reason,
                trial.violations
            );
            assert_eq!(trial.blame[&Blame::Collateral], 0, "{supervisor}: {:?}", trial.losses);
            assert!(trial.books.is_balanced(), "{supervisor}");
            assert_eq!(trial.kernel.listeners_closed, 0, "{supervisor}");
            let struck = trial.timeline.iter().filter(|entry| entry.kind == MomentKind::Fault).count();
            assert_eq!(struck, faults, "{supervisor}: {:#?}", trial.timeline);
        }
    }
}

#[test]
fn old_and_new_answer_side_by_side_or_one_after_the_other() {
    let place = Place::new();
    for trial in run(&place, &["upgrade", "-s", "rolling", "-s", "held-socket", "-s", "restart-loop"]) {
        let name = trial.supervisor.as_str();
        let served: Vec<u16> = trial.versions.iter().map(|served| served.version).collect();
        assert_eq!(served, [1, 2], "{name}");
        let sum: u64 = trial.versions.iter().map(|served| served.served).sum();
        assert_eq!(sum, trial.fates[&Fate::Served], "{name}");
        assert!(trial.versions.iter().all(|served| served.first_ns <= served.last_ns), "{name}");
        if name != "rolling" {
            assert_eq!(versions::overlap_ns(&trial.versions), Some(0), "{name}: {:?}", trial.versions);
        }
    }
}

#[test]
fn an_upgrade_whose_new_version_never_answers_fails() {
    let place = Place::new();
    let scenario = "name = \"mine\"\nasks = \"?\"\n[load]\narrivals = { constant = \"50/s\" }\n\
        duration = \"1s\"\nsend-lag = \"2s\"\ndeadline = \"2s\"\n\
        [[fault]]\nat = \"100ms\"\ncrash = { step = \"boot\", mode = \"exit\", times = 1000000 }\n\
        [[fault]]\nat = \"200ms\"\ncontrol = \"upgrade\"\n\
        [expect]\ncollateral = 0\n\"versions.newest\" = 2\n";
    std::fs::write(place.path("mine.toml"), scenario).expect("a file");
    let trials = run(&place, &["./mine.toml", "-s", "rolling"]);
    assert_eq!((trials[0].grade, trials[0].verdict), (Grade::Held, Verdict::Fail));
    assert_eq!(trials[0].violations, ["expected versions.newest = 2, measured 1"]);
}

#[test]
fn a_reload_that_restarts_is_found_out() {
    let place = Place::new();
    let folder = loop_with(&place, "restarter", "reload = { signal = \"HUP\" }");
    let trials = run(&place, &["reload", "-s", folder.to_str().expect("UTF-8")]);
    assert_eq!((trials[0].grade, trials[0].verdict), (Grade::Lossy, Verdict::Fail), "{:?}", trials[0].losses);
}

#[test]
fn a_supervisor_that_adds_no_workers_is_found_out() {
    let place = Place::new();
    let text = "socket = { holder = \"supervisor\", passing = \"stdin\" }\n\
        start = [\"{holdline}\", \"__supervise\", \"held-socket\", \"--address\", \"{address}\", \"--workers\", \"{workers}\", \"--\", \"{worker}\"]\n\
        [control]\nscale = [\"true\"]\n";
    let folder = describe(&place, "lazy", text);
    let trials = run(&place, &["scale-up", "-s", folder.to_str().expect("UTF-8")]);
    assert_eq!(trials[0].verdict, Verdict::Fail);
    assert_eq!(trials[0].violations, ["expected workers.at_end >= 4, measured 2"]);
}

/// Passes its listener as systemd does; with `leak`, with another process's LISTEN_PID and with two
/// descriptors of its own.
const PASSES_SOCKET: &str = "\
import os, signal, socket, sys
leak, host, port, worker = sys.argv[1] == 'leak', sys.argv[2], int(sys.argv[3]), sys.argv[4:]
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind((host, port))
listener.listen(128)
stray = [os.open('/dev/null', os.O_RDONLY) for _ in range(2)]
assert min(stray + [listener.fileno()]) >= 3
kept = [os.dup(fd) for fd in stray]
def start():
    pid = os.fork()
    if pid == 0:
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        env = dict(os.environ, LISTEN_FDS='1', LISTEN_FDNAMES='web')
        env['LISTEN_PID'] = str(os.getppid() if leak else os.getpid())
        for fd in kept:
            os.set_inheritable(fd, leak)
        os.execve(worker[0], worker, env)
    return pid
signal.signal(signal.SIGTERM, lambda *_: (os.kill(pid, signal.SIGTERM), os.waitpid(pid, 0), os._exit(0)))
while True:
    pid = start()
    os.waitpid(pid, 0)
";

fn passes_socket(place: &Place, name: &str) -> String {
    let text = format!(
        "socket = {{ holder = \"supervisor\", passing = \"listen-fds-any-pid\" }}\n\
         start = [\"python3\", \"{{source}}/pass.py\", \"{name}\", \"{{host}}\", \"{{port}}\", \"{{worker}}\"]\n"
    );
    let folder = describe(place, name, &text);
    std::fs::write(folder.join("pass.py"), PASSES_SOCKET).expect("a file");
    folder.to_str().expect("UTF-8").to_owned()
}

#[test]
fn stray_descriptors_and_a_wrong_listen_pid_are_found_and_nothing_else() {
    let place = Place::new();
    let (good, bad) = (passes_socket(&place, "good"), passes_socket(&place, "leak"));
    let trials = run(&place, &["inheritance", "-s", &good, "-s", &bad]);
    for trial in &trials {
        let failed: Vec<Check> = trial
            .workers
            .inheritance
            .iter()
            .filter(|check| check.finding == Finding::Failed)
            .map(|check| check.check)
            .collect();
        let ok = trial.workers.inheritance.iter().filter(|check| check.finding == Finding::Ok).count();
        if trial.supervisor == "good" {
            assert_eq!((failed, ok), (Vec::new(), 5), "{:#?}", trial.workers.inheritance);
            assert_eq!(
                (trial.verdict, trial.workers.leaked_fds),
                (Verdict::Pass, 0),
                "{:?}",
                trial.violations
            );
        } else {
            assert_eq!(
                (failed, ok),
                (vec![Check::ListenPid, Check::Descriptors], 3),
                "{:#?}",
                trial.workers.inheritance
            );
            // Two for each of two workers: the one that panics, and its successor.
            assert_eq!((trial.verdict, trial.workers.leaked_fds), (Verdict::Fail, 4));
            let violates = |violation: &Violation| {
                (violation.metric.as_str(), &violation.found)
                    == ("workers.conformance_failures", &Found::Measured(2))
            };
            assert!(trial.violated.iter().any(violates), "{:?}", trial.violated);
        }
    }
    let shown = place.holdline(&["report", "--trials", "out-0"]).output().expect("a report");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in ["failed     listen-pid", "failed     descriptors", "noted      cgroup"] {
        assert!(shown.contains(line), "{line:?} is not in\n{shown}");
    }
}

#[test]
fn privileged_ports_are_for_those_who_open_them_as_root() {
    let place = Place::new();
    let is_root = nix::unistd::geteuid().is_root();
    for trial in run(&place, &["privileged-port", "-s", "bare", "-s", "reuse-port", "-s", "held-socket"]) {
        let name = trial.supervisor.as_str();
        if !is_root {
            assert_eq!(trial.grade, Grade::Unsupported, "{name}");
            assert_eq!(trial.why, Some(Reason::Lacks { what: Lack::RootForUsers }), "{name}");
            continue;
        }
        let nobody = nix::unistd::User::from_name("nobody").expect("users").expect("nobody").uid.as_raw();
        assert_eq!(trial.workers.uids, [nobody], "{name}");
        assert!(trial.books.is_balanced(), "{name}");
        if name == "held-socket" {
            assert_eq!((trial.grade, trial.verdict), (Grade::Held, Verdict::Pass), "{:?}", trial.violations);
        } else {
            assert_eq!((trial.grade, trial.verdict), (Grade::Down, Verdict::Fail), "{name}");
            assert!(
                trial.kernel.listeners.is_empty() && trial.fates[&Fate::Refused] == 20,
                "{:?}",
                trial.fates
            );
            let Loss { kind, cause, .. } = &trial.causes[0];
            let denied = matches!(cause, Some(Cause::CouldNotListen { errno, .. }) if *errno == nix::errno::Errno::EACCES as u64);
            assert!(*kind == LossKind::Refused && denied, "{:?}", trial.causes);
        }
    }
}

#[test]
fn a_supervisor_that_cannot_drop_privileges_is_not_asked_to() {
    let place = Place::new();
    let text = "socket = { holder = \"supervisor\", passing = \"stdin\" }\nstart = [\"true\"]\n";
    let folder = describe(&place, "root-only", text);
    let trials = run(&place, &["privileged-port", "-s", folder.to_str().expect("UTF-8")]);
    assert_eq!(trials[0].grade, Grade::Unsupported);
    assert_eq!(trials[0].why, Some(Reason::Lacks { what: Lack::OtherUsers }));
}

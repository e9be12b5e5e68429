//! Whatever is wrong gets one clear error that names the thing and the remedy, the right exit code,
//! and leaves nothing behind.

use std::io::Read;
use std::process::{Command, Stdio};

use holdline_model::reason::Reason;
use holdline_model::words::{Grade, Verdict};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use predicates::prelude::*;
use predicates::str::contains;

use crate::support::{Place, alone, processes_with, result, stderr, stdout, wait_until};

#[test]
fn a_wrong_scenario_is_named_with_line_and_column_and_starts_nothing() {
    let base = "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"10ms\" }\nattempts = 20\n";
    let cases = [
        (format!("{base}deadlin = \"5ms\"\n"), "x.toml:6:1", "deadline"),
        (format!("{base}timeout = 5\n"), "x.toml:6:11", "timeout"),
        (format!("{base}[listen]\nbacklog = 0\n"), "x.toml:7:11", "backlog"),
        (format!("{base}[workers]\ncount = 0\n"), "x.toml:7:9", "count"),
        (base.replace("sequential = \"10ms\"", "constant = \"0/s\""), "x.toml:4:", "0/s"),
        (
            format!(
                "{base}[[fault]]\nat = {{ attempt = 20 }}\npoison = {{ step = \"work\", mode = \"panic\" }}\n"
            ),
            "x.toml:7:",
            "20",
        ),
        (
            format!(
                "{base}[[fault]]\nat = {{ attempt = 2 }}\npoison = {{ step = \"wrk\", mode = \"panic\" }}\n"
            ),
            "x.toml:8:",
            "work",
        ),
        ("name = \"x\"\n".to_owned(), "x.toml", "asks"),
        ("name = \"x".to_owned(), "x.toml:1:", "string"),
    ];
    for (text, at, what) in cases {
        let place = Place::new();
        place.write("x.toml", &text);
        let output = place.holdline(&["run", "./x.toml", "-s", "bare"]).output().unwrap();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}\n{error}");
        assert!(
            error.starts_with("error: ") && error.contains(at) && error.contains(what),
            "{text}\n{error}"
        );
        assert!(!place.path("holdline-out").exists(), "{text}");
    }
}

#[test]
fn a_wrong_supervisor_description_is_named_too() {
    let place = Place::new();
    place.write("s/supervisor.toml", "name = \"mine\"\nabout = \"x\"\nstrat = [\"true\"]\n");
    place
        .holdline(&["run", "-s", "./s"])
        .assert()
        .code(2)
        .stderr(contains("./s/supervisor.toml:3:1").and(contains("start")));
}

#[test]
fn unknown_names_suggest_the_nearest() {
    let place = Place::new();
    place.holdline(&["run", "crsh"]).assert().code(2).stderr(contains("did you mean `crash`"));
    place
        .holdline(&["run", "-s", "held-soket"])
        .assert()
        .code(2)
        .stderr(contains("did you mean `held-socket`"));
    place.holdline(&["show", "held-sock"]).assert().code(2).stderr(contains("did you mean `held-socket`"));
    place.holdline(&["run", "./absent.toml"]).assert().code(2).stderr(contains("./absent.toml"));
    place.holdline(&["rum"]).assert().code(2);
    assert!(!place.path("holdline-out").exists());
}

#[test]
fn an_empty_selection_is_an_exit_code_of_its_own() {
    let place = Place::new();
    place
        .holdline(&["run", "-s", "nothing-*"])
        .assert()
        .code(4)
        .stderr(contains("no supervisor matches `nothing-*`"));
    place
        .holdline(&["run", "-s", "bare", "--partition", "slice:2/2"])
        .assert()
        .code(4)
        .stderr(contains("slice"));
    place.holdline(&["run", "-s", "bare", "--partition", "slice:3/2"]).assert().code(2);
}

#[test]
fn an_output_directory_that_cannot_be_used_is_an_environment_error() {
    let place = Place::new();
    let file = place.write("file", "");
    let below = file.join("out");
    let below = below.to_str().unwrap();
    place
        .holdline(&["run", "-s", "bare", "--out", below])
        .assert()
        .code(5)
        .stderr(contains(below).and(contains("--out")));
    place.holdline(&["run", "-s", "bare", "--out", "/proc/holdline"]).assert().code(5);
    place.write("old/run.json", "{}");
    place
        .holdline(&["run", "-s", "bare", "--out", "old"])
        .assert()
        .code(2)
        .stderr(contains("holds a run already"));
}

/// Runs holdline in a user namespace that a shell script prepares; `None` where there are none.
fn in_namespace(place: &Place, script: &str) -> Option<std::process::Output> {
    if !Command::new("unshare").args(["-Urm", "true"]).status().is_ok_and(|status| status.success()) {
        return None;
    }
    let script = script.replace("HOLDLINE", env!("CARGO_BIN_EXE_holdline"));
    Some(
        Command::new("unshare")
            .args(["-Urm", "sh", "-ec", &script])
            .current_dir(place.path(""))
            .output()
            .unwrap(),
    )
}

#[test]
fn a_full_disk_is_named_and_what_was_recorded_is_kept() {
    for kilobytes in [40, 100, 200] {
        let place = Place::new();
        let script = format!(
            "mkdir small; mount -t tmpfs -o size={kilobytes}k none small; code=0;
             HOLDLINE run -s held-socket -s prefork -s bare --out small/out || code=$?;
             test -e small/out/run.json && cp small/out/run.json kept.json || true; exit $code"
        );
        let Some(output) = in_namespace(&place, &script) else { return };
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(5), "{kilobytes}k\n{error}");
        assert!(error.contains("No space left on device"), "{kilobytes}k\n{error}");
        assert_eq!(error.matches("error:").count(), 1, "one error: {error}");
        if let Ok(kept) = std::fs::read_to_string(place.path("kept.json")) {
            serde_json::from_str::<holdline_model::result::RunResult>(&kept).expect("a whole result");
        }
    }
}

/// Fills the folder `small`, a file system of its own, but for so many kilobytes.
const FILL: &str =
    "fill() { cat /dev/zero > small/filler 2>/dev/null || true; truncate -s -$1 small/filler; }";

/// A scenario that tells something on however busy a machine.
const CALM: &str = "name = \"calm\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"5ms\" }\nattempts = 10\n\
                    send-lag = \"4s\"\ndeadline = \"4s\"\n";

#[test]
fn what_a_full_disk_cuts_short_leaves_what_was_there() {
    let place = Place::new();
    let script = format!(
        "{FILL}
         HOLDLINE run crash -s held-socket --out recorded --show-progress none >/dev/null 2>&1 || true
         mkdir small kept; mount -t tmpfs -o size=1m none small; cd small
         printf old > page.html; printf old > page.json; cd ..; fill 4k
         for option in --export-html --export-json; do
           code=0; HOLDLINE report recorded $option small/page.${{option#--export-}} >/dev/null 2>said || code=$?
           echo $option $code; grep -c 'No space left on device' said; grep -c small/page said
         done
         ls -A small; cat small/page.html small/page.json"
    );
    let Some(output) = in_namespace(&place, &script) else { return };
    let expected = "--export-html 5\n1\n1\n--export-json 5\n1\n1\nfiller\npage.html\npage.json\noldold";
    assert_eq!(stdout(&output), expected, "{}", stderr(&output));
}

#[test]
fn a_baseline_for_which_there_is_no_room_is_not_half_a_baseline() {
    let place = Place::new();
    let _alone = alone();
    place.write("calm.toml", CALM);
    let common = "./calm.toml -s inherited-fd -r 1 --show-progress none";
    let script = format!(
        "{FILL}
         gate() {{ code=0; HOLDLINE gate \"$@\" >/dev/null 2>said || code=$?; cat said >&2; echo $code; }}
         mkdir small; mount -t tmpfs -o size=256k none small
         gate --save-baseline small/b.json {common} --out first; cp small/b.json before.json; fill 0
         gate --baseline small/b.json --update-baseline --allow-regression {common} --out again
         grep -c 'small/b.json.*No space left on device' said; cmp small/b.json before.json
         gate --save-baseline small/new.json {common} --out new
         grep -c 'small/new.json.*No space left on device' said; ls -A small"
    );
    let Some(output) = in_namespace(&place, &script) else { return };
    assert_eq!(stdout(&output), "0\n5\n1\n5\n1\nb.json\nfiller\n", "{}", stderr(&output));
}

#[test]
fn what_another_version_wrote_is_told_from_what_is_broken() {
    let place = Place::new();
    place.write("newer.json", "{ \"schema\": \"holdline.run/2\", \"trials\": { \"crash\": [] } }");
    place.write("baseline.json", "{ \"schema\": \"holdline.baseline/1\" }");
    place.write("cut.json", "{ \"schema\": \"holdline.run/1\", \"manifest\": { \"seed\"");
    for (file, named) in [
        ("newer.json", "holdline.run/2"),
        ("baseline.json", "holdline.baseline/1"),
        ("cut.json", "line 1 column"),
    ] {
        place.holdline(&["report", file]).assert().code(2).stderr(contains(named).and(contains(file)));
    }
}

#[test]
fn a_baseline_takes_the_place_of_no_device_and_no_link() {
    let place = Place::new();
    place.write("calm.toml", CALM);
    let gate = |path: &str| {
        let arguments =
            ["gate", "--save-baseline", path, "./calm.toml", "-s", "inherited-fd", "-r", "1", "--out", "out"];
        place.holdline(&arguments).output().unwrap()
    };
    nix::unistd::mkfifo(&place.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for path in ["fifo", "/dev/full", ".", "absent/", "absent/b.json"] {
        let output = gate(path);
        assert_eq!(output.status.code(), Some(2), "{path}: {}", stderr(&output));
        assert!(stderr(&output).contains(path.trim_end_matches("/b.json")), "{path}: {}", stderr(&output));
    }
    assert!(!place.path("out").exists());
    place.write("b.json", "old");
    std::os::unix::fs::symlink("b.json", place.path("link")).unwrap();
    let _alone = alone();
    let output = gate("link");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(place.path("link").is_symlink());
    assert!(std::fs::read_to_string(place.path("b.json")).unwrap().contains("holdline.baseline/1"));
}

#[test]
fn without_permission_for_namespaces_the_remedy_is_named() {
    let place = Place::new();
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces;";
    let script = format!("{forbid} HOLDLINE run -s held-socket --out full --isolation full");
    let Some(output) = in_namespace(&place, &script) else { return };
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(5), "{error}");
    assert!(error.contains("max_user_namespaces") && error.contains("--isolation none"), "{error}");
    assert!(!place.path("full/run.json").exists());
}

#[test]
fn a_supervisor_that_never_gets_ready_is_inconclusive_with_its_last_words() {
    let place = Place::new();
    let cases = [
        (
            "exits",
            "start = [\"sh\", \"-c\", \"echo my last words; exit 3\"]",
            "ended with status 3 before it was ready",
        ),
        ("sleeps", "start = [\"sh\", \"-c\", \"echo my last words; exec sleep 100\"]", "nobody listens at"),
        (
            "daemonises",
            "start = [\"sh\", \"-c\", \"echo my last words; setsid sleep 100 &\"]",
            "ended with status 0 before it was ready",
        ),
    ];
    for (name, start, reason) in cases {
        let text = format!(
            "name = \"{name}\"\nabout = \"never ready\"\nruns = [\"command\"]\n\
             socket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n{start}\n\
             ready = {{ timeout = \"1s\" }}\n"
        );
        place.write(&format!("{name}/supervisor.toml"), &text);
        let (out, path) = (format!("out-{name}"), format!("./{name}"));
        let output = place.holdline(&["run", "-s", &path, "--out", &out]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{name}: {}", stderr(&output));
        let shown = stdout(&output);
        assert!(shown.contains(reason) && shown.contains("my last words"), "{name}\n{shown}");
        let run = result(&place.path(&out));
        assert_eq!(
            (run.trials[0].grade, run.trials[0].verdict),
            (Grade::Inconclusive, Verdict::Inconclusive)
        );
    }
}

#[test]
fn a_worker_that_cannot_bind_is_named() {
    let place = Place::new();
    // Another listener has the port already when the worker wants it.
    place.write(
        "taken/supervisor.toml",
        "name = \"taken\"\nabout = \"its port is taken\"\nruns = [\"command\"]\n\
         socket = { holder = \"worker\", passing = \"bind\" }\n\
         start = [\"sh\", \"-c\", \"python3 -c 'import socket,sys,time; s=socket.socket(); s.bind((sys.argv[1],int(sys.argv[2]))); s.listen(); print(1,flush=True); time.sleep(60)' {host} {port} >{dir}/up & while [ ! -s {dir}/up ]; do sleep 0.01; done; exec \\\"$@\\\"\", \"sh\", \"{worker}\"]\n",
    );
    let output = place.holdline(&["run", "-s", "./taken", "--out", "out"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let shown = stdout(&output);
    assert!(shown.contains("Address already in use") || shown.contains("EADDRINUSE"), "{shown}");
}

#[test]
fn a_supervisor_that_is_missing_is_unsupported_with_the_command_that_installs_it() {
    let place = Place::new();
    place.write(
        "gone/supervisor.toml",
        "name = \"gone\"\nabout = \"not here\"\nversion = [\"no-such-program-zz\", \"--version\"]\n\
         install = \"apt-get install zz\"\nruns = [\"command\"]\n\
         socket = { holder = \"supervisor\", passing = \"stdin\" }\nstart = [\"no-such-program-zz\"]\n",
    );
    let output = place.holdline(&["run", "-s", "./gone", "-s", "prefork", "--out", "out"]).output().unwrap();
    let run = result(&place.path("out"));
    assert_eq!(run.trials[0].grade, Grade::Unsupported);
    assert!(stdout(&output).contains("apt-get install zz"), "{}", stdout(&output));
    let alone = place.holdline(&["run", "-s", "./gone", "--out", "alone"]).output().unwrap();
    assert_eq!(alone.status.code(), Some(4), "nothing ran");
}

/// A scenario that would run for a minute.
fn long_scenario(place: &Place) {
    place.write(
        "long.toml",
        "name = \"long\"\nasks = \"?\"\n[load]\narrivals = { constant = \"50/s\" }\nduration = \"60s\"\n",
    );
}

struct Interruptible {
    child: std::process::Child,
    marker: String,
}

impl Interruptible {
    /// Starts a long run and waits until its load has begun.
    fn start(place: &Place) -> Self {
        long_scenario(place);
        let marker = format!("holdline-marker-{}-{:p}", std::process::id(), place);
        let child = Command::new(env!("CARGO_BIN_EXE_holdline"))
            .args(["run", "./long.toml", "-s", "held-socket", "--out", "out"])
            .current_dir(place.path(""))
            .env("HOLDLINE_TEST_MARKER", &marker)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let events = place.path("out/trials/0000-long-held-socket/events.jsonl");
        wait_until("the load has begun", || {
            std::fs::read_to_string(&events).is_ok_and(|text| text.contains("\"ready\""))
        });
        Self { child, marker }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Stops all processes of the trial that is on.
    fn stop_trials(&self) {
        let pids = processes_with(&self.marker);
        let pids = pids.iter().map(|path| path.trim_start_matches("/proc/").parse().expect("a pid"));
        for pid in pids.filter(|pid| u32::try_from(*pid) != Ok(self.child.id())) {
            nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("a signal");
        }
    }

    /// Reads what it says on standard error, until this has been said.
    fn read_until(&mut self, words: &str) {
        let errors = self.child.stderr.as_mut().expect("a pipe");
        let mut said = Vec::new();
        while !String::from_utf8_lossy(&said).contains(words) {
            let mut byte = [0];
            errors.read_exact(&mut byte).expect("it says more");
            said.push(byte[0]);
        }
    }

    fn finish(mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        let status = self.child.wait().unwrap();
        let marker = self.marker.clone();
        wait_until("every process is gone", || processes_with(&marker).is_empty());
        (status.code(), text)
    }
}

#[test]
fn ctrl_c_once_ends_the_trial_and_keeps_what_was_measured() {
    let place = Place::new();
    let run = Interruptible::start(&place);
    assert!(processes_with(&run.marker).len() > 3, "the marker finds the trial's processes");
    run.signal(Signal::SIGINT);
    let (code, said) = run.finish();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("interrupted"), "{said}");
    let run = result(&place.path("out"));
    assert!(!run.complete);
    assert_eq!(run.trials.len(), 1);
    assert_eq!(run.trials[0].grade, Grade::Inconclusive);
    assert_eq!(run.trials[0].why, Some(Reason::Interrupted));
    assert!(place.path("out/report.html").exists());
}

#[test]
fn ctrl_c_twice_ends_at_once() {
    let place = Place::new();
    let mut run = Interruptible::start(&place);
    // What is stopped cannot end cleanly, so that the second signal has something to cut short.
    run.stop_trials();
    run.signal(Signal::SIGINT);
    run.read_until("once more");
    run.signal(Signal::SIGINT);
    let (code, said) = run.finish();
    assert_eq!(code, Some(130), "{said}");
    let kept = result(&place.path("out"));
    assert!(!kept.complete);
}

#[test]
fn sigkill_leaves_no_process_and_keeps_run_json() {
    let place = Place::new();
    let run = Interruptible::start(&place);
    run.signal(Signal::SIGKILL);
    let (code, _) = run.finish();
    assert_eq!(code, None);
    let kept = result(&place.path("out"));
    assert!(!kept.complete);
    place.holdline(&["report", "out"]).assert().code(0);
}

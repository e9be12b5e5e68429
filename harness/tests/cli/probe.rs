//! `holdline probe`: from a command to what it loses, and what becomes of commands that cannot be probed.

use std::path::Path;

use crate::common::{Place, read_result};

/// What came of probing a command: exit code, standard output, standard error.
fn probe(place: &Place, options: &[&str], command: &[&str]) -> (Option<i32>, String, String) {
    let mut arguments = vec!["probe", "--duration", "900ms", "--out", "out", "--show-progress", "none"];
    arguments.extend(options);
    arguments.push("--");
    arguments.extend(command);
    let output = place.holdline(&arguments).output().expect("holdline runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn service(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/planted").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_command_is_probed_and_its_description_can_be_run() {
    let place = Place::new();
    let service = service("talk.py");
    // A server of one process, which says something else to whoever has not asked.
    let command = ["python3", &service, "127.0.0.1:8123", "web"];
    let options =
        ["--send", "PING\\r\\n", "--expect", "HTTP/1.1 400", "--save", "saved", "--do", "nothing=true"];
    let (_, said, errors) = probe(&place, &options, &command);
    let run = place.path("out").join("run.json");
    assert!(run.exists(), "{said}{errors}");
    let steps: Vec<String> = read_result(&run).trials.into_iter().map(|trial| trial.scenario).collect();
    assert_eq!(steps, ["nothing", "killed", "do-nothing", "frozen", "stopped"], "{said}");
    let trials = read_result(&run).trials;
    assert!(trials[0].fates.values().sum::<u64>() > 50, "{:?}", trials[0].fates);
    assert!(said.contains("its only process is killed"), "{said}");
    assert!(errors.contains("127.0.0.1:8123"), "{errors}");
    let scenario = "name = \"steady\"\nasks = \"?\"\n[listen]\nport = 8123\n[load]\narrivals = { sequential = \"5ms\" }\n\
                    attempts = 9\ndeadline = \"5s\"\n";
    std::fs::write(place.path("steady.toml"), scenario).expect("written");
    let arguments = ["run", "./steady.toml", "-s", "./saved", "--out", "again", "--show-progress", "none"];
    let output = place.holdline(&arguments).output().expect("holdline runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_cannot_be_probed_is_a_clear_error() {
    let two = "import socket,time; a=socket.create_server((\"127.0.0.1\",8124)); b=socket.create_server((\"127.0.0.1\",8125)); time.sleep(99)";
    let forks = "import os,socket,time\nif os.fork()==0:\n s=socket.create_server((\"127.0.0.1\",8126)); time.sleep(99)\ntime.sleep(0.5)";
    for (command, quoted) in [
        (&["./no-such-program"][..], "./no-such-program"),
        (&["sh", "-c", "echo no licence; exit 3"], "no licence"),
        (&["python3", "-c", two], "--address"),
        (&["python3", "-c", forks], "foreground"),
    ] {
        let place = Place::new();
        let (code, _, errors) = probe(&place, &[], command);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(quoted), "{errors}");
        assert!(!place.path("out").exists(), "{errors}");
    }
}

#[test]
fn what_is_typed_wrongly_is_a_clear_error() {
    for (options, quoted) in [
        (&["--do", "reload"][..], "reload"),
        (&["--rate", "fast"], "fast"),
        (&["--duration", "soon"], "soon"),
        (&["--send", "x"], "--expect"),
        (&["--http", "no path"], "no path"),
        (&["--send", "\\q", "--expect", "x"], "\\q"),
    ] {
        let place = Place::new();
        let mut arguments = vec!["probe"];
        arguments.extend(options);
        arguments.extend(["--", "true"]);
        let output = place.holdline(&arguments).output().expect("holdline runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(quoted), "{errors}");
    }
}

//! What cannot be probed: one clear error that quotes what came, the right exit code, and nothing that is left.

use std::path::Path;

use super::{probe, service};
use crate::common::Place;
use crate::support::{processes_with, wait_until};

const FORKS: &str = "import os,socket,time\nif os.fork()==0:\n time.sleep(0.2); s=socket.create_server((\"127.0.0.1\",8126)); \
                     time.sleep(99)\n";

#[test]
fn a_command_that_opens_no_listener_is_a_clear_error() {
    let long = "30s";
    for (command, wait, quoted) in [
        (&["./no-such-program"][..], long, &["./no-such-program"][..]),
        (&["sh", "-c", "echo no licence; exit 3"], long, &["no licence", "exit status: 3"]),
        (&["sh", "-c", "echo no friend; exec sleep 99"], "2s", &["no friend", "--wait", "--attach"]),
        (&["python3", "-c", FORKS], long, &["foreground", "python3"]),
        (&["sh", "-c", "read answer </dev/tty"], long, &["/dev/tty", "terminal"]),
        (&["python3", "-c", "input('password: ')"], long, &["EOFError", "terminal"]),
    ] {
        let place = Place::new();
        let marker = place.path("marker").display().to_string();
        let mut marked = vec!["env", "HOLDLINE_PROBED"];
        let variable = format!("HOLDLINE_PROBED={marker}");
        marked[1] = &variable;
        // One that is not there must be named as it is.
        let command: Vec<&str> =
            if command[0].starts_with('.') { command.to_vec() } else { [&marked, command].concat() };
        let (code, _, errors) = probe(&place, &["--wait", wait], &command);
        assert_eq!(code, Some(2), "{errors}");
        for quoted in quoted {
            assert!(errors.contains(quoted), "{quoted}: {errors}");
        }
        assert!(!place.path("out").exists(), "{errors}");
        wait_until("every process is gone", || processes_with(&variable).is_empty());
    }
}

#[test]
fn a_service_that_does_not_answer_as_it_is_asked_is_a_clear_error() {
    let talk = service("talk.py");
    let bytes = ["--send", "PING\\r\\n", "--expect", "+PONG"];
    for (options, kind, quoted) in [
        // It speaks another protocol.
        (&[][..], "right", &["220 planted mail", "--send"][..]),
        (&bytes, "web", &["400 Bad Request", "--expect"]),
        // It answers before it is asked.
        (&bytes, "early", &["220 planted mail", "250 early", "speaks first"]),
        // It never ends its reply.
        (&[], "endless", &["220 and another thing", "--send"]),
    ] {
        let place = Place::new();
        let marker = place.path("marker").display().to_string();
        let command = ["python3", &talk, "127.0.0.1:8123", kind, &marker];
        let options = [options, &["--wait", "2s"]].concat();
        let (code, _, errors) = probe(&place, &options, &command);
        assert_eq!(code, Some(2), "{kind}: {errors}");
        for quoted in quoted {
            assert!(errors.contains(quoted), "{kind}: {quoted}: {errors}");
        }
        assert_eq!(errors.matches("error:").count(), 1, "{errors}");
        let log = place.path("out").join("trials/0000-nothing-python3/supervisor.log");
        assert!(errors.contains(log.to_str().expect("UTF-8")) && log.exists(), "{errors}");
        wait_until("every process is gone", || !runs_with(&marker));
    }
}

/// Whether any process has this word in its command.
fn runs_with(word: &str) -> bool {
    let processes = Path::new("/proc").read_dir().expect("processes").flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .any(|command| command.split(|byte| *byte == 0).any(|it| it == word.as_bytes()))
}

#[test]
fn exports_and_folders_are_checked_before_the_command_is_started() {
    let place = Place::new();
    std::fs::write(place.path("file"), "").expect("written");
    for options in [["--export-json", "absent/x.json"], ["--junit", "absent/"], ["--save", "file"]] {
        let (code, _, errors) = probe(&place, &options, &["sh", "-c", "touch started; exec sleep 99"]);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(options[0]), "{errors}");
        assert!(!place.path("started").exists() && !place.path("out").exists(), "{errors}");
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
        (&["--wait", "0s"], "--wait"),
        (&["--do", "a=true", "--do", "a=false"], "`a`"),
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

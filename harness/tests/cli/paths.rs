//! Whatever a path leads to: it is read at once, or there is one short error.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::process::Output;

use crate::support::{Place, stderr, stdout};

const SCENARIO: &str =
    "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"10ms\" }\nattempts = 20\n";
const SUPERVISOR: &str = "name = \"mine\"\nabout = \"A loop\"\nruns = [\"command\"]\n\
    socket = { holder = \"supervisor\", passing = \"own\" }\nstart = [\"{worker}\"]\n";

/// One error on standard error, with this code, that is short and names the thing.
#[track_caller]
fn one_error(output: &Output, code: i32, named: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.starts_with("error: ") && error.matches("error: ").count() == 1, "{error}");
    assert!(error.len() < 2_000, "{} bytes", error.len());
    for word in named {
        assert_eq!(error.matches(word).count(), 1, "{word} stands once in\n{error}");
    }
}

#[test]
fn what_is_no_text_file_gets_one_short_error_at_once() {
    let place = Place::new();
    nix::unistd::mkfifo(&place.path("fifo.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(place.path("socket.toml")).unwrap();
    std::fs::create_dir(place.path("folder.toml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", place.path("zero.toml")).unwrap();
    std::fs::write(place.path("bytes.toml"), b"name = \"\xff\"").unwrap();
    place.write("line.toml", &format!("name = \"{}", "x".repeat(10 << 20)));
    place.write("inside.toml", &format!("nam = \"{}\u{9b}2J\"", "x".repeat(900_000)));
    for file in
        ["fifo.toml", "socket.toml", "folder.toml", "zero.toml", "bytes.toml", "line.toml", "inside.toml"]
    {
        let path = format!("./{file}");
        for arguments in [&["run", &path][..], &["run", "-s", &path], &["show", &path]] {
            let output = place.holdline(arguments).output().unwrap();
            one_error(&output, 2, &[file]);
            assert!(!stderr(&output).contains('\u{9b}'), "{arguments:?}");
        }
    }
    assert!(!place.path("holdline-out").exists());
}

#[test]
fn every_error_in_a_file_is_printed_once() {
    let place = Place::new();
    place.write("x.toml", &format!("{SCENARIO}deadlin = \"5ms\"\n"));
    place.write("s/supervisor.toml", &format!("{SUPERVISOR}strat = 1\n"));
    let output = place.holdline(&["run", "./x.toml"]).output().unwrap();
    one_error(&output, 2, &["x.toml:6:1", "unknown key"]);
    let output = place.holdline(&["run", "-s", "./s"]).output().unwrap();
    one_error(&output, 2, &["supervisor.toml:6:1", "unknown key"]);
    let output = place.holdline(&["run", "./absent.toml"]).output().unwrap();
    one_error(&output, 2, &["absent.toml", "No such file"]);
    let output = place.holdline(&["report", "absent"]).output().unwrap();
    one_error(&output, 2, &["absent", "No such file"]);
}

#[test]
fn a_path_that_is_not_utf8_works_or_is_named() {
    let place = Place::new();
    let odd = OsStr::from_bytes(b"./odd\xff");
    let folder = place.path("").join(odd);
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("x.toml");
    std::fs::write(&file, SCENARIO).unwrap();
    std::fs::write(folder.join("supervisor.toml"), SUPERVISOR).unwrap();
    let text = stdout(&place.holdline(&["show"]).arg(&file).output().unwrap());
    assert!(text.starts_with("x: ?"), "{text}");
    let text = stdout(&place.holdline(&["show"]).arg(odd).output().unwrap());
    assert!(text.starts_with("mine: A loop"), "{text}");
    let absent = place.holdline(&["run"]).arg(folder.join("absent.toml")).output().unwrap();
    one_error(&absent, 2, &["absent.toml"]);
    let unknown = place.holdline(&["show"]).arg(OsStr::from_bytes(b"crash\xff")).output().unwrap();
    one_error(&unknown, 2, &["crash"]);

    let supervisor = place.holdline(&["run", "--out", "out", "-s"]).arg(odd).output().unwrap();
    one_error(&supervisor, 5, &["not UTF-8"]);
    let out = place.holdline(&["run", "-s", "bare", "--out"]).arg(folder.join("out")).output().unwrap();
    one_error(&out, 5, &["not UTF-8"]);
    assert!(!folder.join("out").exists());
    let within = place.holdline(&["run", "-s", "bare"]).current_dir(&folder).output().unwrap();
    one_error(&within, 5, &["not UTF-8"]);
    assert!(!folder.join("holdline-out").exists());
}

#[test]
fn an_export_and_a_scenario_may_have_any_name() {
    let place = Place::new();
    let _beside = crate::support::beside_others();
    let scenario = place.path("").join(OsStr::from_bytes(b"x\xff.toml"));
    std::fs::write(&scenario, SCENARIO).unwrap();
    let export = place.path("").join(OsStr::from_bytes(b"r\xff.json"));
    let output = place
        .holdline(&["run", "-s", "bare", "--out", "out", "--export-json"])
        .arg(&export)
        .arg(&scenario)
        .output()
        .unwrap();
    assert!(output.status.code() != Some(2) && output.status.code() != Some(5), "{}", stderr(&output));
    assert_eq!(std::fs::read(&export).unwrap(), std::fs::read(place.path("out/run.json")).unwrap());
    let run = crate::support::result(&place.path("out"));
    assert!(run.manifest.command.last().is_some_and(|word| word.contains('\u{fffd}')));
}

#[test]
fn show_decides_by_what_the_file_is() {
    let place = Place::new();
    place.write("s/supervisor.toml", SUPERVISOR);
    place.write("s/other.toml", SUPERVISOR);
    place.write("wrong/supervisor.toml", &SUPERVISOR.replace("holder", "hodler"));
    place.write("wrong.toml", &SUPERVISOR.replace("holder", "hodler"));
    place.write("scenario.toml", &SCENARIO.replace("attempts", "attemps"));
    for path in ["./s", "./s/supervisor.toml", "s/supervisor.toml", "./s/other.toml"] {
        let text = stdout(&place.holdline(&["show", path]).output().unwrap());
        assert!(text.starts_with("mine: A loop"), "{path}: {text}");
    }
    for path in ["./wrong", "./wrong/supervisor.toml", "./wrong.toml"] {
        let output = place.holdline(&["show", path]).output().unwrap();
        one_error(&output, 2, &["did you mean `holder`?"]);
    }
    let output = place.holdline(&["show", "./scenario.toml"]).output().unwrap();
    one_error(&output, 2, &["did you mean `attempts`?"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    one_error(&place.holdline(&["show", "./empty"]).output().unwrap(), 2, &["./empty/supervisor.toml"]);
}

#[test]
fn what_steers_a_terminal_is_shown_instead() {
    let place = Place::new();
    // TOML lets these through: a control character of the second set, and one that reverses a line.
    let about = SUPERVISOR.replace("A loop", "A \u{9b}31m\\u001b[2J\u{202e}loop");
    let text = format!("{about}trap = \"t\u{9b}\\u0007rap\"\nversion = [\"printf\", \"v\\u001b[1m1\"]\n");
    place.write("s/supervisor.toml", &text);
    let shown = stdout(&place.holdline(&["show", "./s"]).output().unwrap());
    for character in ['\u{9b}', '\u{1b}', '\u{7}', '\u{202e}'] {
        assert!(!shown.contains(character), "{character:?} in {shown:?}");
    }
    assert!(shown.contains("\\u{1b}[2J") && shown.contains("\\u{9b}"), "{shown}");
    let file = stdout(&place.holdline(&["show", "./s", "--file"]).output().unwrap());
    assert_eq!(file, text, "a pipe gets the file as it is");
    let _beside = crate::support::beside_others();
    let run = place.holdline(&["run", "-s", "./s", "--out", "out"]).output().unwrap();
    let again = place.holdline(&["report", "out", "--trials"]).output().unwrap();
    for text in [stdout(&run), stderr(&run), stdout(&again)] {
        assert!(!text.contains(['\u{9b}', '\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    }
}

#[test]
fn two_of_one_name_are_refused_and_the_same_twice_is_one() {
    let place = Place::new();
    place.write("a.toml", SCENARIO);
    place.write("b.toml", &format!("{SCENARIO}timeout = \"1s\"\n"));
    place.write("s/supervisor.toml", SUPERVISOR);
    place.write("t/supervisor.toml", SUPERVISOR);
    place.write("h/supervisor.toml", &SUPERVISOR.replace("mine", "held-socket"));
    let output = place.holdline(&["run", "./a.toml", "./b.toml"]).output().unwrap();
    one_error(&output, 2, &["./a.toml", "./b.toml", "`x`"]);
    let output = place.holdline(&["run", "-s", "./s", "-s", "./t"]).output().unwrap();
    one_error(&output, 2, &["./s/supervisor.toml", "./t/supervisor.toml", "`mine`"]);
    let output = place.holdline(&["run", "-s", "held-*", "-s", "./h"]).output().unwrap();
    one_error(&output, 2, &["./h/supervisor.toml"]);
    assert!(!place.path("holdline-out").exists());
    let _beside = crate::support::beside_others();
    let arguments = ["run", "./a.toml", "a.toml", "-s", "bare", "-s", "bare", "-s", "bar*", "--out", "out"];
    let output = place.holdline(&arguments).output().unwrap();
    assert_ne!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(crate::support::result(&place.path("out")).trials.len(), 1);
}

#[test]
fn a_template_that_is_missing_or_wrong_is_found_before_anything_starts() {
    let place = Place::new();
    let files = "[files.\"web.ini\"]\ntemplate = \"web.ini\"\nunix = \"unix.ini\"\n";
    let text = SUPERVISOR.replace("start =", "transports = [\"tcp\", \"unix\"]\nstart =");
    place.write("s/supervisor.toml", &format!("{text}{files}"));
    let output = place.holdline(&["run", "-s", "./s", "-s", "bare", "--out", "out"]).output().unwrap();
    one_error(&output, 2, &["./s/supervisor.toml", "No such file"]);
    place.write("s/web.ini", "{path}\n");
    let output = place.holdline(&["run", "-s", "./s", "-s", "bare", "--out", "out"]).output().unwrap();
    one_error(&output, 2, &["./s/supervisor.toml", "{path}"]);
    place.write("s/web.ini", "{port}\n");
    place.write("x.toml", &format!("{SCENARIO}[listen]\ntransport = \"unix\"\n"));
    let output = place.holdline(&["run", "x.toml", "-s", "./s", "--out", "out"]).output().unwrap();
    one_error(&output, 2, &["unix.ini", "No such file"]);
    nix::unistd::mkfifo(&place.path("s/unix.ini"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let output = place.holdline(&["run", "x.toml", "-s", "./s", "--out", "out"]).output().unwrap();
    one_error(&output, 2, &["unix.ini", "not a regular file"]);
    assert!(!place.path("out").exists());
}

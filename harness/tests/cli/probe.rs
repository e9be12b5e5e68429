//! `holdline probe`: from a command to what it loses, and what becomes of commands that cannot be probed.

mod attach;
mod bad_input;
mod listeners;
mod remedies;

use std::path::Path;

use holdline_model::result::TrialResult;
use holdline_model::words::Fate;

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

/// In a sandbox whose `/tmp` is its own, what a command names is in sight by the path by which it is named, and by the one
/// without `..`; neither touches the file.
#[test]
fn a_file_that_is_named_in_a_roundabout_way_is_in_sight_and_stays_as_it_is() {
    const SCRIPT: &str = "exit 7\n";
    // The folder in which a command is started is in sight as a whole: the script lies in another.
    let (place, other) = (Place::new(), Place::new());
    other.write("here/script", SCRIPT);
    other.write("there/nothing", "");
    let named = other.path("there/../here/script");
    let named = named.to_str().expect("a path of UTF-8");
    let (_, _, error) = probe(&place, &["--http", "/"], &["sh", named]);
    assert_eq!(std::fs::read_to_string(other.path("here/script")).expect("the script"), SCRIPT);
    assert!(error.contains("exit status: 7"), "{error}");
}

/// The same where it listens: while it is looked for, and in the trials.
#[test]
fn a_service_that_is_named_in_a_roundabout_way_is_probed() {
    let (place, other) = (Place::new(), Place::new());
    let script = std::fs::read_to_string(service("probed.py")).expect("the planted service");
    other.write("here/probed.py", &script);
    other.write("there/nothing", "");
    let named = other.path("there/../here/probed.py");
    let named = named.to_str().expect("a path of UTF-8");
    let (code, _, error) = probe(&place, &["--http", "/"], &["python3", named, "127.0.0.1:8123"]);
    assert!(code.is_some_and(|code| code < 2), "{code:?}: {error}");
    assert_eq!(std::fs::read_to_string(other.path("here/probed.py")).expect("the script"), script);
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
    assert_eq!(steps, ["nothing", "killed", "do-nothing", "frozen", "stopped"], "{said}{errors}");
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

/// Over HTTP/2 and over WebSocket as over HTTP: whoever asks is answered while nothing is done.
#[test]
fn services_are_asked_over_http2_and_websocket() {
    let websocket = ["--websocket", "/chat", "--send", "hello {n}", "--expect", "hello"];
    for (options, program, kind) in
        [(&["--http2", "/"][..], "streams.py", "right"), (&websocket[..], "messages.py", "echoes")]
    {
        let place = Place::new();
        let program = service(program);
        let (code, said, errors) = probe(&place, options, &["python3", &program, "127.0.0.1:8126", kind]);
        assert_ne!(code, Some(2), "{said}{errors}");
        let nothing = trial_of(&place, "nothing");
        assert_eq!(nothing.fates.get(&Fate::Served), Some(&nothing.attempts), "{said}{errors}");
        // Who asks in another way is told so.
        let other = Place::new();
        let (code, said, errors) =
            probe(&other, &["--http", "/", "--wait", "1s"], &["python3", &program, "127.0.0.1:8126", kind]);
        assert_eq!(code, Some(2), "{said}{errors}");
    }
}

/// The trial of a step of the probe in this place, as the service is.
fn trial_of(place: &Place, step: &str) -> TrialResult {
    let trials = read_result(&place.path("out").join("run.json")).trials;
    let found = trials.into_iter().find(|trial| trial.scenario == step && trial.applied.is_empty());
    found.unwrap_or_else(|| panic!("the step {step}"))
}

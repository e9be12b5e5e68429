//! A reader that has gone ends nothing.

use std::process::{Child, Command, Stdio};

use holdline_model::words::Grade;

use crate::support::{Place, beside_others, result, stderr};

/// holdline with standard output, or standard error too, on a pipe from which nobody reads any more.
fn unread(place: &Place, arguments: &[&str], errors_too: bool) -> Child {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdline"));
    command.args(arguments).current_dir(place.path("")).stdin(Stdio::null());
    match errors_too {
        true => command.stderr(writer.try_clone().unwrap()),
        false => command.stderr(Stdio::piped()),
    };
    command.stdout(writer).spawn().unwrap()
}

#[test]
fn every_command_ends_quietly_where_nobody_reads() {
    let place = Place::new();
    let _beside = beside_others();
    place.holdline(&["-s", "bare", "--out", "recorded"]).output().unwrap();
    for arguments in [
        &["list"][..],
        &["show", "crash"],
        &["show", "held-socket", "--file"],
        &["report", "recorded"],
        &["report", "recorded", "--trials"],
        &["report", "recorded", "--export-html", "-"],
        &["report", "recorded", "--junit", "/dev/stdout"],
        &["doctor"],
        &["schema", "scenario"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ] {
        let output = unread(&place, arguments, false).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{arguments:?}");
    }
    let wrong = unread(&place, &["show", "no-such-thing"], true).wait_with_output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn a_run_that_nobody_hears_goes_on_and_keeps_everything() {
    let place = Place::new();
    let _beside = beside_others();
    for (progress, out) in [("counter", "lines"), ("bar", "bar")] {
        let arguments =
            ["crash", "-s", "bare", "-s", "held-socket", "--out", out, "--show-progress", progress];
        let output = unread(&place, &arguments, true).wait_with_output().unwrap();
        let run = result(&place.path(out));
        assert!(run.complete, "{progress}");
        assert_eq!(run.trials.len(), 2, "{progress}");
        // The run's own verdict, whatever it was.
        let in_doubt = run.trials.iter().any(|trial| trial.grade == Grade::Inconclusive);
        let expected = place.holdline(&["report", out]).output().unwrap();
        assert_eq!(expected.status.code(), Some(0));
        assert!(matches!(output.status.code(), Some(0 | 1)) || in_doubt, "{progress}: {:?}", output.status);
        assert!(place.path(&format!("{out}/report.html")).exists(), "{progress}");
    }
}

//! Exports are checked before anything starts, and are whole files or none; `report` makes the same.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use predicates::str::contains;

use crate::support::{Place, conclusive, result, stderr, stdout};

/// Format, option, and file in a run directory.
const FORMATS: [(&str, &str); 6] = [
    ("--export-json", "run.json"),
    ("--export-markdown", "report.md"),
    ("--export-html", "report.html"),
    ("--junit", "junit.xml"),
    ("--export-hyperfine", "hyperfine.json"),
    ("--export-benchmark", "benchmark.json"),
];

#[test]
fn an_export_that_cannot_be_made_is_found_before_anything_starts() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder")).unwrap();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["--export-json", "folder"], 2, "folder"),
        (&["--junit", "absent/x.xml"], 2, "absent/x.xml"),
        (&["--export-html", "x", "--export-markdown", "./x"], 2, "--export-html"),
        (&["--export-json", "-", "--junit", "-"], 2, "--junit"),
        (&["--export-html", "out/run.json"], 2, "--export-html"),
        (&["--export-markdown", "/proc/report.md"], 5, "/proc/report.md"),
    ];
    for (exports, code, named) in cases {
        let mut arguments = vec!["run", "-s", "bare", "--out", "out"];
        arguments.extend(exports);
        let output = place.holdline(&arguments).output().unwrap();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{exports:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(named), "{exports:?}: {error}");
        assert!(!place.path("out").exists(), "{exports:?} leaves a run directory");
    }
    assert!(place.path("x").symlink_metadata().is_err(), "nothing has the name");
}

#[test]
fn a_file_that_may_not_be_written_is_an_environment_error() {
    // Root may write everywhere but to what is immutable.
    if nix::unistd::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let file = place.write("r.json", "old");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o444)).unwrap();
    place.holdline(&["-s", "bare", "--export-json", "r.json"]).assert().code(5).stderr(contains("r.json"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
}

#[test]
fn report_makes_every_export_that_run_makes() {
    let place = Place::new();
    let (output, run) = conclusive(&place, &["crash", "-s", "held-socket"]);
    let shown = stdout(&output);
    let out = shown.lines().find_map(|line| line.strip_prefix("run directory: ")).expect("its line");
    for (option, file) in FORMATS {
        let recorded = std::fs::read_to_string(Path::new(out).join(file)).unwrap();
        let again = place.holdline(&["report", out, option, "-"]).output().unwrap();
        assert_eq!(again.status.code(), Some(0), "{option}");
        assert_eq!(stdout(&again), recorded, "{option} to standard output");
        place.write("target", "old");
        std::os::unix::fs::symlink("target", place.path("link")).unwrap();
        let table = place.holdline(&["report", out, option, "link"]).output().unwrap();
        assert!(shown.starts_with(&stdout(&table)), "{option}: the table is printed, too");
        assert_eq!(std::fs::read_to_string(place.path("target")).unwrap(), recorded, "{option}");
        assert!(place.path("link").is_symlink());
        std::fs::remove_file(place.path("link")).unwrap();
    }
    place.holdline(&["report", out, "--junit", "absent/x"]).assert().code(2);
    place.holdline(&["report", out, "--junit", &format!("{out}/run.json")]).assert().code(2);
    assert_eq!(result(Path::new(out)), run);
}

#[test]
fn an_export_into_a_pipe_or_a_device_is_written_straight() {
    let place = Place::new();
    let (output, _) = conclusive(&place, &["crash", "-s", "held-socket"]);
    let shown = stdout(&output);
    let out = shown.lines().find_map(|line| line.strip_prefix("run directory: ")).expect("its line");
    let fifo = place.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = Command::new("cat").arg(&fifo).stdout(Stdio::piped()).spawn().unwrap();
    let exports = ["--export-json", "fifo", "--export-html", "/dev/null", "--junit", "/dev/stdout"];
    let mut arguments = vec!["report", out];
    arguments.extend(exports);
    let report = place.holdline(&arguments).output().unwrap();
    assert_eq!(report.status.code(), Some(0), "{}", stderr(&report));
    let read = reader.wait_with_output().unwrap();
    assert_eq!(read.stdout, std::fs::read(Path::new(out).join("run.json")).unwrap());
    assert_eq!(report.stdout, std::fs::read(Path::new(out).join("junit.xml")).unwrap());
}

#[test]
fn only_an_empty_or_a_new_folder_becomes_a_run_directory() {
    let place = Place::new();
    place.write("full/report.html", "mine");
    place.holdline(&["-s", "bare", "--out", "full"]).assert().code(2).stderr(contains("not empty"));
    place.write("old/run.json", "{}");
    place.holdline(&["-s", "bare", "--out", "old"]).assert().code(2).stderr(contains("holds a run already"));
    assert_eq!(std::fs::read_to_string(place.path("full/report.html")).unwrap(), "mine");
    assert_eq!(place.path("full").read_dir().unwrap().count(), 1);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.holdline(&["-s", "no-such-supervisor", "--out", "empty"]).assert().code(2);
    assert_eq!(place.path("empty").read_dir().unwrap().count(), 0);
}

#[test]
fn latest_is_the_last_run_that_began() {
    let place = Place::new();
    place.holdline(&["-s", "gunicron-*"]).assert().code(4);
    place.holdline(&["-s", "bare", "--export-json", "absent/x"]).assert().code(2);
    assert!(!place.path("holdline-out").exists());
    let _beside = crate::support::beside_others();
    place.holdline(&["-s", "bare"]).output().unwrap();
    let first = place.path("holdline-out/latest").canonicalize().unwrap();
    place.holdline(&["-s", "bare", "--export-json", "absent/x"]).assert().code(2);
    assert_eq!(place.path("holdline-out/latest").canonicalize().unwrap(), first);
    place.holdline(&["-s", "bare", "--out", "holdline-out/latest"]).assert().code(2);
    place.holdline(&["-s", "bare"]).output().unwrap();
    assert_ne!(place.path("holdline-out/latest").canonicalize().unwrap(), first);
}

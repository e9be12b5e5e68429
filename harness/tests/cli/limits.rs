//! Limits of the process and places for temporary files: an error that names them, and no panic.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use crate::support::{Place, stderr};

/// A user of whom no process is running.
const NOBODY: &str = "54321";

/// Runs holdline from a shell that has set a limit before.
fn limited(place: &Place, limit: &str, arguments: &str) -> Output {
    let script = format!("ulimit {limit} && exec \"$0\" {arguments}");
    let program = env!("CARGO_BIN_EXE_holdline");
    Command::new("sh").args(["-c", &script, program]).current_dir(place.path("")).output().unwrap()
}

#[track_caller]
fn names(output: &Output, code: i32, word: &str) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.starts_with("error: ") && error.contains(word) && !error.contains("panicked"), "{error}");
}

#[test]
fn too_few_descriptors_are_named() {
    let place = Place::new();
    // With fewer, the program is not even loaded.
    for count in 4..=20 {
        for arguments in ["run -s held-socket --out out", "doctor", "doctor --calibrate"] {
            let output = limited(&place, &format!("-n {count}"), arguments);
            names(&output, 5, "ulimit -n");
        }
    }
    assert!(!place.path("out").exists());
}

#[test]
fn a_limit_of_file_sizes_is_named() {
    let place = Place::new();
    for blocks in [0, 8] {
        let output = limited(&place, &format!("-f {blocks}"), "run -s held-socket --out out");
        names(&output, 5, "ulimit -f");
    }
    assert!(!place.path("out").exists());
}

#[test]
fn too_few_processes_are_named() {
    // Root has no limit of processes.
    let place = Place::new();
    std::fs::set_permissions(place.path(""), PermissionsExt::from_mode(0o777)).unwrap();
    let program = place.path("holdline");
    std::fs::copy(env!("CARGO_BIN_EXE_holdline"), &program).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    let prefix: &[&str] = if is_root { &["setpriv", "--reuid", NOBODY, "--clear-groups"] } else { &[] };
    for arguments in
        ["run -s held-socket --out out", "doctor --calibrate", "run --show-progress bar --out out"]
    {
        let script = format!("ulimit -u 0 && exec \"$0\" {arguments}");
        let words: Vec<&str> = prefix.iter().copied().chain(["bash", "-c", &script]).collect();
        let output = Command::new(words[0])
            .args(&words[1..])
            .arg(&program)
            .current_dir(place.path(""))
            .output()
            .unwrap();
        names(&output, 5, "ulimit -u");
    }
    assert!(!place.path("out").exists());
}

#[test]
fn a_folder_for_temporary_files_that_cannot_be_used_is_named() {
    let place = Place::new();
    let odd = place.path("").join(OsStr::from_bytes(b"t\xff"));
    std::fs::create_dir(&odd).unwrap();
    for folder in [odd.as_os_str(), OsStr::new("/no/such/folder"), OsStr::new("/proc")] {
        for arguments in [&["run", "-s", "bare", "--out", "out"][..], &["doctor", "--calibrate"]] {
            let output = place.holdline(arguments).env("TMPDIR", folder).output().unwrap();
            names(&output, 5, "TMPDIR");
        }
    }
    assert!(!place.path("out").exists());
    assert_eq!(odd.read_dir().unwrap().count(), 0);
}

/// What a supervisor ignores from its start on, as the kernel has it, where holdline is run from a shell that has done
/// this before.
fn ignored(place: &Place, out: &str, before: &str) -> String {
    let script = format!("{before}; exec \"$0\" run ./mine.toml -s ./mine --out {out}");
    let program = env!("CARGO_BIN_EXE_holdline");
    let run = Command::new("sh").args(["-c", &script, program]).current_dir(place.path("")).output().unwrap();
    let log = place.path(out).join("trials/0000-mine-mine/supervisor.log");
    let log = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("{error}: {}", stderr(&run)));
    log.lines().find(|line| line.starts_with("SigIgn:")).expect("what it ignores").to_owned()
}

/// Beneath `nohup`, or behind a shell's `&`, a service hears what it is asked by a signal all the same.
#[test]
fn signals_that_the_caller_ignores_are_heard_by_who_is_under_test() {
    let place = Place::new();
    place.write(
        "mine/supervisor.toml",
        "name = \"mine\"\nabout = \"says what it ignores\"\n\
         socket = { holder = \"supervisor\", passing = \"stdin\" }\n\
         start = [\"sh\", \"-c\", \"grep ^SigIgn: /proc/self/status; exec \\\"$@\\\"\", \"sh\", \"{holdline}\", \
         \"__supervise\", \"held-socket\", \"--address\", \"{address}\", \"--dir\", \"{dir}\", \"--\", \"{worker}\"]\n",
    );
    place.write(
        "mine.toml",
        "name = \"mine\"\nasks = \"?\"\n[load]\narrivals = { sequential = \"1ms\" }\nattempts = 2\n",
    );
    let deaf = ignored(&place, "deaf", "trap '' HUP INT QUIT USR1 USR2");
    assert_eq!(deaf, ignored(&place, "plain", ":"));
}

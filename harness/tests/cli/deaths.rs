//! Whenever holdline itself is killed, nothing of it is left, and what it had recorded can be read.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use holdline_model::wire::Address;

use crate::support::{
    COMMON, Place, beside_others, cgroup_tree, held_socket_from, processes_with, result, wait_until,
};

/// How often it is killed, each time at another instant.
const KILLS: usize = 20;
/// How often without isolation.
const KILLS_EXPOSED: usize = 8;
/// The latest instant: later than several trials take on an idle machine, earlier than all of them.
const LATEST_MS: u64 = 1000;
const SEED: u64 = 7;

/// Supervisors that differ in how many processes they have, and in what they leave outside of the work folder.
/// One that is not installed is passed over.
const SUPERVISORS: [&str; 6] = ["./litter", "systemd", "bare", "held-socket", "prefork", "handover"];
const SCENARIO: &str = "name = \"short\"\nasks = \"?\"\n[workers]\ncount = 1\nboot = \"20ms\"\n[load]\n\
     arrivals = { constant = \"100/s\" }\nduration = \"150ms\"\nsend-lag = \"4s\"\n[[fault]]\n\
     at = { attempt = 10 }\npoison = { step = \"work\", mode = \"panic\" }\n";

/// The instants at which it is killed: drawn from the seed (SplitMix64).
fn instants() -> impl Iterator<Item = Duration> {
    (1_u64..).map(|n| {
        let mut x = SEED.wrapping_add(n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Duration::from_millis((x ^ (x >> 31)) % LATEST_MS)
    })
}

/// What was killed, and where it could have left something.
struct Killed {
    litter: String,
    pids: Vec<u32>,
    addresses: Vec<Address>,
}

/// A held-socket that writes where every program may, if that is not the host's, and makes a cgroup.
fn plant_litter(place: &Place, isolation: &str) {
    let name = litter(isolation);
    let mut script = String::from("dir=$1; shift\n");
    if isolation == "full" {
        for folder in COMMON {
            script += &format!("echo x > {folder}/{name}\n");
        }
    }
    if let Some(tree) = cgroup_tree() {
        script += &format!("mkdir {}/{name}-$(basename \"$dir\")\n", tree.display());
    }
    place.write("litter/run.sh", &format!("{script}exec \"$@\"\n"));
    place.write("litter/supervisor.toml", &held_socket_from("litter"));
}

/// How names begin that a supervisor of a test leaves: those of the other one are none of its business.
fn litter(isolation: &str) -> String {
    format!("holdline-litter-{isolation}-{}", std::process::id())
}

/// Kills a run of many short trials at each instant, and checks what is left. Every other one is killed that
/// long after it has begun, the others while a given trial is on.
fn kill_runs(place: &Place, isolation: &str, kills: usize) -> Killed {
    place.write("short.toml", SCENARIO);
    plant_litter(place, isolation);
    let folder = place.path("tmp");
    std::fs::create_dir(&folder).expect("a folder");
    let mut killed = Killed { litter: litter(isolation), pids: Vec::new(), addresses: Vec::new() };
    let mut cut_short = 0;
    for (round, instant) in instants().take(kills).enumerate() {
        let out = place.path(&format!("out-{round}"));
        let marker = format!("holdline-death-{isolation}-{}-{round}", std::process::id());
        let mut child = Command::new(env!("CARGO_BIN_EXE_holdline"))
            .args(["run", "./short.toml", "-r", "10", "--show-progress", "none"])
            .args(SUPERVISORS.iter().flat_map(|name| ["-s", name]))
            .args(["--isolation", isolation, "--out"])
            .arg(&out)
            .current_dir(place.path(""))
            .env("TMPDIR", &folder)
            .env("HOLDLINE_TEST_MARKER", &marker)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("holdline starts");
        if round % 2 == 1 {
            let reached = round / 2 % SUPERVISORS.len();
            wait_until("a trial is on", || trials(&out).count() > reached);
            std::thread::sleep(instant / 4);
        } else {
            std::thread::sleep(instant);
        }
        child.kill().expect("it can be killed");
        child.wait().expect("a status");
        wait_until("every process is gone", || processes_with(&marker).is_empty());
        killed.pids.push(child.id());
        if out.join("run.json").exists() {
            cut_short += usize::from(!result(&out).complete);
            killed.addresses.extend(addresses_in(&out));
        }
    }
    assert!(cut_short > 0, "each run ended before it was killed");
    assert!(!killed.addresses.is_empty(), "no trial was reached");
    killed
}

/// The folders of the trials of a run that have begun.
fn trials(out: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(out.join("trials")).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// Where the servers of a run listened.
fn addresses_in(out: &Path) -> Vec<Address> {
    let events = trials(out).filter_map(|trial| std::fs::read_to_string(trial.join("events.jsonl")).ok());
    let address = |text: String| {
        let event: serde_json::Value = serde_json::from_str(text.lines().nth(1)?).ok()?;
        serde_json::from_value(event["address"].clone()).ok()
    };
    events.filter_map(address).collect()
}

/// The next run clears away the work folders and cgroups of those that were killed.
fn next_run_clears_up(place: &Place, killed: &Killed) {
    let folder = place.path("tmp");
    let mut next = place.holdline(&["run", "./short.toml", "-s", "bare", "--out", "next"]);
    next.env("TMPDIR", &folder).output().expect("holdline runs");
    assert_eq!(names_in(&folder, |_| true), [""; 0]);
    let is_litter = |name: &str| name.starts_with(&killed.litter);
    for folder in COMMON {
        assert_eq!(names_in(Path::new(folder), is_litter), [""; 0], "in {folder}");
    }
    let works: Vec<String> = killed.pids.iter().map(|pid| format!("-holdline-{pid}-")).collect();
    if let Some(tree) = cgroup_tree() {
        let is_of_killed = |name: &str| works.iter().any(|work| name.contains(work));
        assert_eq!(names_in(&tree, |name| is_litter(name) || is_of_killed(name)), [""; 0]);
    }
}

fn names_in(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| is_wanted(name)).collect()
}

#[test]
fn sigkill_at_any_instant_leaves_nothing_of_a_sandbox() {
    let _beside = beside_others();
    let place = Place::new();
    let killed = kill_runs(&place, "full", KILLS);
    next_run_clears_up(&place, &killed);
}

#[test]
fn sigkill_at_any_instant_leaves_nothing_without_isolation() {
    let _beside = beside_others();
    let place = Place::new();
    let killed = kill_runs(&place, "none", KILLS_EXPOSED);
    for address in &killed.addresses {
        let Address::Tcp(address) = address else { panic!("{address} is no TCP address") };
        assert_free(*address);
    }
    next_run_clears_up(&place, &killed);
}

/// Whoever listened there listens no more.
fn assert_free(address: SocketAddr) {
    TcpListener::bind(address).unwrap_or_else(|error| panic!("{address} is still in use: {error}"));
}

//! Whenever holdline itself is killed, nothing of it is left, and what it had recorded can be read.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use holdline_model::wire::Address;

use crate::support::{Place, alone, processes_with, result, wait_until};

/// How often it is killed, each time at another instant.
const KILLS: usize = 20;
/// How often without isolation.
const KILLS_EXPOSED: usize = 8;
/// The latest instant: later than several trials take on an idle machine, earlier than all of them.
const LATEST_MS: u64 = 1000;
const SEED: u64 = 7;

/// Many short trials of supervisors that differ in how many processes they have.
const SELECTION: [&str; 14] = [
    "run",
    "./short.toml",
    "-s",
    "bare",
    "-s",
    "held-socket",
    "-s",
    "prefork",
    "-s",
    "handover",
    "-r",
    "10",
    "--show-progress",
    "none",
];
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

/// Kills a run at each instant, and checks what is left. Returns the addresses that were in use.
fn kill_runs(place: &Place, isolation: &str, kills: usize) -> Vec<Address> {
    place.write("short.toml", SCENARIO);
    let folder = place.path("tmp");
    std::fs::create_dir(&folder).expect("a folder");
    let mut addresses = Vec::new();
    let mut cut_short = 0;
    for (round, instant) in instants().take(kills).enumerate() {
        let out = place.path(&format!("out-{round}"));
        let marker = format!("holdline-death-{isolation}-{}-{round}", std::process::id());
        let mut child = Command::new(env!("CARGO_BIN_EXE_holdline"))
            .args(SELECTION)
            .args(["--isolation", isolation, "--out"])
            .arg(&out)
            .current_dir(place.path(""))
            .env("TMPDIR", &folder)
            .env("HOLDLINE_TEST_MARKER", &marker)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("holdline starts");
        std::thread::sleep(instant);
        child.kill().expect("it can be killed");
        child.wait().expect("a status");
        wait_until("every process is gone", || processes_with(&marker).is_empty());
        if out.join("run.json").exists() {
            cut_short += usize::from(!result(&out).complete);
            addresses.extend(addresses_in(&out));
        }
    }
    assert!(cut_short > 0, "each run ended before it was killed");
    addresses
}

/// Where the servers of a run listened.
fn addresses_in(out: &Path) -> Vec<Address> {
    let Ok(trials) = std::fs::read_dir(out.join("trials")) else { return Vec::new() };
    let events =
        trials.filter_map(|trial| std::fs::read_to_string(trial.ok()?.path().join("events.jsonl")).ok());
    let address = |text: String| {
        let event: serde_json::Value = serde_json::from_str(text.lines().next()?).ok()?;
        serde_json::from_value(event["address"].clone()).ok()
    };
    events.filter_map(address).collect()
}

/// The next run clears away the work folders of those that were killed.
fn next_run_clears_up(place: &Place) {
    let folder = place.path("tmp");
    let mut next = place.holdline(&["run", "./short.toml", "-s", "bare", "--out", "next"]);
    next.env("TMPDIR", &folder).output().expect("holdline runs");
    let left: Vec<_> = std::fs::read_dir(&folder).expect("a folder").filter_map(Result::ok).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn sigkill_at_any_instant_leaves_nothing_of_a_sandbox() {
    let _alone = alone();
    let place = Place::new();
    let addresses = kill_runs(&place, "full", KILLS);
    assert!(!addresses.is_empty(), "no trial was reached");
    next_run_clears_up(&place);
}

#[test]
fn sigkill_at_any_instant_leaves_nothing_without_isolation() {
    let _alone = alone();
    let place = Place::new();
    let addresses = kill_runs(&place, "none", KILLS_EXPOSED);
    assert!(!addresses.is_empty(), "no trial was reached");
    for address in addresses {
        let Address::Tcp(address) = address else { panic!("{address} is no TCP address") };
        assert_free(address);
    }
    next_run_clears_up(&place);
}

/// Whoever listened there listens no more.
fn assert_free(address: SocketAddr) {
    TcpListener::bind(address).unwrap_or_else(|error| panic!("{address} is still in use: {error}"));
}

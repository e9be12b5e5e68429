//! Proxies in front of small services: what holdline counts of each status is what the proxy itself wrote to
//! its log. And proxies that speak TLS: which certificate was shown when.
//!
//! A proxy that is not installed is ignored, as in the tests of the descriptions.

#[path = "tls/authority.rs"]
mod authority;
#[path = "chains/certificates.rs"]
mod certificates;
mod common;
#[path = "common/copied.rs"]
mod copied;
#[path = "common/lag.rs"]
mod lag;
#[path = "common/real.rs"]
mod real;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use common::{Place, read_result};
use flate2::read::GzDecoder;
use holdline::catalogue::SupervisorEntry;
use holdline_model::result::TrialResult;
use holdline_model::words::Fate;
use libtest_mimic::{Arguments, Failed, Trial};

/// How often a trial is run anew in which the machine was too busy for the generator.
const RETRIES: usize = 2;

/// How often each status was sent or received; what was no complete reply is not in it.
type Statuses = BTreeMap<u16, u64>;

/// A trial, and both sides' counts.
struct Told {
    trial: TrialResult,
    by_client: Statuses,
    by_proxy: Statuses,
}

fn main() -> ExitCode {
    let tests = vec![
        test("a-backend-that-is-gone", "balanced", a_backend_that_is_gone),
        test("a-limit-for-each-address", "limited", a_limit_for_each_address),
        test("addresses-below-the-limit", "limited", addresses_below_the_limit),
        test("certificates-of-nginx", "tls/nginx", || certificates::are_told_apart("nginx")),
        test("certificates-of-haproxy", "tls/haproxy", || certificates::are_told_apart("haproxy")),
    ];
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, tests).exit_code()
}

fn test(name: &str, description: &'static str, holds: fn() -> Result<(), Failed>) -> Trial {
    Trial::ignorable_test(format!("chains::{name}"), move || {
        let supervisor = SupervisorEntry::read(&fixture(&format!("{description}.toml")))?.supervisor;
        real::if_installed(&supervisor, holds)
    })
}

/// Every second request is sent to the backend that is gone.
fn a_backend_that_is_gone() -> Result<(), Failed> {
    let told = run("backend-gone", "balanced")?;
    let failed = same_failures(&told)?;
    // One may have been with the backend as it was killed: it is a 502, and turns the order round.
    let after = told.trial.attempts - 50;
    if failed.abs_diff(after / 2) > 2 {
        return Err(format!("{failed} of the {after} from the fault on failed, not half").into());
    }
    Ok(())
}

fn a_limit_for_each_address() -> Result<(), Failed> {
    let told = run("one-office", "limited")?;
    match (told.trial.client_addresses, same_failures(&told)?) {
        (1, 1..) => Ok(()),
        (addresses, failed) => Err(format!("{failed} were turned away, of {addresses} addresses").into()),
    }
}

fn addresses_below_the_limit() -> Result<(), Failed> {
    let told = run("many-offices", "limited")?;
    match same_failures(&told)? {
        0 => Ok(()),
        failed => Err(format!("{failed} were turned away, each alone at its address").into()),
    }
}

/// How many were told of a failure by the proxy, by its own count and by holdline's.
fn same_failures(told: &Told) -> Result<u64, Failed> {
    let failures = |statuses: &Statuses| -> Statuses {
        statuses
            .iter()
            .filter(|(status, _)| **status != 200)
            .map(|(status, count)| (*status, *count))
            .collect()
    };
    let (seen, sent) = (failures(&told.by_client), failures(&told.by_proxy));
    let count = seen.values().sum();
    let fate = |fate| told.trial.fates.get(&fate).copied().unwrap_or_default();
    let counted = (fate(Fate::ErrorReply), fate(Fate::Served));
    let expected = (count, told.trial.attempts - count);
    if seen != sent || counted != expected {
        return Err(format!("holdline {seen:?} and {counted:?}, the proxy {sent:?}").into());
    }
    Ok(count)
}

fn run(scenario: &str, description: &str) -> Result<Told, Failed> {
    let mut told = once(scenario, description)?;
    for _ in 0..RETRIES {
        if lag::lagged(&told.trial) {
            told = once(scenario, description)?;
        }
    }
    Ok(told)
}

fn once(scenario: &str, description: &str) -> Result<Told, Failed> {
    let place = Place::new();
    let [scenario, description] =
        [format!("scenarios/{scenario}.toml"), format!("{description}.toml")].map(|name| fixture(&name));
    let [scenario, description] = [&scenario, &description].map(|path| path.to_str().expect("UTF-8"));
    let arguments = ["run", scenario, "-s", description, "--out", "out", "--show-progress", "none"];
    let output = place.holdline(&arguments).output()?;
    let result = place.path("out").join("run.json");
    if !result.exists() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let trial = read_result(&result).trials.pop().ok_or("there was no trial")?;
    let folder = place.path("out").join(&trial.folder);
    let (by_client, by_proxy) = (by_client(&folder)?, by_proxy(&folder)?);
    Ok(Told { trial, by_client, by_proxy })
}

fn by_client(folder: &Path) -> Result<Statuses, Box<dyn Error>> {
    let mut reader =
        csv::Reader::from_reader(GzDecoder::new(std::fs::File::open(folder.join("attempts.csv.gz"))?));
    let column = reader.headers()?.iter().position(|name| name == "status").ok_or("no column `status`")?;
    let mut statuses = Statuses::new();
    for row in reader.records() {
        if let Some(status) = row?.get(column).filter(|status| !status.is_empty()) {
            *statuses.entry(status.parse()?).or_default() += 1;
        }
    }
    Ok(statuses)
}

fn by_proxy(folder: &Path) -> Result<Statuses, Box<dyn Error>> {
    let log = std::fs::read_to_string(folder.join("supervisor.log"))?;
    let mut statuses = Statuses::new();
    for line in log.lines() {
        if let Some((_, status)) = line.split_once("status ") {
            *statuses.entry(status.trim().parse()?).or_default() += 1;
        }
    }
    Ok(statuses)
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/chains").join(name)
}

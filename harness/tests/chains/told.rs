//! Running a description of `fixtures/chains`, and what both sides of it have written down.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use holdline::catalogue::SupervisorEntry;
use holdline_model::result::TrialResult;
use holdline_model::words::Fate;
use libtest_mimic::{Failed, Trial};

use crate::common::{Place, read_result};
use crate::lag::lagged;
use crate::neighbours::{alone, beside_others};
use crate::real;

/// How often a trial is run anew, alone, in which the machine was too busy for the generator.
const RETRIES: usize = 2;

/// How often each status was sent or received; what was no complete reply is not in it.
pub(crate) type Statuses = BTreeMap<u16, u64>;

/// A trial, and what both sides wrote.
pub(crate) struct Told {
    pub(crate) trial: TrialResult,
    /// What the server wrote.
    pub(crate) log: String,
    /// What became of each attempt, in order.
    pub(crate) attempts: Vec<Row>,
}

/// What the client saw of an attempt.
pub(crate) struct Row {
    pub(crate) attempt: u64,
    pub(crate) fate: String,
    status: Option<u16>,
}

/// A test of a description that is ignored where its program is not installed.
pub(crate) fn test(name: &str, description: &'static str, holds: fn() -> Result<(), Failed>) -> Trial {
    Trial::ignorable_test(format!("chains::{name}"), move || {
        let supervisor = SupervisorEntry::read(&fixture(&format!("{description}.toml")))?.supervisor;
        real::if_installed(&supervisor, holds)
    })
}

/// Runs a scenario over a description, both by the names of their files.
pub(crate) fn run(scenario: &str, description: &str) -> Result<Told, Failed> {
    let told = unhindered(|| once(scenario, description), |told| lagged(&told.trial))?;
    if told.trial.books.is_balanced() {
        return Ok(told);
    }
    Err(format!("the books do not balance: {}", told.trial.books).into())
}

/// What is measured beside others, or, where the machine was too busy for it, alone.
pub(crate) fn unhindered<T>(
    once: impl Fn() -> Result<T, Failed>,
    is_hindered: impl Fn(&T) -> bool,
) -> Result<T, Failed> {
    let beside = {
        let _beside = beside_others();
        once()
    };
    let mut told = beside?;
    for _ in 0..RETRIES {
        if is_hindered(&told) {
            let _alone = alone();
            told = once()?;
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
    let log = std::fs::read_to_string(folder.join("supervisor.log"))?;
    Ok(Told { trial, log, attempts: attempts(&folder)? })
}

fn attempts(folder: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let file = std::fs::File::open(folder.join("attempts.csv.gz"))?;
    let mut reader = csv::Reader::from_reader(GzDecoder::new(file));
    let headers = reader.headers()?.clone();
    let column = |name: &'static str| headers.iter().position(|header| header == name).ok_or(name);
    let (attempt, fate, status) = (column("attempt")?, column("fate")?, column("status")?);
    let row = |row: csv::StringRecord| -> Result<Row, Box<dyn Error>> {
        let status = row[status].parse().ok();
        Ok(Row { attempt: row[attempt].parse()?, fate: row[fate].to_owned(), status })
    };
    reader.records().map(|record| row(record?)).collect()
}

impl Told {
    pub(crate) fn count(&self, fate: Fate) -> u64 {
        self.trial.fates.get(&fate).copied().unwrap_or_default()
    }

    /// Each status that the server wrote to its log, in order.
    pub(crate) fn logged(&self) -> impl Iterator<Item = u16> {
        self.log.lines().filter_map(|line| line.split_once("status ")?.1.trim().parse().ok())
    }

    /// The same in the order in which requests came, where the server numbers them.
    pub(crate) fn logged_as_they_came(&self) -> Vec<u16> {
        let numbered = |line: &str| {
            let (number, status) = line.split_once("request ")?.1.split_once(" status ")?;
            Some((number.parse().ok()?, status.trim().parse().ok()?))
        };
        let mut all: Vec<(u64, u16)> = self.log.lines().filter_map(numbered).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, status)| status).collect()
    }

    /// How many were told of a failure by the server, by its own count and by holdline's.
    pub(crate) fn same_failures(&self) -> Result<u64, Failed> {
        let seen = failures(self.attempts.iter().filter_map(|row| row.status));
        let sent = failures(self.logged());
        let count = seen.values().sum();
        let counted = (self.count(Fate::ErrorReply), self.count(Fate::Served));
        if seen == sent && counted == (count, self.trial.attempts - count) {
            return Ok(count);
        }
        Err(format!("holdline {seen:?} and {counted:?}, the server {sent:?}").into())
    }
}

fn failures(statuses: impl Iterator<Item = u16>) -> Statuses {
    let mut failures = Statuses::new();
    for status in statuses.filter(|status| *status != 200) {
        *failures.entry(status).or_default() += 1;
    }
    failures
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/chains").join(name)
}

//! What is known of real supervisors, and must come out when they are measured.
//!
//! Each test holds one fact against a trial: counts, causes and whether a listener was closed, never a
//! duration. A supervisor that is not installed is ignored, as in the tests of the descriptions.

mod common;
#[path = "common/lag.rs"]
mod lag;
#[path = "common/real.rs"]
mod real;

use std::process::ExitCode;

use common::{Place, read_result};
use holdline::catalogue;
use holdline_model::result::TrialResult;
use holdline_model::words::{Fate, Grade};
use lag::lagged;
use libtest_mimic::{Arguments, Failed, Trial};

/// How often a trial is measured again if the load client could not keep up.
const RETRIES: usize = 2;

/// Something that is true of a supervisor.
struct Fact {
    name: &'static str,
    supervisor: &'static str,
    scenario: &'static str,
    holds: fn(&TrialResult) -> Result<(), String>,
}

const FACTS: &[Fact] = &[
    Fact {
        name: "one-fcgi-process-takes-the-queue-with-it",
        supervisor: "supervisord-fcgi",
        scenario: "crash-queued",
        holds: |trial| {
            closes_its_listener(trial)?;
            // All that waited behind the one that crashed the worker.
            exactly(trial, Fate::QueueReset, 14)
        },
    },
    Fact {
        name: "one-fcgi-process-refuses-until-it-is-back",
        supervisor: "supervisord-fcgi",
        scenario: "crash",
        holds: |trial| {
            closes_its_listener(trial)?;
            exactly(trial, Fate::Refused, 14)
        },
    },
    Fact {
        name: "two-fcgi-processes-keep-the-socket",
        supervisor: "supervisord-fcgi-two",
        scenario: "crash-queued",
        holds: keeps_its_listener,
    },
    Fact {
        name: "a-process-that-sleeps-keeps-the-socket",
        supervisor: "supervisord-fcgi-kept",
        scenario: "crash-queued",
        holds: keeps_its_listener,
    },
    Fact {
        name: "circus-keeps-the-socket-and-takes-its-time",
        supervisor: "circus",
        scenario: "crash-queued",
        holds: |trial| {
            keeps_its_listener(trial)?;
            is_graded(trial, Grade::Delayed)
        },
    },
    Fact {
        name: "circus-with-so-reuseport-refuses",
        supervisor: "circus-reuse-port",
        scenario: "crash-patient",
        holds: |trial| {
            closes_its_listener(trial)?;
            some(trial, Fate::Refused)
        },
    },
    Fact {
        name: "systemd-keeps-the-socket",
        supervisor: "systemd",
        scenario: "crash-queued",
        holds: keeps_its_listener,
    },
    Fact {
        name: "systemd-goes-on-without-limits",
        supervisor: "systemd",
        scenario: "crash-loop",
        holds: keeps_its_listener,
    },
    Fact {
        name: "systemd-with-its-start-limit-gives-up-and-closes-the-socket",
        supervisor: "systemd-start-limit",
        scenario: "crash-loop",
        holds: |trial| {
            closes_its_listener(trial)?;
            some(trial, Fate::QueueReset)?;
            is_graded(trial, Grade::Down)
        },
    },
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, FACTS.iter().map(test).collect()).exit_code()
}

fn test(fact: &'static Fact) -> Trial {
    Trial::ignorable_test(format!("facts::{}", fact.name), || {
        let entry = catalogue::supervisors()?
            .into_iter()
            .find(|entry| entry.supervisor.name == fact.supervisor)
            .ok_or_else(|| format!("no supervisor is named {}", fact.supervisor))?;
        real::if_installed(&entry.supervisor, || {
            let trial = measure(fact)?;
            (fact.holds)(&trial).map_err(|wrong| explained(&trial, &wrong).into())
        })
    })
}

fn measure(fact: &Fact) -> Result<TrialResult, Failed> {
    let mut trial = run(fact)?;
    for _ in 0..RETRIES {
        if lagged(&trial) {
            trial = run(fact)?;
        }
    }
    match trial.books.as_str() {
        "balanced" => Ok(trial),
        books => Err(explained(&trial, &format!("the books do not balance: {books}")).into()),
    }
}

fn run(fact: &Fact) -> Result<TrialResult, Failed> {
    let place = Place::new();
    let options = ["--out", "out", "--export-json", "result.json", "--show-progress", "none"];
    let arguments = [&["run", fact.scenario, "-s", fact.supervisor], &options[..]].concat();
    let output = place.holdline(&arguments).output()?;
    let path = place.path("result.json");
    if !path.exists() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    read_result(&path).trials.into_iter().next().ok_or_else(|| "there was no trial".into())
}

/// What is wrong, with what a reader needs to see why.
fn explained(trial: &TrialResult, wrong: &str) -> String {
    let lines: String =
        trial.reason.iter().chain(&trial.losses).map(|line| format!("\n    {line}")).collect();
    format!("{wrong}{lines}")
}

fn count(trial: &TrialResult, fate: Fate) -> u64 {
    trial.fates.get(&fate).copied().unwrap_or(0)
}

fn closes_its_listener(trial: &TrialResult) -> Result<(), String> {
    let closed = trial.kernel.listeners_closed;
    if closed > 0 { Ok(()) } else { Err("no listener was closed".to_owned()) }
}

/// The same socket to the end, so that nobody was refused, and nobody reset in its queue.
fn keeps_its_listener(trial: &TrialResult) -> Result<(), String> {
    let closed = trial.kernel.listeners_closed;
    if closed > 0 {
        return Err(format!("{closed} listeners were closed"));
    }
    exactly(trial, Fate::Refused, 0)?;
    exactly(trial, Fate::QueueReset, 0)
}

fn exactly(trial: &TrialResult, fate: Fate, expected: u64) -> Result<(), String> {
    match count(trial, fate) {
        found if found == expected => Ok(()),
        found => Err(format!("{found} attempts were {fate}, not {expected}")),
    }
}

fn some(trial: &TrialResult, fate: Fate) -> Result<(), String> {
    if count(trial, fate) > 0 { Ok(()) } else { Err(format!("no attempt was {fate}")) }
}

fn is_graded(trial: &TrialResult, grade: Grade) -> Result<(), String> {
    if trial.grade == grade { Ok(()) } else { Err(format!("it is {}, not {grade}", trial.grade)) }
}

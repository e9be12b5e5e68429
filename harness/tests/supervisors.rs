//! The descriptions of real supervisors: each is whole, and gets the grades that it expects.
//!
//! A test for each. Several run side by side; a trial that does not get its grade beside others is
//! measured again alone, up to three times, and that counts. Books that do not balance are never excused.
//! A supervisor that is not installed is ignored, unless HOLDLINE_REQUIRE_SUPERVISORS=1 makes that a
//! failure.

mod common;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/real.rs"]
mod real;

use std::error::Error;
use std::process::ExitCode;

use holdline::catalogue::{self, Source, SupervisorEntry};
use holdline_model::result::TrialResult;
use holdline_model::supervisor::{Control, Supervisor};
use holdline_model::template::{self, Values};
use holdline_model::words::{Transport, Verb};
use libtest_mimic::{Arguments, Failed, Trial};
use machine::{SIDE_BY_SIDE, beside_others, settle, trials};

/// How often a trial that does not get its grade is measured again, alone.
const RETRIES: usize = 3;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(SIDE_BY_SIDE));
    let supervisors = catalogue::supervisors().expect("the catalogue's own files are right");
    let tests = supervisors.into_iter().filter(|entry| is_real(&entry.supervisor)).map(test).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// The others are holdline's own, which tests of their own run.
fn is_real(supervisor: &Supervisor) -> bool {
    !supervisor.reference && !supervisor.version.is_empty()
}

fn test(entry: SupervisorEntry) -> Trial {
    let name = format!("supervisors::{}", entry.supervisor.name);
    Trial::ignorable_test(name, move || {
        is_whole(&entry)?;
        real::if_installed(&entry.supervisor, || gets_its_grades(&entry.supervisor))
    })
}

/// Everything can be rendered for every transport, and people are told what they should know.
fn is_whole(entry: &SupervisorEntry) -> Result<(), Failed> {
    let supervisor = &entry.supervisor;
    for transport in &supervisor.transports {
        renders(entry, *transport).map_err(|error| format!("over {transport}: {error}"))?;
    }
    let silent =
        Verb::ALL.iter().find(|verb| **verb != Verb::Stop && !supervisor.control.contains_key(*verb));
    if let Some(verb) = silent {
        return Err(format!("it does not say what becomes of `{verb}`").into());
    }
    let told = [
        ("install", &supervisor.install),
        ("trap", &supervisor.trap),
        ("backlog-default", &supervisor.backlog_default),
        ("restart-delay-default", &supervisor.restart_delay_default),
    ];
    match told.iter().find(|(_, text)| text.is_none()) {
        Some((key, _)) => Err(format!("it has no `{key}`").into()),
        None if supervisor.expected.is_empty() => Err("it expects no grade".into()),
        None => Ok(()),
    }
}

fn renders(entry: &SupervisorEntry, transport: Transport) -> Result<(), Box<dyn Error>> {
    let supervisor = &entry.supervisor;
    let values = values(transport);
    template::command(&supervisor.start, &values)?;
    for program in &supervisor.programs {
        template::command(&program.start, &values)?;
        template::argument(&program.listens, &values)?;
    }
    let behind =
        supervisor.programs.iter().flat_map(|program| program.control.values().chain([&program.stop]));
    let front = supervisor.front.control.values().chain([&supervisor.stop]);
    for control in supervisor.control.values().chain(front).chain(behind) {
        if let Control::Command(words) = control {
            template::command(words, &values)?;
        }
    }
    for value in supervisor.env.values() {
        template::argument(value, &values)?;
    }
    for file in supervisor.files.values() {
        let name = file.for_transport(transport);
        let text = read(&entry.source, name).ok_or_else(|| format!("there is no template {name}"))?;
        let rendered = template::render(&text, &values)?;
        if rendered.trim().is_empty() {
            return Err(format!("the template {name} is empty").into());
        }
    }
    Ok(())
}

fn read(source: &Source, name: &str) -> Option<String> {
    match source {
        Source::Embedded(folder) => {
            Some(folder.get_file(folder.path().join(name))?.contents_utf8()?.to_owned())
        }
        Source::Folder(folder) => std::fs::read_to_string(folder.join(name)).ok(),
    }
}

fn values(transport: Transport) -> Values {
    let address = match transport {
        Transport::Tcp => "127.0.0.1:7000",
        Transport::Tcp6 => "[::1]:7000",
        Transport::Unix => "/w/s",
    };
    Values {
        dir: "/w".to_owned(),
        source: "/w/source".to_owned(),
        address: address.parse().expect("an address"),
        backlog: 128,
        workers: 2,
        version: 1,
        user: 0,
        worker: vec!["/bin/holdline".to_owned(), "__worker".to_owned()],
        holdline: "/bin/holdline".to_owned(),
    }
}

fn gets_its_grades(supervisor: &Supervisor) -> Result<(), Failed> {
    let scenarios: Vec<&str> = supervisor.expected.keys().map(String::as_str).collect();
    let mut trials = {
        let _beside = beside_others();
        trials(&scenarios, &[&supervisor.name])
    }?;
    if trials.len() != scenarios.len() {
        return Err(format!("{} trials of {scenarios:?}", trials.len()).into());
    }
    for trial in &mut trials {
        settle(trial, RETRIES, |trial| trial.books.is_balanced() && fault(supervisor, trial).is_some())?;
    }
    let wrong: Vec<String> = trials.iter().filter_map(|trial| fault(supervisor, trial)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// What is wrong with a trial, with what a reader needs to see why.
fn fault(supervisor: &Supervisor, trial: &TrialResult) -> Option<String> {
    let TrialResult { scenario, grade, books, .. } = trial;
    let expected = supervisor.expected[scenario];
    if *grade == expected && books.is_balanced() {
        return None;
    }
    let reasons: String =
        trial.reason.iter().chain(&trial.losses).map(|line| format!("\n    {line}")).collect();
    Some(format!("{grade} in {scenario}, expected {expected}; books: {books}{reasons}"))
}

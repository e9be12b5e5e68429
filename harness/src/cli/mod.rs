//! The command line: from what was typed to an exit code.

mod again;
mod args;
mod compare;
mod complete;
mod doctor;
mod dry;
mod environment;
mod failures;
mod fuzz;
mod gate;
mod jobs;
mod listing;
mod man;
mod measure;
mod merge;
mod outcome;
mod probe;
mod progress;
mod prove;
mod report;
mod run;
mod sweep;
mod terminal;

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::{CompleteEnv, Shell};
use holdline_model::schema;
use holdline_model::words::nearest;

pub use args::Cli;
use args::{Command, SchemaArgs, SchemaWhat, contradiction};
use terminal::print;

use crate::catalogue::{self, SelectError};
use crate::exit::{self, Failure};

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    match completed() {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => error.exit(),
    }
    let first = std::env::args_os().nth(1).unwrap_or_default();
    if let Some(failure) = misspelt(&first) {
        return ExitCode::from(terminal::say_failure(&failure));
    }
    let parsed = if is_own(&first) {
        Cli::try_parse()
    } else {
        for said in environment::misspelt(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
        {
            terminal::say(&format!("note: {said}"));
        }
        parsed()
    };
    let cli = parsed.unwrap_or_else(|error| environment::explained(error).exit());
    crate::run::survive_file_size_limit();
    let done = match cli.command {
        None => run::main(&cli.run),
        Some(Command::Run(args)) => run::main(&args),
        Some(Command::Compare(args)) => compare::main(&args),
        Some(Command::Fuzz(args)) => fuzz::main(&args),
        Some(Command::Sweep(args)) => sweep::main(&args),
        Some(Command::Gate(args)) => gate::main(&args),
        Some(Command::Merge(args)) => merge::main(&args),
        Some(Command::Probe(args)) => probe::main(&args),
        Some(Command::Report(args)) => report::main(&args),
        Some(Command::List(args)) => listing::list(&args),
        Some(Command::Show(args)) => listing::show(&args),
        Some(Command::Doctor(args)) => doctor::main(&args),
        Some(Command::Schema(args)) => print_schema(&args),
        Some(Command::Completions(args)) => print_completions(args.shell),
        Some(Command::Man(args)) => man::main(&args, command()),
        Some(Command::Trial { spec }) => Ok(crate::trial::runner::main(&spec)),
        Some(Command::Trace) => Ok(crate::trace::main()),
        Some(Command::Discover { spec }) => Ok(crate::probe::discover::main(&spec)),
        Some(Command::Worker(args)) => return holdline_fixtures::worker::main(args),
        Some(Command::Supervise(args)) => return holdline_fixtures::supervise::main(args),
        Some(Command::Plant(args)) => return crate::calibrate::plant::main(&args),
    };
    ExitCode::from(done.unwrap_or_else(|failure| terminal::say_failure(&failure)))
}

/// Whether holdline was started by holdline: such processes start often, and take nothing from the environment.
fn is_own(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"__")
}

fn parsed() -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches()?;
    match contradiction(&matches) {
        Some(error) => Err(error),
        None => Cli::from_arg_matches(&matches),
    }
}

/// A first word that is neither a verb nor a scenario. clap would take it for a scenario in any case, since `run` need
/// not be said.
fn misspelt(word: &OsStr) -> Option<Failure> {
    let name = word.to_str().filter(|word| !word.is_empty() && !word.starts_with('-'))?;
    if is_own(word) {
        return None;
    }
    let command = Cli::command();
    if command.find_subcommand(name).is_some() || name == "help" {
        return None;
    }
    let Err(SelectError::Unknown { .. }) = catalogue::select_scenarios(&[name]) else { return None };
    let scenarios = catalogue::scenarios().unwrap_or_default();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name);
    let all = verbs.chain(scenarios.iter().map(|entry| entry.scenario.name.as_str()));
    let hint = nearest(name, all).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Some(Failure::usage(format!(
        "no command and no scenario is named `{name}`{hint}\n  `holdline --help` shows the commands, `holdline list scenarios` the scenarios"
    )))
}

/// Everything that can be typed, and what the environment may say.
fn command() -> clap::Command {
    let verbs = || {
        let command = Cli::command();
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        verbs.map(|verb| CompletionCandidate::new(verb.get_name()).help(verb.get_about().cloned())).collect()
    };
    let of_verbs =
        move |man: clap::Command| man.mut_arg("verb", |verb| verb.add(ArgValueCandidates::new(verbs)));
    environment::heeded(Cli::command().mut_subcommand("man", of_verbs))
}

/// Answers a shell that asks what a word may become, and does nothing else. Whether it did.
fn completed() -> Result<bool, clap::Error> {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(complete::ASKED_BY)
        .try_complete(std::env::args_os(), folder.as_deref())
}

fn print_completions(shell: Shell) -> Result<u8, Failure> {
    // One that was named by its path is asked by its path.
    let named = std::env::args_os().next().unwrap_or_default();
    let program = match named.to_str() {
        Some(name) if name.contains('/') => std::path::absolute(name).map_err(Failure::environment)?,
        Some(_) | None => "holdline".into(),
    };
    print(&complete::script(shell, &program.to_string_lossy()).map_err(Failure::environment)?)?;
    Ok(exit::PASS)
}

fn print_schema(args: &SchemaArgs) -> Result<u8, Failure> {
    let schema = match args.what {
        SchemaWhat::Scenario => schema::scenario_schema(),
        SchemaWhat::Supervisor => schema::supervisor_schema(),
        SchemaWhat::Run => schema::run_schema(),
        SchemaWhat::Compare => schema::compare_schema(),
        SchemaWhat::Fuzz => schema::fuzz_schema(),
        SchemaWhat::Sweep => schema::sweep_schema(),
        SchemaWhat::Gate => schema::gate_schema(),
        SchemaWhat::Baseline => schema::baseline_schema(),
        SchemaWhat::Events => schema::events_schema(),
        SchemaWhat::List => schema::list_schema(),
        SchemaWhat::Plan => schema::plan_schema(),
    };
    print(&format!("{schema:#}\n"))?;
    Ok(exit::PASS)
}

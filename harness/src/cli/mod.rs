//! The command line: from what was typed to an exit code.

mod args;
mod compare;
mod doctor;
mod failures;
mod fuzz;
mod gate;
mod listing;
mod measure;
mod merge;
mod probe;
mod progress;
mod prove;
mod report;
mod run;
mod sweep;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use holdline_model::schema;

pub use args::Cli;
use args::{Command, SchemaArgs, SchemaWhat};
use terminal::print;

use crate::exit::{self, Failure};

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
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
        Some(Command::Completions { shell }) => print_completions(shell),
        Some(Command::Trial { spec }) => Ok(crate::trial::runner::main(&spec)),
        Some(Command::Trace) => Ok(crate::trace::main()),
        Some(Command::Discover { spec }) => Ok(crate::probe::discover::main(&spec)),
        Some(Command::Worker(args)) => return holdline_fixtures::worker::main(args),
        Some(Command::Supervise(args)) => return holdline_fixtures::supervise::main(args),
        Some(Command::Plant(args)) => return crate::calibrate::plant::main(&args),
    };
    ExitCode::from(done.unwrap_or_else(|failure| terminal::say_failure(&failure)))
}

fn print_completions(shell: Shell) -> Result<u8, Failure> {
    // clap would panic where nobody reads to the end.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "holdline", &mut script);
    print(&String::from_utf8_lossy(&script))?;
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
    };
    print(&format!("{schema:#}\n"))?;
    Ok(exit::PASS)
}

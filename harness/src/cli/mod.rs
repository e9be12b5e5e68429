//! The command line: from what was typed to an exit code.

mod args;
mod doctor;
mod listing;
mod progress;
mod report;
mod run;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use holdline_model::schema;

pub use args::Cli;
use args::{ColorWhen, Command, SchemaArgs, SchemaWhat};

use crate::exit::{self, Failure};

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        None => run::main(&cli.run),
        Some(Command::Run(args)) => run::main(&args),
        Some(Command::Report(args)) => report::main(&args),
        Some(Command::List(args)) => listing::list(&args),
        Some(Command::Show(args)) => listing::show(&args),
        Some(Command::Doctor(args)) => doctor::main(&args),
        Some(Command::Schema(args)) => print_schema(&args),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "holdline", &mut std::io::stdout());
            Ok(exit::PASS)
        }
        Some(Command::Trial { spec }) => Ok(crate::trial::inner::main(&spec)),
        Some(Command::Worker(args)) => return holdline_fixtures::worker::main(args),
        Some(Command::Supervise(args)) => return holdline_fixtures::supervise::main(args),
        Some(Command::Plant(args)) => return crate::calibrate::plant::main(&args),
    };
    ExitCode::from(done.unwrap_or_else(|failure| say(&failure)))
}

/// Says what went wrong, once, on standard error.
fn say(failure: &Failure) -> u8 {
    let style = anstyle::AnsiColor::Red.on_default().bold();
    anstream::eprintln!("{style}error{style:#}: {:#}", failure.error);
    failure.code
}

fn print_schema(args: &SchemaArgs) -> Result<u8, Failure> {
    let schema = match args.what {
        SchemaWhat::Scenario => schema::scenario_schema(),
        SchemaWhat::Supervisor => schema::supervisor_schema(),
    };
    print(&format!("{schema:#}\n"))?;
    Ok(exit::PASS)
}

/// Whether standard output gets colour.
fn wants_color(when: ColorWhen) -> bool {
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto => anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never,
    }
}

/// The width of the terminal on standard output, in columns.
fn terminal_width() -> Option<u16> {
    console::Term::stdout().size_checked().map(|(_, columns)| columns)
}

/// Prints to standard output. A reader that has gone, as `head` does, is no error.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::environment(
            anyhow::Error::from(error).context("failed to write to standard output"),
        )),
        _ => Ok(()),
    }
}

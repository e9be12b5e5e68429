//! What can be typed. Parsing touches nothing; the commands turn it into what will run.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};
use holdline_fixtures::{supervise::SuperviseArgs, worker::WorkerArgs};
use holdline_model::gate::Tolerance;
use holdline_model::plan::Partition;
use holdline_model::supervisor::WorkerKind;

mod again;
mod examples;
mod explore;
mod jobs;
mod tell;
mod trial;

pub(super) use self::again::RunCommandArgs;
pub(super) use self::again::contradiction;
pub(super) use self::explore::{FuzzArgs, ProbeArgs, SweepArgs};
pub(super) use self::jobs::{JOBS_MAX, Jobs, JobsArgs};
pub(super) use self::tell::{
    CompletionsArgs, DoctorArgs, ListArgs, ListWhat, ManArgs, MergeArgs, ReportArgs, SchemaArgs, SchemaWhat,
    ShowArgs,
};
pub(super) use self::trial::{ColorWhen, ExportArgs, ShowProgress, TrialArgs};
use super::complete;

/// Does your server hold the line while its workers crash, restart and are redeployed?
///
/// Without a command, shows what the default scenario costs under each reference supervisor: those that are there to
/// lose fail nothing.
#[derive(Debug, Parser)]
#[command(
    name = "holdline",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_help = examples::ROOT
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The options of `run`, which need no command.
    #[command(flatten)]
    pub run: RunCommandArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios against supervisors, and report what became of every connection
    #[command(after_help = examples::RUN)]
    Run(RunCommandArgs),
    /// Compare supervisors side by side, or recorded runs
    Compare(CompareArgs),
    /// Look for moments at which a crash costs what it need not cost: draw faults and aim them at what the
    /// supervisor is just doing
    Fuzz(FuzzArgs),
    /// Let a worker or the supervisor crash at every step in every mode, or at every system call
    Sweep(SweepArgs),
    /// Hold a run against a baseline, and fail where something has become worse
    Gate(GateArgs),
    /// Join the parts of a run, with all their files
    Merge(MergeArgs),
    /// Start a command that listens, and tell what it loses in a short story: a worker killed, nobody who accepts, TERM
    Probe(ProbeArgs),
    /// Show the report of a run again, from its recorded files
    Report(ReportArgs),
    /// List what can be run
    List(ListArgs),
    /// Explain a scenario or a supervisor
    Show(ShowArgs),
    /// Say what works on this machine, and how to get what does not
    Doctor(DoctorArgs),
    /// Print the JSON Schema of a file format
    Schema(SchemaArgs),
    /// Print a script with which a shell completes commands, options, and names of scenarios and supervisors
    Completions(CompletionsArgs),
    /// Print a man page
    Man(ManArgs),
    /// One trial, inside its sandbox (internal)
    #[command(name = "__trial", hide = true)]
    Trial {
        /// The trial's specification
        spec: PathBuf,
    },
    /// Follows system calls, inside a trial's sandbox (internal)
    #[command(name = "__trace", hide = true)]
    Trace,
    /// What a command listens on, inside a sandbox (internal)
    #[command(name = "__discover", hide = true)]
    Discover {
        /// What is to be started
        spec: PathBuf,
    },
    /// The crash-injecting worker (internal)
    #[command(name = "__worker", hide = true)]
    Worker(WorkerArgs),
    /// A reference supervisor (internal)
    #[command(name = "__supervise", hide = true)]
    Supervise(SuperviseArgs),
    /// A server with planted faults, for calibration (internal)
    #[command(name = "__plant", hide = true)]
    Plant(crate::calibrate::plant::PlantArgs),
}

/// Options of all verbs that run scenarios.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Scenarios: catalogue names, folders of them, globs, `all`, or paths of TOML files [default: crash]
    #[arg(value_name = "SCENARIO", add = ArgValueCompleter::new(complete::scenarios_or_runs))]
    pub scenarios: Vec<OsString>,
    /// Supervisors: catalogue names, globs, `all`, or paths of supervisor.toml files
    /// [default: the reference supervisors]
    #[arg(
        short,
        long = "supervisor",
        value_name = "SUPERVISOR",
        num_args = 1,
        add = ArgValueCompleter::new(complete::supervisors)
    )]
    pub supervisors: Vec<OsString>,
    /// Supervisors that must run, by name, or `all`: what is missing or broken of them fails the run
    #[arg(
        long,
        value_name = "all|NAME",
        num_args = 1,
        value_delimiter = ',',
        add = ArgValueCompleter::new(complete::supervisors)
    )]
    pub require: Vec<String>,
    /// How often each trial is repeated [default: 1; to compare 10; to gate 5, for a baseline 15]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub repetitions: Option<u32>,
    /// Which worker to run under supervisors that can run any command
    #[arg(long, value_name = "KIND", value_parser = worker_kinds())]
    pub worker: Option<WorkerKind>,
    /// Run only a part of the trials, M from 1 [default: JOB_COMPLETION_INDEX of JOB_COMPLETIONS, if both are set]
    #[arg(long, value_name = "slice:M/N|hash:M/N")]
    pub partition: Option<Partition>,
    /// Print which trials would run, and about how long they take, and start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How each trial is made, and where its result goes.
    #[command(flatten)]
    pub trial: TrialArgs,
}

/// The kinds of workers, by their words in supervisors' descriptions.
const WORKERS: [(WorkerKind, &str, &str); 3] = [
    (WorkerKind::Rust, "rust", "The worker that is part of holdline"),
    (WorkerKind::Python, "python", "The same worker in Python"),
    (WorkerKind::Asyncio, "asyncio", "The same as an asyncio server, which survives an error in one request"),
];

fn worker_kinds() -> impl TypedValueParser<Value = WorkerKind> {
    PossibleValuesParser::new(WORKERS.map(|(_, word, help)| PossibleValue::new(word).help(help)))
        .map(|given| WORKERS.iter().find(|(_, word, _)| *word == given).map(|(kind, _, _)| *kind))
        .try_map(|kind| kind.ok_or("no such worker"))
}

/// Options of `compare`: those of `run`, and what is compared with what.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples::COMPARE)]
pub struct CompareArgs {
    /// What is run; recorded runs are named in place of scenarios.
    #[command(flatten)]
    pub run: RunArgs,
    /// The supervisor with which the others are compared [default: the first]
    #[arg(long, value_name = "SUPERVISOR", add = ArgValueCompleter::new(complete::supervisors))]
    pub reference: Option<String>,
    /// A supervisor, or a recorded run, under a name of its own
    #[arg(
        long = "as",
        value_name = "NAME=SUPERVISOR|DIR",
        num_args = 1,
        add = ArgValueCompleter::new(complete::named_supervisors)
    )]
    pub named: Vec<OsString>,
    /// Repeat until losing nothing would prove, at 95 %, that at most this share is lost, as 1e-4
    #[arg(long, value_name = "RATE", conflicts_with = "repetitions")]
    pub prove: Option<f64>,
    /// Compare these alone, as outage.max [default: all that were measured]
    #[arg(
        long,
        value_name = "METRIC",
        num_args = 1,
        value_delimiter = ',',
        add = ArgValueCandidates::new(complete::quantities)
    )]
    pub metric: Vec<String>,
    /// How many trials run side by side.
    #[command(flatten)]
    pub jobs: JobsArgs,
}

/// Options of `gate`: those of `run`, and the baseline.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples::GATE)]
pub struct GateArgs {
    /// What is run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Measure, and write what later runs are held against
    #[arg(long, value_name = "FILE", conflicts_with = "baseline", required_unless_present = "baseline")]
    pub save_baseline: Option<PathBuf>,
    /// Hold a run against this; without scenarios or supervisors, what it was made of is run
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Write the baseline anew with what was measured, and show what changes
    #[arg(long, requires = "baseline")]
    pub update_baseline: bool,
    /// Also where something has become worse
    #[arg(long, requires = "update_baseline")]
    pub allow_regression: bool,
    /// How much longer a time may be, against the reference, than in the baseline [default: 25%]
    #[arg(long, value_name = "SHARE", requires = "baseline")]
    pub tolerance: Option<Tolerance>,
    /// The supervisor against which times are measured [default: held-socket, or inherited-fd]
    #[arg(long, value_name = "SUPERVISOR", add = ArgValueCompleter::new(complete::supervisors))]
    pub reference: Option<String>,
}

#[cfg(test)]
mod tests {
    use holdline_model::words::word_of;

    use super::*;

    #[test]
    fn workers_are_named_as_in_descriptions() {
        for (kind, word, _) in WORKERS {
            assert_eq!(word_of(&kind), word);
        }
    }
}

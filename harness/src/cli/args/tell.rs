//! What can be typed behind the verbs that start nothing: they tell what there is, or what was recorded.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::Shell;
use clap_complete::engine::ArgValueCompleter;

use super::super::complete;
use super::{ColorWhen, ExportArgs, examples};
use crate::sandbox::IsolationChoice;

/// Options of `merge`.
#[derive(Debug, Args)]
#[command(after_help = examples::MERGE)]
pub struct MergeArgs {
    /// Run directories
    #[arg(value_name = "DIR", required = true, value_hint = ValueHint::DirPath)]
    pub dirs: Vec<PathBuf>,
    /// The run directory that is made of them, empty or new
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Files to write the result to.
    #[command(flatten)]
    pub exports: ExportArgs,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
}

/// Options of `report`.
#[derive(Debug, Args)]
#[command(after_help = examples::REPORT)]
pub struct ReportArgs {
    /// The run directory
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Show every trial in detail: what happened when, latencies, kernel counters, books
    #[arg(long)]
    pub trials: bool,
    /// Files to write the result to.
    #[command(flatten)]
    pub exports: ExportArgs,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
}

/// Options of `list`.
#[derive(Debug, Args)]
#[command(after_help = examples::LIST)]
pub struct ListArgs {
    /// What to list [default: both]
    pub what: Option<ListWhat>,
    /// Print JSON (holdline.list/1), of which `holdline schema list` is the schema
    #[arg(long)]
    pub json: bool,
    /// Print names alone, one in each line
    #[arg(long, conflicts_with = "json")]
    pub names: bool,
}

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListWhat {
    /// Scenarios and the questions they ask
    Scenarios,
    /// Supervisors and what they are
    Supervisors,
}

/// Options of `show`.
#[derive(Debug, Args)]
#[command(after_help = examples::SHOW)]
pub struct ShowArgs {
    /// A scenario or a supervisor, by name or path
    #[arg(add = ArgValueCompleter::new(complete::either))]
    pub name: OsString,
    /// Print its file instead
    #[arg(long)]
    pub file: bool,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = examples::DOCTOR)]
pub struct DoctorArgs {
    /// Prove that holdline measures right: run it against servers that fail in planted ways, a
    /// known number of times, and compare
    #[arg(long)]
    pub calibrate: bool,
    /// Namespaces of the calibration's trials
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub isolation: IsolationChoice,
}

/// Options of `schema`.
#[derive(Debug, Args)]
#[command(after_help = examples::SCHEMA)]
pub struct SchemaArgs {
    /// Which format
    pub what: SchemaWhat,
}

/// Which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaWhat {
    /// Scenario files
    Scenario,
    /// Supervisor descriptions
    Supervisor,
    /// A run's result, run.json
    Run,
    /// A comparison, compare.json
    Compare,
    /// The result of fuzzing, fuzz.json
    Fuzz,
    /// What a sweep exports
    Sweep,
    /// What a gate comes to, gate.json
    Gate,
    /// A gate's baseline
    Baseline,
    /// A line of a trial's events.jsonl
    Events,
    /// What `holdline list --json` prints
    List,
    /// What a run was to run, plan.json
    Plan,
}

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = examples::COMPLETIONS)]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
#[command(after_help = examples::MAN)]
pub struct ManArgs {
    /// The verb whose page is printed [default: the page of holdline itself]
    #[arg(value_name = "VERB")]
    pub verb: Option<String>,
    /// Write the pages of holdline and of every verb into this folder
    #[arg(long, value_name = "DIR", conflicts_with = "verb", value_hint = ValueHint::DirPath)]
    pub all: Option<PathBuf>,
}

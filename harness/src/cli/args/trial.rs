//! How each trial is made, and where its result goes: what all verbs that start something have in common.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use crate::export::Format;
use crate::sandbox::IsolationChoice;

/// Options of all verbs that make trials.
#[derive(Debug, Clone, Args)]
pub struct TrialArgs {
    /// Seed of everything that is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Namespaces of each trial: full, none, or full where the kernel allows it
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub isolation: IsolationChoice,
    /// Run directory; by default `holdline-out/<time>`, with `latest` beside it
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Files to write the result to.
    #[command(flatten)]
    pub exports: ExportArgs,
    /// How progress is shown on standard error
    #[arg(long, value_name = "HOW", default_value = "auto")]
    pub show_progress: ShowProgress,
    /// When to use colour
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
}

/// Files into which a result is written, of `run` and `report` alike.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Write the result as JSON (holdline.run/1); `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub export_json: Option<PathBuf>,
    /// Write the report as Markdown
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub export_markdown: Option<PathBuf>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub export_html: Option<PathBuf>,
    /// Write verdicts as JUnit XML
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub junit: Option<PathBuf>,
    /// Write times as hyperfine's JSON, a value for each trial
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub export_hyperfine: Option<PathBuf>,
    /// Write losses and times as JSON for github-action-benchmark (customSmallerIsBetter)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub export_benchmark: Option<PathBuf>,
}

impl ExportArgs {
    /// Which format goes where.
    pub(in super::super) fn wanted(&self) -> Vec<(Format, PathBuf)> {
        let path = |format| match format {
            Format::Json => &self.export_json,
            Format::Markdown => &self.export_markdown,
            Format::Html => &self.export_html,
            Format::Junit => &self.junit,
            Format::Hyperfine => &self.export_hyperfine,
            Format::Benchmark => &self.export_benchmark,
        };
        Format::all().filter_map(|format| Some((format, path(format).clone()?))).collect()
    }
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShowProgress {
    /// A bar on a terminal, else a line for each trial
    Auto,
    /// A bar
    Bar,
    /// A line for each trial
    Counter,
    /// Nothing
    None,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set; CLICOLOR_FORCE forces it
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

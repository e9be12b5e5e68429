//! Progress on standard error: a bar on a terminal, else a line for each trial.

use std::io::IsTerminal;
use std::time::Duration;

use holdline_model::result::TrialResult;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::ShowProgress;
use crate::trial::outer::LoadProgress;

/// Shows how far a run is.
pub(super) enum Progress {
    /// A bar.
    Bar(ProgressBar),
    /// A line for each trial.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    pub(super) fn new(how: ShowProgress, trials: u64) -> Self {
        match how {
            ShowProgress::None => Self::Silent,
            ShowProgress::Counter => Self::Lines,
            ShowProgress::Auto if !std::io::stderr().is_terminal() => Self::Lines,
            ShowProgress::Auto | ShowProgress::Bar => {
                let bar = ProgressBar::with_draw_target(Some(trials), ProgressDrawTarget::stderr());
                let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
                bar.set_style(style);
                bar.enable_steady_tick(Duration::from_millis(200));
                Self::Bar(bar)
            }
        }
    }

    /// A trial begins.
    pub(super) fn begin(&self, title: &str) {
        if let Self::Bar(bar) = self {
            bar.set_message(title.to_owned());
        }
    }

    /// Its load goes on.
    pub(super) fn load(&self, title: &str, load: LoadProgress) {
        if let Self::Bar(bar) = self {
            let planned = load.planned.map_or(String::new(), |planned| format!("/{planned}"));
            bar.set_message(format!(
                "{title}: {}{planned} attempts, {} not served",
                load.finished, load.lost
            ));
        }
    }

    /// It ended.
    pub(super) fn end(&self, index: usize, count: usize, title: &str, result: &TrialResult) {
        match self {
            Self::Bar(bar) => bar.inc(1),
            Self::Lines => {
                let elapsed = Duration::from_nanos(result.elapsed_ns).as_secs_f64();
                eprintln!(
                    "{index:>width$}/{count} {title}: {} ({elapsed:.2} s)",
                    result.grade,
                    width = count.to_string().len()
                );
            }
            Self::Silent => {}
        }
    }

    /// Something that the user should know at once.
    pub(super) fn say(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| eprintln!("{text}")),
            Self::Lines | Self::Silent => eprintln!("{text}"),
        }
    }

    /// The run is over.
    pub(super) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

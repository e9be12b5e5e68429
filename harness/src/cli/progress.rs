//! Progress on standard error: a bar on a terminal, else a line for each trial.

use std::io::IsTerminal;
use std::time::Duration;

use holdline_model::plan::TrialPlan;
use holdline_model::result::TrialResult;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::ShowProgress;
use super::terminal::say;
use crate::run::{Event, Sink, SinkError};
use crate::trial::outer::LoadProgress;

/// Shows how far a run is.
pub(super) struct Progress {
    how: How,
    ended: usize,
    /// What is said once it begins.
    announcement: Option<String>,
}

/// How it is shown.
enum How {
    /// A bar.
    Bar(ProgressBar),
    /// A line for each trial.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    pub(super) fn new(how: ShowProgress) -> Self {
        let how = match how {
            ShowProgress::None => How::Silent,
            ShowProgress::Counter => How::Lines,
            ShowProgress::Auto if !std::io::stderr().is_terminal() => How::Lines,
            ShowProgress::Auto | ShowProgress::Bar if !can_start_thread() => How::Lines,
            ShowProgress::Auto | ShowProgress::Bar => How::Bar(bar()),
        };
        Self { how, ended: 0, announcement: None }
    }

    /// Says this once the run begins, unless nothing is to be shown.
    pub(super) fn announcing(self, what: String) -> Self {
        Self { announcement: Some(what), ..self }
    }

    fn trial_began(&self, title: String) {
        if let How::Bar(bar) = &self.how {
            bar.set_message(title);
        }
    }

    fn load(&self, title: &str, load: LoadProgress) {
        if let How::Bar(bar) = &self.how {
            let planned = load.planned.map_or(String::new(), |planned| format!("/{planned}"));
            bar.set_message(format!(
                "{title}: {}{planned} attempts, {} not served",
                load.finished, load.lost
            ));
        }
    }

    fn trial_ended(&mut self, count: u32, result: &TrialResult) {
        self.ended += 1;
        match &self.how {
            How::Bar(bar) => bar.inc(1),
            How::Lines => {
                let elapsed = Duration::from_nanos(result.elapsed_ns).as_secs_f64();
                say(&format!(
                    "{:>width$}/{count} {} × {}: {} ({elapsed:.2} s)",
                    self.ended,
                    result.supervisor,
                    result.scenario,
                    result.grade.marked(result.mark),
                    width = count.to_string().len()
                ));
            }
            How::Silent => {}
        }
    }

    /// Something that the user should know at once.
    fn say(&self, text: &str) {
        match &self.how {
            How::Bar(bar) => bar.suspend(|| say(text)),
            How::Lines | How::Silent => say(text),
        }
    }
}

impl Sink for Progress {
    fn take(&mut self, event: &Event<'_>) -> Result<(), SinkError> {
        let title = |plan: &TrialPlan| format!("{} × {}", plan.supervisor, plan.scenario);
        match event {
            Event::RunBegan { so_far, notice } => {
                match (&self.how, self.announcement.take()) {
                    (How::Bar(_) | How::Lines, Some(what)) => self.say(&what),
                    (How::Silent, _) | (_, None) => {}
                }
                self.ended = so_far.trials.len();
                if let How::Bar(bar) = &self.how {
                    bar.set_length(so_far.manifest.planned.into());
                    bar.set_position(self.ended as u64);
                }
                if let Some(notice) = notice {
                    self.say(&format!("note: {notice}"));
                }
            }
            Event::TrialBegan { plan } => self.trial_began(title(plan)),
            Event::Load { plan, load } => self.load(&title(plan), *load),
            Event::TrialEnded { trial, so_far } => self.trial_ended(so_far.manifest.planned, trial),
            Event::Interrupted => {
                self.say("interrupted: ending this trial and writing the report; once more to stop at once");
            }
            Event::RunEnded { .. } => {
                if let How::Bar(bar) = &self.how {
                    bar.finish_and_clear();
                }
            }
        }
        Ok(())
    }
}

/// A line that changes, where it is not known how much is to come.
pub(super) fn spinner() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar has a thread, and panics where the limit of processes (RLIMIT_NPROC) forbids it.
pub(super) fn can_start_thread() -> bool {
    std::thread::Builder::new().spawn(|| {}).is_ok_and(|thread| thread.join().is_ok())
}

//! Progress on standard error: a line for each trial that has ended, and below them a bar on a terminal.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use holdline_model::plan::{TrialPlan, left_ns};
use holdline_model::result::TrialResult;
use holdline_reports::text::roughly;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::args::ShowProgress;
use super::terminal::say;
use crate::run::{Event, Plan, Sink, SinkError};
use crate::trial::outer::LoadProgress;

/// Shows how far a run is.
pub(super) struct Progress {
    how: How,
    ended: usize,
    left: Option<Left>,
}

/// How much of a run is left.
struct Left {
    /// About how long a trial takes, by supervisor and scenario, in nanoseconds.
    each_ns: BTreeMap<(String, String), u64>,
    all_ns: u64,
    done_ns: u64,
    began: Instant,
}

impl Left {
    fn of(plan: &Plan) -> Self {
        let of = |trial: &TrialPlan| {
            ((trial.supervisor.clone(), trial.scenario.clone()), plan.estimated_ns(trial))
        };
        Self {
            each_ns: plan.due().map(|(_, trial)| of(trial)).collect(),
            all_ns: plan.due().map(|(_, trial)| plan.estimated_ns(trial)).sum(),
            done_ns: 0,
            began: Instant::now(),
        }
    }

    fn done(&mut self, trial: &TrialResult) {
        let name = (trial.supervisor.clone(), trial.scenario.clone());
        self.done_ns += self.each_ns.get(&name).copied().unwrap_or(0);
    }

    fn in_words(&self) -> String {
        let elapsed_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        format!("about {} left, ", roughly(left_ns(self.all_ns, self.done_ns, elapsed_ns)))
    }
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
        Self { how, ended: 0, left: None }
    }

    /// The same, which knows how much is to come.
    pub(super) fn of(plan: &Plan, how: ShowProgress) -> Self {
        Self { left: Some(Left::of(plan)), ..Self::new(how) }
    }

    /// What the bar says beside how many trials have ended.
    fn show(&self, text: String) {
        if let How::Bar(bar) = &self.how {
            bar.set_prefix(self.left.as_ref().map(Left::in_words).unwrap_or_default());
            bar.set_message(text);
        }
    }

    fn load(&self, title: &str, load: LoadProgress) {
        if matches!(self.how, How::Bar(_)) {
            let planned = load.planned.map_or(String::new(), |planned| format!("/{planned}"));
            self.show(format!("{title}: {}{planned} attempts, {} not served", load.finished, load.lost));
        }
    }

    fn trial_ended(&mut self, count: u32, result: &TrialResult) {
        self.ended += 1;
        if let Some(left) = &mut self.left {
            left.done(result);
        }
        match &self.how {
            How::Bar(bar) => bar.inc(1),
            How::Lines => {}
            How::Silent => return,
        }
        let elapsed = Duration::from_nanos(result.elapsed_ns).as_secs_f64();
        self.say(&format!(
            "{:>width$}/{count} {} × {}: {} ({elapsed:.2} s)",
            self.ended,
            result.supervisor,
            result.scenario,
            result.grade.marked(result.mark),
            width = count.to_string().len()
        ));
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
                self.ended = so_far.trials.len();
                if let How::Bar(bar) = &self.how {
                    bar.set_length(so_far.manifest.planned.into());
                    bar.set_position(self.ended as u64);
                }
                if let Some(notice) = notice {
                    self.say(&format!("note: {notice}"));
                }
            }
            Event::TrialBegan { plan } => self.show(title(plan)),
            Event::Load { plan, load } => self.load(&title(plan), *load),
            Event::TrialEnded { trial, so_far } => self.trial_ended(so_far.manifest.planned, trial),
            Event::TrialPostponed { .. } => {}
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
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {prefix}{wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A bar has a thread, and panics where the limit of processes (RLIMIT_NPROC) forbids it.
pub(super) fn can_start_thread() -> bool {
    std::thread::Builder::new().spawn(|| {}).is_ok_and(|thread| thread.join().is_ok())
}

//! The table of a probe: what each step lost, how long others waited, whose fault, and what would have helped.

use std::fmt::Write as _;

use holdline_model::duration::show_ns;
use holdline_model::reason::Reason;
use holdline_model::result::{LossKind, RunResult, TrialResult};
use holdline_model::visible::visible;
use holdline_model::words::{Blame, Fate, Grade};
use holdline_reports::Style;
use holdline_reports::text::wrap;

use super::trial_of;
use crate::cli::prove::Proof;
use crate::probe::{STOPPED, Step};

/// Before the name of a step's trial with remedies.
const REMEDIED: &str = "  remedied";

const LEGEND: &str =
    "\nin flight: in the hands of a process that was killed; collateral: lost in any other way; longest: the
longest that a reply took; queue: the most that waited to be accepted, of as many as may\n";

/// The table, what was lost in each step, and the remedies. `is_attached`: of a service that ran already.
pub(super) fn table(
    steps: &[Step],
    result: &RunResult,
    proofs: &[Proof],
    is_attached: bool,
    style: Style,
) -> String {
    let width = style.width;
    let mut text = rows(steps, result, proofs, style);
    text.push('\n');
    for step in steps {
        let Some(trial) = trial_of(step, &result.trials) else { continue };
        let _ = writeln!(text, "{}: {}", step.name, visible(&step.what));
        for line in lines(step, trial, is_attached) {
            let _ = writeln!(text, "{}", wrap(&format!("  {}", visible(&line)), width, "    "));
        }
    }
    text.push_str(&remedies(steps, result, width));
    text.push_str(&proven(steps, proofs, width));
    text.push_str(LEGEND);
    text
}

fn rows(steps: &[Step], result: &RunResult, proofs: &[Proof], style: Style) -> String {
    let names = steps.iter().map(|step| step.name.len());
    let least = if proofs.is_empty() { 4 } else { REMEDIED.len() };
    let width = names.max().unwrap_or(0).max(least);
    let mut text = format!(
        "\n{:width$}  {:>8}  {:>6}  {:>9}  {:>10}  {:>9}  {:>11}  {:>9}  grade\n",
        "step", "attempts", "served", "in flight", "collateral", "longest", "queue", "outage"
    );
    for step in steps {
        let Some(trial) = trial_of(step, &result.trials) else { continue };
        let is_stopped = step.name == STOPPED;
        let _ = writeln!(text, "{:width$}  {}", step.name, row(trial, is_stopped, style));
        if let Some(remedied) = proof_of(step, proofs).and_then(|proof| proof.trial.as_ref()) {
            // With the listener held by somebody else it is started again, and nobody is to be refused.
            let _ = writeln!(text, "{REMEDIED:width$}  {}", row(remedied, false, style));
        }
    }
    text
}

fn row(trial: &TrialResult, is_stopped: bool, style: Style) -> String {
    let blame = |blame| trial.blame.get(&blame).copied().unwrap_or(0);
    // Once it has been stopped nobody is to listen.
    let (wanted, grade) = match is_stopped {
        true => (trial.collateral.get(&Fate::Refused).copied().unwrap_or(0), "–".to_owned()),
        false => (0, style.grade(trial.grade, trial.grade.as_str())),
    };
    let queue = match trial.kernel.listeners.is_empty() {
        true => "–".to_owned(),
        false => format!("{}/{}", trial.kernel.queue_max, trial.kernel.queue_limit),
    };
    let longest = match trial.latency.response.count {
        0 => "–".to_owned(),
        _ => show_ns(trial.latency.response.max_ns),
    };
    let outage = match trial.outages.is_empty() {
        true => "none".to_owned(),
        false => show_ns(trial.longest_outage_ns()),
    };
    format!(
        "{:>8}  {:>6}  {:>9}  {:>10}  {longest:>9}  {queue:>11}  {outage:>9}  {grade}",
        trial.attempts,
        trial.fates.get(&Fate::Served).copied().unwrap_or(0),
        blame(Blame::InFlight),
        blame(Blame::Collateral).saturating_sub(wanted),
    )
}

/// What became of the attempts of a step.
fn lines(step: &Step, trial: &TrialResult, is_attached: bool) -> Vec<String> {
    let is_stopped = step.name == STOPPED;
    let is_wanted = |kind: LossKind| is_stopped && kind == LossKind::Refused;
    let kinds = trial.causes.iter().map(|loss| loss.kind);
    let lost = trial.losses.iter().zip(kinds).filter(|(_, kind)| !is_wanted(*kind));
    let mut lines: Vec<String> = lost.map(|(line, _)| line.clone()).collect();
    let refused = trial.collateral.get(&Fate::Refused).copied().unwrap_or(0);
    if is_stopped && refused > 0 {
        lines.push(format!("{refused} refused once it had stopped, as it should be"));
    }
    if let Some(sessions) = trial.sessions.as_ref().filter(|_| is_stopped) {
        lines.push(format!(
            "sessions: {} of {} closed while idle, {} cut with a request under way",
            sessions.closed_idle, sessions.planned, sessions.cut
        ));
    }
    if matches!(trial.why, Some(Reason::NotRun { .. })) && is_attached {
        lines.push("not tried: nobody listened any more when it was to begin".to_owned());
    } else {
        lines.extend(trial.reason.clone().filter(|_| !is_stopped && trial.grade != Grade::Held));
    }
    lines
}

/// What would have helped in each step that lost something.
fn remedies(steps: &[Step], result: &RunResult, width: Option<u16>) -> String {
    let mut text = String::new();
    for step in steps {
        let Some(trial) = trial_of(step, &result.trials) else { continue };
        for line in trial.remedies_in_words() {
            let _ = writeln!(text, "{}", wrap(&format!("  {}: {line}", step.name), width, "    "));
        }
    }
    if text.is_empty() { text } else { format!("\nremedies\n{text}") }
}

/// What came of trying them.
fn proven(steps: &[Step], proofs: &[Proof], width: Option<u16>) -> String {
    let mut text = String::new();
    for step in steps {
        let Some(proof) = proof_of(step, proofs) else { continue };
        for line in proof.lines() {
            let _ =
                writeln!(text, "{}", wrap(&format!("  {}: {}", step.name, visible(&line)), width, "    "));
        }
    }
    if text.is_empty() { text } else { format!("\nproof of remedies\n{text}") }
}

fn proof_of<'a>(step: &Step, proofs: &'a [Proof]) -> Option<&'a Proof> {
    proofs.iter().find(|proof| proof.scenario == step.name)
}

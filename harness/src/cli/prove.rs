//! Trials that lost something, once more with those remedies that holdline can apply by itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use holdline_model::remedies::Refused;
use holdline_model::result::{Change, TrialResult};
use holdline_model::words::{Blame, Grade};
use holdline_reports::text::{counted, wrap};

use super::args::ShowProgress;
use super::progress::Progress;
use super::terminal::say;
use crate::exit::Failure;
use crate::run::{Ended, Plan, Runner};
use crate::rundir::RunDir;

/// What became of the remedies of a trial.
pub(super) struct Proof {
    /// The scenario.
    pub(super) scenario: String,
    /// The supervisor.
    pub(super) supervisor: String,
    /// The trial with those that could be applied; `None`: none could, or it was interrupted first.
    pub(super) trial: Option<TrialResult>,
    /// Those that could not.
    refused: Vec<Refused>,
}

/// Runs each trial that has remedies once more, of several repetitions the one that lost the most. What comes of it
/// is a trial more of the result, which is recorded. `is_one`: whether all supervisors are the same service.
pub(super) fn prove(
    plan: &Plan,
    dir: &RunDir,
    ended: &mut Ended,
    shown: ShowProgress,
    is_one: bool,
) -> Result<Vec<Proof>, Failure> {
    let mut worst: BTreeMap<(&str, &str), &TrialResult> = BTreeMap::new();
    for trial in ended.result.trials.iter().filter(|trial| !trial.remedies.is_empty()) {
        let place = worst.entry((trial.scenario.as_str(), trial.supervisor.as_str())).or_insert(trial);
        if trial.lost() > place.lost() {
            *place = trial;
        }
    }
    let in_order =
        ended.result.trials.iter().filter(|trial| worst.values().any(|it| std::ptr::eq(*it, *trial)));
    let wanted: Vec<TrialResult> = in_order.cloned().collect();
    if !wanted.is_empty() && !ended.interrupted {
        say(&format!(
            "{} once more, as far as remedies can be applied",
            counted(wanted.len() as u64, "trial")
        ));
    }
    let mut proofs: Vec<Proof> = Vec::new();
    for trial in wanted {
        if ended.interrupted {
            break;
        }
        let is_known = |proof: &&Proof| is_one || proof.supervisor == trial.supervisor;
        let takes_listener = !proofs.iter().filter(is_known).any(Proof::took_no_listener);
        let again = plan.again(&trial, takes_listener)?;
        let mut proof = Proof {
            scenario: trial.scenario.clone(),
            supervisor: trial.supervisor.clone(),
            trial: None,
            refused: again.refused,
        };
        if let Some(again) = again.plan {
            let mut progress = Progress::of(&again, shown);
            let once_more = Runner::new(&again, dir.path())?.run(&mut [&mut progress])?;
            ended.interrupted |= once_more.interrupted;
            ended.result.manifest.planned += 1;
            proof.trial = once_more.result.trials.first().cloned();
            ended.result.trials.extend(once_more.result.trials);
            dir.save(&ended.result)?;
        }
        proofs.push(proof);
    }
    Ok(proofs)
}

/// What was proven and what not, a line each, behind a heading; nothing where there was nothing to prove.
pub(super) fn in_words(proofs: &[Proof], width: Option<u16>) -> String {
    let mut text = String::new();
    if !proofs.is_empty() {
        text.push_str("\nproof of remedies\n");
    }
    for proof in proofs {
        for line in proof.lines() {
            let _ = writeln!(text, "{}", wrap(&format!("  {}: {line}", proof.name()), width, "    "));
        }
    }
    text
}

impl Proof {
    fn name(&self) -> String {
        format!("{} in {}", self.supervisor, self.scenario)
    }

    /// Whether the service did not get ready beneath a supervisor that holds its listener.
    fn took_no_listener(&self) -> bool {
        self.trial.as_ref().is_some_and(took_no_listener)
    }

    /// What came of it.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match &self.trial {
            Some(trial) => lines.push(outcome(trial)),
            None => lines.push("holdline can apply none of the remedies by itself".to_owned()),
        }
        let refused = self.refused.iter();
        lines.extend(
            refused.map(|refused| {
                format!("not applied: {}, since {}", refused.change.label(), refused.obstacle)
            }),
        );
        lines
    }
}

/// What was applied, in few words.
pub(super) fn applied(trial: &TrialResult) -> String {
    trial.applied.iter().map(Change::label).collect::<Vec<_>>().join(", ")
}

fn took_no_listener(trial: &TrialResult) -> bool {
    let is_held = trial.applied.iter().any(|change| matches!(change, Change::HoldListener { .. }));
    is_held && trial.was_not_run()
}

fn outcome(trial: &TrialResult) -> String {
    let with = applied(trial);
    let collateral = trial.blame.get(&Blame::Collateral).copied().unwrap_or(0);
    let reason = trial.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    match (trial.grade, collateral) {
        (Grade::Unsupported | Grade::Inconclusive, _) if took_no_listener(trial) => format!(
            "with {with} it did not get ready, so that nothing is proven: the service has to take its listener by \
             LISTEN_FDS, as systemd's socket activation hands it over, and bind none of its own"
        ),
        (Grade::Unsupported | Grade::Inconclusive, _) if trial.was_not_run() => {
            format!("with {with} it could not be run, so that nothing is proven{reason}")
        }
        (Grade::Unsupported | Grade::Inconclusive, _) => {
            format!("with {with} it is {}, so that nothing is proven{reason}", trial.grade)
        }
        (Grade::Held | Grade::Delayed | Grade::Lossy | Grade::Down, 0) => {
            format!("proven: with {with} it is {}, and nothing was lost that need not have been", trial.grade)
        }
        (Grade::Held | Grade::Delayed | Grade::Lossy | Grade::Down, lost) => {
            format!(
                "not proven: with {with} it is {}, and {lost} were lost all the same{reason}",
                trial.grade
            )
        }
    }
}

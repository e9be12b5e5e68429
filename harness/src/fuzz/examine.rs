//! Looks into a case that has failed once: confirms it, makes it plainer, measures how often it fails, keeps it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holdline_model::fuzz::{
    Abilities, Breach, Case, Course, Decision, FailureRate, Invariant, Judgement, Purpose, Rule, Shrinking,
    Tally, Terms, Verdict, judge, judge_all,
};
use holdline_model::result::TrialResult;
use holdline_model::scenario::{Action, Scenario};

use super::lab::{Done, Job, Lab};
use super::{FuzzError, FuzzRequest};
use crate::catalogue::ScenarioEntry;
use crate::rundir::write_atomically;

/// So many trials of a failure at least are confirmed before it is made plainer, so that its rate is known.
const CONFIRMED_MIN: u32 = 6;
/// The rate of the plainest case comes from so many trials.
const MEASURED: u32 = 20;
/// The repetitions of confirmation begin here: those of the measurement are those that `holdline run -r` makes.
const CONFIRMING_FROM: u32 = 1_000;

/// With what a case is examined.
pub(super) struct Examiner<'a> {
    pub(super) request: &'a FuzzRequest,
    pub(super) lab: &'a Lab<'a>,
    pub(super) abilities: &'a Abilities,
    pub(super) terms: Terms,
    /// For how long a case is made plainer at most.
    pub(super) patience: Duration,
}

/// What came of a case that had failed once.
pub(super) enum Reduced {
    /// It failed again, and this is as plain as it was made.
    Fails(Plain),
    /// It did not fail again.
    NotAgain,
    /// There was no time to see whether it does.
    NoTime,
}

/// A case that fails, as plain as it was made.
pub(super) struct Plain {
    pub(super) case: Case,
    pub(super) steps: u32,
    /// Whether nothing plainer was left to be tried.
    pub(super) is_minimal: bool,
    /// Its file, as it is kept until it is measured.
    path: PathBuf,
    rate: FailureRate,
    /// What went wrong in one of its trials.
    breaches: Vec<Breach>,
}

impl Plain {
    /// The case that another was made of.
    pub(super) fn of(case: Case, plainer: &Self) -> Self {
        let Self { steps, path, rate, breaches, .. } = plainer;
        let (path, breaches) = (path.clone(), breaches.clone());
        Self { case, steps: *steps, is_minimal: false, path, rate: *rate, breaches }
    }
}

/// What came of the trials of a case.
struct Tried {
    /// `None`: there was no time to decide.
    decision: Option<Decision>,
    tally: Tally,
    /// What went wrong in the last that failed.
    breaches: Vec<Breach>,
}

/// How often a case fails, and what went wrong.
pub(super) struct Measured {
    pub(super) path: PathBuf,
    /// For each invariant that did not hold twice or more: how often, in what, and in which order of moments.
    pub(super) failures: Vec<Violated>,
    /// Trials that failed.
    pub(super) evidence: Vec<TrialResult>,
}

/// An invariant that did not hold.
pub(super) struct Violated {
    pub(super) invariant: Invariant,
    pub(super) rate: FailureRate,
    pub(super) breaches: Vec<Breach>,
    pub(super) order: Course,
}

impl Examiner<'_> {
    /// Confirms a failure and makes it plainer.
    pub(super) fn reduce(&self, case: &Case, invariant: Invariant) -> Result<Reduced, FuzzError> {
        let began = Instant::now();
        let Tried { decision, tally, breaches } =
            self.try_out(case, invariant, Rule::CONFIRM, CONFIRMED_MIN)?;
        match decision {
            Some(Decision::Fails) => {}
            Some(Decision::Passes | Decision::Unclear) => return Ok(Reduced::NotAgain),
            None => return Ok(Reduced::NoTime),
        }
        // What is left of the budget is for measuring, which is worth more than one step.
        let measuring = began.elapsed() / tally.trials().max(1) * MEASURED;
        let until = self.lab.until().and_then(|until| until.checked_sub(measuring));
        let until = until.map_or(began + self.patience, |until| until.min(began + self.patience));
        let rate = FailureRate::of(tally.failed().into(), tally.trials().into());
        let mut plain = Plain {
            path: self.keep(case, invariant, &breaches, rate, None)?,
            case: case.clone(),
            steps: 0,
            is_minimal: false,
            rate,
            breaches,
        };
        let rule = Rule::CONFIRM.at_rate(tally.failed(), tally.trials());
        let mut shrinking = Shrinking::new(case, self.abilities, self.terms);
        while let Some(pending) = shrinking.pending().cloned() {
            if self.lab.is_interrupted() || Instant::now() >= until {
                return Ok(Reduced::Fails(plain));
            }
            let Tried { decision, tally, breaches } = self.try_out(&pending, invariant, rule, 0)?;
            let fails = match decision {
                None => return Ok(Reduced::Fails(plain)),
                Some(decision) => decision == Decision::Fails,
            };
            shrinking.note(fails);
            plain.steps = shrinking.steps();
            if fails {
                plain.rate = FailureRate::of(tally.failed().into(), tally.trials().into());
                plain.path = self.keep(&pending, invariant, &breaches, plain.rate, Some(&plain.path))?;
                (plain.case, plain.breaches) = (pending, breaches);
            }
        }
        plain.is_minimal = true;
        Ok(Reduced::Fails(plain))
    }

    /// Runs trials of a case until it is decided whether it fails, and so many at least where it does.
    fn try_out(
        &self,
        case: &Case,
        invariant: Invariant,
        rule: Rule,
        at_least: u32,
    ) -> Result<Tried, FuzzError> {
        let entry = self.entry(case)?;
        let mut breaches = Vec::new();
        let lanes = u32::try_from(self.lab.lanes()).unwrap_or(u32::MAX);
        let mut tally = Tally::new(rule);
        let mut repetition = CONFIRMING_FROM;
        while !self.lab.is_over() {
            let more = match tally.decision() {
                Some(Decision::Fails) => at_least.saturating_sub(tally.trials()).min(lanes),
                Some(Decision::Passes | Decision::Unclear) => break,
                None => tally.wants(lanes).max(1),
            };
            if more == 0 {
                break;
            }
            let jobs: Vec<Job> = (0..more).map(|n| Job::new(entry.clone(), repetition + n)).collect();
            repetition += more;
            for done in self.lab.run(&jobs)? {
                tally.note(match self.judged(invariant, &entry.scenario, &done.trial) {
                    None => Verdict::Unclear,
                    Some(Judgement::Holds | Judgement::NotKnown(_)) => Verdict::Passes,
                    Some(Judgement::Violated(found)) => {
                        breaches = found;
                        Verdict::Fails
                    }
                });
            }
        }
        Ok(Tried { decision: tally.decision(), tally, breaches })
    }

    /// What came of an invariant in a trial; `None`: it tells nothing.
    fn judged(&self, invariant: Invariant, scenario: &Scenario, trial: &TrialResult) -> Option<Judgement> {
        let supervisor = &self.request.supervisor.supervisor;
        judge_all(&[invariant], supervisor, scenario, trial)?;
        Some(judge(invariant, supervisor, scenario, trial))
    }

    /// Measures how often a case fails, with the very trials that `holdline run -r` makes of its file, and keeps the
    /// file with what it says of that.
    pub(super) fn measure(&self, plain: &Plain, invariant: Invariant) -> Result<Measured, FuzzError> {
        let entry = self.entry(&plain.case)?;
        let mut measured = self.measure_entry(&entry, plain.path.clone())?;
        let is_there = measured.failures.iter().any(|violated| violated.invariant == invariant);
        if !is_there && self.lab.is_over() {
            // What is known of it so far is what was kept.
            let (order, rate, breaches) = (Course::default(), plain.rate, plain.breaches.clone());
            measured.failures.push(Violated { invariant, rate, breaches, order });
            return Ok(measured);
        }
        if let Some(first) = measured.failures.iter().find(|violated| violated.invariant == invariant) {
            let expects: Vec<Breach> =
                measured.failures.iter().flat_map(|violated| violated.breaches.clone()).collect();
            let path = self.keep(&plain.case, invariant, &expects, first.rate, Some(&plain.path))?;
            measured.path = path;
        }
        Ok(measured)
    }

    /// Measures how often a scenario fails that is kept in a file already.
    pub(super) fn measure_entry(&self, entry: &ScenarioEntry, path: PathBuf) -> Result<Measured, FuzzError> {
        let actions: Vec<Action> = entry.scenario.faults.iter().map(|fault| fault.action.clone()).collect();
        let jobs: Vec<Job> = (0..MEASURED).map(|repetition| Job::new(entry.clone(), repetition)).collect();
        let keep = self.request.folder.join("trials");
        let mut all: BTreeMap<Invariant, Vec<(Vec<Breach>, Course)>> = BTreeMap::new();
        let mut of: BTreeMap<Invariant, u64> = BTreeMap::new();
        let mut evidence = Vec::new();
        for done in self.lab.run_and_keep(&jobs, Some(&keep))? {
            let Done { trial, story, .. } = done;
            let supervisor = &self.request.supervisor.supervisor;
            let judged = judge_all(&self.request.invariants, supervisor, &entry.scenario, &trial);
            let mut has_failed = false;
            for (invariant, judgement) in judged.into_iter().flatten() {
                *of.entry(invariant).or_default() += 1;
                if let Judgement::Violated(breaches) = judgement {
                    has_failed = true;
                    all.entry(invariant).or_default().push((breaches, Course::of(&story, &actions)));
                }
            }
            if has_failed {
                evidence.push(trial);
            }
        }
        let needed = Rule::CONFIRM.needed as usize;
        let violated = |(invariant, failed): (Invariant, Vec<(Vec<Breach>, Course)>)| {
            let order = commonest(failed.iter().map(|(_, order)| order))?;
            let rate = FailureRate::of(failed.len() as u64, of.get(&invariant).copied().unwrap_or(0));
            let breaches = failed.into_iter().next().map(|(breaches, _)| breaches)?;
            Some(Violated { invariant, rate, breaches, order })
        };
        let failures = all.into_iter().filter(|(_, failed)| failed.len() >= needed).filter_map(violated);
        Ok(Measured { path, failures: failures.collect(), evidence })
    }

    /// Writes a case that failed once beside the others, where nobody tries it first: it did not again, or there was
    /// no time to see whether it does.
    pub(super) fn put_aside(
        &self,
        case: &Case,
        invariant: Invariant,
        breaches: &[Breach],
        has_time: bool,
    ) -> Result<PathBuf, FuzzError> {
        let (folder, but) = match has_time {
            true => ("not-reproduced", "did not again"),
            false => ("unconfirmed", "there was no time to see whether it does again"),
        };
        let folder = self.request.folder.join(folder);
        let path = folder.join(format!("{invariant}-{}.toml", case.name(self.terms)));
        let fail = |error| FuzzError::Keep { path: path.clone(), error };
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let what: Vec<String> = breaches.iter().map(ToString::to_string).collect();
        let comment = format!("It failed `{invariant}` once and {but}: {}.", what.join("; "));
        let text = case.file(self.terms, Purpose { expects: &[], comment: &comment });
        write_atomically(&path, text.as_bytes()).map_err(fail)?;
        Ok(path)
    }

    /// Keeps a case in a file, in the place of one that was kept of it before.
    fn keep(
        &self,
        case: &Case,
        invariant: Invariant,
        breaches: &[Breach],
        rate: FailureRate,
        before: Option<&Path>,
    ) -> Result<PathBuf, FuzzError> {
        let name = case.name(self.terms);
        let name = format!("{invariant}-{}.toml", name.trim_start_matches("fuzz-"));
        let path = self.request.keep.join(&name);
        let mut expects: Vec<String> = breaches.iter().filter_map(Breach::expectation).collect();
        expects.sort();
        expects.dedup();
        let what: Vec<String> = breaches.iter().map(ToString::to_string).collect();
        let what = if what.is_empty() { String::new() } else { format!(": {}", what.join("; ")) };
        let low = holdline_model::stats::percent(rate.low);
        let high = holdline_model::stats::percent(rate.high);
        let comment = format!(
            "Found by `holdline fuzz` in `{}`, seed {}.\nIt fails `{invariant}` ({}){what}.\n\
             It failed in {} of {} trials ({low} to {high} at 95 %).\nRepeat it: {}",
            self.request.supervisor.supervisor.name,
            self.request.options.seed,
            invariant.in_words(),
            rate.failed,
            rate.of,
            self.repeat(&path),
        );
        let text = case.file(self.terms, Purpose { expects: &expects, comment: &comment });
        write_atomically(&path, text.as_bytes())
            .map_err(|error| FuzzError::Keep { path: path.clone(), error })?;
        if let Some(before) = before.filter(|before| **before != path) {
            // It may have been taken away meanwhile.
            let _ = std::fs::remove_file(before);
        }
        Ok(path)
    }

    /// The command that repeats the trials of a file.
    pub(super) fn repeat(&self, path: &Path) -> String {
        let file = path.file_name().unwrap_or_default();
        let path = self.request.keep_word.join(file).to_string_lossy().into_owned();
        let seed = self.request.options.seed.to_string();
        let repetitions = MEASURED.to_string();
        let words = ["holdline", "run", &path, "-s", &self.request.word, "-r", &repetitions, "--seed", &seed];
        shlex::try_join(words).unwrap_or_else(|_| words.join(" "))
    }

    pub(super) fn entry(&self, case: &Case) -> Result<ScenarioEntry, FuzzError> {
        entry(case, self.terms)
    }
}

/// The scenario of a case.
pub(super) fn entry(case: &Case, terms: Terms) -> Result<ScenarioEntry, FuzzError> {
    let text = case.file(terms, Purpose::default());
    let name = format!("{}.toml", case.name(terms));
    ScenarioEntry::parse(text, name).map_err(|error| FuzzError::Drawn(error.to_string()))
}

fn commonest<'a>(orders: impl Iterator<Item = &'a Course>) -> Option<Course> {
    let mut counts: BTreeMap<&Course, u32> = BTreeMap::new();
    for order in orders {
        *counts.entry(order).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(order, _)| order.clone())
}

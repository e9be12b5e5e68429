//! Parts of a run, measured on several machines or at several times, as one.
//!
//! Parts that a partition made of one plan fit together as they are: each trial is in one of them. Runs that have
//! nothing to do with each other are told apart by their repetitions: those of a later one come after all of the
//! earlier ones.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Partition;
use crate::result::{Manifest, RunResult, TrialResult};

/// A run, and how it is called.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its name.
    pub name: &'a str,
    /// What came of it.
    pub run: &'a RunResult,
}

/// Why runs are no parts of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The same part is there twice.
    #[error("{first} and {second} are the same part{}; leave one of them out", .part.as_ref().map(|part| format!(", {part}")).unwrap_or_default())]
    Twice {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// Which part of its plan.
        part: Option<String>,
    },
    /// Parts of one size and seed that have the same trial: they are of different plans.
    #[error(
        "{first} and {second} are parts of different plans: both have repetition {repetition} of {scenario} with {supervisor}; merge each with the other parts of its own plan"
    )]
    Overlap {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// The trial's scenario.
        scenario: String,
        /// Its supervisor.
        supervisor: String,
        /// Its repetition, from 1.
        repetition: u32,
    },
    /// There is nothing to merge.
    #[error("there is no trial in any of these runs")]
    Empty,
}

/// What comes of merging.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// All trials as one run. Their folders are still those of their parts.
    pub run: RunResult,
    /// From which part each trial is, in the order of the run's trials.
    pub from: Vec<usize>,
    /// Parts of a plan that none of these runs is, as `slice:2/3`.
    pub missing: Vec<String>,
    /// What differs between the first and another: the other's name, what, in the first, in the other.
    pub differs: Vec<[String; 4]>,
}

/// Merges runs.
///
/// # Errors
///
/// The same part is there twice, parts are of different plans, or there is no trial.
pub fn merge(parts: &[Part<'_>]) -> Result<Merged, MergeError> {
    check_alone(parts)?;
    let mut offsets: BTreeMap<Key, u32> = BTreeMap::new();
    let mut next = 0;
    for (index, part) in parts.iter().enumerate() {
        let key = key(index, &part.run.manifest);
        let same =
            parts.iter().enumerate().filter(|(other, part)| self::key(*other, &part.run.manifest) == key);
        let most = same.flat_map(|(_, part)| &part.run.trials).map(|trial| trial.repetition + 1).max();
        offsets.entry(key).or_insert_with(|| {
            let offset = next;
            next += most.unwrap_or(0);
            offset
        });
    }
    let mut trials: Vec<(usize, TrialResult)> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let offset = offsets[&key(index, &part.run.manifest)];
        let renumbered =
            |trial: &TrialResult| TrialResult { repetition: trial.repetition + offset, ..trial.clone() };
        trials.extend(part.run.trials.iter().map(|trial| (index, renumbered(trial))));
    }
    if trials.is_empty() {
        return Err(MergeError::Empty);
    }
    trials.sort_by(|(_, a), (_, b)| {
        (a.repetition, &a.scenario, &a.supervisor).cmp(&(b.repetition, &b.scenario, &b.supervisor))
    });
    check_apart(parts, &trials)?;
    let missing = missing(parts);
    let (from, trials): (Vec<usize>, Vec<TrialResult>) = trials.into_iter().unzip();
    let planned = parts.iter().map(|part| part.run.manifest.planned).sum();
    let manifest = Manifest { planned, partition: None, ..parts[0].run.manifest.clone() };
    let complete = missing.is_empty() && parts.iter().all(|part| part.run.complete);
    let run = RunResult { manifest, complete, trials, ..parts[0].run.clone() };
    Ok(Merged { run, from, missing, differs: differences(parts) })
}

/// What parts of one plan have in common: its seed and its partition; other runs have nothing.
type Key = (u64, Option<(&'static str, u32)>, usize);

fn key(index: usize, manifest: &Manifest) -> Key {
    match partition(manifest) {
        Some(partition) => (manifest.seed, Some((partition.kind(), partition.of())), 0),
        None => (manifest.seed, None, index + 1),
    }
}

fn partition(manifest: &Manifest) -> Option<Partition> {
    manifest.partition.as_ref()?.parse().ok()
}

fn check_alone(parts: &[Part<'_>]) -> Result<(), MergeError> {
    for (index, part) in parts.iter().enumerate() {
        let same = |other: &&Part<'_>| {
            let (one, two) = (&part.run.manifest, &other.run.manifest);
            let is_same_part =
                one.partition.is_some() && one.partition == two.partition && one.seed == two.seed;
            is_same_part || (one == two && part.run.trials == other.run.trials)
        };
        if let Some(other) = parts[..index].iter().find(same) {
            return Err(MergeError::Twice {
                first: other.name.to_owned(),
                second: part.name.to_owned(),
                part: part.run.manifest.partition.clone(),
            });
        }
    }
    Ok(())
}

/// The trials are sorted, so that those that are the same follow each other.
fn check_apart(parts: &[Part<'_>], trials: &[(usize, TrialResult)]) -> Result<(), MergeError> {
    let same = |pair: &&[(usize, TrialResult)]| {
        let key = |(_, trial): &(usize, TrialResult)| {
            (trial.repetition, trial.scenario.clone(), trial.supervisor.clone())
        };
        pair[0].0 != pair[1].0 && key(&pair[0]) == key(&pair[1])
    };
    let Some([(first, trial), (second, _)]) = trials.windows(2).find(same) else { return Ok(()) };
    Err(MergeError::Overlap {
        first: parts[*first].name.to_owned(),
        second: parts[*second].name.to_owned(),
        scenario: trial.scenario.clone(),
        supervisor: trial.supervisor.clone(),
        repetition: trial.repetition + 1,
    })
}

fn missing(parts: &[Part<'_>]) -> Vec<String> {
    let mut there: BTreeMap<(u64, &'static str, u32), BTreeSet<u32>> = BTreeMap::new();
    for manifest in parts.iter().map(|part| &part.run.manifest) {
        if let Some(partition) = partition(manifest) {
            let key = (manifest.seed, partition.kind(), partition.of());
            there.entry(key).or_default().insert(partition.part());
        }
    }
    let lacking = there.into_iter().flat_map(|((_, kind, of), there)| {
        (1..=of).filter(move |part| !there.contains(part)).map(move |part| format!("{kind}:{part}/{of}"))
    });
    lacking.collect()
}

fn differences(parts: &[Part<'_>]) -> Vec<[String; 4]> {
    let first = parts[0].run.manifest.facts();
    let mut found = Vec::new();
    for part in &parts[1..] {
        for (what, other) in part.run.manifest.facts() {
            let own = first.get(&what).cloned().unwrap_or_else(|| "not known".to_owned());
            if own != other {
                found.push([part.name.to_owned(), what, own, other]);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use crate::result::SCHEMA;
    use crate::summary::{TrialName, not_run};

    fn trial(scenario: &str, repetition: u32) -> TrialResult {
        let name = TrialName {
            supervisor: "a".to_owned(),
            supervisor_version: String::new(),
            scenario: scenario.to_owned(),
            repetition,
            folder: String::new(),
            applied: Vec::new(),
        };
        not_run(&name, Reason::NotRun { what: crate::worded::Worded::Words("x".to_owned()), full: None })
    }

    fn run(partition: Option<&str>, started: &str, trials: Vec<TrialResult>) -> RunResult {
        let manifest = Manifest {
            started: started.to_owned(),
            planned: u32::try_from(trials.len()).expect("few"),
            partition: partition.map(str::to_owned),
            ..Manifest::example()
        };
        RunResult { schema: SCHEMA.to_owned(), manifest, complete: true, trials }
    }

    fn merged(runs: &[RunResult]) -> Result<Merged, MergeError> {
        let parts: Vec<Part<'_>> = runs.iter().map(|run| Part { name: &run.manifest.started, run }).collect();
        merge(&parts)
    }

    fn keys(merged: &Merged) -> Vec<(&str, u32)> {
        merged.run.trials.iter().map(|trial| (trial.scenario.as_str(), trial.repetition)).collect()
    }

    #[test]
    fn parts_of_a_plan_fit_together_and_other_runs_are_further_repetitions() {
        let part = run(Some("slice:1/2"), "1", vec![trial("x", 0), trial("x", 1)]);
        let other = run(Some("slice:2/2"), "2", vec![trial("y", 0), trial("y", 1)]);
        let whole = merged(&[other.clone(), part.clone()]).expect("parts");
        assert_eq!(keys(&whole), [("x", 0), ("y", 0), ("x", 1), ("y", 1)]);
        assert_eq!((whole.from.as_slice(), whole.run.manifest.planned), (&[1, 0, 1, 0][..], 4));
        assert!(whole.run.complete && whole.missing.is_empty());
        let alone = run(None, "3", vec![trial("x", 0)]);
        let more = merged(&[part.clone(), alone, other]).expect("parts");
        assert_eq!(keys(&more), [("x", 0), ("y", 0), ("x", 1), ("y", 1), ("x", 2)]);
        let lacking = merged(&[part]).expect("a part");
        assert_eq!((lacking.missing, lacking.run.complete), (vec!["slice:2/2".to_owned()], false));
    }

    #[test]
    fn what_is_there_twice_is_named() {
        let part = run(Some("slice:1/2"), "1", vec![trial("x", 0)]);
        let again = run(Some("slice:1/2"), "2", vec![trial("x", 0)]);
        let twice = merged(&[part.clone(), again]).expect_err("twice");
        assert!(
            matches!(twice, MergeError::Twice { first, second, .. } if (first.as_str(), second.as_str()) == ("1", "2"))
        );
        // The second part of a plan that has more in it.
        let foreign = run(Some("slice:2/2"), "2", vec![trial("x", 0), trial("y", 0)]);
        let overlap = merged(&[part, foreign]).expect_err("of another plan");
        assert!(matches!(overlap, MergeError::Overlap { scenario, repetition: 1, .. } if scenario == "x"));
        assert_eq!(merged(&[run(None, "1", Vec::new())]), Err(MergeError::Empty));
    }
}

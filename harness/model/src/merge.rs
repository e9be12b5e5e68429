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
/// The same part is there twice, or there is no trial.
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

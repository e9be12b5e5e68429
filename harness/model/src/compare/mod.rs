//! Side by side: supervisors against a reference in one run, or one run against another.
//!
//! Of times and rates the ratio to the reference is estimated with its interval ([`ratio`]), next to that of the
//! reference against itself; losses are compared exactly ([`exact`]). Words follow from intervals alone, which are
//! corrected for how many comparisons there are ([`holm`]). `tests/simulated.rs` holds against drawn trials how often
//! intervals hold what they claim, and how often something is called different that is not.
//!
//! Only what was recorded is read: comparing needs no rerun.

mod contest;
mod estimated;
mod exact;
mod holm;
mod losses;
mod quantity;
mod ratio;
mod result;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::contest::{Contest, Table};
use self::estimated::Estimated;
pub use self::exact::{Counts, fisher, rate_ratio};
pub use self::holm::{CONFIDENCE, ERROR, confidences};
pub use self::quantity::{QUANTITIES, Quantity, asked, collateral, lost_nothing};
pub use self::ratio::{Estimate, Logs, RESAMPLES};
pub use self::result::{
    Because, Compared, Comparison, Corrected, Interval, LeftOut, LossRatio, LossWords, Losses, NotCompared,
    SAME, SCHEMA, Warning, Whose, Words,
};
use crate::result::{Manifest, RunResult, TrialResult};
use crate::words::Grade;

/// The name under which a run has the trials of its reference that show the noise.
#[must_use]
pub fn again(reference: &str) -> String {
    format!("{reference}~again")
}

/// Compares the supervisors of a run with one of them.
///
/// Where the run has the reference a second time ([`again`]), the noise comes from it; else from the reference's
/// own repetitions, every other against the one after it.
#[must_use]
pub fn within(run: &RunResult, reference: &str, quantities: &[Quantity]) -> Comparison {
    let table = Table::of(run);
    let again = again(reference);
    let contenders = || table.supervisors.iter().filter(|name| **name != reference && **name != again);
    let scenarios = table.scenarios.iter().filter(|scenario| table.has(scenario, reference));
    let contests: Vec<Contest<'_>> = scenarios
        .flat_map(|scenario| {
            contenders().filter(|name| table.has(scenario, name)).map(|name| Contest {
                scenario,
                supervisor: name,
                reference: table.conclusive(scenario, reference),
                contender: table.conclusive(scenario, name),
                again: table.has(scenario, &again).then(|| table.conclusive(scenario, &again)),
            })
        })
        .collect();
    let mut losses = Vec::new();
    for scenario in &table.scenarios {
        let beside: Vec<&TrialResult> =
            [reference, &again].iter().flat_map(|name| table.all(scenario, name)).copied().collect();
        losses.extend(losses::of(scenario, reference, None, &beside));
        for name in contenders() {
            losses.extend(losses::against(scenario, name, None, &beside, table.all(scenario, name)));
        }
    }
    let warnings =
        if run.complete { Vec::new() } else { vec![Warning::Incomplete { run: "the run".to_owned() }] };
    finish(Parts {
        reference: reference.to_owned(),
        paired: true,
        contests,
        losses,
        left_out: left_out(&table),
        warnings,
        manifests: vec![run.manifest.clone()],
        quantities,
    })
}

/// A run, and how it is called.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Its name.
    pub name: &'a str,
    /// What came of it.
    pub run: &'a RunResult,
}

/// Compares each supervisor of a run with itself in another run, the reference.
///
/// Repetitions of two runs have nothing to do with each other. The noise comes from the reference's own, every
/// other against the one after it. `None` where no trial is in both.
#[must_use]
pub fn between(reference: Named<'_>, other: Named<'_>, quantities: &[Quantity]) -> Option<Comparison> {
    let (before, after) = (Table::of(reference.run), Table::of(other.run));
    let (mut contests, mut losses, mut warnings) = (Vec::new(), Vec::new(), differences(&reference, &other));
    for scenario in &before.scenarios {
        for name in before.supervisors.iter().filter(|name| before.has(scenario, name)) {
            if !after.has(scenario, name) {
                warnings.push(only_in(&reference, scenario, name));
                continue;
            }
            let (old, new) = (before.all(scenario, name), after.all(scenario, name));
            losses.extend(losses::of(scenario, name, Some(reference.name), old));
            losses.extend(losses::against(scenario, name, Some(other.name), old, new));
            contests.push(Contest {
                scenario,
                supervisor: name,
                reference: before.conclusive(scenario, name),
                contender: after.conclusive(scenario, name),
                again: None,
            });
        }
    }
    for scenario in &after.scenarios {
        let alone =
            after.supervisors.iter().filter(|name| after.has(scenario, name) && !before.has(scenario, name));
        warnings.extend(alone.map(|name| only_in(&other, scenario, name)));
    }
    if contests.is_empty() {
        return None;
    }
    Some(finish(Parts {
        reference: reference.name.to_owned(),
        paired: false,
        contests,
        losses,
        left_out: left_out(&before).into_iter().chain(left_out(&after)).collect(),
        warnings,
        manifests: vec![reference.run.manifest.clone(), other.run.manifest.clone()],
        quantities,
    }))
}

fn only_in(run: &Named<'_>, scenario: &str, supervisor: &str) -> Warning {
    let (run, scenario, supervisor) = (run.name.to_owned(), scenario.to_owned(), supervisor.to_owned());
    Warning::OnlyIn { run, scenario, supervisor }
}

/// What differs between two runs beside what is compared.
fn differences(reference: &Named<'_>, other: &Named<'_>) -> Vec<Warning> {
    let (before, after) = (reference.run.manifest.facts(), other.run.manifest.facts());
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |facts: &BTreeMap<String, String>, name: &String| {
        facts.get(name).cloned().unwrap_or_else(|| "not known".to_owned())
    };
    let mut warnings: Vec<Warning> = names
        .into_iter()
        .map(|name| (name, of(&before, name), of(&after, name)))
        .filter(|(_, reference, other)| reference != other)
        .map(|(what, reference, other)| Warning::Differs { what: what.clone(), reference, other })
        .collect();
    for named in [reference, other].iter().filter(|named| !named.run.complete) {
        warnings.push(Warning::Incomplete { run: named.name.to_owned() });
    }
    warnings
}

fn left_out(table: &Table<'_>) -> Vec<LeftOut> {
    let mut found = Vec::new();
    for scenario in &table.scenarios {
        for supervisor in &table.supervisors {
            for grade in [Grade::Unsupported, Grade::Inconclusive] {
                let trials = || table.all(scenario, supervisor).iter().filter(|trial| trial.grade == grade);
                let Some(first) = trials().next() else { continue };
                found.push(LeftOut {
                    scenario: (*scenario).to_owned(),
                    supervisor: (*supervisor).to_owned(),
                    grade,
                    trials: u32::try_from(trials().count()).unwrap_or(u32::MAX),
                    reason: first.reason.clone(),
                });
            }
        }
    }
    found
}

/// Everything of a comparison but its words.
struct Parts<'a> {
    reference: String,
    paired: bool,
    contests: Vec<Contest<'a>>,
    losses: Vec<Losses>,
    left_out: Vec<LeftOut>,
    warnings: Vec<Warning>,
    manifests: Vec<Manifest>,
    quantities: &'a [Quantity],
}

fn finish(parts: Parts<'_>) -> Comparison {
    let Parts { reference, paired, contests, mut losses, left_out, mut warnings, manifests, quantities } =
        parts;
    let (mut measured, mut not_compared) = (Vec::new(), Vec::new());
    for contest in &contests {
        for quantity in quantities {
            match contest.estimate(quantity, paired) {
                Ok(estimated) => measured.push((contest, quantity, estimated)),
                Err(Some(why)) => not_compared.push(why),
                Err(None) => {}
            }
        }
    }
    let ps: Vec<f64> = measured.iter().map(|(_, _, estimated)| estimated.estimate.p()).collect();
    let of_losses =
        losses.iter().filter_map(|losses| losses.against.as_ref()).filter(|l| l.words != LossWords::None);
    let all: Vec<f64> = ps.iter().copied().chain(of_losses.map(|against| against.p)).collect();
    let confidences = confidences(&all, ERROR);
    let (of_ratios, of_losses) = confidences.split_at(ps.len());
    losses::say(&mut losses, of_losses);
    let results: Vec<Compared> = measured
        .iter()
        .zip(of_ratios)
        .map(|((contest, quantity, estimated), confidence)| estimated.said(contest, quantity, *confidence))
        .collect();
    warnings.extend(restless(&measured));
    let repetitions = contests.iter().map(|contest| contest.reference.len()).max().unwrap_or(0);
    Comparison {
        schema: SCHEMA.to_owned(),
        reference,
        repetitions: u32::try_from(repetitions).unwrap_or(u32::MAX),
        paired,
        comparisons: all.len(),
        results,
        losses,
        not_compared,
        left_out,
        warnings,
        manifests,
    }
}

/// Where the reference differs from itself. Of many comparisons some would at 95 %, so that each needs its share.
fn restless(measured: &[(&Contest<'_>, &Quantity, Estimated)]) -> Vec<Warning> {
    let mut noises: BTreeMap<(&str, &str), &Estimate> = BTreeMap::new();
    for (contest, quantity, estimated) in measured {
        if let Some(noise) = &estimated.noise {
            noises.entry((contest.scenario, quantity.name)).or_insert(noise);
        }
    }
    let limit = ERROR / noises.len().max(1) as f64;
    let restless = noises.into_iter().filter(|(_, noise)| {
        let (low, high) = noise.interval(1.0 - limit);
        noise.p() <= limit && Words::of(low, high, false) != Words::Same
    });
    restless
        .map(|((scenario, metric), _)| Warning::Restless {
            scenario: scenario.to_owned(),
            metric: metric.to_owned(),
        })
        .collect()
}

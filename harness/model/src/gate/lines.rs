//! From the trials of a run to the lines that a baseline has.

use std::collections::{BTreeMap, BTreeSet};

use super::baseline::{Line, Tally, Value};
use crate::compare::{QUANTITIES, asked, collateral, within};
use crate::metric;
use crate::reason::Reason;
use crate::result::{RunResult, TrialResult};
use crate::violation::Unmeasured;
use crate::words::{Blame, Fate, Grade};

/// A count that is hard.
#[derive(Clone, Copy)]
struct Count {
    name: &'static str,
    /// Whether it counts attempts; else what a trial has or has not.
    of_attempts: bool,
    read: fn(&TrialResult) -> Result<u64, Unmeasured>,
}

/// What must not become more: losses, refusals, overflows, listeners that close, supervisors that give up, leaks.
const COUNTS: [Count; 9] = [
    Count { name: "collateral", of_attempts: true, read: |trial| Ok(collateral(trial)) },
    Count {
        name: "in_flight",
        of_attempts: true,
        read: |trial| Ok(trial.blame.get(&Blame::InFlight).copied().unwrap_or(0)),
    },
    Count {
        name: "refused",
        of_attempts: true,
        read: |trial| Ok(trial.fates.get(&Fate::Refused).copied().unwrap_or(0)),
    },
    Count { name: "down", of_attempts: false, read: |trial| Ok(u64::from(trial.grade == Grade::Down)) },
    Count {
        name: "kernel.listen_overflows",
        of_attempts: false,
        // Without a namespace they are the whole host's.
        read: |trial| {
            let own = !trial.kernel.counters.is_empty();
            if own { Ok(trial.kernel.listen_overflows) } else { Err(Unmeasured::UncountedDrops) }
        },
    },
    Count {
        name: "kernel.listeners_closed",
        of_attempts: false,
        read: |trial| measure("kernel.listeners_closed", trial),
    },
    Count {
        name: "workers.leaked_fds",
        of_attempts: false,
        read: |trial| measure("workers.leaked_fds", trial),
    },
    Count { name: "workers.orphans", of_attempts: false, read: |trial| measure("workers.orphans", trial) },
    Count { name: "supervisor.ended", of_attempts: false, read: |trial| measure("supervisor.ended", trial) },
];

fn measure(name: &str, trial: &TrialResult) -> Result<u64, Unmeasured> {
    metric::metric(name).map_or(Err(Unmeasured::NoProc), |metric| metric.measure(trial))
}

/// Whether a metric is a count of attempts; of others, trials are counted in which there was any.
#[must_use]
pub(super) fn counts_attempts(name: &str) -> bool {
    COUNTS.iter().any(|count| count.name == name && count.of_attempts)
}

/// What a trial shows of a metric: how much of it there is.
#[must_use]
pub(super) fn shown(name: &str, trial: &TrialResult) -> f64 {
    if let Some(count) = COUNTS.iter().find(|count| count.name == name) {
        return (count.read)(trial).unwrap_or(0) as f64;
    }
    let quantity = QUANTITIES.iter().find(|quantity| quantity.name == name);
    let value = quantity
        .and_then(|quantity| quantity.measure(trial).ok().map(|v| if quantity.is_rate { -v } else { v }));
    value.unwrap_or(0.0)
}

/// Whether a trial's counts say something of its supervisor. One in which something was lost before any fault is not
/// graded for the fault, but what it lost it lost.
pub(super) fn is_conclusive(trial: &TrialResult) -> bool {
    match trial.grade {
        Grade::Held | Grade::Delayed | Grade::Lossy | Grade::Down => true,
        Grade::Inconclusive => matches!(trial.why, Some(Reason::BeforeFault { .. })),
        Grade::Unsupported => false,
    }
}

/// The lines of a run, sorted: of every gated supervisor its counts, and its times against the reference.
///
/// Of throughput the ratio is turned over, so that more is always worse.
#[must_use]
pub fn lines(run: &RunResult, reference: &str, gated: &BTreeSet<String>) -> Vec<Line> {
    let mut cells: BTreeMap<(&str, &str), Vec<&TrialResult>> = BTreeMap::new();
    for trial in run.trials.iter().filter(|trial| gated.contains(&trial.supervisor) && is_conclusive(trial)) {
        cells.entry((&trial.scenario, &trial.supervisor)).or_default().push(trial);
    }
    let mut lines: Vec<Line> = Vec::new();
    for ((scenario, supervisor), trials) in &cells {
        for count in COUNTS {
            let Some(tally) = tally(&count, trials) else { continue };
            lines.push(line(scenario, supervisor, count.name, Value::Count(tally)));
        }
    }
    for result in within(run, reference, &QUANTITIES).results {
        if !gated.contains(&result.supervisor) {
            continue;
        }
        let mut ratio = result.ratio;
        if result.per_second.is_some() {
            (ratio.estimate, ratio.low, ratio.high) =
                (1.0 / ratio.estimate, 1.0 / ratio.high, 1.0 / ratio.low);
        }
        for bound in [&mut ratio.estimate, &mut ratio.low, &mut ratio.high] {
            *bound = rounded(*bound);
        }
        lines.push(line(&result.scenario, &result.supervisor, &result.metric, Value::Time { ratio }));
    }
    lines.sort_by(|a, b| a.key().cmp(&b.key()));
    lines
}

fn line(scenario: &str, supervisor: &str, metric: &str, value: Value) -> Line {
    Line {
        scenario: scenario.to_owned(),
        supervisor: supervisor.to_owned(),
        metric: metric.to_owned(),
        value,
    }
}

/// Four digits that matter: what is beyond them is noise, and would fill a diff.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// `None` where a trial does not know.
fn tally(count: &Count, trials: &[&TrialResult]) -> Option<Tally> {
    let mut tally = Tally::default();
    for trial in trials {
        let found = (count.read)(trial).ok()?;
        tally.count += found;
        tally.of += if count.of_attempts { asked(trial) } else { 1 };
        tally.hit += u64::from(found > 0);
        tally.trials += 1;
        tally.most = tally.most.max(found);
    }
    Some(tally)
}

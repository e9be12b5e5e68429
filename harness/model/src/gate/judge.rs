//! A run against a baseline, line by line.

use std::collections::{BTreeMap, BTreeSet};

use super::baseline::{Baseline, Line, Tally, Value};
use super::lines::{counts_attempts, is_conclusive, lines, shown};
use super::policy::Policy;
use super::result::{
    Amount, Differs, Doubt, Finding, GateResult, GateVerdict, KnownFinding, Pair, SCHEMA, Tier, Undecided,
};
use crate::compare::Interval;
use crate::result::{RunResult, TrialResult};
use crate::stats::{trials_for, upper_bound};
use crate::words::Grade;

/// Confidence of what a baseline excludes.
const CONFIDENCE: f64 = 0.95;

/// By how much of the reference's time a time must have grown.
const MATERIAL: f64 = 0.1;

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Runs<'a> {
    /// The run.
    pub first: &'a RunResult,
    /// What was in doubt, measured again.
    pub again: Option<&'a RunResult>,
    /// Those that are gated.
    pub gated: &'a BTreeSet<String>,
    /// The scenarios that are.
    pub scenarios: &'a BTreeSet<String>,
    /// Against whom times are measured.
    pub reference: &'a str,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The result, whose commands to repeat are still empty.
    pub result: GateResult,
    /// What should be measured again before this is said.
    pub doubtful: BTreeSet<Pair>,
}

/// Holds what was measured against a baseline.
#[must_use]
pub fn judge(baseline: &Baseline, runs: &Runs<'_>, policy: &Policy) -> Judged {
    let pooled = pooled(runs);
    let of = |run: &RunResult| by_key(lines(run, runs.reference, runs.gated));
    let judge = Judge {
        runs,
        policy,
        first: of(runs.first),
        again: runs.again.map(of),
        pooled: of(&pooled),
        trials: &pooled.trials,
    };
    let mut out = Out::default();
    let is_selected =
        |pair: &Pair| runs.gated.contains(&pair.supervisor) && runs.scenarios.contains(&pair.scenario);
    let then: BTreeSet<Pair> = baseline.metrics.iter().map(pair_of).collect();
    let mut judged = 0;
    for pair in then.iter().filter(|pair| is_selected(pair)) {
        if let Some(because) = judge.unusable(pair) {
            if judge.is_inconclusive(pair) {
                out.doubtful.insert(pair.clone());
            }
            out.undecided.push(undecided(pair, None, because));
            continue;
        }
        if judge.is_inconclusive(pair) && runs.again.is_none() {
            out.doubtful.insert(pair.clone());
        }
        for line in baseline.metrics.iter().filter(|line| pair_of(line) == *pair) {
            judged += 1;
            judge.line(line, &mut out);
        }
    }
    out.drop_what_a_loss_explains();
    let now: BTreeSet<Pair> =
        judge.trials.iter().filter(|t| runs.gated.contains(&t.supervisor)).map(pair).collect();
    let Out { regressions, undecided, known, not_confirmed, doubtful } = out;
    let verdict = match (regressions.is_empty(), undecided.is_empty() && runs.first.complete) {
        (false, _) => GateVerdict::Fail,
        (true, false) => GateVerdict::Inconclusive,
        (true, true) => GateVerdict::Pass,
    };
    let differs = baseline.made_with.differences(&runs.first.manifest).into_iter();
    let result = GateResult {
        schema: SCHEMA.to_owned(),
        verdict,
        regressions,
        undecided,
        known,
        not_confirmed,
        new: now.difference(&then).cloned().collect(),
        missing: then.into_iter().filter(|pair| !is_selected(pair)).collect(),
        warnings: differs.map(|(what, baseline, now)| Differs { what, baseline, now }).collect(),
        compared: judged,
        repetitions: baseline.made_with.repetitions,
        baseline: String::new(),
    };
    Judged { result, doubtful }
}

type Lines = BTreeMap<(String, String, String), Value>;

fn by_key(lines: Vec<Line>) -> Lines {
    lines.into_iter().map(|line| ((line.scenario, line.supervisor, line.metric), line.value)).collect()
}

fn pair_of(line: &Line) -> Pair {
    Pair { scenario: line.scenario.clone(), supervisor: line.supervisor.clone() }
}

fn pair(trial: &TrialResult) -> Pair {
    Pair { scenario: trial.scenario.clone(), supervisor: trial.supervisor.clone() }
}

fn undecided(pair: &Pair, metric: Option<&str>, because: Doubt) -> Undecided {
    let (scenario, supervisor) = (pair.scenario.clone(), pair.supervisor.clone());
    Undecided { scenario, supervisor, metric: metric.map(str::to_owned), because }
}

/// All trials, with the repetitions of those that were measured again after the others'.
fn pooled(runs: &Runs<'_>) -> RunResult {
    let mut pooled = runs.first.clone();
    let next = pooled.trials.iter().map(|trial| trial.repetition + 1).max().unwrap_or(0);
    for trial in runs.again.iter().flat_map(|again| &again.trials) {
        let repetition = trial.repetition.saturating_add(next);
        pooled.trials.push(TrialResult { repetition, ..trial.clone() });
    }
    pooled
}

/// What is found, line by line.
#[derive(Default)]
struct Out {
    regressions: Vec<Finding>,
    undecided: Vec<Undecided>,
    known: Vec<KnownFinding>,
    not_confirmed: Vec<Finding>,
    doubtful: BTreeSet<Pair>,
}

impl Out {
    /// That latencies are not measured where requests were lost is no doubt of its own.
    fn drop_what_a_loss_explains(&mut self) {
        let (regressions, known) = (&self.regressions, &self.known);
        self.undecided.retain(|undecided| {
            let is_of = |finding: &Finding| {
                finding.scenario == undecided.scenario && finding.supervisor == undecided.supervisor
            };
            let explained = regressions.iter().chain(known.iter().map(|known| &known.finding)).any(is_of);
            !(explained && undecided.because == Doubt::NotMeasured)
        });
    }
}

struct Judge<'a> {
    runs: &'a Runs<'a>,
    policy: &'a Policy,
    first: Lines,
    again: Option<Lines>,
    pooled: Lines,
    trials: &'a [TrialResult],
}

impl Judge<'_> {
    fn trials_of<'s>(&'s self, of: &'s Pair) -> impl Iterator<Item = &'s TrialResult> {
        let is_of =
            move |trial: &&TrialResult| trial.scenario == of.scenario && trial.supervisor == of.supervisor;
        self.trials.iter().filter(is_of)
    }

    fn is_inconclusive(&self, of: &Pair) -> bool {
        self.trials_of(of).any(|trial| trial.grade == Grade::Inconclusive && !is_conclusive(trial))
    }

    /// Why its trials say nothing at all.
    fn unusable(&self, of: &Pair) -> Option<Doubt> {
        if self.trials_of(of).any(is_conclusive) {
            return None;
        }
        let reason = |trial: &TrialResult| trial.reason.clone();
        Some(match self.trials_of(of).next() {
            None => Doubt::NotRun,
            Some(trial) if trial.grade == Grade::Unsupported => Doubt::Unsupported { reason: reason(trial) },
            Some(trial) => Doubt::Inconclusive { reason: reason(trial) },
        })
    }

    fn line(&self, line: &Line, out: &mut Out) {
        let key = (line.scenario.clone(), line.supervisor.clone(), line.metric.clone());
        match (line.value, self.pooled.get(&key)) {
            (Value::Count(then), Some(Value::Count(now))) => self.count(line, &then, now, &key, out),
            (Value::Time { ratio: then }, Some(Value::Time { ratio: now })) => {
                self.time(line, &then, now, &key, out);
            }
            (Value::Count(_), Some(Value::Time { .. }) | None)
            | (Value::Time { .. }, Some(Value::Count(_)) | None) => {
                if self.runs.again.is_none() {
                    out.doubtful.insert(pair_of(line));
                }
                out.undecided.push(undecided(&pair_of(line), Some(&line.metric), Doubt::NotMeasured));
            }
        }
    }

    fn count(&self, line: &Line, then: &Tally, now: &Tally, key: &(String, String, String), out: &mut Out) {
        let events = |tally: &Tally| if counts_attempts(&line.metric) { tally.count } else { tally.hit };
        let allowed = upper_bound(events(then), then.of, CONFIDENCE) * now.of as f64;
        let found = |allowed, confirmed| {
            self.finding(line, (then.count, then.of), (now.count, now.of), allowed, confirmed)
        };
        if then.count == 0 {
            if events(now) as f64 > allowed {
                self.worse(found(allowed, true), out);
            } else if events(now) > 0 {
                out.doubtful.insert(pair_of(line));
                let needs = trials_for(1.0 / now.of as f64, CONFIDENCE).unwrap_or(u64::MAX);
                let because = Doubt::FewInBaseline { count: now.count, of: now.of, needs };
                out.undecided.push(undecided(&pair_of(line), Some(&line.metric), because));
            }
            return;
        }
        // Losses come together, and the baseline's trials show by how much their number varies.
        let limit = then.most as f64 * self.policy.tolerance_of(line.key()).limit();
        let is_more = |tally: &Tally| {
            let rate = events(tally) as f64 / tally.of.max(1) as f64;
            let beyond =
                !counts_attempts(&line.metric) || rate > upper_bound(events(then), then.of, CONFIDENCE);
            beyond && tally.count as f64 / tally.trials.max(1) as f64 > limit
        };
        let of = |lines: &Lines| matches!(lines.get(key), Some(Value::Count(tally)) if is_more(tally));
        self.confirmed(line, of, found(limit * now.trials as f64, true), out);
    }

    fn time(
        &self,
        line: &Line,
        then: &Interval,
        now: &Interval,
        key: &(String, String, String),
        out: &mut Out,
    ) {
        let limit = self.policy.tolerance_of(line.key()).limit();
        let is_slower = |now: &Interval| change(then, now).low > limit && is_material(then, now);
        let of = |lines: &Lines| matches!(lines.get(key), Some(Value::Time { ratio }) if is_slower(ratio));
        let finding = Finding {
            tier: Tier::Time,
            baseline: Amount::Ratio(then.estimate),
            baseline_of: None,
            measured: Amount::Ratio(now.estimate),
            measured_of: None,
            allowed: (then.estimate * limit).max(then.estimate + MATERIAL),
            ..self.finding(line, (0, 0), (0, 0), 0.0, true)
        };
        if of(&self.first) {
            self.confirmed(line, of, finding, out);
            return;
        }
        // It seemed tolerable, or nobody knows; what was measured again counts as well.
        let changed = change(then, now);
        if is_slower(now) {
            self.worse(finding, out);
        } else if changed.estimate > limit && changed.low > 1.0 && is_material(then, now) {
            out.doubtful.insert(pair_of(line));
            let Interval { estimate, low, high } = changed;
            let because = Doubt::Wide { estimate, low, high };
            out.undecided.push(undecided(&pair_of(line), Some(&line.metric), because));
        }
    }

    /// What fails only where a confirming rerun agrees.
    fn confirmed(&self, line: &Line, is_worse: impl Fn(&Lines) -> bool, finding: Finding, out: &mut Out) {
        if !is_worse(&self.first) {
            return;
        }
        match &self.again {
            None => {
                out.doubtful.insert(pair_of(line));
                self.worse(Finding { confirmed: false, ..finding }, out);
            }
            Some(again) if is_worse(again) => self.worse(finding, out),
            Some(_) => out.not_confirmed.push(Finding { confirmed: false, ..finding }),
        }
    }

    fn worse(&self, finding: Finding, out: &mut Out) {
        match self.policy.known((&finding.scenario, &finding.supervisor, &finding.metric)) {
            Some((known, false)) => {
                let (reason, until) = (known.reason.clone(), known.until.clone().into());
                out.known.push(KnownFinding { finding, reason, until });
            }
            Some((_, true)) | None => out.regressions.push(finding),
        }
    }

    fn finding(
        &self,
        line: &Line,
        then: (u64, u64),
        now: (u64, u64),
        allowed: f64,
        confirmed: bool,
    ) -> Finding {
        let of = pair_of(line);
        let much = |trial: &TrialResult| shown(&line.metric, trial);
        let conclusive = self.trials_of(&of).filter(|trial| is_conclusive(trial));
        let trial = conclusive.max_by(|a, b| much(a).total_cmp(&much(b)));
        Finding {
            scenario: line.scenario.clone(),
            supervisor: line.supervisor.clone(),
            metric: line.metric.clone(),
            tier: Tier::Count,
            baseline: Amount::Count(then.0),
            baseline_of: Some(then.1),
            measured: Amount::Count(now.0),
            measured_of: Some(now.1),
            allowed,
            confirmed,
            trial: trial.map(|trial| trial.folder.clone()).unwrap_or_default(),
            repeat: String::new(),
        }
    }
}

/// Whether a time has grown by enough of the reference's to matter: beside an outage of 100 ms, one of 2 ms that takes
/// 5 ms is as busy a machine makes it, and the reference's outage says nothing of that.
fn is_material(then: &Interval, now: &Interval) -> bool {
    now.estimate - then.estimate > MATERIAL
}

/// How much a ratio has changed since the baseline, with the interval that two intervals give: Zou and Donner,
/// "Construction of confidence limits about effect measures", Statistics in Medicine 27 (2008), on logarithms.
fn change(then: &Interval, now: &Interval) -> Interval {
    let log = |interval: &Interval| {
        let ln = |value: f64| value.max(1e-12).ln();
        (ln(interval.estimate), ln(interval.low), ln(interval.high))
    };
    let ((old, old_low, old_high), (new, new_low, new_high)) = (log(then), log(now));
    let estimate = new - old;
    let low = estimate - (new - new_low).hypot(old_high - old);
    let high = estimate + (new_high - new).hypot(old - old_low);
    Interval { estimate: estimate.exp(), low: low.exp(), high: high.exp() }
}

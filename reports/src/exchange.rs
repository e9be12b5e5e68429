//! Times and losses of a run in formats of other tools: hyperfine's JSON, and `customSmallerIsBetter` of
//! github-action-benchmark.
//!
//! A *series* is one metric of one supervisor in one scenario, with a value of each trial that measured it. Trials that
//! are unsupported or inconclusive measured nothing, and a time that is not known (of an outage that went on, of a
//! fault that interrupted nothing) is left out: neither format has a word for it, and zero would be one.

use std::collections::BTreeMap;

use holdline_model::compare::{QUANTITIES, collateral};
use holdline_model::metric;
use holdline_model::result::{RunResult, TrialResult};
use holdline_model::words::Grade;
use serde::Serialize;

use crate::text::{counted, plain};

/// What hyperfine exports: times in seconds.
#[derive(Debug, Serialize)]
struct Hyperfine {
    results: Vec<HyperfineResult>,
}

#[derive(Debug, Serialize)]
struct HyperfineResult {
    command: String,
    mean: f64,
    /// Of one value alone there is none.
    stddev: Option<f64>,
    median: f64,
    min: f64,
    max: f64,
    times: Vec<f64>,
    parameters: BTreeMap<&'static str, String>,
}

/// An entry of github-action-benchmark.
#[derive(Debug, Serialize)]
struct Benchmark {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    extra: String,
}

/// The times of a run as hyperfine exports them: a result for each series.
///
/// # Errors
///
/// It has no form as JSON.
pub fn hyperfine(run: &RunResult) -> Result<String, String> {
    let mut results = Vec::new();
    for group in groups(run) {
        for (metric, times_ns) in group.times_ns() {
            let seconds: Vec<f64> = times_ns.iter().map(|ns| *ns as f64 / 1e9).collect();
            let Some(spread) = Spread::of(&seconds) else { continue };
            results.push(HyperfineResult {
                command: group.series(metric),
                mean: spread.mean,
                stddev: spread.stddev,
                median: spread.median,
                min: spread.min,
                max: spread.max,
                times: seconds,
                parameters: BTreeMap::from([
                    ("metric", metric.to_owned()),
                    ("scenario", plain(group.scenario)),
                    ("supervisor", plain(group.supervisor)),
                ]),
            });
        }
    }
    text(&Hyperfine { results })
}

/// Losses and times of a run for github-action-benchmark, less of which is better.
///
/// # Errors
///
/// It has no form as JSON.
pub fn benchmark(run: &RunResult) -> Result<String, String> {
    let mut all = Vec::new();
    for group in groups(run).iter().filter(|group| !group.measured.is_empty()) {
        let extra = group.in_words();
        let lost: u64 = group.measured.iter().map(|trial| collateral(trial)).sum();
        let of: u64 = group.measured.iter().map(|trial| trial.attempts).sum();
        all.push(Benchmark {
            name: group.series("collateral"),
            unit: "connections",
            value: lost as f64,
            range: None,
            extra: format!("of {of}\n{extra}"),
        });
        for (metric, times_ns) in group.times_ns() {
            let ms: Vec<f64> = times_ns.iter().map(|ns| *ns as f64 / 1e6).collect();
            let Some(spread) = Spread::of(&ms) else { continue };
            let range = (ms.len() > 1).then(|| format!("{} – {}", spread.min, spread.max));
            all.push(Benchmark {
                name: group.series(metric),
                unit: "ms",
                value: spread.median,
                range,
                extra: format!("median of {}\n{extra}", counted(ms.len() as u64, "value")),
            });
        }
    }
    text(&all)
}

fn text(value: &impl Serialize) -> Result<String, String> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    text.push('\n');
    Ok(text)
}

/// The trials of one supervisor in one scenario.
struct Group<'a> {
    scenario: &'a str,
    supervisor: &'a str,
    measured: Vec<&'a TrialResult>,
    /// How many there are with those that measured nothing.
    trials: usize,
}

impl Group<'_> {
    /// What a series is called. It never changes, so that a chart goes on.
    fn series(&self, metric: &str) -> String {
        format!("{} / {} / {metric}", plain(self.scenario), plain(self.supervisor))
    }

    /// The times that were measured, by metric.
    fn times_ns(&self) -> Vec<(&'static str, Vec<u64>)> {
        let times = QUANTITIES.iter().filter(|quantity| !quantity.is_rate);
        let of = |name: &'static str| {
            let metric = metric::metric(name).ok()?;
            Some((name, self.measured.iter().filter_map(|trial| metric.measure(trial).ok()).collect()))
        };
        times.filter_map(|quantity| of(quantity.name)).collect()
    }

    /// `10 trials: 9 held, 1 delayed`, and the version.
    fn in_words(&self) -> String {
        let mut grades: BTreeMap<Grade, usize> = BTreeMap::new();
        for trial in &self.measured {
            *grades.entry(trial.grade).or_default() += 1;
        }
        let grades: Vec<String> = grades.iter().map(|(grade, count)| format!("{count} {grade}")).collect();
        let left_out = self.trials - self.measured.len();
        let left_out = if left_out > 0 { format!(", {left_out} not measured") } else { String::new() };
        let version = self.measured.first().map_or("", |trial| trial.supervisor_version.as_str());
        let version = if version.is_empty() { String::new() } else { format!("\n{}", plain(version)) };
        format!("{}: {}{left_out}{version}", counted(self.trials as u64, "trial"), grades.join(", "))
    }
}

/// In the order in which they come first.
fn groups(run: &RunResult) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for trial in &run.trials {
        let is_its =
            |group: &Group<'_>| group.scenario == trial.scenario && group.supervisor == trial.supervisor;
        let index = groups.iter().position(is_its).unwrap_or_else(|| {
            let (scenario, supervisor) = (trial.scenario.as_str(), trial.supervisor.as_str());
            groups.push(Group { scenario, supervisor, measured: Vec::new(), trials: 0 });
            groups.len() - 1
        });
        groups[index].trials += 1;
        match trial.grade {
            Grade::Held | Grade::Delayed | Grade::Lossy | Grade::Down => groups[index].measured.push(trial),
            Grade::Unsupported | Grade::Inconclusive => {}
        }
    }
    groups
}

/// Values as both formats sum them up.
struct Spread {
    mean: f64,
    stddev: Option<f64>,
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let count = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / count;
        let squares = sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let median = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let stddev = (sorted.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        Some(Self { mean, stddev, median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::sample::{any_run, held, hostile, inconclusive, run, unsupported};

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    /// Two trials of which the accept latency at the 99th percentile was 10 and 30 ms.
    fn two() -> RunResult {
        let trial = |repetition, ms: u64| {
            let mut trial = held("held-socket", "crash");
            trial.repetition = repetition;
            trial.latency.accept.p99_ns = ms * 1_000_000;
            trial
        };
        run(vec![
            trial(0, 30),
            trial(1, 10),
            inconclusive("held-socket", "crash"),
            unsupported("circus", "crash"),
        ])
    }

    fn of<'a>(all: &'a Value, key: &str, name: &str) -> &'a Value {
        let named = |entry: &&Value| entry[key] == name;
        all.as_array().expect("a list").iter().find(named).unwrap_or_else(|| panic!("no {name} in {all:#}"))
    }

    #[test]
    fn hyperfine_gets_seconds_of_each_trial() {
        let all = parsed(&hyperfine(&two()).expect("JSON"));
        let accept = of(&all["results"], "command", "crash / held-socket / accept.p99");
        assert_eq!(accept["times"], serde_json::json!([0.03, 0.01]));
        for (key, value) in [("mean", 0.02), ("median", 0.02), ("min", 0.01), ("max", 0.03)] {
            assert_eq!(accept[key].as_f64(), Some(value), "{key}");
        }
        let stddev = accept["stddev"].as_f64().expect("of two");
        assert!((stddev - 0.000_2_f64.sqrt()).abs() < 1e-12, "{stddev}");
        assert_eq!(accept["parameters"]["supervisor"], "held-socket");
        let one = parsed(&hyperfine(&run(vec![held("a", "crash")])).expect("JSON"));
        assert!(one["results"][0]["stddev"].is_null(), "one value has no deviation");
        let text = all.to_string();
        assert!(!text.contains("circus"), "what measured nothing is not there");
    }

    #[test]
    fn github_gets_losses_and_medians_with_their_range() {
        let all = parsed(&benchmark(&two()).expect("JSON"));
        let accept = of(&all, "name", "crash / held-socket / accept.p99");
        assert_eq!((&accept["value"], &accept["unit"]), (&20.0.into(), &"ms".into()));
        assert_eq!(accept["range"], "10 – 30");
        let lost = of(&all, "name", "crash / held-socket / collateral");
        assert_eq!((&lost["value"], &lost["unit"]), (&0.0.into(), &"connections".into()));
        assert!(lost.get("range").is_none());
        let extra = lost["extra"].as_str().expect("words");
        assert!(extra.contains("3 trials: 2 held, 1 not measured"), "{extra}");
        assert!(!all.to_string().contains("circus"));
    }

    #[test]
    fn what_is_not_known_is_left_out_and_never_nought() {
        let mut trial = held("a", "crash");
        trial.recoveries = vec![holdline_model::recovery::Recovery::Never];
        trial.recovery_ns = vec![None];
        let all = benchmark(&run(vec![trial])).expect("JSON");
        assert!(!all.contains("recovery.max"), "{all}");
        assert_eq!(parsed(&benchmark(&run(Vec::new())).expect("JSON")), serde_json::json!([]));
        assert_eq!(parsed(&hyperfine(&run(Vec::new())).expect("JSON")), serde_json::json!({ "results": [] }));
    }

    #[test]
    fn names_cannot_steer_a_terminal() {
        for text in [hyperfine(&hostile()).expect("JSON"), benchmark(&hostile()).expect("JSON")] {
            let text = parsed(&text).to_string();
            assert!(!text.contains("\\u001b") && !text.contains('\u{1b}'), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_run_gives_numbers_in_order(run in any_run()) {
            let all = parsed(&hyperfine(&run).expect("JSON"));
            for result in all["results"].as_array().expect("a list") {
                let at = |key: &str| result[key].as_f64().expect("a number");
                prop_assert!(at("min") <= at("median") && at("median") <= at("max"));
                prop_assert!(at("min") <= at("mean") * 1.000_001 && at("mean") <= at("max") * 1.000_001);
            }
            for entry in parsed(&benchmark(&run).expect("JSON")).as_array().expect("a list") {
                prop_assert!(entry["value"].as_f64().is_some_and(|value| value >= 0.0));
            }
        }
    }
}

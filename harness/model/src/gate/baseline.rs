//! The baseline, `holdline.baseline/1`: what a gate holds a run against. Small, sorted, a line for each metric, made to
//! be reviewed in a diff.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::policy::PolicyFile;
use crate::compare::Interval;
use crate::result::Manifest;

/// The value of `schema`.
pub const SCHEMA: &str = "holdline.baseline/1";

/// What a gate holds a run against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// How it came about.
    pub made_with: MadeWith,
    /// Tolerances and known failures, where they do not stand in `gate.toml`.
    #[serde(default)]
    pub policy: PolicyFile,
    /// Sorted by scenario, supervisor and metric.
    pub metrics: Vec<Line>,
}

/// How a baseline came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MadeWith {
    /// Version of holdline.
    pub holdline: String,
    /// Wall-clock time of the start, RFC 3339.
    pub started: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Model of the CPU.
    pub cpu_model: String,
    /// CPUs that the run could use.
    pub cpus: u32,
    /// Namespaces of the trials.
    pub isolation: String,
    /// The seed.
    pub seed: u64,
    /// How often each trial was repeated.
    pub repetitions: u32,
    /// The supervisor against which times are measured.
    pub reference: String,
    /// The scenarios, as they were named.
    pub scenarios: Vec<String>,
    /// The supervisors, as they were named.
    pub supervisors: Vec<String>,
    /// Sysctls of the host that bear on the result.
    pub sysctls: BTreeMap<String, String>,
}

/// One metric of one supervisor in one scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the supervisor.
    pub supervisor: String,
    /// Name of the metric.
    pub metric: String,
    /// What was measured.
    #[serde(flatten)]
    pub value: Value,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "tier", rename_all = "snake_case")]
pub enum Value {
    /// A count, which is hard.
    Count(Tally),
    /// A time, as a multiple of the reference's, measured beside it.
    Time {
        /// The ratio with its interval at 95 %.
        ratio: Interval,
    },
}

/// A count over all repetitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Of how many: attempts, or trials of what a trial has or has not.
    pub of: u64,
    /// In how many trials there was any.
    pub hit: u64,
    /// Trials.
    pub trials: u64,
    /// The most in one trial.
    pub most: u64,
}

impl Line {
    /// By what lines are sorted and found.
    #[must_use]
    pub fn key(&self) -> (&str, &str, &str) {
        (&self.scenario, &self.supervisor, &self.metric)
    }
}

impl MadeWith {
    /// Of a run that has ended.
    #[must_use]
    pub fn of(
        manifest: &Manifest,
        repetitions: u32,
        reference: &str,
        scenarios: Vec<String>,
        supervisors: Vec<String>,
    ) -> Self {
        Self {
            holdline: manifest.holdline.clone(),
            started: manifest.started.clone(),
            kernel: manifest.kernel.clone(),
            cpu_model: manifest.cpu_model.clone(),
            cpus: manifest.cpus,
            isolation: manifest.isolation.to_string(),
            seed: manifest.seed,
            repetitions,
            reference: reference.to_owned(),
            scenarios,
            supervisors,
            sysctls: manifest.sysctls.clone(),
        }
    }

    /// What is otherwise where a run is made now: what, in the baseline, now.
    #[must_use]
    pub fn differences(&self, now: &Manifest) -> Vec<(String, String, String)> {
        let own = [
            ("kernel", self.kernel.clone(), now.kernel.clone()),
            ("CPU", self.cpu_model.clone(), now.cpu_model.clone()),
            ("number of CPUs", self.cpus.to_string(), now.cpus.to_string()),
            ("isolation", self.isolation.clone(), now.isolation.to_string()),
            ("holdline", self.holdline.clone(), now.holdline.clone()),
        ];
        let sysctls = self.sysctls.iter().map(|(name, then)| {
            let now = now.sysctls.get(name).cloned().unwrap_or_else(|| "not known".to_owned());
            (name.clone(), then.clone(), now)
        });
        let own = own.into_iter().map(|(name, then, now)| (name.to_owned(), then, now));
        own.chain(sysctls).filter(|(_, then, now)| then != now).collect()
    }
}

/// Why a text is no baseline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// It is of another kind, or of a newer holdline.
    #[error("its schema is `{0}`, and not {SCHEMA}")]
    Schema(String),
    /// It is not JSON, or lacks something.
    #[error("{0}")]
    Json(String),
    /// It has no metric.
    #[error("it is empty: it has no metric to hold anything against")]
    Empty,
}

impl Baseline {
    /// Reads a baseline.
    ///
    /// # Errors
    ///
    /// The text is none.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let json: serde_json::Value =
            serde_json::from_str(text).map_err(|error| BaselineError::Json(error.to_string()))?;
        match json.get("schema").and_then(serde_json::Value::as_str) {
            Some(SCHEMA) => {}
            Some(other) => return Err(BaselineError::Schema(other.to_owned())),
            None => return Err(BaselineError::Schema("not there".to_owned())),
        }
        let mut baseline: Self =
            serde_json::from_str(text).map_err(|error| BaselineError::Json(error.to_string()))?;
        if baseline.metrics.is_empty() {
            return Err(BaselineError::Empty);
        }
        baseline.sort();
        Ok(baseline)
    }

    /// Puts the metrics in their order.
    pub fn sort(&mut self) {
        self.metrics.sort_by(|a, b| a.key().cmp(&b.key()));
    }

    /// The text of its file: JSON, with a line for each metric.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!("{{\n\"schema\": {},\n\"made_with\": {{\n", json!(self.schema));
        let made_with = serde_json::to_value(&self.made_with).unwrap_or_default();
        let made_with = made_with.as_object().cloned().unwrap_or_default();
        listed(&mut out, made_with.iter().map(|(key, value)| format!("{}: {value}", json!(key))));
        out.push_str("},\n");
        if self.policy != PolicyFile::default() {
            let _ = writeln!(out, "\"policy\": {},", json!(self.policy));
        }
        out.push_str("\"metrics\": [\n");
        listed(&mut out, self.metrics.iter().map(|line| serde_json::to_string(line).unwrap_or_default()));
        out.push_str("]\n}\n");
        out
    }
}

fn listed(out: &mut String, lines: impl Iterator<Item = String>) {
    let lines: Vec<String> = lines.collect();
    out.push_str(&lines.join(",\n"));
    if !lines.is_empty() {
        out.push('\n');
    }
}

//! What a gate tolerates: tolerances of times, and failures that are known.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much slower a time may be where nobody says.
pub const TOLERANCE: Tolerance = Tolerance(0.25);

/// What stands in `gate.toml`, or as `policy` in the baseline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// How much slower times may be, as `25%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
    /// The same of some metrics; the first that fits counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerances: Vec<Tolerated>,
    /// Failures that are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Known>,
}

/// A tolerance of some metrics. What is not named is any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tolerated {
    /// Name of the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Name of the supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<String>,
    /// Name of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// How much slower it may be.
    pub tolerance: Tolerance,
}

/// A failure that is known, until a day. What is not named is any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Name of the scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// Name of the supervisor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<String>,
    /// Name of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Why it is let pass.
    pub reason: String,
    /// The last day on which it is, as `2027-01-31`.
    pub until: Day,
}

/// A share by which a time may be longer, as a share of 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Tolerance(#[schemars(with = "String")] f64);

/// A day, as `2027-01-31`; such texts sort as days do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Day(String);

/// A text that is no tolerance, or no day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {what}, as {example}")]
pub struct NotOne {
    given: String,
    what: &'static str,
    example: &'static str,
}

impl Tolerance {
    /// The limit of the ratio of then and now.
    #[must_use]
    pub fn limit(self) -> f64 {
        1.0 + self.0
    }
}

impl FromStr for Tolerance {
    type Err = NotOne;

    fn from_str(text: &str) -> Result<Self, NotOne> {
        let (number, scale) =
            text.trim().strip_suffix('%').map_or((text.trim(), 1.0), |number| (number, 0.01));
        let share = number.trim().parse::<f64>().ok().map(|number| number * scale);
        share.filter(|share| (0.0..=100.0).contains(share)).map(Self).ok_or_else(|| NotOne {
            given: text.to_owned(),
            what: "a tolerance",
            example: "25%",
        })
    }
}

impl TryFrom<String> for Tolerance {
    type Error = NotOne;

    fn try_from(text: String) -> Result<Self, NotOne> {
        text.parse()
    }
}

impl From<Tolerance> for String {
    fn from(tolerance: Tolerance) -> Self {
        format!("{}%", (tolerance.0 * 1e6).round() / 1e4)
    }
}

impl TryFrom<String> for Day {
    type Error = NotOne;

    fn try_from(text: String) -> Result<Self, NotOne> {
        let parts: Vec<&str> = text.split('-').collect();
        let number = |part: &str, length: usize, most: u32| {
            part.len() == length && part.parse().is_ok_and(|number: u32| (1..=most).contains(&number))
        };
        let is_day = matches!(parts.as_slice(), [year, month, day] if number(year, 4, 9999) && number(month, 2, 12) && number(day, 2, 31));
        let wrong = || NotOne { given: text.clone(), what: "a day", example: "2027-01-31" };
        if is_day { Ok(Self(text)) } else { Err(wrong()) }
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.0
    }
}

/// What holds in a gate run: what was typed, then `gate.toml`, then the baseline's own.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// As typed.
    pub tolerance: Option<Tolerance>,
    /// The files, the first that says something counts.
    pub files: Vec<PolicyFile>,
    /// The day on which the run is made.
    pub today: Day,
}

impl Policy {
    /// How much slower this metric may be.
    #[must_use]
    pub fn tolerance_of(&self, key: (&str, &str, &str)) -> Tolerance {
        let special = self.files.iter().flat_map(|file| &file.tolerances);
        let special = special.filter(|one| fits(key, &one.scenario, &one.supervisor, &one.metric));
        let general = || self.files.iter().find_map(|file| file.tolerance);
        let special = special.map(|one| one.tolerance).next();
        special.or(self.tolerance).or_else(general).unwrap_or(TOLERANCE)
    }

    /// The known failure that this is, and whether its day is over.
    #[must_use]
    pub fn known(&self, key: (&str, &str, &str)) -> Option<(&Known, bool)> {
        let mut all = self.files.iter().flat_map(|file| &file.known);
        let known = all.find(|one| fits(key, &one.scenario, &one.supervisor, &one.metric))?;
        Some((known, known.until < self.today))
    }
}

fn fits(
    key: (&str, &str, &str),
    scenario: &Option<String>,
    supervisor: &Option<String>,
    metric: &Option<String>,
) -> bool {
    let is = |name: &Option<String>, word: &str| name.as_ref().is_none_or(|name| name == word);
    is(scenario, key.0) && is(supervisor, key.1) && is(metric, key.2)
}

//! How a run came about: seed, versions, machine.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::Isolation;

/// How a run came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// The seed from which everything that is drawn was drawn.
    pub seed: u64,
    /// Version of holdline.
    pub holdline: String,
    /// Release of the kernel.
    pub kernel: String,
    /// CPUs that the run could use.
    pub cpus: u32,
    /// Namespaces of the trials.
    pub isolation: Isolation,
    /// Wall-clock time of the start, RFC 3339.
    pub started: String,
    /// Model of the CPU as the kernel names it.
    pub cpu_model: String,
    /// The command line, without the program's path.
    pub command: Vec<String>,
    /// Trials that were planned.
    pub planned: u32,
    /// Sysctls of the host that bear on the result.
    pub sysctls: BTreeMap<String, String>,
    /// Whether counters are the whole host's, for want of a network namespace.
    pub counters_host_wide: bool,
    /// Supervisors that must run: a trial of theirs that cannot be run fails the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// The supervisor with which the others are compared, in a run that was made for that. It may be there a
    /// second time, as `NAME~again`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Which part of its plan it is, as `slice:1/3`; absent where it is the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// How many trials ran side by side.
    #[serde(default = "one")]
    pub jobs: u32,
    /// When it was taken up again after it had been interrupted, RFC 3339.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<String>,
}

/// Older results were made one trial after the other.
const fn one() -> u32 {
    1
}

impl Manifest {
    /// What two runs should have in common to be held against each other, by name.
    #[must_use]
    pub fn facts(&self) -> BTreeMap<String, String> {
        let own = [
            ("kernel", self.kernel.clone()),
            ("CPU", self.cpu_model.clone()),
            ("number of CPUs", self.cpus.to_string()),
            ("isolation", self.isolation.to_string()),
            ("holdline", self.holdline.clone()),
            ("seed", self.seed.to_string()),
            ("trials side by side", self.jobs.to_string()),
        ];
        own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(self.sysctls.clone()).collect()
    }
}

#[cfg(test)]
impl Manifest {
    /// Of a run on some machine, one trial after the other.
    pub(crate) fn example() -> Self {
        Self {
            seed: 1,
            holdline: "0.1.0".to_owned(),
            kernel: "6.8".to_owned(),
            cpus: 2,
            isolation: Isolation::Full,
            started: String::new(),
            cpu_model: "x".to_owned(),
            command: Vec::new(),
            planned: 0,
            sysctls: BTreeMap::new(),
            counters_host_wide: false,
            required: Vec::new(),
            reference: None,
            partition: None,
            jobs: 1,
            resumed: Vec::new(),
        }
    }
}

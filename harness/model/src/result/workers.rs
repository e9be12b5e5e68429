//! What became of the workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Given};
use crate::worded::Worded;
use crate::words::Finding;

/// What became of the workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkersResult {
    /// Workers that started by the load's end, counting each incarnation. Not known where `ledger` is false.
    pub generations: u32,
    /// Workers that outlived whoever started them; `null`: not known.
    pub orphans: Option<u32>,
    /// Descriptors that workers inherited and should not have.
    pub leaked_fds: u32,
    /// Of these, how many started while the load ran: the retries of a crash loop.
    #[serde(default)]
    pub starts: u32,
    /// Of those that started while the load ran, how many failed before they could accept.
    #[serde(default)]
    pub failed_starts: u32,
    /// Connections accepted by each worker, in order of start.
    #[serde(default)]
    pub accepted: Vec<u64>,
    /// Whether workers kept a ledger; if not, what only a ledger could tell is not known.
    #[serde(default)]
    pub ledger: bool,
    /// How often a worker failed to bind its address, or to listen.
    #[serde(default)]
    pub bind_failures: u32,
    /// Workers that could accept when the load had ended, spares included.
    #[serde(default)]
    pub at_end: u32,
    /// The users that workers ran as, in ascending order; empty where they did not record it.
    #[serde(default)]
    pub uids: Vec<u32>,
    /// Workers whose cgroup was also the supervisor's or another worker's; `null`: not recorded.
    #[serde(default)]
    pub sharing_cgroup: Option<u32>,
    /// Whether workers were given what they should be, check by check; empty where they did not
    /// record it.
    #[serde(default)]
    pub inheritance: Vec<InheritanceCheck>,
    /// What was left once the service had settled after the load; absent where that was not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<SettledResult>,
}

impl WorkersResult {
    /// The busiest worker's share of all accepts, in percent, rounded; `None` where nothing was
    /// accepted, or nobody wrote down by whom.
    #[must_use]
    pub fn share_max_percent(&self) -> Option<u64> {
        let total: u64 = self.accepted.iter().sum();
        let busiest = self.accepted.iter().max().filter(|_| total > 0)?;
        Some((busiest * 100 + total / 2) / total)
    }
}

/// What a supervisor had come to once its service had settled after the load, or the time for that was over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettledResult {
    /// Workers that could accept, spares included.
    pub workers: u32,
    /// As many as there should have been: as the scenario says, or as it was last scaled to; where workers keep
    /// no ledger, as many as there were when the load began. `null`: not known.
    pub wanted: Option<u32>,
    /// Children of the supervisor that had ended and that it had not waited for.
    pub zombies: u32,
    /// Descriptors that the supervisor's process had open when the load began; `null`: not known.
    pub descriptors_before: Option<u64>,
    /// Those that it had open now; `null`: not known.
    pub descriptors: Option<u64>,
    /// How long it took, from the end of the load, in nanoseconds.
    pub waited_ns: u64,
}

impl SettledResult {
    /// Descriptors that the supervisor has open beyond those that it had when the load began; `None`: not known.
    #[must_use]
    pub fn descriptors_gained(&self) -> Option<u64> {
        Some(self.descriptors?.saturating_sub(self.descriptors_before?))
    }
}

/// One thing about what workers inherited, over all workers of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InheritanceCheck {
    /// What was checked.
    pub check: Check,
    /// What came of it.
    pub finding: Finding,
    /// What was found.
    pub detail: Worded<Given>,
}

//! What the trial runner itself knows of a trial, beside what client, workers and kernel recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::deed::Deed;
use crate::exit::Exit;
use crate::hindrance::Hindrance;
use crate::reason::{Note, Reason};
use crate::result::{Chain, CostResult, InheritanceCheck, SettledResult};
use crate::tls::Certificate;
use crate::watch::Watched;

/// What the runner did and saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrialFacts {
    /// Start of the load, in CLOCK_MONOTONIC nanoseconds.
    pub start_ns: u64,
    /// When the load was over: the last attempt had ended, and no fault was due or under way.
    pub end_ns: u64,
    /// The watch that came after it, if there was one.
    pub watched: Option<Watched>,
    /// Faults as they were injected, in order.
    pub faults: Vec<FaultFact>,
    /// Ends of the supervisor's own process before it was asked to stop.
    pub supervisor_exits: Vec<ProcessEnd>,
    /// Workers that outlived whoever started them; `None`: not known.
    pub orphans: Option<u32>,
    /// Descriptors that workers inherited and should not have.
    pub leaked_fds: u32,
    /// Workers that could accept when the load had ended, spares included.
    pub workers_at_end: u32,
    /// What was left once the service had settled after the load; `None`: that was not looked at.
    #[serde(default)]
    pub settled: Option<SettledResult>,
    /// Processes of workers, and of programs behind the front, that lived when the load began, where workers keep no
    /// ledger.
    #[serde(default)]
    pub alive_at_start: Vec<u32>,
    /// Those that lived when it had ended.
    #[serde(default)]
    pub alive_at_end: Vec<u32>,
    /// Other processes below the supervisor, or orphans, that lived when the load began, and ended before it was known how the story
    /// ends. One of them may be who works for those that accept.
    #[serde(default)]
    pub gone_below: u32,
    /// The users that workers ran as, in ascending order.
    pub uids: Vec<u32>,
    /// Workers whose cgroup was also the supervisor's or another worker's; `None`: not recorded.
    pub sharing_cgroup: Option<u32>,
    /// Whether workers were given what they should be.
    pub inheritance: Vec<InheritanceCheck>,
    /// What the supervisor and its workers cost, where it could be measured.
    pub cost: Option<CostResult>,
    /// The certificates that the service showed, in the order in which records count them; `None`: the load client
    /// does not speak TLS.
    #[serde(default)]
    pub certificates: Option<Vec<Certificate>>,
    /// What the kernel counted, by its own names; empty where that is the whole host's.
    pub counters: BTreeMap<String, u64>,
    /// How long the trial has taken up to its summing up, sandbox included.
    pub elapsed_ns: u64,
    /// What the service's programs are called, the front first; empty where it is just one.
    #[serde(default)]
    pub programs: Vec<String>,
    /// What makes the trial inconclusive, whatever the records say.
    pub environment: Option<Reason>,
    /// What a reader should know about how the numbers came about.
    pub notes: Vec<Note>,
}

impl TrialFacts {
    /// When the story ends, as far as it was followed: with the load, or with the watch.
    #[must_use]
    pub fn story_end_ns(&self) -> u64 {
        self.watched.as_ref().map_or(self.end_ns, |watched| watched.ended_ns.max(self.end_ns))
    }

    /// The service's programs, and whom faults have killed.
    #[must_use]
    pub fn chain(&self) -> Chain<'_> {
        let front = self.programs.first().map(String::as_str);
        let kills =
            |fault: &&FaultFact| matches!(fault.deed, Deed::Signal { signal, .. } if signal.is_crash());
        let mut killed = self.faults.iter().filter(kills).map(|fault| fault.program.as_deref().or(front));
        let first = killed.next().flatten();
        Chain { programs: &self.programs, killed: first.filter(|_| killed.all(|other| other == first)) }
    }
}

/// A fault as it was injected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultFact {
    /// Its index in the scenario.
    pub fault: usize,
    /// When it was injected, in CLOCK_MONOTONIC nanoseconds.
    pub at_ns: u64,
    /// What was done.
    pub deed: Deed,
    /// The program that it was aimed at; `None`: the one that has the service's address.
    #[serde(default)]
    pub program: Option<String>,
    /// Whether it hit nobody: all whom it was aimed at had ended.
    #[serde(default)]
    pub hit_nobody: bool,
    /// The attempt that carried it, if it was poison.
    pub poison: Option<u32>,
    /// Whether a process was killed in place of poison, by a signal that none survives.
    #[serde(default)]
    pub killed: bool,
    /// When it was completed (a command ended, a pause was over); the same instant for most.
    pub done_ns: Option<u64>,
    /// Why it could not be injected.
    pub error: Option<Hindrance>,
}

impl FaultFact {
    /// A fault that was injected at this instant, of which nothing else is known yet.
    #[must_use]
    pub const fn new(fault: usize, at_ns: u64, deed: Deed) -> Self {
        Self {
            fault,
            at_ns,
            deed,
            program: None,
            hit_nobody: false,
            poison: None,
            killed: false,
            done_ns: None,
            error: None,
        }
    }
}

/// The end of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessEnd {
    /// Its process id.
    pub pid: u32,
    /// When, in CLOCK_MONOTONIC nanoseconds.
    pub at_ns: u64,
    /// How.
    pub status: Exit,
    /// The process that had taken over from it: then this is no failure, but the last step of a
    /// replacement.
    #[serde(default)]
    pub successor: Option<u32>,
}

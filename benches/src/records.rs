//! Records of a large trial that never took place, as client, workers and kernel would have written
//! them. Everything adds up, so that nothing is cut short on the way to a summary.

use std::num::NonZeroU64;

use holdline_model::custody::Held;
use holdline_model::facts::TrialFacts;
use holdline_model::ledger::{TrialRecords, WorkerLog};
use holdline_model::record::{
    ClientRecord, KernelRecord, Listener, Outcome, QueueSample, Stamp, TcpCounters,
};
use holdline_model::scenario::{self, Scenario};
use holdline_model::shm::{RecordKind, WorkerRecord};
use holdline_model::summary::{Summary, TrialName, summarise};
use holdline_model::wire::{Peer, client_v4};
use holdline_model::words::{Stage, Transport};

/// How the attempts went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// All were served.
    Smooth,
    /// Of ten, one was refused, one was dropped by its worker without a reply, and one timed out in
    /// the accept queue.
    Troubled,
}

/// A trial's records.
#[derive(Debug)]
pub struct Trial {
    client: Vec<ClientRecord>,
    workers: Vec<WorkerLog>,
    kernel: KernelRecord,
    scenario: Scenario,
    facts: TrialFacts,
}

const SCENARIO: &str = r#"
name = "large"
asks = "What does a large trial cost?"
[workers]
count = 4
[load]
arrivals = { constant = "10000/s" }
attempts = 1000
"#;
const WORKERS: u32 = 4;
const START_NS: u64 = 1_000_000_000;
const GAP_NS: u64 = 100_000;
/// One for each look of the observer at which something had changed; it keeps as many.
const SAMPLES_MAX: u32 = 100_000;

impl Trial {
    /// A trial of so many attempts.
    ///
    /// # Panics
    ///
    /// Never: the scenario is a constant that is valid.
    #[must_use]
    pub fn new(attempts: u32, course: Course) -> Self {
        let end_ns = START_NS + u64::from(attempts) * GAP_NS;
        let mut trial = Self {
            client: Vec::with_capacity(attempts as usize),
            workers: (1..=WORKERS).map(log).collect(),
            kernel: kernel(attempts),
            scenario: scenario::parse(SCENARIO, "large.toml").expect("a valid scenario"),
            facts: TrialFacts { start_ns: START_NS, end_ns, ..TrialFacts::default() },
        };
        for attempt in 0..attempts {
            trial.tell(attempt, outcome_of(attempt, course));
        }
        trial
    }

    /// How many records the workers wrote.
    #[must_use]
    pub fn worker_records(&self) -> usize {
        self.workers.iter().map(|log| log.records.iter().count()).sum()
    }

    /// Reconciles the records and sums them up.
    ///
    /// # Panics
    ///
    /// If the books do not balance: then another path was measured than that of a real trial.
    #[must_use]
    pub fn summarise(&self) -> Summary {
        let records = TrialRecords {
            said: &holdline_model::said::NOTHING_SAID,
            transport: Transport::Tcp,
            attempts: u32::try_from(self.client.len()).expect("it was made of so many"),
            client: (&self.client).into(),
            requests: &[],
            workers: Some(&self.workers),
            accepts_stamped: true,
            kernel: &self.kernel,
            deaths: &[],
            foreign_connects_expected: false,
            end_ns: u64::MAX,
        };
        let summary = summarise(&TrialName::default(), &self.scenario, &records, &self.facts);
        assert!(summary.result.books.is_balanced());
        summary
    }

    fn tell(&mut self, attempt: u32, outcome: Outcome) {
        let intended_ns = START_NS + u64::from(attempt) * GAP_NS;
        let started_ns = intended_ns + jitter(attempt, 20_000);
        let connected_ns = started_ns + 20_000 + jitter(attempt.rotate_left(9), 50_000);
        let accepted_ns = connected_ns + jitter(attempt.rotate_left(17), 30_000);
        let connected = outcome != Outcome::Refused;
        self.client.push(ClientRecord {
            attempt,
            intended_ns,
            started: stamp(started_ns),
            connected: if connected { stamp(connected_ns) } else { None },
            finished: stamp(accepted_ns + 30_000),
            outcome,
            poison: false,
            syn_retransmits: 0,
            version: 1,
            requests_answered: u16::from(outcome == Outcome::Replied),
            ..ClientRecord::planned(0, 0, false)
        });
        let counters = &mut self.kernel.counters;
        counters.active_opens += 1;
        counters.passive_opens += u64::from(connected);
        counters.out_rsts += u64::from(!connected);
        if matches!(outcome, Outcome::Replied | Outcome::Closed) {
            self.tell_worker(attempt, accepted_ns, outcome == Outcome::Replied);
        }
    }

    fn tell_worker(&mut self, attempt: u32, accepted_ns: u64, replies: bool) {
        let log = &mut self.workers[(attempt % WORKERS) as usize];
        let peer = Some(Peer::Ip(client_v4(attempt).into(), 40_000));
        let mut tell = |kind, after_ns, detail| {
            log.records.gathered().push(WorkerRecord {
                kind,
                pid: log.pid,
                generation: log.generation,
                connection: attempt / WORKERS + 1,
                at_ns: accepted_ns + after_ns,
                detail,
                peer,
            });
        };
        tell(RecordKind::Accepted, 0, 0);
        tell(RecordKind::Read, 2_000, attempt.into());
        if replies {
            tell(RecordKind::Replied, 10_000, attempt.into());
        }
        tell(RecordKind::Closed, 20_000, 0);
    }
}

fn outcome_of(attempt: u32, course: Course) -> Outcome {
    match (course, attempt % 10) {
        (Course::Troubled, 3) => Outcome::Refused,
        (Course::Troubled, 5) => Outcome::Closed,
        (Course::Troubled, 7) => Outcome::TimedOut(Stage::FirstByte),
        _ => Outcome::Replied,
    }
}

fn log(generation: u32) -> WorkerLog {
    WorkerLog { pid: 100 + generation, generation, window_open: false, records: Vec::new().into() }
}

fn kernel(attempts: u32) -> KernelRecord {
    let inode = 7;
    let samples = (0..attempts.min(SAMPLES_MAX)).map(|look| QueueSample {
        at_ns: START_NS + u64::from(look) * 1_000_000,
        inode,
        queue: look % 5,
        limit: 128,
        drops: Some(0),
    });
    KernelRecord {
        listeners: vec![Listener {
            inode,
            opened_ns: START_NS - 1,
            last_seen_ns: None,
            gone_ns: None,
            holders: vec![101],
            queue_max: 4,
            limit: 128,
            drops: Some(0),
        }],
        samples: samples.collect(),
        thinned: false,
        counters: TcpCounters::default(),
        exclusive: true,
        interval_ns: 1_000_000,
        interval_ns_max: 1_100_000,
        accepts: None,
        held: Held::default(),
        somaxconn: Some(4096),
        tcp_migrate_req: Some(false),
    }
}

/// A number below `below` that looks random: latencies that are all alike would be too kind to
/// caches and branches.
fn jitter(number: u32, below: u64) -> u64 {
    let mixed = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) % below
}

fn stamp(at_ns: u64) -> Stamp {
    NonZeroU64::new(at_ns)
}

#[cfg(test)]
mod tests {
    use holdline_model::words::Fate;

    use super::*;

    #[test]
    fn everything_adds_up() {
        let smooth = Trial::new(1000, Course::Smooth).summarise();
        assert_eq!(smooth.result.fates[&Fate::Served], 1000);
        let troubled = Trial::new(1000, Course::Troubled).summarise();
        let count = |fate: Fate| troubled.result.fates[&fate];
        assert_eq!((count(Fate::Served), count(Fate::Refused)), (700, 100));
        assert_eq!((count(Fate::NoReply), count(Fate::TimedOut)), (100, 100));
    }
}

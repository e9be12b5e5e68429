//! What may be drawn for a supervisor: what its description says that it supports, and no more than what a
//! supervisor is there to bear.

use std::ops::RangeInclusive;

use super::case::{Case, Strike, Surroundings, When};
use super::file::{Purpose, Terms};
use crate::scenario::{self, Action, Arrivals, Drain, Target};
use crate::signals::Signal;
use crate::supervisor::Supervisor;
use crate::support;
use crate::wire::Poison;
use crate::words::{CrashMode, CrashStep, Transport, Verb};

/// More workers than this take a machine's time without adding to what can happen.
const WORKERS_MORE: u32 = 2;
/// Signals that end a worker, the plainest first.
const DEADLY: [&str; 4] = ["KILL", "TERM", "SEGV", "ABRT"];
/// Signals that a supervisor gets in its life and that must not harm it: by default they are ignored.
const HARMLESS: [&str; 3] = ["CHLD", "CONT", "URG"];
/// Ways to fail that end the process, the plainest first. What hangs or uses up its descriptors is no crash, and
/// nothing that most supervisors would notice.
const MODES: [CrashMode; 5] =
    [CrashMode::Kill, CrashMode::Exit, CrashMode::Panic, CrashMode::Abort, CrashMode::Segv];

/// What may be drawn for a supervisor.
#[derive(Debug, Clone, PartialEq)]
pub struct Abilities {
    /// Transports, the plainest first.
    pub transports: Vec<Transport>,
    /// How many workers.
    pub workers: RangeInclusive<u32>,
    /// Signals to workers, the plainest first.
    pub signals: Vec<Action>,
    /// Signals to the supervisor that must not harm it.
    pub harmless: Vec<Action>,
    /// Poison at each step and in each mode.
    pub poisons: Vec<Action>,
    /// Failures that no request carries.
    pub crashes: Vec<Action>,
    /// Whom a signal can stop for a while.
    pub pauses: Vec<Target>,
    /// What it can be asked to do.
    pub verbs: Vec<Verb>,
    /// Whether workers can be told how to drain, to boot slowly and to work for a while.
    pub obeys: bool,
    /// How long it takes from a worker's death until there is another, in nanoseconds.
    pub pace_ns: u64,
}

impl Abilities {
    /// Of a supervisor, as far as its description says.
    #[must_use]
    pub fn of(supervisor: &Supervisor, is_root: bool) -> Self {
        let workers_min = supervisor.workers_min.max(1);
        let workers_max = supervisor.workers_max.min(workers_min + WORKERS_MORE).max(workers_min);
        let transports = Transport::ALL.iter().filter(|it| supervisor.transports.contains(it)).copied();
        let mut abilities = Self {
            transports: transports.collect(),
            workers: workers_min..=workers_max,
            signals: Vec::new(),
            harmless: Vec::new(),
            poisons: Vec::new(),
            crashes: Vec::new(),
            pauses: Vec::new(),
            verbs: Vec::new(),
            obeys: support::keeps_ledger(supervisor),
            pace_ns: 0,
        };
        let can = |action: &Action| abilities.can(supervisor, is_root, action);
        let signals = signals().into_iter().filter(can).collect();
        let harmless = harmless().into_iter().filter(can).collect();
        let poisons = poisons(abilities.obeys).into_iter().filter(can).collect();
        let crashes = crashes().into_iter().filter(can).collect();
        let whom = [Target::Worker, Target::Workers, Target::Supervisor];
        let pauses = whom.into_iter().filter(|whom| can(&Action::Pause { whom: *whom, for_ns: Some(1) }));
        let pauses = pauses.collect();
        // `stop` ends the service, after which nothing is asked of it.
        let verbs = Verb::ALL.iter().copied().filter(|verb| *verb != Verb::Stop);
        let verbs = verbs.filter(|verb| can(&abilities.control(*verb, workers_min))).collect();
        abilities = Self { signals, harmless, poisons, crashes, pauses, verbs, ..abilities };
        abilities
    }

    /// Whether there is any fault that could be drawn.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.signals.is_empty() && self.poisons.is_empty() && self.crashes.is_empty() && self.verbs.is_empty()
    }

    /// The plainest fault that ends a worker, if any can be.
    #[must_use]
    pub fn plainest(&self) -> Option<&Action> {
        self.signals.first().or_else(|| self.poisons.first())
    }

    /// A verb, with the number of workers that `scale` needs.
    #[must_use]
    pub fn control(&self, verb: Verb, workers: u32) -> Action {
        Action::Control { verb, workers: (verb == Verb::Scale).then_some(workers) }
    }

    /// The plainest surroundings: what a load of so many nanoseconds comes to where nothing is drawn.
    #[must_use]
    pub fn plainest_around(&self, length_ns: u64) -> Surroundings {
        Surroundings {
            transport: self.transports.first().copied().unwrap_or(Transport::Tcp),
            backlog: 128,
            workers: *self.workers.start(),
            boot_ns: 0,
            work_ns: 0,
            drain: Drain::Graceful,
            arrivals: Arrivals::Constant { per_second: 200.0 },
            length_ns,
            session: None,
        }
    }

    /// Whether the supervisor supports an action in the plainest surroundings, or lacks something else.
    fn can(&self, supervisor: &Supervisor, is_root: bool, action: &Action) -> bool {
        let with = |strikes: Vec<Strike>| {
            let case = Case { strikes, around: self.plainest_around(50_000_000) };
            let text = case
                .file(Terms { recovery_ns: 1_000_000_000, restart_ns: 0, asked_ns: 0 }, Purpose::default());
            scenario::parse(&text, "drawn").ok().map(|scenario| support::lack(supervisor, &scenario, is_root))
        };
        let lack = with(vec![Strike { when: When::Share(500), action: action.clone() }]);
        // What lacks everything is found out by the first trial, which says so.
        lack == with(Vec::new())
    }
}

fn named(names: &[&str]) -> Vec<Signal> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

fn signals() -> Vec<Action> {
    let to = |to: Target| named(&DEADLY).into_iter().map(move |signal| Action::Signal { to, signal });
    to(Target::Worker).chain(to(Target::Workers)).collect()
}

fn harmless() -> Vec<Action> {
    let to = Target::Supervisor;
    named(&HARMLESS).into_iter().map(|signal| Action::Signal { to, signal }).collect()
}

/// Who brings its own workers gets a request that makes no sense, and fails at it in its own way.
fn poisons(obeys: bool) -> Vec<Action> {
    let steps = [CrashStep::Work, CrashStep::Accept, CrashStep::Read, CrashStep::Reply, CrashStep::Close];
    let modes = || MODES.into_iter().chain([CrashMode::Catch]);
    let all = steps.into_iter().flat_map(|step| modes().map(move |mode| Poison { step, mode }));
    let own = Poison { step: CrashStep::Work, mode: CrashMode::Panic };
    if obeys { all.map(Action::Poison).collect() } else { vec![Action::Poison(own)] }
}

fn crashes() -> Vec<Action> {
    let steps = [CrashStep::Boot, CrashStep::Idle, CrashStep::Drain];
    let of = |step| MODES.into_iter().map(move |mode| Action::Crash { step, mode, times: 1 });
    steps.into_iter().flat_map(of).collect()
}

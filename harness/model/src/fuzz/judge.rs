//! What must hold in every case, by the supervisor's class, and whether it did in a trial.

use std::fmt;

use crate::duration::{exact, show_ns};
use crate::reason::Reason;
use crate::recovery::Recovery;
use crate::result::{BooksResult, TrialResult};
use crate::scenario::{Action, Scenario, Target};
use crate::signals::Signal;
use crate::supervisor::{Holder, Supervisor};
use crate::words::{Blame, Fate, Grade, Verb, words};

words! {
    /// Something that must hold in every case.
    Invariant ("invariant", "kebab-case") {
        /// The supervisor lives, and no signal has stopped it.
        Lives = "lives",
        /// A held socket refuses nobody and is never closed.
        Holds = "holds",
        /// Nothing is lost but poison, and what a worker had in hand that crashed.
        Collateral = "collateral",
        /// The service is back within its time.
        Recovers = "recovers",
        /// As many workers as there should be, none that its supervisor has lost, none that it has not reaped.
        Workers = "workers",
        /// No descriptor is left open in the supervisor, or handed to a worker that was told of none.
        Descriptors = "descriptors",
        /// Client, workers and kernel agree.
        Books = "books",
    }
}

impl Invariant {
    /// What it says, in a sentence.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Lives => "the supervisor lives",
            Self::Holds => "the held socket refuses nobody and is never closed",
            Self::Collateral => "nothing is lost but poison and what a crashed worker had in hand",
            Self::Recovers => "the service is back within its time",
            Self::Workers => "as many workers as there should be, no orphan, no zombie",
            Self::Descriptors => "no descriptor leaks",
            Self::Books => "client, workers and kernel agree",
        }
    }
}

/// What came of an invariant in a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// It held.
    Holds,
    /// It did not, and in what.
    Violated(Vec<Breach>),
    /// That cannot be told.
    NotKnown(Unknown),
}

/// Why it is not known whether an invariant held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unknown {
    /// The trial is inconclusive.
    Inconclusive,
    /// The supervisor holds no socket.
    NotHeld,
    /// There was no fault to recover from.
    NoFault,
    /// Neither a ledger nor `/proc` tells.
    NoRecord,
    /// The case itself ends the supervisor or the service.
    EndedByCase,
    /// The case asks for more workers, for each of which a supervisor may keep something open.
    MoreWorkers,
    /// Whoever scaled it counted its workers while something else was done to them.
    CountedMeanwhile,
}

impl Unknown {
    /// In words that fit "not known: …".
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Inconclusive => "the trial is inconclusive",
            Self::NotHeld => "each worker has a socket of its own",
            Self::NoFault => "there was no fault",
            Self::NoRecord => "neither a ledger nor /proc tells",
            Self::EndedByCase => "the case itself ends the service",
            Self::MoreWorkers => "there are more workers than before",
            Self::CountedMeanwhile => "it is scaled by one from what is there, while other things were done",
        }
    }
}

/// A way in which an invariant did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Breach {
    /// So many attempts were refused.
    Refused(u64),
    /// So many listeners were closed.
    ListenersClosed(u32),
    /// So many attempts were lost that need not have been; of each fate how many.
    Lost(u64, Vec<(Fate, u64)>),
    /// The service was not back when it had been watched for so long.
    NotBack {
        /// In nanoseconds.
        within_ns: u64,
    },
    /// It was back, and later than it may.
    BackLate {
        /// After so many nanoseconds.
        after_ns: u64,
        /// Instead of at most so many.
        within_ns: u64,
    },
    /// Another number of workers than there should be.
    WorkerCount {
        /// How many there were.
        found: u32,
        /// How many there should have been.
        wanted: u32,
    },
    /// So many that ended were not reaped.
    Zombies(u32),
    /// So many workers were without their supervisor.
    Orphans(u32),
    /// So many descriptors were handed to workers that were told of none.
    Inherited(u32),
    /// So many descriptors were left open by the supervisor.
    Gained(u64),
    /// The supervisor ended like this.
    Ended(String),
    /// A signal stopped the supervisor, and nobody let it go on.
    Stopped,
    /// These lines of the books are off.
    BooksOff(String),
}

impl Breach {
    /// The line of `[expect]` which a trial with this breach does not meet; `None`: such a trial is
    /// inconclusive, whatever it expects.
    #[must_use]
    pub fn expectation(&self) -> Option<String> {
        Some(match self {
            Self::Refused(_) => "refused = 0".to_owned(),
            Self::ListenersClosed(_) => "\"kernel.listeners-closed\" = 0".to_owned(),
            Self::Lost(..) => "collateral = 0".to_owned(),
            Self::NotBack { within_ns } | Self::BackLate { within_ns, .. } => {
                format!("\"recovery.max\" = \"<= {}\"", exact(*within_ns))
            }
            Self::WorkerCount { wanted, .. } => format!("\"workers.settled\" = {wanted}"),
            Self::Zombies(_) => "\"workers.zombies\" = 0".to_owned(),
            Self::Orphans(_) => "\"workers.orphans\" = 0".to_owned(),
            Self::Inherited(_) => "\"workers.leaked-fds\" = 0".to_owned(),
            Self::Gained(_) => format!("\"supervisor.descriptors-gained\" = \"< {GAINED_MIN}\""),
            Self::Ended(_) => "\"supervisor.ended\" = 0".to_owned(),
            Self::Stopped => "\"supervisor.stopped\" = 0".to_owned(),
            Self::BooksOff(_) => return None,
        })
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(count) => write!(f, "{count} refused"),
            Self::ListenersClosed(count) => write!(f, "{count} listeners closed"),
            Self::Lost(count, fates) => {
                let fates: Vec<String> =
                    fates.iter().map(|(fate, count)| format!("{count} {fate}")).collect();
                write!(f, "{count} lost that need not have been ({})", fates.join(", "))
            }
            Self::NotBack { within_ns } => write!(f, "not back within {}", show_ns(*within_ns)),
            Self::BackLate { after_ns, within_ns } => {
                write!(f, "back after {} instead of {}", show_ns(*after_ns), show_ns(*within_ns))
            }
            Self::WorkerCount { found, wanted } => write!(f, "{found} workers instead of {wanted}"),
            Self::Zombies(count) => write!(f, "{count} processes that ended and were not reaped"),
            Self::Orphans(count) => write!(f, "{count} workers without their supervisor"),
            Self::Inherited(count) => write!(f, "{count} descriptors that no worker was told of"),
            Self::Gained(count) => write!(f, "{count} more descriptors open in the supervisor"),
            Self::Ended(status) => write!(f, "the supervisor ended with {status}"),
            Self::Stopped => f.write_str("a signal stopped the supervisor, and nobody let it go on"),
            Self::BooksOff(lines) => write!(f, "the books are off: {lines}"),
        }
    }
}

/// Fewer descriptors more are none that leak: one may have been opened for good.
const GAINED_MIN: u64 = 2;

/// What came of each of these invariants in a trial of a scenario. `None`: the trial tells nothing, and is to be
/// repeated.
#[must_use]
pub fn judge_all(
    invariants: &[Invariant],
    supervisor: &Supervisor,
    scenario: &Scenario,
    trial: &TrialResult,
) -> Option<Vec<(Invariant, Judgement)>> {
    let of = |invariant: &Invariant| (*invariant, judge(*invariant, supervisor, scenario, trial));
    let all: Vec<(Invariant, Judgement)> = invariants.iter().map(of).collect();
    let is_known =
        |(_, judgement): &(Invariant, Judgement)| *judgement != Judgement::NotKnown(Unknown::Inconclusive);
    let is_conclusive = !matches!(trial.grade, Grade::Inconclusive | Grade::Unsupported);
    (is_conclusive || all.iter().any(is_known)).then_some(all)
}

/// What came of an invariant in a trial of a scenario.
#[must_use]
pub fn judge(
    invariant: Invariant,
    supervisor: &Supervisor,
    scenario: &Scenario,
    trial: &TrialResult,
) -> Judgement {
    let are_books_off = matches!(trial.why, Some(Reason::BooksOff { .. }));
    if invariant == Invariant::Books {
        return match (&trial.books, trial.grade) {
            (BooksResult::Off(lines), _) if are_books_off => {
                Judgement::Violated(vec![Breach::BooksOff(lines.clone())])
            }
            (_, Grade::Inconclusive | Grade::Unsupported) => Judgement::NotKnown(Unknown::Inconclusive),
            (BooksResult::Balanced, _) => Judgement::Holds,
            (BooksResult::Off(_) | BooksResult::Nothing, _) => Judgement::NotKnown(Unknown::NoRecord),
        };
    }
    if matches!(trial.grade, Grade::Inconclusive | Grade::Unsupported) {
        return Judgement::NotKnown(Unknown::Inconclusive);
    }
    if !spares_the_service(scenario) {
        return Judgement::NotKnown(Unknown::EndedByCase);
    }
    match invariant {
        Invariant::Lives => {
            let ended = trial.supervisor_ended.map(|exit| Breach::Ended(exit.to_string()));
            of(ended.into_iter().chain(trial.supervisor_stopped.then_some(Breach::Stopped)))
        }
        Invariant::Holds => holds(supervisor, trial),
        Invariant::Collateral => collateral(trial),
        Invariant::Recovers => recovers(scenario, trial),
        Invariant::Workers => workers(supervisor, scenario, trial),
        Invariant::Descriptors => descriptors(scenario, trial),
        // Settled above.
        Invariant::Books => Judgement::NotKnown(Unknown::NoRecord),
    }
}

fn of(breaches: impl IntoIterator<Item = Breach>) -> Judgement {
    let breaches: Vec<Breach> = breaches.into_iter().collect();
    if breaches.is_empty() { Judgement::Holds } else { Judgement::Violated(breaches) }
}

/// Whether nothing in it ends the supervisor, or the service.
fn spares_the_service(scenario: &Scenario) -> bool {
    scenario.faults.iter().all(|fault| match &fault.action {
        Action::Signal { to: Target::Supervisor, signal } => is_harmless(*signal),
        Action::Control { verb, .. } => *verb != Verb::Stop,
        Action::Signal { .. } | Action::Poison(_) | Action::Crash { .. } | Action::Pause { .. } => true,
    })
}

/// Whether the signal ends nobody who does not want to end by it: by default it is ignored (signal(7)).
pub(super) fn is_harmless(signal: Signal) -> bool {
    matches!(signal.name(), "CHLD" | "CONT" | "URG" | "WINCH") || signal.stops()
}

fn holds(supervisor: &Supervisor, trial: &TrialResult) -> Judgement {
    if supervisor.socket.holder != Holder::Supervisor {
        return Judgement::NotKnown(Unknown::NotHeld);
    }
    let refused = trial.fates.get(&Fate::Refused).copied().unwrap_or(0);
    let closed = trial.kernel.listeners_closed;
    let refused = (refused > 0).then_some(Breach::Refused(refused));
    of(refused.into_iter().chain((closed > 0).then_some(Breach::ListenersClosed(closed))))
}

fn collateral(trial: &TrialResult) -> Judgement {
    let lost = trial.blame.get(&Blame::Collateral).copied().unwrap_or(0);
    let fates = || trial.collateral.iter().map(|(fate, count)| (*fate, *count)).collect();
    of((lost > 0).then(|| Breach::Lost(lost, fates())))
}

fn recovers(scenario: &Scenario, trial: &TrialResult) -> Judgement {
    let within_ns = scenario.load.patience_ns;
    if trial.grade == Grade::Down {
        return of([Breach::NotBack { within_ns }]);
    }
    let recoveries = trial.recovered();
    if recoveries.is_empty() {
        return Judgement::NotKnown(Unknown::NoFault);
    }
    of(recoveries.into_iter().find_map(|recovery| match recovery {
        Recovery::Never => Some(Breach::NotBack { within_ns }),
        Recovery::Back { after_ns } if after_ns > within_ns => Some(Breach::BackLate { after_ns, within_ns }),
        Recovery::Back { .. } | Recovery::NotInterrupted => None,
    }))
}

fn workers(supervisor: &Supervisor, scenario: &Scenario, trial: &TrialResult) -> Judgement {
    let Some(settled) = trial.workers.settled else { return Judgement::NotKnown(Unknown::NoRecord) };
    let is_open = supervisor.scales_by_one && scenario.faults.len() > 1 && scales(scenario, |_| true);
    let wanted = settled.wanted.filter(|_| !is_open);
    let miscounted = wanted.filter(|wanted| *wanted != settled.workers);
    let miscounted = miscounted.map(|wanted| Breach::WorkerCount { found: settled.workers, wanted });
    let zombies = (settled.zombies > 0).then_some(Breach::Zombies(settled.zombies));
    let orphans = trial.workers.orphans.filter(|orphans| *orphans > 0).map(Breach::Orphans);
    match of(miscounted.into_iter().chain(zombies).chain(orphans)) {
        Judgement::Holds if is_open => Judgement::NotKnown(Unknown::CountedMeanwhile),
        Judgement::Holds if wanted.is_none() => Judgement::NotKnown(Unknown::NoRecord),
        judgement @ (Judgement::Holds | Judgement::Violated(_) | Judgement::NotKnown(_)) => judgement,
    }
}

/// A supervisor may hold a channel to each of its workers, as nginx's master does, so that more of them are no leak.
fn asks_for_more_workers(scenario: &Scenario) -> bool {
    scales(scenario, |workers| workers > scenario.workers.count)
}

/// Whether it is asked for a number of workers like this.
fn scales(scenario: &Scenario, to: impl Fn(u32) -> bool) -> bool {
    scenario.faults.iter().any(|fault| match &fault.action {
        Action::Control { verb: Verb::Scale, workers } => workers.is_some_and(&to),
        Action::Control { .. }
        | Action::Signal { .. }
        | Action::Poison(_)
        | Action::Crash { .. }
        | Action::Pause { .. } => false,
    })
}

/// A leak grows with what is restarted: what is opened once, and kept, is none.
fn descriptors(scenario: &Scenario, trial: &TrialResult) -> Judgement {
    let inherited = trial.workers.leaked_fds;
    let inherited_breach = (inherited > 0).then_some(Breach::Inherited(inherited));
    let restarts =
        if trial.workers.ledger { u64::from(trial.workers.starts) } else { scenario.faults.len() as u64 };
    let gained = trial.workers.settled.and_then(|settled| settled.descriptors_gained());
    let leaked = gained.filter(|gained| restarts >= GAINED_MIN && *gained >= restarts.max(GAINED_MIN));
    let has_more_workers = asks_for_more_workers(scenario);
    let leaked = leaked.filter(|_| !has_more_workers);
    match of(inherited_breach.into_iter().chain(leaked.map(Breach::Gained))) {
        Judgement::Holds if has_more_workers => Judgement::NotKnown(Unknown::MoreWorkers),
        Judgement::Holds if gained.is_none() => Judgement::NotKnown(Unknown::NoRecord),
        judgement @ (Judgement::Holds | Judgement::Violated(_) | Judgement::NotKnown(_)) => judgement,
    }
}

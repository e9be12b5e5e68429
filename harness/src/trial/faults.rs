//! Injecting faults: who is hit, with what, and how it is undone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use holdline_contract::clock::now_ns;
use holdline_model::arrivals::Schedule;
use holdline_model::ledger::InjectedDeath;
use holdline_model::scenario::{Action, Fault, Scenario, Target, Trigger, Until};
use holdline_model::words::CrashStep;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::control::{parse_signal, pid_of};
use super::hooks::{AttemptFault, Due};
use super::ready::{is_alive, is_stopped};

/// When a fault that the dispatcher injects is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimedFault {
    /// Its index in the scenario.
    pub(super) fault: usize,
    /// When, in CLOCK_MONOTONIC nanoseconds.
    pub(super) at_ns: u64,
}

/// Which faults strike by themselves, which with an attempt, and which follow others.
#[derive(Debug, Default)]
pub(super) struct FaultPlan {
    /// Injected by the dispatcher at an instant.
    pub(super) timed: Vec<TimedFault>,
    /// Struck with an attempt, on the load thread.
    pub(super) with_attempts: Vec<AttemptFault>,
    /// Injected after another fault.
    pub(super) followers: Vec<Follower>,
}

/// A fault that waits for another.
#[derive(Debug, Clone)]
pub(super) struct Follower {
    /// Its index in the scenario.
    pub(super) fault: usize,
    /// The one that it waits for.
    pub(super) after: usize,
    /// How long after that one's completion, in nanoseconds.
    pub(super) delay_ns: u64,
    /// For poison: where the load thread looks for the instant.
    pub(super) instant: Option<Arc<AtomicU64>>,
}

impl FaultPlan {
    /// Sorts a scenario's faults by how they are triggered. Boot faults at the very beginning are
    /// armed before the supervisor starts, and are left out here.
    pub(super) fn new(scenario: &Scenario, schedule: &Schedule, start_ns: u64) -> Self {
        let mut plan = Self::default();
        for (index, fault) in scenario.faults.iter().enumerate() {
            if !strikes_before_start(fault) {
                plan.add(index, fault, scenario, schedule, start_ns);
            }
        }
        plan
    }

    fn add(&mut self, index: usize, fault: &Fault, scenario: &Scenario, schedule: &Schedule, start_ns: u64) {
        let poison = match &fault.action {
            Action::Poison(poison) => Some(*poison),
            _ => None,
        };
        let mut with_attempt = |due| self.with_attempts.push(AttemptFault { fault: index, due, poison });
        match (fault.at, poison) {
            (Trigger::Attempt(number), _) => with_attempt(Due::Attempt(number)),
            (Trigger::Fraction(share), _) => match place_of(share, scenario, schedule) {
                Place::Attempt(number) => with_attempt(Due::Attempt(number)),
                Place::Elapsed(ns) if poison.is_some() => with_attempt(instant(start_ns + ns)),
                Place::Elapsed(ns) => self.timed.push(TimedFault { fault: index, at_ns: start_ns + ns }),
            },
            (Trigger::Elapsed(ns), Some(_)) => with_attempt(instant(start_ns + ns)),
            (Trigger::Elapsed(ns), None) => {
                self.timed.push(TimedFault { fault: index, at_ns: start_ns + ns });
            }
            (Trigger::After { fault: after, delay_ns }, poison) => {
                let at = poison.map(|_| Arc::new(AtomicU64::new(u64::MAX)));
                if let Some(at) = &at {
                    with_attempt(Due::Instant(Arc::clone(at)));
                }
                self.followers.push(Follower { fault: index, after, delay_ns, instant: at });
            }
        }
    }

    /// The faults that are due because another was completed at this instant. Followers that are
    /// poison are handed to the load thread at once.
    pub(super) fn completed(&mut self, fault: usize, at_ns: u64) -> Vec<TimedFault> {
        let mut due = Vec::new();
        self.followers.retain(|follower| {
            if follower.after != fault {
                return true;
            }
            let due_ns = at_ns.saturating_add(follower.delay_ns);
            match &follower.instant {
                Some(instant) => instant.store(due_ns, Ordering::Release),
                None => due.push(TimedFault { fault: follower.fault, at_ns: due_ns }),
            }
            false
        });
        due
    }

    /// The fault for whose end this one still waits.
    pub(super) fn waits_for(&self, fault: usize) -> Option<usize> {
        self.followers.iter().find(|follower| follower.fault == fault).map(|follower| follower.after)
    }
}

fn instant(at_ns: u64) -> Due {
    Due::Instant(Arc::new(AtomicU64::new(at_ns)))
}

/// Whether a fault is armed before the supervisor starts.
pub(super) fn strikes_before_start(fault: &Fault) -> bool {
    matches!((&fault.at, &fault.action), (Trigger::Elapsed(0), Action::Crash { step: CrashStep::Boot, .. }))
}

enum Place {
    Attempt(u32),
    Elapsed(u64),
}

/// Where a share of the load falls: at an attempt where their number is known, else at an instant.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count that is itself exact in an f64"
)]
fn place_of(share: f64, scenario: &Scenario, schedule: &Schedule) -> Place {
    // 0.57 of 200 is 114, and not what is just below it in binary.
    let of = |count: u64| (share * count as f64 * (1.0 + f64::EPSILON)).floor() as u64;
    match (schedule, scenario.load.until) {
        (Schedule::Fixed(offsets), _) => {
            let last = offsets.len().saturating_sub(1) as u64;
            Place::Attempt(u32::try_from(of(offsets.len() as u64).min(last)).unwrap_or(u32::MAX))
        }
        (_, Until::Attempts(count)) => {
            let last = u64::from(count.saturating_sub(1));
            Place::Attempt(u32::try_from(of(u64::from(count)).min(last)).unwrap_or(u32::MAX))
        }
        (_, Until::Elapsed(ns)) => Place::Elapsed(of(ns)),
    }
}

/// Whom a signal fault hits.
pub(super) fn targets(target: Target, supervisor: Pid, workers: &[u32]) -> Vec<Pid> {
    let supervisor = u32::try_from(supervisor.as_raw()).into_iter();
    let pids: Vec<u32> = match target {
        Target::Supervisor => supervisor.filter(|pid| is_alive(*pid)).collect(),
        Target::Worker => workers.iter().take(1).copied().collect(),
        Target::Workers => workers.to_vec(),
    };
    pids.into_iter().filter_map(pid_of).collect()
}

/// Sends a signal, and notes the deaths that it causes for sure.
pub(super) fn strike(name: &str, pids: &[Pid]) -> Result<Vec<InjectedDeath>> {
    let number = parse_signal(name)?;
    let mut deaths = Vec::new();
    for pid in pids {
        kill(*pid, number).with_context(|| format!("failed to send {number} to process {pid}"))?;
        if is_crash(number)
            && let Ok(pid) = u32::try_from(pid.as_raw())
        {
            deaths.push(InjectedDeath { pid, at_ns: now_ns() });
        }
    }
    Ok(deaths)
}

/// Signals that end a process as a crash does. TERM, INT, HUP and QUIT are requests: what is lost
/// by them is the supervisor's or the worker's doing.
const fn is_crash(signal: Signal) -> bool {
    matches!(
        signal,
        Signal::SIGKILL
            | Signal::SIGSEGV
            | Signal::SIGABRT
            | Signal::SIGBUS
            | Signal::SIGFPE
            | Signal::SIGILL
            | Signal::SIGSYS
    )
}

/// Whether a signal of this name stops a process until it gets SIGCONT.
pub(super) fn stops(name: &str) -> bool {
    matches!(parse_signal(name), Ok(Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU))
}

/// Processes that are stopped, until it is dropped or healed.
#[derive(Debug)]
#[must_use = "dropping a pause ends it"]
pub(super) struct Pause {
    pids: Vec<Pid>,
    /// The fault that it belongs to.
    pub(super) fault: usize,
}

impl Pause {
    /// Stops the processes.
    pub(super) fn begin(fault: usize, pids: Vec<Pid>) -> Result<Self> {
        let pause = Self::begun(fault, pids);
        for pid in &pause.pids {
            kill(*pid, Signal::SIGSTOP).with_context(|| format!("failed to stop process {pid}"))?;
        }
        Ok(pause)
    }

    /// Takes charge of processes that a signal has stopped.
    pub(super) fn begun(fault: usize, pids: Vec<Pid>) -> Self {
        Self { pids, fault }
    }

    /// Leaves to other pauses what they stop, too.
    pub(super) fn leave_to<'a>(&mut self, others: impl Iterator<Item = &'a Self>) {
        let kept: Vec<Pid> = others.flat_map(|other| other.pids.iter().copied()).collect();
        self.pids.retain(|pid| !kept.contains(pid));
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        // One that was killed while it was stopped may have left its id to another process.
        for pid in self.pids.iter().filter(|pid| is_stopped(**pid)) {
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}

/// A fault in words.
pub(super) fn in_words(action: &Action) -> String {
    let whom = |target: Target| match target {
        Target::Worker => "a worker",
        Target::Workers => "every worker",
        Target::Supervisor => "the supervisor",
    };
    match action {
        Action::Poison(poison) => format!("poison ({} at step {})", poison.mode, poison.step),
        Action::Crash { step: CrashStep::Boot, mode, times } => {
            format!("the next {times} starts fail ({mode})")
        }
        Action::Crash { step, mode, .. } => format!("a worker fails ({mode} at step {step})"),
        Action::Signal { to, signal } => format!("{signal} to {}", whom(*to)),
        Action::Pause { whom: target, for_ns: Some(ns) } => {
            format!("{} is paused for {:?}", whom(*target), Duration::from_nanos(*ns))
        }
        Action::Pause { whom: target, for_ns: None } => format!("{} is paused", whom(*target)),
        Action::Control { verb, workers: Some(count) } => format!("{verb} to {count} workers"),
        Action::Control { verb, workers: None } => verb.to_string(),
    }
}

/// The number by which people call the fault with this index.
pub(super) fn ordinal(fault: usize) -> u64 {
    fault as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_load_falls_on_the_attempt_that_it_says() {
        let text =
            "name = \"x\"\nasks = \"?\"\n[load]\narrivals = { constant = \"100/s\" }\nduration = \"2s\"\n";
        let scenario = holdline_model::scenario::parse(text, "x.toml").expect("a scenario");
        let schedule = Schedule::Fixed((0..200).map(|attempt| attempt * 10_000_000).collect());
        for percent in 0..100 {
            let place = place_of(f64::from(percent) / 100.0, &scenario, &schedule);
            assert!(matches!(place, Place::Attempt(number) if number == 2 * percent), "{percent} %");
        }
    }
}

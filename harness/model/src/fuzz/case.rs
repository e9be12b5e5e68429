//! A case: which faults, when, and in which surroundings. When each of them strikes in the file that is made of
//! it is decided here.

use crate::scenario::{Action, Arrivals, AtCall, Drain, Trigger};
use crate::syscall::Meeting;
use crate::words::{CrashStep, Transport, Verb};

/// A load goes on for so long after the last fault at least, so that there is somebody whom it can hit.
const TAIL_NS: u64 = 10_000_000;
/// And for so many gaps between two arrivals.
const TAIL_GAPS: f64 = 8.0;
/// The earliest instant of a fault: failing starts at 0 would be armed before the supervisor starts.
const EARLIEST_NS: u64 = 1_000;

/// A schedule of faults and its surroundings.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The faults, in the order in which the file has them.
    pub strikes: Vec<Strike>,
    /// Everything else.
    pub around: Surroundings,
}

/// A fault and when it strikes.
#[derive(Debug, Clone, PartialEq)]
pub struct Strike {
    /// When.
    pub when: When,
    /// What is done.
    pub action: Action,
}

/// The most that one worker takes for all that come, in nanoseconds.
const WORKED_OFF_NS_MAX: u64 = 5_000_000_000;

/// When a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When so many thousandths of the load's length are over.
    Share(u16),
    /// A while after another fault.
    After {
        /// How many places it stands before this one, from 1; where there is none, it counts from the load's
        /// start.
        back: usize,
        /// How long after it, in nanoseconds.
        delay_ns: u64,
    },
    /// At a call of the supervisor, which is counted from when another fault struck.
    AtCall {
        /// How many places that stands before this one, from 1; where there is none, it counts from the load's start.
        back: usize,
        /// Where the supervisor is met.
        meeting: Meeting,
        /// How long after the other that was when it was seen, in nanoseconds.
        about_ns: u64,
    },
}

/// Listener, workers and load of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    /// What carries the connections.
    pub transport: Transport,
    /// The least backlog: as many as may come are let in at least, so that the kernel turns nobody away.
    pub backlog: u32,
    /// How many workers.
    pub workers: u32,
    /// How long a worker takes to boot, in nanoseconds.
    pub boot_ns: u64,
    /// How long a worker works on a request, in nanoseconds.
    pub work_ns: u64,
    /// What a worker does on TERM.
    pub drain: Drain,
    /// When attempts are due.
    pub arrivals: Arrivals,
    /// The least length of the load, in nanoseconds.
    pub length_ns: u64,
    /// Whether connections carry several requests.
    pub session: Option<Session>,
}

/// A connection that carries several requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// How many, at least 2.
    pub requests: u16,
    /// From a reply to the next request, in nanoseconds.
    pub gap_ns: u64,
}

/// When a fault strikes in the file, and when that is, as far as it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Due {
    pub(super) trigger: Trigger,
    /// From the load's start, in nanoseconds.
    pub(super) about_ns: u64,
}

impl Case {
    /// The same without what two faults may not both do: only the last of several is to say how many workers
    /// there are in the end, and that is known only if there is one. And without more work than is done in a few seconds.
    #[must_use]
    pub fn tidy(mut self) -> Self {
        let mut scales = 0;
        self.strikes.retain(|strike| {
            let is_scale = matches!(strike.action, Action::Control { verb: Verb::Scale, .. });
            scales += u32::from(is_scale);
            !is_scale || scales == 1
        });
        let asks = |strike: &Strike| match &strike.action {
            Action::Control { .. } => true,
            Action::Signal { signal, .. } => !signal.is_crash(),
            Action::Crash { step, .. } => *step == CrashStep::Drain,
            Action::Poison(_) | Action::Pause { .. } => false,
        };
        // A session that a worker closes as it drains may cross its next request, which is nobody's failing.
        if self.around.session.is_some() && self.strikes.iter().any(asks) {
            self.around.drain = Drain::Patient;
        }
        // Whoever waits for so long waits for the load, and not for what a fault did.
        if self.worked_off_ns() > WORKED_OFF_NS_MAX {
            self.around.session = None;
        }
        if self.worked_off_ns() > WORKED_OFF_NS_MAX {
            self.around.work_ns = 0;
        }
        self
    }

    /// Whether any fault strikes at a call.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.strikes.iter().any(|strike| matches!(strike.when, When::AtCall { .. }))
    }

    /// When each fault strikes.
    pub(super) fn due(&self) -> Vec<Due> {
        let mut due: Vec<Due> = Vec::new();
        for (index, strike) in self.strikes.iter().enumerate() {
            let at = |ns: u64| {
                let ns = ns.max(EARLIEST_NS);
                Due { trigger: Trigger::Elapsed(ns), about_ns: ns }
            };
            due.push(match strike.when {
                When::Share(permille) => at(self.around.length_ns / 1000 * u64::from(permille)),
                When::After { back, delay_ns } => match index.checked_sub(back.max(1)) {
                    None => at(delay_ns),
                    Some(fault) => {
                        let other = &self.strikes[fault].action;
                        let about_ns = due[fault].about_ns + lasts_ns(other) + delay_ns;
                        if ends_in_time(other) {
                            Due { trigger: Trigger::After { fault, delay_ns }, about_ns }
                        } else {
                            at(about_ns)
                        }
                    }
                },
                When::AtCall { back, meeting, about_ns } => {
                    let since = index.checked_sub(back.max(1));
                    let from_ns = since.map_or(0, |fault| due[fault].about_ns);
                    let trigger = Trigger::Call(AtCall { since, meeting, optional: true });
                    Due { trigger, about_ns: from_ns + about_ns }
                }
            });
        }
        due
    }

    /// The length of the load, in nanoseconds: the last fault strikes within it, and has somebody to hit.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, which is meant"
    )]
    pub fn length_ns(&self) -> u64 {
        let ends = self.due().into_iter().zip(&self.strikes);
        let last_ns = ends.map(|(due, strike)| due.about_ns + lasts_ns(&strike.action)).max().unwrap_or(0);
        let gaps_ns = (TAIL_GAPS * gap_ns(self.around.arrivals)) as u64;
        let least_ns = last_ns + TAIL_NS.max(gaps_ns);
        // To the microsecond, so that the file is easy to read.
        self.around.length_ns.max(least_ns).div_ceil(1_000) * 1_000
    }

    /// The backlog: nobody is turned away by the kernel, whatever the service does.
    #[must_use]
    pub fn backlog(&self) -> u32 {
        self.around.backlog.max(self.at_once_max().saturating_add(1))
    }

    /// How long one worker alone takes for all that come, in nanoseconds; none where they keep it busy for less than half
    /// of the load's length, so that what has piled up is soon worked off. Who asks for more than that must wait for
    /// it, and no supervisor is to blame.
    #[must_use]
    pub fn worked_off_ns(&self) -> u64 {
        let (requests, gap_ns) = self.around.session.map_or((1, 0), |s| (u64::from(s.requests), s.gap_ns));
        // A worker has one connection at a time, and keeps it between its requests.
        let each_ns = requests * self.around.work_ns + (requests - 1) * gap_ns;
        let all_ns = each_ns.saturating_mul(self.at_once_max().into());
        if all_ns * 2 < self.length_ns() { 0 } else { hundredths(all_ns) }
    }

    /// The most attempts that can be under way at once.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, which is meant"
    )]
    fn at_once_max(&self) -> u32 {
        let seconds = self.length_ns() as f64 / 1e9;
        let most = match self.around.arrivals {
            Arrivals::Sequential { .. } => 1.0,
            Arrivals::Closed { clients } => f64::from(clients),
            Arrivals::Constant { per_second } => per_second * seconds,
            // Six times the standard deviation above the mean is never reached.
            Arrivals::Poisson { per_second } => per_second * seconds + 6.0 * (per_second * seconds).sqrt(),
            Arrivals::Ramp { from_per_second, to_per_second } => from_per_second.max(to_per_second) * seconds,
            Arrivals::Burst { size, every_ns } => f64::from(size) * (seconds * 1e9 / every_ns as f64).ceil(),
        };
        most.ceil() as u32
    }
}

/// A time in whole hundredths of a second, rounded up, in nanoseconds: what stands in a file is easy to read.
#[must_use]
pub const fn hundredths(ns: u64) -> u64 {
    ns.div_ceil(10_000_000) * 10_000_000
}

/// Between two arrivals, on average.
fn gap_ns(arrivals: Arrivals) -> f64 {
    match arrivals {
        Arrivals::Sequential { gap_ns } => gap_ns as f64,
        Arrivals::Closed { .. } => 0.0,
        Arrivals::Constant { per_second } | Arrivals::Poisson { per_second } => 1e9 / per_second,
        Arrivals::Ramp { from_per_second, to_per_second } => {
            1e9 / from_per_second.max(to_per_second).max(1.0)
        }
        Arrivals::Burst { every_ns, .. } => every_ns as f64,
    }
}

/// For how long a fault lasts, as far as the file says it, in nanoseconds.
pub(super) fn lasts_ns(action: &Action) -> u64 {
    match action {
        Action::Pause { for_ns, .. } => for_ns.unwrap_or(0),
        Action::Poison(_) | Action::Crash { .. } | Action::Signal { .. } | Action::Control { .. } => 0,
    }
}

/// Whether it is known beforehand when a fault is over. What is asked of a supervisor is over when that has done
/// it, and failing starts when there were as many: what shall come in the midst of these counts from their
/// beginning.
fn ends_in_time(action: &Action) -> bool {
    match action {
        Action::Poison(_) | Action::Signal { .. } => true,
        Action::Pause { for_ns, .. } => for_ns.is_some(),
        Action::Crash { .. } | Action::Control { .. } => false,
    }
}

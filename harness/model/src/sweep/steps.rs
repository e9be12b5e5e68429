//! Every crash step × mode, each as a scenario of its own, short and fresh.
//!
//! Scenarios are made as text, the way in which people write them: a trial's folder then holds a file that can
//! be run again alone. Their times are those of the catalogue's `crash-steps`: who waits for a new worker waits
//! longer than the deadline, so that `held` and `delayed` are told apart also on a busy machine.

use std::fmt::Write as _;

use super::SweepTarget;
use crate::lack::Lack;
use crate::supervisor::{Control, Supervisor};
use crate::words::{CrashMode, CrashStep, Transport, Verb};

/// A place of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Who crashes.
    pub target: SweepTarget,
    /// When.
    pub step: CrashStep,
    /// How.
    pub mode: CrashMode,
}

/// Why a place of the table cannot be tried with any supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impossible {
    /// What a worker catches is the failure of a request, and no request is there at this step.
    NothingToCatch,
    /// A supervisor is made to fail from outside, by signals, which cannot make it fail in this way.
    NotFromOutside,
}

impl std::fmt::Display for Impossible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NothingToCatch => {
                "a worker catches the failure of a request, and none is there at this step"
            }
            Self::NotFromOutside => {
                "a supervisor is made to fail by signals, which cannot make it fail in this way"
            }
        })
    }
}

/// The steps at which a supervisor can be made to fail: while a worker that it has just started boots, while
/// nothing happens, and while it waits for a worker to drain.
const SUPERVISOR_STEPS: [CrashStep; 3] = [CrashStep::Boot, CrashStep::Idle, CrashStep::Drain];

/// Verbs that make workers drain, the plainest first.
const DRAINING: [Verb; 4] = [Verb::Restart, Verb::RollingRestart, Verb::Upgrade, Verb::Reload];

/// How long the service has to come back once the load is over, in milliseconds. A worker that hangs stays as it
/// is, and the longest that a reference supervisor waits before it starts another is 0.8 s.
pub const PATIENCE_MS: u32 = 1_500;

/// All places of the table, in its order: target, step, mode.
#[must_use]
pub fn cells(targets: &[SweepTarget]) -> Vec<Cell> {
    let steps = |target| match target {
        SweepTarget::Worker => CrashStep::ALL.to_vec(),
        SweepTarget::Supervisor => SUPERVISOR_STEPS.to_vec(),
    };
    let of = |target: SweepTarget| {
        let pairs =
            steps(target).into_iter().flat_map(|step| CrashMode::ALL.iter().map(move |mode| (step, mode)));
        pairs.map(move |(step, mode)| Cell { target, step, mode: *mode }).collect::<Vec<_>>()
    };
    targets.iter().flat_map(|target| of(*target)).collect()
}

impl Cell {
    /// The name of its scenario.
    #[must_use]
    pub fn scenario_name(self) -> String {
        format!("sweep/{}-{}-{}", self.target, self.step, self.mode)
    }

    /// Why nobody could be made to fail here.
    #[must_use]
    pub const fn impossible(self) -> Option<Impossible> {
        match (self.target, self.mode) {
            (SweepTarget::Worker, CrashMode::Catch) if !self.step.is_carried_by_request() => {
                Some(Impossible::NothingToCatch)
            }
            (SweepTarget::Worker, _) => None,
            (SweepTarget::Supervisor, mode) => match signal(mode) {
                Some(_) => None,
                None => Some(Impossible::NotFromOutside),
            },
        }
    }
}

/// The signal by which a supervisor fails in a mode.
const fn signal(mode: CrashMode) -> Option<&'static str> {
    match mode {
        CrashMode::Abort => Some("ABRT"),
        CrashMode::Kill => Some("KILL"),
        CrashMode::Hang => Some("STOP"),
        // One that is sent is not one that comes of an access: whoever handles it and returns lives on, as programs in
        // Rust do, which look for the end of their stack and find none.
        CrashMode::Segv
        | CrashMode::Exit
        | CrashMode::Panic
        | CrashMode::StopAccepting
        | CrashMode::LeakFds
        | CrashMode::Allocate
        | CrashMode::Catch => None,
    }
}

/// The first transport that a supervisor can listen on.
#[must_use]
pub fn transport(supervisor: &Supervisor) -> Transport {
    supervisor.transports.first().copied().unwrap_or(Transport::Tcp)
}

/// The verb by which a supervisor's workers are made to drain.
///
/// # Errors
///
/// It has none.
pub fn draining_verb(supervisor: &Supervisor) -> Result<Verb, Lack> {
    let has = |verb: &&Verb| !matches!(supervisor.control.get(*verb), None | Some(Control::Unsupported(_)));
    DRAINING.iter().find(has).copied().ok_or_else(|| Lack::Verb {
        verb: Verb::Restart,
        reason: match supervisor.control.get(&Verb::Restart) {
            Some(Control::Unsupported(reason)) => Some(reason.clone()),
            Some(Control::Command(_) | Control::Signal { .. }) | None => None,
        },
    })
}

/// The scenario of a place that is not [impossible](Cell::impossible), as a file.
///
/// # Errors
///
/// The supervisor lacks what it takes.
pub fn scenario(cell: Cell, supervisor: &Supervisor) -> Result<String, Lack> {
    let (mut workers, load, faults) = match cell.target {
        SweepTarget::Worker => of_worker(cell, supervisor)?,
        SweepTarget::Supervisor => of_supervisor(cell, supervisor)?,
    };
    // What a mode runs into, and nothing that others would notice.
    match cell.mode {
        CrashMode::LeakFds => workers.push_str("nofile = 64\n"),
        CrashMode::Allocate => workers.push_str("memory = \"64MiB\"\n"),
        CrashMode::Exit
        | CrashMode::Panic
        | CrashMode::Abort
        | CrashMode::Segv
        | CrashMode::Kill
        | CrashMode::Hang
        | CrashMode::StopAccepting
        | CrashMode::Catch => {}
    }
    let mut text = format!(
        "name = \"{}\"\nasks = \"What is lost if a {} fails at step {} by mode {}?\"\n\n\
         [listen]\ntransport = \"{}\"\nbacklog = 128\n\n[workers]\ncount = 1\n{workers}\n\
         [load]\n{load}send-lag = \"100ms\"\npatience = \"{PATIENCE_MS}ms\"\n",
        cell.scenario_name(),
        cell.target,
        cell.step,
        cell.mode,
        transport(supervisor),
    );
    for fault in faults {
        let _ = write!(text, "\n[[fault]]\n{fault}");
    }
    Ok(text)
}

/// How long clients wait, and the service has to come back, where it was not there soon enough, in seconds: circus looks
/// every 5 s whether a worker lives, and systemd's or supervisord's pauses are shorter.
pub const PATIENT_S: u32 = 20;

/// The same with as much patience as nobody needs who is coming back: most are back at once, and are not waited for.
///
/// # Errors
///
/// As [`scenario`].
pub fn patient_scenario(cell: Cell, supervisor: &Supervisor) -> Result<String, Lack> {
    let text = scenario(cell, supervisor)?;
    let longer = |line: &str| match line.split_once(" = ") {
        Some(("name", _)) => format!("name = \"{}/patient\"\n", cell.scenario_name()),
        Some((key @ ("timeout" | "patience"), _)) => format!("{key} = \"{PATIENT_S}s\"\n"),
        Some(_) | None => format!("{line}\n"),
    };
    Ok(text.lines().map(longer).collect())
}

/// A scenario in which nothing is done, which tells whether a supervisor serves at all.
#[must_use]
pub fn calm_scenario(supervisor: &Supervisor) -> String {
    format!(
        "name = \"sweep/calm\"\nasks = \"Does it serve where nothing is done to it?\"\n\n\
         [listen]\ntransport = \"{}\"\nbacklog = 128\n\n[workers]\ncount = 1\n\n\
         [load]\n{EVERY_20_MS}duration = \"200ms\"\ntimeout = \"3s\"\nsend-lag = \"100ms\"\npatience = \"3s\"\n",
        transport(supervisor)
    )
}

/// Lines of `[workers]` and of `[load]`, and faults.
type Parts = (String, String, Vec<String>);

/// Why another worker boots, without a request that is lost by it: half-way between two of them, when it is idle.
const WORKER_ENDS: &str = "at = \"70ms\"\nsignal = { to = \"worker\", name = \"KILL\" }\n";

const EVERY_20_MS: &str = "arrivals = { constant = \"50/s\" }\n";
const EVERY_10_MS: &str = "arrivals = { constant = \"100/s\" }\n";

fn of_worker(cell: Cell, supervisor: &Supervisor) -> Result<Parts, Lack> {
    let Cell { step, mode, .. } = cell;
    let crash = |at: &str| format!("at = {at}\ncrash = {{ step = \"{step}\", mode = \"{mode}\" }}\n");
    let carried = format!("at = {{ attempt = 3 }}\npoison = {{ step = \"{step}\", mode = \"{mode}\" }}\n");
    // One that lives on is not replaced: there is no boot to wait for.
    let restarts = "boot = \"200ms\"\n".to_owned();
    let load = format!("{EVERY_20_MS}duration = \"480ms\"\ntimeout = \"3s\"\ndeadline = \"120ms\"\n");
    let stuck = format!("{EVERY_10_MS}duration = \"250ms\"\ntimeout = \"350ms\"\ndeadline = \"200ms\"\n");
    Ok(match step {
        CrashStep::Accept | CrashStep::Read | CrashStep::Work | CrashStep::Reply | CrashStep::Close => {
            if mode.ends_process() {
                (restarts, load, vec![carried])
            } else {
                (String::new(), stuck, vec![carried])
            }
        }
        CrashStep::Idle => {
            // Half-way between two attempts, so that nothing is under way.
            let at_70_ms = crash("\"70ms\"");
            if mode.ends_process() {
                (restarts, load, vec![at_70_ms])
            } else {
                (String::new(), stuck, vec![crash("\"55ms\"")])
            }
        }
        CrashStep::Boot => {
            let load = format!("{EVERY_20_MS}duration = \"600ms\"\ntimeout = \"4s\"\ndeadline = \"125ms\"\n");
            ("boot = \"100ms\"\n".to_owned(), load, vec![crash("\"20ms\""), WORKER_ENDS.to_owned()])
        }
        CrashStep::Drain => {
            let verb = draining_verb(supervisor)?;
            let load =
                format!("{EVERY_10_MS}duration = \"500ms\"\ntimeout = \"700ms\"\ndeadline = \"400ms\"\n");
            let asks = format!("at = \"60ms\"\ncontrol = \"{verb}\"\n");
            (String::new(), load, vec![crash("\"50ms\""), asks])
        }
    })
}

fn of_supervisor(cell: Cell, supervisor: &Supervisor) -> Result<Parts, Lack> {
    let name = signal(cell.mode).unwrap_or("KILL");
    let fails = |at: &str| format!("at = {at}\nsignal = {{ to = \"supervisor\", name = \"{name}\" }}\n");
    let load = format!("{EVERY_20_MS}duration = \"600ms\"\ntimeout = \"1s\"\ndeadline = \"400ms\"\n");
    Ok(match cell.step {
        CrashStep::Drain => {
            let verb = draining_verb(supervisor)?;
            let asks = format!("at = \"55ms\"\ncontrol = \"{verb}\"\n");
            // Each request takes longer than what is left of it as the supervisor fails.
            let load = load.replace(EVERY_20_MS, "arrivals = { constant = \"20/s\" }\n");
            ("work = \"30ms\"\n".to_owned(), load, vec![asks, fails("\"65ms\"")])
        }
        CrashStep::Boot => {
            let begins = WORKER_ENDS.to_owned();
            let while_it_boots = fails("{ after = 0, delay = \"50ms\" }");
            ("boot = \"200ms\"\n".to_owned(), load, vec![begins, while_it_boots])
        }
        CrashStep::Idle
        | CrashStep::Accept
        | CrashStep::Read
        | CrashStep::Work
        | CrashStep::Reply
        | CrashStep::Close => (String::new(), load, vec![fails("\"70ms\"")]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{self, Action};
    use crate::wire::Poison;
    use crate::{supervisor, support};

    fn supervisor(lines: &str) -> Supervisor {
        let text = format!(
            "name = \"t\"\nabout = \"x\"\nstart = [\"x\"]\n\
             socket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n{lines}\n"
        );
        supervisor::parse(&text, "t.toml").unwrap_or_else(|error| panic!("{error}"))
    }

    const RESTARTS: &str = "[control]\nrestart = { signal = \"HUP\", to = \"supervisor\" }\n";

    #[test]
    fn every_possible_cell_is_a_scenario_that_lets_fail_who_is_meant() {
        let supervisor = supervisor(RESTARTS);
        let all = cells(SweepTarget::ALL);
        assert_eq!(all.len(), (CrashStep::ALL.len() + SUPERVISOR_STEPS.len()) * CrashMode::ALL.len());
        for cell in all.into_iter().filter(|cell| cell.impossible().is_none()) {
            let text = scenario(cell, &supervisor).expect("it can restart");
            let parsed =
                scenario::parse(&text, "cell").unwrap_or_else(|error| panic!("{cell:?}: {error}\n{text}"));
            assert_eq!(support::lack(&supervisor, &parsed, true), None, "{cell:?}");
            assert_eq!(parsed.name, cell.scenario_name());
            let is_meant = |action: &Action| match (cell.target, action) {
                (
                    SweepTarget::Worker,
                    Action::Poison(Poison { step, mode }) | Action::Crash { step, mode, .. },
                ) => (*step, *mode) == (cell.step, cell.mode),
                (SweepTarget::Supervisor, Action::Signal { to, .. }) => *to == scenario::Target::Supervisor,
                _ => false,
            };
            assert_eq!(parsed.faults.iter().filter(|fault| is_meant(&fault.action)).count(), 1, "{cell:?}");
        }
    }

    #[test]
    fn more_patience_is_all_that_a_patient_scenario_has_more() {
        let supervisor = supervisor(RESTARTS);
        for cell in cells(SweepTarget::ALL).into_iter().filter(|cell| cell.impossible().is_none()) {
            let hasty = scenario(cell, &supervisor).expect("it can restart");
            let patient = patient_scenario(cell, &supervisor).expect("it can restart");
            let parsed = |text: &str| scenario::parse(text, "a cell").expect("a scenario");
            let (hasty, patient) = (parsed(&hasty), parsed(&patient));
            let wait_ns = u64::from(PATIENT_S) * 1_000_000_000;
            assert!(patient.load.timeouts.total_ns == wait_ns && hasty.load.timeouts.total_ns < wait_ns);
            assert!(patient.load.patience_ns == wait_ns && hasty.load.patience_ns < wait_ns);
            assert_eq!((&patient.faults, patient.load.until), (&hasty.faults, hasty.load.until));
            assert_ne!(patient.name, hasty.name);
        }
    }

    #[test]
    fn the_calm_scenario_does_nothing() {
        let parsed = scenario::parse(&calm_scenario(&supervisor("")), "calm").expect("a scenario");
        assert!(parsed.faults.is_empty());
    }

    #[test]
    fn who_has_no_verb_that_drains_lacks_it() {
        let cell = Cell { target: SweepTarget::Worker, step: CrashStep::Drain, mode: CrashMode::Hang };
        assert!(matches!(scenario(cell, &supervisor("")), Err(Lack::Verb { verb: Verb::Restart, .. })));
        let rolls = "[control]\nrestart = { unsupported = \"x\" }\nrolling-restart = [\"y\"]\n";
        assert_eq!(draining_verb(&supervisor(rolls)), Ok(Verb::RollingRestart));
    }

    #[test]
    fn what_cannot_be_is_no_cell_to_try() {
        let of = |target, step, mode| Cell { target, step, mode }.impossible();
        let (worker, supervisor) = (SweepTarget::Worker, SweepTarget::Supervisor);
        assert_eq!(of(worker, CrashStep::Work, CrashMode::Catch), None);
        assert_eq!(of(worker, CrashStep::Idle, CrashMode::Catch), Some(Impossible::NothingToCatch));
        assert_eq!(of(supervisor, CrashStep::Idle, CrashMode::Panic), Some(Impossible::NotFromOutside));
        assert_eq!(of(supervisor, CrashStep::Idle, CrashMode::Hang), None);
    }
}

//! The faults of a scenario file: when, and exactly one action.

use std::str::FromStr;

use super::arrivals::{Extent, earliest_ns};
use super::at_call;
use super::file::{
    AtFile, ControlFile, ControlTableFile, CrashFile, FaultFile, FaultRef, MomentFile, PauseFile, PoisonFile,
    SignalFile,
};
use super::{Action, Fault, Load, Trigger};
use crate::bounds;
use crate::duration;
use crate::file::{At, Problem, check_name, integer, time};
use crate::shm::control;
use crate::signals::Signal;
use crate::wire::{ATTEMPTS_MAX, Poison};
use crate::words::{CrashMode, CrashStep, Verb, nearest};

/// Checks all faults of a file.
pub(super) fn faults(files: &[At<FaultFile>], load: &Load) -> Result<Vec<Fault>, Problem> {
    if let Some(first_too_many) = files.get(bounds::FAULTS_MAX) {
        let message = format!("{} faults are more than a trial takes", files.len());
        return Err(first_too_many.problem(message).expecting(format!("at most {}", bounds::FAULTS_MAX)));
    }
    let mut faults: Vec<Fault> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        check_fault_name(&files[..index], file)?;
        let at = trigger(&file.value.at, &files[..index])?;
        let fault = Fault { at, action: action(file)?, target: target(file)? };
        if let AtFile::Moment(moment) = &file.value.at.value {
            at_call::check_action(moment, &fault.action)?;
        }
        check_poison(file, &fault, &faults)?;
        check_asks(file, &fault, load)?;
        faults.push(fault);
        check_in_load(&file.value.at, &faults, load)?;
    }
    Ok(faults)
}

fn check_fault_name(earlier: &[At<FaultFile>], file: &At<FaultFile>) -> Result<(), Problem> {
    let Some(name) = &file.value.name else { return Ok(()) };
    if name.value.is_empty() {
        return Err(name.problem("the name of a fault is empty"));
    }
    match names(earlier).find(|(_, other)| *other == name.value) {
        Some((index, _)) => Err(name.problem(format!("fault {index} has the name `{}`, too", name.value))),
        None => Ok(()),
    }
}

fn names(files: &[At<FaultFile>]) -> impl Iterator<Item = (usize, &str)> {
    files.iter().enumerate().filter_map(|(i, file)| Some((i, file.value.name.as_ref()?.value.as_str())))
}

fn trigger(at: &At<AtFile>, earlier: &[At<FaultFile>]) -> Result<Trigger, Problem> {
    let moment = match &at.value {
        AtFile::Time(time) => return Ok(Trigger::Elapsed(time.ns)),
        AtFile::Moment(moment) => moment.as_ref(),
    };
    if let (Some(delay), None) = (&moment.delay, &moment.after) {
        return Err(delay.problem("a delay counts from another fault").expecting("`after` beside it"));
    }
    at_call::check_alone(moment)?;
    match moment {
        MomentFile { attempt: None, fraction: None, after, call: Some(call), delay: None, .. } => {
            let since = after.as_ref().map(|after| other_fault(after, earlier)).transpose()?;
            Ok(Trigger::Call(at_call::at_call(moment, call, since)?))
        }
        MomentFile { delay: Some(delay), call: Some(_), .. } => {
            Err(delay.problem("what strikes at a call has no delay").expecting("`nth`, or no `call`"))
        }
        MomentFile { attempt: Some(attempt), fraction: None, after: None, call: None, .. } => {
            let number = integer("attempt", Some(attempt), 0..=i64::from(ATTEMPTS_MAX - 1))?;
            Ok(Trigger::Attempt(number.unwrap_or_default()))
        }
        MomentFile { attempt: None, fraction: Some(fraction), after: None, call: None, .. } => {
            if (0.0..1.0).contains(&fraction.value) {
                return Ok(Trigger::Fraction(fraction.value));
            }
            let message = format!("fraction {} is not within the load", fraction.value);
            Err(fraction.problem(message).expecting("0 to below 1"))
        }
        MomentFile { attempt: None, fraction: None, after: Some(after), delay, call: None, .. } => {
            let delay_ns = time("delay", delay.as_ref(), 0..=bounds::DURATION_NS_MAX)?.unwrap_or(0);
            Ok(Trigger::After { fault: other_fault(after, earlier)?, delay_ns })
        }
        _ => Err(at
            .problem("a fault strikes at exactly one moment")
            .expecting("a time, or a table of one of `attempt`, `fraction`, `after`, `call`")),
    }
}

fn other_fault(after: &At<FaultRef>, earlier: &[At<FaultFile>]) -> Result<usize, Problem> {
    let found = match &after.value {
        FaultRef::Index(index) => usize::try_from(*index).ok().filter(|index| *index < earlier.len()),
        FaultRef::Name(name) => names(earlier).find(|(_, other)| other == name).map(|(index, _)| index),
    };
    found.ok_or_else(|| match &after.value {
        FaultRef::Index(index) => {
            after.problem(format!("there is no earlier fault {index}")).expecting(index_range(earlier.len()))
        }
        FaultRef::Name(name) => after
            .problem(format!("there is no earlier fault `{name}`"))
            .expecting("the name of a fault further up, or its index from 0")
            .nearest(nearest(name, names(earlier).map(|(_, name)| name))),
    })
}

fn index_range(earlier: usize) -> String {
    match earlier.checked_sub(1) {
        None => "another trigger: this is the first fault".to_owned(),
        Some(last) => format!("0 to {last}: a fault further up"),
    }
}

fn action(file: &At<FaultFile>) -> Result<Action, Problem> {
    let FaultFile { poison: p, crash: c, signal: s, pause: w, control: v, .. } = &file.value;
    match (p, c, s, w, v) {
        (Some(poison), None, None, None, None) => poison_of(&poison.value).map(Action::Poison),
        (None, Some(crash), None, None, None) => crash_of(&crash.value),
        (None, None, Some(signal), None, None) => signal_of(&signal.value),
        (None, None, None, Some(pause), None) => pause_of(&pause.value),
        (None, None, None, None, Some(control)) => control_of(control),
        _ => Err(file
            .problem("a fault has exactly one action")
            .expecting("one of `poison`, `crash`, `signal`, `pause`, `control`")),
    }
}

/// Only what is done to processes can be aimed at a program: a request goes to the service.
fn target(file: &At<FaultFile>) -> Result<Option<String>, Problem> {
    let Some(target) = &file.value.target else { return Ok(None) };
    check_name(target)?;
    if file.value.poison.is_some() || file.value.crash.is_some() {
        return Err(target
            .problem("poison and crashes meet whoever has the request")
            .expecting("`signal`, `pause` or `control` beside it"));
    }
    Ok(Some(target.value.clone()))
}

fn poison_of(file: &PoisonFile) -> Result<Poison, Problem> {
    let step = file.step.value;
    if step.is_carried_by_request() {
        return Ok(Poison { step, mode: file.mode.value });
    }
    Err(file
        .step
        .problem(format!("no request carries a fault at step {step}"))
        .expecting(format!("one of {}; step {step} belongs into `crash`", steps(true))))
}

fn crash_of(file: &CrashFile) -> Result<Action, Problem> {
    let step = file.step.value;
    if step.is_carried_by_request() {
        return Err(file
            .step
            .problem(format!("a fault at step {step} is carried by a request"))
            .expecting(format!("one of {}; step {step} belongs into `poison`", steps(false))));
    }
    if let Some(times) = &file.times
        && step != CrashStep::Boot
        && times.value != 1
    {
        return Err(times.problem(format!("only boots fail several times; step {step} strikes once")));
    }
    if file.mode.value == CrashMode::Catch {
        return Err(file
            .mode
            .problem("what a worker catches is the failure of a request")
            .expecting(format!("`poison` at one of {}, or another mode", steps(true))));
    }
    let times = integer("times", file.times.as_ref(), bounds::BOOT_FAILURES)?.unwrap_or(1);
    Ok(Action::Crash { step, mode: file.mode.value, times })
}

fn steps(carried: bool) -> String {
    let steps = CrashStep::ALL.iter().filter(|step| step.is_carried_by_request() == carried);
    steps.map(|step| format!("`{step}`")).collect::<Vec<_>>().join(", ")
}

fn signal_of(file: &SignalFile) -> Result<Action, Problem> {
    let signal = Signal::from_str(&file.name.value)
        .map_err(|word| Problem::unknown_word(file.name.span.clone(), &word))?;
    Ok(Action::Signal { to: file.to, signal })
}

fn pause_of(file: &PauseFile) -> Result<Action, Problem> {
    let for_ns = time("for", file.r#for.as_ref(), 1..=bounds::DURATION_NS_MAX)?;
    Ok(Action::Pause { whom: file.whom, for_ns })
}

fn control_of(file: &At<ControlFile>) -> Result<Action, Problem> {
    let (verb, workers) = match &file.value {
        ControlFile::Verb(verb) => (*verb, None),
        ControlFile::Table(ControlTableFile { verb, workers }) => (*verb, workers.as_ref()),
    };
    match (verb, workers) {
        (Verb::Scale, None) => Err(file
            .problem("scale needs a number of workers")
            .expecting("a table such as { verb = \"scale\", workers = 4 }")),
        (Verb::Scale, _) | (_, None) => {
            Ok(Action::Control { verb, workers: integer("workers", workers, bounds::WORKERS)? })
        }
        (_, Some(workers)) => {
            Err(workers.problem(format!("{verb} takes no number of workers; only scale does")))
        }
    }
}

/// An attempt carries one poison, and those for the accept step need a slot on the control page.
fn check_poison(file: &At<FaultFile>, fault: &Fault, earlier: &[Fault]) -> Result<(), Problem> {
    let Action::Poison(poison) = &fault.action else { return Ok(()) };
    let is_poison = |other: &&Fault| matches!(other.action, Action::Poison(_));
    if let Trigger::Attempt(attempt) = fault.at
        && earlier.iter().filter(is_poison).any(|other| other.at == fault.at)
    {
        return Err(file.value.at.problem(format!("attempt {attempt} carries poison already")));
    }
    let is_accept =
        |other: &&Fault| matches!(&other.action, Action::Poison(poison) if poison.step == CrashStep::Accept);
    if poison.step == CrashStep::Accept && earlier.iter().filter(is_accept).count() >= control::SLOTS {
        return Err(file
            .problem("too many poisons at step accept: a worker must know of each before it accepts")
            .expecting(format!("at most {}", control::SLOTS)));
    }
    Ok(())
}

/// Poison is a request, which a silent attempt does not send.
fn check_asks(file: &At<FaultFile>, fault: &Fault, load: &Load) -> Result<(), Problem> {
    let is_silent = match (&fault.action, fault.at) {
        (Action::Poison(_), Trigger::Attempt(attempt)) => load.connection.is_silent(attempt),
        (Action::Poison(_), _) => load.connection.silent && load.connection.every == 1,
        (Action::Crash { .. } | Action::Signal { .. } | Action::Pause { .. } | Action::Control { .. }, _) => {
            false
        }
    };
    if !is_silent {
        return Ok(());
    }
    Err(file
        .value
        .at
        .problem("poison is a request, and this attempt asks for nothing")
        .expecting("an attempt that is not silent"))
}

/// A fault that cannot strike before the load is over is a slip. The last fault is the one to check.
fn check_in_load(at: &At<AtFile>, faults: &[Fault], load: &Load) -> Result<(), Problem> {
    let Some((last, earlier)) = faults.split_last() else { return Ok(()) };
    let extent = Extent::of(load);
    if let (Trigger::Attempt(attempt), Some(planned)) = (last.at, extent.attempts_planned)
        && f64::from(attempt) >= planned
    {
        return Err(at
            .problem(format!("attempt {attempt} is beyond the load's end: it has {planned} attempts"))
            .expecting(format!("at most {}, since attempts count from 0", planned - 1.0)));
    }
    if let Trigger::After { fault, .. } = last.at
        && matches!(earlier[fault].action, Action::Pause { for_ns: None, .. })
    {
        return Err(at
            .problem(format!("nothing comes after fault {fault}: it lasts to the load's end"))
            .expecting("`for` in its `pause`, or another moment"));
    }
    let earliest = earliest_strike_ns(last.at, earlier, load);
    if earliest < extent.end_ns_max {
        return Ok(());
    }
    let end = duration::show_ns(saturating(extent.end_ns_max));
    let strikes = duration::show_ns(saturating(earliest));
    Err(at
        .problem(format!("the fault would strike after {strikes} or later, beyond the load's end ({end})"))
        .expecting("a moment while the load runs"))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
fn saturating(ns: f64) -> u64 {
    ns as u64
}

/// When a fault strikes at the earliest, in nanoseconds from the load's start.
fn earliest_strike_ns(at: Trigger, earlier: &[Fault], load: &Load) -> f64 {
    match at {
        Trigger::Elapsed(ns) => ns as f64,
        Trigger::Attempt(attempt) => earliest_ns(load, attempt),
        Trigger::Fraction(share) => share * Extent::of(load).end_ns_min,
        Trigger::Call(at) => {
            at.since.map_or(0.0, |fault| earliest_strike_ns(earlier[fault].at, &earlier[..fault], load))
        }
        Trigger::After { fault, delay_ns } => {
            let base = earliest_strike_ns(earlier[fault].at, &earlier[..fault], load);
            let pause_ns = match earlier[fault].action {
                Action::Pause { for_ns, .. } => for_ns.unwrap_or(0),
                Action::Poison(_) | Action::Crash { .. } | Action::Signal { .. } | Action::Control { .. } => {
                    0
                }
            };
            base + pause_ns as f64 + delay_ns as f64
        }
    }
}

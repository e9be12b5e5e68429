//! A supervisor of holdline's above a service, which holds its listener and starts it again: the service gets the
//! listener as systemd would hand it over, by LISTEN_FDS.

use toml::{Table, Value};

use super::{Files, Obstacle, table_of, text};
use crate::duration::exact;
use crate::scenario::{Action, Target};
use crate::supervisor::{Runs, Supervisor};

/// The file, in the trial's folder, that has the id of the service's own process.
const PID_FILE: &str = "held.pid";
/// What is run beneath the supervisor, with the listener as standard input: `$1` is the trial's folder.
const HAND_OVER: &str = "exec 3<&0 </dev/null; echo $$ > \"$1/held.pid\"; shift; \
                         export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web; exec \"$@\"";

/// How long it may take at most until the service replies beneath the supervisor, in nanoseconds.
const READY_NS_MAX: u64 = 15_000_000_000;

/// Puts the supervisor above the service.
pub(super) fn hold(files: &mut Files<'_>) -> Result<(), Obstacle> {
    let (scenario, supervisor) = (files.trial.scenario.0, files.trial.supervisor.0);
    if supervisor.runs != [Runs::Itself] || supervisor.pid_file.is_some() || supervisor.needs_root {
        return Err(Obstacle::NotAbove);
    }
    if scenario.faults.iter().any(|fault| means_a_worker(&fault.action)) {
        return Err(Obstacle::WhichProcess);
    }
    describe(&mut files.supervisor, supervisor);
    if let Some(Value::Array(faults)) = files.scenario.get_mut("fault") {
        faults.iter_mut().filter_map(Value::as_table_mut).for_each(redirect);
    }
    Ok(())
}

/// Whether a fault means a process below the one that was started.
fn means_a_worker(action: &Action) -> bool {
    match action {
        Action::Signal { to: target, .. } | Action::Pause { whom: target, .. } => match target {
            Target::Worker | Target::Workers => true,
            Target::Supervisor => false,
        },
        Action::Poison(_) | Action::Crash { .. } | Action::Control { .. } => false,
    }
}

fn describe(file: &mut Table, supervisor: &Supervisor) {
    let above = [
        "{holdline}",
        "__supervise",
        "held-socket",
        "--address",
        "{address}",
        "--backlog",
        "{backlog}",
        "--dir",
        "{dir}",
        "--",
        "sh",
        "-c",
    ];
    let words =
        above.map(str::to_owned).into_iter().chain([braced(HAND_OVER), "sh".to_owned(), "{dir}".to_owned()]);
    let words = words.chain(supervisor.start.iter().cloned());
    file.insert("start".to_owned(), Value::Array(words.map(Value::String).collect()));
    let socket = [("holder", "supervisor"), ("passing", "own")];
    file.insert("socket".to_owned(), Value::Table(pairs(&socket)));
    file.insert("single-process".to_owned(), Value::Boolean(false));
    // One that does not take the listener is started again and again.
    let ready = table_of(file, "ready");
    if supervisor.ready.timeout_ns > READY_NS_MAX {
        ready.insert("timeout".to_owned(), text(&exact(READY_NS_MAX)));
    }
    file.insert("stop".to_owned(), Value::Table(pairs(&[("signal", "TERM"), ("to", "supervisor")])));
    if let Some(Value::Table(control)) = file.get_mut("control") {
        control.iter_mut().filter_map(|(_, entry)| entry.as_table_mut()).for_each(|entry| {
            let goes_to_it =
                matches!(entry.get("to").and_then(Value::as_str), None | Some("supervisor" | "group"));
            if entry.contains_key("signal") && goes_to_it {
                entry.insert("to".to_owned(), Value::Table(pairs(&[("pidfile", PID_FILE)])));
            }
        });
    }
}

/// What hits the process that was started hits it beneath the supervisor; and to be asked to stop is to be asked to
/// begin anew there.
fn redirect(fault: &mut Table) {
    let verb = fault.get("control").and_then(|control| control.get("verb").or(Some(control))?.as_str());
    if verb == Some("stop") {
        fault.remove("control");
        *table_of(fault, "signal") = pairs(&[("to", "worker"), ("name", "TERM")]);
        return;
    }
    for (action, key, whom) in [("signal", "to", "worker"), ("pause", "whom", "workers")] {
        if let Some(Value::Table(entry)) = fault.get_mut(action)
            && entry.get(key).and_then(Value::as_str).is_none_or(|whom| whom == "supervisor")
        {
            entry.insert(key.to_owned(), text(whom));
        }
    }
}

/// A word of a command, in which braces stand for themselves.
fn braced(word: &str) -> String {
    word.replace('{', "{{").replace('}', "}}")
}

fn pairs(pairs: &[(&str, &str)]) -> Table {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect()
}

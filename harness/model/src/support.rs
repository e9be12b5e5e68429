//! Whether a supervisor can do what a scenario asks, as far as its description says.

use crate::scenario::{Action, Scenario};
use crate::supervisor::{Control, Runs, Supervisor, WorkerKind};

/// Why this trial is unsupported, or `None` if it can be run.
#[must_use]
pub fn lack(
    supervisor: &Supervisor,
    scenario: &Scenario,
    worker: WorkerKind,
    is_root: bool,
) -> Option<String> {
    let transport = scenario.listen.transport;
    if !supervisor.transports.contains(&transport) {
        return Some(format!("it cannot listen on {transport}"));
    }
    if scenario.workers.count > supervisor.workers_max {
        let (wanted, most) = (scenario.workers.count, supervisor.workers_max);
        return Some(format!("it runs at most {most} workers, and the scenario asks for {wanted}"));
    }
    if supervisor.needs_root && !is_root {
        return Some("it must be started by root".to_owned());
    }
    if !supervisor.runs.contains(&Runs::Command) {
        let word = match worker {
            WorkerKind::Rust => "rust",
            WorkerKind::Python => "python",
        };
        return Some(format!("it cannot run the {word} worker, which is a command"));
    }
    scenario.faults.iter().find_map(|fault| match &fault.action {
        Action::Control { verb, .. } => match supervisor.control.get(verb) {
            None => Some(format!("it has no `{verb}`")),
            Some(Control::Unsupported(reason)) => Some(format!("it has no `{verb}`: {reason}")),
            Some(_) => None,
        },
        _ => None,
    })
}

//! Whether a supervisor can do what a scenario asks, as far as its description says.

use crate::scenario::{Action, Scenario};
use crate::supervisor::{Control, Protocol, Runs, Supervisor, WorkerKind};

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
        let workers = if most == 1 { "worker" } else { "workers" };
        return Some(format!("it runs at most {most} {workers}, and the scenario asks for {wanted}"));
    }
    if supervisor.needs_root && !is_root {
        return Some("it must be started by root".to_owned());
    }
    if supervisor.runs.contains(&Runs::Itself) && supervisor.protocol == Protocol::Http {
        return Some("its workers speak HTTP, and the load client does not yet".to_owned());
    }
    if !supervisor.runs.iter().any(|runs| matches!(runs, Runs::Command | Runs::Itself)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(description: &str, scenario: &str, is_root: bool, expected: Option<&str>) {
        let supervisor = format!(
            "name = \"x\"\nabout = \"y\"\nsocket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n\
             start = [\"x\"]\n{description}"
        );
        let supervisor = crate::supervisor::parse(&supervisor, "supervisor.toml").expect("a description");
        let scenario = format!(
            "name = \"x\"\nasks = \"?\"\n[load]\narrivals = {{ sequential = \"1ms\" }}\nattempts = 9\n{scenario}"
        );
        let scenario = crate::scenario::parse(&scenario, "x.toml").expect("a scenario");
        let found = lack(&supervisor, &scenario, WorkerKind::Rust, is_root);
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn what_a_description_lacks_is_named() {
        check("", "", false, None);
        check("transports = [\"tcp\"]\n", "", false, None);
        check("transports = [\"unix\"]\n", "", false, Some("it cannot listen on tcp"));
        check("needs-root = true\n", "", true, None);
        check("needs-root = true\n", "", false, Some("it must be started by root"));
        check("runs = [\"wsgi\"]\n", "", false, Some("it cannot run the rust worker, which is a command"));
        check("runs = [\"itself\"]\n", "", false, None);
        let two = "[workers]\ncount = 2\n";
        check("workers-max = 1\n", two, false, Some("it runs at most 1 worker, and the scenario asks for 2"));
        let restart = "[[fault]]\nat = { attempt = 2 }\ncontrol = \"restart\"\n";
        check("", restart, false, Some("it has no `restart`"));
        check("[control]\nrestart = { signal = \"HUP\", to = \"supervisor\" }\n", restart, false, None);
        let cannot = "[control]\nrestart = { unsupported = \"by design\" }\n";
        check(cannot, restart, false, Some("it has no `restart`: by design"));
    }
}

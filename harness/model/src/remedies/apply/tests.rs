//! Which changes end up in the files, and what those mean then.

use super::*;
use crate::result::DrainBasis;
use crate::scenario::{self, Action, Target};
use crate::signals::Signal;
use crate::supervisor::{self, Control, SignalTo};
use crate::words::Verb;

const LOAD: &str = "[load]\narrivals = { constant = \"100/s\" }\nduration = \"3s\"\n";

fn service(more: &str, start: &str) -> String {
    format!(
        "name = \"web\"\nabout = \"A service\"\nruns = [\"itself\"]\nprotocol = \"http\"\n{more}\n\
         socket = {{ holder = \"supervisor\", passing = \"own\" }}\nstart = {start}\n[control]\n\
         restart = {{ signal = \"HUP\" }}\nreload = [\"true\"]\n"
    )
}

struct Case {
    scenario: String,
    supervisor: String,
    has_namespaces: bool,
}

impl Case {
    fn new(faults: &str, supervisor: String) -> Self {
        let scenario = format!("name = \"t\"\nasks = \"?\"\n{LOAD}{faults}");
        Self { scenario, supervisor, has_namespaces: true }
    }

    fn apply(&self, changes: &[Change]) -> Applied {
        let scenario = scenario::parse(&self.scenario, "t").unwrap_or_else(|error| panic!("{error}"));
        let supervisor = supervisor::parse(&self.supervisor, "t").unwrap_or_else(|error| panic!("{error}"));
        let trial = Trial {
            scenario: (&scenario, &self.scenario),
            supervisor: (&supervisor, &self.supervisor),
            has_namespaces: self.has_namespaces,
            templates_have_backlog: false,
        };
        apply(&trial, changes)
    }

    #[track_caller]
    fn refuses(&self, change: &Change, obstacle: Obstacle) {
        let applied = self.apply(std::slice::from_ref(change));
        assert!(applied.changes.is_empty());
        let why: Vec<(String, Obstacle)> =
            applied.refused.iter().map(|refused| (refused.change.label(), refused.obstacle)).collect();
        let label = roomy(change).label();
        assert_eq!(why, [(label, obstacle)]);
    }
}

/// What the files say, once changes are in them.
fn read(applied: &Applied) -> (Scenario, Supervisor) {
    let scenario = scenario::parse(&applied.scenario, "t").unwrap_or_else(|error| panic!("{error}"));
    let supervisor = supervisor::parse(&applied.supervisor, "t").unwrap_or_else(|error| panic!("{error}"));
    (scenario, supervisor)
}

fn backlog(at_least: u64, somaxconn: Option<u32>) -> Change {
    Change::Backlog { at_least: Some(at_least), had: 5, somaxconn }
}

const HOLD: Change = Change::HoldListener { gap_ns: None, backlog: Some(300) };

#[test]
fn a_backlog_is_raised_where_the_command_says_it_or_the_kernel_forbids_it() {
    let says = Case::new("", service("", "[\"web\", \"--backlog={backlog}\"]"));
    let applied = says.apply(&[backlog(214, None)]);
    let (scenario, _) = read(&applied);
    // A quarter more than was needed.
    assert_eq!((applied.changes, scenario.listen.backlog), (vec![backlog(268, None)], 268));
    assert!(scenario.sysctls.is_empty());
    let silent = Case::new("", service("", "[\"web\"]"));
    silent.refuses(&backlog(214, None), Obstacle::NoBacklog);
    silent.refuses(&Change::Backlog { at_least: None, had: 5, somaxconn: None }, Obstacle::NoNumber);
    let (scenario, _) = read(&silent.apply(&[backlog(9_000, Some(4096))]));
    assert_eq!(scenario.sysctls["net.core.somaxconn"], "11250");
    let shared = Case { has_namespaces: false, ..silent };
    shared.refuses(&backlog(9_000, Some(4096)), Obstacle::NoNamespace);
}

#[test]
fn sysctls_are_set_where_they_are_the_trials_own() {
    let migrate = Change::MigrateRequests { listeners: 4 };
    let case = Case::new("", service("", "[\"web\"]"));
    let (scenario, _) = read(&case.apply(std::slice::from_ref(&migrate)));
    assert_eq!(scenario.sysctls["net.ipv4.tcp_migrate_req"], "1");
    Case { has_namespaces: false, ..case }.refuses(&migrate, Obstacle::NoNamespace);
}

#[test]
fn a_supervisor_above_holds_the_listener_and_faults_hit_the_service_beneath_it() {
    let faults = "[[fault]]\nat = \"1s\"\nsignal = { to = \"supervisor\", name = \"KILL\" }\n\
                  [[fault]]\nat = \"2s\"\ncontrol = \"stop\"\n\
                  [[fault]]\nat = \"2500ms\"\npause = { whom = \"supervisor\", for = \"1s\" }\n";
    let case = Case::new(faults, service("single-process = true", "[\"web\", \"--port={port}\", \"{{}}\"]"));
    let applied = case.apply(&[HOLD]);
    assert!(applied.refused.is_empty());
    let (scenario, supervisor) = read(&applied);
    assert!(supervisor.start.ends_with(&["web", "--port={port}", "{{}}"].map(str::to_owned)));
    assert_eq!(supervisor.start[..3], ["{holdline}", "__supervise", "held-socket"].map(str::to_owned));
    assert!(!supervisor.single_process && scenario.listen.backlog == 375);
    assert_eq!(supervisor.stop, Control::Signal { signal: Signal::TERM, to: SignalTo::Supervisor });
    let restart = &supervisor.control[&Verb::Restart];
    assert!(matches!(restart, Control::Signal { to: SignalTo::PidFile(file), .. } if file == "held.pid"));
    assert!(matches!(supervisor.control[&Verb::Reload], Control::Command(_)));
    let actions: Vec<&Action> = scenario.faults.iter().map(|fault| &fault.action).collect();
    let killed = Action::Signal { to: Target::Worker, signal: Signal::KILL };
    let stopped = Action::Signal { to: Target::Worker, signal: Signal::TERM };
    let paused = Action::Pause { whom: Target::Workers, for_ns: Some(1_000_000_000) };
    assert_eq!(actions, [&killed, &stopped, &paused]);
    // With the listener, the backlog is in holdline's hands.
    let (scenario, _) = read(&case.apply(&[HOLD, backlog(900, None)]));
    assert_eq!(scenario.listen.backlog, 1125);
}

#[test]
fn where_a_fault_means_one_of_several_processes_nothing_is_put_above() {
    let fault = "[[fault]]\nat = \"1s\"\nsignal = { to = \"worker\", name = \"KILL\" }\n";
    Case::new(fault, service("", "[\"web\"]")).refuses(&HOLD, Obstacle::WhichProcess);
    Case::new("", service("pid-file = \"pid\"", "[\"web\"]")).refuses(&HOLD, Obstacle::NotAbove);
}

#[test]
fn what_is_the_services_or_its_clients_own_is_left_to_them() {
    let case = Case::new("", service("", "[\"web\"]"));
    let drain = Change::Drain { at_least_ns: 1, basis: DrainBasis::LongestCut };
    case.refuses(&drain, Obstacle::OwnDrain);
    case.refuses(&Change::Retry { for_at_least_ns: 1 }, Obstacle::Clients);
    case.refuses(&Change::StartNewFirst { verb: Verb::Restart, gap_ns: 1 }, Obstacle::OwnReplacement);
    let ours = "name = \"loop\"\nabout = \"A loop\"\nsocket = { holder = \"worker\", passing = \"bind\" }\n\
                start = [\"loop\", \"{worker}\"]\n";
    let hasty = Case::new("[workers]\ndrain = \"none\"\n", ours.to_owned());
    let (scenario, _) = read(&hasty.apply(&[drain]));
    assert_eq!(scenario.workers.drain, Drain::Graceful);
}

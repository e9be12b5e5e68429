//! Whether a supervisor can do what a scenario asks, as far as its description says.

// A new word must be seen wherever words are told apart: no wildcard swallows it.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

use std::collections::BTreeMap;

use crate::lack::{ApplicationLack, Lack};
use crate::scenario::{Action, Drain, Fault, Scenario, Target};
use crate::service::{Request, Service};
use crate::supervisor::{self, Control, Holder, Protocol, Reply, Runs, Supervisor};
use crate::tls::Tls;
use crate::wire::Poison;
use crate::words::{CrashMode, CrashStep, Transport, Verb};

/// Whether the workers are ours, which keep a ledger; those that a server brings itself do not.
#[must_use]
pub fn keeps_ledger(supervisor: &Supervisor) -> bool {
    supervisor.runs != [Runs::Itself]
}

/// Whether a worker is the server's own process with an application of ours in it, which is told of
/// requests and not of connections.
#[must_use]
pub fn is_application(supervisor: &Supervisor) -> bool {
    supervisor::runs_applications(&supervisor.runs)
}

/// Whether workers record when they accept.
#[must_use]
pub fn stamps_accepts(supervisor: &Supervisor) -> bool {
    keeps_ledger(supervisor) && !is_application(supervisor)
}

/// Whether connections that nobody has accepted are sampled: where nobody else would know when they
/// are accepted, and where the scenario wants to compare. Of Unix sockets they are not to be seen.
#[must_use]
pub fn samples_accepts(supervisor: &Supervisor, scenario: &Scenario) -> bool {
    scenario.listen.transport != Transport::Unix && (scenario.sample_accepts || !stamps_accepts(supervisor))
}

/// Why this trial is unsupported, or `None` if it can be run.
#[must_use]
pub fn lack(supervisor: &Supervisor, scenario: &Scenario, is_root: bool) -> Option<Lack> {
    let transport = scenario.listen.transport;
    if !supervisor.transports.contains(&transport) {
        return Some(Lack::Transport { transport });
    }
    let (wanted, most) = (scenario.workers.count, supervisor.workers_max);
    if wanted > most {
        return Some(Lack::Workers { wanted, most });
    }
    if supervisor.needs_root && !is_root {
        return Some(Lack::Root);
    }
    lack_of_protocol(supervisor, scenario)
        .or_else(|| lack_of_tls(supervisor, scenario))
        .or_else(|| lack_of_workers(supervisor, scenario))
        .or_else(|| scenario.faults.iter().find_map(|fault| lack_of_fault(supervisor, scenario, fault)))
        .or_else(|| lack_of_users(supervisor, scenario, is_root))
}

/// What its kind of workers lacks.
fn lack_of_workers(supervisor: &Supervisor, scenario: &Scenario) -> Option<Lack> {
    if !keeps_ledger(supervisor) {
        lack_of_own_workers(scenario)
    } else if scenario.load.proxy.is_some() {
        Some(Lack::Proxy)
    } else if is_application(supervisor) {
        lack_of_application(scenario).map(|what| Lack::Application { what })
    } else {
        None
    }
}

/// What a fault is aimed at may be a program of its own, with verbs of its own.
fn lack_of_fault(supervisor: &Supervisor, scenario: &Scenario, fault: &Fault) -> Option<Lack> {
    let Some(target) = &fault.target else { return lack_of_action(supervisor, scenario, &fault.action) };
    let is_front = *target == supervisor.front.name;
    let control = match supervisor.program(target) {
        Some(program) => &program.control,
        None if is_front => &supervisor.front.control,
        None => return Some(Lack::Target { program: target.clone(), programs: supervisor.programs() }),
    };
    match fault.action {
        Action::Control { verb, .. } => lack_of_verb(control, verb),
        Action::Signal { .. } | Action::Pause { .. } if is_front => {
            lack_of_action(supervisor, scenario, &fault.action)
        }
        Action::Signal { .. } | Action::Pause { .. } | Action::Poison(_) | Action::Crash { .. } => None,
    }
}

fn lack_of_action(supervisor: &Supervisor, scenario: &Scenario, action: &Action) -> Option<Lack> {
    match action {
        Action::Control { verb, workers } => {
            lack_of_verb(&supervisor.control, *verb).or_else(|| lack_of_scale(supervisor, *workers))
        }
        Action::Poison(poison) => lack_of_poison(supervisor, scenario, *poison),
        Action::Signal { to: target, .. } | Action::Pause { whom: target, .. } => {
            lack_of_target(supervisor, *target)
        }
        Action::Crash { .. } => None,
    }
}

/// Whoever has no request that crashes a worker has the worker killed that has the request, which is one way of
/// failing only.
fn lack_of_poison(supervisor: &Supervisor, scenario: &Scenario, poison: Poison) -> Option<Lack> {
    if !supervisor.poison && scenario.service.poison.is_none() {
        return Some(Lack::Poison);
    }
    let mode = poison.mode;
    (kills_for_poison(supervisor, scenario) && !ends_a_process(mode)).then_some(Lack::PoisonMode { mode })
}

/// Whether a process that fails like this is one that ended.
const fn ends_a_process(mode: CrashMode) -> bool {
    match mode {
        CrashMode::Exit | CrashMode::Panic | CrashMode::Abort | CrashMode::Segv | CrashMode::Kill => true,
        CrashMode::Hang
        | CrashMode::StopAccepting
        | CrashMode::LeakFds
        | CrashMode::Allocate
        | CrashMode::Catch => false,
    }
}

/// What a service understands in a scenario.
#[must_use]
pub fn service(supervisor: &Supervisor, scenario: &Scenario) -> Service {
    supervisor.service.overridden_by(&scenario.service)
}

/// Whether the worker that has the request is killed where a scenario asks for poison: the service has requests of
/// its own, and none of them crashes a worker.
#[must_use]
pub fn kills_for_poison(supervisor: &Supervisor, scenario: &Scenario) -> bool {
    let service = service(supervisor, scenario);
    let has_its_own = match protocol(supervisor, scenario) {
        Protocol::Square => false,
        Protocol::Http => !service.asks_squares(),
        Protocol::Bytes => service.exchanges.is_some(),
    };
    has_its_own && service.poison.is_none()
}

fn lack_of_target(supervisor: &Supervisor, target: Target) -> Option<Lack> {
    match target {
        Target::Worker | Target::Workers => supervisor.single_process.then_some(Lack::WorkerToHit),
        Target::Supervisor => None,
    }
}

fn lack_of_verb(control: &BTreeMap<Verb, Control>, verb: Verb) -> Option<Lack> {
    // Every program can be stopped: how is not among its verbs.
    if verb == Verb::Stop {
        return None;
    }
    match control.get(&verb) {
        None => Some(Lack::Verb { verb, reason: None }),
        Some(Control::Unsupported(reason)) => Some(Lack::Verb { verb, reason: Some(reason.clone()) }),
        Some(Control::Command(_) | Control::Signal { .. }) => None,
    }
}

fn lack_of_scale(supervisor: &Supervisor, workers: Option<u32>) -> Option<Lack> {
    let (wanted, most) = (workers?, supervisor.workers_max);
    (wanted > most).then_some(Lack::Scale { wanted, most })
}

/// A supervisor that holds no listener has nothing that its workers could not have: it can be
/// started as their user as a whole.
fn lack_of_users(supervisor: &Supervisor, scenario: &Scenario, is_root: bool) -> Option<Lack> {
    scenario.workers.user.as_ref()?;
    if !supervisor.can_drop && supervisor.socket.holder == Holder::Supervisor {
        return Some(Lack::OtherUsers);
    }
    (!is_root).then_some(Lack::RootForUsers)
}

/// What a server that brings its own workers lacks.
fn lack_of_own_workers(scenario: &Scenario) -> Option<Lack> {
    let needs = |test: fn(&Action) -> bool| scenario.faults.iter().any(|fault| test(&fault.action));
    needs(|action| matches!(action, Action::Crash { .. })).then_some(Lack::Crash)
}

/// What an application cannot be made to do, since a server stands between it and the connection.
fn lack_of_application(scenario: &Scenario) -> Option<ApplicationLack> {
    let lack = scenario.faults.iter().find_map(|fault| match fault.action {
        Action::Poison(Poison { step, mode }) | Action::Crash { step, mode, .. } => {
            lack_of_failing(step, mode)
        }
        Action::Signal { .. } | Action::Pause { .. } | Action::Control { .. } => None,
    });
    match scenario.workers.drain {
        Drain::None => lack.or(Some(ApplicationLack::DieAtOnce)),
        Drain::Graceful | Drain::Patient => lack,
    }
}

fn lack_of_failing(step: CrashStep, mode: CrashMode) -> Option<ApplicationLack> {
    match (step, mode) {
        (CrashStep::Accept, _) => Some(ApplicationLack::Accept),
        (_, CrashMode::StopAccepting) => Some(ApplicationLack::StopAccepting),
        (CrashStep::Idle, _) => Some(ApplicationLack::Idle),
        (CrashStep::Drain, _) => Some(ApplicationLack::Drain),
        (CrashStep::Boot | CrashStep::Read | CrashStep::Work | CrashStep::Reply | CrashStep::Close, _) => {
            None
        }
    }
}

/// What is spoken in a trial: our workers speak what the scenario asks for.
#[must_use]
pub fn protocol(supervisor: &Supervisor, scenario: &Scenario) -> Protocol {
    scenario.load.protocol.unwrap_or(supervisor.protocol)
}

/// Whether the service is asked a request, outside of all counts, to tell that it is ready. A request that is
/// no GET may do something, so that it is made only where the description says so.
#[must_use]
pub fn asks_before_load(supervisor: &Supervisor, scenario: &Scenario) -> bool {
    let service = service(supervisor, scenario);
    let is_get = match protocol(supervisor, scenario) {
        Protocol::Square => false,
        Protocol::Http => {
            scenario.load.connection.body_bytes == 0 && service.request.as_ref().is_none_or(Request::is_safe)
        }
        // A server that greets whoever comes is asked for nothing.
        Protocol::Bytes => service
            .exchanges
            .as_ref()
            .is_some_and(|exchanges| exchanges.all.iter().all(|exchange| exchange.send.is_empty())),
    };
    match supervisor.ready.reply {
        Reply::Never => false,
        Reply::WhereGet => is_get,
        Reply::Always => true,
    }
}

/// How the load client speaks TLS: as the description says, but for what the scenario says.
#[must_use]
pub fn tls(supervisor: &Supervisor, scenario: &Scenario) -> Option<Tls> {
    match (&supervisor.tls, &scenario.tls) {
        (Some(described), Some(asked)) => Some(described.overridden_by(asked)),
        (Some(tls), None) | (None, Some(tls)) => Some(tls.clone()),
        (None, None) => None,
    }
}

/// The protocols that the load client offers in a TLS handshake: those that are named, else that of the requests,
/// if it has a name there (RFC 7301, section 6).
#[must_use]
pub fn alpn(tls: &Tls, protocol: Protocol) -> Vec<String> {
    match (&tls.alpn, protocol) {
        (Some(named), _) => named.clone(),
        (None, Protocol::Http) => vec!["http/1.1".to_owned()],
        (None, Protocol::Square | Protocol::Bytes) => Vec::new(),
    }
}

/// Workers of ours do not speak TLS themselves; a proxy above them may, as its description says.
fn lack_of_tls(supervisor: &Supervisor, scenario: &Scenario) -> Option<Lack> {
    let may_speak = supervisor.tls.is_some() || supervisor.runs.contains(&Runs::Itself);
    (scenario.tls.is_some() && !may_speak).then_some(Lack::Tls)
}

fn lack_of_protocol(supervisor: &Supervisor, scenario: &Scenario) -> Option<Lack> {
    let (spoken, asked) = (supervisor.protocol, protocol(supervisor, scenario));
    let http = Protocol::Http;
    if !scenario.service.asks_squares() && asked != http {
        return Some(Lack::Protocol { spoken: asked, asked: http });
    }
    if scenario.service.exchanges.is_some() && asked != Protocol::Bytes {
        return Some(Lack::Protocol { spoken: asked, asked: Protocol::Bytes });
    }
    let sends_bodies = scenario.load.connection.body_bytes > 0;
    if sends_bodies && asked == http && service(supervisor, scenario).request.is_some() {
        return Some(Lack::Bodies);
    }
    let speaks_its_own = supervisor.runs.contains(&Runs::Itself) || is_application(supervisor);
    (speaks_its_own && spoken != asked).then_some(Lack::Protocol { spoken, asked })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scenario, supervisor};

    fn scenario(lines: &str) -> Scenario {
        let load = "[load]\narrivals = { constant = \"100/s\" }\nduration = \"1s\"\n";
        scenario::parse(&format!("name = \"t\"\nasks = \"?\"\n{load}{lines}\n"), "t.toml")
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn supervisor(lines: &str) -> Supervisor {
        let text = format!("name = \"t\"\nabout = \"x\"\nstart = [\"x\"]\n{lines}\n");
        supervisor::parse(&text, "t.toml").unwrap_or_else(|error| panic!("{error}"))
    }

    fn bare_square() -> Scenario {
        let load = "arrivals = { constant = \"100/s\" }\nduration = \"1s\"\nprotocol = \"square\"\n";
        scenario::parse(&format!("name = \"t\"\nasks = \"?\"\n[load]\n{load}"), "t.toml")
            .unwrap_or_else(|error| panic!("{error}"))
    }

    const HOLDS: &str = "socket = { holder = \"supervisor\", passing = \"stdin\" }\n";
    const BINDS: &str = "socket = { holder = \"worker\", passing = \"bind\" }\n";

    #[track_caller]
    fn check(description: &str, lines: &str, expected: Option<&Lack>) {
        assert_eq!(lack(&supervisor(description), &scenario(lines), true).as_ref(), expected);
    }

    fn no_verb(verb: Verb, reason: Option<&str>) -> Lack {
        Lack::Verb { verb, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn a_fault_is_aimed_at_programs_and_verbs_that_there_are() {
        let chain = format!(
            "{HOLDS}[front]\nname = \"nginx\"\n[front.control]\nreload = {{ signal = \"HUP\" }}\n\
             [[program]]\nname = \"php\"\nstart = [\"php\"]\nlistens = \"/php\"\n\
             [program.control]\nrestart = [\"again\"]\n[control]\nupgrade = [\"deploy\"]\n"
        );
        let fault =
            |target: &str, what: &str| format!("[[fault]]\nat = \"0.1s\"\ntarget = \"{target}\"\n{what}");
        for (target, what, expected) in [
            ("nginx", "control = \"reload\"", None),
            ("nginx", "control = \"upgrade\"", Some(no_verb(Verb::Upgrade, None))),
            ("php", "control = \"restart\"", None),
            ("php", "control = \"stop\"", None),
            ("php", "control = \"reload\"", Some(no_verb(Verb::Reload, None))),
            ("php", "signal = { to = \"worker\", name = \"KILL\" }", None),
        ] {
            check(&chain, &fault(target, what), expected.as_ref());
        }
        let lack = |programs: &[&str]| Lack::Target {
            program: "redis".to_owned(),
            programs: programs.iter().map(|name| (*name).to_owned()).collect(),
        };
        check(&chain, &fault("redis", "control = \"stop\""), Some(&lack(&["nginx", "php"])));
        check(HOLDS, &fault("redis", "control = \"stop\""), Some(&lack(&[])));
    }

    #[test]
    fn a_verb_that_is_missing_is_named() {
        let control = |control: &str| format!("{HOLDS}workers-max = 3\n[control]\n{control}");
        let fault = |what: &str| format!("[[fault]]\nat = \"0.1s\"\ncontrol = {what}");
        check(HOLDS, &fault("\"reload\""), Some(&no_verb(Verb::Reload, None)));
        check(HOLDS, &fault("\"stop\""), None);
        let why = control("reload = { unsupported = \"it has no configuration\" }");
        check(&why, &fault("\"reload\""), Some(&no_verb(Verb::Reload, Some("it has no configuration"))));
        check(&control("reload = { signal = \"HUP\" }"), &fault("\"reload\""), None);
        let scale = control("scale = [\"x\", \"{workers}\"]");
        check(&scale, &fault("{ verb = \"scale\", workers = 3 }"), None);
        check(&scale, &fault("{ verb = \"scale\", workers = 4 }"), Some(&Lack::Scale { wanted: 4, most: 3 }));
    }

    #[test]
    fn a_single_process_has_no_worker_to_be_hit() {
        let single = format!("{HOLDS}runs = [\"itself\"]\nsingle-process = true\n");
        let fault = |what: &str| format!("[[fault]]\nat = \"0.1s\"\n{what}");
        let why = Some(&Lack::WorkerToHit);
        for (what, lack) in [
            ("signal = { to = \"worker\", name = \"KILL\" }", why),
            ("signal = { to = \"workers\", name = \"TERM\" }", why),
            ("pause = { whom = \"worker\", for = \"0.1s\" }", why),
            ("signal = { to = \"supervisor\", name = \"KILL\" }", None),
            ("pause = { whom = \"supervisor\", for = \"0.1s\" }", None),
        ] {
            check(&single, &fault(what), lack);
            check(&format!("{HOLDS}runs = [\"itself\"]\n"), &fault(what), None);
        }
    }

    #[test]
    fn our_workers_expect_no_header_of_a_proxy() {
        let mut proxied = scenario("");
        proxied.load.proxy = Some(crate::wire::ProxyVersion::V2);
        assert_eq!(lack(&supervisor(HOLDS), &proxied, true), Some(Lack::Proxy));
        let own = supervisor(&format!("{HOLDS}runs = [\"itself\"]\n"));
        assert_eq!(lack(&own, &proxied, true), None);
    }

    #[test]
    fn other_users_need_a_supervisor_that_drops_and_root() {
        let nobody = "[workers]\nuser = \"nobody\"";
        check(HOLDS, nobody, Some(&Lack::OtherUsers));
        check(&format!("{HOLDS}can-drop = true"), nobody, None);
        check(BINDS, nobody, None);
        let lack = lack(&supervisor(BINDS), &scenario(nobody), false);
        assert_eq!(lack, Some(Lack::RootForUsers));
    }

    #[test]
    fn a_server_that_speaks_otherwise_than_the_scenario_is_unsupported() {
        let own = |protocol: &str| format!("{HOLDS}runs = [\"itself\"]\nprotocol = \"{protocol}\"\n");
        // `[load]` is the table that these keys fall into.
        let asks = |protocol: &str| format!("protocol = \"{protocol}\"\n");
        let lack = |spoken, asked| Lack::Protocol { spoken, asked };
        check(&own("square"), &asks("http"), Some(&lack(Protocol::Square, Protocol::Http)));
        check(&own("http"), &asks("square"), Some(&lack(Protocol::Http, Protocol::Square)));
        for protocol in ["square", "http"] {
            check(&own(protocol), &asks(protocol), None);
            check(&own(protocol), "", None);
            // Our workers speak both, whatever the description says.
            check(HOLDS, &asks(protocol), None);
        }
    }

    fn check_lack(description: &str, scenario: &str, is_root: bool, expected: Option<&Lack>) {
        let supervisor = format!(
            "name = \"x\"\nabout = \"y\"\nsocket = {{ holder = \"supervisor\", passing = \"stdin\" }}\n\
             start = [\"x\"]\n{description}"
        );
        let supervisor = supervisor::parse(&supervisor, "supervisor.toml").expect("a description");
        let scenario = format!(
            "name = \"x\"\nasks = \"?\"\n[load]\narrivals = {{ sequential = \"1ms\" }}\nattempts = 9\n{scenario}"
        );
        let scenario = scenario::parse(&scenario, "x.toml").expect("a scenario");
        assert_eq!(lack(&supervisor, &scenario, is_root).as_ref(), expected);
    }

    #[test]
    fn what_a_description_lacks_is_named() {
        check_lack("", "", false, None);
        check_lack("transports = [\"tcp\"]\n", "", false, None);
        check_lack(
            "transports = [\"unix\"]\n",
            "",
            false,
            Some(&Lack::Transport { transport: Transport::Tcp }),
        );
        check_lack("needs-root = true\n", "", true, None);
        check_lack("needs-root = true\n", "", false, Some(&Lack::Root));
        check_lack("runs = [\"itself\"]\n", "", false, None);
        let signal = |to: &str| {
            format!("[[fault]]\nat = {{ attempt = 2 }}\nsignal = {{ to = \"{to}\", name = \"KILL\" }}\n")
        };
        check_lack("runs = [\"itself\"]\n", &signal("worker"), false, None);
        check_lack("runs = [\"itself\"]\n", &signal("supervisor"), false, None);
        let poison = "[[fault]]\nat = { attempt = 2 }\npoison = { step = \"work\", mode = \"panic\" }\n";
        check_lack("runs = [\"itself\"]\n", poison, false, None);
        check_lack("runs = [\"itself\"]\npoison = false\n", poison, false, Some(&Lack::Poison));
        let two = "[workers]\ncount = 2\n";
        check_lack("workers-max = 1\n", two, false, Some(&Lack::Workers { wanted: 2, most: 1 }));
        let restart = "[[fault]]\nat = { attempt = 2 }\ncontrol = \"restart\"\n";
        check_lack("", restart, false, Some(&no_verb(Verb::Restart, None)));
        check_lack("[control]\nrestart = { signal = \"HUP\", to = \"supervisor\" }\n", restart, false, None);
        let cannot = "[control]\nrestart = { unsupported = \"by design\" }\n";
        check_lack(cannot, restart, false, Some(&no_verb(Verb::Restart, Some("by design"))));
    }

    #[test]
    fn an_application_lacks_what_only_its_server_knows() {
        let check = |scenario: &str, what: Option<ApplicationLack>| {
            let lack = what.map(|what| Lack::Application { what });
            check(&format!("runs = [\"wsgi\"]\n{HOLDS}"), scenario, lack.as_ref());
        };
        let poison = |step: &str, mode: &str| {
            format!("[[fault]]\nat = {{ attempt = 2 }}\npoison = {{ step = \"{step}\", mode = \"{mode}\" }}")
        };
        let crash = |step: &str| {
            format!("[[fault]]\nat = \"0.1s\"\ncrash = {{ step = \"{step}\", mode = \"exit\" }}")
        };
        check("", None);
        check(&poison("work", "kill"), None);
        check(&poison("reply", "segv"), None);
        check(&crash("boot"), None);
        check(&poison("accept", "kill"), Some(ApplicationLack::Accept));
        check(&poison("work", "stop-accepting"), Some(ApplicationLack::StopAccepting));
        check(&crash("idle"), Some(ApplicationLack::Idle));
        check(&crash("drain"), Some(ApplicationLack::Drain));
        check("[workers]\ndrain = \"none\"", Some(ApplicationLack::DieAtOnce));
        check("[workers]\ndrain = \"patient\"", None);
        check("[[fault]]\nat = \"0.1s\"\nsignal = { to = \"worker\", name = \"KILL\" }", None);
        let bare = lack(&supervisor(&format!("runs = [\"wsgi\"]\n{HOLDS}")), &bare_square(), true);
        assert_eq!(bare, Some(Lack::Protocol { spoken: Protocol::Http, asked: Protocol::Square }));
    }

    #[test]
    fn who_stamps_accepts_needs_no_samples() {
        let of = |runs: &str| supervisor(&format!("runs = {runs}\n{HOLDS}"));
        for (runs, is_application, stamps) in [
            ("[\"command\"]", false, true),
            ("[\"wsgi\"]", true, false),
            ("[\"asgi\", \"wsgi\"]", true, false),
            ("[\"command\", \"wsgi\"]", false, true),
            ("[\"itself\"]", false, false),
        ] {
            let supervisor = of(runs);
            assert_eq!(super::is_application(&supervisor), is_application, "{runs}");
            assert_eq!(stamps_accepts(&supervisor), stamps, "{runs}");
            assert_eq!(samples_accepts(&supervisor, &scenario("")), !stamps, "{runs}");
        }
    }
}

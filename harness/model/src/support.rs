//! Whether a supervisor can do what a scenario asks, as far as its description says.

// A new word must be seen wherever words are told apart: no wildcard swallows it.
#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

use std::collections::BTreeMap;

use crate::lack::{ApplicationLack, Lack};
use crate::scenario::{Action, Drain, Fault, Scenario, Target};
use crate::service::{Exchanges, Request, Service};
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
        Protocol::Http | Protocol::Http2 => !service.asks_squares(),
        Protocol::Bytes => service.exchanges.is_some(),
        Protocol::WebSocket => true,
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
        Protocol::Http | Protocol::Http2 => {
            scenario.load.connection.body_bytes == 0 && service.request.as_ref().is_none_or(Request::is_safe)
        }
        Protocol::Bytes => service.exchanges.as_ref().is_some_and(Exchanges::listen),
        Protocol::WebSocket => service.exchanges.as_ref().is_none_or(Exchanges::listen),
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
        (None, Protocol::Http | Protocol::WebSocket) => vec!["http/1.1".to_owned()],
        (None, Protocol::Http2) => vec!["h2".to_owned()],
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
    let opens = asked == Protocol::WebSocket && scenario.service.reply.is_none();
    if !scenario.service.asks_squares() && !asked.is_http() && !opens {
        return Some(Lack::Protocol { spoken: asked, asked: Protocol::Http });
    }
    if scenario.service.exchanges.is_some() && !asked.has_exchanges() {
        return Some(Lack::Protocol { spoken: asked, asked: Protocol::Bytes });
    }
    let has_request = service(supervisor, scenario).request.is_some();
    if scenario.load.connection.body_bytes > 0 && asked.is_http() && has_request {
        return Some(Lack::Bodies);
    }
    let speaks_its_own = supervisor.runs.contains(&Runs::Itself) || is_application(supervisor);
    let nobody_speaks_it = !speaks_its_own && !asked.can().workers;
    (nobody_speaks_it || speaks_its_own && spoken != asked).then_some(Lack::Protocol { spoken, asked })
}

#[cfg(test)]
mod tests;

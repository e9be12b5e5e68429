//! From what a description says to a supervisor: defaults, placeholders, contradictions.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use super::control::{checked, pid_file, stop, verbs, words};
use super::file::{ReadyFile, SupervisorFile, TemplateFileFile};
use super::{
    Passing, Protocol, READY_NS_DEFAULT, Ready, Reply, Runs, Socket, Supervisor, TemplateFile, WorkerKind,
    names, program,
};
use crate::bounds;
use crate::file::{
    At, FileError, Problem, Source, Table, check_name, check_scenario_name, integer, time, word,
};
use crate::service::file::{PoisonChoiceFile, ServiceFile};
use crate::service::{self, Origin, Service};
use crate::tls;
use crate::words::{Grade, Transport};

/// The longest path that may be asked for to tell whether a service is ready, in bytes.
const REQUEST_PATH_MAX: usize = 2048;

/// Reads the description of a supervisor. `origin` is its path, or another name for where the text
/// comes from.
///
/// # Errors
///
/// The first thing that is wrong, with its place, what was expected and the nearest valid word.
pub fn parse(text: &str, origin: &str) -> Result<Supervisor, FileError> {
    let source = Source { text, origin };
    let file: SupervisorFile = source.read()?;
    supervisor(file).map_err(|problem| source.locate(problem))
}

fn supervisor(mut file: SupervisorFile) -> Result<Supervisor, Problem> {
    check_name(&file.name)?;
    if file.about.value.trim().is_empty() {
        return Err(file.about.problem("about is empty").expecting("what the supervisor is, in a line"));
    }
    let runs = non_empty("runs", file.runs.take(), vec![Runs::Command])?;
    let protocol = file.protocol.as_ref().map_or(default_protocol(&runs), |protocol| protocol.value);
    let service = understood(&file, protocol, &runs)?;
    let ready = ready(file.ready.as_ref(), &runs, file.socket.passing.value, protocol)?;
    let names = names::names(&file)?;
    Ok(Supervisor {
        programs: program::programs(&file.program, &names)?,
        front: program::front(file.front.as_ref(), &names)?,
        name: file.name.value,
        about: file.about.value,
        reference: file.reference,
        version: words(&file.version)?,
        install: file.install,
        worker: file.worker.unwrap_or(WorkerKind::Rust),
        protocol,
        tls: file.tls.as_ref().map(|file| tls::file::tls(file, tls::Beside::Description)).transpose()?,
        poison: !matches!(file.poison, Some(At { value: PoisonChoiceFile::Whether(false), .. })),
        service,
        socket: Socket { holder: file.socket.holder, passing: file.socket.passing.value },
        transports: non_empty("transports", file.transports, Transport::ALL.to_vec())?,
        workers_min: integer("workers-min", file.workers_min.as_ref(), bounds::WORKERS)?.unwrap_or(1),
        workers_max: integer("workers-max", file.workers_max.as_ref(), bounds::WORKERS)?
            .unwrap_or(u32::try_from(*bounds::WORKERS.end()).unwrap_or(u32::MAX)),
        start: start(&file.start, &runs)?,
        ready,
        stop: stop(file.stop, &names)?,
        files: file.files.entries.into_iter().map(template_file).collect::<Result<_, _>>()?,
        control: verbs(&file.control, &names)?,
        private: file.private.iter().map(private).collect::<Result<_, _>>()?,
        env: env(file.env)?,
        expected: expected(file.expected)?,
        trap: file.trap,
        backlog_default: file.backlog_default,
        restart_delay_default: file.restart_delay_default,
        needs_root: file.needs_root,
        needs: file.needs,
        pid_file: file.pid_file.as_ref().map(pid_file).transpose()?,
        can_drop: file.can_drop,
        single_process: file.single_process,
        scales_by_one: file.scales_by_one,
        runs,
    })
}

/// What it understands. Bytes mean nothing by themselves.
fn understood(file: &SupervisorFile, protocol: Protocol, runs: &[Runs]) -> Result<Service, Problem> {
    let service = service::service(
        ServiceFile {
            request: file.request.as_ref(),
            reply: file.reply.as_ref(),
            poison: file.poison.as_ref(),
            exchange: &file.exchange,
            close: file.close.as_ref(),
        },
        Some(protocol),
        Origin::Description,
    )?;
    match &file.protocol {
        Some(place) if !protocol.can().workers && runs != [Runs::Itself] => Err(place
            .problem(format!("holdline's own workers and applications do not speak {}", protocol.as_str()))
            .expecting("`runs = [\"itself\"]` beside it")),
        Some(place) if protocol == Protocol::Bytes && service.exchanges.is_none() => Err(place
            .problem("nothing says which bytes are sent")
            .expecting("[[exchange]], with what is sent and what is expected")),
        _ => Ok(service),
    }
}

fn default_protocol(runs: &[Runs]) -> Protocol {
    if super::runs_applications(runs) { Protocol::Http } else { Protocol::Square }
}

fn non_empty<T>(key: &str, given: Option<At<Vec<T>>>, default: Vec<T>) -> Result<Vec<T>, Problem> {
    match given {
        None => Ok(default),
        Some(list) if list.value.is_empty() => Err(list.problem(format!("{key} is empty"))),
        Some(list) => Ok(list.value),
    }
}

fn start(start: &At<Vec<At<String>>>, runs: &[Runs]) -> Result<Vec<String>, Problem> {
    let words = words(&start.value)?;
    match words.first() {
        None => Err(start.problem("the command is empty").expecting("a program and its arguments")),
        Some(first) if first.is_empty() => Err(start.problem("the program's name is empty")),
        Some(first) if first == "{worker}" && !runs.contains(&Runs::Command) => {
            let runs = if runs.contains(&Runs::Itself) { "itself" } else { "an application" };
            let problem = format!("{{worker}} is a command of holdline's, but this supervisor runs {runs}");
            Err(start.problem(problem).expecting("its own program first"))
        }
        Some(_) => Ok(words),
    }
}

/// Workers that are not ours keep no ledger, and those that get one connection each do not exist
/// before there is one: neither can say that it is ready.
fn ready(
    file: Option<&At<ReadyFile>>,
    runs: &[Runs],
    passing: Passing,
    protocol: Protocol,
) -> Result<Ready, Problem> {
    let can_tell = runs != [Runs::Itself] && passing != Passing::Connection;
    let default = Ready {
        listening: true,
        workers: can_tell,
        reply: if runs == [Runs::Itself] { Reply::WhereGet } else { Reply::Never },
        request: None,
        spares: 0,
        timeout_ns: READY_NS_DEFAULT,
    };
    let Some(place) = file else { return Ok(default) };
    let file = &place.value;
    let timeout_ns = time("timeout", file.timeout.as_ref(), 1..=bounds::BOOT_NS_MAX)?;
    let ready = Ready {
        listening: file.listening.unwrap_or(default.listening),
        workers: file.workers.as_ref().map_or(default.workers, |workers| workers.value),
        reply: reply(file, default.reply)?,
        request: file.request.as_ref().map(|path| request(path, protocol)).transpose()?,
        spares: file.spares.unwrap_or(0),
        timeout_ns: timeout_ns.unwrap_or(default.timeout_ns),
    };
    if let Some(workers) = &file.workers
        && workers.value
        && !can_tell
    {
        let why = if passing == Passing::Connection {
            "do not exist before a connection"
        } else {
            "keep no ledger"
        };
        return Err(workers.problem(format!("its workers cannot say that they are ready: they {why}")));
    }
    if !ready.listening && !ready.workers && ready.reply == Reply::Never {
        return Err(place
            .problem("nothing would tell when it is ready")
            .expecting("`listening`, `workers` or `reply`"));
    }
    Ok(ready)
}

fn reply(file: &ReadyFile, default: Reply) -> Result<Reply, Problem> {
    match (&file.reply, &file.request) {
        (Some(no), Some(_)) if !no.value => Err(no
            .problem("a request is named, and none is to be made")
            .expecting("`reply = true`, or no `request`")),
        (Some(At { value: true, .. }), _) | (None, Some(_)) => Ok(Reply::Always),
        (Some(_), _) => Ok(Reply::Never),
        (None, None) => Ok(default),
    }
}

/// The path of a request that tells whether a service is ready.
fn request(path: &At<String>, protocol: Protocol) -> Result<String, Problem> {
    if !protocol.is_http() {
        return Err(path
            .problem("only HTTP requests have a path")
            .expecting("`protocol = \"http\"` beside it"));
    }
    let is_path = path.value.starts_with('/') && path.value.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_path || path.value.len() > REQUEST_PATH_MAX {
        return Err(path.problem("this is no path of a request").expecting("something like \"/healthz\""));
    }
    Ok(path.value.clone())
}

fn template_file(
    (name, file): (At<String>, At<TemplateFileFile>),
) -> Result<(String, TemplateFile), Problem> {
    check_inside(&name)?;
    let TemplateFileFile { template, unix, executable } = file.value;
    check_inside(&template)?;
    unix.as_ref().map_or(Ok(()), check_inside)?;
    let unix = unix.map(|unix| unix.value);
    Ok((name.value, TemplateFile { template: template.value, unix, executable }))
}

/// Files stay within the trial's folder, and templates within the description's.
fn check_inside(path: &At<String>) -> Result<(), Problem> {
    let is_inside = Path::new(&path.value).components().all(|part| matches!(part, Component::Normal(_)));
    if is_inside && !path.value.is_empty() {
        return Ok(());
    }
    Err(path
        .problem(format!("`{}` leads out of its folder", path.value))
        .expecting("a relative path without `..`"))
}

fn private(path: &At<String>) -> Result<String, Problem> {
    let mut parts = Path::new(&path.value).components();
    let is_absolute = parts.next() == Some(Component::RootDir);
    let rest: Vec<Component<'_>> = parts.collect();
    if is_absolute && !rest.is_empty() && rest.iter().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(path.value.clone());
    }
    Err(path
        .problem(format!("`{}` cannot be private", path.value))
        .expecting("an absolute path without `..`, and not the root"))
}

fn env(table: Table<String>) -> Result<BTreeMap<String, String>, Problem> {
    let entry = |(name, value): (At<String>, At<String>)| {
        if name.value.is_empty() || name.value.contains(['=', '\0']) {
            return Err(name.problem(format!("`{}` cannot be the name of a variable", name.value)));
        }
        checked(&value.value, &value)?;
        Ok((name.value, value.value))
    };
    table.entries.into_iter().map(entry).collect()
}

fn expected(table: Table<String>) -> Result<BTreeMap<String, Grade>, Problem> {
    let entry = |(scenario, grade): (At<String>, At<String>)| {
        check_scenario_name(&scenario)?;
        Ok((scenario.value, word(&grade)?))
    };
    table.entries.into_iter().map(entry).collect()
}

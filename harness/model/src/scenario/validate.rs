//! From what a scenario file says to a scenario: defaults, bounds, contradictions.

use std::collections::BTreeMap;

use super::faults;
use super::file::{ExpectFile, FaultFile, ListenFile, ScenarioFile, SysctlFile, UserFile, WorkersFile};
use super::load;
use super::{Action, Drain, Fault, Listen, Reference, Scenario, User, Workers};
use crate::bounds;
use crate::duration;
use crate::expect;
use crate::file::{At, Bytes, FileError, Problem, Source, Table, check_scenario_name, integer, time, word};
use crate::metric::{self, Expectation};
use crate::service::file::ServiceFile;
use crate::service::{self, Origin, Service};
use crate::tls;
use crate::wire::Address;
use crate::words::{CrashMode, Grade, Transport, UnknownWord, nearest};

/// Reads a scenario file. `origin` is its path, or another name for where the text comes from.
///
/// # Errors
///
/// The first thing that is wrong, with its place, what was expected and the nearest valid word.
pub fn parse(text: &str, origin: &str) -> Result<Scenario, FileError> {
    let source = Source { text, origin };
    let file: ScenarioFile = source.read()?;
    scenario(file).map_err(|problem| source.locate(problem))
}

fn scenario(file: ScenarioFile) -> Result<Scenario, Problem> {
    check_scenario_name(&file.name)?;
    if file.asks.value.trim().is_empty() {
        return Err(file.asks.problem("asks is empty").expecting("the question that the scenario answers"));
    }
    let workers = workers(&file.workers)?;
    let load = load::load(&file.load)?;
    if let Some(work) = &file.workers.work
        && work.value.ns >= load.timeouts.total_ns
    {
        let timeout = duration::exact(load.timeouts.total_ns);
        let message =
            format!("no request could be served: work takes as long as the time-out ({timeout}) or longer");
        return Err(work.problem(message));
    }
    let faults = faults::faults(&file.fault, &load)?;
    check_limits(&file.fault, &faults, &workers)?;
    let listen = listen(&file.listen)?;
    check_addresses(listen.transport, file.load.value.clients.as_ref())?;
    check_measured(listen.transport, &file.expect)?;
    check_sysctls(listen.transport, &file.sysctl)?;
    let service = understood(&file)?;
    Ok(Scenario {
        name: file.name.value,
        asks: file.asks.value,
        about: file.about,
        means: means(file.means)?,
        opt_in: file.opt_in,
        reference: reference(file.reference)?,
        listen,
        workers,
        service,
        load,
        tls: file.tls.as_ref().map(|file| tls::file::tls(file, tls::Beside::Scenario)).transpose()?,
        faults,
        expect: expectations(&file.expect)?,
        sysctls: sysctls(file.sysctl)?,
        sample_accepts: file.kernel.sample_accepts,
    })
}

/// What services understand, where the scenario says so.
fn understood(file: &ScenarioFile) -> Result<Service, Problem> {
    let said = ServiceFile {
        request: file.request.as_ref(),
        reply: file.reply.as_ref(),
        poison: file.poison.as_ref(),
        exchange: &file.exchange,
        close: file.close.as_ref(),
    };
    service::service(said, file.load.value.protocol, Origin::Scenario)
}

fn means(table: Table<String>) -> Result<BTreeMap<Grade, String>, Problem> {
    let entry = |(grade, text): (At<String>, At<String>)| Ok((word::<Grade>(&grade)?, text.value));
    table.entries.into_iter().map(entry).collect()
}

/// For each supervisor a grade, or several with `or` in between; and under `alike` a sentence.
fn reference(table: Table<String>) -> Result<Reference, Problem> {
    let grades = |text: &At<String>| -> Result<Vec<Grade>, Problem> {
        let words = text
            .value
            .split(" or ")
            .map(|grade| At { value: grade.trim().to_owned(), span: text.span.clone() });
        words.map(|grade| word::<Grade>(&grade)).collect()
    };
    let mut reference = Reference::default();
    for (name, text) in table.entries {
        if name.value == "alike" {
            reference.alike = Some(text.value);
        } else {
            reference.grades.insert(name.value, grades(&text)?);
        }
    }
    Ok(reference)
}

fn listen(file: &ListenFile) -> Result<Listen, Problem> {
    let transport = file.transport.as_ref().map_or(Transport::Tcp, |transport| transport.value);
    if let (Transport::Unix, Some(port)) = (transport, &file.port) {
        return Err(port.problem("a Unix socket has no port").expecting("no port, or transport tcp or tcp6"));
    }
    Ok(Listen {
        transport,
        backlog: integer("backlog", file.backlog.as_ref(), bounds::BACKLOG)?
            .unwrap_or(bounds::BACKLOG_DEFAULT),
        port: integer("port", file.port.as_ref(), bounds::PORT)?,
        path: file.path.as_ref().map(|path| socket_path(transport, path)).transpose()?,
    })
}

/// Where a Unix socket is that is always at the same place.
fn socket_path(transport: Transport, path: &At<String>) -> Result<Address, Problem> {
    if transport != Transport::Unix {
        return Err(path.problem("only a Unix socket has a path").expecting("no path, or transport unix"));
    }
    // The NUL byte that ends a path, or begins an abstract name, takes one of the 108 that there are.
    let is_short = (2..=107).contains(&path.value.len());
    match path.value.parse() {
        Ok(address @ Address::Unix(_)) if is_short => Ok(address),
        Ok(_) | Err(_) => Err(path
            .problem(format!("`{}` cannot be the path of a Unix socket", path.value))
            .expecting("an absolute path, or @ and a name, of at most 107 bytes")),
    }
}

fn workers(file: &WorkersFile) -> Result<Workers, Problem> {
    Ok(Workers {
        count: integer("count", file.count.as_ref(), bounds::WORKERS)?.unwrap_or(1),
        boot_ns: time("boot", file.boot.as_ref(), 0..=bounds::BOOT_NS_MAX)?.unwrap_or(0),
        work_ns: time("work", file.work.as_ref(), 0..=bounds::BOOT_NS_MAX)?.unwrap_or(0),
        drain: file.drain.unwrap_or(Drain::Graceful),
        settle_ns: time("settle", file.settle.as_ref(), 1..=bounds::BOOT_NS_MAX)?,
        nofile: integer("nofile", file.nofile.as_ref(), bounds::NOFILE)?,
        memory_bytes: file.memory.as_ref().map(memory).transpose()?,
        user: file.user.as_ref().map(user).transpose()?,
    })
}

fn user(user: &At<UserFile>) -> Result<User, Problem> {
    match &user.value {
        UserFile::Name(name) if name.is_empty() || name.contains([':', '/', '\0']) => {
            Err(user.problem(format!("`{name}` cannot be a user")).expecting("a name, or an id"))
        }
        UserFile::Name(name) => Ok(User::Name(name.clone())),
        UserFile::Id(id) => {
            let id = At { value: *id, span: user.span.clone() };
            Ok(User::Id(integer("user", Some(&id), bounds::USER)?.unwrap_or_default()))
        }
    }
}

fn memory(memory: &At<Bytes>) -> Result<u64, Problem> {
    if bounds::MEMORY_BYTES.contains(&memory.value.bytes) {
        return Ok(memory.value.bytes);
    }
    let mib = |bytes: &u64| format!("{}MiB", bytes >> 20);
    let (low, high) = (mib(bounds::MEMORY_BYTES.start()), mib(bounds::MEMORY_BYTES.end()));
    Err(memory
        .problem("memory is outside of its bounds: a worker needs some, and the machine needs the rest")
        .expecting(format!("{low} to {high}")))
}

/// A worker that uses up something without a limit uses up the machine's.
fn check_limits(files: &[At<FaultFile>], faults: &[Fault], workers: &Workers) -> Result<(), Problem> {
    for (file, fault) in files.iter().zip(faults) {
        let mode = match &fault.action {
            Action::Poison(poison) => poison.mode,
            Action::Crash { mode, .. } => *mode,
            Action::Signal { .. } | Action::Pause { .. } | Action::Control { .. } => continue,
        };
        let (key, is_set) = match mode {
            CrashMode::Allocate => ("memory", workers.memory_bytes.is_some()),
            CrashMode::LeakFds => ("nofile", workers.nofile.is_some()),
            CrashMode::Exit
            | CrashMode::Panic
            | CrashMode::Abort
            | CrashMode::Segv
            | CrashMode::Kill
            | CrashMode::Hang
            | CrashMode::StopAccepting
            | CrashMode::Catch => continue,
        };
        if is_set {
            continue;
        }
        return Err(file
            .problem(format!("mode {mode} without a limit would use up what the whole machine has"))
            .expecting(format!("the key `{key}` in [workers]")));
    }
    Ok(())
}

/// The kernel counts for TCP what it does not count for Unix sockets. A file that expects something
/// of it would pass or fail for nothing.
fn check_measured(transport: Transport, table: &Table<ExpectFile>) -> Result<(), Problem> {
    const OF_TCP: [&str; 2] = ["kernel.listen_overflows", "kernel.listen_drops"];
    let of_tcp =
        table.entries.iter().find(|(name, _)| OF_TCP.contains(&name.value.replace('-', "_").as_str()));
    match (transport, of_tcp) {
        (Transport::Unix, Some((name, _))) => Err(name
            .problem(format!("{} is not measured for Unix sockets: only TCP has it", name.value))
            .expecting("another metric, or transport tcp or tcp6")),
        _ => Ok(()),
    }
}

/// A Unix client's name is its attempt's, and no server limits what one has.
fn check_addresses(transport: Transport, clients: Option<&At<i64>>) -> Result<(), Problem> {
    match (transport, clients) {
        (Transport::Unix, Some(clients)) => Err(clients
            .problem("clients of Unix sockets have no addresses to share")
            .expecting("no such key, or transport tcp or tcp6")),
        _ => Ok(()),
    }
}

/// What changes nothing was meant for another scenario.
fn check_sysctls(transport: Transport, table: &Table<SysctlFile>) -> Result<(), Problem> {
    let of_ip = table.entries.iter().find(|(name, _)| name.value.starts_with("net.ipv4."));
    match (transport, of_ip) {
        (Transport::Unix, Some((name, _))) => Err(name
            .problem(format!("{} has no effect on Unix sockets", name.value))
            .expecting("no such sysctl, or transport tcp or tcp6")),
        _ => Ok(()),
    }
}

fn expectations(table: &Table<ExpectFile>) -> Result<Vec<Expectation>, Problem> {
    table.entries.iter().map(|(name, value)| expectation(name, value)).collect()
}

fn expectation(name: &At<String>, value: &At<ExpectFile>) -> Result<Expectation, Problem> {
    let metric = metric::metric(&name.value).map_err(|word| {
        // All of them would fill the screen.
        Problem::unknown_word(name.span.clone(), &word)
            .expecting("a metric such as `collateral` or `accept.p99`; scenarios/FORMAT.md lists all")
    })?;
    let text = match &value.value {
        ExpectFile::Number(number) => number.to_string(),
        ExpectFile::Text(text) => text.clone(),
    };
    let (comparison, value) = expect::comparison(&metric, &text)
        .map_err(|message| Problem::worded(value.span.clone(), &message))?;
    Ok(Expectation { metric, comparison, value })
}

fn sysctls(table: Table<SysctlFile>) -> Result<BTreeMap<String, String>, Problem> {
    table.entries.into_iter().map(|(name, value)| sysctl(name, &value)).collect()
}

fn sysctl(name: At<String>, value: &At<SysctlFile>) -> Result<(String, String), Problem> {
    if !bounds::SYSCTLS.contains(&name.value.as_str()) {
        let word = UnknownWord {
            what: "sysctl",
            given: name.value.clone(),
            nearest: nearest(&name.value, bounds::SYSCTLS.iter().copied()).map(str::to_owned),
            allowed: bounds::SYSCTLS.to_vec(),
        };
        return Err(Problem::unknown_word(name.span, &word));
    }
    let text = match &value.value {
        SysctlFile::Number(number) => number.to_string(),
        SysctlFile::Text(text) => text.trim().to_owned(),
    };
    let numbers = if name.value == "net.ipv4.ip_local_port_range" { 2 } else { 1 };
    let is_right = text.split_whitespace().all(|word| word.parse::<u32>().is_ok());
    if !is_right || text.split_whitespace().count() != numbers {
        let expected =
            if numbers == 2 { "two ports such as \"1024 65535\"" } else { "a number of at least 0" };
        return Err(value.problem(format!("`{text}` is no value of {}", name.value)).expecting(expected));
    }
    Ok((name.value, text))
}

//! `holdline probe`: a service without any file, and what it loses in a short story.

use std::fmt::Write as _;
use std::path::PathBuf;

use holdline_model::duration::show_ns;
use holdline_model::result::{LossKind, RunResult};
use holdline_model::words::{Blame, Fate, Grade};

use super::args::ProbeArgs;
use super::measure::{self, Places};
use super::outcome::exit_code;
use super::terminal::{print, say};
use crate::exit::Failure;
use crate::probe::discover::{self, Discovered, is_reached_by};
use crate::probe::{Asks, Do, STOPPED, Step, Subject, portable};
use crate::run::{Options, Plan};
use crate::sandbox;

/// Probes a command.
pub(super) fn main(args: &ProbeArgs) -> Result<u8, Failure> {
    let asks = asks(args)?;
    let dos = args.dos.iter().map(|text| a_do(text)).collect::<Result<Vec<_>, _>>()?;
    let rate: holdline_model::file::Rate = args.rate.parse().map_err(Failure::usage)?;
    let duration_ns =
        holdline_model::duration::parse(&args.duration).map_err(|error| Failure::usage(error.to_string()))?;
    if !(1.0..=5_000.0).contains(&rate.per_second) || !(600_000_000..=60_000_000_000).contains(&duration_ns) {
        return Err(Failure::usage("--rate is 1/s to 5000/s, and --duration 600ms to 60s"));
    }
    let folder = std::env::current_dir().map_err(Failure::environment)?;
    let Some(folder_text) = folder.to_str() else {
        return Err(Failure::usage(format!("{} is not UTF-8; start from another folder", folder.display())));
    };
    let mut subject = Subject {
        command: &args.command,
        folder: folder_text,
        asks: &asks,
        port: 1,
        v6: false,
        has_workers: false,
        rate: rate.per_second,
        duration: std::time::Duration::from_nanos(duration_ns),
    };
    // What is wrong with what was typed is found before anything is started.
    subject.story(&dos, args.seed).map_err(Failure::usage)?;
    let (isolation, notice) = sandbox::choose(args.isolation).map_err(crate::run::RunError::from)?;
    if let Some(notice) = notice {
        say(&notice.to_string());
    }
    say(&format!("looking for what `{}` listens on", args.command.join(" ")));
    let reach = reach(&args.command, &folder);
    let (found, log) =
        discover::discover(&args.command, &folder, isolation, reach).map_err(|error| match error {
            discover::DiscoverError::Start { .. } => Failure::usage(error),
            discover::DiscoverError::Own(_) => Failure::environment(error),
        })?;
    (subject.port, subject.v6, subject.has_workers) = choose(args, &found, &log)?;
    let story = subject.story(&dos, args.seed).map_err(Failure::usage)?;
    let steps = story.steps;
    let options = Options { seed: args.seed, worker: None, isolation: args.isolation };
    let plan = Plan::new(story.scenarios, story.supervisors, story.trials, options)?;
    let saved = args.save.as_ref().map(|to| (to, portable(subject.saved(&dos), folder_text, to)));
    let Places { dir, exports } = Places::open(args.out.as_deref(), &args.exports)?;
    let (dir, ended) = measure::record(&plan, dir, args.show_progress)?;
    measure::write_reports(&dir, &ended.result)?;
    let takes_stdout = exports.take_stdout();
    exports.write(|format| format.render(&ended.result), print)?;
    if !takes_stdout {
        print(&table(&steps, &ended.result))?;
    }
    if let Some((folder, text)) = saved {
        let file = folder.join("supervisor.toml");
        let write = || std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&file, text));
        write()
            .map_err(|error| Failure::environment(format!("failed to write {}: {error}", file.display())))?;
        if !takes_stdout {
            print(&format!("the description that was used: {}\n", file.display()))?;
        }
    }
    if !takes_stdout {
        print(&format!("run directory: {}\n", dir.path().display()))?;
    }
    Ok(exit_code(&ended.result))
}

/// Paths that the command names, and its folder, stay in sight.
fn reach(command: &[String], folder: &std::path::Path) -> Vec<PathBuf> {
    let named = command.iter().map(PathBuf::from).filter(|path| path.is_absolute() && path.exists());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    named.chain([folder.to_owned()]).chain(on_path).collect()
}

fn asks(args: &ProbeArgs) -> Result<Asks, Failure> {
    match (&args.http, &args.send, &args.expect) {
        (Some(path), None, None) => Ok(Asks::Http(path.clone())),
        (None, Some(send), Some(expect)) => Ok(Asks::Bytes { send: send.clone(), expect: expect.clone() }),
        (None, None, None) => Ok(Asks::Http("/".to_owned())),
        _ => Err(Failure::usage(
            "say what it is asked in one way: --http PATH, or --send BYTES with --expect BYTES",
        )),
    }
}

fn a_do(text: &str) -> Result<Do, Failure> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= 40
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    match text.split_once('=') {
        Some((name, command)) if is_name(name) && !command.trim().is_empty() => {
            Ok(Do { name: name.to_owned(), command: command.to_owned() })
        }
        _ => Err(Failure::usage(format!(
            "`--do {text}` is not NAME=COMMAND with a name of small letters, such as 'reload=kill -HUP {{pid}}'"
        ))),
    }
}

/// The port that is probed, whether over IPv6, and whether processes below the command accept.
fn choose(args: &ProbeArgs, found: &Discovered, log: &str) -> Result<(u16, bool, bool), Failure> {
    let command = args.command.join(" ");
    let wrote = if log.is_empty() {
        "; it wrote nothing".to_owned()
    } else {
        format!("; the last that it wrote:{log}")
    };
    let (tcp, unix, has_workers) = match found {
        Discovered::Listens { tcp, unix, has_workers } => (tcp, unix, *has_workers),
        Discovered::Ended { left_behind: true, .. } => {
            return Err(Failure::usage(format!(
                "`{command}` went to the background, and left a process that listens: tell it to stay in the foreground"
            )));
        }
        Discovered::Ended { status, .. } => {
            return Err(Failure::usage(format!("`{command}` ended with {status} before it listened{wrote}")));
        }
        Discovered::Silent => {
            return Err(Failure::usage(format!("`{command}` opened no listener within 30 s{wrote}")));
        }
    };
    let all: Vec<String> = tcp.iter().map(ToString::to_string).chain(unix.iter().cloned()).collect();
    let wanted: Vec<_> = match &args.address {
        None => tcp.iter().collect(),
        Some(wanted) => tcp.iter().filter(|address| address.to_string() == *wanted).collect(),
    };
    let mut ports: Vec<u16> = wanted.iter().map(|address| address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    let listens = format!("`{command}` listens on {}", all.join(", "));
    let port = match (ports.as_slice(), &args.address) {
        ([port], _) => *port,
        ([], Some(address)) => return Err(Failure::usage(format!("{listens}, and not on {address}"))),
        ([], None) => {
            return Err(Failure::usage(format!(
                "{listens}: probe reaches TCP alone; describe it in a supervisor.toml"
            )));
        }
        _ => return Err(Failure::usage(format!("{listens}: name the one that is meant by --address"))),
    };
    let reached = |v6| wanted.iter().any(|address| is_reached_by(**address, v6));
    let v6 = match (reached(false), reached(true)) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => {
            return Err(Failure::usage(format!(
                "{listens}, which is not on loopback: there is no other network in the sandbox; let it listen on 127.0.0.1"
            )));
        }
    };
    say(&format!(
        "{listens}; {}",
        if has_workers { "processes below it accept" } else { "it is the one that accepts" }
    ));
    Ok((port, v6, has_workers))
}

/// One line for each step: what it lost, how long others waited, whose fault.
fn table(steps: &[Step], result: &RunResult) -> String {
    let mut text = String::from("\n");
    let width = steps.iter().map(|step| step.name.len()).max().unwrap_or(4).max(4);
    let _ = writeln!(
        text,
        "{:width$}  {:>8}  {:>6}  {:>9}  {:>11}  {:>10}  {:>9}  {:>10}  grade",
        "step", "attempts", "served", "in flight", "collateral", "longest", "queue", "outage"
    );
    for step in steps {
        let Some(trial) = result.trials.iter().find(|trial| trial.scenario == step.name) else { continue };
        let blame = |blame| trial.blame.get(&blame).copied().unwrap_or(0);
        let served = trial.fates.get(&Fate::Served).copied().unwrap_or(0);
        // Once it has been stopped nobody is to listen.
        let refused = trial.collateral.get(&Fate::Refused).copied().unwrap_or(0);
        let (expected, grade) = match step.name == STOPPED {
            true => (refused, "–".to_owned()),
            false => (0, trial.grade.to_string()),
        };
        let outage = trial.outages.iter().map(|outage| outage.end_ns.saturating_sub(outage.start_ns)).max();
        let _ = writeln!(
            text,
            "{:width$}  {:>8}  {:>6}  {:>9}  {:>11}  {:>10}  {:>9}  {:>10}  {}",
            step.name,
            trial.attempts,
            served,
            blame(Blame::InFlight),
            blame(Blame::Collateral).saturating_sub(expected),
            show_ns(trial.latency.response.max_ns),
            format!("{}/{}", trial.kernel.queue_max, trial.kernel.queue_limit),
            outage.map_or_else(|| "none".to_owned(), show_ns),
            grade,
        );
    }
    text.push('\n');
    for step in steps {
        let _ = writeln!(text, "{}: {}", step.name, step.what);
        let Some(trial) = result.trials.iter().find(|trial| trial.scenario == step.name) else { continue };
        let is_stopped = step.name == STOPPED;
        let lines = trial.losses.iter().zip(&trial.causes);
        for (line, loss) in lines {
            let after = if is_stopped && loss.kind == LossKind::Refused {
                ", as is to be once it was stopped"
            } else {
                ""
            };
            let _ = writeln!(text, "  {line}{after}");
        }
        if let Some(sessions) = trial.sessions.as_ref().filter(|_| is_stopped) {
            let _ = writeln!(
                text,
                "  sessions: {} of {} closed while idle, {} cut with a request under way",
                sessions.closed_idle, sessions.planned, sessions.cut
            );
        }
        if let Some(reason) = trial.reason.as_ref().filter(|_| !is_stopped && trial.grade != Grade::Held) {
            let _ = writeln!(text, "  {reason}");
        }
    }
    text.push_str("\nin flight: in the hands of a process that was killed; collateral: lost in any other way; longest: the\nlongest that a reply took; queue: the most that waited to be accepted, of as many as may\n");
    text
}

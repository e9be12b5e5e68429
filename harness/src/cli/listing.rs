//! `holdline list` and `holdline show`: what there is, and what it is for.

use std::fmt::Write;
use std::path::Path;

use holdline_model::duration::show_ns;
use holdline_model::listing::{self, ListedScenario, ListedSupervisor, Listing};
use holdline_model::scenario::{Arrivals, Load, Scenario, Until};
use holdline_model::supervisor::{Control, Program, SignalTo, Supervisor};
use holdline_model::words::{Verb, word_of};

use super::args::{ListArgs, ListWhat, ShowArgs};
use super::terminal::{print, print_file, print_text};
use crate::catalogue::{self, ScenarioEntry, SelectError, SupervisorEntry};
use crate::exit::{self, Failure};

/// Lists scenarios, supervisors, or both.
pub(super) fn list(args: &ListArgs) -> Result<u8, Failure> {
    let scenarios = match args.what {
        Some(ListWhat::Supervisors) => None,
        Some(ListWhat::Scenarios) | None => Some(catalogue::scenarios().map_err(Failure::usage)?),
    };
    let supervisors = match args.what {
        Some(ListWhat::Scenarios) => None,
        Some(ListWhat::Supervisors) | None => Some(catalogue::supervisors().map_err(Failure::usage)?),
    };
    if args.json {
        print(&listing_json(scenarios, supervisors)?)?;
        return Ok(exit::PASS);
    }
    let (scenarios, supervisors) = (scenarios.unwrap_or_default(), supervisors.unwrap_or_default());
    if args.names {
        let scenarios = scenarios.iter().map(|entry| &entry.scenario.name);
        let names = scenarios.chain(supervisors.iter().map(|entry| &entry.supervisor.name));
        print_text(&names.fold(String::new(), |text, name| text + name + "\n"))?;
        return Ok(exit::PASS);
    }
    let tables = [scenario_table(&scenarios), supervisor_table(&supervisors)];
    let tables: Vec<String> = tables.into_iter().filter(|table| !table.is_empty()).collect();
    print_text(&tables.join("\n"))?;
    Ok(exit::PASS)
}

fn listing_json(
    scenarios: Option<Vec<ScenarioEntry>>,
    supervisors: Option<Vec<SupervisorEntry>>,
) -> Result<String, Failure> {
    let scenario = |entry: &ScenarioEntry| ListedScenario::new(&entry.scenario, &entry.origin);
    let supervisor = |entry: &SupervisorEntry| ListedSupervisor::new(&entry.supervisor, &entry.origin);
    let listing = Listing {
        schema: listing::SCHEMA.to_owned(),
        scenarios: scenarios.map(|entries| entries.iter().map(scenario).collect()),
        supervisors: supervisors.map(|entries| entries.iter().map(supervisor).collect()),
    };
    let mut text = serde_json::to_string_pretty(&listing).map_err(Failure::environment)?;
    text.push('\n');
    Ok(text)
}

fn scenario_table(scenarios: &[ScenarioEntry]) -> String {
    let asks: Vec<String> = scenarios.iter().map(|entry| asks(&entry.scenario)).collect();
    let rows = scenarios.iter().zip(&asks);
    titled("Scenarios", &columns(rows.map(|(entry, asks)| (entry.scenario.name.as_str(), asks.as_str()))))
}

fn supervisor_table(supervisors: &[SupervisorEntry]) -> String {
    let groups = [("Reference supervisors", true), ("Other supervisors", false)].map(|(title, reference)| {
        let rows = supervisors.iter().map(|entry| &entry.supervisor).filter(|s| s.reference == reference);
        titled(title, &columns(rows.map(|s| (s.name.as_str(), s.about.as_str()))))
    });
    groups.concat()
}

/// Nothing where there are no rows.
fn titled(title: &str, rows: &str) -> String {
    if rows.is_empty() { String::new() } else { format!("{title}\n{rows}") }
}

fn asks(scenario: &Scenario) -> String {
    let mark = if scenario.opt_in { " (long: runs only where it is named)" } else { "" };
    format!("{}{mark}", scenario.asks)
}

fn columns<'a>(rows: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let width = rows.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.fold(String::new(), |mut text, (name, about)| {
        let _ = writeln!(text, "  {name:width$}  {about}");
        text
    })
}

/// Explains one scenario or supervisor.
pub(super) fn show(args: &ShowArgs) -> Result<u8, Failure> {
    let found = find(args)?;
    let texts: Vec<String> = match &found {
        Found::Scenarios(entries) => entries.iter().map(|entry| scenario_text(entry, args.file)).collect(),
        Found::Supervisors(entries) => {
            entries.iter().map(|entry| supervisor_text(entry, args.file)).collect()
        }
    };
    let text = texts.join("\n");
    if args.file {
        print_file(&text)?;
    } else {
        print_text(&text)?;
    }
    Ok(exit::PASS)
}

/// What is to be shown.
enum Found {
    Scenarios(Vec<ScenarioEntry>),
    Supervisors(Vec<SupervisorEntry>),
}

/// A path is what its file is; a name may be of either kind.
fn find(args: &ShowArgs) -> Result<Found, Failure> {
    let word = std::slice::from_ref(&args.name);
    if catalogue::is_path(&args.name) {
        return Ok(match catalogue::is_description(Path::new(&args.name)) {
            true => Found::Supervisors(catalogue::select_supervisors(word)?),
            false => Found::Scenarios(catalogue::select_scenarios(word)?),
        });
    }
    match catalogue::select_scenarios(word) {
        Ok(found) => Ok(Found::Scenarios(found)),
        Err(SelectError::Unknown { .. } | SelectError::NoMatch { .. }) => {
            let found = catalogue::select_supervisors(word).map_err(unknown)?;
            Ok(Found::Supervisors(found))
        }
        Err(error) => Err(error.into()),
    }
}

fn unknown(error: SelectError) -> Failure {
    let SelectError::Unknown { name, nearest, .. } = &error else { return Failure::usage(error) };
    let scenarios = catalogue::scenarios().unwrap_or_default();
    let scenario = holdline_model::words::nearest(name, scenarios.iter().map(|e| e.scenario.name.as_str()));
    let hint = nearest.clone().or_else(|| scenario.map(str::to_owned));
    let hint = hint.map_or(String::new(), |hint| format!("; did you mean `{hint}`?"));
    Failure::usage(format!(
        "no scenario or supervisor is named `{name}`{hint}\n  `holdline list` shows them all"
    ))
}

fn scenario_text(entry: &ScenarioEntry, file: bool) -> String {
    if file {
        return entry.text.clone();
    }
    let Scenario { name, asks, about, means, listen, workers, load, expect, .. } = &entry.scenario;
    let mut text = format!("{name}: {asks}\n");
    if !about.is_empty() {
        let _ = writeln!(text, "\n{}", about.trim());
    }
    let boot =
        if workers.boot_ns > 0 { format!(", {} to boot", show_ns(workers.boot_ns)) } else { String::new() };
    let _ = writeln!(text, "\n  listener  {}, backlog {}", listen.transport, listen.backlog);
    let _ = writeln!(text, "  workers   {}{boot}", workers.count);
    let _ = writeln!(text, "  load      {}", load_text(load));
    for fault in holdline_model::conductor::faults_in_words(&entry.scenario) {
        let _ = writeln!(text, "  fault     {fault}");
    }
    for expectation in expect {
        let _ = writeln!(text, "  expects   {expectation}");
    }
    if !means.is_empty() {
        text.push_str("\nWhat each grade means here\n");
        text.push_str(&columns(means.iter().map(|(grade, meaning)| (grade.as_str(), meaning.as_str()))));
    }
    let _ = writeln!(text, "\nRun it:  holdline run {name}");
    text
}

fn load_text(load: &Load) -> String {
    let arrivals = match load.arrivals {
        Arrivals::Sequential { gap_ns } => format!("one after the other, {} apart", show_ns(gap_ns)),
        Arrivals::Closed { clients } => format!("{clients} clients that never pause"),
        Arrivals::Constant { per_second } => format!("{per_second}/s, evenly"),
        Arrivals::Poisson { per_second } => format!("{per_second}/s on average, at random (Poisson)"),
        Arrivals::Ramp { from_per_second, to_per_second } => {
            format!("{from_per_second}/s rising to {to_per_second}/s")
        }
        Arrivals::Burst { size, every_ns } => format!("{size} at once, every {}", show_ns(every_ns)),
    };
    let until = match load.until {
        Until::Attempts(count) => format!("{count} attempts"),
        Until::Elapsed(ns) => format!("for {}", show_ns(ns)),
    };
    let threads = if load.threads > 1 { format!(", by {} threads", load.threads) } else { String::new() };
    format!(
        "{until}, {arrivals}{threads}; deadline {}, time-out {}",
        show_ns(load.deadline_ns),
        show_ns(load.timeouts.total_ns)
    )
}

fn supervisor_text(entry: &SupervisorEntry, file: bool) -> String {
    if file {
        return entry.text.clone();
    }
    let Supervisor {
        name,
        about,
        version,
        install,
        socket,
        transports,
        trap,
        backlog_default,
        restart_delay_default,
        expected,
        ..
    } = &entry.supervisor;
    let mut text = format!("{name}: {about}\n\n");
    let transports: Vec<&str> = transports.iter().map(|transport| transport.as_str()).collect();
    let _ = writeln!(
        text,
        "  listener    held by the {}, passed by {}",
        word_of(&socket.holder),
        word_of(&socket.passing)
    );
    let _ = writeln!(text, "  transports  {}", transports.join(", "));
    let _ = writeln!(text, "  starts as   {}", entry.supervisor.start.join(" "));
    for program in &entry.supervisor.programs {
        let Program { name, start, listens, .. } = program;
        let _ = writeln!(text, "  behind it   {name}, at {listens}: {}", start.join(" "));
    }
    for verb in Verb::ALL {
        let Some(control) = entry.supervisor.control.get(verb) else { continue };
        let _ = writeln!(text, "  {verb:<18}  {}", control_text(control));
    }
    if !version.is_empty() {
        let _ = writeln!(text, "  version by  {}", version.join(" "));
    }
    if let Some(install) = install {
        let _ = writeln!(text, "  install     {install}");
    }
    if let Some(needs) = &entry.supervisor.needs {
        let _ = writeln!(text, "  needs       {needs}");
    }
    if let Some(backlog) = backlog_default {
        let _ = writeln!(text, "  backlog     {backlog}, by default");
    }
    if let Some(delay) = restart_delay_default {
        let _ = writeln!(text, "  restarts    {delay}, by default");
    }
    if let Some(trap) = trap {
        let _ = writeln!(text, "  mind        {}", trap.trim());
    }
    for (scenario, grade) in expected {
        let _ = writeln!(text, "  expected    {grade} in {scenario}");
    }
    text
}

fn control_text(control: &Control) -> String {
    match control {
        Control::Command(words) => words.join(" "),
        Control::Signal { signal, to: SignalTo::Program(program) } => format!("signal {signal} to {program}"),
        Control::Signal { signal, .. } => format!("signal {signal}"),
        Control::Unsupported(reason) => format!("unsupported: {reason}"),
    }
}
